import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import type { MqttClient } from '../../support/mqtt-client.ts'
import {
  RawClient,
  endOf,
  endReason,
  hex,
  lasting,
  packet,
  properties,
  property,
  text,
  texts,
  u16,
} from './wire.ts'

const levels = [0, 1, 2] as const

suite('PUBLISH from a client', () => {
  // shows: MQTT5 3.3.1-2, 3.3.1-4, 4.13.1-1
  test('has a QoS, and DUP only where that is not 0', async () => {
    await using server = await MqttServer.start()
    for (const [first, rest] of [
      [0x36, '0001 61 0001 00'],
      [0x3e, '0001 61 0001 00'],
      [0x38, '0001 61 00'],
    ] as const) {
      const reason = await endOf(server, packet(first, hex(rest)))
      assert.equal(reason, ReasonCode.malformedPacket, `${first}`)
    }
  })

  // shows: MQTT5 3.3.2-1, 3.3.2-2, 4.7.0-1, 4.7.3-1
  test('has a topic name, without wildcards', async () => {
    await using server = await MqttServer.start()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('#')
    const publish = (topic: string): Buffer => packet(0x30, text(topic), properties())
    for (const topic of ['#', '+', 'a/#', 'a/+/b', 'a#', '+a']) {
      assert.equal(await endOf(server, publish(topic)), ReasonCode.topicNameInvalid, topic)
    }
    assert.equal(await endOf(server, publish('')), ReasonCode.protocolError)
    assert.equal(await endOf(server, packet(0x30, hex('0005 61'))), ReasonCode.malformedPacket)
    assert.equal(await endOf(server, packet(0x30)), ReasonCode.malformedPacket)
    await watcher.hearsNothing()
  })

  // shows: MQTT5 3.3.2-13, 3.3.2-14, 4.7.0-1
  test('has a response topic to which one can publish', async () => {
    await using server = await MqttServer.start()
    const { topicNameInvalid, malformedPacket } = ReasonCode
    const publish = (response: Uint8Array): Buffer =>
      packet(0x30, text('a'), properties(property(0x08, text(response))))
    for (const [response, reason] of [
      [Buffer.from('a/#'), topicNameInvalid],
      [Buffer.from('+'), topicNameInvalid],
      [Buffer.from(''), topicNameInvalid],
      [hex('ff'), malformedPacket],
      [hex('00'), malformedPacket],
    ] as const) {
      assert.equal(await endOf(server, publish(response)), reason)
    }
  })

  // shows: MQTT5 3.3.4-6
  test('has no subscription identifier', async () => {
    await using server = await MqttServer.start()
    const bytes = packet(0x30, text('a'), properties(property(0x0b, hex('01'))))
    assert.equal(await endOf(server, bytes), ReasonCode.protocolError)
  })

  test('has properties of its own only, each once (MQTT5 2.2.2.2)', async () => {
    await using server = await MqttServer.start()
    const { malformedPacket, protocolError } = ReasonCode
    const table: readonly (readonly [string, Uint8Array, number])[] = [
      ['unknown', property(0x7f, hex('00')), malformedPacket],
      ['of SUBACK', property(0x1f, text('why')), malformedPacket],
      ['of CONNECT', property(0x11, hex('00000001')), malformedPacket],
      ['cut off', property(0x02, hex('0000')), malformedPacket],
      ['format 2', property(0x01, hex('02')), protocolError],
      ['format twice', hex('0101 0101'), protocolError],
      ['expiry twice', hex('0200000001 0200000001'), protocolError],
      ['alias twice', hex('230001 230001'), protocolError],
      ['content type twice', hex('03000161 03000161'), protocolError],
      ['response topic twice', hex('08000161 08000161'), protocolError],
      ['correlation data twice', hex('09000161 09000161'), protocolError],
    ]
    for (const [name, own, reason] of table) {
      const bytes = packet(0x30, text('a'), properties(own))
      assert.equal(await endOf(server, bytes), reason, name)
    }
    const beyond = packet(0x30, text('a'), hex('05 0101'))
    assert.equal(await endOf(server, beyond), malformedPacket)
  })

  test('is refused when it is not the text that it claims to be (MQTT5 3.3.2.3.2)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('a')
    const own = { properties: { payloadFormatIndicator: 1 } } as const
    for (const qos of [1, 2] as const) {
      const reason = await client.publish('a', hex('61 ed a0 80'), { qos, ...own })
      assert.equal(reason, ReasonCode.payloadFormatInvalid)
    }
    // U+0000 is text.
    await client.publish('a', 'a\0é', { qos: 1, ...own })
    assert.deepEqual(await texts(client, 1), ['a\0é'])
    client.sendPublish('a', hex('ff'), own)
    assert.equal(await endReason(client), ReasonCode.payloadFormatInvalid)
  })

  // shows: MQTT5 3.2.2-15
  test('is not larger than the server takes', async () => {
    await using server = await MqttServer.start({ listener: { max_payload_size: 1000 } })
    await using client = await server.connect()
    const limit = (await client.login()).properties.maximumPacketSize ?? 0
    // Fixed header 3, topic 3, Property Length 1.
    client.sendPublish('a', Buffer.alloc(limit - 7))
    await client.hearsNothing()
    client.sendPublish('a', Buffer.alloc(limit - 6))
    assert.equal(await endReason(client), ReasonCode.packetTooLarge)
  })
})

