import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import type { MqttClient } from '../../support/mqtt-client.ts'
import { drop, endOf, endReason, hex, lasting, packet, texts, u16 } from './wire.ts'

const { noMatchingSubscribers, packetIdentifierNotFound, protocolError, success } = ReasonCode

/** Topic, identifier and DUP of the next packet, which is a PUBLISH. */
async function nextMessage(client: MqttClient): Promise<readonly unknown[]> {
  const { payload, packetId, dup } = await client.receive('publish')
  return [Buffer.from(payload).toString(), packetId, dup]
}

suite('messages from a client', () => {
  // shows: MQTT5 3.3.4-1, 4.3.2-4, 4.3.3-8, 4.3.3-11
  test('are answered as their QoS asks', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('a')
    client.sendPublish('a', '0')
    await client.hearsNothing()
    client.sendPublish('a', '1', { qos: 1, packetId: 300 })
    const puback = await client.receive('puback')
    assert.deepEqual([puback.packetId, puback.reasonCode], [300, success])
    client.sendPublish('a', '2', { qos: 2, packetId: 301 })
    const pubrec = await client.receive('pubrec')
    assert.deepEqual([pubrec.packetId, pubrec.reasonCode], [301, success])
    await client.hearsNothing()
    client.sendAck('pubrel', 301)
    const pubcomp = await client.receive('pubcomp')
    assert.deepEqual([pubcomp.packetId, pubcomp.reasonCode], [301, success])
    assert.deepEqual(await texts(watcher, 3), ['0', '1', '2'])
  })

  // shows: MQTT5 3.4.2-1, 3.5.2-1
  test('are answered with a code of PUBACK and PUBREC, whatever becomes of them', async () => {
    await using server = await MqttServer.start({
      module: { access_publish: { 'a/#': 'all' }, max_retained: 1 },
    })
    await using client = await server.login()
    await client.subscribe('a/subscribed', { qos: 0 })
    await client.publish('a/first', 'x', { retain: true })
    const text = { payloadFormatIndicator: 1 } as const
    for (const qos of [1, 2] as const) {
      const { notAuthorized, payloadFormatInvalid, quotaExceeded } = ReasonCode
      assert.equal(await client.publish('a/nobody', 'x', { qos }), noMatchingSubscribers)
      assert.equal(await client.publish('a/subscribed', 'x', { qos }), success)
      assert.equal(await client.publish('b', 'x', { qos }), notAuthorized)
      assert.equal(await client.publish('a/x', 'x', { qos, retain: true }), quotaExceeded)
      const bad = await client.publish('a', hex('ff'), { qos, properties: text })
      assert.equal(bad, payloadFormatInvalid)
    }
  })

  // shows: MQTT5 4.3.2-5
  test('of QoS 1 are new ones after PUBACK, whatever their identifier and DUP', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('a')
    for (const dup of [false, true, true]) {
      client.sendPublish('a', 'x', { qos: 1, packetId: 7, dup })
      assert.equal((await client.receive('puback')).packetId, 7)
      assert.deepEqual(await texts(watcher, 1), ['x'])
    }
  })

  // shows: MQTT5 4.3.3-10
  test('of QoS 2 are taken over once before PUBREL, even on another connection', async () => {
    await using server = await MqttServer.start()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('a')
    await using first = await server.login(lasting('from'))
    for (const dup of [false, true]) {
      first.sendPublish('a', 'x', { qos: 2, packetId: 7, dup })
      const { packetId, reasonCode } = await first.receive('pubrec')
      assert.deepEqual([packetId, reasonCode], [7, success])
    }
    assert.deepEqual(await texts(watcher, 1), ['x'])
    await drop(server, first)
    await using second = await server.login(lasting('from'))
    second.sendPublish('a', 'x', { qos: 2, packetId: 7, dup: true })
    assert.equal((await second.receive('pubrec')).packetId, 7)
    second.sendAck('pubrel', 7)
    assert.equal((await second.receive('pubcomp')).reasonCode, success)
    await watcher.hearsNothing()
  })

  // shows: MQTT5 4.3.3-12
  test('of QoS 2 are new ones after PUBCOMP', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('a')
    for (let i = 0; i < 3; i++) {
      assert.equal(await client.publish('a', `${i}`, { qos: 2, packetId: 7 }), success)
      assert.deepEqual(await texts(watcher, 1), [`${i}`])
    }
    client.sendAck('pubrel', 7)
    assert.equal((await client.receive('pubcomp')).reasonCode, packetIdentifierNotFound)
  })

  // shows: MQTT5 4.3.3-9
  test('of QoS 2 are new ones after a refusal, too', async () => {
    await using server = await MqttServer.start({
      module: { access_publish: { a: 'all' }, max_retained: 1 },
    })
    await using client = await server.login()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('a')
    await client.publish('a', 'kept', { retain: true })
    assert.deepEqual(await texts(watcher, 1), ['kept'])
    const refusals = [
      () => client.sendPublish('b', 'denied', { qos: 2, packetId: 7 }),
      () =>
        client.sendPublish('a', hex('ff'), {
          qos: 2,
          packetId: 7,
          properties: { payloadFormatIndicator: 1 },
        }),
    ]
    for (const refusal of refusals) {
      refusal()
      assert.equal((await client.receive('pubrec')).reasonCode >= 0x80, true)
      assert.equal(await client.publish('a', 'new', { qos: 2, packetId: 7 }), success)
      assert.deepEqual(await texts(watcher, 1), ['new'])
    }
  })

  // shows: MQTT5 4.3.3-9
  test('of QoS 2 that a quota refuses are new ones when there is room', async () => {
    await using server = await MqttServer.start({ module: { max_retained: 1 } })
    await using client = await server.login()
    await client.publish('a', 'kept', { qos: 1, retain: true })
    const first = await client.publish('b', 'x', { qos: 2, packetId: 7, retain: true })
    assert.equal(first, ReasonCode.quotaExceeded)
    await client.publish('a', '', { qos: 1, retain: true })
    const second = await client.publish('b', 'x', { qos: 2, packetId: 7, retain: true })
    assert.equal(second, noMatchingSubscribers)
    await client.subscribe('b')
    assert.deepEqual(await texts(client, 1), ['x'])
  })

  // shows: MQTT5 4.5.0-1
  test('are added to the session of each client that is subscribed, here or away', async () => {
    await using server = await MqttServer.start()
    const names = ['to1', 'to2', 'to3']
    for (const name of names) {
      await using client = await server.login(lasting(name))
      await client.subscribe('a/#')
      await client.disconnect()
    }
    await using here = await server.login({ clientId: 'here' })
    await here.subscribe('+/b')
    await using publisher = await server.login({ clientId: 'from' })
    for (const qos of [1, 2] as const) await publisher.publish('a/b', `${qos}`, { qos })
    assert.deepEqual(await texts(here, 2), ['1', '2'])
    for (const name of names) {
      await using client = await server.login(lasting(name))
      assert.deepEqual(await texts(client, 2), ['1', '2'])
      await client.hearsNothing()
    }
  })
})

