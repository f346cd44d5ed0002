import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import type { ConnectOptions } from '../support/mqtt-client.ts'
import { connectByWebSocket } from '../support/mqtt-websocket.ts'
import { TestClock, TestServer } from '../support/server.ts'

const shapers = {
  shaper: { slow: 1000, five: 5, two: { rate: 1, burst_size: 2 } },
  acl: { juliet: { user: 'juliet' } },
  shaper_rules: {
    slow: [{ none: 'juliet' }, { slow: 'all' }],
    five: [{ none: 'juliet' }, { five: 'all' }],
    two: { two: 'all' },
  },
}

/** A server with those shapers whose clock stands still. */
function start(listener: Readonly<Record<string, unknown>>): Promise<MqttServer> {
  return MqttServer.start({ config: shapers, listener, clock: new TestClock() })
}

/** Nothing has come to the client by the time that another one has had an answer. */
async function hearsNothingMore(server: MqttServer, client: MqttClient): Promise<void> {
  await using other = await server.login({ clientId: 'other' })
  await other.hearsNothing()
  assert.equal(client.pending, 0)
}

function publications(count: number, bytes = 1) {
  return Array.from({ length: count }, (_, i) => ({
    kind: 'publish' as const,
    topic: 'a',
    payload: Buffer.alloc(bytes),
    qos: 1 as const,
    retain: false,
    dup: false,
    packetId: i + 1,
    properties: {},
  }))
}

suite('message_shaper', () => {
  // shows: listener mod_mqtt.message_shaper
  test('slows down who publishes too fast, and loses nothing', async () => {
    await using server = await start({ message_shaper: 'five' })
    await using client = await server.login({ userName: 'romeo' })
    client.sendAll(publications(12))
    // Five at once; the next one is what the pause is for.
    for (let i = 1; i <= 6; i++) assert.equal((await client.receive('puback')).packetId, i)
    await hearsNothingMore(server, client)
    for (let i = 7; i <= 12; i++) {
      server.clock.advance(200)
      assert.equal((await client.receive('puback')).packetId, i)
    }
    await hearsNothingMore(server, client)
    // Whoever has been quiet may hurry once more.
    server.clock.advance(10_000)
    client.sendAll(publications(5))
    for (let i = 1; i <= 5; i++) assert.equal((await client.receive('puback')).packetId, i)
  })

  test('holds for QoS 0 too, and not for whom its rule exempts', async () => {
    await using server = await start({ message_shaper: 'five' })
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('a')
    await using slow = await server.login({ userName: 'romeo' })
    slow.sendAll(publications(12).map((packet) => ({ ...packet, qos: 0 as const, packetId: 0 })))
    for (let i = 0; i < 6; i++) await watcher.receiveMessage()
    await hearsNothingMore(server, watcher)
    server.clock.advance(200)
    await watcher.receiveMessage()
    await using fast = await server.login({ clientId: 'fast' })
    fast.sendAll(publications(50))
    for (let i = 0; i < 50; i++) await fast.receive('puback')
  })

  test('does not take silence that it causes for the client’s', async () => {
    await using server = await start({ message_shaper: 'five' })
    await using client = await server.login({ userName: 'romeo', keepAlive: 1 })
    client.sendAll(publications(60))
    for (let i = 1; i <= 60; i++) {
      server.clock.advance(200)
      assert.equal((await client.receive('puback')).packetId, i)
    }
  })
})

