import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { MqttClient } from '../support/mqtt-client.ts'

async function receive(client: MqttClient, count: number): Promise<string[]> {
  const received: string[] = []
  while (received.length < count) {
    const { topic, text, retain } = await client.receiveMessage()
    received.push(`${topic}=${text}${retain ? ' (retained)' : ''}`)
  }
  return received.sort()
}

test('the last message of a topic is kept for subscribers to come (MQTT5 3.3.1-5)', async () => {
  await using server = await MqttServer.start()
  await using publisher = await server.login({ clientId: 'from' })
  for (const qos of [0, 1, 2] as const) {
    await publisher.publish(`room/${qos}`, 'first', { qos, retain: true })
    await publisher.publish(`room/${qos}`, 'last', { qos, retain: true })
    await publisher.publish(`room/${qos}`, 'not kept', { qos })
  }
  await publisher.hearsNothing()
  await using subscriber = await server.login({ clientId: 'to' })
  await subscriber.subscribe('room/#')
  assert.deepEqual(await receive(subscriber, 3), [
    'room/0=last (retained)',
    'room/1=last (retained)',
    'room/2=last (retained)',
  ])
  await subscriber.hearsNothing()
})

test('a message without payload removes it, and is delivered (MQTT5 3.3.1-6, 3.3.1-7)', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login()
  await client.publish('a', 'x', { qos: 1, retain: true })
  assert.equal(server.metric('linnet_mqtt_retained'), 1)
  await client.subscribe('a')
  assert.deepEqual(await receive(client, 1), ['a=x (retained)'])
  client.sendPublish('a', '', { retain: true })
  assert.deepEqual(await receive(client, 1), ['a='])
  await client.subscribe('a')
  await client.hearsNothing()
  assert.equal(server.metric('linnet_mqtt_retained'), 0)
  assert.equal(server.metric('linnet_mqtt_retained_bytes'), 0)
})

test('comes with its properties and the identifier of the subscription', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login()
  const properties = { contentType: 'text/plain', userProperties: [['a', 'b']] as const }
  await client.publish('a', 'x', { qos: 1, retain: true, properties })
  await client.subscribe('a', { identifier: 7, qos: 0 })
  const received = await client.receiveMessage()
  assert.deepEqual({ ...received.properties }, { subscriptionIdentifiers: [7], ...properties })
  assert.equal(received.qos, 0)
})

test('expires (MQTT5 3.3.2-5)', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login()
  const properties = { messageExpiryInterval: 60 }
  await client.publish('a', 'x', { qos: 1, retain: true, properties })
  server.clock.advance(20_000)
  await client.subscribe('a')
  assert.equal((await client.receiveMessage()).properties.messageExpiryInterval, 40)
  server.clock.advance(41_000)
  await client.subscribe('a')
  await client.hearsNothing()
  server.clock.advance(60_000)
  assert.equal(server.metric('linnet_mqtt_retained'), 0)
})

// shows: option mod_mqtt.match_retained_limit
test('no more are sent for one filter than match_retained_limit', async () => {
  await using server = await MqttServer.start({ module: { match_retained_limit: 5 } })
  await using client = await server.login()
  for (let i = 0; i < 8; i++) await client.publish(`a/${i}`, 'x', { qos: 1, retain: true })
  await client.subscribe('#')
  assert.equal((await receive(client, 5)).length, 5)
  await client.hearsNothing()
  // Told once, and only where something is missing.
  await client.unsubscribe('#')
  for (let i = 5; i < 8; i++) await client.publish(`a/${i}`, '', { qos: 1, retain: true })
  await client.subscribe('#')
  await receive(client, 5)
  await client.hearsNothing()
  const lines = server.logged.filter((line) => line.includes('match_retained_limit'))
  assert.equal(lines.length, 1)
})

test('many are sent as fast as the client takes them', async () => {
  await using server = await MqttServer.start({
    module: { match_retained_limit: 'infinity', max_queue: 10, receive_maximum: 65_535 },
  })
  await using publisher = await server.login({ clientId: 'from' })
  const count = 2000
  for (let i = 0; i < count; i++) {
    publisher.sendPublish(`a/${i}`, 'x'.repeat(500), { qos: 1, retain: true })
  }
  for (let i = 0; i < count; i++) await publisher.receive('puback')
  for (const qos of [0, 1] as const) {
    const properties = { receiveMaximum: 10 }
    await using subscriber = await server.login({ clientId: `to ${qos}`, properties })
    subscriber.freeze()
    const subscribed = subscriber.subscribe('a/#', { qos })
    await publisher.hearsNothing()
    subscriber.thaw()
    await subscribed
    const topics = await receive(subscriber, count)
    assert.equal(new Set(topics).size, count)
    await subscriber.hearsNothing()
  }
  const labels = 'host="localhost",reason="queue_full"'
  assert.equal(server.metric('linnet_mqtt_messages_dropped_total', labels), 0)
})

suite('limits', () => {
  // shows: option mod_mqtt.max_retained
  // shows: option mod_mqtt.max_retained_bytes
  test('of number and bytes refuse what would exceed them', async () => {
    await using server = await MqttServer.start({
      module: { max_retained: 2, max_retained_bytes: 2000 },
    })
    await using client = await server.login()
    assert.equal(await client.publish('a', 'x', { qos: 1, retain: true }), 0x10)
    assert.equal(await client.publish('b', 'x', { qos: 1, retain: true }), 0x10)
    const quota = ReasonCode.quotaExceeded
    assert.equal(await client.publish('c', 'x', { qos: 1, retain: true }), quota)
    assert.equal(await client.publish('b', 'x'.repeat(2000), { qos: 1, retain: true }), quota)
    assert.equal(await client.publish('b', 'y', { qos: 1, retain: true }), 0x10)
    assert.equal(await client.publish('a', '', { qos: 1, retain: true }), 0x10)
    assert.equal(await client.publish('c', 'x', { qos: 1, retain: true }), 0x10)
  })
})
