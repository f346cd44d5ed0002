import type { Command, CommandContext, CommandValue } from '../core/command.ts'
import { defineCommand } from '../core/command.ts'
import { clock } from '../core/shared.ts'
import type { ClientSession } from '../core/sessions.ts'
import { sessionRegistry } from '../core/sessions.ts'
import type { BareJid } from '../xmpp/jid/jid.ts'
import { isBare, parseJidParts, prepResource, resourcepart } from '../xmpp/jid/jid.ts'

const userAndHost = [
  { name: 'user', type: 'binary' },
  { name: 'host', type: 'binary' },
] as const

const sessionFields = [
  { name: 'connection', type: 'string' },
  { name: 'ip', type: 'string' },
  { name: 'port', type: 'integer' },
  { name: 'priority', type: 'integer' },
  { name: 'node', type: 'string' },
  { name: 'uptime', type: 'integer' },
  { name: 'status', type: 'string' },
  { name: 'resource', type: 'string' },
  { name: 'statustext', type: 'string' },
] as const

const kickReason = 'Kicked by administrator'

/**
 * Lists count XMPP sessions, as ejabberd's do; kicks end MQTT sessions of the account too. Who does not exist, or lives on a
 * host that is not served, has no sessions: that is no error.
 */
export const sessionCommands: readonly Command[] = [
  defineCommand({
    name: 'connected_users',
    tags: ['session'],
    summary: 'List all connected sessions',
    result: { name: 'connected_users', type: { list: { name: 'sessions', type: 'string' } } },
    run: (_args, context) => xmppSessions(context).map(({ jid }) => jid),
  }),
  defineCommand({
    name: 'connected_users_number',
    tags: ['session', 'statistics'],
    summary: 'Get the number of connected sessions',
    result: { name: 'num_sessions', type: 'integer' },
    run: (_args, context) => xmppSessions(context).length,
  }),
  defineCommand({
    name: 'user_resources',
    tags: ['session'],
    summary: "List a user's connected resources",
    args: userAndHost,
    result: { name: 'resources', type: { list: { name: 'resource', type: 'string' } } },
    run: (args, context) =>
      ofUser(args, context, 'xmpp')
        .map(({ jid }) => resourcepart(jid))
        .sort(),
  }),
  defineCommand({
    name: 'num_resources',
    tags: ['session'],
    summary: 'Get the number of resources of a user',
    args: userAndHost,
    result: { name: 'resources', type: 'integer' },
    run: (args, context) => ofUser(args, context, 'xmpp').length,
  }),
  defineCommand({
    name: 'user_sessions_info',
    tags: ['session'],
    summary: "Get information about all of a user's sessions",
    args: userAndHost,
    result: {
      name: 'sessions_info',
      type: { list: { name: 'session', type: { tuple: sessionFields } } },
    },
    run: (args, context) =>
      ofUser(args, context, 'xmpp').map((session) => [
        session.connection,
        session.ip,
        session.port,
        session.priority ?? -1,
        'linnet@localhost',
        Math.floor((context.service(clock).now() - session.connectedAt) / 1000),
        session.presence?.show ?? 'unavailable',
        resourcepart(session.jid),
        session.presence?.status ?? '',
      ]),
  }),
  defineCommand({
    name: 'kick_session',
    tags: ['session'],
    summary: "Kick a user's session",
    args: [
      ...userAndHost,
      { name: 'resource', type: 'binary' },
      { name: 'reason', type: 'binary' },
    ],
    result: 'rescode',
    run: (args, context) => {
      const resource = prepResource(String(args[2]))
      for (const session of ofUser(args, context)) {
        if (resource.ok && resourcepart(session.jid) === resource.value) {
          session.kick(String(args[3]), 'kicked')
        }
      }
      return 0
    },
  }),
  defineCommand({
    name: 'kick_user',
    tags: ['session'],
    summary: "Disconnect a user's active sessions",
    args: userAndHost,
    result: { name: 'num_resources', type: 'integer' },
    run: kickUser,
  }),
  defineCommand({
    name: 'kick_user',
    version: 2,
    tags: ['session'],
    summary: "Disconnect a user's active sessions",
    args: userAndHost,
    result: 'restuple',
    run: (args, context) => `Kicked sessions: ${kickUser(args, context)}`,
  }),
]

function kickUser(args: readonly CommandValue[], context: CommandContext): number {
  const sessions = ofUser(args, context)
  for (const session of sessions) session.kick(kickReason, 'kicked')
  return sessions.length
}

function xmppSessions(context: CommandContext): readonly ClientSession[] {
  return [...context.service(sessionRegistry).all()]
    .filter(({ protocol }) => protocol === 'xmpp')
    .sort((a, b) => (a.jid < b.jid ? -1 : 1))
}

function ofUser(
  [user, host]: readonly CommandValue[],
  context: CommandContext,
  protocol?: 'xmpp' | 'mqtt',
): readonly ClientSession[] {
  const account = accountOf(String(user), String(host))
  if (account === undefined) return []
  return context
    .service(sessionRegistry)
    .forAccount(account)
    .filter((session) => protocol === undefined || session.protocol === protocol)
}

/** The account that a user and a host argument name; undefined when nobody can be called that. */
export function accountOf(user: string, host: string): BareJid | undefined {
  const account = parseJidParts(user, host, '')
  return account.ok && user !== '' && isBare(account.value) ? account.value : undefined
}
