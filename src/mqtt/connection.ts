import type { CloseReason, Transport, TransportHandler } from '../core/transport.ts'
import type { Broker } from './broker.ts'
import type { Brokers } from './brokers.ts'
import type { Client } from './client.ts'
import type { EnhancedAuthentication } from './enhanced-authentication.ts'
import { flushForwarded } from './forward.ts'
import { handlePacket } from './handle/packet.ts'
import { handlePublish } from './handle/publish.ts'
import type { ListenerLimits, Surplus } from './limits.ts'
import { pump } from './outgoing.ts'
import type { Malformed } from './packet/decode.ts'
import { PacketDecoder } from './packet/decode.ts'
import { encodeAck, encodePacket, fitPacket, maxAckBytes } from './packet/encode.ts'
import type { ControlPacket } from './packet/packet.ts'
import { PacketType, type ProtocolVersion, type QoS } from './packet/packet-type.ts'
import type { PublishView } from './packet/publish-view.ts'
import { ReasonCode } from './packet/reason-code.ts'
import { maxPacketBytes, packetBytes } from './packet/size.ts'
import type { RateLimit } from './rate-limit.ts'
import { continueRetained } from './retained-delivery.ts'
import type { Route, RouteCache } from './route.ts'
import type { Session } from './session.ts'
import type { Stop } from './stop.ts'
import { stop } from './stop.ts'
import type { Log } from '../core/log.ts'

/** What the connections of one listener have in common. */
export interface ListenerProfile {
  readonly brokers: Brokers
  readonly log: Log
  /** Largest packet, fixed header included. */
  readonly maxPacketBytes: number
  /** A client certificate may stand in for a password. */
  readonly verifiesCertificates: boolean
  /** Absent where connections do not come from outside. */
  readonly limits?: ListenerLimits
}

export type Acknowledgement =
  | typeof PacketType.puback
  | typeof PacketType.pubrec
  | typeof PacketType.pubrel
  | typeof PacketType.pubcomp

const acknowledgements = {
  [PacketType.puback]: 'puback',
  [PacketType.pubrec]: 'pubrec',
  [PacketType.pubrel]: 'pubrel',
  [PacketType.pubcomp]: 'pubcomp',
} as const

/** How a connection ended: `normal` = by a DISCONNECT that discards the will. */
export type EndCause = 'normal' | 'lost' | 'replaced' | 'replaced-clean'

/** Nobody needs more to say who they are: five texts and a will of 64 KiB each. */
const maxConnectBytes = 512 * 1024
/** From here on nothing more is taken out of a session's queue. */
const busyBytes = 256 * 1024
/** From here on QoS 0 messages are dropped. */
const congestedBytes = 1024 * 1024
/** From here on nothing more is read: answers to a client that takes none would gather without end. */
const backlogBytes = 2 * 1024 * 1024

/** Acknowledgements are copied into the transport's batch before the next one comes. */
const scratch = new Uint8Array(maxAckBytes)

/**
 * One network connection (MQTT5 4.2): its packets in, its packets out, and what lasts no longer than it does. One object of
 * one shape, no closures, no timer, no buffer while idle.
 */
export class Connection implements TransportHandler {
  readonly transport: Transport
  readonly profile: ListenerProfile
  readonly decoder: PacketDecoder
  /**
   * `signing-in`: CONNECT or AUTH came and is looked at; `authenticating`: the client's AUTH is waited for; `opening`: CONNACK
   * waits for a commit.
   */
  phase: 'new' | 'signing-in' | 'authenticating' | 'opening' | 'open' | 'closed' = 'new'
  version: ProtocolVersion = 4
  /** These three are set together when the client is let in. */
  broker: Broker | undefined = undefined
  session: Session | undefined = undefined
  client: Client | undefined = undefined
  /** It said that it is another broker's bridge (MQTT 3): then no message comes back to it, and the retain flag is kept. */
  isBridge = false
  /** CONNACK let it in. */
  wasOpen = false
  /** Its session was there before. */
  hasResumed = false
  /** By the monotonic clock, to the second. */
  heardAtMs: number
  /** How long the client may be silent; 0 = for ever. */
  silenceMs = 0
  /** What the client takes: unacknowledged messages, bytes of a packet, aliases. */
  sendWindow = 65_535
  maximumPacketSize = Infinity
  aliasMaximum = 0
  wantsReasons = true
  /** What it was told in CONNACK that it may send: a reload does not change that. */
  receiveWindow = 65_535
  aliasLimit = 0
  /** PUBLISH packets, for administrators. */
  messagesIn = 0
  messagesOut = 0
  /** Messages of QoS 1 and 2 from the client that are not acknowledged (MQTT5 4.9). */
  unacknowledged = 0
  /** Acknowledgements that wait for a commit. */
  pendingAcks = 0
  /** How often access rules said no. */
  denials = 0
  /** Set when CONNECT named a method of extended authentication. */
  authentication: EnhancedAuthentication | undefined = undefined
  /** How fast it is read; undefined = as fast as it goes. */
  rate: RateLimit | undefined = undefined
  /** There are too many already: it may say CONNECT and be refused. */
  surplus: Surplus | undefined = undefined
  /** It is counted by the limits of its listener. */
  isCounted = false
  #stops = 0
  routes: RouteCache | undefined = undefined
  /** Topic aliases of the client, by number, for as long as the connection lasts (MQTT5 3.3.2-7). */
  aliases: (Route | undefined)[] | undefined = undefined
  /** The search for retained messages goes on in the next turn. */
  isSearching = false
  #aliasesOut: Map<string, number> | undefined = undefined

