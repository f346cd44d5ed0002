import type { CommandContext, CommandValue, Field } from '../../core/command.ts'
import { CommandError } from '../../core/command.ts'
import type { FullJid } from '../../xmpp/jid/jid.ts'
import { isFull, parseHostName, parseJidParts } from '../../xmpp/jid/jid.ts'
import type { Broker } from '../broker.ts'
import { brokersOf } from '../brokers.ts'
import type { Session } from '../session.ts'
import type { TopicFilter, TopicName } from '../topic.ts'
import { parseTopicFilter, parseTopicName } from '../topic.ts'

/* What commands of the broker take, and how they fail. */

export const user: Field = { name: 'user', type: 'binary' }
export const host: Field = { name: 'host', type: 'binary' }
export const clientId: Field = { name: 'client_id', type: 'binary' }
export const filter: Field = { name: 'filter', type: 'binary' }

/** Figures and settings of one thing, each with its name. */
export const details: Field = {
  name: 'details',
  type: {
    list: {
      name: 'detail',
      type: {
        tuple: [
          { name: 'name', type: 'string' },
          { name: 'value', type: 'string' },
        ],
      },
    },
  },
}

export function brokerOf(name: CommandValue | undefined, context: CommandContext): Broker {
  const parsed = parseHostName(String(name))
  const broker = parsed.ok ? brokersOf(context.services).find(parsed.value) : undefined
  if (broker === undefined) {
    throw new CommandError('error', `mod_mqtt does not run on "${String(name)}"`)
  }
  return broker
}

/** The session of an account's client. */
export function sessionOf(
  broker: Broker,
  name: CommandValue | undefined,
  id: CommandValue | undefined,
): Session {
  const key = keyOf(broker, String(name), String(id))
  const session = key === undefined ? undefined : broker.sessions.byKey.get(key)
  if (session === undefined) throw new CommandError('not_found', 'unknown_session')
  return session
}

function keyOf(broker: Broker, name: string, id: string): FullJid | undefined {
  const jid = parseJidParts(name, broker.host, id)
  return jid.ok && isFull(jid.value) ? jid.value : undefined
}

export function filterOf(text: CommandValue | undefined): TopicFilter {
  const parsed = parseTopicFilter(String(text))
  if (!parsed.ok) throw new CommandError('error', `"${String(text)}" is no topic filter`)
  return parsed.value
}

export function topicOf(text: CommandValue | undefined): TopicName {
  const parsed = parseTopicName(String(text))
  if (!parsed.ok) throw new CommandError('error', `"${String(text)}" is no topic name`)
  return parsed.value
}

/** A time as commands tell it; empty for none. */
export function timeText(ms: number | undefined): string {
  return ms === undefined || !Number.isFinite(ms) ? '' : new Date(ms).toISOString()
}

export function detailsOf(values: Readonly<Record<string, string | number>>): CommandValue {
  return Object.entries(values).map(([name, value]) => [name, `${value}`])
}
