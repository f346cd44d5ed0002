import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import type { MqttClient } from '../../support/mqtt-client.ts'
import {
  drop,
  endOf,
  hex,
  lasting,
  packet,
  properties,
  property,
  text,
  texts,
  u16,
} from './wire.ts'

const { malformedPacket, noSubscriptionExisted, protocolError, success, topicFilterInvalid } =
  ReasonCode

function subscribeBytes(filter: string, options: number, ...own: readonly Uint8Array[]): Buffer {
  return packet(0x82, u16(1), properties(...own), text(filter), Buffer.from([options]))
}

async function identifiersOf(client: MqttClient): Promise<readonly number[]> {
  const received = await client.receiveMessage()
  return [...(received.properties.subscriptionIdentifiers ?? [])].sort((a, b) => a - b)
}

suite('a wrong SUBSCRIBE', () => {
  // shows: MQTT5 3.8.3-2, 3.8.3-5
  test('ends the connection', async () => {
    await using server = await MqttServer.start()
    const table: readonly (readonly [string, Uint8Array, number])[] = [
      ['no filter', packet(0x82, u16(1), properties()), protocolError],
      ['no options', packet(0x82, u16(1), properties(), text('a')), malformedPacket],
      ['no property length', packet(0x82, u16(1)), malformedPacket],
      ['reserved bit 6', subscribeBytes('a', 0x40), malformedPacket],
      ['reserved bit 7', subscribeBytes('a', 0x80), malformedPacket],
      [
        'reserved bits behind a good one',
        packet(0x82, u16(1), properties(), text('a'), hex('00'), text('b'), hex('c1')),
        malformedPacket,
      ],
      ['QoS 3', subscribeBytes('a', 0x03), protocolError],
      ['Retain Handling 3', subscribeBytes('a', 0x30), protocolError],
      ['identifier 0', subscribeBytes('a', 0, property(0x0b, hex('00'))), protocolError],
      ['two identifiers', subscribeBytes('a', 0, hex('0b010b02')), protocolError],
      ['property of PUBLISH', subscribeBytes('a', 0, hex('0101')), malformedPacket],
    ]
    for (const [name, bytes, reason] of table)
      assert.equal(await endOf(server, bytes), reason, name)
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 0)
  })

  // shows: MQTT5 3.8.3-4
  test('has No Local for a share group', async () => {
    await using server = await MqttServer.start()
    assert.equal(await endOf(server, subscribeBytes('$share/g/a', 0x04)), protocolError)
    await using client = await server.login()
    assert.equal(await client.subscribe('$shared/g/a', { noLocal: true }), 2)
  })

  // shows: MQTT5 4.7.1-1, 4.7.1-2, 4.7.3-1, 4.8.2-1, 4.8.2-2
  test('has a filter that is none', async () => {
    await using server = await MqttServer.start()
    for (const filter of [
      '',
      'a#',
      '#a',
      'a/#/b',
      '#/',
      '##',
      'a/b#',
      'a+',
      '+a',
      'a/+b/c',
      'a/b+',
      '++',
      '+#',
      '$share/',
      '$share/g',
      '$share/g/',
      '$share//a',
      '$share/g+/a',
      '$share/+/a',
      '$share/#',
      '$share/g#/a',
      '$share/g/a#',
      '$share/g/a+/b',
    ]) {
      assert.equal(await endOf(server, subscribeBytes(filter, 0)), topicFilterInvalid, filter)
      const unsubscribe = packet(0xa2, u16(1), properties(), text(filter))
      assert.equal(await endOf(server, unsubscribe), topicFilterInvalid, filter)
    }
  })
})

