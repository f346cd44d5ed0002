import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { connect as connectMqtt, connectAsync } from 'mqtt'
import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt'
import { TestServer } from '../support/server.ts'

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
  modules: { mod_mqtt: { access_publish: { 'room/#': 'all' } } },
}

const credentials = { username: 'juliet@localhost', password: 'secret', reconnectPeriod: 0 }

async function start(): Promise<TestServer> {
  const server = await TestServer.start({ config })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  return server
}

/** Collects messages, in the order in which they come. */
class Inbox {
  readonly #messages: string[] = []
  #wake = (): void => undefined

  constructor(client: MqttClient) {
    client.on('message', (topic: string, payload: Buffer, packet: IPublishPacket) => {
      this.#messages.push(`${topic}=${payload.toString()} ${packet.qos}${packet.retain ? 'r' : ''}`)
      this.#wake()
    })
  }

  async take(count: number): Promise<string[]> {
    while (this.#messages.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#messages.splice(0, count)
  }
}

function connect(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  return connectAsync(url, { ...credentials, ...options })
}

const ways = [
  ['TCP', (server: TestServer) => `mqtt://127.0.0.1:${server.port('mod_mqtt')}`],
  ['WebSocket', (server: TestServer) => `ws://127.0.0.1:${server.port('ejabberd_http')}/mqtt`],
] as const

for (const [name, urlOf] of ways) {
  suite(`mqtt.js over ${name}`, () => {
    for (const protocolVersion of [3, 4, 5] as const) {
      test(`publishes and receives (level ${protocolVersion})`, async () => {
        await using server = await start()
        const url = urlOf(server)
        const options: IClientOptions = {
          protocolVersion,
          ...(protocolVersion === 3 && { protocolId: 'MQIsdp' }),
        }
        const client = await connect(url, { ...options, clientId: 'reader' })
        const publisher = await connect(url, { ...options, clientId: 'writer' })
        const inbox = new Inbox(client)
        const granted = await client.subscribeAsync('room/+', { qos: 2 })
        assert.deepEqual(
          granted.map(({ qos }) => qos),
          [2],
        )
        for (const qos of [0, 1, 2] as const) {
          await publisher.publishAsync('room/kitchen', `warm ${qos}`, { qos, retain: qos === 1 })
        }
        assert.deepEqual(await inbox.take(3), [
          'room/kitchen=warm 0 0',
          'room/kitchen=warm 1 1',
          'room/kitchen=warm 2 2',
        ])
        const late = await connect(url, { ...options, clientId: 'late' })
        const lateInbox = new Inbox(late)
        await late.subscribeAsync('#', { qos: 1 })
        assert.deepEqual(await lateInbox.take(1), ['room/kitchen=warm 1 1r'])
        for (const each of [client, publisher, late]) await each.endAsync()
      })
    }

    test('carries large payloads and many messages', async () => {
      await using server = await start()
      const client = await connect(urlOf(server), { clientId: 'reader' })
      const inbox = new Inbox(client)
      await client.subscribeAsync('room/#', { qos: 1 })
      const large = 'x'.repeat(1_000_000)
      await client.publishAsync('room/a', large, { qos: 1 })
      assert.deepEqual(await inbox.take(1), [`room/a=${large} 1`])
      const count = 2000
      for (let i = 0; i < count; i++) client.publish('room/b', `${i}`, { qos: 1 })
      const expected = Array.from({ length: count }, (_, i) => `room/b=${i} 1`)
      assert.deepEqual(await inbox.take(count), expected)
      await client.endAsync()
    })

    test('comes back to its session', async () => {
      await using server = await start()
      const options: IClientOptions = {
        clientId: 'lasting',
        clean: false,
        protocolVersion: 5,
        properties: { sessionExpiryInterval: 100 },
      }
      const client = await connect(urlOf(server), options)
      await client.subscribeAsync('room/a', { qos: 1 })
      await client.endAsync()
      const publisher = await connect(urlOf(server), { clientId: 'writer' })
      await publisher.publishAsync('room/a', 'missed', { qos: 1 })
      // What waits comes right behind CONNACK.
      const back = connectMqtt(urlOf(server), { ...credentials, ...options })
      const inbox = new Inbox(back)
      assert.deepEqual(await inbox.take(1), ['room/a=missed 1'])
      for (const each of [publisher, back]) await each.endAsync()
    })

    test('is told of wrong passwords and of what it may not do', async () => {
      await using server = await start()
      const url = urlOf(server)
      const options: IClientOptions = { protocolVersion: 5 }
      await assert.rejects(connect(url, { ...options, password: 'wrong' }), /Bad User Name/i)
      const client = await connect(url, options)
      await assert.rejects(client.publishAsync('hall', 'x', { qos: 1 }), /Not authorized/i)
      await client.endAsync()
    })
  })
}

test('a client that gave up its WebSocket has its will published', async () => {
  await using server = await start()
  const url = ways[1][1](server)
  const watcher = await connect(url, { clientId: 'watcher' })
  const inbox = new Inbox(watcher)
  await watcher.subscribeAsync('room/#')
  const mortal = await connect(url, {
    clientId: 'mortal',
    will: { topic: 'room/will', payload: Buffer.from('bye'), qos: 0, retain: false },
  })
  mortal.stream.destroy()
  assert.deepEqual(await inbox.take(1), ['room/will=bye 0'])
  await watcher.endAsync()
})
