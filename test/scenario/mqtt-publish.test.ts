import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { drop } from '../../src/core/hooks.ts'
import { mqttPublish } from '../../src/mqtt/hooks.ts'
import type { Packet, Publish } from '../../src/mqtt/packet/packet.ts'
import type { QoS } from '../../src/mqtt/packet/packet-type.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { parseTopicName } from '../../src/mqtt/topic.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { MqttClient } from '../support/mqtt-client.ts'

function message(topic: string, payload: string, options: Partial<Publish> = {}): Packet {
  const bytes = Buffer.from(payload)
  const rest = {
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    properties: {},
    ...options,
  } as const
  return { kind: 'publish', topic, payload: bytes, ...rest }
}

async function texts(client: MqttClient, count: number): Promise<string[]> {
  const received: string[] = []
  while (received.length < count) received.push((await client.receiveMessage()).text)
  return received
}

for (const from of [3, 4, 5] as const) {
  for (const to of [3, 4, 5] as const) {
    test(`carries all three levels of QoS from level ${from} to level ${to}`, async () => {
      await using server = await MqttServer.start()
      await using publisher = await server.login({ version: from, clientId: 'from' })
      await using subscriber = await server.login({ version: to, clientId: 'to' })
      await subscriber.subscribe('room/+')
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish('room/kitchen', `warm ${qos}`, { qos })
        const received = await subscriber.receiveMessage()
        assert.equal(received.topic, 'room/kitchen')
        assert.equal(received.text, `warm ${qos}`)
        assert.equal(received.qos, qos)
        assert.equal(received.dup, false)
        assert.equal(received.retain, false)
      }
      await subscriber.hearsNothing()
    })
  }
}

test('delivers with the lower of both levels of QoS (MQTT5 3.8.4-8)', async () => {
  await using server = await MqttServer.start()
  await using publisher = await server.login({ clientId: 'from' })
  await using subscriber = await server.login({ clientId: 'to' })
  const table: [published: QoS, subscribed: QoS, delivered: QoS][] = [
    [2, 0, 0],
    [2, 1, 1],
    [1, 2, 1],
    [0, 2, 0],
  ]
  for (const [published, subscribed, delivered] of table) {
    assert.equal(await subscriber.subscribe('a', { qos: subscribed }), subscribed)
    await publisher.publish('a', 'x', { qos: published })
    assert.equal((await subscriber.receiveMessage()).qos, delivered)
  }
})

test('keeps the order of messages of one topic', async () => {
  await using server = await MqttServer.start()
  await using publisher = await server.login({ clientId: 'from' })
  await using subscriber = await server.login({ clientId: 'to' })
  await subscriber.subscribe('a')
  const expected: string[] = []
  const packets: Packet[] = []
  for (let i = 1; i <= 100; i++) {
    expected.push(`${i}`)
    packets.push(message('a', `${i}`, { qos: 1, packetId: i }))
  }
  publisher.sendAll(packets)
  assert.deepEqual(await texts(subscriber, 100), expected)
  for (let i = 1; i <= 100; i++) assert.equal((await publisher.receive('puback')).packetId, i)
})

