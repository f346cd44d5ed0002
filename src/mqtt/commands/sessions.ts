import type { Command, CommandValue, Field } from '../../core/command.ts'
import { CommandError, defineCommand } from '../../core/command.ts'
import { localpart, resourcepart } from '../../xmpp/jid/jid.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import type { Session } from '../session.ts'
import { neverExpires } from '../session.ts'
import {
  brokerOf,
  clientId,
  details,
  detailsOf,
  host,
  sessionOf,
  timeText,
  user,
} from './arguments.ts'
import { Page, pageArguments } from './page.ts'
import { forEachInSlices } from './slices.ts'

const sessionFields: readonly Field[] = [
  { name: 'jid', type: 'string' },
  { name: 'user', type: 'string' },
  { name: 'client_id', type: 'string' },
  { name: 'connected', type: 'string' },
  { name: 'expiry', type: 'string' },
  { name: 'ends', type: 'string' },
  { name: 'subscriptions', type: 'integer' },
  { name: 'queued', type: 'integer' },
  { name: 'inflight', type: 'integer' },
  { name: 'bytes', type: 'integer' },
]

export const mqttSessionCommands: readonly Command[] = [
  defineCommand({
    name: 'mqtt_list_sessions',
    tags: ['mqtt', 'session'],
    summary:
      'List the MQTT sessions of a host, connected or not, by JID, after that of the last one that is known already',
    args: [host, ...pageArguments],
    result: {
      name: 'sessions',
      type: { list: { name: 'session', type: { tuple: sessionFields } } },
    },
    async run([hostName, after, limit], context) {
      const broker = brokerOf(hostName, context)
      const page = new Page<Session>(after, limit)
      await forEachInSlices(broker.sessions.byKey.values(), (session) => {
        page.offer(session.key, session)
      })
      return page.items().map(rowOf)
    },
  }),
  defineCommand({
    name: 'mqtt_get_session',
    tags: ['mqtt', 'session'],
    summary: 'Get what is known about the session of an MQTT client',
    args: [user, host, clientId],
    result: details,
    run: ([name, hostName, id], context) =>
      detailsOf(describe(sessionOf(brokerOf(hostName, context), name, id))),
  }),
  defineCommand({
    name: 'mqtt_delete_session',
    tags: ['mqtt', 'session', 'purge'],
    summary:
      'End an MQTT session with its subscriptions and all that waits in it; its client is disconnected',
    args: [user, host, clientId],
    result: 'rescode',
    async run([name, hostName, id], context) {
      const broker = brokerOf(hostName, context)
      const session = sessionOf(broker, name, id)
      session.connection?.fail(ReasonCode.administrativeAction, 'Session ended by administrator')
      broker.sessions.end(session)
      if (await broker.journal.settled()) return 0
      throw new CommandError('error', 'The session has ended, but this could not be stored')
    },
  }),
]

function isConnected({ connection }: Session): boolean {
  return connection?.isOpen === true
}

function expiryText({ expirySeconds }: Session): string {
  return expirySeconds >= neverExpires ? 'never' : `${expirySeconds}`
}

function rowOf(session: Session): CommandValue {
  return [
    session.key,
    localpart(session.key),
    resourcepart(session.key),
    `${isConnected(session)}`,
    expiryText(session),
    timeText(session.endsAt),
    session.subscriptions?.size ?? 0,
    session.queued,
    session.inflightCount,
    session.pendingBytes,
  ]
}

function describe(session: Session): Record<string, string | number> {
  const { will } = session
  return {
    jid: session.key,
    connected: `${isConnected(session)}`,
    disconnected: timeText(session.disconnectedAt),
    expiry: expiryText(session),
    ends: timeText(session.endsAt),
    stored: `${session.isStored}`,
    subscriptions: session.subscriptions?.size ?? 0,
    queued: session.queued,
    queued_qos0: session.queuedQoS0,
    inflight: session.inflightCount,
    bytes: session.pendingBytes,
    qos2_in: session.incoming?.size ?? 0,
    will: will?.content.topic ?? '',
    will_due: timeText(session.willAt),
  }
}
