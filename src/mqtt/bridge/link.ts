import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { CloseReason, Transport, TransportHandler } from '../../core/transport.ts'
import { PacketDecoder } from '../packet/decode.ts'
import type { Outcome } from '../packet/decode.ts'
import { encodePacket, fitPacket } from '../packet/encode.ts'
import type { Connack, ControlPacket, Packet, Puback, Pubrec } from '../packet/packet.ts'
import type { QoS } from '../packet/packet-type.ts'
import type { PublishView } from '../packet/publish-view.ts'
import { ReasonCode, reasonName } from '../packet/reason-code.ts'
import type { TopicName } from '../topic.ts'
import type { BridgeCounters, BridgeDrop } from './counters.ts'
import type { Echoes } from './echoes.ts'
import type { LocalEnd, RemoteSide } from './local-end.ts'
import { Request } from './request.ts'
import type { Answers } from './request.ts'
import { hasEncoded, rewritePublish } from './rewrite.ts'
import { localTopic, remoteTopic, ruleIn, ruleOut } from './rule.ts'
import { abilitiesOf, connectPacket } from './sign-in.ts'
import type { RemoteAbilities, SignIn } from './sign-in.ts'
import type { SubscriptionPlan } from './subscriptions.ts'

/** CONNACK has to be there by then. */
const handshakeMs = 30_000
/** So much may wait for a broker that takes nothing before nothing more is read from it. */
const backlogBytes = 2 * 1024 * 1024

/** Why a link came to its end. */
export interface LinkEnd {
  /** A sentence without its end. */
  readonly why: string
  /** Perhaps because we said that we are a bridge. */
  readonly mindsBridge: boolean
}

/** Whoever has a link. */
export interface LinkOwner {
  /** The remote broker let us in. Its messages come right afterwards. */
  accepted(link: Link, remote: RemoteAbilities): void
  /** Called once, for whatever reason. */
  ended(link: Link, end: LinkEnd): void
}

export interface LinkParts extends SignIn {
  readonly transport: Transport
  readonly local: LocalEnd
  readonly owner: LinkOwner
  readonly counters: BridgeCounters
  readonly clock: Clock
  readonly log: Log
  /** Our own mark on messages, an encoded user property. */
  readonly mark: Uint8Array | undefined
  /** Where the broker may send our own messages back. */
  readonly echoes: Echoes | undefined
  /** Whether a message that the remote broker could not store is to be tried again. */
  readonly mayRetry: (packetId: number) => boolean
}

/**
 * One connection to a remote broker, from CONNECT to its end. Between the two brokers it renames messages and hands
 * acknowledgements through; what it holds itself does not matter when it ends.
 */
export class Link implements TransportHandler, RemoteSide {
  readonly #parts: LinkParts
  readonly #transport: Transport
  readonly #decoder: PacketDecoder
  #phase: 'connecting' | 'open' | 'ended' = 'connecting'
  #remote: RemoteAbilities | undefined
  #request: Request | undefined
  readonly #startedMs: number
  #sentMs: number
  #heardMs: number
  /** When a PINGREQ was sent that has no answer yet. */
  #pingedMs: number | undefined
  /** Nothing is read because the remote broker does not read. */
  #isBackedUp = false
  /** The broker here wants nothing to be read. */
  #isHeld = false
  /** Messages of QoS 2 that went out with QoS 1, for a broker that has no more. */
  readonly #lowered = new Set<number>()
  /** Messages of QoS 2 from the remote broker that were not published here: their PUBREL is ours to answer. */
  readonly #notTaken = new Set<number>()