suite('QoS 0', () => {
  test('hands on what comes in one read to subscribers of all kinds', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ version: 4, clientId: 'from' })
    await using same = await server.login({ version: 4, clientId: 'same' })
    await using older = await server.login({ version: 3, clientId: 'older' })
    await same.subscribe('a')
    await older.subscribe('#')
    const run = ['a', 'a', 'a', 'b', 'a', 'a'].map((topic, i) => message(topic, `${i}`))
    publisher.sendAll(run)
    assert.deepEqual(await texts(same, 5), ['0', '1', '2', '4', '5'])
    assert.deepEqual(await texts(older, 6), ['0', '1', '2', '3', '4', '5'])
    await using newer = await server.login({ version: 5, clientId: 'newer' })
    await newer.subscribe('a', { identifier: 9 })
    publisher.sendAll(run)
    assert.deepEqual(await texts(newer, 5), ['0', '1', '2', '4', '5'])
    assert.deepEqual(await texts(same, 5), ['0', '1', '2', '4', '5'])
    assert.deepEqual(await texts(older, 6), ['0', '1', '2', '3', '4', '5'])
    assert.equal(server.metric('linnet_mqtt_messages_received_total'), 12)
    assert.equal(server.metric('linnet_mqtt_messages_sent_total'), 27)
  })

  test('reaches those who subscribe and leave while messages flow', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using first = await server.login({ clientId: 'first' })
    await first.subscribe('a')
    publisher.sendPublish('a', '1')
    assert.deepEqual(await texts(first, 1), ['1'])
    await using second = await server.login({ clientId: 'second' })
    await second.subscribe('a')
    publisher.sendPublish('a', '2')
    assert.deepEqual(await texts(first, 1), ['2'])
    assert.deepEqual(await texts(second, 1), ['2'])
    await first.unsubscribe('a')
    publisher.sendPublish('a', '3')
    assert.deepEqual(await texts(second, 1), ['3'])
    await first.hearsNothing()
  })

  test('forwards properties of MQTT 5, and drops them for MQTT 3 (MQTT5 3.3.2.3)', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using newer = await server.login({ clientId: 'newer' })
    await using older = await server.login({ version: 4, clientId: 'older' })
    await newer.subscribe('a')
    await older.subscribe('a')
    const properties = {
      payloadFormatIndicator: 1 as const,
      contentType: 'text/plain',
      responseTopic: 'b',
      correlationData: new Uint8Array([1, 2]),
      userProperties: [
        ['a', '1'],
        ['a', '2'],
      ] as const,
    }
    publisher.sendPublish('a', 'x', { properties })
    assert.deepEqual({ ...(await newer.receiveMessage()).properties }, properties)
    assert.equal((await older.receiveMessage()).text, 'x')
    publisher.sendPublish('a', 'y', { qos: 1, properties })
    assert.deepEqual({ ...(await newer.receiveMessage()).properties }, properties)
    assert.equal((await older.receiveMessage()).text, 'y')
  })
})

suite('QoS 1 and 2', () => {
  test('tell an MQTT 5 publisher that nobody is subscribed (MQTT5 3.4.2.1)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    for (const qos of [1, 2] as const) {
      assert.equal(await client.publish('a', 'x', { qos }), ReasonCode.noMatchingSubscribers)
    }
  })

  test('take a message of QoS 2 over once, however often it comes (MQTT5 4.3.3-10)', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using subscriber = await server.login({ clientId: 'to' })
    await subscriber.subscribe('a')
    publisher.sendPublish('a', 'once', { qos: 2, packetId: 7 })
    await publisher.receive('pubrec')
    publisher.sendPublish('a', 'once', { qos: 2, packetId: 7, dup: true })
    assert.equal((await publisher.receive('pubrec')).packetId, 7)
    assert.deepEqual(await texts(subscriber, 1), ['once'])
    publisher.sendAck('pubrel', 7)
    assert.equal((await publisher.receive('pubcomp')).reasonCode, ReasonCode.success)
    await publisher.publish('a', 'twice', { qos: 2, packetId: 7 })
    assert.deepEqual(await texts(subscriber, 1), ['twice'])
    await subscriber.hearsNothing()
  })

  test('answer for packet identifiers that nobody knows (MQTT5 3.6.2.1, 3.7.2.1)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    client.sendAck('pubrel', 9)
    const pubcomp = await client.receive('pubcomp')
    assert.equal(pubcomp.reasonCode, ReasonCode.packetIdentifierNotFound)
    client.sendAck('pubrec', 9)
    const pubrel = await client.receive('pubrel')
    assert.equal(pubrel.reasonCode, ReasonCode.packetIdentifierNotFound)
    client.sendAck('puback', 9)
    client.sendAck('pubcomp', 9)
    await client.hearsNothing()
  })

  test('free the identifier when the subscriber refuses (MQTT5 4.3.3-5)', async () => {
    await using server = await MqttServer.start()
    const properties = { receiveMaximum: 1 }
    await using client = await server.login({ properties })
    await client.subscribe('a')
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', '1', { qos: 2 })
    await publisher.publish('a', '2', { qos: 2 })
    const { packetId } = await client.receive('publish')
    await client.hearsNothing()
    client.sendAck('pubrec', packetId, 0x80)
    assert.equal((await client.receiveMessage()).text, '2')
  })

  // shows: option mod_mqtt.receive_maximum
  test('end a connection that exceeds the Receive Maximum (MQTT5 3.3.4-9)', async () => {
    await using server = await MqttServer.start({ module: { receive_maximum: 2 } })
    await using client = await server.login()
    for (const packetId of [1, 2]) {
      client.sendPublish('a', 'x', { qos: 2, packetId })
      await client.receive('pubrec')
    }
    client.sendAck('pubrel', 1)
    await client.receive('pubcomp')
    client.sendPublish('a', 'x', { qos: 2, packetId: 3 })
    await client.receive('pubrec')
    client.sendPublish('a', 'x', { qos: 2, packetId: 4 })
    const { reasonCode } = await client.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.receiveMaximumExceeded)
    await client.closed()
  })

  test("keep to the subscriber's Receive Maximum, and queue behind it (MQTT5 3.3.4-9)", async () => {
    await using server = await MqttServer.start()
    await using subscriber = await server.login({
      clientId: 'to',
      properties: { receiveMaximum: 2 },
    })
    await subscriber.subscribe('a')
    await using publisher = await server.login({ clientId: 'from' })
    for (let i = 1; i <= 5; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    const first = await subscriber.receive('publish')
    await subscriber.receive('publish')
    await subscriber.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_queued'), 3)
    assert.equal(server.metric('linnet_mqtt_inflight'), 2)
    subscriber.sendAck('puback', first.packetId)
    assert.equal((await subscriber.receiveMessage()).text, '3')
    assert.deepEqual(await texts(subscriber, 2), ['4', '5'])
  })
})

