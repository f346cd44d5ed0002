import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { encodePacket } from '../../../src/mqtt/packet/encode.ts'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import { connectPacket } from '../../support/mqtt-client.ts'
import {
  connectBytes,
  endOf,
  endReason,
  hex,
  lasting,
  packet,
  properties,
  property,
  refusalOf,
  text,
  texts,
  u16,
} from './wire.ts'
import type { ConnectParts } from './wire.ts'

suite('the first packet', () => {
  // shows: MQTT5 3.1.0-1
  test('has to be CONNECT: what begins otherwise is closed without a word', async () => {
    await using server = await MqttServer.start()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('#')
    for (const first of [
      '00 00',
      '20 03 00 00 00',
      '30 05 0001 61 00 78',
      '32 07 0001 61 0001 00 78',
      '40 02 0001',
      '62 02 0001',
      '82 07 0001 00 0001 61 00',
      'c0 00',
      'e0 00',
      'f0 00',
    ]) {
      await using client = await server.connect()
      client.speak(5)
      client.sendBytes(Buffer.concat([hex(first), connectBytes({ payload: [text('late')] })]))
      await client.closed()
    }
    await watcher.hearsNothing()
  })

  // shows: MQTT5 3.1.0-2, 4.13.1-1
  test('may not come twice', async () => {
    await using server = await MqttServer.start()
    assert.equal(await endOf(server, connectBytes()), ReasonCode.protocolError)
    const another = connectBytes({ payload: [text('another'), text('romeo'), text('secret')] })
    assert.equal(await endOf(server, another), ReasonCode.protocolError)
    await using client = await server.connect()
    client.speak(5)
    client.sendBytes(Buffer.concat([connectBytes(), connectBytes()]))
    assert.equal((await client.receive('connack')).reasonCode, 0)
    assert.equal(await endReason(client), ReasonCode.protocolError)
  })
})

suite('protocol name and version', () => {
  // shows: MQTT5 3.1.2-1
  test('any other name is turned away', async () => {
    await using server = await MqttServer.start()
    for (const name of ['MQTT\u0020', 'mqtt', 'MQT', '', 'MQIsdp', 'AMQP']) {
      await using client = await server.connect()
      // Not knowing the version, the server speaks 3.1.1.
      client.speak(4)
      client.sendBytes(connectBytes({ name }))
      const { reasonCode } = await client.receive('connack')
      assert.equal(reasonCode, ReasonCode.unsupportedProtocolVersion, name)
      await client.closed()
    }
  })

  // shows: MQTT5 3.1.2-2
  test('so is any other version', async () => {
    await using server = await MqttServer.start()
    for (const level of [0, 1, 2, 3, 6, 0x85, 0xff]) {
      await using client = await server.connect()
      client.speak(4)
      client.sendBytes(connectBytes({ level }))
      const { reasonCode } = await client.receive('connack')
      assert.equal(reasonCode, ReasonCode.unsupportedProtocolVersion, `${level}`)
      await client.closed()
    }
  })
})

