import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { ConnectOptions, MqttClient } from '../support/mqtt-client.ts'

const lasting: ConnectOptions = {
  clientId: 'lasting',
  cleanStart: false,
  properties: { sessionExpiryInterval: 200 },
}

async function texts(client: MqttClient, count: number): Promise<string[]> {
  const received: string[] = []
  while (received.length < count) received.push((await client.receiveMessage()).text)
  return received
}

/** Logs in; whether the session was there before. */
async function isPresent(server: MqttServer, options: ConnectOptions): Promise<boolean> {
  await using client = await server.connect()
  const { sessionPresent } = await client.login(options)
  await client.disconnect()
  return sessionPresent
}

// shows: module mod_mqtt
test('keeps subscriptions and what is published meanwhile (MQTT5 3.1.2.4)', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login(lasting)
  await client.subscribe('a', { qos: 1 })
  await client.disconnect()
  await using publisher = await server.login({ clientId: 'from' })
  for (const qos of [0, 1, 2] as const) await publisher.publish('a', `${qos}`, { qos })
  await publisher.hearsNothing()
  await using back = await server.connect()
  assert.equal((await back.login(lasting)).sessionPresent, true)
  assert.deepEqual(await texts(back, 3), ['0', '1', '2'])
  await publisher.publish('a', 'now', { qos: 1 })
  assert.deepEqual(await texts(back, 1), ['now'])
})

test('of MQTT 3.1.1 lasts as long as the server allows unless it is clean', async () => {
  await using server = await MqttServer.start({ module: { session_expiry: '1 minute' } })
  const options = { version: 4, clientId: 'old', cleanStart: false } as const
  assert.equal(await isPresent(server, options), false)
  server.clock.advance(50_000)
  assert.equal(await isPresent(server, options), true)
  server.clock.advance(62_000)
  assert.equal(await isPresent(server, options), false)
  assert.equal(await isPresent(server, { ...options, cleanStart: true }), false)
  assert.equal(await isPresent(server, options), false)
})

test('ends when its time is over, and with the connection when that is 0', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login(lasting)
  await client.subscribe('a')
  await client.disconnect()
  assert.equal(server.metric('linnet_mqtt_subscriptions'), 1)
  server.clock.advance(202_000)
  assert.equal(server.metric('linnet_mqtt_subscriptions'), 0)
  assert.equal(server.metric('linnet_mqtt_sessions'), 0)
  await using short = await server.login({ clientId: 'short' })
  await short.subscribe('a')
  await short.disconnect()
  assert.equal(server.metric('linnet_mqtt_sessions'), 0)
})

// shows: option mod_mqtt.session_expiry
test('never outlives the connection where session_expiry is 0', async () => {
  await using server = await MqttServer.start({ module: { session_expiry: 0 } })
  await using client = await server.connect()
  const { properties } = await client.login(lasting)
  assert.equal(properties.sessionExpiryInterval, 0)
  await client.disconnect()
  assert.equal(await isPresent(server, lasting), false)
})

test('may be given another time at the end (MQTT5 3.14.2.2.2)', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login(lasting)
  await client.disconnect({ sessionExpiryInterval: 10 })
  server.clock.advance(12_000)
  assert.equal(await isPresent(server, lasting), false)
  await using again = await server.login(lasting)
  await again.disconnect({ sessionExpiryInterval: 0 })
  assert.equal(await isPresent(server, lasting), false)
  await using short = await server.login({ clientId: 'short' })
  short.send({ kind: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 10 } })
  assert.equal((await short.receive('disconnect')).reasonCode, ReasonCode.protocolError)
})

test('is discarded by a clean start (MQTT5 3.1.2-4)', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login(lasting)
  await client.subscribe('a')
  await client.disconnect()
  await using publisher = await server.login({ clientId: 'from' })
  await publisher.publish('a', 'lost', { qos: 1 })
  await using anew = await server.connect()
  assert.equal((await anew.login({ ...lasting, cleanStart: true })).sessionPresent, false)
  await publisher.publish('a', 'lost', { qos: 1 })
  await anew.hearsNothing()
  const labels = 'host="localhost",reason="session_ended"'
  assert.equal(server.metric('linnet_mqtt_messages_dropped_total', labels), 1)
})

test('belongs to the account as well as to the client identifier', async () => {
  await using server = await MqttServer.start()
  await using juliet = await server.login(lasting)
  await using romeo = await server.connect()
  assert.equal((await romeo.login({ ...lasting, userName: 'romeo' })).sessionPresent, false)
  await juliet.hearsNothing()
  await romeo.hearsNothing()
})