suite('retained messages', () => {
  async function retained(server: MqttServer, filter: string): Promise<readonly string[]> {
    await using client = await server.login({ clientId: 'looks' })
    await client.subscribe('end of the list', { qos: 0 })
    await client.subscribe(filter, { qos: 0 })
    client.sendPublish('end of the list', '')
    const found: string[] = []
    for (;;) {
      const { topic, text: payload, retain } = await client.receiveMessage()
      if (topic === 'end of the list') return found.sort()
      assert.equal(retain, true)
      found.push(`${topic}=${payload}`)
    }
  }

  // shows: MQTT5 3.3.1-5
  test('are kept, one for each topic, with QoS and properties', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    for (const qos of levels) {
      await client.publish('a', `a${qos}`, { qos, retain: true })
      assert.deepEqual(await retained(server, '#'), [`a=a${qos}`])
    }
    await client.publish('b', 'b', { qos: 2, retain: true, properties: { contentType: 'x' } })
    assert.deepEqual(await retained(server, '+'), ['a=a2', 'b=b'])
    await client.subscribe('b', { qos: 2 })
    const received = await client.receiveMessage()
    assert.deepEqual([received.qos, received.properties.contentType], [2, 'x'])
  })

  // shows: MQTT5 3.3.1-6, 3.3.1-7
  test('are removed by one without payload, which is delivered but not kept', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('a', { retainAsPublished: true })
    for (const qos of levels) {
      await client.publish('a', 'x', { qos, retain: true })
      await client.publish('a', '', { qos, retain: true })
      assert.equal((await watcher.receiveMessage()).text, 'x')
      const removal = await watcher.receiveMessage()
      assert.deepEqual([removal.text, removal.retain, removal.qos], ['', true, qos])
      assert.deepEqual(await retained(server, 'a'), [])
      assert.equal(server.metric('linnet_mqtt_retained'), 0)
    }
    await client.publish('never there', '', { qos: 1, retain: true })
    assert.equal(server.metric('linnet_mqtt_retained'), 0)
  })

  // shows: MQTT5 3.3.1-8
  test('stay when others without the flag come, with or without payload', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.publish('a', 'kept', { qos: 1, retain: true })
    for (const qos of levels) {
      await client.publish('a', 'passes', { qos })
      await client.publish('a', '', { qos })
      await client.publish('b', 'passes', { qos })
      await client.hearsNothing()
      assert.deepEqual(await retained(server, '#'), ['a=kept'])
    }
  })

  // shows: MQTT5 3.3.1-9, 3.3.1-10, 3.3.1-11, 3.8.4-4
  test('come as Retain Handling wants it, to new subscriptions and to such as were there', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    for (const topic of ['a/1', 'a/2']) await client.publish(topic, topic, { qos: 1, retain: true })
    const comes = async (): Promise<void> => {
      assert.deepEqual((await texts(client, 2)).sort(), ['a/1', 'a/2'])
      await client.hearsNothing()
    }
    // New.
    await client.subscribe('a/+', { retainHandling: 0 })
    await comes()
    await client.subscribe('a/#', { retainHandling: 1 })
    await comes()
    await client.subscribe('+/+', { retainHandling: 2 })
    await client.hearsNothing()
    // There before, whatever else about them changes.
    for (const filter of ['a/+', 'a/#', '+/+']) {
      await client.subscribe(filter, { retainHandling: 0, qos: 1 })
      await comes()
      await client.subscribe(filter, { retainHandling: 1, qos: 2, identifier: 4 })
      await client.hearsNothing()
      await client.subscribe(filter, { retainHandling: 2 })
      await client.hearsNothing()
    }
    // Gone, and new again.
    await client.unsubscribe('a/+')
    await client.subscribe('a/+', { retainHandling: 1 })
    await comes()
  })

  // shows: MQTT5 3.3.1-10
  test('do not come again to the subscriptions of a session that goes on', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', 'x', { qos: 1, retain: true })
    await using client = await server.login(lasting('to'))
    await client.subscribe('a', { retainHandling: 1 })
    assert.deepEqual(await texts(client, 1), ['x'])
    await client.disconnect()
    await using back = await server.login(lasting('to'))
    await back.subscribe('a', { retainHandling: 1 })
    await back.hearsNothing()
  })

  // shows: MQTT5 3.3.1-12, 3.3.1-13
  test('have the flag later on only for those who keep it as published', async () => {
    await using server = await MqttServer.start()
    await using plain = await server.login({ clientId: 'plain' })
    await using keeps = await server.login({ clientId: 'keeps' })
    await using shared = await server.login({ clientId: 'shared' })
    await using sharedPlain = await server.login({ clientId: 'shared-plain' })
    await plain.subscribe('a')
    await keeps.subscribe('a', { retainAsPublished: true })
    await shared.subscribe('$share/g/a', { retainAsPublished: true })
    await sharedPlain.subscribe('$share/h/a')
    await using publisher = await server.login({ clientId: 'from' })
    for (const qos of levels) {
      for (const retain of [false, true]) {
        await publisher.publish('a', 'x', { qos, retain })
        for (const [client, expected] of [
          [plain, false],
          [keeps, retain],
          [shared, retain],
          [sharedPlain, false],
        ] as const) {
          assert.equal((await client.receiveMessage()).retain, expected)
        }
      }
    }
    // Those that are sent because of a new subscription have it in any case (MQTT5 3.3.1.3).
    await using late = await server.login({ clientId: 'late' })
    await late.subscribe('a')
    assert.equal((await late.receiveMessage()).retain, true)
  })
})

