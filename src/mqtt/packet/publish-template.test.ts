import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodePacket, PacketDecoder } from './decode.ts'
import { encodePacket } from './encode.ts'
import type { Publish } from './packet.ts'
import type { ProtocolVersion } from './packet-type.ts'
import { PublishTemplate, type PublishVariation } from './publish-template.ts'
import { encodeUtf8 } from './utf8.ts'

const message: Publish = {
  kind: 'publish',
  dup: false,
  qos: 2,
  retain: true,
  topic: 'house/kitchen',
  packetId: 99,
  payload: encodeUtf8('21.5'),
  properties: {
    contentType: 'text/plain',
    topicAlias: 4,
    messageExpiryInterval: 100,
    userProperties: [
      ['b', '1'],
      ['a', '2'],
    ],
  },
}
const { topicAlias: _alias, ...forwarded } = message.properties
/** Templates write the expiry first. */
const ordered = { messageExpiryInterval: 100, ...forwarded }

/** A template of a received packet, whose buffer is overwritten afterwards. */
function receive(
  packet: Publish,
  from: ProtocolVersion,
  to: ProtocolVersion,
  qos: 0 | 1 | 2,
  topic?: Uint8Array,
): PublishTemplate {
  const bytes = encodePacket(packet, from)
  const decoder = new PacketDecoder({ maxPacketBytes: 1000, version: from, receiver: 'client' })
  const templates: PublishTemplate[] = []
  decoder.push(bytes, 0, bytes.length, {
    packet: () => undefined,
    publish: (view) => templates.push(PublishTemplate.fromView(view, to, qos, false, topic)),
  })
  bytes.fill(0xee)
  const [template] = templates
  assert.ok(template)
  return template
}

function copy(template: PublishTemplate, variation: PublishVariation): Publish {
  const size = template.byteLengthOf(variation)
  const target = new Uint8Array(size + 4).fill(0xaa)
  assert.equal(template.copyVariation(target, 2, variation), size + 2)
  assert.deepEqual([target[1], target[size + 2]], [0xaa, 0xaa])
  const decoded = decodePacket(target.subarray(2, size + 2), {
    version: template.version,
    receiver: 'client',
  })
  assert.ok(decoded.ok && decoded.value.kind === 'publish', JSON.stringify(decoded))
  return decoded.value
}

test('is the packet that the encoder writes, without the alias (MQTT5 3.3.2.3.4)', () => {
  const expected = {
    ...message,
    qos: 0,
    retain: false,
    packetId: 0,
    properties: forwarded,
  } as const
  assert.deepEqual(receive(message, 5, 5, 0).bytes, encodePacket(expected, 5))
  assert.deepEqual(receive(message, 5, 4, 0).bytes, encodePacket(expected, 4))
  assert.deepEqual(
    receive(message, 4, 5, 0).bytes,
    encodePacket({ ...expected, properties: {} }, 5),
  )
})

test('patches packet identifier and DUP in copies', () => {
  for (const version of [3, 4, 5] as const) {
    const template = PublishTemplate.fromPublish(message, version, 1, true)
    for (const [packetId, dup] of [
      [1, false],
      [65_535, true],
    ] as const) {
      const target = new Uint8Array(template.byteLength + 3)
      const end = template.copyTo(target, 3, packetId, dup)
      assert.deepEqual(
        target.subarray(3, end),
        encodePacket({ ...message, qos: 1, packetId, dup, properties: ordered }, version),
      )
    }
    assert.equal(template.bytes[template.packetIdOffset], 0)
  }
})

test('leaves packet identifier and DUP out at QoS 0 (MQTT5 2.2.1-2, 3.3.1-2)', () => {
  const template = PublishTemplate.fromPublish(message, 4, 0, false)
  const target = new Uint8Array(template.byteLength)
  template.copyTo(target, 0, 5, true)
  assert.deepEqual(target, template.bytes)
  assert.equal(template.packetIdOffset, 0)
})

