import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { PacketDecoder } from '../../src/mqtt/packet/decode.ts'
import { encodePacket } from '../../src/mqtt/packet/encode.ts'
import type { Connack, ControlPacket, Packet, Publish } from '../../src/mqtt/packet/packet.ts'
import type { QoS } from '../../src/mqtt/packet/packet-type.ts'

export interface MqttClientOptions {
  readonly port: number
  readonly clientIdentifier: string
  /** `user@host` */
  readonly userName: string
  readonly password: string
  readonly cleanStart?: boolean
  /** 0 = the session ends with the connection. */
  readonly sessionExpirySeconds?: number
}

/** The server refused the connection. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError'
  readonly reasonCode: number

  constructor(reasonCode: number) {
    super(`The server refused the connection: 0x${reasonCode.toString(16)}`)
    this.reasonCode = reasonCode
  }
}

/** `refused`: the acknowledgement has a reason code of failure. `lost`: the connection ended before there was any. */
export type Acknowledgement = 'acknowledged' | 'refused' | 'lost'

const version = 5
const noProperties = {}

/** An MQTT 5 client that keeps no session of its own: what was not acknowledged before the connection ended is `lost`. */
export class MqttClient implements AsyncDisposable {
  readonly #socket: Socket
  readonly #decoder = new PacketDecoder({
    maxPacketBytes: 1 << 24,
    version,
    receiver: 'client',
  })
  readonly #waiting = new Map<number, (packet: ControlPacket | undefined) => void>()
  #connack: ((packet: Connack | undefined) => void) | undefined
  #pong: (() => void)[] = []
  #lastPacketId = 0
  #isClosed = false
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  /** Of the CONNACK. */
  sessionPresent = false
  /** Takes messages; those of QoS 1 are acknowledged when it returns. */
  onPublish: (message: Publish) => void = () => undefined
  /** The reason of a DISCONNECT that the server sent. */
  disconnectReason: number | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    const handler = {
      packet: (packet: ControlPacket): void => this.#take(packet),
      publish: (view: { toPublish(): Publish }): void => this.#takeMessage(view.toPublish()),
    }
    socket.on('data', (bytes: Buffer) => {
      const outcome = this.#decoder.push(bytes, 0, bytes.length, handler)
      if (outcome.kind === 'malformed') socket.destroy(new Error(outcome.detail))
    })
    socket.on('error', () => socket.destroy())
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true
        this.#connack?.(undefined)
        for (const settle of this.#waiting.values()) settle(undefined)
        this.#waiting.clear()
        for (const settle of this.#pong.splice(0)) settle()
        resolve()
      })
    })
  }

  /**
   * Rejects with a `ConnectError` when the server says no. `onPublish` is there from the start, as the messages of an old
   * session follow the CONNACK at once.
   */
  static async connect(
    options: MqttClientOptions,
    onPublish?: (message: Publish) => void,
  ): Promise<MqttClient> {
    const socket = connect(options.port, '127.0.0.1')
    socket.setNoDelay(true)
    const client = new MqttClient(socket)
    if (onPublish !== undefined) client.onPublish = onPublish
    const connack = new Promise<Connack | undefined>((resolve) => {
      client.#connack = resolve
    })
    await once(socket, 'connect')
    client.#send({
      kind: 'connect',
      version,
      cleanStart: options.cleanStart ?? true,
      keepAlive: 0,
      clientIdentifier: options.clientIdentifier,
      userName: options.userName,
      password: Buffer.from(options.password),
      properties: { sessionExpiryInterval: options.sessionExpirySeconds ?? 0 },
    })
    const answer = await connack
    if (answer === undefined) throw new Error('The server ended the connection')
    if (answer.reasonCode !== 0) {
      socket.destroy()
      throw new ConnectError(answer.reasonCode)
    }
    client.sessionPresent = answer.sessionPresent
    return client
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Resolves when the server has acknowledged the message; one of QoS 0 counts as acknowledged at once. */
  async publish(message: {
    readonly topic: string
    readonly payload: Uint8Array
    readonly qos: QoS
    readonly retain?: boolean
  }): Promise<Acknowledgement> {
    const { topic, payload, qos, retain = false } = message
    const packetId = qos === 0 ? 0 : this.#nextPacketId()
    const answer = qos === 0 ? undefined : this.#answerTo(packetId)
    const properties = noProperties
    this.#send({ kind: 'publish', dup: false, qos, retain, topic, packetId, payload, properties })
    if (answer === undefined) return this.#isClosed ? 'lost' : 'acknowledged'
    const packet = await answer
    if (packet === undefined || !('reasonCode' in packet)) return 'lost'
    return packet.reasonCode < 0x80 ? 'acknowledged' : 'refused'
  }

  async subscribe(filter: string, qos: QoS): Promise<Acknowledgement> {
    const packetId = this.#nextPacketId()
    const answer = this.#answerTo(packetId)
    const options = { noLocal: false, retainAsPublished: true, retainHandling: 0 } as const
    const subscriptions = [{ filter, qos, ...options }]
    this.#send({ kind: 'subscribe', packetId, subscriptions, properties: noProperties })
    const packet = await answer
    if (packet?.kind !== 'suback') return 'lost'
    return packet.reasonCodes.every((code) => code < 0x80) ? 'acknowledged' : 'refused'
  }

  /** Resolves when the server has answered, so that all that it had sent before is here; or when the connection has ended. */
  ping(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    const answered = new Promise<void>((resolve) => this.#pong.push(resolve))
    this.#send({ kind: 'pingreq' })
    return answered
  }

  /** Whatever bytes, packet or not. */
  sendBytes(bytes: Uint8Array): void {
    if (!this.#isClosed) this.#socket.write(bytes)
  }

  /** Ends the connection as MQTT wants it; the session stays as long as it was to stay. */
  async end(): Promise<void> {
    this.#send({ kind: 'disconnect', reasonCode: 0, properties: noProperties })
    this.#socket.end()
    await this.closed
  }

  /** Stops reading: what the server sends from now on piles up, first in the kernel and then with the server. */
  freeze(): void {
    this.#socket.pause()
  }

  thaw(): void {
    this.#socket.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await this.closed
  }

  #send(packet: Packet): void {
    if (!this.#isClosed) this.#socket.write(encodePacket(packet, version))
  }

  #nextPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % 65_535) + 1
    while (this.#waiting.has(this.#lastPacketId))
    return this.#lastPacketId
  }

  #answerTo(packetId: number): Promise<ControlPacket | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined)
    return new Promise((resolve) => this.#waiting.set(packetId, resolve))
  }

  #take(packet: ControlPacket): void {
    switch (packet.kind) {
      case 'connack':
        this.#connack?.(packet)
        this.#connack = undefined
        return
      case 'puback':
      case 'pubcomp':
      case 'suback':
      case 'unsuback': {
        const settle = this.#waiting.get(packet.packetId)
        this.#waiting.delete(packet.packetId)
        settle?.(packet)
        return
      }
      case 'pubrec': {
        const { packetId, reasonCode } = packet
        if (reasonCode < 0x80) {
          this.#send({ kind: 'pubrel', packetId, reasonCode: 0, properties: noProperties })
          return
        }
        const settle = this.#waiting.get(packetId)
        this.#waiting.delete(packetId)
        settle?.(packet)
        return
      }
      case 'pubrel': {
        const { packetId } = packet
        this.#send({ kind: 'pubcomp', packetId, reasonCode: 0, properties: noProperties })
        return
      }
      case 'pingresp':
        this.#pong.shift()?.()
        return
      case 'disconnect':
        this.disconnectReason = packet.reasonCode
        return
      // Clients send these, servers do not; nobody asked for enhanced authentication.
      case 'connect':
      case 'subscribe':
      case 'unsubscribe':
      case 'pingreq':
      case 'auth':
        return
    }
  }

  #takeMessage(message: Publish): void {
    this.onPublish(message)
    const { qos, packetId } = message
    if (qos === 0) return
    const kind = qos === 1 ? 'puback' : 'pubrec'
    this.#send({ kind, packetId, reasonCode: 0, properties: noProperties })
  }
}
