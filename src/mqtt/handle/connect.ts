import { clientIdentity } from '../../core/net/client-identity.ts'
import { accounts, signIns } from '../../core/account.ts'
import type { AuthAttempt, SignInError } from '../../core/account.ts'
import type { Result } from '../../util/result.ts'
import { err, ok } from '../../util/result.ts'
import { bareJid, domainpart, makeJid, parseJid, prepLocalpart } from '../../xmpp/jid/jid.ts'
import type { BareJid, HostName } from '../../xmpp/jid/jid.ts'
import type { Broker } from '../broker.ts'
import { Client } from '../client.ts'
import type { Connection } from '../connection.ts'
import type { ClientIdentity } from '../identity.ts'
import { identify } from '../identity.ts'
import { pump } from '../outgoing.ts'
import type { Connect } from '../packet/packet.ts'
import { PacketType } from '../packet/packet-type.ts'
import type { PropertiesOf } from '../packet/properties.ts'
import { ReasonCode, reasonName } from '../packet/reason-code.ts'
import { maxPacketBytes as largestPacketBytes } from '../packet/size.ts'
import { isUtf8 } from '../packet/utf8.ts'
import { neverExpires } from '../session.ts'
import type { BrokerSettings } from '../settings.ts'
import { parseTopicName } from '../topic.ts'
import { createWill, type Will } from '../will.ts'

/** The first packet (MQTT5 3.1.4). Nothing more is read until it is answered. */
export function handleConnect(connection: Connection, packet: Connect): void {
  connection.version = packet.version
  connection.phase = 'signing-in'
  connection.pauseReading()
  takeLimits(connection, packet)
  signIn(connection, packet).then(
    (outcome) => {
      if (connection.phase === 'closed') return
      if (outcome.ok) open(connection, packet, outcome.value)
      // MQTT5 3.1.4-2.
      else connection.refuse(outcome.error, reasonName(outcome.error, 'connack'))
    },
    (error: unknown) => {
      connection.profile.log.error({ err: error }, 'Cannot sign a client in')
      connection.refuse(ReasonCode.unspecifiedError, 'Internal error')
    },
  )
}

/** What the client says about itself (MQTT5 3.1.2.11). */
function takeLimits(connection: Connection, { properties }: Connect): void {
  const { maximumPacketSize, requestProblemInformation } = properties
  if (maximumPacketSize !== undefined && maximumPacketSize < largestPacketBytes) {
    connection.maximumPacketSize = maximumPacketSize
  }
  connection.sendWindow = properties.receiveMaximum ?? 65_535
  connection.wantsReasons = requestProblemInformation !== false
}

interface SignedIn extends ClientIdentity {
  readonly broker: Broker
  readonly will: Will | undefined
}

async function signIn(
  connection: Connection,
  packet: Connect,
): Promise<Result<SignedIn, ReasonCode>> {
  const { brokers } = connection.profile
  const { firstHost } = brokers
  if (firstHost === undefined) return err(ReasonCode.serverUnavailable)
  // No method of extended authentication is offered (MQTT5 4.12.0-1).
  if (packet.properties.authenticationMethod !== undefined) {
    return err(ReasonCode.badAuthenticationMethod)
  }
  const identity = identify(packet, firstHost)
  if (!identity.ok) return identity
  const { jid, assigned } = identity.value
  const broker = brokers.find(domainpart(jid))
  if (broker === undefined) return err(ReasonCode.serverUnavailable)
  connection.broker = broker
  broker.metrics.packetReceived(PacketType.connect)
  broker.metrics.bytesIn.add(connection.transport.bytesRead)
  const admitted = await authenticate(connection, packet, bareJid(jid), firstHost)
  if (!admitted.ok) return admitted
  const ip = connection.transport.peer.ip
  const will = willOf(packet, broker, { jid, ip })
  if (!will.ok) return will
  return ok({ jid, assigned, broker, will: will.value })
}

/** The password decides, if there is one; else, where the listener asks for it, the client's certificate. */
async function authenticate(
  connection: Connection,
  { password }: Connect,
  account: BareJid,
  firstHost: HostName,
): Promise<Result<void, ReasonCode>> {
  const { profile, transport } = connection
  const { services } = profile.brokers
  const attempt: AuthAttempt = { protocol: 'mqtt', ip: transport.peer.ip }
  if (password === undefined || password.length === 0) {
    const identity = profile.verifiesCertificates ? clientIdentity(transport.tls) : undefined
    if (identity !== undefined && identity.kind !== 'none') {
      const name = identity.kind === 'verified' ? identity.commonName : undefined
      const isOwner = name !== undefined && accountOf(name, firstHost) === account
      return admitByCertificate(connection, account, attempt, isOwner)
    }
  }
  const bytes = password ?? new Uint8Array(0)
  // A password is text, whatever MQTT lets through.
  if (!isUtf8(bytes, 0, bytes.length)) return err(ReasonCode.badUserNameOrPassword)
  const text = Buffer.from(bytes).toString('utf8')
  const checked = await services.get(accounts).checkPassword(account, text, attempt)
  return checked.ok ? checked : err(reasonOf(checked.error, ReasonCode.badUserNameOrPassword))
}

