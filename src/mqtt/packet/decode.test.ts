import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodePacket, PacketDecoder, type PacketHandler } from './decode.ts'
import { encodePacket } from './encode.ts'
import type { Connect, Packet, Publish } from './packet.ts'
import { maxPacketBytes, packetBytes } from './size.ts'
import { encodeUtf8 } from './utf8.ts'

const connect: Connect = {
  kind: 'connect',
  version: 5,
  cleanStart: true,
  keepAlive: 0,
  clientIdentifier: 'c',
  properties: {},
}

function publish(topic: string, payloadBytes: number): Publish {
  return {
    kind: 'publish',
    dup: false,
    qos: 0,
    retain: false,
    topic,
    packetId: 0,
    payload: new Uint8Array(payloadBytes).fill(0x61),
    properties: {},
  }
}

function collect(): PacketHandler & { readonly packets: Packet[] } {
  const packets: Packet[] = []
  return {
    packets,
    packet: (packet) => packets.push(packet),
    publish: (view) => packets.push(view.toPublish()),
  }
}

test('takes the version from the CONNECT', () => {
  for (const version of [3, 4, 5] as const) {
    const decoder = new PacketDecoder({ maxPacketBytes: 1000 })
    const bytes = encodePacket({ ...connect, version }, version)
    assert.equal(decoder.version, undefined)
    assert.equal(decoder.push(bytes, 0, bytes.length, collect()).kind, 'complete')
    assert.equal(decoder.version, version)
  }
})

test('tells the version and the kind of a malformed packet', () => {
  const decoder = new PacketDecoder({ maxPacketBytes: 1000, version: 4 })
  assert.deepEqual(decoder.push(Buffer.from('36050001610001', 'hex'), 0, 7, collect()), {
    kind: 'malformed',
    reasonCode: 0x81,
    detail: 'PUBLISH has QoS 3 (MQTT5 3.3.1-4, MQTT3 3.3.1-4)',
    packet: 'publish',
    version: 4,
  })
})

test('hands out what came before a malformed packet', () => {
  const decoder = new PacketDecoder({ maxPacketBytes: 1000, version: 4 })
  const handler = collect()
  const outcome = decoder.push(Buffer.from('c000c000c100c000', 'hex'), 0, 8, handler)
  assert.equal(outcome.kind, 'malformed')
  assert.deepEqual(handler.packets, [{ kind: 'pingreq' }, { kind: 'pingreq' }])
})

test('accepts a packet of just the limit and refuses one byte more', () => {
  const bytes = encodePacket(publish('a', 200), 4)
  const at = new PacketDecoder({ maxPacketBytes: bytes.length, version: 4 })
  assert.equal(at.push(bytes, 0, bytes.length, collect()).kind, 'complete')
  const below = new PacketDecoder({ maxPacketBytes: bytes.length - 1, version: 4 })
  // Type and length are enough to refuse it.
  const outcome = below.push(bytes, 0, 3, collect())
  assert.equal(outcome.kind === 'malformed' && outcome.reasonCode, 0x95)
})

test('keeps a partial packet without allocating what its length announces', () => {
  const decoder = new PacketDecoder({ maxPacketBytes, version: 4 })
  const header = Buffer.from('30ffffff7f', 'hex')
  assert.equal(decoder.push(header, 0, 5, collect()).kind, 'incomplete')
  assert.equal(decoder.heldBytes, 5)
  const before = process.memoryUsage().arrayBuffers
  const chunk = Buffer.from('000161')
  decoder.push(chunk, 0, chunk.length, collect())
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000)
})

test('collects a large packet from small pieces without copying it over and over', () => {
  const size = 4_000_000
  const bytes = encodePacket(publish('big', size), 5)
  const decoder = new PacketDecoder({ maxPacketBytes, version: 5 })
  const handler = collect()
  for (let at = 0; at < bytes.length; at += 16) {
    decoder.push(bytes, at, Math.min(at + 16, bytes.length), handler)
  }
  assert.equal(handler.packets.length, 1)
  assert.equal(decoder.heldBytes, 0)
})

