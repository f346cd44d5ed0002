import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import {
  RawClient,
  connectBytes,
  endOf,
  hex,
  packet,
  properties,
  property,
  refusalOf,
  text,
  u16,
  variable,
} from './wire.ts'

/** Packets of a client that has been let in, with a string in each place where one may stand. */
const placesOfStrings: readonly (readonly [string, (value: Uint8Array) => Buffer])[] = [
  ['topic name', (value) => packet(0x30, text(value), properties())],
  ['content type', (value) => publishWith(property(0x03, text(value)))],
  ['response topic', (value) => publishWith(property(0x08, text(value)))],
  ['user property name', (value) => publishWith(property(0x26, text(value), text('x')))],
  ['user property value', (value) => publishWith(property(0x26, text('x'), text(value)))],
  ['topic filter', (value) => packet(0x82, u16(1), properties(), text(value), hex('00'))],
  ['filter of UNSUBSCRIBE', (value) => packet(0xa2, u16(1), properties(), text(value))],
  [
    'reason string',
    (value) => packet(0x40, u16(1), hex('00'), properties(property(0x1f, text(value)))),
  ],
  [
    'reason of DISCONNECT',
    (value) => packet(0xe0, hex('00'), properties(property(0x1f, text(value)))),
  ],
]

/** The same for CONNECT. */
const placesInConnect: readonly (readonly [string, (value: Uint8Array) => Buffer])[] = [
  ['client identifier', (value) => connectBytes({ flags: 2, payload: [text(value)] })],
  [
    'will topic',
    (value) =>
      connectBytes({ flags: 6, payload: [text('a'), properties(), text(value), text('')] }),
  ],
  ['user name', (value) => connectBytes({ flags: 0x82, payload: [text('a'), text(value)] })],
  [
    'user property',
    (value) => connectBytes({ properties: properties(property(0x26, text(value), text(''))) }),
  ],
  [
    'authentication method',
    (value) => connectBytes({ properties: properties(property(0x15, text(value))) }),
  ],
  [
    'content type of the will',
    (value) =>
      connectBytes({
        flags: 6,
        payload: [text('a'), properties(property(0x03, text(value))), text('w'), text('')],
      }),
  ],
]

function publishWith(...values: readonly Uint8Array[]): Buffer {
  return packet(0x30, text('a'), properties(...values))
}

async function assertMalformedEverywhere(value: Uint8Array): Promise<void> {
  await using server = await MqttServer.start()
  for (const [place, bytes] of placesOfStrings) {
    assert.equal(await endOf(server, bytes(value)), ReasonCode.malformedPacket, place)
  }
  for (const [place, bytes] of placesInConnect) {
    assert.equal(await refusalOf(server, bytes(value)), ReasonCode.malformedPacket, place)
  }
}

