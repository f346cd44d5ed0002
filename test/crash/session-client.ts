import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { PacketDecoder } from '../../src/mqtt/packet/decode.ts'
import { encodePacket } from '../../src/mqtt/packet/encode.ts'
import type { Connack, ControlPacket, Packet, Publish, Will } from '../../src/mqtt/packet/packet.ts'
import type { Answer } from './journal.ts'

/** A message that the client has sent and that is not acknowledged yet. */
export interface Unacknowledged {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 1 | 2
  /** PUBREC came: only PUBREL and PUBCOMP are left (MQTT5 4.3.3). */
  isReceived: boolean
}

/** The client's part of a session (MQTT5 4.1): it outlives connections, and the client's process by way of a journal. */
export interface SessionState {
  /** By packet identifier, in the order of sending. */
  readonly outgoing: Map<number, Unacknowledged>
  /** Packet identifiers of QoS 2 messages that have come and were not released. */
  readonly incoming: Set<number>
}

/** Each is told before the packet leaves that says so to the server. */
export interface SessionObserver {
  /** A message that is not known yet. */
  received?(message: Publish): void
  /** PUBREL came: a message with this packet identifier is another one from now on. */
  released?(packetId: number): void
  /** PUBREC came. */
  pubrec?(packetId: number): void
}

export interface SessionClientOptions {
  readonly port: number
  readonly clientIdentifier: string
  readonly userName: string
  readonly password: string
  readonly sessionExpirySeconds: number
  readonly will?: Will
}

const version = 5
const noProperties = {}

/**
 * An MQTT 5 client that does all that its side of exactly-once delivery asks for: keeps packet identifiers, sends again on the
 * next connection what was not acknowledged (MQTT5 4.4.0-1), and tells a repeated message from a new one (MQTT5 4.3.3-10).
 */
export class SessionClient implements AsyncDisposable {
  readonly #options: SessionClientOptions
  readonly #state: SessionState
  readonly #observer: SessionObserver
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #socket: Socket | undefined
  #connack: ((packet: Connack | undefined) => void) | undefined
  #answered: ((isAnswered: boolean) => void)[] = []
  #lastPacketId = 0
  #toHear = 0
  #onHeard: () => void = () => undefined
  /** Resolves when the connection has ended, whoever ended it. */
  closed: Promise<void> = Promise.resolve()
  /** Of the last CONNACK. */
  sessionPresent = false

  constructor(options: SessionClientOptions, state: SessionState, observer: SessionObserver) {
    this.#options = options
    this.#state = state
    this.#observer = observer
    for (const packetId of state.outgoing.keys()) this.#lastPacketId = packetId
  }

  get isConnected(): boolean {
    return this.#socket !== undefined
  }

  /** How much is not acknowledged. */
  get open(): number {
    return this.#state.outgoing.size
  }

  /** Connects, or connects again, and sends what was not acknowledged. False when the server is not there (any more). */
  async connect(): Promise<boolean> {
    const { port, clientIdentifier, userName, password, will } = this.#options
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    const decoder = new PacketDecoder({ maxPacketBytes: 1 << 24, version, receiver: 'client' })
    const handler = {
      packet: (packet: ControlPacket): void => this.#take(packet),
      publish: (view: { toPublish(): Publish }): void => this.#takeMessage(view.toPublish()),
    }
    socket.on('data', (bytes: Buffer) => {
      if (this.#socket !== socket) return
      const outcome = decoder.push(bytes, 0, bytes.length, handler)
      if (outcome.kind === 'malformed') socket.destroy(new Error(outcome.detail))
    })
    socket.on('error', () => socket.destroy())
    const connack = new Promise<Connack | undefined>((resolve) => {
      this.#connack = resolve
    })
    // Not `once` of events: it rejects when the connection fails.
    this.closed = new Promise((resolve) => void socket.once('close', () => resolve()))
    socket.once('close', () => {
      if (this.#socket !== undefined && this.#socket !== socket) return
      this.#socket = undefined
      this.#connack?.(undefined)
      for (const settle of this.#answered.splice(0)) settle(false)
    })
    this.#socket = socket
    this.#send({
      kind: 'connect',
      version,
      cleanStart: false,
      keepAlive: 0,
      clientIdentifier,
      userName,
      password: Buffer.from(password),
      ...(will !== undefined && { will }),
      properties: { sessionExpiryInterval: this.#options.sessionExpirySeconds },
    })
    const answer = await connack
    if (answer === undefined) return false
    if (answer.reasonCode !== 0) {
      throw new Error(`The server refused the connection: 0x${answer.reasonCode.toString(16)}`)
    }
    this.sessionPresent = answer.sessionPresent
    for (const [packetId, { isReceived, ...message }] of this.#state.outgoing) {
      if (isReceived) this.#acknowledge('pubrel', packetId)
      else this.#publish(packetId, message, true)
    }
    return true
  }

  /** The packet identifier of the next message. */
  nextPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % 65_535) + 1
    while (this.#state.outgoing.has(this.#lastPacketId))
    return this.#lastPacketId
  }

  /** Resolves when the server has acknowledged the message, by whatever connection; `lost` after `giveUp`. */
  publish(packetId: number, message: Omit<Unacknowledged, 'isReceived'>): Promise<Answer> {
    this.#state.outgoing.set(packetId, { ...message, isReceived: false })
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(packetId, resolve))
    this.#publish(packetId, message, false)
    return answer
  }