test('adds subscription identifiers (MQTT5 3.3.4-4)', () => {
  for (const template of [
    receive(message, 5, 5, 1),
    PublishTemplate.fromPublish(message, 5, 1, false),
  ]) {
    const got = copy(template, {
      packetId: 3,
      dup: true,
      subscriptionIdentifiers: [1, 300, 268_435_455],
    })
    assert.deepEqual(got, {
      ...message,
      retain: false,
      qos: 1,
      dup: true,
      packetId: 3,
      properties: { ...forwarded, subscriptionIdentifiers: [1, 300, 268_435_455] },
    })
  }
})

test('grows the Property Length and the Remaining Length over their limits', () => {
  const big = {
    ...message,
    properties: { contentType: 'x'.repeat(122) },
    payload: new Uint8Array(0),
  }
  const got = copy(PublishTemplate.fromPublish(big, 5, 1, false), {
    packetId: 1,
    dup: false,
    subscriptionIdentifiers: [1, 2],
  })
  assert.deepEqual(got.properties, { ...big.properties, subscriptionIdentifiers: [1, 2] })
})

test('counts the message expiry down (MQTT5 3.3.2-6)', () => {
  for (const template of [
    receive(message, 5, 5, 1),
    PublishTemplate.fromPublish(message, 5, 1, false),
  ]) {
    for (const subscriptionIdentifiers of [[], [7]]) {
      const got = copy(template, {
        packetId: 1,
        dup: false,
        messageExpiryInterval: 3_000_000_000,
        subscriptionIdentifiers,
      })
      assert.equal(got.properties.messageExpiryInterval, 3_000_000_000)
      assert.equal(got.properties.contentType, 'text/plain')
      assert.equal(Buffer.from(got.payload).toString(), '21.5')
    }
  }
})

test('adds no message expiry to a message that has none', () => {
  const { messageExpiryInterval: _, ...properties } = forwarded
  const template = PublishTemplate.fromPublish({ ...message, properties }, 5, 1, false)
  assert.deepEqual(
    copy(template, { packetId: 1, dup: false, messageExpiryInterval: 5 }).properties,
    properties,
  )
})

test('sets and uses a topic alias of the subscriber (MQTT5 3.3.2.3.4)', () => {
  const template = receive(message, 5, 5, 0)
  const set = copy(template, { packetId: 0, dup: false, topicAlias: 2 })
  assert.deepEqual([set.topic, set.properties.topicAlias], ['house/kitchen', 2])
  const used = copy(template, { packetId: 0, dup: false, topicAlias: 2, omitTopic: true })
  assert.deepEqual([used.topic, used.properties], ['', { ...forwarded, topicAlias: 2 }])
  assert.deepEqual(used.payload, message.payload)
})

test('ignores what MQTT 3 lacks in a variation', () => {
  const template = PublishTemplate.fromPublish(message, 4, 1, false)
  const got = copy(template, {
    packetId: 8,
    dup: false,
    subscriptionIdentifiers: [1],
    topicAlias: 2,
    omitTopic: true,
    messageExpiryInterval: 1,
  })
  assert.deepEqual([got.topic, got.packetId, got.properties], ['house/kitchen', 8, {}])
})

test('takes the name for an alias from the connection', () => {
  const aliased = { ...message, topic: '' }
  const got = copy(receive(aliased, 5, 5, 0, encodeUtf8('the/name')), { packetId: 0, dup: false })
  assert.equal(got.topic, 'the/name')
})

test('drops subscription identifiers that a server sent to a bridge', () => {
  const bridged = { ...message, properties: { ...forwarded, subscriptionIdentifiers: [9] } }
  const got = copy(receive(bridged, 5, 5, 0), { packetId: 0, dup: false })
  assert.deepEqual(got.properties, forwarded)
})

test('is used again for another message, larger or smaller', () => {
  const template = new PublishTemplate(new Uint8Array(64))
  const packets = [
    ['a', 10],
    ['a/longer/topic', 100],
    ['ä', 1],
  ] as const
  for (const [topic, size] of packets) {
    const payload = new Uint8Array(size).fill(size)
    const source = { topic, body: payload, propertiesLength: 0, expiryAt: -1 }
    template.encode(4, 1, false, source)
    const target = new Uint8Array(template.byteLength)
    template.copyTo(target, 0, 7, false)
    const expected = { ...message, topic, payload, qos: 1, retain: false, packetId: 7 } as const
    assert.deepEqual(target, encodePacket(expected, 4))
  }
})
