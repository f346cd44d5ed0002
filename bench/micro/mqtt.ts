// What reading, writing and routing MQTT packets costs, beside mqtt-packet: `node bench/micro/mqtt.ts`.
// Figures are the best of several rounds, as anything else on the machine only adds to them.
// The tree's size is the first argument: `node bench/micro/mqtt.ts 1000000`.

import { generate, parser } from 'mqtt-packet'
import { PacketDecoder } from '../../src/mqtt/packet/decode.ts'
import { encodeAck, encodePacket } from '../../src/mqtt/packet/encode.ts'
import type { Packet, Publish } from '../../src/mqtt/packet/packet.ts'
import { PublishTemplate } from '../../src/mqtt/packet/publish-template.ts'
import { RetainedTree } from '../../src/mqtt/retained-tree.ts'
import { parseTopicFilter, parseTopicName } from '../../src/mqtt/topic.ts'
import { type MatchVisitor, TopicTree } from '../../src/mqtt/topic-tree.ts'

const rounds = 9
const subscriptions = Number(process.argv[2] ?? 1_000_000)

/** Nanoseconds for one of `count` operations, the best of the rounds. */
function measure(count: number, run: () => void): number {
  let best = Infinity
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint()
    run()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / count)
  }
  return best
}

function print(what: string, ours: number, theirs?: number): void {
  const beside =
    theirs === undefined
      ? ''
      : `${theirs.toFixed(0).padStart(9)} ns  ${(theirs / ours).toFixed(1)}x`
  console.log(`${what.padEnd(46)}${ours.toFixed(0).padStart(7)} ns${beside}`)
}

function publish(qos: 0 | 1, version: 4 | 5): Publish {
  return {
    kind: 'publish',
    dup: false,
    qos,
    retain: false,
    topic: 'site/berlin/device/4711/temperature',
    packetId: qos === 0 ? 0 : 4711,
    payload: new Uint8Array(64).fill(0x61),
    properties:
      version === 4 ? {} : { messageExpiryInterval: 60, userProperties: [['unit', 'celsius']] },
  }
}

function total(parts: readonly number[]): number {
  return parts.reduce((sum, part) => sum + part, 0)
}

/** The packet over and over, as much as one read brings. */
function batch(packet: Packet, version: 4 | 5): { bytes: Buffer; count: number } {
  const one = encodePacket(packet, version)
  const count = Math.floor(65_536 / one.length)
  return { bytes: Buffer.concat(Array.from({ length: count }, () => one)), count }
}

function decoding(packet: Packet, version: 4 | 5, asObject: boolean): void {
  const { bytes, count } = batch(packet, version)
  let seen = 0
  const decoder = new PacketDecoder({ maxPacketBytes: 1_000_000, version })
  const handler = {
    packet() {
      seen += 1
    },
    publish(view: { payloadStart: number; toPublish(): Publish }) {
      seen += asObject ? view.toPublish().payload.length : view.payloadStart
    },
  }
  const repeats = 20
  const ours = measure(count * repeats, () => {
    for (let i = 0; i < repeats; i++) decoder.push(bytes, 0, bytes.length, handler)
  })
  const theirs = measure(count * repeats, () => {
    for (let i = 0; i < repeats; i++) {
      const foreign = parser({ protocolVersion: version })
      foreign.on('packet', () => {
        seen += 1
      })
      foreign.parse(bytes)
    }
  })
  if (seen === 0) throw new Error('Nothing was decoded')
  const what = packet.kind === 'publish' ? `publish QoS ${packet.qos}` : packet.kind
  const how = packet.kind === 'publish' ? (asObject ? ' as object' : ' as view') : ''
  print(`decode ${what}, MQTT ${version}${how}`, ours, theirs)
}

function encoding(version: 4 | 5): void {
  const count = 50_000
  const packet = publish(1, version)
  const payload = Buffer.from(packet.payload)
  let written = 0
  const ours = measure(count, () => {
    for (let i = 0; i < count; i++) written += encodePacket(packet, version).length
  })
  const foreign = {
    cmd: 'publish' as const,
    qos: 1 as const,
    dup: false,
    retain: false,
    messageId: 4711,
    topic: packet.topic,
    payload,
    ...(version === 5 && {
      properties: { messageExpiryInterval: 60, userProperties: { unit: 'celsius' } },
    }),
  }
  const theirs = measure(count, () => {
    for (let i = 0; i < count; i++) {
      written += generate(foreign, { protocolVersion: version }).length
    }
  })
  print(`encode publish QoS 1, MQTT ${version}`, ours, theirs)

  const template = PublishTemplate.fromPublish(packet, version, 1, false)
  const target = new Uint8Array(template.byteLength * 2)
  print(
    `copy template, MQTT ${version}`,
    measure(count, () => {
      for (let i = 0; i < count; i++) written += template.copyTo(target, 0, i & 0xffff, false)
    }),
  )
  if (version === 5) {
    const variation = { packetId: 7, dup: false, subscriptionIdentifiers: [42] }
    print(
      'copy template with subscription identifier',
      measure(count, () => {
        for (let i = 0; i < count; i++) written += template.copyVariation(target, 0, variation)
      }),
    )
  }
  const ackForeign = { cmd: 'puback' as const, messageId: 4711, reasonCode: 0 }
  const ack = measure(count, () => {
    for (let i = 0; i < count; i++) written += encodeAck(4, i & 0xffff, 0, version, target, 0)
  })
  const ackTheirs = measure(count, () => {
    for (let i = 0; i < count; i++) {
      written += generate(ackForeign, { protocolVersion: version }).length
    }
  })
  print(`encode puback, MQTT ${version}`, ack, ackTheirs)
  if (written === 0) throw new Error('Nothing was encoded')
}