suite('PUBLISH to a client', () => {
  // shows: MQTT5 3.3.2-4, 3.3.2-15, 3.3.2-16, 3.3.2-17, 3.3.2-18, 3.3.2-20
  test('has the properties of the one that came, with all ways to the subscriber', async () => {
    await using server = await MqttServer.start()
    await using away = await server.login(lasting('away'))
    await away.subscribe('a/+')
    await away.disconnect()
    await using direct = await server.login({ clientId: 'direct' })
    await using numbered = await server.login({ clientId: 'numbered' })
    await using aliased = await server.login({
      clientId: 'aliased',
      properties: { topicAliasMaximum: 5 },
    })
    await direct.subscribe('a/+')
    await numbered.subscribe('a/+', { identifier: 3 })
    await aliased.subscribe('$share/g/a/+')
    await using publisher = await server.login({ clientId: 'from' })
    const userProperties = [
      ['b', '1'],
      ['a', ''],
      ['', 'b'],
      ['b', '1'],
      ['a', 'é'],
    ] as const
    const sent = [
      {},
      { payloadFormatIndicator: 0, userProperties },
      {
        payloadFormatIndicator: 1,
        contentType: 'text/plain; charset=utf-8',
        responseTopic: 'answers/é',
        correlationData: new Uint8Array([0, 1, 254, 255]),
        userProperties,
      },
      { contentType: '', correlationData: new Uint8Array(0), userProperties },
    ] as const
    for (const [i, own] of sent.entries()) {
      for (const qos of levels) {
        const topic = `a/${i}${qos}`
        await publisher.publish(topic, 'x', { qos, retain: true, properties: own })
        assert.deepEqual({ ...(await direct.receiveMessage()).properties }, own)
        const { subscriptionIdentifiers, ...rest } = (await numbered.receiveMessage()).properties
        assert.deepEqual([subscriptionIdentifiers, rest], [[3], own])
        const { topicAlias: _alias, ...others } = (await aliased.receiveMessage()).properties
        assert.deepEqual(others, own)
        // Retained.
        await direct.subscribe(topic)
        assert.deepEqual({ ...(await direct.receiveMessage()).properties }, own)
        await direct.unsubscribe(topic)
      }
    }
    // Kept for a client that was away.
    await using back = await server.login(lasting('away'))
    for (const own of sent) {
      for (const qos of levels) {
        const received = await back.receiveMessage()
        assert.deepEqual({ ...received.properties }, own)
        assert.equal(received.qos, qos)
      }
    }
  })

  // shows: MQTT5 3.3.2-1, 3.3.2-3
  test('has the topic that it was published to, which the filter selects', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const topics = ['a', 'a/b', 'a/b/c', '/a', 'a/', '/', '//', 'A/b', 'b/a', 'a//b', 'ab', 'a b/é']
    const filters: readonly (readonly [string, readonly string[]])[] = [
      ['a', ['a']],
      ['a/b', ['a/b']],
      ['+', ['a', 'ab']],
      ['a/+', ['a/b', 'a/']],
      ['+/b', ['a/b', 'A/b']],
      ['/+', ['/a', '/']],
      ['+/+', ['a/b', '/a', 'a/', '/', 'A/b', 'b/a', 'a b/é']],
      ['a/#', ['a', 'a/b', 'a/b/c', 'a/', 'a//b']],
      ['a/+/#', ['a/b', 'a/b/c', 'a/', 'a//b']],
      ['a/+/c', ['a/b/c']],
      ['+/+/+', ['a/b/c', '//', 'a//b']],
      ['/#', ['/a', '/', '//']],
      ['#', topics],
    ]
    for (const [filter, selected] of filters) {
      await client.subscribe(filter, { qos: 0 })
      for (const topic of topics) client.sendPublish(topic, topic)
      for (const topic of selected) {
        const received = await client.receiveMessage()
        assert.deepEqual([received.topic, received.text], [topic, topic], filter)
      }
      await client.hearsNothing()
      await client.unsubscribe(filter)
    }
  })

  // shows: MQTT5 3.3.1-1, 3.3.1-3, 4.3.1-1, 4.3.2-2, 4.3.3-2
  test('has DUP if it was sent before, not if it came with it', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login(lasting('to'))
    await client.subscribe('a')
    publisher.sendPublish('a', '0')
    publisher.sendPublish('a', '1', { qos: 1, dup: true })
    publisher.sendPublish('a', '2', { qos: 2, dup: true })
    for (const qos of levels) {
      const { qos: level, dup } = await client.receive('publish')
      assert.deepEqual([level, dup], [qos, false])
    }
    client.drop()
    await using back = await server.login(lasting('to'))
    for (const qos of [1, 2] as const) {
      const { qos: level, dup } = await back.receive('publish')
      assert.deepEqual([level, dup], [qos, true])
    }
    // What is new has none.
    publisher.sendPublish('a', '3', { qos: 1, packetId: 9 })
    const fresh = await back.receive('publish')
    assert.deepEqual([Buffer.from(fresh.payload).toString(), fresh.dup], ['3', false])
  })
})