// shows: option mod_mqtt.max_user_sessions
test('cannot be had more often than max_user_sessions', async () => {
  await using server = await MqttServer.start({ module: { max_user_sessions: 2 } })
  await using first = await server.login({ clientId: '1' })
  await using second = await server.login({ clientId: '2' })
  await using third = await server.connect()
  third.sendConnect({ clientId: '3' })
  assert.equal((await third.receive('connack')).reasonCode, ReasonCode.quotaExceeded)
  await second.hearsNothing()
  await first.disconnect()
  await using again = await server.login({ clientId: '3' })
  await again.hearsNothing()
})

suite('taking over', () => {
  test('ends the older connection and goes on with its session (MQTT5 3.1.4-3)', async () => {
    await using server = await MqttServer.start()
    await using first = await server.login(lasting)
    await first.subscribe('a')
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', 'unacknowledged', { qos: 1 })
    const sent = await first.receive('publish')
    await using second = await server.connect()
    assert.equal((await second.login(lasting)).sessionPresent, true)
    assert.equal((await first.receive('disconnect')).reasonCode, ReasonCode.sessionTakenOver)
    await first.closed()
    const again = await second.receive('publish')
    assert.deepEqual([again.packetId, again.dup], [sent.packetId, true])
    second.sendAck('puback', again.packetId)
    await second.hearsNothing()
    assert.deepEqual([...server.registry.all()].map(({ jid }) => jid).sort(), [
      'juliet@localhost/from',
      'juliet@localhost/lasting',
    ])
  })

  test('of a session that ends with its connection begins anew', async () => {
    await using server = await MqttServer.start()
    await using first = await server.login({ clientId: 'x' })
    await first.subscribe('a')
    await using second = await server.connect()
    const { sessionPresent } = await second.login({ clientId: 'x', cleanStart: false })
    assert.equal(sessionPresent, false)
    second.sendPublish('a', 'x')
    await second.hearsNothing()
  })

  test('by many at once leaves one', async () => {
    await using server = await MqttServer.start()
    const clients = await Promise.all(Array.from({ length: 10 }, () => server.connect()))
    for (const client of clients) client.sendConnect(lasting)
    const connacks = await Promise.all(clients.map((client) => client.next()))
    assert.equal(connacks.filter((packet) => packet?.kind === 'connack').length > 0, true)
    for (;;) {
      const open = [...server.registry.all()].length
      if (open === 1 && clients.filter((client) => !client.isClosed).length === 1) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    for (const client of clients) client.drop()
  })
})

suite('what was under way', () => {
  test('goes on where it was, with the same packet identifiers (MQTT5 4.4.0-1)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login(lasting)
    await client.subscribe('a')
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', '1', { qos: 1 })
    await publisher.publish('a', '2', { qos: 2 })
    await publisher.publish('a', '3', { qos: 2 })
    const [one, two, three] = [
      await client.receive('publish'),
      await client.receive('publish'),
      await client.receive('publish'),
    ]
    client.sendAck('pubrec', three.packetId)
    await client.receive('pubrel')
    client.drop()
    await using back = await server.login(lasting)
    for (const expected of [one, two]) {
      const again = await back.receive('publish')
      assert.deepEqual([again.packetId, again.dup], [expected.packetId, true])
      assert.deepEqual(again.payload, expected.payload)
    }
    assert.equal((await back.receive('pubrel')).packetId, three.packetId)
    back.sendAck('pubcomp', three.packetId)
    back.sendAck('puback', one.packetId)
    back.sendAck('pubrec', two.packetId)
    await back.receive('pubrel')
    back.sendAck('pubcomp', two.packetId)
    await back.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_inflight'), 0)
  })

  test('keeps to a smaller Receive Maximum than before', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login(lasting)
    await client.subscribe('a')
    await using publisher = await server.login({ clientId: 'from' })
    for (let i = 1; i <= 4; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    for (let i = 1; i <= 4; i++) await client.receive('publish')
    client.drop()
    await using back = await server.connect()
    await back.login({ ...lasting, properties: { sessionExpiryInterval: 200, receiveMaximum: 1 } })
    await publisher.publish('a', '5', { qos: 1 })
    const first = await back.receive('publish')
    await back.hearsNothing()
    // The last one was received before the connection broke.
    back.sendAck('puback', first.packetId + 3)
    await back.hearsNothing()
    back.sendAck('puback', first.packetId)
    assert.deepEqual(await texts(back, 3), ['2', '3', '5'])
    await back.hearsNothing()
  })

  test('from the client is not taken over twice (MQTT5 4.3.3-10)', async () => {
    await using server = await MqttServer.start()
    await using subscriber = await server.login({ clientId: 'to' })
    await subscriber.subscribe('a')
    await using client = await server.login(lasting)
    client.sendPublish('a', 'x', { qos: 2, packetId: 5 })
    await client.receive('pubrec')
    client.drop()
    await using back = await server.login(lasting)
    back.sendPublish('a', 'x', { qos: 2, packetId: 5, dup: true })
    await back.receive('pubrec')
    back.sendAck('pubrel', 5)
    assert.equal((await back.receive('pubcomp')).reasonCode, ReasonCode.success)
    assert.deepEqual(await texts(subscriber, 1), ['x'])
    await subscriber.hearsNothing()
  })
})

