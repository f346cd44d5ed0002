import type { Command, CommandContext, CommandValue, Field } from '../core/command.ts'
import { CommandError, defineCommand } from '../core/command.ts'
import { formatCidr, parseCidr } from '../util/cidr.ts'
import { domainpart, parseHostName, parseJidParts, prepResource } from '../xmpp/jid/jid.ts'
import type { Ban, BanKind } from './bans.ts'
import type { Broker } from './broker.ts'
import { brokersOf } from './brokers.ts'
import { ReasonCode } from './packet/reason-code.ts'

const host: Field = { name: 'host', type: 'binary' }
const kind: Field = { name: 'type', type: 'binary' }
const value: Field = { name: 'value', type: 'binary' }

/** Bans that hold for MQTT only; `ban_account` bans an account from everything. They outlast a restart. */
export const banCommands: readonly Command[] = [
  defineCommand({
    name: 'mqtt_ban',
    tags: ['mqtt'],
    summary:
      'Ban an account, a client identifier ("client") or an address from MQTT, for some seconds or (0) for good',
    args: [
      host,
      kind,
      value,
      { name: 'duration', type: 'integer' },
      { name: 'reason', type: 'binary' },
    ],
    result: 'restuple',
    async run([hostName, type, what, duration, reason], context) {
      const broker = brokerOf(hostName, context)
      const seconds = Number(duration)
      if (seconds < 0) throw new CommandError('error', 'The duration must not be negative')
      const createdAt = broker.nowMs()
      const ban: Ban = {
        ...targetOf(broker, type, what),
        reason: String(reason),
        createdAt,
        expiresAt: seconds === 0 ? undefined : createdAt + seconds * 1000,
      }
      await broker.bans.add(ban)
      return `Banned; connections ended: ${disconnect(broker, ban)}`
    },
  }),
  defineCommand({
    name: 'mqtt_unban',
    tags: ['mqtt'],
    summary: 'Lift a ban of mqtt_ban',
    args: [host, kind, value],
    result: 'rescode',
    async run([hostName, type, what], context) {
      const broker = brokerOf(hostName, context)
      const target = targetOf(broker, type, what)
      if (await broker.bans.remove(target.kind, target.value)) return 0
      throw new CommandError('not_found', 'not_banned')
    },
  }),
  defineCommand({
    name: 'mqtt_list_bans',
    tags: ['mqtt'],
    summary: 'List the bans of mqtt_ban; "until" is empty for those that hold for good',
    args: [host],
    result: {
      name: 'bans',
      type: {
        list: {
          name: 'ban',
          type: {
            tuple: [
              { name: 'type', type: 'string' },
              { name: 'value', type: 'string' },
              { name: 'since', type: 'string' },
              { name: 'until', type: 'string' },
              { name: 'reason', type: 'string' },
            ],
          },
        },
      },
    },
    run: ([hostName], context) =>
      brokerOf(hostName, context)
        .bans.list()
        .map(({ kind: type, value: what, reason, createdAt, expiresAt }) => [
          type,
          what,
          new Date(createdAt).toISOString(),
          expiresAt === undefined ? '' : new Date(expiresAt).toISOString(),
          reason,
        ]),
  }),
]

function brokerOf(name: CommandValue | undefined, context: CommandContext): Broker {
  const parsed = parseHostName(String(name))
  const broker = parsed.ok ? brokersOf(context.services).find(parsed.value) : undefined
  if (broker === undefined) throw new CommandError('error', 'Unknown virtual host')
  return broker
}

function targetOf(
  broker: Broker,
  type: CommandValue | undefined,
  what: CommandValue | undefined,
): { readonly kind: BanKind; readonly value: string } {
  const text = String(what)
  switch (String(type)) {
    case 'account': {
      const [user = '', domain = broker.host] = text.split('@')
      const jid = parseJidParts(user, domain, '')
      if (!jid.ok || user === '' || domainpart(jid.value) !== broker.host) {
        throw new CommandError('error', `"${text}" is no account of ${broker.host}`)
      }
      return { kind: 'account', value: jid.value }
    }
    case 'client': {
      const resource = prepResource(text)
      if (!resource.ok) throw new CommandError('error', `"${text}" is no client identifier`)
      return { kind: 'client', value: resource.value }
    }
    case 'address': {
      const network = parseCidr(text)
      if (!network.ok) throw new CommandError('error', `"${text}" is no address or network`)
      return { kind: 'address', value: formatCidr(network.value) }
    }
    default:
      throw new CommandError('error', 'The type must be account, client or address')
  }
}

/** Ends the connections that a ban is about; sessions stay, for when it is over. How many there were. */
function disconnect(broker: Broker, ban: Ban): number {
  let count = 0
  for (const { connection } of broker.sessions.byKey.values()) {
    const client = connection?.isCounted === true ? connection.client : undefined
    if (client === undefined || broker.bans.findClient(client) !== ban) continue
    connection?.fail(ReasonCode.administrativeAction, ban.reason === '' ? 'Banned' : ban.reason)
    count += 1
  }
  return count
}