suite('topic aliases', () => {
  test('of a client stand for the topic that it gave them (MQTT5 3.3.2.3.4)', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using newer = await server.login({ clientId: 'newer' })
    await using older = await server.login({ version: 4, clientId: 'older' })
    await newer.subscribe('#')
    await older.subscribe('#')
    publisher.sendPublish('room/kitchen', '1', { properties: { topicAlias: 3 } })
    publisher.sendPublish('', '2', { properties: { topicAlias: 3, contentType: 'x' } })
    publisher.sendPublish('room/attic', '3', { properties: { topicAlias: 3 } })
    publisher.sendPublish('', '4', {
      qos: 1,
      properties: { messageExpiryInterval: 10, topicAlias: 3 },
    })
    for (const subscriber of [newer, older]) {
      for (const [topic, text] of [
        ['room/kitchen', '1'],
        ['room/kitchen', '2'],
        ['room/attic', '3'],
        ['room/attic', '4'],
      ]) {
        const received = await subscriber.receiveMessage()
        assert.deepEqual([received.topic, received.text], [topic, text])
        assert.equal(received.properties.topicAlias, undefined)
      }
    }
  })

  // shows: option mod_mqtt.max_topic_aliases
  test('that are too large or not known end the connection (MQTT5 3.3.2-9)', async () => {
    await using server = await MqttServer.start({ module: { max_topic_aliases: 5 } })
    for (const [topic, topicAlias, expected] of [
      ['a', 6, ReasonCode.topicAliasInvalid],
      ['a', 0, ReasonCode.topicAliasInvalid],
      ['', 5, ReasonCode.protocolError],
    ] as const) {
      await using client = await server.login()
      client.sendPublish(topic, 'x', { properties: { topicAlias } })
      assert.equal((await client.receive('disconnect')).reasonCode, expected)
      await client.closed()
    }
  })

  test('are used towards clients that take them (MQTT5 3.1.2.11.5)', async () => {
    await using server = await MqttServer.start()
    const properties = { topicAliasMaximum: 1 }
    await using subscriber = await server.login({ clientId: 'to', properties })
    await subscriber.subscribe('#')
    await using publisher = await server.login({ clientId: 'from' })
    for (const topic of ['a', 'a', 'b', 'a']) publisher.sendPublish(topic, 'x')
    const received: unknown[] = []
    for (let i = 0; i < 4; i++) {
      const { topic, properties: own } = await subscriber.receive('publish')
      received.push([topic, own.topicAlias])
    }
    assert.deepEqual(received, [
      ['a', 1],
      ['', 1],
      ['b', undefined],
      ['', 1],
    ])
  })
})

suite('limits of the subscriber', () => {
  test('a packet larger than its Maximum Packet Size is not sent (MQTT5 3.1.2-24)', async () => {
    await using server = await MqttServer.start()
    const properties = { maximumPacketSize: 50 }
    await using subscriber = await server.login({ clientId: 'to', properties })
    await subscriber.subscribe('a')
    await using publisher = await server.login({ clientId: 'from' })
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('a', 'x'.repeat(50), { qos })
      await publisher.publish('a', 'small', { qos })
      assert.equal((await subscriber.receiveMessage()).text, 'small')
    }
    await subscriber.hearsNothing()
    const labels = 'host="localhost",reason="too_large"'
    assert.equal(server.metric('linnet_mqtt_messages_dropped_total', labels), 3)
    assert.equal(server.metric('linnet_mqtt_inflight'), 0)
  })
})

