import type { Result } from '../../util/result.ts'
import { err, ok } from '../../util/result.ts'
import type { BareJid, FullJid } from '../../xmpp/jid/jid.ts'
import { domainpart, withResource } from '../../xmpp/jid/jid.ts'
import type { Broker } from '../broker.ts'
import { Client } from '../client.ts'
import type { Connection } from '../connection.ts'
import { stop } from '../stop.ts'
import { logDenial } from '../denial.ts'
import type { Publisher } from '../hooks.ts'
import type { ClientName } from '../identity.ts'
import { pump } from '../outgoing.ts'
import type { Connect } from '../packet/packet.ts'
import type { PropertiesOf } from '../packet/properties.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import { maxPacketBytes as largestPacketBytes } from '../packet/size.ts'
import { isUtf8 } from '../packet/utf8.ts'
import { RateLimit } from '../rate-limit.ts'
import { redirection } from '../redirect.ts'
import { responseInformation } from '../response-information.ts'
import { neverExpires } from '../session.ts'
import type { BrokerSettings } from '../settings.ts'
import { parseTopicName } from '../topic.ts'
import { createWill, type Will } from '../will.ts'
import type { Refusal } from './refusal.ts'
import { refusal } from './refusal.ts'

/** A CONNECT whose client is about to be let in. */
export interface Newcomer {
  readonly connect: Connect
  readonly name: ClientName
  /** What CONNACK holds of extended authentication (MQTT5 4.12.0-5, 4.12.0-6). */
  readonly proof?: Pick<PropertiesOf<'connack'>, 'authenticationMethod' | 'authenticationData'>
}

/** The broker of an account's host, if the client may try to get in there. */
export function findHost(
  connection: Connection,
  name: ClientName,
  host: string,
): Result<Broker, Refusal> {
  const broker = connection.profile.brokers.find(host)
  if (broker === undefined) return refusal(ReasonCode.serverUnavailable)
  connection.enter(broker)
  const { ip } = connection.transport.peer
  const ban = broker.bans.find({ ip, client: name.resource })
  return ban === undefined ? ok(broker) : refusal(ReasonCode.banned, ban.reason)
}

/** Lets somebody in who proved to be the account, if nothing else is against it. */
export function admit(connection: Connection, newcomer: Newcomer, account: BareJid): void {
  const admitted = examine(connection, newcomer, account)
  if (admitted.ok) open(connection, newcomer, admitted.value)
  else refuse(connection, admitted.error)
}

/** MQTT5 3.1.4-2. */
export function refuse(connection: Connection, refused: Refusal): void {
  const { reason, detail, serverReference } = refused
  connection.refuse(reason, detail, connection.version, serverReference)
}

interface Admitted {
  readonly jid: FullJid
  readonly broker: Broker
  readonly will: Will | undefined
}

function examine(
  connection: Connection,
  { connect, name }: Newcomer,
  account: BareJid,
): Result<Admitted, Refusal> {
  // The module may have been stopped meanwhile.
  const broker = connection.profile.brokers.find(domainpart(account))
  if (broker === undefined) return refusal(ReasonCode.serverUnavailable)
  connection.enter(broker)
  const jid = withResource(account, name.resource)
  const { ip } = connection.transport.peer
  const client: Publisher = { jid, ip }
  // Only who proved to be the account is told that it is banned.
  const ban = broker.bans.find({ ip, client: name.resource, account })
  if (ban !== undefined) return refusal(ReasonCode.banned, ban.reason)
  if (!broker.authorization.mayConnect(client)) {
    const why = 'The option "access" does not let this client in'
    logDenial(connection, why, client)
    return refusal(ReasonCode.notAuthorized, why)
  }
  const elsewhere = redirection(broker, client)
  if (elsewhere !== undefined) return err(elsewhere)
  const will = willOf(connection, connect, broker, client)
  return will.ok ? ok({ jid, broker, will: will.value }) : will
}

/** The will, if its client may publish it. */
function willOf(
  connection: Connection,
  { will }: Connect,
  broker: Broker,
  client: Publisher,
): Result<Will | undefined, Refusal> {
  if (will === undefined) return ok(undefined)
  const topic = parseTopicName(will.topic)
  if (!topic.ok) return refusal(ReasonCode.topicNameInvalid)
  const { payload, properties, qos, retain } = will
  const { authorization } = broker
  const allowed = authorization.publishing(topic.value, client)
  if (qos > (retain ? allowed.retainedQoS : allowed.qos)) {
    const why = authorization.explainPublish(topic.value, qos, retain, client)
    logDenial(connection, why, client)
    return refusal(ReasonCode.notAuthorized, why)
  }
  if (properties.payloadFormatIndicator === 1 && !isUtf8(payload, 0, payload.length)) {
    return refusal(ReasonCode.payloadFormatInvalid)
  }
  return ok(createWill(will, topic.value))
}

interface PendingConnack {
  readonly connection: Connection
  readonly isPresent: boolean
  readonly properties: PropertiesOf<'connack'>
}

