/* Packets byte by byte, right and wrong, for what no encoder would write. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { mqttSessionClosed } from '../../../src/mqtt/hooks.ts'
import { encodePacket } from '../../../src/mqtt/packet/encode.ts'
import type { Packet } from '../../../src/mqtt/packet/packet.ts'
import type { MqttServer } from '../../support/mqtt-broker.ts'
import { connectPacket } from '../../support/mqtt-client.ts'
import type { ConnectOptions, MqttClient } from '../../support/mqtt-client.ts'

export function hex(digits: string): Buffer {
  return Buffer.from(digits.replaceAll(' ', ''), 'hex')
}

export function u16(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 0xff])
}

/** A Variable Byte Integer in its shortest form. */
export function variable(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return Buffer.from(bytes)
}

/** A string or binary with its length in front. */
export function text(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u16(bytes.length), bytes])
}

/** A property list with its length. */
export function properties(...values: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(values)
  return Buffer.concat([variable(bytes.length), bytes])
}

export function property(id: number, ...values: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([id]), ...values])
}

/** A packet with its Remaining Length. */
export function packet(first: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([first]), variable(body.length), body])
}

export interface ConnectParts {
  readonly first?: number
  readonly name?: string
  readonly level?: number
  readonly flags?: number
  readonly properties?: Uint8Array
  readonly payload?: readonly Uint8Array[]
}

/** CONNECT with a clean start, and with the right user name and password. */
export function connectBytes(parts: ConnectParts = {}): Buffer {
  const {
    first = 0x10,
    name = 'MQTT',
    level = 5,
    flags = 0xc2,
    properties: list = properties(),
    payload = [text('test'), text('juliet'), text('secret')],
  } = parts
  return packet(
    first,
    text(name),
    Buffer.from([level, flags]),
    u16(0),
    ...(level === 5 ? [list] : []),
    ...payload,
  )
}

/** The whole stay of a client that sends these bytes first: the reason code of the CONNACK that turns it away. */
export async function refusalOf(server: MqttServer, bytes: Uint8Array): Promise<number> {
  await using client = await server.connect()
  client.speak(5)
  client.sendBytes(bytes)
  const connack = await client.receive('connack')
  assert.equal(connack.sessionPresent, false)
  await client.closed()
  return connack.reasonCode
}

/** The same of a client that is let in first: the reason code of the DISCONNECT that ends it. */
export async function endOf(
  server: MqttServer,
  bytes: Uint8Array,
  options: ConnectOptions = {},
): Promise<number> {
  await using client = await server.login(options)
  client.sendBytes(bytes)
  return await endReason(client)
}

/** The reason code of the DISCONNECT that comes next and ends the connection. */
export async function endReason(client: MqttClient): Promise<number> {
  const { reasonCode } = await client.receive('disconnect')
  await client.closed()
  return reasonCode
}

/** A client that is shown the bytes of each packet. */
export class RawClient implements AsyncDisposable {
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #isClosed = false
  #wake = (): void => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
  }

  static async connect(server: MqttServer): Promise<RawClient> {
    const socket = connect({ port: server.port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  /** A client that is let in, and whose CONNACK was taken. */
  static async login(server: MqttServer, options: ConnectOptions = {}): Promise<RawClient> {
    const client = await RawClient.connect(server)
    client.send(connectPacket(options))
    const connack = await client.receive()
    assert.equal(connack[3], 0)
    return client
  }

  send(what: Packet | Uint8Array): void {
    this.#socket.write(what instanceof Uint8Array ? what : encodePacket(what, 5))
  }

  /** The bytes of the next packet; none when the connection ends before. */
  async receive(): Promise<Buffer> {
    for (;;) {
      const size = sizeOf(this.#bytes)
      if (size > 0 && this.#bytes.length >= size) {
        const found = this.#bytes.subarray(0, size)
        this.#bytes = this.#bytes.subarray(size)
        return found
      }
      if (this.#isClosed) return this.#bytes
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    return Promise.resolve()
  }
}

/** Size of the packet that begins here; 0 while its Remaining Length is incomplete. */
function sizeOf(bytes: Buffer): number {
  let length = 0
  for (let i = 1; i < bytes.length && i < 5; i++) {
    const byte = bytes[i] ?? 0
    length |= (byte & 0x7f) << (7 * (i - 1))
    if (byte < 0x80) return i + 1 + length
  }
  return 0
}

/** Texts of the next messages, acknowledged. */
export async function texts(client: MqttClient, count: number): Promise<string[]> {
  const received: string[] = []
  while (received.length < count) received.push((await client.receiveMessage()).text)
  return received
}

/** The connection breaks; resolves when the server has noticed. */
export async function drop(server: MqttServer, client: MqttClient): Promise<void> {
  const noticed = new Promise<void>((resolve) => {
    server.hooks().on(mqttSessionClosed, () => resolve(), 'test')
  })
  client.drop()
  await noticed
}

/** A client whose session outlives it by 250 seconds. */
export function lasting(clientId: string, more: ConnectOptions = {}): ConnectOptions {
  return {
    ...more,
    clientId,
    cleanStart: false,
    properties: { sessionExpiryInterval: 250, ...more.properties },
  }
}
