import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { mqttSubscribe, mqttUnsubscribe } from '../../src/mqtt/hooks.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { MqttClient } from '../support/mqtt-client.ts'

/** Topics and texts of so many messages. */
async function receive(client: MqttClient, count: number): Promise<string[]> {
  const received: string[] = []
  while (received.length < count) {
    const { topic, text } = await client.receiveMessage()
    received.push(`${topic}=${text}`)
  }
  return received
}

// shows: option mod_mqtt.max_topic_depth
test('answers each filter of a SUBSCRIBE by itself (MQTT5 3.8.4-6)', async () => {
  await using server = await MqttServer.start({ module: { max_topic_depth: 2 } })
  await using client = await server.login()
  const common = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  client.send({
    kind: 'subscribe',
    packetId: 3,
    subscriptions: [
      { filter: 'a', qos: 0, ...common },
      { filter: 'a/b', qos: 1, ...common },
      { filter: 'a/b/c', qos: 2, ...common },
      { filter: '#', qos: 2, ...common },
    ],
    properties: {},
  })
  const suback = await client.receive('suback')
  assert.deepEqual(suback.reasonCodes, [0, 1, ReasonCode.topicFilterInvalid, 2])
  assert.equal(suback.properties.reasonString, 'Topic filter "a/b/c" has too many levels')
})

test('tells MQTT 3 clients of refusals in their own way (MQTT3 3.9.3-2)', async () => {
  await using server = await MqttServer.start({ module: { max_topic_depth: 1 } })
  await using client = await server.login({ version: 4 })
  assert.equal(await client.subscribe('a/b'), 0x80)
})

test('ends a connection that sends no valid filter (MQTT5 4.7.1-1)', async () => {
  await using server = await MqttServer.start()
  for (const filter of ['a/#/b', 'a+', '', '$share//a', '$share/a']) {
    await using client = await server.login()
    const subscription = {
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const
    client.send({
      kind: 'subscribe',
      packetId: 1,
      subscriptions: [{ filter, ...subscription }],
      properties: {},
    })
    assert.equal((await client.receive('disconnect')).reasonCode, ReasonCode.topicFilterInvalid)
    await client.closed()
  }
})

test('takes subscriptions back, and says which there were (MQTT5 3.11.3)', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login()
  await client.subscribe('a')
  const expected = [ReasonCode.success, ReasonCode.noSubscriptionExisted]
  assert.deepEqual(await client.unsubscribe('a', 'b'), expected)
  client.sendPublish('a', 'x')
  await client.hearsNothing()
  await using old = await server.login({ version: 4, clientId: 'old' })
  assert.deepEqual(await old.unsubscribe('a'), [])
})

// shows: option mod_mqtt.max_subscriptions
test('does not let a client make more subscriptions than allowed', async () => {
  await using server = await MqttServer.start({ module: { max_subscriptions: 2 } })
  await using client = await server.login()
  assert.equal(await client.subscribe('a'), 2)
  assert.equal(await client.subscribe('b'), 2)
  assert.equal(await client.subscribe('c'), ReasonCode.quotaExceeded)
  assert.equal(await client.subscribe('b', { qos: 0 }), 0)
})

test('tells the hooks', async () => {
  await using server = await MqttServer.start()
  const told: string[] = []
  server
    .hooks()
    .on(
      mqttSubscribe,
      (client, filter, { qos }) => told.push(`${client.jid} ${filter} ${qos}`),
      'test',
    )
  server
    .hooks()
    .on(mqttUnsubscribe, (client, filter) => told.push(`${client.jid} ${filter}`), 'test')
  await using client = await server.login()
  await client.subscribe('a/#', { qos: 1 })
  await client.unsubscribe('a/#', 'b')
  assert.deepEqual(told, ['juliet@localhost/test a/# 1', 'juliet@localhost/test a/#'])
})

suite('overlapping subscriptions', () => {
  test('deliver a message once, with the highest QoS and all identifiers (MQTT5 3.3.4-2)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('a/+', { qos: 1, identifier: 1 })
    await client.subscribe('a/#', { qos: 2, identifier: 300 })
    await client.subscribe('a/b', { qos: 0 })
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a/b', 'x', { qos: 2 })
    const received = await client.receiveMessage()
    assert.equal(received.qos, 2)
    const identifiers = [...(received.properties.subscriptionIdentifiers ?? [])]
    assert.deepEqual(
      identifiers.sort((a, b) => a - b),
      [1, 300],
    )
    await client.hearsNothing()
  })

  test('are replaced by the same filter (MQTT5 3.8.4-3)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('a', { qos: 2, identifier: 1 })
    await client.subscribe('a', { qos: 0, identifier: 2 })
    client.sendPublish('a', 'x')
    const received = await client.receiveMessage()
    assert.deepEqual(received.properties.subscriptionIdentifiers, [2])
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 1)
  })
})