suite('message expiry', () => {
  async function remaining(client: MqttClient): Promise<number | undefined> {
    return (await client.receiveMessage()).properties.messageExpiryInterval
  }

  // shows: MQTT5 3.3.2-5, 3.3.2-6
  test('is counted down while a message waits, and deletes it', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using away = await server.login(lasting('to'))
    await away.subscribe('a')
    await away.disconnect()
    for (const [payload, messageExpiryInterval] of [
      ['short', 10],
      ['zero', 0],
      ['long', 100],
      ['longest', 0xffff_ffff],
    ] as const) {
      await publisher.publish('a', payload, { qos: 1, properties: { messageExpiryInterval } })
    }
    await publisher.publish('a', 'without', { qos: 1 })
    server.clock.advance(30_000)
    await using back = await server.login(lasting('to'))
    assert.equal(await remaining(back), 70)
    assert.equal(await remaining(back), 0xffff_ffff - 30)
    assert.equal(await remaining(back), undefined)
    await back.hearsNothing()
    const labels = 'host="localhost",reason="expired"'
    assert.equal(server.metric('linnet_mqtt_messages_dropped_total', labels), 2)
  })

  // shows: MQTT5 3.3.2-5, 3.3.2-6
  test('holds for retained messages', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    for (const qos of levels) {
      const own = { messageExpiryInterval: 60 }
      await client.publish('a', 'x', { qos, retain: true, properties: own })
      await client.hearsNothing()
      server.clock.advance(25_000)
      await client.subscribe('a')
      assert.equal(await remaining(client), 35)
      server.clock.advance(36_000)
      await client.subscribe('a')
      await client.hearsNothing()
      await client.unsubscribe('a')
    }
    server.clock.advance(60_000)
    assert.equal(server.metric('linnet_mqtt_retained'), 0)
  })

  // shows: MQTT5 3.3.2-5, 3.3.2-6
  test('holds for what waits behind the Receive Maximum', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login({ clientId: 'to', properties: { receiveMaximum: 1 } })
    await client.subscribe('a')
    await publisher.publish('a', 'first', { qos: 1 })
    await publisher.publish('a', 'short', { qos: 1, properties: { messageExpiryInterval: 5 } })
    await publisher.publish('a', 'long', { qos: 1, properties: { messageExpiryInterval: 50 } })
    const { packetId } = await client.receive('publish')
    server.clock.advance(10_000)
    client.sendAck('puback', packetId)
    const received = await client.receiveMessage()
    assert.deepEqual([received.text, received.properties.messageExpiryInterval], ['long', 40])
  })

  // shows: MQTT5 3.3.2-6
  test('is sent as it came when nothing waits', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.subscribe('a')
    await client.subscribe('$share/g/a', { identifier: 4 })
    for (const qos of levels) {
      await client.publish('a', 'x', { qos, properties: { messageExpiryInterval: 7 } })
      assert.equal(await remaining(client), 7)
      assert.equal(await remaining(client), 7)
    }
  })

  // shows: MQTT5 4.3.3-7
  test('does not hold for what was sent: it comes again, and QoS 2 is completed', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login(lasting('to'))
    await client.subscribe('a')
    for (const qos of [1, 2] as const) {
      await publisher.publish('a', `${qos}`, { qos, properties: { messageExpiryInterval: 5 } })
      await client.receive('publish')
    }
    client.drop()
    server.clock.advance(60_000)
    await using back = await server.login(lasting('to'))
    for (const expected of ['1', '2']) {
      const again = await back.receiveMessage()
      assert.deepEqual([again.text, again.dup], [expected, true])
      assert.equal(again.properties.messageExpiryInterval, 0)
    }
  })

  // shows: MQTT5 4.3.3-13
  test('does not keep the server from answering for QoS 2', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const own = { messageExpiryInterval: 1 }
    client.sendPublish('a', 'x', { qos: 2, packetId: 5, properties: own })
    assert.equal((await client.receive('pubrec')).packetId, 5)
    server.clock.advance(10_000)
    client.sendAck('pubrel', 5)
    const pubcomp = await client.receive('pubcomp')
    assert.deepEqual([pubcomp.packetId, pubcomp.reasonCode], [5, ReasonCode.success])
  })
})

