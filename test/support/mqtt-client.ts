import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls, TLSSocket } from 'node:tls'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions } from 'node:tls'
import { PacketDecoder } from '../../src/mqtt/packet/decode.ts'
import { encodePacket } from '../../src/mqtt/packet/encode.ts'
import type {
  Connack,
  Connect,
  ControlPacket,
  Packet,
  Publish,
  Subscription,
  Will,
} from '../../src/mqtt/packet/packet.ts'
import type { ProtocolVersion, QoS } from '../../src/mqtt/packet/packet-type.ts'
import type { PropertiesOf } from '../../src/mqtt/packet/properties.ts'
import { maxPacketBytes } from '../../src/mqtt/packet/size.ts'

/** Long enough for a busy machine: only a test that fails waits for it. */
const patienceMs = 10_000

export interface ConnectOptions {
  readonly version?: ProtocolVersion
  readonly clientId?: string
  readonly cleanStart?: boolean
  readonly keepAlive?: number
  /** Left out: `juliet`. */
  readonly userName?: string | undefined
  readonly password?: string | undefined
  readonly will?: Partial<Will> & Pick<Will, 'topic'>
  readonly properties?: PropertiesOf<'connect'>
}

export interface PublishOptions {
  readonly qos?: QoS
  readonly retain?: boolean
  readonly dup?: boolean
  readonly packetId?: number
  readonly properties?: PropertiesOf<'publish'>
}

/** A will from the few things that a test wants to say about it. */
export function willOf(will: Partial<Will> & Pick<Will, 'topic'>): Will {
  return { payload: Buffer.from('gone'), qos: 0, retain: false, properties: {}, ...will }
}

export function connectPacket(options: ConnectOptions = {}): Connect {
  const userName = 'userName' in options ? options.userName : 'juliet'
  const password = 'password' in options ? options.password : 'secret'
  return {
    kind: 'connect',
    version: options.version ?? 5,
    cleanStart: options.cleanStart ?? true,
    keepAlive: options.keepAlive ?? 0,
    clientIdentifier: options.clientId ?? 'test',
    ...(options.will !== undefined && { will: willOf(options.will) }),
    ...(userName !== undefined && { userName }),
    ...(password !== undefined && { password: Buffer.from(password) }),
    properties: options.properties ?? {},
  }
}

/** A client that sends packets one by one and looks at what comes back: for the conversations that a library would not have. */
export class MqttClient implements AsyncDisposable {
  version: ProtocolVersion = 5
  readonly #socket: Duplex
  #decoder = new PacketDecoder({ maxPacketBytes, version: 5, receiver: 'client' })
  readonly #packets: Packet[] = []
  #wake: (() => void) | undefined
  #isClosed = false
  #lastPacketId = 0

  constructor(socket: Duplex) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#received(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#ended())
    socket.on('end', () => this.#ended())
  }