function open(connection: Connection, newcomer: Newcomer, admitted: Admitted): void {
  const { connect } = newcomer
  const { broker, jid, will } = admitted
  const { settings } = broker
  const opened = broker.sessions.open(connection, {
    key: jid,
    cleanStart: connect.cleanStart,
    expirySeconds: grantedExpiry(requestedExpiry(connect), settings),
    will,
  })
  if (!opened.ok) {
    refuse(connection, refusal(opened.error).error)
    return
  }
  const { session, isPresent, mustLast, operation } = opened.value
  connection.session = session
  connection.phase = 'opening'
  // From here on a ban finds it: the password is not looked at again.
  connection.client = new Client(connection, session.key, connection.nowMs())
  broker.clientAdmitted(connection.client)
  if (isPresent) broker.accessReview.resumed(session)
  const rates = connection.profile.limits?.ratesOf(jid, connection.transport.peer.ip)
  connection.rate = rates === undefined ? undefined : RateLimit.create(connection, rates)
  connection.sendWindow = Math.min(connection.sendWindow, settings.maxInflight)
  connection.receiveWindow = settings.receiveMaximum
  connection.aliasLimit = settings.maxTopicAliases
  connection.aliasMaximum = Math.min(connect.properties.topicAliasMaximum ?? 0, maxAliasesOut)
  const keepAlive = grantedKeepAlive(connect, settings)
  connection.silenceMs = keepAlive * 1500
  const properties =
    connect.version < 5
      ? {}
      : connackProperties(connection, newcomer, session.expirySeconds, keepAlive)
  const pending: PendingConnack = { connection, isPresent, properties }
  if (mustLast) broker.journal.after(welcome, pending, operation)
  else welcome(true, pending)
}

/** More would only take memory: those that matter come first. */
const maxAliasesOut = 16

/** CONNACK, and what waited for this client. */
function welcome(isDurable: boolean, pending: PendingConnack): void {
  const { connection, isPresent, properties } = pending
  const { broker, session, client } = connection
  if (broker === undefined || session === undefined || client === undefined) return
  // MQTT5 3.2.0-2.
  if (connection.phase !== 'opening') return
  if (!isDurable) {
    // Who was never let in has no will.
    session.will = undefined
    connection.refuse(ReasonCode.serverUnavailable, 'The server cannot store the session')
    // The client has never heard of it.
    if (!isPresent) broker.sessions.end(session)
    return
  }
  // MQTT5 3.1.4-5, 3.2.0-1, 3.2.2-2, 3.2.2-3.
  const isSent = connection.send({
    kind: 'connack',
    sessionPresent: isPresent,
    reasonCode: ReasonCode.success,
    properties,
  })
  if (!isSent) {
    // Nothing may be sent to a client that takes no CONNACK. It was never let in.
    session.will = undefined
    connection.close()
    return
  }
  connection.accepted()
  broker.clientOpened(client, isPresent)
  pump(broker, session)
  connection.resumeReading(stop.signIn)
}

/** MQTT5 3.2.2.3. What is not said has its default: QoS 2, retained messages, wildcards, shared subscriptions are there. */
function connackProperties(
  connection: Connection,
  { connect, name, proof }: Newcomer,
  expirySeconds: number,
  keepAlive: number,
): PropertiesOf<'connack'> {
  const { broker, client, profile } = connection
  const { sessionExpiryInterval = 0, requestResponseInformation } = connect.properties
  const { maxPacketBytes } = profile
  // MQTT5 3.1.2-28.
  const isAsked = requestResponseInformation === true
  const information =
    isAsked && broker !== undefined && client !== undefined
      ? responseInformation(broker, client)
      : undefined
  return {
    // MQTT5 3.2.2-16.
    ...(name.assigned !== undefined && { assignedClientIdentifier: name.assigned }),
    // MQTT5 3.2.2.3.2; ejabberd tells it whenever it was asked for.
    ...(sessionExpiryInterval > 0 && { sessionExpiryInterval: expirySeconds }),
    receiveMaximum: connection.receiveWindow,
    topicAliasMaximum: connection.aliasLimit,
    ...(maxPacketBytes < largestPacketBytes && { maximumPacketSize: maxPacketBytes }),
    // MQTT5 3.2.2-21.
    serverKeepAlive: keepAlive,
    ...(information !== undefined && { responseInformation: information }),
    ...proof,
  }
}

/** MQTT 3 knows sessions that last for ever and such that end with the connection (MQTT3 3.1.2-4, 3.1.2-6). */
function requestedExpiry({ version, cleanStart, properties }: Connect): number {
  if (version === 5) return properties.sessionExpiryInterval ?? 0
  return cleanStart ? 0 : neverExpires
}

export function grantedExpiry(
  requested: number,
  { sessionExpirySeconds }: Pick<BrokerSettings, 'sessionExpirySeconds'>,
): number {
  return Math.min(requested, sessionExpirySeconds)
}

/** Seconds; 0 = off. The client's own if it need not be less (MQTT5 3.2.2-22); clients of MQTT 3 cannot be told another one. */
function grantedKeepAlive({ keepAlive, version }: Connect, settings: BrokerSettings): number {
  const { maxKeepAliveSeconds } = settings
  if (version < 5 || maxKeepAliveSeconds === Infinity) return keepAlive
  return keepAlive === 0 ? maxKeepAliveSeconds : Math.min(keepAlive, maxKeepAliveSeconds)
}
