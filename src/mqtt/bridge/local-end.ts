import type { PeerAddress, Transport } from '../../core/transport.ts'
import type { FullJid } from '../../xmpp/jid/jid.ts'
import type { Broker } from '../broker.ts'
import { Client } from '../client.ts'
import { Connection } from '../connection.ts'
import type { ListenerProfile } from '../connection.ts'
import { flushForwarded } from '../forward.ts'
import type { Message } from '../message.ts'
import { complete, deliver, pump } from '../outgoing.ts'
import { PacketDecoder } from '../packet/decode.ts'
import type { PacketHandler } from '../packet/decode.ts'
import type { ControlPacket } from '../packet/packet.ts'
import type { ProtocolVersion, QoS } from '../packet/packet-type.ts'
import { maxPacketBytes } from '../packet/size.ts'
import { awaitRetained } from '../retained-delivery.ts'
import type { Session } from '../session.ts'
import { Subscription } from '../subscription.ts'
import type { TopicFilter } from '../topic.ts'

/** How long what waits for a bridge is kept once nobody runs it any more: taken out of the configuration, or off with the server. */
export const idleExpirySeconds = 7 * 86_400

/** What a local end is connected to: the connection to the remote broker. */
export interface RemoteSide extends PacketHandler {
  /** Bytes that the remote broker has not taken yet. */
  readonly bufferedBytes: number
  flush(): void
  pauseReading(): void
  resumeReading(): void
  /** The broker has ended the connection. */
  localEnded(): void
}

export interface LocalEndParts {
  readonly broker: Broker
  readonly profile: ListenerProfile
  /** The session, which belongs to no account: no client can have it. */
  readonly key: FullJid
  /** In whose name messages from the remote broker are published. */
  readonly publisher: FullJid
}

const nowhere: PeerAddress = { ip: '', port: 0 }

/**
 * The broker's end of a bridge: a lasting session with a connection like a client's, whose transport is this object. What waits
 * for the remote broker, what it has not acknowledged, and what it is still to release is the session's, and so in the
 * database. Acknowledgements are handed through in both directions, with their packet identifiers: nothing is
 * acknowledged before the other side has it.
 *
 * It lasts as long as one connection to the remote broker, including the time that it takes to make it.
 */
export class LocalEnd implements Transport {
  readonly peer = nowhere
  readonly local = nowhere
  readonly kind = 'tcp'
  readonly tls = undefined
  readonly bytesRead = 0
  readonly bytesWritten = 0
  isClosed = false
  readonly session: Session
  readonly connection: Connection
  readonly #broker: Broker
  #remote: RemoteSide | undefined
  /** What the broker writes, packet by packet. */
  #outgoing: PacketDecoder | undefined
  #incoming: PacketDecoder | undefined
  /** A message from the remote broker is being published: it does not go back there. */
  #isTakingIn = false

  /** Throws when there may be no such session. */
  constructor({ broker, profile, key, publisher }: LocalEndParts) {
    this.#broker = broker
    this.connection = new Connection(this, profile)
    const opened = broker.sessions.open(this.connection, {
      key,
      cleanStart: false,
      expirySeconds: idleExpirySeconds,
      will: undefined,
    })
    if (!opened.ok) throw new Error(`Cannot open the session of the bridge (${opened.error})`)
    this.session = opened.value.session
    this.connection.broker = broker
    this.connection.session = this.session
    this.connection.client = new Client(this.connection, publisher, broker.nowMs())
    this.connection.phase = 'opening'
    this.connection.aliasLimit = 0
  }