suite('a malformed CONNECT', () => {
  const { malformedPacket, protocolError, topicNameInvalid } = ReasonCode
  const id = text('test')
  const will = [properties(), text('gone'), text('x')]
  const user = text('juliet')
  const password = text('secret')

  async function refuses(table: readonly (readonly [string, ConnectParts, number])[]) {
    await using server = await MqttServer.start()
    for (const [name, parts, reason] of table) {
      assert.equal(await refusalOf(server, connectBytes(parts)), reason, name)
    }
  }

  // shows: MQTT5 3.1.2-3, 3.1.4-1
  test('has the reserved flag', async () => {
    await refuses([['reserved', { flags: 0xc3 }, malformedPacket]])
  })

  // shows: MQTT5 3.1.2-11, 3.1.2-12, 3.1.2-13
  test('has flags of a will that contradict each other', async () => {
    await refuses([
      ['QoS 1 without will', { flags: 0xca }, malformedPacket],
      ['QoS 2 without will', { flags: 0xd2 }, malformedPacket],
      ['retain without will', { flags: 0xe2 }, malformedPacket],
      ['QoS 3', { flags: 0xde, payload: [id, ...will, user, password] }, malformedPacket],
    ])
  })

  // shows: MQTT5 3.1.2-9, 3.1.2-16, 3.1.2-17, 3.1.2-18, 3.1.2-19, 3.1.3-1, 3.1.3-3, 3.1.4-1
  test('does not hold the fields that its flags announce', async () => {
    await refuses([
      ['no client identifier', { flags: 0x02, payload: [] }, malformedPacket],
      ['no will', { flags: 0x06, payload: [id] }, malformedPacket],
      ['no will topic', { flags: 0x06, payload: [id, properties()] }, malformedPacket],
      ['no will payload', { flags: 0x06, payload: [id, properties(), text('a')] }, malformedPacket],
      ['a will without flag', { flags: 0x02, payload: [id, ...will] }, malformedPacket],
      ['no user name', { flags: 0x82, payload: [id] }, malformedPacket],
      ['a user name without flag', { flags: 0x02, payload: [id, user] }, malformedPacket],
      ['another one without flag', { flags: 0x42, payload: [id, user, password] }, malformedPacket],
      ['no password', { flags: 0xc2, payload: [id, user] }, malformedPacket],
      ['a password without flag', { flags: 0x82, payload: [id, user, password] }, malformedPacket],
      ['half a password', { payload: [id, user, password.subarray(0, 4)] }, malformedPacket],
    ])
  })

  // shows: MQTT5 3.1.4-1
  test('has properties that do not belong there, or values that they cannot have', async () => {
    const table: readonly (readonly [string, Uint8Array, number])[] = [
      ['unknown', property(0x04, hex('00')), malformedPacket],
      ['of PUBLISH', property(0x23, u16(1)), malformedPacket],
      ['of CONNACK', property(0x12, text('a')), malformedPacket],
      ['of the will', property(0x18, hex('00000001')), malformedPacket],
      ['cut off', property(0x11, hex('0000')), malformedPacket],
      ['Receive Maximum 0', property(0x21, u16(0)), protocolError],
      ['Maximum Packet Size 0', property(0x27, hex('00000000')), protocolError],
      ['Request Problem Information 2', property(0x17, hex('02')), protocolError],
      ['Request Response Information 2', property(0x19, hex('02')), protocolError],
      ['Authentication Data alone', property(0x16, text('x')), protocolError],
      ...[
        property(0x11, hex('00000001')),
        property(0x15, text('a')),
        property(0x17, hex('01')),
        property(0x19, hex('01')),
        property(0x21, u16(1)),
        property(0x22, u16(1)),
        property(0x27, hex('00000100')),
      ].map((once) => [`twice ${once[0]}`, Buffer.concat([once, once]), protocolError] as const),
    ]
    await refuses(
      table.map(([name, own, reason]) => [name, { properties: properties(own) }, reason]),
    )
    await refuses([['too long a list', { properties: hex('ff 7f') }, malformedPacket]])
  })

  // shows: MQTT5 3.1.4-1, 4.7.0-1, 4.7.3-1
  test('has a will that could not be published', async () => {
    const bad = (topic: string, ...own: readonly Uint8Array[]): ConnectParts => ({
      flags: 0xc6,
      payload: [id, properties(...own), text(topic), text('x'), user, password],
    })
    await refuses([
      ['no topic', bad(''), topicNameInvalid],
      ['#', bad('a/#'), topicNameInvalid],
      ['+', bad('+/a'), topicNameInvalid],
      ['response topic', bad('a', property(0x08, text('a/+'))), topicNameInvalid],
      ['alias', bad('a', property(0x23, u16(1))), malformedPacket],
      [
        'delay twice',
        bad('a', property(0x18, u16(0), u16(1)), property(0x18, u16(0), u16(1))),
        protocolError,
      ],
      ['payload format 2', bad('a', property(0x01, hex('02'))), protocolError],
      [
        'not the text it claims',
        {
          flags: 0xc6,
          payload: [
            id,
            properties(property(0x01, hex('01'))),
            text('a'),
            text(hex('ff')),
            user,
            password,
          ],
        },
        ReasonCode.payloadFormatInvalid,
      ],
    ])
  })

  // shows: MQTT5 3.1.4-1
  test('is longer than its fields, or shorter', async () => {
    await using server = await MqttServer.start()
    const longer = connectBytes({ payload: [id, user, password, hex('00')] })
    assert.equal(await refusalOf(server, longer), malformedPacket)
    const cut = packet(0x10, connectBytes().subarray(2, 16))
    assert.equal(await refusalOf(server, cut), malformedPacket)
  })

  test('of more than 512 KiB is not even read (MQTT5 3.2.2.2)', async () => {
    await using server = await MqttServer.start()
    const pair = property(0x26, text('x'.repeat(60_000)), text(''))
    const large = connectBytes({ properties: properties(...Array.from({ length: 9 }, () => pair)) })
    await using client = await server.connect()
    client.speak(5)
    client.sendBytes(large)
    // Its version is not known yet either.
    await client.closed()
  })

  // shows: MQTT5 3.1.3-1, 3.1.2-9, 3.1.2-17, 3.1.2-19
  test('is not one that has all fields in their order', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    client.speak(5)
    const own = [property(0x03, text('text/plain'))]
    const payload = [id, properties(...own), text('gone'), text('bye'), user, password]
    client.sendBytes(connectBytes({ flags: 0xc6, payload }))
    assert.equal((await client.receive('connack')).reasonCode, 0)
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('#')
    client.drop()
    const received = await watcher.receiveMessage()
    assert.deepEqual([received.topic, received.text], ['gone', 'bye'])
    assert.equal(received.properties.contentType, 'text/plain')
  })
})