suite('message expiry', () => {
  test('is counted down while a message waits, and ends it (MQTT5 3.3.2-5, 3.3.2-6)', async () => {
    await using server = await MqttServer.start()
    const options = {
      clientId: 'to',
      cleanStart: false,
      properties: { sessionExpiryInterval: 300 },
    }
    await using away = await server.login(options)
    await away.subscribe('a')
    await away.disconnect()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', 'short', { qos: 1, properties: { messageExpiryInterval: 10 } })
    await publisher.publish('a', 'long', { qos: 1, properties: { messageExpiryInterval: 100 } })
    await publisher.publish('a', 'for ever', { qos: 1 })
    server.clock.advance(30_000)
    await using back = await server.login(options)
    const long = await back.receiveMessage()
    assert.deepEqual([long.text, long.properties.messageExpiryInterval], ['long', 70])
    assert.equal((await back.receiveMessage()).text, 'for ever')
    await back.hearsNothing()
    const labels = 'host="localhost",reason="expired"'
    assert.equal(server.metric('linnet_mqtt_messages_dropped_total', labels), 1)
  })

  test('stays as it came when a message does not wait', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('a')
    client.sendPublish('a', 'x', { properties: { messageExpiryInterval: 10 } })
    assert.equal((await client.receiveMessage()).properties.messageExpiryInterval, 10)
  })
})

test('refuses a payload that is not the text it is said to be (MQTT5 3.3.2-4)', async () => {
  await using server = await MqttServer.start()
  const bad = Buffer.from([0xff, 0xfe])
  const properties = { payloadFormatIndicator: 1 } as const
  await using client = await server.login()
  for (const qos of [1, 2] as const) {
    const reason = await client.publish('a', bad, { qos, properties })
    assert.equal(reason, ReasonCode.payloadFormatInvalid)
  }
  client.sendPublish('a', bad, { properties })
  assert.equal((await client.receive('disconnect')).reasonCode, ReasonCode.payloadFormatInvalid)
})

suite('access_publish', () => {
  const rules = { access_rules: { staff: { allow: { user: 'juliet' } } } }

  // shows: option mod_mqtt.access_publish
  test('lets those publish whom any matching entry allows', async () => {
    await using server = await MqttServer.start({
      config: rules,
      module: {
        access_publish: {
          'open/#': 'all',
          'staff/+': 'staff',
          'open/staff': 'none',
          'own/%u/%c': 'all',
          'at/%d': 'all',
          'missing/#': 'no_such_rule',
        },
      },
    })
    await using juliet = await server.login({ clientId: 'lamp' })
    await using romeo = await server.login({ userName: 'romeo', clientId: 'lamp' })
    const table: [string, boolean, boolean][] = [
      ['open', true, true],
      ['open/a/b', true, true],
      // ejabberd looks on after a "deny".
      ['open/staff', true, true],
      ['staff/a', true, false],
      ['staff/a/b', false, false],
      ['own/juliet/lamp', true, false],
      ['own/romeo/lamp', false, true],
      ['own/juliet/other', false, false],
      ['at/localhost', true, true],
      ['missing/a', false, false],
      ['elsewhere', false, false],
      ['$SYS/broker', false, false],
    ]
    for (const [topic, forJuliet, forRomeo] of table) {
      for (const [client, isAllowed] of [
        [juliet, forJuliet],
        [romeo, forRomeo],
      ] as const) {
        const expected = isAllowed ? ReasonCode.noMatchingSubscribers : ReasonCode.notAuthorized
        assert.equal(await client.publish(topic, 'x', { qos: 1 }), expected, topic)
      }
    }
  })

  test('tells MQTT 5 clients why, and drops what others send', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { 'a/#': 'all' } } })
    await using client = await server.login({ clientId: 'new' })
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('#')
    client.sendPublish('b', 'x', { qos: 1 })
    const puback = await client.receive('puback')
    assert.equal(puback.reasonCode, ReasonCode.notAuthorized)
    assert.equal(
      puback.properties.reasonString,
      'Publishing to "b" is not allowed: no filter of access_publish selects it',
    )
    assert.equal(await client.publish('b', 'x', { qos: 2 }), ReasonCode.notAuthorized)
    client.sendPublish('b', 'x')
    await client.hearsNothing()
    await using old = await server.login({ version: 4, clientId: 'old' })
    for (const qos of [0, 1, 2] as const) await old.publish('b', 'x', { qos })
    await old.hearsNothing()
    await watcher.hearsNothing()
    const labels = 'host="localhost",reason="denied"'
    assert.equal(server.metric('linnet_mqtt_messages_dropped_total', labels), 6)
  })

  test('without reason strings for those who do not want them (MQTT5 3.1.2.11.7)', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { 'a/#': 'all' } } })
    await using client = await server.login({ properties: { requestProblemInformation: false } })
    client.sendPublish('b', 'x', { qos: 1 })
    const puback = await client.receive('puback')
    assert.equal(puback.reasonCode, ReasonCode.notAuthorized)
    assert.equal(puback.properties.reasonString, undefined)
  })

  test('holds as changed from the reload on', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { 'a/#': 'all' } } })
    await using client = await server.login()
    assert.equal(await client.publish('b', 'x', { qos: 1 }), ReasonCode.notAuthorized)
    await server.reload({ module: { access_publish: { b: 'all' } } })
    assert.equal(await client.publish('b', 'x', { qos: 1 }), ReasonCode.noMatchingSubscribers)
    assert.equal(await client.publish('a/b', 'x', { qos: 1 }), ReasonCode.notAuthorized)
  })
})