suite('messages to a client', () => {
  // shows: MQTT5 4.3.2-1, 4.3.2-2, 4.3.2-3
  test('of QoS 1 are unacknowledged until PUBACK', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login(lasting('to'))
    await client.subscribe('a', { qos: 1 })
    for (const payload of ['1', '2']) await publisher.publish('a', payload, { qos: 1 })
    const [, first] = await nextMessage(client)
    const [, second] = await nextMessage(client)
    assert.notEqual(first, second)
    client.sendAck('puback', Number(first))
    // Not meant for this one.
    client.sendAck('pubcomp', Number(second))
    await client.hearsNothing()
    await drop(server, client)
    await using back = await server.login(lasting('to'))
    assert.deepEqual(await nextMessage(back), ['2', second, true])
    back.sendAck('puback', Number(second))
    await back.hearsNothing()
    await drop(server, back)
    await using again = await server.login(lasting('to'))
    await again.hearsNothing()
  })

  // shows: MQTT5 4.3.3-1, 4.3.3-2, 4.3.3-3, 4.3.3-4, 4.3.3-5, 4.3.3-6, 3.6.2-1
  test('of QoS 2 go through all four steps, and on from where they were', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using first = await server.login(lasting('to'))
    await first.subscribe('a')
    await publisher.publish('a', 'x', { qos: 2 })
    const [, packetId] = await nextMessage(first)
    await drop(server, first)
    // Unacknowledged: PUBLISH again.
    await using second = await server.login(lasting('to'))
    assert.deepEqual(await nextMessage(second), ['x', packetId, true])
    second.sendAck('pubrec', Number(packetId))
    const pubrel = await second.receive('pubrel')
    assert.deepEqual([pubrel.packetId, pubrel.reasonCode], [packetId, success])
    await drop(server, second)
    // PUBREL is out: only that again.
    await using third = await server.login(lasting('to'))
    assert.equal((await third.receive('pubrel')).packetId, packetId)
    await third.hearsNothing()
    third.sendAck('pubrec', Number(packetId))
    assert.equal((await third.receive('pubrel')).reasonCode, success)
    third.sendAck('pubcomp', Number(packetId))
    await third.hearsNothing()
    await drop(server, third)
    await using fourth = await server.login(lasting('to'))
    await fourth.hearsNothing()
    // The identifier is free.
    fourth.sendAck('pubrec', Number(packetId))
    assert.equal((await fourth.receive('pubrel')).reasonCode, packetIdentifierNotFound)
  })

  // shows: MQTT5 4.4.0-1
  test('are sent again on the next connection, in their order, and at no other time', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login(lasting('to'))
    await client.subscribe('a')
    const sent: (readonly unknown[])[] = []
    for (const [i, qos] of ([1, 2, 2, 1, 2] as const).entries()) {
      await publisher.publish('a', `${i}`, { qos })
      sent.push(await nextMessage(client))
    }
    // The second has been received.
    client.sendAck('pubrec', Number(sent[1]?.[1]))
    await client.receive('pubrel')
    for (let i = 0; i < 5; i++) {
      server.clock.advance(60_000)
      await client.hearsNothing()
    }
    await drop(server, client)
    await publisher.publish('a', 'new', { qos: 1 })
    await using back = await server.login(lasting('to'))
    assert.deepEqual(await nextMessage(back), ['0', sent[0]?.[1], true])
    assert.equal((await back.receive('pubrel')).packetId, sent[1]?.[1])
    for (const i of [2, 3, 4])
      assert.deepEqual(await nextMessage(back), [`${i}`, sent[i]?.[1], true])
    const [payload, , dup] = await nextMessage(back)
    assert.deepEqual([payload, dup], ['new', false])
    await back.hearsNothing()
  })

  // shows: MQTT5 4.4.0-2, 4.3.3-4
  test('that are refused by the client are done with', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const options = lasting('to', { properties: { receiveMaximum: 1 } })
    await using client = await server.login(options)
    await client.subscribe('a')
    for (const reasonCode of [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]) {
      await publisher.publish('a', '1', { qos: 1 })
      await publisher.publish('a', '2', { qos: 2 })
      const one = await client.receive('publish')
      client.sendBytes(packet(0x40, u16(one.packetId), Buffer.from([reasonCode])))
      // There is room for the next.
      const two = await client.receive('publish')
      assert.equal(two.qos, 2)
      client.sendBytes(packet(0x50, u16(two.packetId), Buffer.from([reasonCode])))
      // No PUBREL.
      await client.hearsNothing()
    }
    await drop(server, client)
    await using back = await server.login(options)
    await back.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_inflight'), 0)
  })

  // shows: MQTT5 4.6.0-5, 4.6.0-6
  test('of one topic keep their order, whatever they wait for', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using fast = await server.login({ clientId: 'fast' })
    await using slow = await server.login({ clientId: 'slow', properties: { receiveMaximum: 3 } })
    await using away = await server.login(lasting('away'))
    for (const client of [fast, slow, away]) await client.subscribe('a/#')
    await away.disconnect()
    const topics = ['a/1', 'a/2', 'a']
    for (const qos of [0, 1, 2] as const) {
      const expected: string[] = []
      for (let i = 0; i < 30; i++) {
        const topic = topics[i % 3] ?? 'a'
        expected.push(`${qos} ${i}`)
        publisher.sendPublish(topic, `${qos} ${i}`, { qos, packetId: qos === 0 ? 0 : i + 1 })
      }
      for (const client of [fast, slow]) assert.deepEqual(await texts(client, 30), expected)
      for (let i = 0; i < 30; i++) {
        if (qos === 1) await publisher.receive('puback')
        if (qos === 2) {
          publisher.sendAck('pubrel', (await publisher.receive('pubrec')).packetId)
        }
      }
      if (qos === 2) for (let i = 0; i < 30; i++) await publisher.receive('pubcomp')
      await using back = await server.login(lasting('away'))
      assert.deepEqual(await texts(back, 30), expected)
      await back.disconnect()
    }
  })
})

