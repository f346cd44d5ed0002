import type { Command, CommandValue, Field } from '../../core/command.ts'
import { CommandError, defineCommand } from '../../core/command.ts'
import { localpart, prepLocalpart, prepResource, resourcepart } from '../../xmpp/jid/jid.ts'
import type { Broker } from '../broker.ts'
import type { Client } from '../client.ts'
import type { Connection } from '../connection.ts'
import type { ProtocolVersion } from '../packet/packet-type.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import type { Session } from '../session.ts'
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

const versionNames: Readonly<Record<ProtocolVersion, string>> = { 3: '3.1', 4: '3.1.1', 5: '5.0' }

const clientFields: readonly Field[] = [
  { name: 'jid', type: 'string' },
  { name: 'user', type: 'string' },
  { name: 'client_id', type: 'string' },
  { name: 'ip', type: 'string' },
  { name: 'port', type: 'integer' },
  { name: 'connection', type: 'string' },
  { name: 'version', type: 'string' },
  { name: 'tls', type: 'string' },
  { name: 'keep_alive', type: 'integer' },
  { name: 'since', type: 'string' },
  { name: 'messages_in', type: 'integer' },
  { name: 'messages_out', type: 'integer' },
  { name: 'queued', type: 'integer' },
  { name: 'inflight', type: 'integer' },
]

/** A session whose client is there. */
interface Connected {
  readonly session: Session
  readonly connection: Connection
  readonly client: Client
}

export const clientCommands: readonly Command[] = [
  defineCommand({
    name: 'mqtt_list_clients',
    tags: ['mqtt', 'session'],
    summary:
      'List the connected MQTT clients of a host by JID, after that of the last one that is known already',
    args: [host, ...pageArguments],
    result: {
      name: 'clients',
      type: { list: { name: 'client', type: { tuple: clientFields } } },
    },
    async run([hostName, after, limit], context) {
      const broker = brokerOf(hostName, context)
      const page = new Page<Connected>(after, limit)
      await forEachInSlices(broker.sessions.byKey.values(), (session) => {
        const connected = connectedOf(session)
        if (connected !== undefined) page.offer(session.key, connected)
      })
      return page.items().map(rowOf)
    },
  }),
  defineCommand({
    name: 'mqtt_get_client',
    tags: ['mqtt', 'session'],
    summary: 'Get what is known about the connection of an MQTT client',
    args: [user, host, clientId],
    result: details,
    run([name, hostName, id], context) {
      const broker = brokerOf(hostName, context)
      const connected = connectedOf(sessionOf(broker, name, id))
      if (connected === undefined) throw new CommandError('not_found', 'not_connected')
      return detailsOf(describe(connected))
    },
  }),
  defineCommand({
    name: 'mqtt_kick_client',
    tags: ['mqtt', 'session'],
    summary:
      'Disconnect MQTT clients, with a reason: one client, or all of an account, or all with a client identifier (the other one is empty)',
    args: [user, host, clientId, { name: 'reason', type: 'binary' }],
    result: { name: 'kicked', type: 'integer' },
    async run([name, hostName, id, reason], context) {
      const broker = brokerOf(hostName, context)
      const text = String(reason)
      const found = await find(broker, String(name), String(id))
      for (const { connection } of found) {
        connection.fail(ReasonCode.administrativeAction, text === '' ? kickReason : text)
      }
      return found.length
    },
  }),
]

const kickReason = 'Kicked by administrator'

/** Undefined for sessions without a client, and for those of the server's own parts. */
function connectedOf(session: Session): Connected | undefined {
  const { connection } = session
  if (connection?.isOpen !== true || !connection.wasOpen) return undefined
  const { client } = connection
  return client === undefined ? undefined : { session, connection, client }
}

async function find(broker: Broker, name: string, id: string): Promise<readonly Connected[]> {
  if (name === '' && id === '') {
    throw new CommandError('error', 'Either a user or a client identifier is needed')
  }
  const account = name === '' ? undefined : prepLocalpart(name)
  const resource = id === '' ? undefined : prepResource(id)
  if (account?.ok === false || resource?.ok === false) return []
  const found: Connected[] = []
  await forEachInSlices(broker.sessions.byKey.values(), (session) => {
    if (account !== undefined && localpart(session.key) !== account.value) return
    if (resource !== undefined && resourcepart(session.key) !== resource.value) return
    const connected = connectedOf(session)
    if (connected !== undefined) found.push(connected)
  })
  return found
}

function keepAliveOf({ silenceMs }: Connection): number {
  return silenceMs / 1500
}

function rowOf({ session, connection, client }: Connected): CommandValue {
  return [
    client.jid,
    localpart(client.jid),
    resourcepart(client.jid),
    client.ip,
    client.port,
    client.connection,
    versionNames[connection.version],
    connection.transport.tls?.version ?? '',
    keepAliveOf(connection),
    timeText(client.connectedAt),
    connection.messagesIn,
    connection.messagesOut,
    session.queued,
    session.inflightCount,
  ]
}

function describe({ session, connection, client }: Connected): Record<string, string | number> {
  const { transport } = connection
  const { tls } = transport
  return {
    jid: client.jid,
    ip: client.ip,
    port: client.port,
    connection: client.connection,
    version: versionNames[connection.version],
    tls: tls?.version ?? '',
    tls_cipher: tls?.cipher ?? '',
    keep_alive: keepAliveOf(connection),
    since: timeText(client.connectedAt),
    messages_in: connection.messagesIn,
    messages_out: connection.messagesOut,
    bytes_in: transport.bytesRead,
    bytes_out: transport.bytesWritten,
    bytes_unsent: transport.bufferedBytes,
    receive_maximum: connection.sendWindow,
    maximum_packet_size: Number.isFinite(connection.maximumPacketSize)
      ? connection.maximumPacketSize
      : '',
    topic_alias_maximum: connection.aliasMaximum,
    unacknowledged_in: connection.unacknowledged,
    queued: session.queued,
    inflight: session.inflightCount,
    subscriptions: session.subscriptions?.size ?? 0,
    session_expiry: session.expirySeconds,
    will: session.will?.content.topic ?? '',
  }
}