  async subscribe(filters: readonly string[]): Promise<void> {
    const options = { qos: 2, noLocal: false, retainAsPublished: true, retainHandling: 0 } as const
    const subscriptions = filters.map((filter) => ({ filter, ...options }))
    const packetId = this.nextPacketId()
    const answered = this.#answer()
    this.#send({ kind: 'subscribe', packetId, subscriptions, properties: noProperties })
    if (!(await answered)) throw new Error('Cannot subscribe')
  }

  /** Resolves when the server has answered, so that all that it had sent before is here; false when the connection ended. */
  ping(): Promise<boolean> {
    const answered = this.#answer()
    this.#send({ kind: 'pingreq' })
    return answered
  }

  /** The connection breaks without a word. */
  async drop(): Promise<void> {
    this.#socket?.destroy()
    await this.closed
  }

  /** A goodbye, which discards the will. */
  async end(): Promise<void> {
    this.#send({ kind: 'disconnect', reasonCode: 0, properties: noProperties })
    await this.closed
  }

  /** Whoever waits for an acknowledgement waits no longer: the server is gone. */
  giveUp(): void {
    for (const settle of this.#waiting.values()) settle('lost')
    this.#waiting.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drop()
  }

  /** Calls back after so many messages and answers to messages. */
  whenHeard(count: number, callback: () => void): void {
    this.#toHear = count
    this.#onHeard = callback
  }

  #heard(): void {
    this.#toHear -= 1
    if (this.#toHear === 0) this.#onHeard()
  }

  #answer(): Promise<boolean> {
    if (this.#socket === undefined) return Promise.resolve(false)
    return new Promise((resolve) => this.#answered.push(resolve))
  }

  #publish(packetId: number, message: Omit<Unacknowledged, 'isReceived'>, dup: boolean): void {
    const properties = noProperties
    this.#send({ kind: 'publish', dup, retain: false, packetId, properties, ...message })
  }

  #acknowledge(kind: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', packetId: number): void {
    this.#send({ kind, packetId, reasonCode: 0, properties: noProperties })
  }

  #send(packet: Packet): void {
    this.#socket?.write(encodePacket(packet, version))
  }

  #take(packet: ControlPacket): void {
    if (packet.kind !== 'connack') this.#heard()
    switch (packet.kind) {
      case 'connack':
        this.#connack?.(packet)
        this.#connack = undefined
        return
      case 'puback':
      case 'pubcomp':
        this.#done(packet.packetId, packet.reasonCode)
        return
      case 'pubrec': {
        const { packetId, reasonCode } = packet
        const message = this.#state.outgoing.get(packetId)
        if (reasonCode >= 0x80) this.#done(packetId, reasonCode)
        else {
          if (message !== undefined && !message.isReceived) {
            message.isReceived = true
            this.#observer.pubrec?.(packetId)
          }
          this.#acknowledge('pubrel', packetId)
        }
        return
      }
      case 'pubrel':
        if (this.#state.incoming.delete(packet.packetId)) this.#observer.released?.(packet.packetId)
        this.#acknowledge('pubcomp', packet.packetId)
        return
      case 'suback':
        this.#answered.shift()?.(packet.reasonCodes.every((code) => code < 0x80))
        return
      case 'pingresp':
        this.#answered.shift()?.(true)
        return
      case 'disconnect':
      case 'unsuback':
      // Clients send these, servers do not; nobody asked for extended authentication.
      case 'connect':
      case 'subscribe':
      case 'unsubscribe':
      case 'pingreq':
      case 'auth':
        return
    }
  }

  /** PUBCOMP may say that it does not know the identifier: it was here before (MQTT5 4.3.3). */
  #done(packetId: number, reasonCode: number): void {
    const message = this.#state.outgoing.get(packetId)
    if (message === undefined) return
    this.#state.outgoing.delete(packetId)
    const settle = this.#waiting.get(packetId)
    this.#waiting.delete(packetId)
    settle?.(reasonCode < 0x80 || message.isReceived ? 'acknowledged' : 'refused')
  }

  #takeMessage(message: Publish): void {
    this.#heard()
    const { qos, packetId } = message
    if (qos < 2) this.#observer.received?.(message)
    else if (!this.#state.incoming.has(packetId)) {
      this.#state.incoming.add(packetId)
      this.#observer.received?.(message)
    }
    if (qos > 0) this.#acknowledge(qos === 1 ? 'puback' : 'pubrec', packetId)
  }
}