suite('SUBACK', () => {
  // shows: MQTT5 3.8.4-1, 3.8.4-2, 3.8.4-5, 3.8.4-6, 3.8.4-7, 3.9.3-1, 3.9.3-2
  test('has one code for each filter, in their order: the QoS or why not', async () => {
    await using server = await MqttServer.start({
      module: {
        access_subscribe: { 'a/#': 'all', '#': 'none' },
        max_topic_depth: 3,
        max_subscriptions: 4,
      },
    })
    await using client = await server.login()
    const filters: readonly (readonly [string, number])[] = [
      ['a/2', 2],
      ['b', 1],
      ['a/0', 0],
      ['a/b/c/d', 1],
      ['a/1', 1],
      ['a/2', 1],
      ['$share/g/a', 2],
      ['a/one/too many', 0],
    ]
    const parts = filters.flatMap(([filter, qos]) => [text(filter), Buffer.from([qos])])
    client.sendBytes(packet(0x82, hex('abcd'), properties(), ...parts))
    const suback = await client.receive('suback')
    assert.equal(suback.packetId, 0xabcd)
    const { notAuthorized, quotaExceeded } = ReasonCode
    assert.deepEqual(suback.reasonCodes, [
      2,
      notAuthorized,
      0,
      topicFilterInvalid,
      1,
      1,
      2,
      quotaExceeded,
    ])
    await client.hearsNothing()
    // Only what was granted is there, the later one of two equal filters with its QoS.
    await using publisher = await server.login({ clientId: 'from' })
    for (const topic of ['a/0', 'b', 'a/b/c/d', 'a/1', 'a/2', 'a/one/too many', 'a']) {
      await publisher.publish(topic, topic, { qos: 2 })
    }
    for (const [topic, qos] of [
      ['a/0', 0],
      ['a/1', 1],
      ['a/2', 1],
      ['a', 2],
    ] as const) {
      const received = await client.receiveMessage()
      assert.deepEqual([received.topic, received.qos], [topic, qos])
    }
    await client.hearsNothing()
  })

  // shows: MQTT5 3.8.4-1, 3.8.4-2
  test('comes for each SUBSCRIBE by itself', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const packets = [5, 6, 5].map((packetId) =>
      packet(0x82, u16(packetId), properties(), text(`a/${packetId}`), hex('01')),
    )
    client.sendBytes(Buffer.concat(packets))
    for (const packetId of [5, 6, 5]) {
      const suback = await client.receive('suback')
      assert.deepEqual([suback.packetId, suback.reasonCodes], [packetId, [1]])
    }
  })
})

suite('a subscription', () => {
  // shows: MQTT5 3.8.4-8
  test('delivers with the lower one of both levels of QoS', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login()
    for (const granted of [0, 1, 2] as const) {
      await client.subscribe('a', { qos: granted })
      await client.subscribe('$share/g/a', { qos: granted, identifier: 1 })
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish('a', 'x', { qos, retain: true })
        for (let i = 0; i < 2; i++) {
          assert.equal((await client.receiveMessage()).qos, Math.min(qos, granted))
        }
        await using late = await server.login({ clientId: 'late' })
        await late.subscribe('a', { qos: granted })
        assert.equal((await late.receiveMessage()).qos, Math.min(qos, granted))
      }
      await publisher.publish('a', '', { qos: 0, retain: true })
      for (let i = 0; i < 2; i++) await client.receiveMessage()
    }
  })

  // shows: MQTT5 3.8.3-3
  test('with No Local does not deliver what its own client published', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login(lasting('own'))
    await using other = await server.login({ clientId: 'other' })
    await client.subscribe('a/#', { noLocal: true })
    for (const qos of [0, 1, 2] as const) {
      const expected = qos === 0 ? 0 : ReasonCode.noMatchingSubscribers
      assert.equal(await client.publish('a/b', 'mine', { qos }), expected)
      assert.equal(await other.publish('a/b', 'yours', { qos }), 0)
      assert.deepEqual(await texts(client, 1), ['yours'])
    }
    await client.hearsNothing()
    // On the next connection as well.
    await drop(server, client)
    await using back = await server.login(lasting('own'))
    await back.publish('a/b', 'mine', { qos: 1 })
    await back.hearsNothing()
    // An overlapping one without delivers by its own options.
    await back.subscribe('a/+', { qos: 0, identifier: 8 })
    await back.publish('a/b', 'mine', { qos: 2 })
    const received = await back.receiveMessage()
    assert.deepEqual([received.text, received.qos], ['mine', 0])
    assert.deepEqual(received.properties.subscriptionIdentifiers, [8])
    // And without the option again all come.
    await back.unsubscribe('a/+')
    await back.subscribe('a/#', { noLocal: false })
    await back.publish('a/b', 'mine again', { qos: 1 })
    assert.deepEqual(await texts(back, 1), ['mine again'])
  })

  // shows: MQTT5 3.8.3-3
  test('with No Local does not deliver the will of its own client', async () => {
    await using server = await MqttServer.start()
    const will = { topic: 'gone', qos: 1 } as const
    await using client = await server.login(lasting('own', { will }))
    await client.subscribe('gone', { noLocal: true })
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('gone', { noLocal: true })
    await drop(server, client)
    assert.deepEqual(await texts(watcher, 1), ['gone'])
    await using back = await server.login(lasting('own'))
    await back.hearsNothing()
  })

  // shows: MQTT5 3.8.4-3, 3.8.4-4
  test('is replaced by one with the same filter, and loses nothing', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a/kept', 'kept', { qos: 1, retain: true })
    await using client = await server.login(lasting('to'))
    await client.subscribe('a/#', { qos: 2, identifier: 1 })
    assert.deepEqual(await texts(client, 1), ['kept'])
    await client.subscribe('a/#', { qos: 0, identifier: 2, retainAsPublished: true })
    const again = await client.receiveMessage()
    assert.deepEqual([again.text, again.qos, again.retain], ['kept', 0, true])
    await publisher.publish('a/b', 'x', { qos: 2, retain: true })
    const received = await client.receiveMessage()
    assert.deepEqual([received.text, received.qos, received.retain], ['x', 0, true])
    assert.deepEqual(received.properties.subscriptionIdentifiers, [2])
    await client.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 1)
    // Messages that are under way or wait when it is replaced arrive, and those behind it.
    await client.subscribe('b', { qos: 1 })
    for (const i of [1, 2, 3]) publisher.sendPublish('b', `${i}`, { qos: 1, packetId: i })
    client.sendBytes(subscribeBytes('b', 0x02))
    for (const i of [4, 5]) publisher.sendPublish('b', `${i}`, { qos: 1, packetId: i })
    assert.deepEqual(await texts(client, 5), ['1', '2', '3', '4', '5'])
    assert.deepEqual((await client.receive('suback')).reasonCodes, [2])
  })
})

