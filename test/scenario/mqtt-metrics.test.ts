import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import type { FullJid } from '../../src/xmpp/jid/jid.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { MqttClient } from '../support/mqtt-client.ts'

const lasting = { clientId: 'l', cleanStart: false, properties: { sessionExpiryInterval: 100 } }

function packets(server: MqttServer, way: 'received' | 'sent', type: string): number {
  return server.metric(`linnet_mqtt_packets_${way}_total`, `host="localhost",type="${type}"`)
}

function messages(server: MqttServer, way: 'received' | 'sent'): readonly number[] {
  return [0, 1, 2].map((qos) =>
    server.metric(`linnet_mqtt_messages_${way}_total`, `host="localhost",qos="${qos}"`),
  )
}

function dropped(server: MqttServer, reason: string): number {
  const labels = `host="localhost",reason="${reason}"`
  return server.metric('linnet_mqtt_messages_dropped_total', labels)
}

test('packets are counted by type, messages by QoS', async () => {
  await using server = await MqttServer.start()
  await using reader = await server.login({ clientId: 'r' })
  await reader.subscribe('a/#')
  await reader.subscribe('b')
  await reader.unsubscribe('b')
  await using writer = await server.login({ clientId: 'w' })
  for (const [qos, count] of [
    [0, 3],
    [1, 2],
    [2, 1],
  ] as const) {
    for (let i = 0; i < count; i++) {
      await writer.publish('a/b', 'x', { qos })
      await reader.receiveMessage()
    }
  }
  await reader.hearsNothing()
  await writer.disconnect()
  assert.deepEqual(messages(server, 'received'), [3, 2, 1])
  assert.deepEqual(messages(server, 'sent'), [3, 2, 1])
  const received = {
    connect: 2,
    publish: 6,
    puback: 2,
    pubrec: 1,
    pubrel: 1,
    pubcomp: 1,
    subscribe: 2,
    unsubscribe: 1,
    pingreq: 1,
    disconnect: 1,
    auth: 0,
  }
  for (const [type, count] of Object.entries(received)) {
    assert.equal(packets(server, 'received', type), count, type)
  }
  const sent = {
    connack: 2,
    publish: 6,
    puback: 2,
    pubrec: 1,
    pubrel: 1,
    pubcomp: 1,
    suback: 2,
    unsuback: 1,
    pingresp: 1,
    disconnect: 0,
    auth: 0,
  }
  for (const [type, count] of Object.entries(sent)) {
    assert.equal(packets(server, 'sent', type), count, type)
  }
})

test('bytes are those that go over the connection', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login()
  await client.subscribe('a')
  for (const qos of [0, 1, 2] as const) {
    await client.publish('a', 'payload', { qos })
    await client.receiveMessage()
  }
  await client.hearsNothing()
  const { connection } =
    server.broker().sessions.byKey.get('juliet@localhost/test' as FullJid) ?? {}
  const { bytesRead, bytesWritten } = connection?.transport ?? assert.fail('no connection')
  assert.equal(server.metric('linnet_mqtt_received_bytes_total'), bytesRead)
  assert.equal(server.metric('linnet_mqtt_sent_bytes_total'), bytesWritten)
  // PUBLISH: header 2, topic 3, properties 1, payload 7, packet identifier 2 for two of them.
  assert.equal(server.metric('linnet_mqtt_messages_received_bytes_total'), 3 * 13 + 2 * 2)
  assert.equal(server.metric('linnet_mqtt_messages_sent_bytes_total'), 3 * 13 + 2 * 2)
})

test('what is there is told', async () => {
  await using server = await MqttServer.start()
  await using away = await server.login(lasting)
  await away.subscribe('a', { qos: 1 })
  await away.subscribe('$share/g/b', { qos: 1 })
  await away.disconnect()
  await using slow = await server.login({ clientId: 'slow', properties: { receiveMaximum: 1 } })
  await slow.subscribe('a', { qos: 1 })
  await using writer = await server.login({ clientId: 'w' })
  await writer.publish('a', '1', { qos: 1 })
  await writer.publish('a', '2', { qos: 1 })
  await writer.publish('r', 'retained', { qos: 1, retain: true })
  const gauges = (): Record<string, number> =>
    Object.fromEntries(
      [
        'connections',
        'sessions',
        'subscriptions',
        'shared_subscriptions',
        'queued',
        'inflight',
        'retained',
        'sessions_expired_total',
      ].map((name) => [name, server.metric(`linnet_mqtt_${name}`)]),
    )
  assert.deepEqual(gauges(), {
    connections: 2,
    sessions: 3,
    subscriptions: 3,
    shared_subscriptions: 1,
    // Two for who is away, one behind the one in flight.
    queued: 3,
    inflight: 1,
    retained: 1,
    sessions_expired_total: 0,
  })
  assert.ok(server.metric('linnet_mqtt_pending_bytes') > 0)
  assert.ok(server.metric('linnet_mqtt_retained_bytes') > 8)
  for (let i = 0; i < 2; i++) await slow.receiveMessage()
  await slow.unsubscribe('a')
  await slow.hearsNothing()
  server.clock.advance(100_000)
  assert.deepEqual(gauges(), {
    connections: 2,
    sessions: 2,
    subscriptions: 0,
    shared_subscriptions: 0,
    queued: 0,
    inflight: 0,
    retained: 1,
    sessions_expired_total: 1,
  })
  assert.equal(server.metric('linnet_mqtt_pending_bytes'), 0)
})