async function admitByCertificate(
  connection: Connection,
  account: BareJid,
  attempt: AuthAttempt,
  isOwner: boolean,
): Promise<Result<void, ReasonCode>> {
  const { services } = connection.profile.brokers
  const gate = services.get(signIns)
  const host = domainpart(account)
  const mayTry = await gate.mayTry(host, account, attempt)
  if (!mayTry.ok) return err(ReasonCode.notAuthorized)
  const admitted = isOwner ? await gate.admit(account) : err('not-authorized' as const)
  gate.tried(host, account, attempt, admitted.ok)
  return admitted.ok ? admitted : err(reasonOf(admitted.error, ReasonCode.notAuthorized))
}

/** The common name of a certificate is a JID, or a user of the first host. */
function accountOf(name: string, firstHost: HostName): BareJid | undefined {
  if (name.includes('@')) {
    const jid = parseJid(name)
    return jid.ok ? bareJid(jid.value) : undefined
  }
  const user = prepLocalpart(name)
  return user.ok ? makeJid(user.value, firstHost, '') : undefined
}

function reasonOf(error: SignInError, notAuthorized: ReasonCode): ReasonCode {
  switch (error) {
    case 'not-authorized':
      return notAuthorized
    case 'account-disabled':
      return ReasonCode.banned
    case 'unavailable':
      return ReasonCode.serverUnavailable
  }
}

/** The will, if its client may publish it. */
function willOf(
  { will }: Connect,
  broker: Broker,
  client: Pick<Client, 'jid' | 'ip'>,
): Result<Will | undefined, ReasonCode> {
  if (will === undefined) return ok(undefined)
  const topic = parseTopicName(will.topic)
  if (!topic.ok) return err(ReasonCode.topicNameInvalid)
  const allowed = broker.authorization.publishing(topic.value, client)
  if (will.qos > (will.retain ? allowed.retainedQoS : allowed.qos)) {
    return err(ReasonCode.notAuthorized)
  }
  const { payload, properties } = will
  if (properties.payloadFormatIndicator === 1 && !isUtf8(payload, 0, payload.length)) {
    return err(ReasonCode.payloadFormatInvalid)
  }
  return ok(createWill(will, topic.value))
}

interface PendingConnack {
  readonly connection: Connection
  readonly isPresent: boolean
  readonly properties: PropertiesOf<'connack'>
}

function open(connection: Connection, packet: Connect, signedIn: SignedIn): void {
  const { broker, jid, assigned, will } = signedIn
  const { settings } = broker
  // The module may have been stopped meanwhile.
  if (connection.profile.brokers.find(broker.host) !== broker) {
    connection.refuse(
      ReasonCode.serverUnavailable,
      reasonName(ReasonCode.serverUnavailable, 'connack'),
    )
    return
  }
  const opened = broker.sessions.open(connection, {
    key: jid,
    cleanStart: packet.cleanStart,
    expirySeconds: grantedExpiry(requestedExpiry(packet), settings),
    will,
  })
  if (!opened.ok) {
    connection.refuse(opened.error, reasonName(opened.error, 'connack'))
    return
  }
  const { session, isPresent, operation } = opened.value
  connection.session = session
  connection.phase = 'opening'
  // From here on a ban finds it: the password is not looked at again.
  connection.client = new Client(connection, session.key, connection.nowMs())
  broker.clientAdmitted(connection.client)
  connection.sendWindow = Math.min(connection.sendWindow, settings.maxInflight)
  connection.receiveWindow = settings.receiveMaximum
  connection.aliasLimit = settings.maxTopicAliases
  connection.aliasMaximum = Math.min(packet.properties.topicAliasMaximum ?? 0, maxAliasesOut)
  const keepAlive = grantedKeepAlive(packet, settings)
  connection.silenceMs = keepAlive * 1500
  const properties = connackProperties(
    connection,
    packet,
    assigned,
    session.expirySeconds,
    keepAlive,
  )
  const pending: PendingConnack = { connection, isPresent, properties }
  if (operation === undefined) welcome(true, pending)
  else broker.journal.after(welcome, pending, operation)
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
  connection.resumeReading()
}

/**
 * MQTT5 3.2.2.3. What is not said has its default: QoS 2, retained messages, wildcards, shared subscriptions are there. There is
 * no response information (MQTT5 3.1.2-28).
 */
function connackProperties(
  connection: Connection,
  { version, properties }: Connect,
  assigned: string | undefined,
  expirySeconds: number,
  keepAlive: number,
): PropertiesOf<'connack'> {
  if (version < 5) return {}
  const { maxPacketBytes } = connection.profile
  return {
    // MQTT5 3.2.2-16.
    ...(assigned !== undefined && { assignedClientIdentifier: assigned }),
    // MQTT5 3.2.2.3.2; ejabberd tells it whenever it was asked for.
    ...((properties.sessionExpiryInterval ?? 0) > 0 && { sessionExpiryInterval: expirySeconds }),
    receiveMaximum: connection.receiveWindow,
    topicAliasMaximum: connection.aliasLimit,
    ...(maxPacketBytes < largestPacketBytes && { maximumPacketSize: maxPacketBytes }),
    // MQTT5 3.2.2-21.
    serverKeepAlive: keepAlive,
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