suite('subscription identifiers', () => {
  // shows: MQTT5 3.3.4-2, 3.3.4-3, 3.3.4-4
  test('of all overlapping subscriptions come with the one message, sent with the highest QoS', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await using publisher = await server.login({ clientId: 'from' })
    await client.subscribe('a/b', { qos: 0, identifier: 1 })
    await client.subscribe('a/+', { qos: 1, identifier: 2 })
    await client.subscribe('#', { qos: 2, identifier: 268_435_455 })
    await client.subscribe('+/b', { qos: 0 })
    await client.subscribe('a/#', { qos: 0, identifier: 2 })
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('a/b', 'x', { qos })
      const received = await client.receiveMessage()
      assert.equal(received.qos, qos)
      const identifiers = [...(received.properties.subscriptionIdentifiers ?? [])]
      // The same identifier of two subscriptions may come twice.
      assert.deepEqual(
        [...new Set(identifiers)].sort((a, b) => a - b),
        [1, 2, 268_435_455],
      )
      await client.hearsNothing()
    }
    await publisher.publish('c/b', 'x', { qos: 1 })
    assert.deepEqual(await identifiersOf(client), [268_435_455])
    await client.unsubscribe('#')
    await publisher.publish('c/b', 'x', { qos: 1 })
    assert.deepEqual(await identifiersOf(client), [])
  })

  // shows: MQTT5 3.3.4-5, 3.3.4-3
  test('of a shared subscription come with its own copy', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await using publisher = await server.login({ clientId: 'from' })
    await client.subscribe('a', { identifier: 1 })
    await client.subscribe('$share/g/a', { identifier: 2 })
    await client.subscribe('$share/h/+', { identifier: 3 })
    await client.subscribe('$share/i/#')
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('a', 'x', { qos })
      const found: string[] = []
      for (let i = 0; i < 4; i++) found.push((await identifiersOf(client)).join())
      assert.deepEqual(found.sort(), ['', '1', '2', '3'])
    }
  })

  // shows: MQTT5 3.3.4-3, 3.3.4-4, 3.1.2-5
  test('are still there when the session goes on, and for what waited', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login(lasting('to'))
    await client.subscribe('a/#', { identifier: 10 })
    await client.subscribe('a/+', { identifier: 20 })
    await client.disconnect()
    await publisher.publish('a/b', 'waits', { qos: 1 })
    await using back = await server.login(lasting('to'))
    assert.deepEqual(await identifiersOf(back), [10, 20])
    await publisher.publish('a/b', 'now', { qos: 1 })
    assert.deepEqual(await identifiersOf(back), [10, 20])
    await publisher.publish('a', 'now', { qos: 0 })
    assert.deepEqual(await identifiersOf(back), [10])
  })

  // shows: MQTT5 3.3.4-3, 3.3.4-4
  test('are still there after a restart of the server', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login(lasting('to'))
    await client.subscribe('a/#', { identifier: 300 })
    await client.subscribe('a/+', { identifier: 20 })
    await client.subscribe('$share/g/a/b', { identifier: 7 })
    await client.disconnect()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a/b', 'waits', { qos: 1 })
    await using next = await MqttServer.start({ file: await server.stop() })
    await using back = await next.login(lasting('to'))
    const found = [(await identifiersOf(back)).join(), (await identifiersOf(back)).join()]
    assert.deepEqual(found.sort(), ['20,300', '7'])
    await back.publish('a/c', 'now', { qos: 0 })
    assert.deepEqual(await identifiersOf(back), [20, 300])
  })

  test('come with retained messages (MQTT5 3.3.2.3.8)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.publish('a', 'x', { qos: 1, retain: true })
    await client.subscribe('+', { identifier: 4 })
    assert.deepEqual(await identifiersOf(client), [4])
    await client.subscribe('a')
    assert.deepEqual(await identifiersOf(client), [])
    await client.subscribe('+', { identifier: 5 })
    assert.deepEqual(await identifiersOf(client), [5])
  })
})

