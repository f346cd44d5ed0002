import { writeFile } from 'node:fs/promises'
import { accounts } from '../core/account.ts'
import { cachesCleared } from '../core/caches.ts'
import type { Command } from '../core/command.ts'
import { CommandError, defineCommand } from '../core/command.ts'
import { currentConfig } from '../core/current-config.ts'
import type { LogLevel } from '../core/log.ts'
import { logLevels } from '../core/log.ts'
import { hosts, logs, serverControl } from '../core/shared.ts'
import { sessionRegistry } from '../core/sessions.ts'
import { parseHostName } from '../xmpp/jid/jid.ts'
import type { HostName } from '../xmpp/jid/jid.ts'
import type { CommandContext } from '../core/command.ts'

/** `set_loglevel 4`: ejabberd's old numbers. */
const numberedLevels: readonly LogLevel[] = [
  'none',
  'critical',
  'error',
  'warning',
  'info',
  'debug',
]

const done = 0

export const serverCommands: readonly Command[] = [
  defineCommand({
    name: 'status',
    tags: ['server'],
    summary: 'Get status of the server',
    result: 'restuple',
    run: (_args, context) => {
      const { version, state } = context.service(serverControl)
      return `The node linnet@localhost is started with status: ${state}\nlinnet ${version} is running in that node`
    },
  }),
  defineCommand({
    name: 'stop',
    tags: ['server'],
    summary: 'Stop the server gracefully',
    result: 'rescode',
    run: (_args, context) => {
      context.service(serverControl).stop()
      return done
    },
  }),
  defineCommand({
    name: 'reload_config',
    tags: ['config'],
    summary: 'Reload the configuration file',
    result: 'rescode',
    run: async (_args, context) => {
      const problems = await context.service(serverControl).reload()
      if (problems !== undefined) throw new CommandError('error', problems)
      return done
    },
  }),
  defineCommand({
    name: 'clear_cache',
    tags: ['server'],
    summary: 'Forget what is kept in memory to save reading the databases',
    result: 'rescode',
    run: (_args, context) => {
      const all = context.service(hosts)
      for (const name of all.names) all.get(name).hooks.emit(cachesCleared)
      return done
    },
  }),
  defineCommand({
    name: 'dump_config',
    tags: ['config'],
    summary: 'Write the configuration in effect to a file, as YAML with secrets hidden',
    args: [{ name: 'out', type: 'string' }],
    result: 'rescode',
    run: async ([out], context) => {
      await writeFile(String(out), context.service(currentConfig).value.effective(), {
        mode: 0o600,
      })
      return done
    },
  }),
  defineCommand({
    name: 'get_loglevel',
    tags: ['logs'],
    summary: 'Get the current log level',
    result: { name: 'levelatom', type: 'atom' },
    run: (_args, context) => context.service(logs).level,
  }),
  defineCommand({
    name: 'set_loglevel',
    tags: ['logs'],
    summary: 'Set the log level',
    args: [{ name: 'loglevel', type: 'string' }],
    result: 'rescode',
    run: ([word], context) => {
      context.service(logs).setLevel(parseLevel(String(word)))
      return done
    },
  }),
  defineCommand({
    name: 'reopen_log',
    tags: ['logs'],
    summary: 'Open the log file anew, after another program has moved it',
    result: 'rescode',
    run: (_args, context) => {
      context.service(serverControl).reopenLog()
      return done
    },
  }),
  defineCommand({
    name: 'rotate_log',
    tags: ['logs'],
    summary: 'Put the log file aside and begin a new one',
    result: 'rescode',
    run: (_args, context) => {
      context.service(serverControl).rotateLog()
      return done
    },
  }),
  defineCommand({
    name: 'registered_vhosts',
    tags: ['server'],
    summary: 'List the virtual hosts that are served',
    result: { name: 'vhosts', type: { list: { name: 'vhost', type: 'string' } } },
    run: (_args, context) => context.service(hosts).names,
  }),
  defineCommand({
    name: 'modules_installed',
    tags: ['modules'],
    summary: 'List the contributed modules that are installed',
    result: {
      name: 'modules',
      type: {
        list: {
          name: 'module',
          type: {
            tuple: [
              { name: 'name', type: 'atom' },
              { name: 'summary', type: 'string' },
            ],
          },
        },
      },
    },
    // Contributed modules are ejabberd's own kind of add-on (Erlang beams): there are none here to install.
    run: () => [],
  }),
  defineCommand({
    name: 'stats',
    tags: ['statistics'],
    summary: 'Get a statistic of the server',
    args: [{ name: 'name', type: 'binary' }],
    result: { name: 'stat', type: 'integer' },
    run: ([name], context) => serverStatistic(String(name), context),
  }),
  defineCommand({
    name: 'stats_host',
    tags: ['statistics'],
    summary: 'Get a statistic of a virtual host',
    args: [
      { name: 'name', type: 'binary' },
      { name: 'host', type: 'binary' },
    ],
    result: { name: 'stat', type: 'integer' },
    run: ([name, host], context) =>
      hostStatistic(String(name), findHost(String(host), context), context),
  }),
]

async function serverStatistic(name: string, context: CommandContext): Promise<number> {
  const served = context.service(hosts).names.map((host) => servedHost(host, context))
  switch (name) {
    case 'uptimeseconds':
      return Math.floor(context.service(serverControl).uptimeMs / 1000)
    case 'processes':
      return 1 // Erlang's own measure of load; one process here, whatever the load
    case 'registeredusers':
    case 'onlineusers': {
      let sum = 0
      for (const host of served) sum += await hostStatistic(name, host, context)
      return sum
    }
    case 'onlineusersnode':
      return serverStatistic('onlineusers', context)
    default:
      throw new CommandError('error', `unknown statistic "${name}"`)
  }
}

function hostStatistic(
  name: string,
  host: HostName | undefined,
  context: CommandContext,
): Promise<number> | number {
  switch (name) {
    case 'registeredusers':
      return host === undefined ? 0 : context.service(accounts).count(host)
    case 'onlineusers':
      return host === undefined ? 0 : context.service(sessionRegistry).count(host, 'xmpp')
    default:
      throw new CommandError('error', `unknown statistic "${name}"`)
  }
}

/** The host an argument names, in canonical form; fails in ejabberd's words when it is not served. */
export function servedHost(text: string, context: CommandContext): HostName {
  const host = findHost(text, context)
  if (host === undefined) throw new CommandError('error', 'Unknown virtual host')
  return host
}

function findHost(text: string, context: CommandContext): HostName | undefined {
  const host = parseHostName(text)
  const isServed = host.ok && context.service(hosts).find(host.value) !== undefined
  return isServed ? host.value : undefined
}

function parseLevel(word: string): LogLevel {
  const named = logLevels.find((level) => level === word)
  const numbered = /^[0-5]$/.test(word) ? numberedLevels[Number(word)] : undefined
  const level = named ?? numbered
  if (level === undefined) throw new CommandError('error', 'Invalid log level')
  return level
}