  /** A message for the remote broker, to be sent when it is connected. */
  enqueue(message: Message, qos: QoS): void {
    if (this.#isTakingIn) return
    const lower = qos < message.qos ? qos : message.qos
    deliver(this.#broker, this.session, message, lower, message.retain, undefined)
  }

  /**
   * The remote broker is connected: its messages may come. Ours wait for `release`. If it does not remember us, what was in
   * flight begins anew.
   */
  open(remote: RemoteSide, version: ProtocolVersion, isRemembered: boolean): void {
    const { connection } = this
    this.#remote = remote
    this.#outgoing = new PacketDecoder({ maxPacketBytes, version, receiver: 'client' })
    this.#incoming = new PacketDecoder({ maxPacketBytes, version })
    if (!isRemembered) this.#beginAnew()
    connection.version = version
    // What it sends is bounded by what we announced, if it knows of such things.
    connection.receiveWindow = version === 5 ? this.#broker.settings.receiveMaximum : Infinity
    connection.sendWindow = 0
    // Not by way of `accepted`: this is no client whose coming and going anybody should hear of.
    connection.phase = 'open'
  }

  /** From here on messages go out, so many of QoS 1 and 2 at a time. */
  release(window: number): void {
    this.connection.sendWindow = Math.min(window, this.#broker.settings.maxInflight)
    pump(this.#broker, this.session)
  }

  /** What is retained here goes out, too, behind what waits. */
  handOver(filter: TopicFilter, qos: QoS): void {
    const options = { qos, noLocal: true, retainAsPublished: true, identifier: 0 }
    // Known to nobody else: it only says what is to be searched for.
    const subscription = new Subscription(this.session, filter, options, 0)
    subscription.awaitsRetained = qos
    awaitRetained(subscription)
  }

  /** Whether all that was retained is on its way. */
  get hasHandedOver(): boolean {
    return this.session.retained === undefined
  }

  /** A PUBLISH of the remote broker, as it would come from a client. */
  takeIn(packet: Uint8Array): void {
    this.#isTakingIn = true
    try {
      this.#incoming?.push(packet, 0, packet.length, this.connection)
      flushForwarded()
    } finally {
      this.#isTakingIn = false
    }
  }

  /** An acknowledgement by the remote broker, or in its place. */
  acknowledge(packet: ControlPacket): void {
    this.connection.packet(packet)
  }

  /** The same, for whoever is called by the broker in the middle of something. */
  acknowledgeLater(packet: ControlPacket): void {
    queueMicrotask(() => this.acknowledge(packet))
  }

  /** The remote broker takes more again. */
  drained(): void {
    this.connection.drain()
  }

  /** Leaves the session, which waits for the next connection. */
  leave(): void {
    this.#remote = undefined
    this.connection.close()
  }

  // As the transport of the broker's connection.

  get bufferedBytes(): number {
    return this.#remote?.bufferedBytes ?? 0
  }

  attach(): void {}

  write(bytes: Uint8Array): boolean {
    return this.writeCopy(bytes, 0, bytes.length)
  }

  writeCopy(bytes: Uint8Array, start: number, end: number): boolean {
    const remote = this.#remote
    if (this.isClosed || remote === undefined) return true
    try {
      const outcome = this.#outgoing?.push(bytes, start, end, remote)
      if (outcome?.kind === 'malformed') throw new Error(outcome.detail)
    } catch (error) {
      // Whoever writes has other clients to look after.
      this.connection.profile.log.error({ err: error }, 'Cannot hand a packet on')
      queueMicrotask(() => this.connection.close())
    }
    return true
  }

  writeText(text: string): boolean {
    return this.write(Buffer.from(text))
  }

  flush(): void {
    this.#remote?.flush()
  }

  pause(): void {
    this.#remote?.pauseReading()
  }

  resume(): void {
    this.#remote?.resumeReading()
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    const remote = this.#remote
    this.#remote = undefined
    remote?.localEnded()
  }

  destroy(): void {
    this.close()
  }

  startTls(): Promise<void> {
    return Promise.reject(new Error('There is nothing to be encrypted'))
  }

  /** MQTT5 3.2.2-5, but for messages that have not arrived: they are sent as new ones. */
  #beginAnew(): void {
    const { session } = this
    const { journal } = this.#broker
    for (const delivery of [...session.inflight.values()]) {
      // The remote broker had it, and said so.
      if (delivery.message === undefined) complete(this.#broker, session, delivery)
      else delivery.wasSent = false
    }
    if (session.isStored) {
      for (const packetId of session.incoming?.keys() ?? []) journal.completed(session, packetId)
    }
    session.incoming?.clear()
  }
}