suite('subscription options', () => {
  test('No Local keeps own messages away, and only these (MQTT5 3.8.3-3)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login({ clientId: 'own' })
    await using other = await server.login({ clientId: 'other' })
    await client.subscribe('a', { noLocal: true })
    for (const qos of [0, 1] as const) {
      await client.publish('a', 'mine', { qos })
      await other.publish('a', 'yours', { qos })
      assert.deepEqual(await receive(client, 1), ['a=yours'])
    }
    await client.hearsNothing()
    await client.subscribe('+')
    client.sendPublish('a', 'mine')
    assert.deepEqual(await receive(client, 1), ['a=mine'])
  })

  test('Retain As Published keeps the flag (MQTT5 3.3.1-12, 3.3.1-13)', async () => {
    await using server = await MqttServer.start()
    await using keeps = await server.login({ clientId: 'keeps' })
    await using plain = await server.login({ clientId: 'plain' })
    await keeps.subscribe('a', { retainAsPublished: true })
    await plain.subscribe('a')
    await using publisher = await server.login({ clientId: 'from' })
    for (const retain of [true, false]) {
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish('a', 'x', { qos, retain })
        assert.equal((await keeps.receiveMessage()).retain, retain)
        assert.equal((await plain.receiveMessage()).retain, false)
      }
    }
  })

  test('Retain Handling decides about retained messages (MQTT5 3.3.1-9 to 3.3.1-11)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.publish('a', 'old', { qos: 1, retain: true })
    await client.subscribe('a', { retainHandling: 2 })
    await client.hearsNothing()
    await client.subscribe('a', { retainHandling: 1 })
    await client.hearsNothing()
    await client.subscribe('a', { retainHandling: 0 })
    assert.deepEqual(await receive(client, 1), ['a=old'])
    await client.unsubscribe('a')
    await client.subscribe('a', { retainHandling: 1 })
    assert.deepEqual(await receive(client, 1), ['a=old'])
  })
})

suite('topics of the server', () => {
  test('are not reached by wildcards at the first level (MQTT5 4.7.2-1)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('#')
    await client.subscribe('+/load')
    assert.equal(await client.subscribe('$other/#'), 2)
    assert.equal(await client.publish('$SYS/load', 'x', { qos: 1 }), ReasonCode.notAuthorized)
    await client.hearsNothing()
  })
})

suite('shared subscriptions', () => {
  test('give each message to one member, in turn (MQTT5 4.8.2)', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using first = await server.login({ clientId: 'first' })
    await using second = await server.login({ clientId: 'second' })
    await using alone = await server.login({ clientId: 'alone' })
    assert.equal(await first.subscribe('$share/g/a/#'), 2)
    await second.subscribe('$share/g/a/#')
    await alone.subscribe('$share/other/a/#', { identifier: 5 })
    for (let i = 0; i < 6; i++) await publisher.publish('a/b', `${i}`, { qos: 1 })
    const all = [...(await receive(first, 3)), ...(await receive(second, 3))]
    assert.deepEqual(
      all.sort(),
      [0, 1, 2, 3, 4, 5].map((i) => `a/b=${i}`),
    )
    const received = await alone.receiveMessage()
    assert.deepEqual(received.properties.subscriptionIdentifiers, [5])
  })

  test('prefer members that are there', async () => {
    await using server = await MqttServer.start()
    const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 100 } }
    await using away = await server.login({ clientId: 'away', ...lasting })
    await away.subscribe('$share/g/a')
    await away.disconnect()
    await using here = await server.login({ clientId: 'here' })
    await here.subscribe('$share/g/a')
    await using publisher = await server.login({ clientId: 'from' })
    for (let i = 0; i < 4; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    assert.deepEqual(await receive(here, 4), ['a=0', 'a=1', 'a=2', 'a=3'])
    await here.disconnect()
    await publisher.publish('a', 'waits', { qos: 1 })
    await using back = await server.login({ clientId: 'away', ...lasting })
    assert.deepEqual(await receive(back, 1), ['a=waits'])
  })

  test('get no retained messages (MQTT5 4.8.2)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.publish('a', 'old', { retain: true })
    await client.subscribe('$share/g/a')
    await client.hearsNothing()
  })

  test('must not have No Local (MQTT5 3.8.3-4)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await assert.rejects(client.subscribe('$share/g/a', { noLocal: true }))
    await client.closed()
  })
})

suite('access_subscribe', () => {
  const rules = {
    access_rules: { staff: { allow: { user: 'juliet' } } },
  }

  // shows: option mod_mqtt.access_subscribe
  test('compares the filter level by level with those of the rules', async () => {
    await using server = await MqttServer.start({
      config: rules,
      module: {
        max_topic_depth: 20,
        access_subscribe: {
          'open/+': 'all',
          'wide/#': 'all',
          'staff/#': 'staff',
          'own/%u/%c': 'all',
        },
      },
    })
    await using juliet = await server.login({ clientId: 'lamp' })
    await using romeo = await server.login({ userName: 'romeo', clientId: 'lamp' })
    const table: [string, boolean, boolean][] = [
      ['open/a', true, true],
      ['open/+', true, true],
      // One level of the rule does not cover all that lies below.
      ['open/#', false, false],
      ['wide/#', true, true],
      ['wide', true, true],
      ['wide/+/b', true, true],
      ['staff/a', true, false],
      ['#', false, false],
      ['+/a', false, false],
      ['own/juliet/lamp', true, false],
      ['own/+/lamp', false, false],
      ['$share/g/staff/a', true, false],
    ]
    for (const [filter, forJuliet, forRomeo] of table) {
      const denied = ReasonCode.notAuthorized
      assert.equal(await juliet.subscribe(filter), forJuliet ? 2 : denied, filter)
      assert.equal(await romeo.subscribe(filter), forRomeo ? 2 : denied, filter)
    }
  })

  test('does not take a user called "+" for everybody', async () => {
    await using server = await MqttServer.start({
      module: { access_subscribe: { 'own/%u': 'all' } },
    })
    server.accounts.add('+@localhost')
    await using client = await server.login({ userName: '+' })
    assert.equal(await client.subscribe('own/+'), ReasonCode.notAuthorized)
  })

  test('says why', async () => {
    await using server = await MqttServer.start({ module: { access_subscribe: { a: 'all' } } })
    await using client = await server.login()
    client.send({
      kind: 'subscribe',
      packetId: 1,
      subscriptions: [
        { filter: 'b', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
      properties: {},
    })
    const { properties } = await client.receive('suback')
    assert.equal(
      properties.reasonString,
      'Subscribing to "b" is not allowed: no filter of access_subscribe selects it',
    )
  })
})
