import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { PacketDecoder } from '../../src/mqtt/packet/decode.ts'
import { encodePacket } from '../../src/mqtt/packet/encode.ts'
import type { Connack, Connect, Packet, Publish } from '../../src/mqtt/packet/packet.ts'
import type { ProtocolVersion } from '../../src/mqtt/packet/packet-type.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { maxPacketBytes } from '../../src/mqtt/packet/size.ts'

/** Long enough for a busy machine: only a test that fails waits for it. */
const patienceMs = 10_000

/** What a client says to a server that a test plays, packet by packet. */
export class FakeLink {
  readonly #socket: Socket
  readonly #decoder = new PacketDecoder({ maxPacketBytes })
  readonly #packets: Packet[] = []
  #version: ProtocolVersion = 4
  #wake: (() => void) | undefined
  #isClosed = false

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      const outcome = this.#decoder.push(chunk, 0, chunk.length, {
        packet: (packet) => {
          if (packet.kind === 'connect') this.#version = packet.version
          this.#packets.push(packet)
        },
        publish: (view) => this.#packets.push(view.toPublish()),
      })
      assert.notEqual(outcome.kind, 'malformed', JSON.stringify(outcome))
      this.#wake?.()
    })
    socket.on('error', () => undefined)
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.#isClosed = true
        this.#wake?.()
      })
    }
  }

  send(packet: Packet): void {
    this.#socket.write(encodePacket(packet, this.#version))
  }

  sendPublish(publish: Partial<Publish> & Pick<Publish, 'topic'>): void {
    const payload = Buffer.from('x')
    const plain = { dup: false, qos: 0, retain: false, packetId: 0, payload, properties: {} }
    this.send({ kind: 'publish', ...plain, ...publish } as Publish) // all fields are there
  }

  ack(kind: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', packetId: number, reason = 0): void {
    this.send({ kind, packetId, reasonCode: reason as ReasonCode, properties: {} })
  }

  /** Reads CONNECT and answers it. */
  async accept(
    connack: Partial<Connack> = {},
    expected: { readonly [K in keyof Connect]?: Connect[K] | undefined } = {},
  ): Promise<Connect> {
    const connect = await this.receive('connect')
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(Reflect.get(connect, name), value, name)
    }
    const { success } = ReasonCode
    this.send({
      kind: 'connack',
      sessionPresent: false,
      reasonCode: success,
      properties: {},
      ...connack,
    })
    return connect
  }

  /** Reads SUBSCRIBE and grants what it asks for. */
  async grant(): Promise<readonly string[]> {
    const { packetId, subscriptions } = await this.receive('subscribe')
    this.send({
      kind: 'suback',
      packetId,
      reasonCodes: subscriptions.map(({ qos }) => qos),
      properties: {},
    })
    return subscriptions.map(({ filter }) => filter)
  }

  /** The next packet, which has to be of this kind. */
  async receive<K extends Packet['kind']>(kind: K): Promise<Extract<Packet, { kind: K }>> {
    const packet = await this.next()
    if (packet === undefined) assert.fail(`Expected ${kind}, the connection was closed`)
    if (packet.kind !== kind) assert.fail(`Expected ${kind}, got ${JSON.stringify(packet)}`)
    return packet as Extract<Packet, { kind: K }> // its kind was compared
  }

  /** The next packet; undefined when the connection ends before there is one. */
  async next(): Promise<Packet | undefined> {
    while (this.#packets.length === 0 && !this.#isClosed) await this.#woken()
    return this.#packets.shift()
  }

  /** Stops reading. */
  freeze(): void {
    this.#socket.pause()
  }

  drop(): void {
    this.#socket.destroy()
  }

  async #woken(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => reject(new Error('Nothing came in time')), patienceMs)
    this.#wake = resolve
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#wake = undefined
    }
  }
}

/** A server whose part the test plays. */
export class FakeBroker implements AsyncDisposable {
  readonly #server: Server
  readonly #links: FakeLink[] = []
  readonly #waiting: FakeLink[] = []
  #wake: ((link: FakeLink) => void) | undefined

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => {
      const link = new FakeLink(socket)
      this.#links.push(link)
      if (this.#wake === undefined) this.#waiting.push(link)
      else this.#wake(link)
    })
  }

  static async start(): Promise<FakeBroker> {
    const server = createServer()
    const broker = new FakeBroker(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return broker
  }

  get port(): number {
    // Of a server that listens on TCP.
    return (this.#server.address() as AddressInfo).port
  }

  /** The next connection. */
  async connection(): Promise<FakeLink> {
    const link = this.#waiting.shift()
    if (link !== undefined) return link
    const { promise, resolve } = Promise.withResolvers<FakeLink>()
    this.#wake = resolve
    const next = await promise
    this.#wake = undefined
    return next
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) link.drop()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
