import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { WebSocket } from 'ws'
import { PacketDecoder } from '../../../src/mqtt/packet/decode.ts'
import { encodePacket } from '../../../src/mqtt/packet/encode.ts'
import type { Packet } from '../../../src/mqtt/packet/packet.ts'
import { connectPacket, MqttClient } from '../../support/mqtt-client.ts'
import { TestServer } from '../../support/server.ts'

/** MQTT 3.1.1, chapters 6 and 7: WebSocket, and the whole server by its transports. */

const config = {
  listen: [
    { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' },
    {
      port: 0,
      ip: '127.0.0.1',
      module: 'ejabberd_http',
      request_handlers: { '/mqtt': 'mod_mqtt' },
    },
  ],
  modules: { mod_mqtt: {} },
}

async function start(): Promise<TestServer> {
  const server = await TestServer.start({ config })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  return server
}

function urlOf(server: TestServer): string {
  return `ws://127.0.0.1:${server.port('ejabberd_http')}/mqtt`
}

/** A client over WebSocket that decides about its frames. */
class FrameClient implements AsyncDisposable {
  readonly socket: WebSocket
  readonly #decoder = new PacketDecoder({
    maxPacketBytes: 10_000,
    version: 4,
    receiver: 'client',
  })
  readonly #packets: Packet[] = []
  #wake = (): void => undefined

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('message', (data: Buffer, isBinary) => {
      assert.ok(isBinary, 'the server sent a text frame')
      const outcome = this.#decoder.push(data, 0, data.length, {
        packet: (packet) => this.#packets.push(packet),
        publish: (view) => this.#packets.push(view.toPublish()),
      })
      assert.notEqual(outcome.kind, 'malformed')
      this.#wake()
    })
    socket.on('close', () => this.#wake())
  }

  static async open(server: TestServer): Promise<FrameClient> {
    const socket = new WebSocket(urlOf(server), ['mqtt'])
    await once(socket, 'open')
    return new FrameClient(socket)
  }

  /** The next packet; undefined when the connection has ended. */
  async next(): Promise<Packet | undefined> {
    while (this.#packets.length === 0 && this.socket.readyState !== WebSocket.CLOSED) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#packets.shift()
  }

  async kinds(count: number): Promise<(string | undefined)[]> {
    const kinds: (string | undefined)[] = []
    while (kinds.length < count) kinds.push((await this.next())?.kind)
    return kinds
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate()
    return Promise.resolve()
  }
}

const connect = encodePacket(connectPacket({ version: 4, userName: 'juliet@localhost' }), 4)
const ping = encodePacket({ kind: 'pingreq' }, 4)
const subscribe = encodePacket(
  {
    kind: 'subscribe',
    packetId: 1,
    subscriptions: [
      { filter: 'a', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    ],
    properties: {},
  },
  4,
)

suite('over WebSocket', () => {
  // shows: MQTT3 6.0.0-1
  test('packets go in binary frames, and a text frame ends the connection', async () => {
    await using server = await start()
    await using client = await FrameClient.open(server)
    client.socket.send(connect)
    client.socket.send(ping)
    assert.deepEqual(await client.kinds(2), ['connack', 'pingresp'])
    client.socket.send('\u00c0\0', { binary: false })
    assert.equal(await client.next(), undefined)
  })

  // shows: MQTT3 6.0.0-2
  test('packets and frames need not begin together', async () => {
    await using server = await start()
    await using client = await FrameClient.open(server)
    for (const byte of connect) client.socket.send(Buffer.from([byte]))
    assert.deepEqual(await client.kinds(1), ['connack'])
    // Two packets and a half, and the other half.
    const all = Buffer.concat([ping, subscribe, ping])
    client.socket.send(all.subarray(0, all.length - 1))
    client.socket.send(all.subarray(all.length - 1))
    assert.deepEqual(await client.kinds(3), ['pingresp', 'suback', 'pingresp'])
    // One message of WebSocket in several frames.
    client.socket.send(all.subarray(0, 3), { fin: false })
    client.socket.send(all.subarray(3, 9), { fin: false })
    client.socket.send(all.subarray(9), { fin: true })
    assert.deepEqual(await client.kinds(3), ['pingresp', 'suback', 'pingresp'])
  })

  // shows: MQTT3 6.0.0-3, 6.0.0-4
  test('the subprotocol is "mqtt"', async () => {
    await using server = await start()
    for (const offered of [['mqtt'], ['other', 'mqtt'], ['mqtt', 'other']]) {
      const socket = new WebSocket(urlOf(server), offered)
      await once(socket, 'open')
      assert.equal(socket.protocol, 'mqtt')
      socket.terminate()
    }
    const refused = new WebSocket(urlOf(server), ['other'])
    const [error] = (await once(refused, 'error')) as [Error] // as ws documents
    assert.match(error.message, /400/)
  })
})

// shows: MQTT3 7.1.1-1, 7.0.0-2
test('clients of all transports meet', async () => {
  await using server = await start()
  await using web = await FrameClient.open(server)
  web.socket.send(connect)
  web.socket.send(subscribe)
  assert.deepEqual(await web.kinds(2), ['connack', 'suback'])
  await using client = await MqttClient.connect(server.port('mod_mqtt'))
  await client.login({ version: 4, clientId: 'tcp', userName: 'juliet@localhost' })
  await client.publish('a', 'x', { qos: 1 })
  assert.deepEqual(await web.kinds(1), ['publish'])
})