suite('lost messages are counted by reason', () => {
  async function withAway(
    module: Readonly<Record<string, unknown>>,
  ): Promise<{ server: MqttServer; writer: MqttClient }> {
    const server = await MqttServer.start({ module })
    await using away = await server.login(lasting)
    await away.subscribe('a', { qos: 1 })
    await away.disconnect()
    return { server, writer: await server.login({ clientId: 'w' }) }
  }

  test('queue_full and qos0_away', async () => {
    const { server, writer } = await withAway({ max_queue: 2 })
    await using _server = server
    await writer.publish('a', '0')
    await writer.publish('a', '1', { qos: 1 })
    await writer.publish('a', '2', { qos: 1 })
    await writer.publish('a', '3', { qos: 1 })
    await writer.publish('a', '0')
    await writer.hearsNothing()
    // The first made room, the last found none.
    assert.equal(dropped(server, 'qos0_away'), 2)
    assert.equal(dropped(server, 'queue_full'), 1)
  })

  test('session_ended', async () => {
    const { server, writer } = await withAway({})
    await using _server = server
    await writer.publish('a', '0')
    for (const qos of [1, 2] as const) await writer.publish('a', 'x', { qos })
    server.clock.advance(100_000)
    assert.equal(dropped(server, 'session_ended'), 2)
    assert.equal(dropped(server, 'qos0_away'), 1)
    assert.equal(server.metric('linnet_mqtt_queued'), 0)
  })

  test('expired', async () => {
    const { server, writer } = await withAway({})
    await using _server = server
    await writer.publish('a', 'x', { qos: 1, properties: { messageExpiryInterval: 5 } })
    await writer.publish('a', 'y', { qos: 1, properties: { messageExpiryInterval: 50 } })
    server.clock.advance(10_000)
    await using back = await server.login(lasting)
    assert.equal((await back.receiveMessage()).text, 'y')
    assert.equal(dropped(server, 'expired'), 1)
  })

  test('too_large', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login({ properties: { maximumPacketSize: 50 } })
    await client.subscribe('a')
    for (const qos of [0, 1] as const) await client.publish('a', 'x'.repeat(100), { qos })
    await client.hearsNothing()
    assert.equal(dropped(server, 'too_large'), 2)
  })

  test('denied', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { a: 'all' } } })
    await using client = await server.login()
    for (const qos of [0, 1, 2] as const) await client.publish('b', 'x', { qos })
    await client.hearsNothing()
    assert.equal(dropped(server, 'denied'), 3)
  })
})

suite('the time from PUBLISH to PUBLISH', () => {
  const count = (server: MqttServer): number => server.metric('linnet_mqtt_delivery_seconds_count')
  const sum = (server: MqttServer): number => server.metric('linnet_mqtt_delivery_seconds_sum')

  test('is measured for every message when there are few', async () => {
    await using server = await MqttServer.start()
    await using one = await server.login({ clientId: '1' })
    await using two = await server.login({ clientId: '2' })
    for (const client of [one, two]) await client.subscribe('a')
    await using writer = await server.login({ clientId: 'w' })
    let expected = 0
    for (const qos of [0, 1, 2] as const) {
      await writer.publish('a', 'x', { qos })
      for (const client of [one, two]) await client.receiveMessage()
      // Subscribers who get it at the same time count once.
      expected += 1
      assert.equal(count(server), expected)
    }
    await writer.publish('nobody', 'x', { qos: 1 })
    assert.equal(count(server), expected)
    // The clock stands still.
    assert.equal(sum(server), 0)
  })

  test('holds the time that a message waits', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login(lasting)
    await client.subscribe('a')
    await client.disconnect()
    await using writer = await server.login({ clientId: 'w' })
    await writer.publish('a', 'x', { qos: 1 })
    assert.equal(count(server), 0)
    server.clock.advance(20_000)
    await using back = await server.login(lasting)
    const { packetId } = await back.receive('publish')
    assert.deepEqual([count(server), sum(server)], [1, 20])
    const bucket = (le: string): number =>
      server.metric('linnet_mqtt_delivery_seconds_bucket', `host="localhost",le="${le}"`)
    assert.deepEqual([bucket('10'), bucket('60'), bucket('+Inf')], [0, 1, 1])
    // Sent again it is no new message.
    back.drop()
    await using again = await server.login(lasting)
    assert.equal((await again.receive('publish')).packetId, packetId)
    assert.equal(count(server), 1)
  })

  test('does not hold the age of retained messages', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.publish('a', 'x', { qos: 1, retain: true })
    server.clock.advance(20_000)
    await client.subscribe('a')
    await client.receiveMessage()
    assert.equal(count(server), 0)
  })

  test('is measured for some of many, and nothing is lost by it', async () => {
    await using server = await MqttServer.start()
    await using reader = await server.login({ clientId: 'r' })
    await reader.subscribe('a', { qos: 0 })
    await using writer = await server.login({ clientId: 'w' })
    const many = 4000
    const packet = { kind: 'publish', dup: false, retain: false, topic: 'a' } as const
    writer.sendAll(
      Array.from({ length: many }, (_, i) => ({
        ...packet,
        qos: 0,
        packetId: 0,
        payload: Buffer.from(`${i}`),
        properties: {},
      })),
    )
    for (let i = 0; i < many; i++) {
      assert.equal(Buffer.from((await reader.receive('publish')).payload).toString(), `${i}`)
    }
    // 128 one by one, 128 of 256, of 512, of 1024, of 2048, and of what is left.
    assert.equal(count(server), 5 * 128 + Math.floor((many - 31 * 128) / 32))
  })
})

test('every figure is described in the handbook', async () => {
  await using server = await MqttServer.start()
  const handbook = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const families = [...server.metrics.render().matchAll(/^# TYPE (linnet_mqtt_\w+) /gm)]
  assert.ok(families.length > 20)
  for (const [, name = ''] of families) assert.ok(handbook.includes(`\`${name}\``), name)
})
