import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Message } from '../../../src/mqtt/message.ts'
import type { QoS } from '../../../src/mqtt/packet/packet-type.ts'
import { parseTopicName } from '../../../src/mqtt/topic.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import type { MqttClient } from '../../support/mqtt-client.ts'
import { field, packet } from '../../support/mqtt-raw.ts'
import { login, loginToStay, texts } from './clients.ts'

/** MQTT 3.1.1, 3.8 to 3.11 and 4.7: SUBSCRIBE, UNSUBSCRIBE and what filters select. */

/** Subscribes to several filters in one packet; the return codes. */
async function subscribe(
  client: MqttClient,
  ...filters: readonly (readonly [filter: string, qos: QoS])[]
): Promise<readonly number[]> {
  client.sendBytes(
    packet(0x82, '0007', ...filters.flatMap(([filter, qos]) => [field(filter), `0${qos}`])),
  )
  const suback = await client.receive('suback')
  assert.equal(suback.packetId, 7)
  return suback.reasonCodes
}

/** Which of the topics a filter selects, with retained messages and without. */
async function selected(
  server: MqttServer,
  filter: string,
  topics: readonly string[],
): Promise<readonly string[]> {
  await using client = await login(server, 'to')
  await client.subscribe(filter, { qos: 0 })
  await using publisher = await login(server, 'from')
  for (const topic of topics) publisher.sendPublish(topic, 'x')
  publisher.sendPublish('$share/x', 'not for wildcards')
  await publisher.hearsNothing()
  const received: string[] = []
  client.send({ kind: 'pingreq' })
  for (;;) {
    const answer = await client.next()
    if (answer?.kind !== 'publish') break
    received.push(answer.topic)
  }
  return received
}

suite('SUBSCRIBE', () => {
  // shows: MQTT3 3.8.3-3
  test('without a filter ends the connection', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'bad')
    client.sendBytes(packet(0x82, '0001'))
    await client.closed()
  })

  // shows: MQTT3 3.8.3-4
  test('with reserved bits or QoS 3 ends the connection', async () => {
    await using server = await MqttServer.start()
    for (const options of ['03', '04', '08', '10', '20', '40', '80', 'ff']) {
      await using client = await login(server, 'bad')
      client.sendBytes(packet(0x82, '0001', field('a'), options))
      await client.closed()
    }
    await using client = await login(server, 'bad')
    client.sendBytes(packet(0x82, '0001', field('a'), '01', field('b'), '03'))
    await client.closed()
  })

  // shows: MQTT3 3.8.4-1, 3.8.4-5, 3.9.3-1, 3.8.4-4
  test('is answered by one SUBACK with a return code for each filter, in order', async () => {
    await using server = await MqttServer.start({
      module: { access_subscribe: { 'a/#': 'all' } },
    })
    await using client = await login(server, 'to')
    const codes = await subscribe(client, ['a/2', 2], ['b', 1], ['a/0', 0], ['a/1', 1], ['a/2', 0])
    assert.deepEqual(codes, [2, 0x80, 0, 1, 0])
    await client.hearsNothing()
    // The later of two equal filters counts.
    await client.publish('a/2', 'x', { qos: 2 })
    assert.equal((await client.receiveMessage()).qos, 0)
    await client.publish('a/1', 'x', { qos: 2 })
    assert.equal((await client.receiveMessage()).qos, 1)
    await client.publish('b', 'x', { qos: 1 })
    await client.hearsNothing()
  })

  // shows: MQTT3 3.8.4-4, 3.3.1-6
  test('with several filters brings the retained messages of each', async () => {
    await using server = await MqttServer.start()
    await using publisher = await login(server, 'from')
    for (const topic of ['a', 'b', 'c']) {
      await publisher.publish(topic, topic, { qos: 1, retain: true })
    }
    await using client = await login(server, 'to')
    await subscribe(client, ['a', 1], ['+', 0], ['b', 2])
    assert.deepEqual((await texts(client, 5)).sort(), ['a', 'a', 'b', 'b', 'c'])
    await client.hearsNothing()
  })

  // shows: MQTT3 3.9.3-2
  test('is refused by return code 0x80, whatever the reason', async () => {
    await using server = await MqttServer.start({
      module: { access_subscribe: { '#': 'all' }, max_topic_depth: 2, max_subscriptions: 2 },
    })
    await using client = await login(server, 'to')
    const codes = await subscribe(client, ['a/b/c', 0], ['a', 2], ['b', 1], ['c', 1])
    assert.deepEqual(codes, [0x80, 2, 1, 0x80])
    await server.reload({ module: { access_subscribe: { a: 'all' } } })
    assert.deepEqual(await subscribe(client, ['b', 0]), [0x80])
  })

  // shows: MQTT3 3.8.3-2
  test('may have wildcards', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    assert.deepEqual(await subscribe(client, ['#', 2], ['+', 2], ['a/+/b/#', 2]), [2, 2, 2])
  })

  // shows: MQTT3 3.8.4-6
  test('sets a limit to the QoS of what comes', async () => {
    await using server = await MqttServer.start()
    const levels = [0, 1, 2] as const
    await using publisher = await login(server, 'from')
    for (const granted of levels) {
      await using client = await login(server, 'to')
      assert.equal(await client.subscribe(`live/${granted}`, { qos: granted }), granted)
      for (const qos of levels) {
        await publisher.publish(`live/${granted}`, 'x', { qos })
        assert.equal((await client.receiveMessage()).qos, Math.min(qos, granted))
        const topic = `kept/${granted}/${qos}`
        await publisher.publish(topic, 'x', { qos, retain: true })
        await publisher.hearsNothing()
        await client.subscribe(topic, { qos: granted })
        assert.equal((await client.receiveMessage()).qos, Math.min(qos, granted))
      }
    }
  })
})