  constructor(parts: LinkParts) {
    this.#parts = parts
    this.#transport = parts.transport
    const { endpoint, maxPacketBytes } = parts.settings
    this.#decoder = new PacketDecoder({
      maxPacketBytes,
      version: endpoint.version,
      receiver: 'client',
    })
    this.#startedMs = this.#sentMs = this.#heardMs = parts.clock.monotonic()
  }

  /** Signs in; what becomes of it is told to the owner. */
  start(): void {
    this.#transport.attach(this)
    this.#send(connectPacket(this.#parts))
  }

  /** Asks for subscriptions; resolves with the answers by filter, rejects when the link ends before. */
  request(plan: SubscriptionPlan): Promise<Answers> {
    const { inflight } = this.#parts.local.session
    const request = new Request(
      plan,
      this.#version,
      (packetId) => inflight.get(packetId) !== undefined,
    )
    this.#request = request
    for (const packet of request.packets) this.#send(packet)
    return request.answers
  }

  /** Publishes something of the bridge's own. */
  publishOwn(topic: TopicName, payload: Uint8Array): void {
    const retain = this.#remote?.retains ?? true
    const publish = { kind: 'publish', dup: false, qos: 0, packetId: 0, properties: {} } as const
    this.#send({ ...publish, topic, payload, retain })
  }

  /** Goes in order: the will is not sent (MQTT5 3.14.4-3). */
  close(): void {
    if (this.#phase === 'open') {
      this.#send({
        kind: 'disconnect',
        reasonCode: ReasonCode.normalDisconnection,
        properties: {},
      })
    }
    this.#end('It was closed')
  }

  /** To be called about once a second. */
  tick(): void {
    const nowMs = this.#parts.clock.monotonic()
    if (this.#phase === 'connecting') {
      if (nowMs - this.#startedMs > handshakeMs) this.#end('The broker does not answer CONNECT')
      return
    }
    const { keepAliveSeconds } = this.#remote ?? this.#parts.settings
    if (this.#phase === 'ended' || keepAliveSeconds === 0) return
    const keepAliveMs = keepAliveSeconds * 1000
    if (this.#pingedMs !== undefined && !this.#isReadingPaused) {
      if (nowMs - this.#pingedMs > keepAliveMs / 2) this.#end('The broker does not answer PINGREQ')
      return
    }
    // MQTT5 3.1.2-20: before the time is up. The other side may be gone while we have much to send.
    const isDue = nowMs - this.#sentMs >= keepAliveMs * 0.75 || nowMs - this.#heardMs >= keepAliveMs
    if (!isDue) return
    this.#pingedMs = nowMs
    this.#send({ kind: 'pingreq' })
  }

  // From the transport.

  data(buffer: Buffer, start: number, end: number): void {
    this.#heardMs = this.#parts.clock.monotonic()
    this.#pingedMs = undefined
    this.#decoded(this.#decoder.push(buffer, start, end, this.#incoming))
    // Answers to a broker that takes none would gather without end.
    if (this.#phase !== 'open' || this.#isBackedUp) return
    if (this.#transport.bufferedBytes < backlogBytes) return
    this.#isBackedUp = true
    this.#pause()
  }

  drain(): void {
    this.#parts.local.drained()
    if (!this.#isBackedUp) return
    this.#isBackedUp = false
    this.#continue()
  }

  closed(reason: CloseReason): void {
    if (reason.kind === 'error') this.#end(reason.error.message)
    else if (reason.kind === 'timeout') this.#end('The broker does not read')
    else if (this.#phase === 'connecting') this.#end('The broker closed the connection', true)
    else this.#end('The connection was lost')
  }

  // From the remote broker.

  readonly #incoming = {
    packet: (packet: ControlPacket): void => this.#received(packet),
    publish: (view: PublishView): void => this.#takeIn(view),
  }

  #received(packet: ControlPacket): void {
    const { local } = this.#parts
    if (this.#phase === 'ended') return
    if (this.#phase === 'connecting') {
      if (packet.kind === 'connack') this.#answered(packet)
      else this.#end(`The broker answered CONNECT by ${packet.kind.toUpperCase()}`)
      return
    }
    switch (packet.kind) {
      case 'puback':
      case 'pubrec':
        this.#acknowledged(packet)
        return
      case 'pubcomp':
        local.acknowledge(packet)
        return
      case 'pubrel':
        if (this.#notTaken.delete(packet.packetId)) {
          const { packetId } = packet
          this.#send({ kind: 'pubcomp', packetId, reasonCode: ReasonCode.success, properties: {} })
        } else local.acknowledge(packet)
        return
      case 'suback':
      case 'unsuback':
        this.#request?.answered(packet)
        return
      case 'pingresp':
        return
      case 'disconnect': {
        const { reasonString } = packet.properties
        const reason = reasonName(packet.reasonCode, 'disconnect')
        this.#end(`The broker disconnected us: ${reasonString ?? reason}`)
        return
      }
      case 'connack':
      case 'connect':
      case 'subscribe':
      case 'unsubscribe':
      case 'pingreq':
      case 'auth':
        this.#end(`The broker sent ${packet.kind.toUpperCase()}`)
    }
  }

  #answered(packet: Connack): void {
    const { reasonCode, properties } = packet
    if (reasonCode !== ReasonCode.success) {
      const reason = properties.reasonString ?? reasonName(reasonCode, 'connack')
      const mindsBridge = reasonCode === ReasonCode.unsupportedProtocolVersion
      this.#end(`The broker refused the connection: ${reason}`, mindsBridge)
      return
    }
    if (packet.sessionPresent && this.#parts.cleanStart) {
      // MQTT5 3.2.2-4.
      this.#end('The broker has a session although a new one was asked for')
      return
    }
    this.#phase = 'open'
    this.#remote = abilitiesOf(packet, this.#parts.settings)
    this.#parts.owner.accepted(this, this.#remote)
  }

  #acknowledged(packet: Puback | Pubrec): void {
    const { local, counters, log, mayRetry } = this.#parts
    const { packetId, reasonCode } = packet
    if (reasonCode >= 0x80) {
      if (reasonCode === ReasonCode.implementationSpecificError && mayRetry(packetId)) {
        // It is still in flight here, and goes out again with the next connection.
        this.#end('The broker could not take a message')
        return
      }
      counters.dropped.refused.add()
      const reason = packet.properties.reasonString ?? reasonName(reasonCode, packet.kind)
      log.warn({ reason }, 'The remote broker refused a message')
    }
    if (packet.kind === 'puback' && this.#lowered.delete(packetId)) this.#finish(packetId, 2)
    else local.acknowledge(packet)
  }

  #takeIn(view: PublishView): void {
    const { settings, mark, echoes, local, counters } = this.#parts
    if (this.#phase !== 'open') {
      this.#end('The broker sent PUBLISH before CONNACK')
      return
    }
    if (view.topicAlias !== 0) {
      // MQTT5 3.1.2-26: we have announced none.
      this.#end('The broker used a topic alias')
      return
    }
    // The decoder has checked it.
    const topic = view.topic() as TopicName
    if (mark !== undefined && hasEncoded(view, mark)) {
      this.#refuse(view, 'loop')
      return
    }
    const rule = ruleIn(settings.rules, topic)
    const name = rule === undefined ? undefined : localTopic(rule, topic)
    if (rule === undefined || name === undefined) {
      this.#refuse(view, 'no_rule')
      return
    }
    if (echoes !== undefined && !view.retain && echoes.take(topic, view.payload())) {
      this.#refuse(view, 'loop')
      return
    }
    const retain = view.retain || rule.isKept
    const packet = rewritePublish(view, { topic: name, qos: view.qos, retain })
    if (packet === undefined) {
      this.#refuse(view, 'too_large')
      return
    }
    counters.received.value += 1
    local.takeIn(packet)
  }

  /** Says that we have a message, and forgets it. */
  #refuse({ qos, packetId }: PublishView, reason: BridgeDrop): void {
    this.#parts.counters.dropped[reason].add()
    if (qos === 0) return
    if (qos === 2) this.#notTaken.add(packetId)
    const kind = qos === 1 ? 'puback' : 'pubrec'
    this.#send({ kind, packetId, reasonCode: ReasonCode.success, properties: {} })
  }

  // From the broker here.

  get bufferedBytes(): number {
    return this.#transport.bufferedBytes
  }

  publish(view: PublishView): void {
    const { settings, mark, echoes, counters, log } = this.#parts
    const remote = this.#remote
    if (this.#phase !== 'open' || remote === undefined) return
    const topic = view.topic() as TopicName // as it was published here
    const rule = ruleOut(settings.rules, topic)
    const name = rule === undefined ? undefined : remoteTopic(rule, topic)
    if (name === undefined) {
      // The rule by which it was taken is gone.
      this.#drop(view, 'no_rule')
      return
    }
    if (mark !== undefined && hasEncoded(view, mark)) {
      // Another broker's bridge has brought it back to us: it does not go round once more.
      this.#drop(view, 'loop')
      return
    }
    const qos = view.qos < remote.maximumQoS ? view.qos : remote.maximumQoS
    const retain = view.retain && remote.retains
    const packet = rewritePublish(view, {
      topic: name,
      qos,
      retain,
      ...(mark !== undefined && { added: mark }),
    })
    if (packet === undefined || packet.length > remote.maximumPacketSize) {
      log.warn({ topic }, 'A message is too large for the remote broker')
      this.#drop(view, 'too_large')
      return
    }
    this.#write(packet)
    counters.sent.value += 1
    if (echoes !== undefined && ruleIn(settings.rules, name) !== undefined) {
      echoes.expect(name, view.payload())
    }
    if (qos === view.qos) return
    if (qos === 0) this.#finish(view.packetId, view.qos)
    else this.#lowered.add(view.packetId)
  }

  packet(packet: ControlPacket): void {
    switch (packet.kind) {
      case 'puback':
      case 'pubrec':
      case 'pubrel':
      case 'pubcomp':
        this.#send(packet)
        return
      case 'disconnect':
        // Meant for a client. `localEnded` follows.
        return
      case 'connect':
      case 'connack':
      case 'subscribe':
      case 'suback':
      case 'unsubscribe':
      case 'unsuback':
      case 'pingreq':
      case 'pingresp':
      case 'auth':
        throw new Error(`The broker sent ${packet.kind} to a bridge`)
    }
  }

  flush(): void {
    this.#transport.flush()
  }

  pauseReading(): void {
    this.#isHeld = true
    this.#pause()
  }

  resumeReading(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#continue()
  }

  localEnded(): void {
    this.#end('The broker here ended the connection')
  }

  #drop({ packetId, qos }: PublishView, reason: BridgeDrop): void {
    this.#parts.counters.dropped[reason].add()
    this.#finish(packetId, qos)
  }

  /** The broker here need not wait for an acknowledgement by the remote one. */
  #finish(packetId: number, qos: QoS): void {
    if (qos === 0) return
    // Of QoS 2 as if it was refused: then there is nothing to be released (MQTT5 4.3.3-4).
    const [kind, reasonCode] =
      qos === 1
        ? (['puback', ReasonCode.success] as const)
        : (['pubrec', ReasonCode.unspecifiedError] as const)
    this.#parts.local.acknowledgeLater({ kind, packetId, reasonCode, properties: {} })
  }

  get #version(): 4 | 5 {
    return this.#parts.settings.endpoint.version
  }

  get #isReadingPaused(): boolean {
    return this.#isHeld || this.#isBackedUp
  }

  #send(packet: Packet): void {
    // A reason string may be too long for it (MQTT5 3.2.2-15). Anything else that is ours to send is small.
    const fitting = fitPacket(packet, this.#version, this.#remote?.maximumPacketSize ?? Infinity)
    if (fitting !== undefined) this.#write(encodePacket(fitting, this.#version))
  }

  #write(bytes: Uint8Array): void {
    if (this.#phase === 'ended') return
    this.#sentMs = this.#parts.clock.monotonic()
    this.#transport.write(bytes)
  }

  #pause(): void {
    this.#decoder.pause()
    this.#transport.pause()
  }

  #continue(): void {
    if (this.#isReadingPaused || this.#phase === 'ended') return
    this.#heardMs = this.#parts.clock.monotonic()
    this.#transport.resume()
    this.#decoded(this.#decoder.resume(this.#incoming))
  }

  #decoded(outcome: Outcome): void {
    if (outcome.kind === 'malformed') this.#end(`The broker sent a bad packet: ${outcome.detail}`)
  }

  #end(why: string, mindsBridge = false): void {
    if (this.#phase === 'ended') return
    this.#phase = 'ended'
    this.#decoder.stop()
    this.#request?.abandon(why)
    this.#transport.close()
    this.#parts.owner.ended(this, { why, mindsBridge })
  }
}