suite('the publish hook', () => {
  test('may change a message or take it out', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('#')
    const moved = parseTopicName('moved')
    assert.ok(moved.ok)
    server.hooks().on(
      mqttPublish,
      (content, publisher) => {
        if (content.topic === 'secret') return drop
        if (content.topic !== 'old') return undefined
        const payload = Buffer.from(`by ${publisher.jid}`)
        return { ...content, topic: moved.value, payload }
      },
      'test',
    )
    client.sendPublish('old', 'x')
    const received = await client.receiveMessage()
    assert.deepEqual([received.topic, received.text], ['moved', 'by juliet@localhost/test'])
    client.sendPublish('other', 'y')
    assert.equal((await client.receiveMessage()).text, 'y')
    assert.equal(await client.publish('secret', 'z', { qos: 1 }), ReasonCode.notAuthorized)
    await client.hearsNothing()
  })
})

suite('hosts', () => {
  test('have topics of their own', async () => {
    await using server = await MqttServer.start({ hosts: ['localhost', 'example.org'] })
    await using here = await server.login({ clientId: 'a' })
    await using there = await server.login({ clientId: 'a', userName: 'juliet@example.org' })
    await here.subscribe('#')
    await there.subscribe('#')
    await there.publish('a', 'x', { qos: 0, retain: true })
    assert.equal((await there.receiveMessage()).text, 'x')
    await here.hearsNothing()
    await here.subscribe('a')
    await here.hearsNothing()
  })
})

suite('modules', () => {
  test('publish in the name of an account, and see what is published', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { 'a/#': 'all' } } })
    await using client = await server.login()
    await client.subscribe('#')
    const broker = server.broker()
    const seen: string[] = []
    const topic = parseTopicName('a/b')
    const other = parseTopicName('b')
    assert.ok(topic.ok && other.ok)
    const [juliet] = server.registry.all()
    assert.ok(juliet !== undefined)
    const content = { payload: Buffer.from('x'), qos: 1, retain: false, properties: {} } as const
    const filter = [...(broker.sessions.byKey.get(juliet.jid)?.subscriptions?.keys() ?? [])][0]
    assert.ok(filter !== undefined)
    const end = broker.subscribe(filter, (found) => seen.push(found.topic))
    const publisher = { jid: juliet.jid, ip: '' }
    assert.equal(broker.publishAs(publisher, { ...content, topic: topic.value }).ok, true)
    const refused = broker.publishAs(publisher, { ...content, topic: other.value })
    assert.deepEqual(refused, { ok: false, error: ReasonCode.notAuthorized })
    assert.equal((await client.receiveMessage()).topic, 'a/b')
    end()
    client.sendPublish('a/c', 'y')
    assert.equal((await client.receiveMessage()).topic, 'a/c')
    assert.deepEqual(seen, ['a/b'])
  })
})