suite('the same filter again', () => {
  // shows: MQTT3 3.8.4-3
  test('replaces the subscription and brings retained messages again', async () => {
    await using server = await MqttServer.start()
    await using publisher = await login(server, 'from')
    await publisher.publish('a', 'kept', { qos: 2, retain: true })
    await using client = await login(server, 'to')
    for (const qos of [2, 0, 1] as const) {
      assert.equal(await client.subscribe('a', { qos }), qos)
      const kept = await client.receiveMessage()
      assert.deepEqual([kept.text, kept.qos, kept.retain], ['kept', qos, true])
      await publisher.publish('a', 'now', { qos: 2 })
      assert.equal((await client.receiveMessage()).qos, qos)
      await client.hearsNothing()
    }
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 1)
    await client.unsubscribe('a')
    await publisher.publish('a', 'after', { qos: 1 })
    await client.hearsNothing()
  })

  // shows: MQTT3 3.8.4-3
  test('does not interrupt what flows', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    await client.subscribe('a', { qos: 1 })
    await using publisher = await login(server, 'from')
    const messages = Array.from({ length: 60 }, (_, i) => `${i}`)
    const sent = (async () => {
      for (const text of messages) await publisher.publish('a', text, { qos: 1 })
    })()
    for (let i = 0; i < 10; i++) {
      client.sendBytes(packet(0x82, '0101', field('a'), i % 2 === 0 ? '02' : '01'))
    }
    assert.deepEqual(await texts(client, messages.length), messages)
    await sent
  })
})

// shows: MQTT3 3.3.5-1
test('overlapping subscriptions deliver with the highest QoS', async () => {
  await using server = await MqttServer.start()
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
  ] as const) {
    await using client = await login(server, `to-${order.join('')}`)
    const filters = ['a/b', 'a/+', '#']
    for (const [i, qos] of order.entries()) await client.subscribe(filters[i] ?? '', { qos })
    await using publisher = await login(server, 'from')
    await publisher.publish('a/b', 'x', { qos: 2 })
    assert.equal((await client.receiveMessage()).qos, 2)
    await publisher.publish('a/b', 'y', { qos: 1 })
    assert.equal((await client.receiveMessage()).qos, 1)
    await client.hearsNothing()
  }
})

suite('UNSUBSCRIBE', () => {
  // shows: MQTT3 3.10.3-2
  test('without a filter ends the connection', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'bad')
    client.sendBytes(packet(0xa2, '0001'))
    await client.closed()
  })

  // shows: MQTT3 3.10.4-1, 3.10.4-2
  test('ends the subscription with that very filter', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    await client.subscribe('a/+', { qos: 1 })
    await client.subscribe('a/b', { qos: 1 })
    await using publisher = await login(server, 'from')
    // None of these is one of the two, though they select the same topics.
    for (const other of ['a/#', '#', '+/b', 'a/c', 'A/+', 'a/b/']) await client.unsubscribe(other)
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 2)
    await client.unsubscribe('a/+')
    await publisher.publish('a/c', 'x', { qos: 1 })
    await client.hearsNothing()
    await publisher.publish('a/b', 'x', { qos: 1 })
    assert.equal((await client.receiveMessage()).topic, 'a/b')
    await client.unsubscribe('a/b')
    await publisher.publish('a/b', 'x', { qos: 1 })
    await client.hearsNothing()
  })

  // shows: MQTT3 3.10.4-3
  test('leaves alone what was begun', async () => {
    await using server = await MqttServer.start()
    await using client = await loginToStay(server, 'to')
    await client.subscribe('a')
    await using publisher = await login(server, 'from')
    await publisher.publish('a', '1', { qos: 1 })
    await publisher.publish('a', '2', { qos: 2 })
    const one = await client.receive('publish')
    const two = await client.receive('publish')
    await client.unsubscribe('a')
    client.sendAck('pubrec', two.packetId)
    assert.equal((await client.receive('pubrel')).packetId, two.packetId)
    client.drop()
    await using back = await loginToStay(server, 'to')
    const again = await back.receive('publish')
    assert.deepEqual([again.packetId, again.dup], [one.packetId, true])
    back.sendAck('puback', one.packetId)
    assert.equal((await back.receive('pubrel')).packetId, two.packetId)
    back.sendAck('pubcomp', two.packetId)
    await back.hearsNothing()
  })

  // shows: MQTT3 3.10.4-4, 3.10.4-5
  test('is answered even if there is no such subscription', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    client.sendBytes(packet(0xa2, '0102', field('none')))
    assert.equal((await client.receive('unsuback')).packetId, 0x0102)
    await client.hearsNothing()
  })

  // shows: MQTT3 3.10.4-6
  test('may name several filters, with one answer', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    for (const filter of ['a', 'b', 'c']) await client.subscribe(filter)
    client.sendBytes(packet(0xa2, '0009', field('a'), field('none'), field('a'), field('c')))
    assert.equal((await client.receive('unsuback')).packetId, 9)
    await client.hearsNothing()
    for (const topic of ['a', 'b', 'c']) client.sendPublish(topic, topic)
    assert.deepEqual(await texts(client, 1), ['b'])
    await client.hearsNothing()
  })
})