suite('the queue', () => {
  // shows: option mod_mqtt.max_queue
  test('drops what does not fit, QoS 0 first, and says so once', async () => {
    await using server = await MqttServer.start({ module: { max_queue: 3 } })
    await using client = await server.login(lasting)
    await client.subscribe('a')
    await client.disconnect()
    await using publisher = await server.login({ clientId: 'from' })
    publisher.sendPublish('a', 'zero')
    for (let i = 1; i <= 5; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    publisher.sendPublish('a', 'zero')
    await publisher.hearsNothing()
    const dropped = (reason: string): number =>
      server.metric('linnet_mqtt_messages_dropped_total', `host="localhost",reason="${reason}"`)
    assert.equal(dropped('queue_full'), 2)
    assert.equal(dropped('qos0_away'), 2)
    const lines = server.logged.filter((line) => line.includes('Queue is full'))
    assert.equal(lines.length, 1)
    await using back = await server.login(lasting)
    assert.deepEqual(await texts(back, 3), ['1', '2', '3'])
    await back.hearsNothing()
  })

  // shows: option mod_mqtt.max_queue_bytes
  test('is bounded by the bytes of all sessions together', async () => {
    await using server = await MqttServer.start({ module: { max_total_queue_bytes: 10_000 } })
    for (const clientId of ['1', '2', '3']) {
      await using client = await server.login({ ...lasting, clientId })
      await client.subscribe(clientId)
      await client.subscribe('all')
      await client.disconnect()
    }
    await using publisher = await server.login({ clientId: 'from' })
    // For three, and yet there once.
    await publisher.publish('all', 'x'.repeat(6000), { qos: 1 })
    assert.equal(server.metric('linnet_mqtt_queued'), 3)
    for (const topic of ['1', '2', '3']) {
      await publisher.publish(topic, 'x'.repeat(2000), { qos: 1 })
    }
    assert.equal(server.metric('linnet_mqtt_queued'), 4)
    assert.ok(server.metric('linnet_mqtt_pending_bytes') <= 10_000)
    for (const clientId of ['1', '2', '3']) {
      await using client = await server.login({ ...lasting, clientId })
      await texts(client, clientId === '1' ? 2 : 1)
      await client.hearsNothing()
    }
    assert.equal(server.metric('linnet_mqtt_pending_bytes'), 0)
  })

  test('is bounded by bytes too', async () => {
    await using server = await MqttServer.start({ module: { max_queue_bytes: 5000 } })
    await using client = await server.login(lasting)
    await client.subscribe('a')
    await client.disconnect()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', 'large'.repeat(2000), { qos: 1 })
    await publisher.publish('a', 'small', { qos: 1 })
    assert.equal(server.metric('linnet_mqtt_queued'), 1)
    await using back = await server.login(lasting)
    assert.equal((await back.receiveMessage()).text.length, 10_000)
    await back.hearsNothing()
  })
})

suite('a client that does not read', () => {
  for (const qos of [0, 1] as const) {
    test(`does not make the server grow (QoS ${qos})`, async () => {
      await using server = await MqttServer.start({
        module: { max_queue: 50, max_queue_bytes: '8MiB', receive_maximum: 65_535 },
      })
      await using frozen = await server.login({ clientId: 'frozen' })
      await using awake = await server.login({ clientId: 'awake' })
      await frozen.subscribe('a', { qos })
      await awake.subscribe('a', { qos: 0 })
      frozen.freeze()
      await using publisher = await server.login({ clientId: 'from' })
      const payload = Buffer.alloc(64 * 1024, 'x')
      const count = 400
      for (let i = 0; i < count; i++) {
        publisher.sendPublish('a', payload, { qos })
        // Who reads gets everything meanwhile.
        await awake.receive('publish')
        if (qos === 1) await publisher.receive('puback')
      }
      const reason = qos === 0 ? 'slow_subscriber' : 'queue_full'
      const labels = `host="localhost",reason="${reason}"`
      const dropped = server.metric('linnet_mqtt_messages_dropped_total', labels)
      assert.ok(dropped > 0, 'nothing was dropped')
      frozen.thaw()
      for (let left = count - dropped; left > 0; left--) await frozen.receiveMessage()
      await frozen.hearsNothing()
      publisher.sendPublish('a', 'and now', { qos })
      assert.deepEqual(await texts(frozen, 1), ['and now'])
    })
  }
})