function filter(text: string) {
  const parsed = parseTopicFilter(text)
  if (!parsed.ok) throw new Error(`Not a filter: ${text}`)
  return parsed.value
}

function topic(text: string) {
  const parsed = parseTopicName(text)
  if (!parsed.ok) throw new Error(`Not a topic: ${text}`)
  return parsed.value
}

function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/**
 * Devices by site, each with subscriptions of its own, most of them with wildcards, and ten that select
 * each topic published.
 */
function matching(): void {
  const devices = Math.floor(subscriptions / 5)
  const sites = 100
  const filters: ReturnType<typeof filter>[] = []
  for (let i = 0; i < devices; i++) {
    const device = `site/${i % sites}/device/${i}`
    for (const tail of ['+/set', 'config/#', 'state', '+/+/ack', 'ota']) {
      filters.push(filter(`${device}/${tail}`))
    }
  }
  const tree = new TopicTree<number>()
  const value = 1
  const before = heapBytes()
  const built = measureOnce(() => {
    for (const one of filters) tree.subscribe(one, 'key', value)
  })
  const bytes = (heapBytes() - before) / tree.size
  const wide = ['#', 'site/#', '+/+/device/#', 'site/+/device/+/+/set', 'site/+/+/+/lamp/set']
  for (const [i, one] of [...wide, '+/#', 'site/+/#', '+/+/+/+/+/+', '+/+/+/#'].entries()) {
    tree.subscribe(filter(one), `watcher ${i}`, value)
  }
  const published = Array.from({ length: 1000 }, (_, i) => {
    const device = (i * 7919) % devices
    return topic(`site/${device % sites}/device/${device}/lamp/set`)
  })
  let found = 0
  const visitor: MatchVisitor<number> = {
    subscriber: () => {
      found += 1
    },
    group: () => undefined,
  }
  for (const one of published) tree.match(one, visitor)
  const matches = found / published.length
  console.log(
    `${tree.size} subscriptions, ${(built / tree.size / 1e3).toFixed(2)} µs to add one` +
      (globalThis.gc ? `, ${bytes.toFixed(0)} bytes of heap each beside the filter` : ''),
  )
  const repeats = 20
  print(
    `match a topic, ${matches} matches`,
    measure(published.length * repeats, () => {
      for (let i = 0; i < repeats; i++) for (const one of published) tree.match(one, visitor)
    }),
  )
  const missed = topic('house/9/device/1/lamp')
  const sparse = new TopicTree<number>()
  for (const one of filters.slice(0, 100_000)) sparse.subscribe(one, 'key', value)
  print(
    'match a topic, no match',
    measure(published.length * repeats, () => {
      for (let i = 0; i < published.length * repeats; i++) sparse.match(missed, visitor)
    }),
  )
  const removed = measureOnce(() => {
    for (const one of filters) tree.unsubscribe(one, 'key')
  })
  console.log(`${(removed / filters.length / 1e3).toFixed(2)} µs to remove one`)
}

function measureOnce(run: () => void): number {
  const start = process.hrtime.bigint()
  run()
  return Number(process.hrtime.bigint() - start)
}

function retaining(): void {
  const names = Array.from({ length: subscriptions }, (_, i) =>
    topic(
      `site/${i % 100}/device/${Math.floor(i / 5)}/${['temp', 'hum', 'co2', 'up', 'rssi'][i % 5]}`,
    ),
  )
  const tree = new RetainedTree<number>()
  const before = heapBytes()
  const set = measureOnce(() => {
    for (const [i, one] of names.entries()) tree.set(one, i)
  })
  const bytes = (heapBytes() - before) / tree.size
  console.log(
    `${tree.size} retained, ${(set / tree.size / 1e3).toFixed(2)} µs to set one` +
      (globalThis.gc ? `, ${bytes.toFixed(0)} bytes of heap each beside the topic` : ''),
  )
  let found = 0
  const cursor = tree.search(filter('#'))
  const slices: number[] = []
  while (!cursor.done) slices.push(measureOnce(() => cursor.slice(1000, () => (found += 1))))
  print('retained search for #, each topic', total(slices) / found)
  console.log(`longest slice of 1000 steps: ${(Math.max(...slices) / 1e6).toFixed(2)} ms`)
}

console.log(`${''.padEnd(46)}${'Linnet'.padStart(10)}${'mqtt-packet'.padStart(12)}`)
for (const version of [4, 5] as const) {
  for (const qos of [0, 1] as const) {
    decoding(publish(qos, version), version, false)
    decoding(publish(qos, version), version, true)
  }
  decoding({ kind: 'puback', packetId: 4711, reasonCode: 0, properties: {} }, version, false)
  encoding(version)
}
matching()
retaining()