  constructor(transport: Transport, profile: ListenerProfile) {
    this.transport = transport
    this.profile = profile
    this.decoder = new PacketDecoder({
      maxPacketBytes: Math.min(profile.maxPacketBytes, maxConnectBytes),
    })
    this.heardAtMs = profile.brokers.tickMs
  }

  /** We do not read: its silence is ours. */
  get isPaused(): boolean {
    return this.#stops !== 0
  }

  get isOpen(): boolean {
    return this.phase === 'open'
  }

  /** What is queued outside waits for `drain`. */
  get isBusy(): boolean {
    return this.#isAbove(busyBytes)
  }

  /** The client does not read: QoS 0 messages for it are lost. */
  get isCongested(): boolean {
    return this.#isAbove(congestedBytes)
  }

  #isAbove(limit: number): boolean {
    const { transport } = this
    if (transport.bufferedBytes < limit) return false
    // Perhaps it only gathered within this turn.
    transport.flush()
    return transport.bufferedBytes >= limit
  }

  nowMs(): number {
    return this.profile.brokers.clock.now()
  }

  // From the transport.

  data(buffer: Buffer, start: number, end: number): void {
    // CONNECT has to be there in time as a whole.
    if (this.phase !== 'new') this.heardAtMs = this.profile.brokers.tickMs
    if (this.broker !== undefined) this.broker.metrics.bytesIn.value += end - start
    try {
      const outcome = this.decoder.push(buffer, start, end, this)
      flushForwarded()
      if (outcome.kind === 'malformed') this.#malformed(outcome)
      else this.#holdBacklog()
    } catch (error) {
      this.#crashed(error)
    }
    if (this.rate !== undefined) this.rate.countBytes(end - start)
  }

  drain(): void {
    if (this.broker !== undefined && this.session !== undefined) pump(this.broker, this.session)
    if ((this.#stops & stop.backlog) !== 0) this.resumeReading(stop.backlog)
  }

  closed(reason: CloseReason): void {
    if (reason.kind === 'error') {
      this.profile.log.debug({ err: reason.error, jid: this.client?.jid }, 'Connection failed')
    }
    this.#end('lost')
  }

  // From the decoder.

  packet(packet: ControlPacket): void {
    flushForwarded()
    if (this.phase === 'authenticating' && packet.kind !== 'auth' && packet.kind !== 'disconnect') {
      this.#premature()
    } else if (this.phase !== 'closed') handlePacket(this, packet)
  }

  publish(view: PublishView): void {
    if (this.phase === 'open') {
      handlePublish(this, view)
      if (this.rate !== undefined) this.rate.countMessage()
    } else if (this.phase === 'authenticating') this.#premature()
  }

  #premature(): void {
    const why = 'Only AUTH and DISCONNECT may come before CONNACK (MQTT5 3.1.2-30)'
    this.refuse(ReasonCode.protocolError, why)
  }

  /** Goes on with what came meanwhile, unless there is another reason to wait. */
  resumeReading(why: Stop): void {
    if (this.phase === 'closed') return
    this.#stops &= ~why
    if (this.#stops !== 0) return
    this.heardAtMs = this.profile.brokers.tickMs
    this.transport.resume()
    try {
      const outcome = this.decoder.resume(this)
      flushForwarded()
      if (outcome.kind === 'malformed') this.#malformed(outcome)
      else this.#holdBacklog()
    } catch (error) {
      this.#crashed(error)
    }
  }

  #holdBacklog(): void {
    if (this.phase === 'open' && this.#isAbove(backlogBytes)) this.pauseReading(stop.backlog)
  }

  /** Takes no further packet until `resumeReading`. */
  pauseReading(why: Stop): void {
    this.#stops |= why
    this.decoder.pause()
    this.transport.pause()
  }

  #malformed({ reasonCode, detail, packet, version }: Malformed): void {
    const { ip } = this.transport.peer
    this.profile.log.debug({ ip, jid: this.client?.jid, detail }, 'Malformed packet')
    // MQTT5 3.1.4-1, 4.13.1-1.
    if (this.phase !== 'new') this.reject(reasonCode, detail)
    else if (packet === 'connect' && canAnswer(reasonCode, version)) {
      this.refuse(reasonCode, detail, version)
    }
    // What does not begin with CONNECT gets no answer.
    else this.close()
  }

  /** One catch for each connection: a bug met by one client must not take the others down. */
  #crashed(error: unknown): void {
    this.profile.log.error({ err: error, jid: this.client?.jid }, 'Cannot handle a packet')
    this.fail(ReasonCode.unspecifiedError, 'Internal error')
  }

  // To the client.

  /** False when the packet was not sent because it is larger than the client takes (MQTT5 3.1.2-24). */
  send(packet: ControlPacket): boolean {
    if (this.phase === 'closed') return true
    const fitting = fitPacket(packet, this.version, this.maximumPacketSize)
    if (fitting === undefined) return false
    this.#write(fitting, this.version)
    return true
  }

  /** Sends what the client waits for; if it does not take it, there is no way to go on. */
  sendAnswer(packet: ControlPacket): void {
    if (this.send(packet)) return
    this.fail(ReasonCode.packetTooLarge, 'The answer is larger than the Maximum Packet Size')
  }

  /** `detail` is for the client's log (MQTT5 3.4.2.2.2). */
  sendAck(type: Acknowledgement, packetId: number, reason: ReasonCode, detail?: string): void {
    if (this.phase === 'closed') return
    if (type === PacketType.puback || type === PacketType.pubcomp || reason >= 0x80) {
      if (type !== PacketType.pubrel && this.unacknowledged > 0) this.unacknowledged -= 1
    }
    // MQTT5 3.1.2-29.
    if (detail !== undefined && this.version === 5 && this.wantsReasons) {
      const properties = { reasonString: detail }
      this.send({ kind: acknowledgements[type], packetId, reasonCode: reason, properties })
      return
    }
    const end = encodeAck(type, packetId, reason, this.version, scratch, 0)
    this.transport.writeCopy(scratch, 0, end)
    this.broker?.metrics.packetSent(type, end)
  }

  #write(packet: ControlPacket, version: ProtocolVersion): void {
    const bytes = encodePacket(packet, version)
    this.transport.write(bytes)
    this.broker?.metrics.packetSent(PacketType[packet.kind], bytes.length)
  }

  /** CONNACK with a reason, and the end (MQTT5 3.2.2-7, 4.13.2-1). */
  refuse(
    reason: ReasonCode,
    detail: string,
    version: ProtocolVersion | undefined = this.version,
    serverReference?: string,
  ): void {
    if (this.phase === 'closed') return
    this.broker?.metrics.refused.add()
    // A client of an unknown version is told in the words of MQTT 3.1.1; MQTT 3 has no word for malformed packets.
    const isTold = version !== undefined && (version === 5 || isMqtt3Refusal(reason))
    if (isTold || reason === ReasonCode.unsupportedProtocolVersion) {
      const packet = {
        kind: 'connack',
        // MQTT5 3.2.2-6.
        sessionPresent: false,
        reasonCode: reason,
        properties: propertiesOf(detail, serverReference),
      } as const
      const fitting = fitPacket(packet, version ?? 4, this.maximumPacketSize)
      if (fitting !== undefined) this.#write(fitting, version ?? 4)
    }
    this.close()
  }

  /** DISCONNECT with a reason, and the end; the will is published (MQTT5 3.14.4). */
  fail(
    reason: ReasonCode,
    detail: string,
    cause: EndCause = 'lost',
    serverReference?: string,
  ): void {
    if (this.phase === 'closed') return
    // MQTT5 3.14.0-1.
    if (this.phase === 'open' && this.version === 5) {
      const properties = propertiesOf(detail, serverReference)
      this.send({ kind: 'disconnect', reasonCode: reason, properties })
    }
    this.close(cause)
  }

  /** The end, told by CONNACK before the client was let in, by DISCONNECT afterwards (MQTT5 4.13.2). */
  reject(reason: ReasonCode, detail: string): void {
    if (this.phase === 'open') this.fail(reason, detail)
    else this.refuse(reason, detail)
  }

  /** Nothing is sent from here on (MQTT5 3.14.4-1, 3.14.4-2). */
  close(cause: EndCause = 'lost'): void {
    this.transport.close()
    this.#end(cause)
  }

  #end(cause: EndCause): void {
    if (this.phase === 'closed') return
    // What came before the end goes out before the will (MQTT5 4.6.0-5).
    flushForwarded()
    this.phase = 'closed'
    // MQTT5 3.1.4-6.
    this.decoder.stop()
    this.routes = undefined
    this.aliases = undefined
    this.#aliasesOut = undefined
    this.authentication = undefined
    this.profile.brokers.disconnected(this)
    if (this.isCounted) {
      this.profile.limits?.closed(this.transport.peer.ip, this.surplus !== undefined)
    }
    const { broker, session } = this
    if (broker !== undefined && session?.connection === this) broker.sessions.leave(session, cause)
  }

  /** From here on packets as large as the listener allows. */
  accepted(): void {
    this.phase = 'open'
    this.wasOpen = true
    this.decoder.maxPacketBytes = this.profile.maxPacketBytes
  }

  /** CONNECT has told whose client it is: from here on that broker counts what comes and goes. */
  enter(broker: Broker): void {
    if (this.broker === undefined) {
      broker.metrics.packetReceived(PacketType.connect)
      broker.metrics.bytesIn.add(this.transport.bytesRead)
    }
    this.broker = broker
  }

  /** A PUBLISH. */
  countSent(bytes: number, qos: QoS): void {
    const { broker } = this
    if (broker === undefined) return
    this.messagesOut += 1
    broker.metrics.sent[qos].value += 1
    broker.metrics.sentBytes.value += bytes
  }

  continueRetained(): void {
    if (this.session?.retained !== undefined) continueRetained(this)
  }

  // Topic aliases to the client (MQTT5 3.3.2.3.4): the first topics get them, and keep them while the connection lasts.

  get usesAliases(): boolean {
    return this.aliasMaximum > 0
  }

  aliasOf(topic: string): number | undefined {
    return this.#aliasesOut?.get(topic)
  }

  newAlias(topic: string): number | undefined {
    // MQTT5 3.1.2-26, 3.1.2-27, 3.3.2-8, 3.3.2-11.
    if (this.aliasMaximum === 0) return undefined
    const aliases = (this.#aliasesOut ??= new Map<string, number>())
    if (aliases.size >= this.aliasMaximum) return undefined
    aliases.set(topic, aliases.size + 1)
    return aliases.size
  }

  /** Takes back the alias given last. */
  forgetAlias(topic: string): void {
    this.#aliasesOut?.delete(topic)
  }
}

function propertiesOf(reasonString: string, serverReference: string | undefined) {
  return serverReference === undefined ? { reasonString } : { reasonString, serverReference }
}

/** Who speaks no version that we know is told so; else there is no CONNACK before the version is known (MQTT5 3.2.2-8). */
function canAnswer(reason: ReasonCode, version: ProtocolVersion | undefined): boolean {
  return version !== undefined || reason === ReasonCode.unsupportedProtocolVersion
}

/** Reasons that a CONNACK of MQTT 3 can tell: none for what breaks the rules (MQTT3 3.1.4-1, 3.2.2-6). */
function isMqtt3Refusal(reason: ReasonCode): boolean {
  return (
    reason !== ReasonCode.malformedPacket &&
    reason !== ReasonCode.protocolError &&
    reason !== ReasonCode.topicNameInvalid
  )
}

/** Packets of a listener that takes payloads up to this size; ejabberd compares with the Remaining Length. */
export function maxPacketBytesOf(maxPayloadSize: number): number {
  return maxPayloadSize === Infinity ? maxPacketBytes : packetBytes(maxPayloadSize - 1)
}