suite('acknowledgements from a client', () => {
  // shows: MQTT5 3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1
  test('have one of their own reason codes', async () => {
    await using server = await MqttServer.start()
    const allowed = {
      puback: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
      pubrec: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
      pubrel: [0x00, 0x92],
      pubcomp: [0x00, 0x92],
    }
    const firsts = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 }
    for (const kind of ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const) {
      await using client = await server.login({ clientId: 'good' })
      for (const code of allowed[kind]) {
        client.sendBytes(packet(firsts[kind], hex('0009'), Buffer.from([code])))
        client.sendBytes(packet(firsts[kind], hex('0009'), Buffer.from([code, 0])))
        if (kind === 'pubrel' || (kind === 'pubrec' && code < 0x80)) {
          for (let i = 0; i < 2; i++) {
            const answer = await client.next()
            assert.ok(answer?.kind === (kind === 'pubrel' ? 'pubcomp' : 'pubrel'))
            assert.deepEqual([answer.packetId, answer.reasonCode], [9, packetIdentifierNotFound])
          }
        }
      }
      await client.hearsNothing()
      for (const code of [0x01, 0x04, 0x11, 0x18, 0x81, 0x8e, 0xa2, 0xff]) {
        const bytes = packet(firsts[kind], hex('0009'), Buffer.from([code]))
        assert.equal(await endOf(server, bytes), protocolError, `${kind} ${code}`)
      }
    }
  })

  test('are malformed when they are too short or too long (MQTT5 3.4.2)', async () => {
    await using server = await MqttServer.start()
    for (const first of [0x40, 0x50, 0x62, 0x70]) {
      for (const rest of [
        '',
        '00',
        '0009 00 00 00',
        '0009 00 05 1f 0001 61',
        '0009 00 03 11 0001',
      ]) {
        const reason = await endOf(server, packet(first, hex(rest)))
        assert.equal(reason, ReasonCode.malformedPacket, `${first} ${rest}`)
      }
      const twice = packet(first, hex('0009 00 08 1f000161 1f000161'))
      assert.equal(await endOf(server, twice), protocolError)
    }
  })

  // shows: MQTT5 3.7.2-1
  test('of what is not under way are answered, or passed over', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    client.sendAck('pubrel', 9)
    assert.equal((await client.receive('pubcomp')).reasonCode, packetIdentifierNotFound)
    client.sendAck('pubrec', 9)
    assert.equal((await client.receive('pubrel')).reasonCode, packetIdentifierNotFound)
    client.sendAck('pubrec', 9, 0x80)
    client.sendAck('puback', 9)
    client.sendAck('pubcomp', 9)
    await client.hearsNothing()
  })
})

