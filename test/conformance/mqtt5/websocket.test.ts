import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { WebSocket } from 'ws'
import type { RawData } from 'ws'
import { PacketDecoder } from '../../../src/mqtt/packet/decode.ts'
import { maxPacketBytes } from '../../../src/mqtt/packet/size.ts'
import type { Packet } from '../../../src/mqtt/packet/packet.ts'
import { TestServer } from '../../support/server.ts'
import { connectBytes, hex, text } from './wire.ts'

const config = {
  listen: [
    {
      port: 0,
      ip: '127.0.0.1',
      module: 'ejabberd_http',
      request_handlers: { '/mqtt': 'mod_mqtt' },
    },
  ],
  modules: { mod_mqtt: {} },
}

const connect = connectBytes({ payload: [text('test'), text('juliet'), text('secret')] })

async function start(): Promise<TestServer> {
  const server = await TestServer.start({ config })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  return server
}

/** MQTT over WebSocket, frame by frame. */
class FrameClient implements AsyncDisposable {
  readonly socket: WebSocket
  readonly #decoder = new PacketDecoder({ maxPacketBytes, version: 5, receiver: 'client' })
  readonly #packets: Packet[] = []
  #isClosed = false
  #wake = (): void => undefined

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: RawData, isBinary: boolean) => {
      assert.equal(isBinary, true)
      const bytes = Buffer.isBuffer(data) ? data : Buffer.alloc(0)
      this.#decoder.push(bytes, 0, bytes.length, {
        packet: (packet) => this.#packets.push(packet),
        publish: (view) => this.#packets.push(view.toPublish()),
      })
      this.#wake()
    })
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
  }

  static async open(server: TestServer, subprotocols: string | string[]): Promise<FrameClient> {
    const url = `ws://127.0.0.1:${server.port('ejabberd_http')}/mqtt`
    const socket = new WebSocket(url, subprotocols)
    const client = new FrameClient(socket)
    await once(socket, 'open')
    return client
  }

  async next(): Promise<Packet | undefined> {
    while (this.#packets.length === 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#packets.shift()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate()
    return Promise.resolve()
  }
}

suite('MQTT over WebSocket', () => {
  // shows: MQTT5 6.0.0-3, 6.0.0-4
  test('is the subprotocol "mqtt", which the server selects', async () => {
    await using server = await start()
    for (const offered of [['mqtt'], ['other', 'mqtt'], ['mqtt', 'other']]) {
      await using client = await FrameClient.open(server, offered)
      assert.equal(client.socket.protocol, 'mqtt')
      client.socket.send(connect)
      assert.equal((await client.next())?.kind, 'connack')
    }
    const url = `ws://127.0.0.1:${server.port('ejabberd_http')}/mqtt`
    const wrong = new WebSocket(url, ['xmpp'])
    const [error] = await once(wrong, 'error')
    assert.match(String(error), /400/)
  })

  // shows: MQTT5 6.0.0-2, 4.2.0-1
  test('is a stream of bytes: packets may lie in frames in any way', async () => {
    await using server = await start()
    const stream = Buffer.concat([
      connect,
      hex('82 07 0001 00 0001 61 02'),
      hex('32 07 0001 61 0001 00 78'),
      hex('c0 00'),
      hex('40 02 0001'),
    ])
    for (const size of [1, 2, 5, 7, stream.length]) {
      await using client = await FrameClient.open(server, 'mqtt')
      for (let at = 0; at < stream.length; at += size) {
        client.socket.send(stream.subarray(at, at + size))
      }
      const kinds: string[] = []
      for (let i = 0; i < 5; i++) kinds.push((await client.next())?.kind ?? 'end')
      assert.deepEqual(kinds.slice(0, 2), ['connack', 'suback'])
      assert.deepEqual(kinds.slice(2).sort(), ['pingresp', 'puback', 'publish'])
    }
    // A packet may be in the fragments of one frame, too, and an empty frame is no packet.
    await using client = await FrameClient.open(server, 'mqtt')
    client.socket.send(connect.subarray(0, 9), { fin: false })
    client.socket.send(connect.subarray(9), { fin: true })
    client.socket.send(Buffer.alloc(0))
    assert.equal((await client.next())?.kind, 'connack')
    client.socket.send(hex('c0 00'))
    assert.equal((await client.next())?.kind, 'pingresp')
  })

  // shows: MQTT5 6.0.0-1
  test('does not go through text frames: they end the connection', async () => {
    await using server = await start()
    for (const isEarly of [true, false]) {
      await using client = await FrameClient.open(server, 'mqtt')
      if (!isEarly) {
        client.socket.send(connect)
        assert.equal((await client.next())?.kind, 'connack')
      }
      // It would be a PINGREQ, or the beginning of a CONNECT.
      client.socket.send(isEarly ? '\u0010' : 'x', { binary: false })
      const last = await client.next()
      if (last !== undefined) {
        assert.equal(last.kind, 'disconnect')
        assert.equal(await client.next(), undefined)
      }
    }
  })
})