suite('strings', () => {
  // shows: MQTT5 1.5.4-1, 1.5.7-1, 3.1.3-4, 3.1.3-11, 3.1.3-12, 3.3.2-1, 3.3.2-13, 3.3.2-19, 3.8.3-1, 3.10.3-1
  test('have to be well-formed wherever they stand', async () => {
    await assertMalformedEverywhere(hex('61 ff 62'))
  })

  // shows: MQTT5 1.5.4-1
  test('have no surrogates, overlong or cut-off sequences, nor anything behind U+10FFFF', async () => {
    await using server = await MqttServer.start()
    for (const bytes of [
      'eda080',
      'edbfbf',
      'c0af',
      'e080af',
      'f08080af',
      'e282',
      'f09f98',
      '80',
      'f4908080',
    ]) {
      for (const [place, packetOf] of placesOfStrings.slice(0, 3)) {
        const reason = await endOf(server, packetOf(hex(`61${bytes}`)))
        assert.equal(reason, ReasonCode.malformedPacket, `${bytes} in ${place}`)
      }
    }
  })

  // shows: MQTT5 1.5.4-1
  test('may hold any other character', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const name = 'a\u0001\ud7ff\ue000\ufffd\uffff\u{10000}\u{10ffff}é'
    await client.subscribe(`${name}/+`)
    const userProperties = [[name, name]] as const
    client.sendPublish(`${name}/b`, 'x', { properties: { contentType: name, userProperties } })
    const received = await client.receiveMessage()
    assert.equal(received.topic, `${name}/b`)
    assert.equal(received.properties.contentType, name)
    assert.deepEqual(received.properties.userProperties, userProperties)
  })

  // shows: MQTT5 1.5.4-2, 4.7.3-2
  test('hold no U+0000', async () => {
    await assertMalformedEverywhere(hex('61 00 62'))
  })

  // shows: MQTT5 1.5.4-3
  test('keep U+FEFF wherever it stands', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const mark = '\ufeff'
    await client.subscribe('room/+')
    await client.subscribe(`${mark}room/+`)
    const userProperties = [[`${mark}a${mark}`, mark]] as const
    const sent = { contentType: `${mark}text`, responseTopic: `${mark}b`, userProperties }
    client.sendPublish(`${mark}room/${mark}`, `${mark}x`, { properties: sent })
    const received = await client.receiveMessage()
    assert.equal(received.topic, `${mark}room/${mark}`)
    assert.deepEqual({ ...received.properties }, sent)
    assert.deepEqual(Buffer.from(received.payload), Buffer.from(`${mark}x`))
    await client.hearsNothing()
  })
})

suite('variable byte integers', () => {
  // shows: MQTT5 1.5.5-1
  test('of a client have their shortest form', async () => {
    await using server = await MqttServer.start()
    const table: readonly (readonly [string, string])[] = [
      ['Remaining Length of PUBLISH', '30 84 00 0001 61 00'],
      ['Remaining Length of PINGREQ', 'c0 80 00'],
      ['Property Length', '30 05 0001 61 80 00'],
      ['Subscription Identifier', '82 0a 0001 03 0b 85 00 0001 61 00'],
    ]
    for (const [place, bytes] of table) {
      assert.equal(await endOf(server, hex(bytes)), ReasonCode.malformedPacket, place)
    }
  })

  test('have four bytes at most (MQTT5 1.5.5)', async () => {
    await using server = await MqttServer.start()
    for (const bytes of ['30 ff ff ff ff 01', '82 0d 0001 06 0b ff ff ff ff 01 0001 61 00']) {
      assert.equal(await endOf(server, hex(bytes)), ReasonCode.malformedPacket)
    }
  })

  // shows: MQTT5 1.5.5-1
  test('of the server have their shortest form', async () => {
    await using server = await MqttServer.start()
    await using subscriber = await RawClient.login(server, { clientId: 'to' })
    await using publisher = await server.login({ clientId: 'from' })
    for (const [identifier, size] of [
      [127, 1],
      [128, 2],
      [16_383, 2],
      [16_384, 3],
      [2_097_151, 3],
      [2_097_152, 4],
      [268_435_455, 4],
    ] as const) {
      const own = property(0x0b, variable(identifier))
      assert.equal(own.length, 1 + size)
      subscriber.send(packet(0x82, u16(1), properties(own), text('a'), hex('00')))
      assert.equal((await subscriber.receive())[0], 0x90)
      publisher.sendPublish('a', '')
      assert.deepEqual(await subscriber.receive(), packet(0x30, text('a'), properties(own)))
    }
    subscriber.send(packet(0x82, u16(1), properties(), text('a'), hex('00')))
    await subscriber.receive()
    // The Remaining Length is 4 more than the payload.
    for (const length of [127, 128, 16_383, 16_384]) {
      const payload = Buffer.alloc(length - 4, 1)
      publisher.sendPublish('a', payload)
      assert.deepEqual(await subscriber.receive(), packet(0x30, text('a'), properties(), payload))
    }
    // The Property Length is 5 more than the text.
    for (const length of [127, 128]) {
      const list = properties(property(0x26, text(''), text('x'.repeat(length - 5))))
      publisher.sendBytes(packet(0x30, text('a'), list))
      assert.deepEqual(await subscriber.receive(), packet(0x30, text('a'), list))
    }
  })
})