suite('shaper', () => {
  // shows: listener mod_mqtt.shaper
  test('slows down who sends too many bytes, and loses nothing', async () => {
    await using server = await start({ shaper: 'slow' })
    await using client = await server.login({ userName: 'romeo' })
    // The first takes three seconds from those that follow.
    client.sendAll(publications(1, 4000))
    await client.receive('puback')
    client.sendAll(publications(2).slice(1))
    await hearsNothingMore(server, client)
    server.clock.advance(2000)
    await hearsNothingMore(server, client)
    server.clock.advance(2000)
    assert.equal((await client.receive('puback')).packetId, 2)
    await using juliet = await server.login({ clientId: 'juliet' })
    juliet.sendAll(publications(3, 10_000))
    for (let i = 1; i <= 3; i++) await juliet.receive('puback')
  })

  test('of the first listener holds for WebSockets', async () => {
    const clock = new TestClock()
    await using server = await TestServer.start({
      clock,
      config: {
        ...shapers,
        listen: [
          { port: 0, ip: '127.0.0.1', module: 'mod_mqtt', message_shaper: 'five' },
          { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' },
          {
            port: 0,
            ip: '127.0.0.1',
            module: 'ejabberd_http',
            request_handlers: { '/mqtt': 'mod_mqtt' },
          },
        ],
        modules: { mod_mqtt: {} },
      },
    })
    await server.ok('register', 'romeo', 'localhost', 'secret')
    const opened = await connectByWebSocket(server.port('ejabberd_http'))
    await using slow = opened.client
    await slow.login({ userName: 'romeo', clientId: 'slow' })
    slow.sendAll(publications(12))
    for (let i = 1; i <= 6; i++) assert.equal((await slow.receive('puback')).packetId, i)
    // The second listener has no limit.
    await using fast = await MqttClient.connect(server.port('mod_mqtt', 1))
    await fast.login({ userName: 'romeo', clientId: 'fast' })
    fast.sendAll(publications(50))
    for (let i = 0; i < 50; i++) await fast.receive('puback')
    assert.equal(slow.pending, 0)
    for (let i = 7; i <= 12; i++) {
      clock.advance(200)
      assert.equal((await slow.receive('puback')).packetId, i)
    }
  })
})

async function tried(server: MqttServer, options: ConnectOptions = {}): Promise<number> {
  await using client = await server.connect()
  client.sendConnect(options)
  const { reasonCode } = await client.receive('connack')
  if (reasonCode !== 0) await client.closed()
  else await client.disconnect()
  return reasonCode
}

function limited(server: MqttServer, limit: string): number {
  return server.metric('linnet_mqtt_connections_limited_total', `limit="${limit}"`)
}

// shows: listener mod_mqtt.connection_shaper
test('connection_shaper refuses who connects too often', async () => {
  await using server = await start({ connection_shaper: 'two' })
  assert.equal(await tried(server), 0)
  assert.equal(await tried(server), 0)
  const rate = ReasonCode.connectionRateExceeded
  assert.equal(await tried(server), rate)
  // Before anybody looks at the password.
  assert.equal(await tried(server, { password: 'wrong' }), rate)
  // MQTT 3 has no word for it but "server unavailable".
  assert.equal(await tried(server, { version: 4 }), ReasonCode.serverUnavailable)
  // Who was refused did not make it worse.
  server.clock.advance(1000)
  assert.equal(await tried(server), 0)
  assert.equal(await tried(server), rate)
  assert.equal(limited(server, 'connection_shaper'), 4)
})

// shows: listener mod_mqtt.max_connections
test('max_connections bounds the connections of a listener', async () => {
  await using server = await start({ max_connections: 2 })
  await using first = await server.login({ clientId: 'first' })
  await using second = await server.login({ clientId: 'second' })
  assert.equal(await tried(server), ReasonCode.serverBusy)
  assert.equal(await tried(server, { version: 4 }), ReasonCode.serverUnavailable)
  // They who are there are not disturbed, and make room when they go.
  await first.hearsNothing()
  await second.disconnect()
  assert.equal(await tried(server), 0)
  assert.equal(await tried(server), 0)
  assert.equal(limited(server, 'max_connections'), 2)
})

test('connections beyond the limit that say nothing do not gather', async () => {
  await using server = await start({ max_connections: 1 })
  await using client = await server.login()
  await using silent = await server.connect()
  silent.sendBytes(Buffer.from([0x10]))
  await client.hearsNothing()
  server.clock.advance(32_000)
  await silent.closed()
  await client.hearsNothing()
})

// shows: listener mod_mqtt.max_connections_per_address
test('max_connections_per_address bounds those of one address', async () => {
  await using server = await start({ max_connections_per_address: 1 })
  await using client = await server.login()
  assert.equal(await tried(server), ReasonCode.quotaExceeded)
  await client.disconnect()
  assert.equal(await tried(server), 0)
  assert.equal(limited(server, 'max_connections_per_address'), 1)
})

test('a reload changes the limits of an open listener', async () => {
  const listen = { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }
  await using server = await TestServer.start({
    config: { listen: [{ ...listen, max_connections: 2 }], modules: { mod_mqtt: {} } },
  })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  const port = server.port('mod_mqtt')
  await using first = await MqttClient.connect(port)
  await first.login({ clientId: 'first' })
  await using second = await MqttClient.connect(port)
  await second.login({ clientId: 'second' })
  await server.reload({ listen: [{ ...listen, max_connections: 1, max_payload_size: 500 }] })
  // The port is the same, and so is the count.
  assert.equal(server.port('mod_mqtt'), port)
  await second.disconnect()
  await using third = await MqttClient.connect(port)
  third.sendConnect({ clientId: 'third' })
  assert.equal((await third.receive('connack')).reasonCode, ReasonCode.serverBusy)
  // CONNACK promised more.
  assert.equal(await first.publish('a', Buffer.alloc(1000), { qos: 1 }), 0x10)
  await server.reload({ listen: [{ ...listen, max_payload_size: 500 }] })
  await using fourth = await MqttClient.connect(port)
  const { properties } = await fourth.login({ clientId: 'fourth' })
  assert.equal(properties.maximumPacketSize, 502)
})

test('max_user_sessions bounds the connections of an account', async () => {
  await using server = await MqttServer.start({ module: { max_user_sessions: 2 } })
  await using first = await server.login({ clientId: 'first' })
  await using second = await server.login({ clientId: 'second' })
  assert.equal(await tried(server, { clientId: 'third' }), ReasonCode.quotaExceeded)
  assert.equal(await tried(server, { clientId: 'third', userName: 'romeo' }), 0)
  // Who comes again takes the place of its own session.
  assert.equal(await tried(server, { clientId: 'first' }), 0)
  await first.receive('disconnect')
  await second.hearsNothing()
})