suite('flow control', () => {
  // shows: MQTT5 3.3.4-7
  test('ends a connection that has more under way than the server takes', async () => {
    await using server = await MqttServer.start({ module: { receive_maximum: 3 } })
    await using client = await server.connect()
    assert.equal((await client.login()).properties.receiveMaximum, 3)
    for (const packetId of [1, 2, 3]) {
      client.sendPublish('a', 'x', { qos: 2, packetId })
      await client.receive('pubrec')
    }
    // QoS 0 does not count, and neither does what is refused.
    client.sendPublish('a', 'x')
    await client.hearsNothing()
    client.sendPublish('a', 'x', { qos: 1, packetId: 4 })
    assert.equal(await endReason(client), ReasonCode.receiveMaximumExceeded)
  })

  // shows: MQTT5 3.3.4-7
  test('counts PUBACK, PUBCOMP and refusals as ends', async () => {
    await using server = await MqttServer.start({
      module: { receive_maximum: 1, access_publish: { a: 'all' } },
    })
    await using client = await server.login()
    for (let i = 0; i < 3; i++) {
      await client.publish('a', 'x', { qos: 1 })
      await client.publish('a', 'x', { qos: 2 })
      assert.equal(await client.publish('b', 'x', { qos: 1 }), ReasonCode.notAuthorized)
      assert.equal(await client.publish('b', 'x', { qos: 2 }), ReasonCode.notAuthorized)
    }
    client.sendPublish('a', 'x', { qos: 2, packetId: 100 })
    await client.receive('pubrec')
    client.sendPublish('a', 'x', { qos: 2, packetId: 101 })
    assert.equal(await endReason(client), ReasonCode.receiveMaximumExceeded)
  })

  // shows: MQTT5 3.3.4-9, 4.9.0-1, 4.9.0-2
  test('keeps to the Receive Maximum of the client, with a queue behind it', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    for (const receiveMaximum of [1, 2, 5]) {
      await using client = await server.login({ clientId: 'to', properties: { receiveMaximum } })
      await client.subscribe('a')
      for (let i = 0; i < 8; i++) await publisher.publish('a', `${i}`, { qos: i % 2 === 0 ? 1 : 2 })
      const under: number[] = []
      for (let i = 0; i < receiveMaximum; i++)
        under.push((await client.receive('publish')).packetId)
      await client.hearsNothing()
      // PUBREC alone makes no room.
      const second = under[1]
      if (second !== undefined) {
        client.sendAck('pubrec', second)
        await client.receive('pubrel')
        await client.hearsNothing()
        client.sendAck('pubcomp', second)
        assert.equal((await client.receive('publish')).qos > 0, true)
        await client.hearsNothing()
      }
      client.sendAck('puback', under[0] ?? 0)
      assert.equal((await client.receive('publish')).qos > 0, true)
      await client.hearsNothing()
      client.drop()
    }
  })

  // shows: MQTT5 3.3.4-9, 4.9.0-1
  test('begins anew with each connection, for what is sent again too', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using first = await server.login(lasting('to', { properties: { receiveMaximum: 4 } }))
    await first.subscribe('a')
    for (let i = 0; i < 6; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    for (let i = 0; i < 4; i++) await first.receive('publish')
    await drop(server, first)
    await using second = await server.login(lasting('to', { properties: { receiveMaximum: 2 } }))
    const packetIds: number[] = []
    for (let i = 0; i < 2; i++) packetIds.push((await second.receive('publish')).packetId)
    await second.hearsNothing()
    for (const packetId of packetIds) second.sendAck('puback', packetId)
    assert.deepEqual(await texts(second, 4), ['2', '3', '4', '5'])
  })

  // shows: MQTT5 3.3.4-10, 4.9.0-3
  test('holds back nothing but messages of QoS 1 and 2', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using client = await server.login({ clientId: 'to', properties: { receiveMaximum: 1 } })
    await client.subscribe('a')
    for (let i = 0; i < 3; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    const { packetId } = await client.receive('publish')
    await client.hearsNothing()
    assert.equal(await client.subscribe('b', { qos: 1 }), 1)
    assert.equal(await client.publish('c', 'x', { qos: 1 }), noMatchingSubscribers)
    assert.equal(await client.publish('c', 'x', { qos: 2 }), noMatchingSubscribers)
    client.sendPublish('b', 'QoS 0')
    assert.equal(Buffer.from((await client.receive('publish')).payload).toString(), 'QoS 0')
    assert.deepEqual(await client.unsubscribe('b'), [success])
    await client.hearsNothing()
    client.sendAck('puback', packetId)
    assert.deepEqual(await texts(client, 2), ['1', '2'])
  })

  test('is not 0 on either side (MQTT5 3.1.2.11.3)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    const { properties } = await client.login()
    assert.notEqual(properties.receiveMaximum, 0)
  })
})
