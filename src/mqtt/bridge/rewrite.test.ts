import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodePacket, PacketDecoder } from '../packet/decode.ts'
import { encodePacket } from '../packet/encode.ts'
import type { Packet, Publish } from '../packet/packet.ts'
import type { PublishView } from '../packet/publish-view.ts'
import { maxPacketBytes } from '../packet/size.ts'
import { parseTopicName } from '../topic.ts'
import type { TopicName } from '../topic.ts'
import { encodeUserProperty, hasEncoded, rewritePublish } from './rewrite.ts'
import type { Rewriting } from './rewrite.ts'

const publish: Publish = {
  kind: 'publish',
  dup: true,
  qos: 2,
  retain: true,
  topic: 'a/b',
  packetId: 0x1234,
  payload: Buffer.from('21.5'),
  properties: { messageExpiryInterval: 60, userProperties: [['k', 'v']] },
}

function name(text: string): TopicName {
  const parsed = parseTopicName(text)
  return parsed.ok ? parsed.value : assert.fail(text)
}

/** Looks at a packet as a decoder shows it, with other bytes around it. */
function viewed<T>(packet: Publish, version: 4 | 5, look: (view: PublishView) => T): T {
  const bytes = encodePacket(packet, version)
  const buffer = Buffer.concat([encodePacket({ kind: 'pingresp' }, version), bytes])
  const decoder = new PacketDecoder({ maxPacketBytes, version, receiver: 'client' })
  const seen: T[] = []
  decoder.push(buffer, 0, buffer.length, {
    packet: () => undefined,
    publish: (view) => void seen.push(look(view)),
  })
  return seen[0] ?? assert.fail('no packet')
}

function rewritten(version: 4 | 5, rewriting: Rewriting): Packet {
  const bytes = viewed(publish, version, (view) => rewritePublish(view, rewriting))
  const decoded = decodePacket(bytes ?? assert.fail('too large'), { version, receiver: 'client' })
  return decoded.ok ? decoded.value : assert.fail(JSON.stringify(decoded.error))
}

for (const version of [4, 5] as const) {
  test(`gives a PUBLISH of version ${version} another name and keeps the rest`, () => {
    const packet = rewritten(version, { topic: name('x/yz'), qos: 2, retain: true })
    const properties = version === 5 ? publish.properties : {}
    const expected = { ...publish, topic: 'x/yz', properties }
    assert.deepEqual({ ...packet, payload: '' }, { ...expected, payload: '' })
    assert.equal(Buffer.from(packet.kind === 'publish' ? packet.payload : []).toString(), '21.5')
  })

  test(`takes QoS and flags away in version ${version}`, () => {
    const packet = rewritten(version, { topic: name('a/b'), qos: 0, retain: false })
    assert.ok(packet.kind === 'publish')
    assert.deepEqual([packet.qos, packet.packetId, packet.dup, packet.retain], [0, 0, false, false])
  })
}

test('adds a user property behind the others (MQTT5 3.3.2-18)', () => {
  const added = encodeUserProperty('via', 'here')
  const packet = rewritten(5, { topic: name('a/b'), qos: 1, retain: false, added })
  assert.ok(packet.kind === 'publish')
  assert.deepEqual(packet.properties.userProperties, [
    ['k', 'v'],
    ['via', 'here'],
  ])
  // MQTT 3.1.1 has no place for it.
  assert.ok(rewritten(4, { topic: name('a/b'), qos: 1, retain: false, added }).kind === 'publish')
})

test('finds a user property', () => {
  viewed(publish, 5, (view) => {
    assert.ok(hasEncoded(view, encodeUserProperty('k', 'v')))
    assert.ok(!hasEncoded(view, encodeUserProperty('k', 'w')))
    assert.ok(!hasEncoded(view, encodeUserProperty('a much longer one', 'than there is')))
    return true
  })
  // Not in the payload.
  const inside = { ...publish, payload: encodeUserProperty('x', 'y') }
  assert.ok(!viewed(inside, 5, (view) => hasEncoded(view, encodeUserProperty('x', 'y'))))
})