suite('fixed headers', () => {
  const usual = new Map([
    ['PUBACK', '40 02 0001'],
    ['PUBREC', '50 02 0001'],
    ['PUBREL', '62 02 0001'],
    ['PUBCOMP', '70 02 0001'],
    ['SUBSCRIBE', '82 07 0001 00 0001 61 00'],
    ['UNSUBSCRIBE', 'a2 06 0001 00 0001 61'],
    ['PINGREQ', 'c0 00'],
    ['DISCONNECT', 'e0 00'],
    ['AUTH', 'f0 00'],
  ])

  // shows: MQTT5 2.1.3-1, 3.6.1-1, 3.8.1-1, 3.10.1-1, 3.14.1-1, 3.15.1-1
  test('of a client have the flags that belong to them', async () => {
    await using server = await MqttServer.start()
    for (const [name, digits] of usual) {
      const bytes = hex(digits)
      for (const bit of [1, 2, 4, 8]) {
        const wrong = Buffer.from(bytes)
        wrong[0] = (bytes[0] ?? 0) ^ bit
        assert.equal(await endOf(server, wrong), ReasonCode.malformedPacket, `${name} ^ ${bit}`)
      }
    }
    for (const bit of [1, 2, 4, 8]) {
      const reason = await refusalOf(server, connectBytes({ first: 0x10 | bit }))
      assert.equal(reason, ReasonCode.malformedPacket)
    }
  })

  // shows: MQTT5 2.1.3-1, 2.2.1-5, 2.2.1-6, 2.2.2-1, 3.8.4-2, 3.10.4-5
  test('of the server have them too, and answers have the packet identifier of what they answer', async () => {
    await using server = await MqttServer.start()
    await using client = await RawClient.connect(server)
    client.send(connectBytes())
    assert.equal((await client.receive())[0], 0x20)
    const conversation: readonly (readonly [string, string, ...string[]])[] = [
      ['SUBSCRIBE', '82 07 fffe 00 0001 61 02', '90 04 fffe 00 02'],
      ['UNSUBSCRIBE of another', 'a2 06 1234 00 0001 62', 'b0 04 1234 00 11'],
      ['PINGREQ', 'c0 00', 'd0 00'],
      ['PUBLISH, QoS 1, to nobody', '32 07 0001 62 4321 00 78', '40 03 4321 10'],
      ['PUBLISH, QoS 2, to nobody', '34 07 0001 62 abcd 00 78', '50 03 abcd 10'],
      ['its PUBREL', '62 02 abcd', '70 02 abcd'],
      ['PUBLISH, QoS 1', '32 07 0001 61 0007 00 78', '32 07 0001 61 0001 00 78', '40 02 0007'],
      ['its PUBACK', '40 02 0001'],
      ['PUBLISH, QoS 2', '34 07 0001 61 0008 00 79', '34 07 0001 61 0002 00 79', '50 02 0008'],
      ['its PUBREC', '50 02 0002', '62 02 0002'],
      ['its PUBCOMP', '70 02 0002'],
      ['its PUBREL', '62 02 0008', '70 02 0008'],
      ['PUBREL of nothing', '62 02 0009', '70 03 0009 92'],
      ['PUBREC of nothing', '50 02 000a', '62 03 000a 92'],
    ]
    for (const [name, sent, ...expected] of conversation) {
      client.send(hex(sent))
      for (const answer of expected) {
        assert.equal((await client.receive()).toString('hex'), answer.replaceAll(' ', ''), name)
      }
    }
    client.send(hex('00 00'))
    const end = await client.receive()
    assert.deepEqual([end[0], end[2]], [0xe0, ReasonCode.malformedPacket])
    assert.equal((await client.receive()).length, 0)
  })

  test('name no packet that only servers send, or that is not known (MQTT5 2.1.2)', async () => {
    await using server = await MqttServer.start()
    const table: readonly (readonly [string, ReasonCode])[] = [
      ['00 00', ReasonCode.malformedPacket],
      ['20 03 00 00 00', ReasonCode.protocolError],
      ['90 04 0001 00 00', ReasonCode.protocolError],
      ['b0 04 0001 00 00', ReasonCode.protocolError],
      ['d0 00', ReasonCode.protocolError],
    ]
    for (const [bytes, reason] of table)
      assert.equal(await endOf(server, hex(bytes)), reason, bytes)
  })
})