suite('topic aliases', () => {
  // shows: MQTT5 3.3.2-8, 3.3.2-9, 3.2.2-17, 3.2.2-18
  test('of a client are neither 0 nor more than the server takes', async () => {
    for (const limit of [0, 1, 10]) {
      await using server = await MqttServer.start({ module: { max_topic_aliases: limit } })
      for (const topicAlias of [0, limit + 1, 0xffff]) {
        await using client = await server.connect()
        const connack = await client.login()
        assert.equal(connack.properties.topicAliasMaximum ?? 0, limit)
        client.sendPublish('a', 'x', { properties: { topicAlias } })
        assert.equal(await endReason(client), ReasonCode.topicAliasInvalid)
      }
    }
  })

  // shows: MQTT5 3.3.2-12
  test('of a client are all taken up to the maximum, and may be given anew', async () => {
    await using server = await MqttServer.start({ module: { max_topic_aliases: 20 } })
    await using client = await server.login()
    await using subscriber = await server.login({ clientId: 'to' })
    await subscriber.subscribe('a/#', { qos: 0 })
    for (let topicAlias = 1; topicAlias <= 20; topicAlias++) {
      client.sendPublish(`a/${topicAlias}`, '', { properties: { topicAlias } })
      assert.equal((await subscriber.receiveMessage()).topic, `a/${topicAlias}`)
    }
    for (let topicAlias = 20; topicAlias >= 1; topicAlias--) {
      for (const qos of levels) {
        client.sendPublish('', '', { qos, properties: { topicAlias } })
        if (qos === 1) await client.receive('puback')
        if (qos === 2) await client.receive('pubrec')
      }
      for (const _ of levels)
        assert.equal((await subscriber.receiveMessage()).topic, `a/${topicAlias}`)
    }
    client.sendPublish('a/other', '', { properties: { topicAlias: 7 } })
    client.sendPublish('', '', { properties: { topicAlias: 7 } })
    for (let i = 0; i < 2; i++) assert.equal((await subscriber.receiveMessage()).topic, 'a/other')
  })

  // shows: MQTT5 3.3.2-7
  test('of a client end with its connection, even if its session goes on', async () => {
    await using server = await MqttServer.start()
    await using first = await server.login(lasting('from'))
    first.sendPublish('a', 'x', { properties: { topicAlias: 1 } })
    await first.hearsNothing()
    first.drop()
    await using second = await server.connect()
    assert.equal((await second.login(lasting('from'))).sessionPresent, true)
    second.sendPublish('', 'x', { properties: { topicAlias: 1 } })
    assert.equal(await endReason(second), ReasonCode.protocolError)
  })

  // shows: MQTT5 3.1.2-26, 3.1.2-27, 3.3.2-8, 3.3.2-11
  test('of the server are neither 0 nor more than the client takes', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const topics = ['a/1', 'a/2', 'a/3', 'a/4']
    for (const topicAliasMaximum of [undefined, 0, 1, 3]) {
      const limit = topicAliasMaximum ?? 0
      const own = topicAliasMaximum === undefined ? {} : { topicAliasMaximum }
      await using client = await server.login({ clientId: 'to', properties: own })
      await client.subscribe('a/#')
      const known = new Map<number, string>()
      for (let round = 0; round < 2; round++) {
        for (const qos of levels) {
          for (const topic of topics) {
            await publisher.publish(topic, topic, { qos })
            const received = await client.receiveMessage()
            const alias = received.properties.topicAlias
            if (alias === undefined) assert.equal(received.topic, topic)
            else {
              assert.equal(alias >= 1 && alias <= limit, true)
              if (received.topic !== '') known.set(alias, received.topic)
              assert.equal(known.get(alias), received.text)
            }
            assert.equal(received.text, topic)
          }
        }
      }
      assert.equal(known.size, limit)
      await client.disconnect()
    }
  })

  // shows: MQTT5 3.3.2-7
  test('of the server end with the connection', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const options = lasting('to', { properties: { topicAliasMaximum: 5 } })
    for (let round = 0; round < 2; round++) {
      await using client = await server.login(options)
      await client.subscribe('a')
      for (const expected of ['a', '']) {
        await publisher.publish('a', 'x', { qos: 1 })
        const { topic, properties: own } = await client.receiveMessage()
        assert.deepEqual([topic, own.topicAlias], [expected, 1])
      }
      await client.disconnect()
    }
  })
})

