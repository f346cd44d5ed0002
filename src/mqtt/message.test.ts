import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Message } from './message.ts'
import { PacketDecoder } from './packet/decode.ts'
import { decodePacket } from './packet/decode.ts'
import { encodePacket } from './packet/encode.ts'
import type { Publish } from './packet/packet.ts'
import type { PropertiesOf } from './packet/properties.ts'
import type { PublishTemplate } from './packet/publish-template.ts'
import { parseTopicName, type TopicName } from './topic.ts'

const now = 1_000_000

function name(text: string): TopicName {
  const topic = parseTopicName(text)
  assert.ok(topic.ok)
  return topic.value
}

/** What the broker makes of a packet of an MQTT 5 client. */
function received(properties: PropertiesOf<'publish'>, topic = 'a/b'): Message {
  const packet: Publish = {
    kind: 'publish',
    topic,
    payload: Buffer.from('payload'),
    qos: 1,
    retain: true,
    dup: false,
    packetId: 7,
    properties,
  }
  const bytes = encodePacket(packet, 5)
  let message: Message | undefined
  const decoder = new PacketDecoder({ maxPacketBytes: 1000, version: 5 })
  decoder.push(bytes, 0, bytes.length, {
    packet: () => assert.fail('no PUBLISH'),
    publish: (view) => {
      message = Message.fromView(view, name('a/b'), now)
    },
  })
  // The message must not live in the read buffer.
  bytes.fill(0xdb)
  return message ?? assert.fail('nothing was decoded')
}

const all: PropertiesOf<'publish'> = {
  payloadFormatIndicator: 1,
  contentType: 'text/plain',
  responseTopic: 'answers',
  correlationData: new Uint8Array([1, 2, 3]),
  userProperties: [
    ['a', '1'],
    ['a', '2'],
  ],
}

test('owns its payload and properties', () => {
  const message = received(all)
  assert.equal(Buffer.from(message.payload).toString(), 'payload')
  assert.deepEqual({ ...message.properties() }, all)
  assert.equal(message.expiresAt, Infinity)
  assert.equal(message.remainingSeconds(now), undefined)
})

for (const properties of [
  { topicAlias: 3, ...all, messageExpiryInterval: 60 },
  { ...all, messageExpiryInterval: 60, topicAlias: 3 },
  { messageExpiryInterval: 60, topicAlias: 3 },
]) {
  test(`leaves an alias out, wherever it stands: ${Object.keys(properties).join()}`, () => {
    const message = received(properties, '')
    const { topicAlias: _, ...rest } = properties
    assert.deepEqual({ ...message.properties() }, rest)
    assert.equal(message.expiresAt, now + 60_000)
    assert.equal(message.remainingSeconds(now + 20_500), 40)
    assert.equal(message.isExpired(now + 59_999), false)
    assert.equal(message.isExpired(now + 60_000), true)
    const template = message.packet(5, 1, false)
    const packet = new Uint8Array(template.byteLength)
    template.copyVariation(packet, 0, { packetId: 9, dup: false, messageExpiryInterval: 40 })
    const decoded = decodePacket(packet, { version: 5, receiver: 'client' })
    assert.ok(decoded.ok && decoded.value.kind === 'publish')
    assert.equal(decoded.value.properties.messageExpiryInterval, 40)
    assert.equal(decoded.value.topic, 'a/b')
  })
}

test('is the same made here as received', () => {
  const properties = { ...all, messageExpiryInterval: 60 }
  const payload = Buffer.from('payload')
  const made = Message.create(
    { topic: name('a/b'), payload, qos: 1, retain: true, properties },
    now,
  )
  assert.deepEqual({ ...made.properties() }, { ...received(properties).properties() })
  assert.equal(made.expiresAt, now + 60_000)
  assert.equal(made.weight, received(properties).weight)
})

test('is encoded once for each kind of subscriber', () => {
  const message = received(all)
  assert.equal(message.packet(5, 1, false), message.packet(5, 1, false))
  assert.equal(message.packet(3, 0, false), message.packet(4, 0, false))
  assert.notEqual(message.packet(5, 1, false), message.packet(5, 1, true))
  message.forgetPackets()
  const other = received({}).packet(5, 1, false)
  assert.notDeepEqual(contentOf(message.packet(5, 1, false)), contentOf(other))
  assert.deepEqual(
    contentOf(message.packet(5, 1, false)),
    contentOf(received(all).packet(5, 1, false)),
  )
})

function contentOf({ bytes, byteLength }: PublishTemplate): Uint8Array {
  return bytes.slice(0, byteLength)
}