test('gives ranges of the pushed buffer to the publish handler', () => {
  const bytes = encodePacket(
    { ...publish('a/b', 3), qos: 1, packetId: 7, properties: { topicAlias: 3 } },
    5,
  )
  const read = Buffer.concat([Buffer.from([0xc0, 0]), bytes])
  const decoder = new PacketDecoder({ maxPacketBytes: 1000, version: 5 })
  let seen = 0
  decoder.push(read, 0, read.length, {
    packet: () => undefined,
    publish(view) {
      seen += 1
      assert.equal(view.bytes, read)
      assert.deepEqual([view.start, view.end], [2, read.length])
      assert.equal(read.toString('utf8', view.topicStart, view.topicEnd), 'a/b')
      assert.equal(read.toString('utf8', view.payloadStart, view.end), 'aaa')
      assert.equal(read.toString('hex', view.propertiesStart, view.propertiesEnd), '230003')
      assert.equal(view.topicAliasAt, view.propertiesStart)
      assert.deepEqual([view.packetId, view.qos, view.topicAlias], [7, 1, 3])
      assert.ok(view.topicIs(encodeUtf8('a/b')))
      assert.ok(!view.topicIs(encodeUtf8('a/c')))
      assert.ok(!view.topicIs(encodeUtf8('a/bc')))
    },
  })
  assert.equal(seen, 1)
})

test('hands out nothing while paused and goes on where it stood', () => {
  const decoder = new PacketDecoder({ maxPacketBytes: 1000 })
  const stream = Buffer.concat([
    encodePacket(connect, 5),
    ...['a', 'b', 'c', 'd'].map((topic) => encodePacket(publish(topic, 5), 5)),
  ])
  const seen: string[] = []
  const handler: PacketHandler = {
    packet(packet) {
      seen.push(packet.kind)
      decoder.pause()
    },
    publish(view) {
      seen.push(view.topic())
      decoder.pause()
    },
  }
  // Cut inside the third packet, so that a pause leaves whole packets and a part behind.
  const cut = stream.length - 14
  assert.equal(decoder.push(stream, 0, cut, handler).kind, 'paused')
  assert.deepEqual(seen, ['connect'])
  assert.equal(decoder.push(stream, cut, stream.length, handler).kind, 'paused')
  assert.deepEqual(seen, ['connect'])
  stream.fill(0xee)
  for (const topic of ['a', 'b', 'c', 'd']) {
    assert.equal(decoder.resume(handler).kind, 'paused')
    assert.equal(seen.at(-1), topic)
  }
  assert.equal(decoder.resume(handler).kind, 'complete')
  assert.equal(decoder.heldBytes, 0)
})

test('may be paused and resumed inside the same call', () => {
  const decoder = new PacketDecoder({ maxPacketBytes: 1000, version: 4 })
  let pings = 0
  const handler: PacketHandler = {
    packet() {
      pings += 1
      decoder.pause()
      decoder.resume(handler)
    },
    publish: () => undefined,
  }
  assert.equal(decoder.push(Buffer.from('c000c000c000', 'hex'), 0, 6, handler).kind, 'complete')
  assert.equal(pings, 3)
})

test('bounds what it keeps while paused', () => {
  const decoder = new PacketDecoder({ maxPacketBytes: 1000, maxPausedBytes: 64, version: 4 })
  decoder.pause()
  const bytes = Buffer.alloc(60, 0xc0)
  assert.equal(decoder.push(bytes, 0, 60, collect()).kind, 'paused')
  const outcome = decoder.push(bytes, 0, 5, collect())
  assert.equal(outcome.kind === 'malformed' && outcome.reasonCode, 0x97)
  assert.equal(decoder.heldBytes, 0)
})

test('hands out nothing after stop, not even from the same read', () => {
  const decoder = new PacketDecoder({ maxPacketBytes: 1000, version: 4 })
  let pings = 0
  const handler: PacketHandler = {
    packet() {
      pings += 1
      decoder.stop()
    },
    publish: () => undefined,
  }
  assert.equal(decoder.push(Buffer.from('c000c000c0', 'hex'), 0, 5, handler).kind, 'stopped')
  assert.equal(decoder.push(Buffer.from('c000', 'hex'), 0, 2, handler).kind, 'stopped')
  assert.equal(pings, 1)
  assert.equal(decoder.heldBytes, 0)
})

test('limits may change between packets', () => {
  const decoder = new PacketDecoder({ maxPacketBytes: 64 })
  decoder.push(encodePacket(connect, 5), 0, 14 + 2, collect())
  decoder.maxPacketBytes = 1000
  const bytes = encodePacket(publish('a', 500), 5)
  assert.equal(decoder.push(bytes, 0, bytes.length, collect()).kind, 'complete')
})

test('decodes one whole packet by itself', () => {
  const bytes = encodePacket(connect, 5)
  assert.deepEqual(decodePacket(bytes), { ok: true, value: connect })
  assert.deepEqual(decodePacket(bytes.subarray(0, 5)), {
    ok: false,
    error: { kind: 'incomplete' },
  })
})

test('knows the size of a packet by its Remaining Length', () => {
  assert.deepEqual(
    [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152].map(packetBytes),
    [2, 129, 131, 16_386, 16_388, 2_097_155, 2_097_157],
  )
})