suite('the Maximum Packet Size of a client', () => {
  /** Bytes of a PUBLISH with QoS 0 to "a" without properties; 2 more with QoS 1 or 2. */
  const around = 2 + 3 + 1

  // shows: MQTT5 3.1.2-24, 3.1.2-25
  test('is kept on all ways to it; what is too large counts as sent', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const variants = [
      { name: 'plain', identifier: 0, more: {}, extra: 0 },
      { name: 'with identifier', identifier: 9, more: {}, extra: 2 },
      { name: 'with expiry', identifier: 0, more: { messageExpiryInterval: 50 }, extra: 5 },
    ]
    for (const { name, identifier, more, extra } of variants) {
      await using client = await server.login({
        clientId: 'to',
        properties: { maximumPacketSize: 60, receiveMaximum: 1 },
      })
      await client.subscribe('a', identifier === 0 ? {} : { identifier })
      for (const qos of levels) {
        const fits = 60 - around - extra - (qos === 0 ? 0 : 2)
        for (const length of [fits + 1, fits, fits + 1]) {
          await publisher.publish('a', 'x'.repeat(length), { qos, properties: more })
        }
        assert.equal((await client.receiveMessage()).text.length, fits, `${name}, QoS ${qos}`)
        await client.hearsNothing()
      }
      assert.equal(server.metric('linnet_mqtt_inflight'), 0)
      await client.disconnect()
    }
  })

  // shows: MQTT5 3.1.2-24, 3.1.2-25
  test('is kept for retained messages, for share groups and for what waited', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('r', 'x'.repeat(100), { qos: 1, retain: true })
    await publisher.publish('s', 'small', { qos: 1, retain: true })
    const small = lasting('to', { properties: { maximumPacketSize: 60 } })
    await using away = await server.login(lasting('to'))
    await away.subscribe('a')
    await away.subscribe('$share/g/b')
    await away.disconnect()
    for (const qos of [1, 2] as const) {
      await publisher.publish('a', 'x'.repeat(100), { qos })
      await publisher.publish('b', 'x'.repeat(100), { qos })
      await publisher.publish('a', 'waited', { qos })
    }
    await using client = await server.login(small)
    assert.deepEqual(await texts(client, 2), ['waited', 'waited'])
    await client.subscribe('+')
    assert.deepEqual(await texts(client, 1), ['small'])
    await publisher.publish('b', 'x'.repeat(100), { qos: 0 })
    await client.hearsNothing()
    await client.disconnect()
    // None of them comes when there is room again: they count as delivered.
    await using larger = await server.login(lasting('to'))
    await larger.hearsNothing()
  })

  // shows: MQTT5 3.1.2-24
  test('leaves out a topic alias that would make a message too large', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login({
      clientId: 'to',
      properties: { maximumPacketSize: 60, topicAliasMaximum: 5 },
    })
    await client.subscribe('a')
    for (const [length, topic, alias] of [
      [60 - around, 'a', undefined],
      [60 - around - 3, 'a', 1],
      // A known one saves the byte of the topic.
      [60 - around - 2, '', 1],
    ] as const) {
      await publisher.publish('a', 'x'.repeat(length), { qos: 0 })
      const received = await client.receiveMessage()
      assert.deepEqual([received.topic, received.properties.topicAlias], [topic, alias])
      assert.equal(received.text.length, length)
    }
  })

  // shows: MQTT5 3.1.2-24, 3.4.2-2, 3.5.2-2, 3.9.2-1, 3.14.2-3
  test('leaves out reason strings that do not fit', async () => {
    await using server = await MqttServer.start({
      module: { access_publish: { open: 'all' }, access_subscribe: { open: 'all' } },
    })
    const { notAuthorized, protocolError } = ReasonCode
    for (const [maximumPacketSize, hasReason] of [
      [1000, true],
      [20, false],
    ] as const) {
      await using client = await server.login({ properties: { maximumPacketSize } })
      client.sendPublish('closed', 'x', { qos: 1, packetId: 1 })
      const puback = await client.receive('puback')
      client.sendPublish('closed', 'x', { qos: 2, packetId: 2 })
      const pubrec = await client.receive('pubrec')
      client.sendBytes(packet(0x82, u16(3), properties(), text('closed'), hex('00')))
      const suback = await client.receive('suback')
      client.sendPublish('', 'x', {})
      const disconnect = await client.receive('disconnect')
      assert.deepEqual(
        [puback.reasonCode, pubrec.reasonCode, suback.reasonCodes, disconnect.reasonCode],
        [notAuthorized, notAuthorized, [notAuthorized], protocolError],
      )
      for (const { properties: own } of [puback, pubrec, suback, disconnect]) {
        assert.equal(own.reasonString !== undefined, hasReason)
      }
      await client.closed()
    }
  })

  // shows: MQTT5 3.6.2-2, 3.6.2-3, 3.7.2-2, 3.7.2-3, 3.11.2-1, 3.11.2-2
  test('has room for all other answers, which have no properties', async () => {
    await using server = await MqttServer.start()
    await using client = await RawClient.login(server, { properties: { maximumPacketSize: 20 } })
    for (const [sent, answer] of [
      ['62 02 0009', '70 03 0009 92'],
      ['50 02 000a', '62 03 000a 92'],
      ['34 07 0001 62 abcd 00 78', '50 03 abcd 10'],
      ['62 02 abcd', '70 02 abcd'],
      ['a2 06 1234 00 0001 62', 'b0 04 1234 00 11'],
    ] as const) {
      client.send(hex(sent))
      assert.deepEqual(await client.receive(), hex(answer))
    }
  })

  // shows: MQTT5 3.1.2-24
  test('ends the connection where it has no room for an answer that has to come', async () => {
    await using server = await MqttServer.start()
    const own = { maximumPacketSize: 20 }
    const filters = Array.from({ length: 30 }, (_, i) => `a/${i}`)
    const subscribe = packet(
      0x82,
      u16(1),
      properties(),
      ...filters.flatMap((filter) => [text(filter), hex('00')]),
    )
    assert.equal(await endOf(server, subscribe, { properties: own }), ReasonCode.packetTooLarge)
    const unsubscribe = packet(0xa2, u16(1), properties(), ...filters.map(text))
    assert.equal(await endOf(server, unsubscribe, { properties: own }), ReasonCode.packetTooLarge)
  })
})