suite('a CONNECT that is refused', () => {
  // shows: MQTT5 3.1.4-2, 3.2.2-7, 4.13.2-1
  test('ends the connection', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { 'a/#': 'all' } } })
    const { badUserNameOrPassword, notAuthorized } = ReasonCode
    const wrong = connectBytes({ payload: [text('test'), text('juliet'), text('wrong')] })
    assert.equal(await refusalOf(server, wrong), badUserNameOrPassword)
    const will = { topic: 'b' }
    assert.equal(await refusalOf(server, encodePacket(connectPacket({ will }), 5)), notAuthorized)
  })

  // shows: MQTT5 3.1.4-6
  test('takes with it what came behind', async () => {
    await using server = await MqttServer.start()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('#')
    const behind = [
      hex('33 07 0001 61 0001 00 78'),
      hex('82 07 0002 00 0001 23 00'),
      hex('c0 00'),
      connectBytes(),
    ]
    for (const payload of [
      [text('test'), text('juliet'), text('wrong')],
      [text('\u0007'), text('juliet'), text('secret')],
    ]) {
      await using client = await server.connect()
      client.speak(5)
      client.sendBytes(Buffer.concat([connectBytes({ payload }), ...behind]))
      assert.equal((await client.receive('connack')).reasonCode >= 0x80, true)
      await client.closed()
    }
    await watcher.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_retained'), 0)
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 1)
  })
})

suite('client identifiers', () => {
  // shows: MQTT5 3.1.3-5
  test('of 1 to 23 digits and letters are accepted', async () => {
    await using server = await MqttServer.start()
    for (const clientId of [
      '0',
      '0123456789abcdefghijklm',
      'nopqrstuvwxyzABCDEFGHIJ',
      'KLMNOPQRSTUVWXYZ',
    ]) {
      await using client = await server.login({ clientId })
      await client.hearsNothing()
    }
  })

  // shows: MQTT5 3.1.3-2
  test('name the session: upper and lower case are two', async () => {
    await using server = await MqttServer.start()
    for (const clientId of ['lamp', 'Lamp', 'lamp2']) {
      await using client = await server.login(lasting(clientId))
      await client.subscribe(`of/${clientId}`)
      await client.disconnect()
    }
    await using publisher = await server.login({ clientId: 'from' })
    for (const clientId of ['lamp', 'Lamp', 'lamp2']) {
      await publisher.publish(`of/${clientId}`, clientId, { qos: 1 })
    }
    for (const clientId of ['lamp', 'Lamp', 'lamp2']) {
      await using client = await server.connect()
      assert.equal((await client.login(lasting(clientId))).sessionPresent, true)
      assert.deepEqual(await texts(client, 1), [clientId])
      await client.hearsNothing()
    }
  })

  // shows: MQTT5 3.1.3-6, 3.1.3-7, 3.2.2-16
  test('are assigned to who has none, each another one, and name the session as any other', async () => {
    await using server = await MqttServer.start()
    const assigned: string[] = []
    for (let i = 0; i < 3; i++) {
      await using client = await server.connect()
      const { properties: own, sessionPresent } = await client.login(lasting(''))
      assert.equal(sessionPresent, false)
      assigned.push(own.assignedClientIdentifier ?? assert.fail('No client identifier'))
      await client.subscribe(`of/${i}`)
      await client.disconnect()
    }
    assert.equal(new Set(assigned).size, 3)
    await using publisher = await server.login({ clientId: 'from' })
    for (const [i, clientId] of assigned.entries()) {
      await publisher.publish(`of/${i}`, clientId, { qos: 1 })
      await using client = await server.connect()
      const connack = await client.login(lasting(clientId))
      assert.equal(connack.sessionPresent, true)
      assert.equal(connack.properties.assignedClientIdentifier, undefined)
      assert.deepEqual(await texts(client, 1), [clientId])
    }
  })

  // shows: MQTT5 3.1.3-8
  test('that are refused are answered with 0x85', async () => {
    await using server = await MqttServer.start()
    for (const clientId of ['x'.repeat(1024), 'a\u0007b']) {
      const bytes = encodePacket(connectPacket({ clientId }), 5)
      assert.equal(await refusalOf(server, bytes), ReasonCode.clientIdentifierNotValid)
    }
  })

  // shows: MQTT5 3.1.4-3
  test('that are in use end the older connection', async () => {
    await using server = await MqttServer.start()
    for (const cleanStart of [true, false]) {
      await using first = await server.login({ clientId: 'lamp' })
      await using second = await server.login({ clientId: 'lamp', cleanStart })
      assert.equal(await endReason(first), ReasonCode.sessionTakenOver)
      await second.hearsNothing()
      await second.disconnect()
    }
  })
})