suite('UNSUBSCRIBE', () => {
  // shows: MQTT5 3.10.3-2
  test('has a filter at least', async () => {
    await using server = await MqttServer.start()
    assert.equal(await endOf(server, packet(0xa2, u16(1), properties())), protocolError)
    assert.equal(await endOf(server, packet(0xa2, u16(1))), malformedPacket)
    assert.equal(await endOf(server, packet(0xa2)), malformedPacket)
    const wrong = packet(0xa2, u16(1), properties(hex('0b01')), text('a'))
    assert.equal(await endOf(server, wrong), malformedPacket)
  })

  // shows: MQTT5 3.10.4-1, 3.10.4-4, 3.10.4-5, 3.10.4-6, 3.11.3-1, 3.11.3-2
  test('is answered filter by filter, and takes back what is the same by every character', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    for (const filter of ['a', 'a/+', 'a/#', '$share/g/a', 'é']) await client.subscribe(filter)
    const filters = [
      'A',
      'a/',
      'a/#',
      'b',
      '+',
      'a/b',
      '$share/h/a',
      'e\u0301',
      'a/#',
      '$share/g/a',
    ]
    client.sendBytes(packet(0xa2, hex('fedc'), properties(), ...filters.map(text)))
    const unsuback = await client.receive('unsuback')
    assert.equal(unsuback.packetId, 0xfedc)
    assert.deepEqual(
      unsuback.reasonCodes,
      filters.map((filter, i) =>
        (filter === 'a/#' && i === 2) || filter === '$share/g/a' ? success : noSubscriptionExisted,
      ),
    )
    await client.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 3)
    assert.deepEqual(await client.unsubscribe('nothing at all'), [noSubscriptionExisted])
  })

  // shows: MQTT5 3.10.4-2
  test('ends what comes by that filter, and by no other', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await using publisher = await server.login({ clientId: 'from' })
    await client.subscribe('a/#', { qos: 2, identifier: 1 })
    await client.subscribe('a/+', { qos: 1, identifier: 2 })
    await client.subscribe('$share/g/a/b', { qos: 2, identifier: 3 })
    await client.unsubscribe('a/#', '$share/g/a/b')
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('a/b', 'x', { qos })
      assert.deepEqual(await identifiersOf(client), [2])
      await publisher.publish('a', 'x', { qos })
    }
    await client.unsubscribe('a/+')
    assert.equal(await publisher.publish('a/b', 'x', { qos: 1 }), ReasonCode.noMatchingSubscribers)
    await client.hearsNothing()
  })

  // shows: MQTT5 3.10.4-3
  test('does not break off what is under way', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login(lasting('to'))
    await client.subscribe('a')
    for (const qos of [1, 2, 2] as const) await publisher.publish('a', 'x', { qos })
    const packetIds: number[] = []
    for (let i = 0; i < 3; i++) packetIds.push((await client.receive('publish')).packetId)
    await client.unsubscribe('a')
    const [one = 0, two = 0, three = 0] = packetIds
    client.sendAck('pubrec', two)
    assert.equal((await client.receive('pubrel')).reasonCode, success)
    client.sendAck('pubcomp', two)
    await drop(server, client)
    await using back = await server.login(lasting('to'))
    for (const packetId of [one, three]) {
      const again = await back.receive('publish')
      assert.deepEqual([again.packetId, again.dup], [packetId, true])
    }
    back.sendAck('puback', one)
    back.sendAck('pubrec', three)
    assert.equal((await back.receive('pubrel')).packetId, three)
    back.sendAck('pubcomp', three)
    await back.hearsNothing()
  })
})