suite('packet identifiers', () => {
  // shows: MQTT5 2.2.1-3
  test('of a client are not 0', async () => {
    await using server = await MqttServer.start()
    for (const bytes of [
      '32 06 0001 61 0000 00',
      '34 06 0001 61 0000 00',
      '82 07 0000 00 0001 61 00',
      'a2 06 0000 00 0001 61',
      '40 02 0000',
      '50 02 0000',
      '62 02 0000',
      '70 02 0000',
    ]) {
      assert.equal(await endOf(server, hex(bytes)), ReasonCode.protocolError, bytes)
    }
  })

  // shows: MQTT5 2.2.1-2, 2.2.2-1
  test('do not stand in PUBLISH with QoS 0', async () => {
    await using server = await MqttServer.start()
    await using plain = await RawClient.login(server, { clientId: 'plain' })
    await using numbered = await RawClient.login(server, { clientId: 'numbered' })
    plain.send(hex('82 07 0001 00 0001 61 02'))
    numbered.send(hex('82 09 0001 02 0b 07 0001 61 00'))
    await plain.receive()
    await numbered.receive()
    await using publisher = await server.login({ clientId: 'from' })
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('a', 'x', { qos })
      const bytes = await numbered.receive()
      assert.deepEqual(bytes, hex('30 07 0001 61 02 0b07 78'))
    }
    assert.deepEqual(await plain.receive(), hex('30 05 0001 61 00 78'))
    assert.deepEqual(await plain.receive(), hex('32 07 0001 61 0001 00 78'))
  })

  // shows: MQTT5 2.2.1-4, 4.3.2-1, 4.3.3-1
  test('of the server are not 0, and not those of messages that are under way', async () => {
    await using server = await MqttServer.start({ module: { max_queue: 10_000 } })
    await using subscriber = await server.login({ clientId: 'to' })
    await subscriber.subscribe('a')
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', 'held', { qos: 1 })
    await publisher.publish('a', 'half', { qos: 2 })
    const held = await subscriber.receive('publish')
    const half = await subscriber.receive('publish')
    subscriber.sendAck('pubrec', half.packetId)
    await subscriber.receive('pubrel')
    const inUse = new Set([held.packetId, half.packetId])
    assert.equal(inUse.size, 2)
    // More than there are identifiers.
    const rounds = 330
    const atOnce = 200
    for (let round = 0; round < rounds; round++) {
      const packets = Array.from({ length: atOnce }, (_, i) =>
        packet(0x32, text('a'), u16(i + 1), properties(), hex('78')),
      )
      publisher.sendBytes(Buffer.concat(packets))
      const seen = new Set<number>()
      const acks: Buffer[] = []
      for (let i = 0; i < atOnce; i++) {
        const { packetId } = await subscriber.receive('publish')
        assert.equal(packetId > 0 && !inUse.has(packetId) && !seen.has(packetId), true)
        seen.add(packetId)
        acks.push(packet(0x40, u16(packetId)))
      }
      for (let i = 0; i < atOnce; i++) await publisher.receive('puback')
      subscriber.sendBytes(Buffer.concat(acks))
    }
  })
})