  static async connect(port: number, tls?: ConnectionOptions): Promise<MqttClient> {
    if (tls !== undefined) {
      const socket = connectTls({ port, host: '127.0.0.1', ...tls })
      await once(socket, 'secureConnect')
      return new MqttClient(socket)
    }
    const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new MqttClient(socket)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Packets that came and were not looked at. */
  get pending(): number {
    return this.#packets.length
  }

  /** Sends CONNECT; what comes back is the test's affair. */
  sendConnect(options: ConnectOptions = {}): void {
    const packet = connectPacket(options)
    this.speak(packet.version)
    this.send(packet)
  }

  /** Sends and expects packets of that version from now on. */
  speak(version: ProtocolVersion): void {
    this.version = version
    this.#decoder = new PacketDecoder({ maxPacketBytes, version, receiver: 'client' })
  }

  /** Sends CONNECT and expects to be let in. */
  async login(options: ConnectOptions = {}): Promise<Connack> {
    this.sendConnect(options)
    const connack = await this.receive('connack')
    assert.equal(connack.reasonCode, 0, connack.properties.reasonString ?? '')
    return connack
  }

  send(packet: Packet): void {
    this.#socket.write(encodePacket(packet, this.version))
  }

  /** Several packets in one write. */
  sendAll(packets: readonly Packet[]): void {
    this.sendBytes(Buffer.concat(packets.map((packet) => encodePacket(packet, this.version))))
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** The next packet, which has to be of this kind. */
  async receive<K extends Packet['kind']>(kind: K): Promise<Extract<Packet, { kind: K }>> {
    const packet = await this.next()
    if (packet === undefined) assert.fail(`Expected ${kind}, the connection was closed`)
    if (packet.kind !== kind) assert.fail(`Expected ${kind}, got ${show(packet)}`)
    return packet as Extract<Packet, { kind: K }> // its kind was compared
  }

  /** The next PUBLISH, acknowledged; other packets may come before. */
  async receiveMessage(): Promise<Publish & { readonly text: string }> {
    const publish = await this.#take('publish')
    if (publish.qos === 1) this.sendAck('puback', publish.packetId)
    if (publish.qos === 2) {
      this.sendAck('pubrec', publish.packetId)
      await this.#take('pubrel', publish.packetId)
      this.sendAck('pubcomp', publish.packetId)
    }
    return { ...publish, text: Buffer.from(publish.payload).toString() }
  }

  /** The next packet; undefined when the connection ends before there is one. */
  async next(): Promise<Packet | undefined> {
    while (this.#packets.length === 0 && !this.#isClosed) await this.#woken()
    return this.#packets.shift()
  }

  /** The server closes the connection, and says nothing before. */
  async closed(): Promise<void> {
    const packet = await this.next()
    if (packet !== undefined) assert.fail(`Expected the end, got ${show(packet)}`)
  }

  /** Nothing has come and, after a round trip, nothing comes. */
  async hearsNothing(): Promise<void> {
    this.send({ kind: 'pingreq' })
    await this.receive('pingresp')
  }

  sendPublish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): number {
    const { qos = 0, retain = false, dup = false, properties = {} } = options
    const packetId = options.packetId ?? (qos === 0 ? 0 : ++this.#lastPacketId)
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    this.send({ kind: 'publish', topic, payload: bytes, qos, retain, dup, packetId, properties })
    return packetId
  }

  /** Publishes and waits until the server has the message; returns the reason code. */
  async publish(
    topic: string,
    payload: string | Uint8Array,
    options: PublishOptions = {},
  ): Promise<number> {
    const packetId = this.sendPublish(topic, payload, options)
    switch (options.qos ?? 0) {
      case 1: {
        return (await this.#take('puback', packetId)).reasonCode
      }
      case 2: {
        const pubrec = await this.#take('pubrec', packetId)
        if (pubrec.reasonCode >= 0x80) return pubrec.reasonCode
        this.sendAck('pubrel', packetId)
        await this.#take('pubcomp', packetId)
        return pubrec.reasonCode
      }
      case 0:
        return 0
    }
  }

  /** Subscribes to one filter; returns the reason code. */
  async subscribe(
    filter: string,
    options: Partial<Subscription> & { readonly identifier?: number } = {},
  ): Promise<number> {
    const { identifier, ...rest } = options
    const packetId = ++this.#lastPacketId
    this.send({
      kind: 'subscribe',
      packetId,
      subscriptions: [
        { filter, qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0, ...rest },
      ],
      properties: identifier === undefined ? {} : { subscriptionIdentifiers: [identifier] },
    })
    const suback = await this.receive('suback')
    assert.equal(suback.packetId, packetId)
    return suback.reasonCodes[0] ?? assert.fail('SUBACK without a reason code')
  }

  async unsubscribe(...filters: string[]): Promise<readonly number[]> {
    const packetId = ++this.#lastPacketId
    this.send({ kind: 'unsubscribe', packetId, filters, properties: {} })
    const unsuback = await this.receive('unsuback')
    assert.equal(unsuback.packetId, packetId)
    return unsuback.reasonCodes
  }

  sendAck(
    kind: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
    packetId: number,
    reasonCode: 0 | 0x80 = 0,
  ): void {
    this.send({ kind, packetId, reasonCode, properties: {} })
  }

  /** A goodbye without the will; resolves when the server has closed. */
  async disconnect(properties: PropertiesOf<'disconnect'> = {}): Promise<void> {
    this.send({ kind: 'disconnect', reasonCode: 0, properties })
    await this.closed()
  }

  /** Stops reading, as a client does that hangs. */
  freeze(): void {
    this.#socket.pause()
  }

  thaw(): void {
    this.#socket.resume()
  }

  /** Of a TLS connection (RFC 9266). */
  exportKey(label: string, bytes: number): Buffer {
    if (!(this.#socket instanceof TLSSocket)) throw new Error('The connection is not encrypted')
    return this.#socket.exportKeyingMaterial(bytes, label, Buffer.alloc(0))
  }

  /** The connection breaks without a word. */
  drop(): void {
    this.#socket.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.drop()
    return Promise.resolve()
  }

  /** The next packet of that kind (and identifier), which others may overtake. */
  async #take<K extends 'publish' | 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'>(
    kind: K,
    packetId?: number,
  ): Promise<Extract<Packet, { kind: K }>> {
    for (;;) {
      const at = this.#packets.findIndex(
        (packet) =>
          packet.kind === kind && (packetId === undefined || packet.packetId === packetId),
      )
      // Its kind was compared.
      if (at >= 0) return this.#packets.splice(at, 1)[0] as Extract<Packet, { kind: K }>
      if (this.#isClosed) assert.fail(`Expected ${kind}, the connection was closed`)
      await this.#woken()
    }
  }

  #received(chunk: Buffer): void {
    const outcome = this.#decoder.push(chunk, 0, chunk.length, {
      packet: (packet: ControlPacket) => this.#packets.push(packet),
      publish: (view) => this.#packets.push(view.toPublish()),
    })
    if (outcome.kind === 'malformed') {
      throw new Error(`The server sent what is no packet: ${outcome.detail}`)
    }
    this.#wake?.()
  }

  #ended(): void {
    this.#isClosed = true
    this.#wake?.()
  }

  async #woken(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('Nothing came in time')), patienceMs)
    })
    try {
      await Promise.race([promise, late])
    } finally {
      clearTimeout(timer)
      this.#wake = undefined
    }
  }
}

function show(packet: Packet): string {
  return JSON.stringify(packet, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString() : value,
  )
}