suite('keep alive', () => {
  // shows: MQTT5 3.1.2-22, 3.2.2-22
  test('ends a connection after one and a half times its length', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login({ keepAlive: 20, will: { topic: 'gone' } })
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('gone')
    for (const seconds of [19, 29]) {
      server.clock.advance(seconds * 1000)
      await client.hearsNothing()
    }
    server.clock.advance(33_000)
    assert.equal(await endReason(client), ReasonCode.keepAliveTimeout)
    assert.deepEqual(await texts(watcher, 1), ['gone'])
  })

  // shows: MQTT5 3.1.2-22
  test('is kept by any packet', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login({ keepAlive: 20 })
    await client.subscribe('a')
    for (let i = 0; i < 4; i++) {
      server.clock.advance(25_000)
      if (i % 2 === 0) await client.publish('b', 'x', { qos: 1 })
      else client.sendPublish('a', 'x')
      if (i % 2 === 1) await client.receive('publish')
    }
    await client.hearsNothing()
  })

  // shows: MQTT5 3.2.2-21, 3.1.2-22
  test('may be made shorter by the server, which then goes by its own', async () => {
    await using server = await MqttServer.start({ module: { max_keep_alive: '10 seconds' } })
    for (const keepAlive of [0, 60_000]) {
      await using client = await server.connect()
      const { properties: own } = await client.login({ keepAlive })
      assert.equal(own.serverKeepAlive, 10)
      server.clock.advance(14_000)
      await client.hearsNothing()
      server.clock.advance(17_000)
      assert.equal(await endReason(client), ReasonCode.keepAliveTimeout)
    }
    await using short = await server.connect()
    const { properties: own } = await short.login({ keepAlive: 5 })
    assert.equal(own.serverKeepAlive ?? 5, 5)
    server.clock.advance(9500)
    assert.equal(await endReason(short), ReasonCode.keepAliveTimeout)
  })
})

suite('what a client asks for', () => {
  // shows: MQTT5 3.1.2-28
  test('no Response Information comes unasked', async () => {
    await using server = await MqttServer.start()
    for (const own of [{}, { requestResponseInformation: false }]) {
      await using client = await server.connect()
      const connack = await client.login({ properties: own })
      assert.equal(connack.properties.responseInformation, undefined)
    }
  })

  // shows: MQTT5 3.1.2-29
  test('no reason strings for who does not want them', async () => {
    await using server = await MqttServer.start({
      module: { access_publish: { open: 'all' }, access_subscribe: { open: 'all' } },
    })
    for (const wanted of [true, false]) {
      const own = { requestProblemInformation: wanted }
      await using client = await server.login({ clientId: `${wanted}`, properties: own })
      client.sendPublish('closed', 'x', { qos: 1, packetId: 1 })
      const puback = await client.receive('puback')
      client.sendPublish('closed', 'x', { qos: 2, packetId: 2 })
      const pubrec = await client.receive('pubrec')
      client.sendBytes(hex('82 08 0003 00 0002 6162 00'))
      const suback = await client.receive('suback')
      client.sendBytes(hex('a2 07 0004 00 0002 6162'))
      const unsuback = await client.receive('unsuback')
      client.sendAck('pubrel', 5)
      const pubcomp = await client.receive('pubcomp')
      for (const { properties: answer } of [puback, pubrec, suback]) {
        assert.equal(answer.reasonString !== undefined, wanted)
      }
      for (const { properties: answer } of [puback, pubrec, suback, unsuback, pubcomp]) {
        if (!wanted) assert.deepEqual({ ...answer }, {})
      }
      // User properties of a message come all the same.
      await client.subscribe('open')
      const userProperties = [['a', 'b']] as const
      client.sendPublish('open', 'x', { properties: { userProperties } })
      assert.deepEqual((await client.receiveMessage()).properties.userProperties, userProperties)
    }
  })
})