suite('a filter', () => {
  // shows: MQTT3 4.7.1-2, 4.7.1-3, 4.7.3-1
  test('that is none ends the connection', async () => {
    await using server = await MqttServer.start()
    for (const filter of ['', 'a#', 'a/#/b', '#/', '##', '/#b', 'a+', '+a', 'a/+b', 'a/b+/c']) {
      for (const bad of [
        packet(0x82, '0001', field(filter), '00'),
        packet(0xa2, '0001', field(filter)),
      ]) {
        await using client = await login(server, 'bad')
        client.sendBytes(bad)
        await client.closed()
      }
    }
    await using client = await login(server, 'good')
    for (const filter of ['#', '/#', 'a/#', '+', '/+', '+/+', '+/a/#', 'a/+/b', '/']) {
      assert.equal(await client.subscribe(filter), 2)
    }
  })

  // shows: MQTT3 3.3.2-3, 4.7.1-2, 4.7.1-3
  test('selects what the specification says', async () => {
    await using server = await MqttServer.start()
    const sport = ['sport/tennis/player1', 'sport/tennis/player1/ranking', 'sport']
    assert.deepEqual(await selected(server, 'sport/tennis/player1/#', sport), sport.slice(0, 2))
    assert.deepEqual(await selected(server, 'sport/#', sport), sport)
    assert.deepEqual(await selected(server, 'sport/tennis/+', sport), sport.slice(0, 1))
    assert.deepEqual(await selected(server, 'sport/+', ['sport', 'sport/']), ['sport/'])
    const finance = ['/finance', 'finance', '/', '//']
    assert.deepEqual(await selected(server, '+/+', finance), ['/finance', '/'])
    assert.deepEqual(await selected(server, '/+', finance), ['/finance', '/'])
    assert.deepEqual(await selected(server, '+', finance), ['finance'])
    assert.deepEqual(await selected(server, '#', finance), finance)
  })
})

/** Publishes and retains what no client may. */
function publishAsServer(server: MqttServer, name: string): void {
  const broker = server.broker()
  const topic = parseTopicName(name)
  assert.ok(topic.ok)
  const payload = Buffer.from('x')
  const content = { topic: topic.value, payload, qos: 0, retain: true, properties: {} } as const
  const [session] = broker.listSessions()
  const publisher = { jid: session?.jid ?? assert.fail('Nobody is there'), ip: '' }
  const route = broker.createRoute(topic.value, Buffer.from(name))
  broker.refresh(route, publisher)
  broker.publish(Message.create(content, broker.nowMs()), route, publisher)
}

suite('topics with $', () => {
  // shows: MQTT3 4.7.2-1
  test('are not selected by wildcards at the first level', async () => {
    // Clients may not publish there, the server does.
    await using server = await MqttServer.start()
    await using early = await login(server, 'early')
    for (const filter of ['#', '+/broker/x', '$test/#']) await early.subscribe(filter, { qos: 0 })
    publishAsServer(server, '$test/broker/x')
    assert.equal((await early.receiveMessage()).topic, '$test/broker/x')
    await early.hearsNothing()
    for (const filter of ['#', '+/broker/x', '+/#', '$test/#', '$test/+/x']) {
      await using late = await login(server, 'late')
      await late.subscribe(filter, { qos: 0 })
      if (filter.startsWith('$')) await late.receiveMessage()
      await late.hearsNothing()
    }
  })
})
