import { errorExit, formatError, formatResult, parseWords } from './command-text.ts'
import { commandHelp, commandUsage } from './help.ts'
import type { ControlAnswer, ControlRequest } from './control-socket.ts'
import type { Caller, Command, CommandRegistry, CommandValue } from '../core/command.ts'
import { CommandError } from '../core/command.ts'
import { accounts } from '../core/account.ts'
import type { Log } from '../core/log.ts'
import { apiPermissions } from '../core/shared.ts'
import type { Services } from '../core/service.ts'
import { didYouMean } from '../util/did-you-mean.ts'
import { isBare, parseJidParts } from '../xmpp/jid/jid.ts'

/** ejabberdctl's exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no command given (or no server). */
const exit = { done: 0, failed: 1, usage: 2, nothing: 3 } as const

export interface ControlParts {
  readonly commands: CommandRegistry
  readonly services: Services
  readonly log: Log
}

/** Runs one `linnet <command>` as the shell face of the registry. */
export async function runControl(
  parts: ControlParts,
  request: ControlRequest,
): Promise<ControlAnswer> {
  const [word, ...words] = request.words
  if (word === undefined) return { exit: exit.nothing, output: commandUsage(parts.commands) }
  if (word === 'help') return { exit: exit.done, output: commandHelp(parts.commands, words) }
  const name = word.replaceAll('-', '_')
  const command = parts.commands.find(name, request.version)
  if (command === undefined) {
    const near = didYouMean(
      name,
      parts.commands.list().map((known) => known.name),
    )
    const hint = near === undefined ? '' : ` Did you mean '${near}'?`
    return { exit: exit.failed, output: `Error: unknown command '${word}'.${hint}\n` }
  }
  const caller = await callerOf(parts, request)
  if (typeof caller === 'string') return { exit: exit.failed, output: `${caller}\n` }
  const args = parseWords(command, words)
  if (!args.ok) {
    return {
      exit: exit.usage,
      output: `${commandHelp(parts.commands, [command.name])}${args.error}\n`,
    }
  }
  const decision = parts.services
    .get(apiPermissions)
    .check(command, caller, hostArguments(command, args.value))
  if (!decision.allowed) return { exit: exit.failed, output: `Error: ${decision.error}\n` }
  return run(parts, command, args.value, caller, request.version ?? Infinity)
}

function hostArguments(command: Command, args: readonly CommandValue[]): readonly string[] {
  return command.args.flatMap(({ name }, i) => (name === 'host' ? [String(args[i])] : []))
}

async function run(
  parts: ControlParts,
  command: Command,
  args: readonly CommandValue[],
  caller: Caller,
  version: number,
): Promise<ControlAnswer> {
  const { services, log } = parts
  try {
    const value = await command.run(args, {
      caller,
      services,
      service: (token) => services.get(token),
    })
    if (command.result === 'rescode' && value !== 0) {
      return { exit: exit.failed, output: `Error: ${String(value)}\n` }
    }
    return { exit: exit.done, output: formatResult(command, value, version) }
  } catch (error) {
    if (error instanceof CommandError) {
      return { exit: errorExit(error), output: formatError(error) }
    }
    log.error({ err: error, command: command.name }, 'Command failed')
    const message = error instanceof Error ? error.message : String(error)
    return { exit: exit.failed, output: `Error: ${message}\n` }
  }
}

async function callerOf(parts: ControlParts, request: ControlRequest): Promise<Caller | string> {
  if (request.auth === undefined) return { from: 'ejabberd_ctl' }
  const [user, host, password] = request.auth
  const account = parseJidParts(user, host, '')
  if (!account.ok || !isBare(account.value)) return 'Error: no_auth_provided'
  const checked = await parts.services
    .get(accounts)
    .checkPassword(account.value, password, { protocol: 'http', ip: undefined })
  if (!checked.ok) return 'Error: invalid_account_data'
  return { from: 'ejabberd_ctl', jid: account.value }
}
