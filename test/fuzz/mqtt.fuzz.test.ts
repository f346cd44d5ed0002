import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import * as fc from 'fast-check'
import { generate, type Packet as ForeignPacket, parser } from 'mqtt-packet'
import { decodePacket, type Outcome, PacketDecoder } from '../../src/mqtt/packet/decode.ts'
import { encodePacket } from '../../src/mqtt/packet/encode.ts'
import type { Packet, Will } from '../../src/mqtt/packet/packet.ts'
import type { ProtocolVersion } from '../../src/mqtt/packet/packet-type.ts'
import {
  type Properties,
  type PropertyOwner,
  propertyTable,
} from '../../src/mqtt/packet/properties.ts'
import { reasonCodes } from '../../src/mqtt/packet/reason-code.ts'
import { parseTopicFilter, parseTopicName } from '../../src/mqtt/topic.ts'

// Packets of every kind go out and in again, also by way of mqtt-packet; mutated ones must be refused or
// mean the same however the stream is cut. Run one seed again with FUZZ_SEED, more with FUZZ_ROUNDS.

const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31))
const rounds = Number(process.env['FUZZ_ROUNDS'] ?? 1500)

function check<T>(context: TestContext, property: fc.IProperty<T>, share = 1): void {
  context.diagnostic(`FUZZ_SEED=${seed}`)
  fc.assert(property, { seed, numRuns: Math.ceil(rounds * share) })
}

/** Objects that compare equal to literals. */
const plain = { noNullPrototype: true } as const

function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, plain)
}

type Receiver = 'server' | 'client'

/** A packet with the connection that it may come on. */
interface Sample {
  readonly packet: Packet
  readonly version: ProtocolVersion
  readonly receiver: Receiver
}

const text = fc.string({ unit: 'binary', maxLength: 40 }).filter((value) => !value.includes('\0'))
const binary = fc.uint8Array({ maxLength: 40 })
const packetId = fc.integer({ min: 1, max: 65_535 })
const qos = fc.constantFrom(0, 1, 2)
const level = fc.oneof(
  fc.constantFrom('a', 'b', '', '$SYS', 'ä'),
  text.map((value) => value.replace(/[+#/]/g, '')),
)
const topic = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((value) => parseTopicName(value).ok)
const filter = fc
  .tuple(
    fc.constantFrom('', '$share/g/'),
    fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }),
    fc.constantFrom('a', '#', '+'),
  )
  .map(([share, levels, last]) => share + [...levels, last].join('/'))
  .filter((value) => parseTopicFilter(value).ok)

function valueOf(name: keyof typeof propertyTable, owner: PropertyOwner): fc.Arbitrary<unknown> {
  const row = propertyTable[name]
  const min = 'nonZero' in row || name === 'topicAlias' ? 1 : 0
  switch (row.type) {
    case 'bit':
      return fc.constantFrom(0, 1)
    case 'flag':
      return fc.boolean()
    case 'u16':
      return fc.integer({ min, max: 65_535 })
    case 'u32':
      return fc.integer({ min, max: 4_294_967_295 })
    case 'variable':
      return fc.array(fc.integer({ min: 1, max: 268_435_455 }), {
        minLength: 1,
        maxLength: owner === 'publish' ? 3 : 1,
      })
    case 'text':
      return text
    case 'topic':
      return topic
    case 'binary':
      return binary
    case 'pairs':
      return fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 })
  }
}

/** Properties that the table allows to the owner, as the receiver may get them. */
function propertiesOf(
  owner: PropertyOwner,
  version: ProtocolVersion,
  receiver: Receiver,
): fc.Arbitrary<Properties> {
  if (version < 5) return fc.constant({})
  const names = Object.entries(propertyTable).flatMap(([name, row]) => {
    const owners: readonly PropertyOwner[] = row.owners
    const known = name as keyof typeof propertyTable
    if (!owners.includes(owner)) return []
    // MQTT5 3.3.4-6, 3.14.2-2.
    if (owner === 'publish' && known === 'subscriptionIdentifiers' && receiver === 'server')
      return []
    if (owner === 'disconnect' && known === 'sessionExpiryInterval' && receiver === 'client')
      return []
    return [known]
  })
  const model = Object.fromEntries(names.map((name) => [name, valueOf(name, owner)]))
  return fc.record(model, { requiredKeys: [], ...plain }).map((properties) => {
    const { authenticationData: _data, ...rest } = properties
    // MQTT5 3.1.2.11.10.
    return 'authenticationMethod' in rest ? properties : rest
  })
}

function reasonOf(kind: Packet['kind'], version: ProtocolVersion): fc.Arbitrary<number> {
  const codes = reasonCodes.filter((row) => row.packets.includes(kind)).map((row) => row.value)
  if (codes.length === 0) return fc.constant(0)
  if (version === 5) return fc.constantFrom(...codes)
  if (kind === 'connack') return fc.constantFrom(0, 0x84, 0x85, 0x86, 0x87, 0x88)
  return kind === 'suback' ? fc.constantFrom(0, 1, 2, 0x80) : fc.constant(0)
}

function packetOf(
  kind: Packet['kind'],
  version: ProtocolVersion,
  receiver: Receiver,
): fc.Arbitrary<object> {
  const properties =
    kind === 'pingreq' || kind === 'pingresp'
      ? fc.constant({})
      : propertiesOf(kind, version, receiver)
  const head = { kind: fc.constant(kind), properties }
  const reasonCode = reasonOf(kind, version)
  const subscription = record({
    filter,
    qos,
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    retainHandling: fc.constantFrom(0, 1, 2),
  }).map((options) => ({
    ...options,
    ...(options.filter.startsWith('$share/') && { noLocal: false }),
    ...(version < 5 && { noLocal: false, retainAsPublished: false, retainHandling: 0 }),
  }))
  switch (kind) {
    case 'connect': {
      const will: fc.Arbitrary<object> = record({
        topic,
        payload: binary,
        qos,
        retain: fc.boolean(),
        properties: propertiesOf('will', version, receiver),
      })
      return fc
        .record(
          {
            ...head,
            version: fc.constant(version),
            cleanStart: fc.boolean(),
            keepAlive: fc.nat(65_535),
            clientIdentifier: text,
            will,
            userName: text,
            password: binary,
          },
          {
            requiredKeys: [
              'kind',
              'properties',
              'version',
              'cleanStart',
              'keepAlive',
              'clientIdentifier',
            ],
            ...plain,
          },
        )
        .map((packet) => {
          const { password: _password, ...rest } = packet
          return version < 5 && rest.userName === undefined ? rest : packet
        })
    }
    case 'connack':
      return record({ ...head, sessionPresent: fc.boolean(), reasonCode }).map((packet) => ({
        ...packet,
        sessionPresent: packet.sessionPresent && packet.reasonCode === 0 && version > 3,
      }))
    case 'publish':
      return record({
        ...head,
        qos,
        dup: fc.boolean(),
        retain: fc.boolean(),
        topic,
        packetId,
        payload: binary,
      }).map((packet) => (packet.qos === 0 ? { ...packet, dup: false, packetId: 0 } : packet))
    case 'subscribe':
      return record({
        ...head,
        packetId,
        subscriptions: fc.array(subscription, { minLength: 1, maxLength: 3 }),
      })
    case 'unsubscribe':
      return record({
        ...head,
        packetId,
        filters: fc.array(filter, { minLength: 1, maxLength: 3 }),
      })
    case 'suback':
      return record({
        ...head,
        packetId,
        reasonCodes: fc.array(reasonCode, { minLength: 1, maxLength: 3 }),
      })
    case 'unsuback':
      return record({
        ...head,
        packetId,
        reasonCodes:
          version < 5 ? fc.constant([]) : fc.array(reasonCode, { minLength: 1, maxLength: 3 }),
      })
    case 'pingreq':
    case 'pingresp':
      return fc.constant({ kind })
    case 'disconnect':
      return record({ ...head, reasonCode })
    case 'auth':
      return record({ ...head, reasonCode, method: text }).map(({ method, ...packet }) => ({
        ...packet,
        properties: { ...packet.properties, authenticationMethod: method },
      }))
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return record({ ...head, packetId, reasonCode })
  }
}

const toServer = [
  'connect',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'unsubscribe',
  'pingreq',
  'disconnect',
  'auth',
] as const
const toClient = [
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'suback',
  'unsuback',
  'pingresp',
  'disconnect',
  'auth',
] as const

const samples: fc.Arbitrary<Sample> = fc
  .oneof(
    record({
      receiver: fc.constant('server' as const),
      kind: fc.constantFrom(...toServer),
      version: fc.constantFrom(3, 4, 5),
    }),
    record({
      receiver: fc.constant('client' as const),
      kind: fc.constantFrom(...toClient),
      version: fc.constantFrom(3, 4, 5),
    }),
  )
  .filter(({ kind, version }) => kind !== 'auth' || version === 5)
  .chain(({ kind, version, receiver }) =>
    packetOf(kind, version, receiver).map((packet) => ({
      // The arbitraries above follow the types of the packets, which their tables cannot express.
      packet: packet as Packet,
      version,
      receiver,
    })),
  )

interface Decoded {
  readonly packets: readonly Packet[]
  readonly outcome: Outcome
}

/** Pushes the stream in pieces of these sizes, in turn, each in a buffer that is overwritten afterwards. */
function decode(bytes: Uint8Array, sample: Sample, sizes: readonly number[]): Decoded {
  const decoder = new PacketDecoder({
    maxPacketBytes: 1000,
    receiver: sample.receiver,
    ...(sample.packet.kind !== 'connect' && { version: sample.version }),
  })
  const packets: Packet[] = []
  const handler = {
    packet: (packet: Packet) => packets.push(packet),
    publish: (view: { toPublish(): Packet }) => packets.push(view.toPublish()),
  }
  let outcome: Outcome = { kind: 'complete' }
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const piece = bytes.slice(at, at + Math.max(1, sizes[turn % sizes.length] ?? 1))
    outcome = decoder.push(piece, 0, piece.length, handler)
    at += piece.length
    piece.fill(0xee)
    assert.ok(decoder.heldBytes <= 1000)
  }
  return { packets, outcome }
}

const pieces = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 })

test('what is encoded decodes to the same, however it is cut', (context) => {
  check(
    context,
    fc.property(samples, pieces, (sample, sizes) => {
      const bytes = encodePacket(sample.packet, sample.version)
      const { packets, outcome } = decode(bytes, sample, sizes)
      assert.deepEqual(outcome, { kind: 'complete' })
      assert.deepEqual(packets, [sample.packet])
    }),
  )
})

test('mutated streams are refused or mean the same, however they are cut', (context) => {
  const mutation = record({
    how: fc.constantFrom('set', 'flip', 'insert', 'remove', 'cut'),
    at: fc.nat(200),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
  })
  check(
    context,
    fc.property(
      samples,
      fc.array(mutation, { maxLength: 4 }),
      pieces,
      (sample, mutations, sizes) => {
        const stream = [
          ...encodePacket(sample.packet, sample.version),
          ...encodePacket({ kind: sample.receiver === 'server' ? 'pingreq' : 'pingresp' }, 4),
        ]
        for (const { how, at, byte } of mutations) {
          const place = at % (stream.length + 1)
          if (how === 'set') stream[place] = byte
          else if (how === 'flip') stream[place] = (stream[place] ?? 0) ^ (1 << (byte & 7))
          else if (how === 'insert') stream.splice(place, 0, byte)
          else if (how === 'remove') stream.splice(place, 1)
          else stream.length = place
        }
        const bytes = Uint8Array.from(stream)
        const whole = decode(bytes, sample, [bytes.length])
        const cut = decode(bytes, sample, sizes)
        assert.deepEqual(cut, whole)
        for (const packet of whole.packets) {
          const version = packet.kind === 'connect' ? packet.version : sample.version
          const again = decodePacket(encodePacket(packet, version), {
            receiver: sample.receiver,
            ...(packet.kind !== 'connect' && { version }),
          })
          assert.deepEqual(again, { ok: true, value: packet })
        }
      },
    ),
    2,
  )
})

test('random bytes are never more than refused', (context) => {
  check(
    context,
    fc.property(fc.uint8Array({ maxLength: 64 }), samples, pieces, (bytes, sample, sizes) => {
      assert.deepEqual(decode(bytes, sample, sizes), decode(bytes, sample, [64]))
    }),
  )
})

/** mqtt-packet keeps user properties in an object, so their order survives only for each name. */
function byName(packet: Packet): unknown {
  function sorted(properties: Properties): Properties {
    const { userProperties, ...rest } = properties
    if (userProperties === undefined) return rest
    const names = [...new Set(userProperties.map(([name]) => name))].toSorted()
    return {
      ...rest,
      userProperties: names.flatMap((name) => userProperties.filter((pair) => pair[0] === name)),
    }
  }
  if (!('properties' in packet)) return packet
  const will: Will | undefined = packet.kind === 'connect' ? packet.will : undefined
  return {
    ...packet,
    properties: sorted(packet.properties),
    ...(will && { will: { ...will, properties: sorted(will.properties) } }),
  }
}

test('mqtt-packet reads what we write and writes what we read', (context) => {
  check(
    context,
    fc.property(samples, (sample) => {
      const { packet, version, receiver } = sample
      fc.pre(!isForeignGap(sample))
      const options = { protocolVersion: version }
      const reader = parser(options)
      const read: ForeignPacket[] = []
      reader.on('packet', (foreign) => read.push(foreign))
      reader.on('error', (error) => assert.fail(String(error)))
      reader.parse(Buffer.from(encodePacket(packet, version)))
      const [foreign] = read
      assert.ok(foreign !== undefined && read.length === 1)
      const written = generate(foreign, options)
      const again = decodePacket(written, {
        receiver,
        ...(packet.kind !== 'connect' && { version }),
      })
      assert.ok(again.ok, JSON.stringify(again))
      assert.deepEqual(byName(again.value), byName(packet))
    }),
  )
})

/** What mqtt-packet 9 does not read or write faithfully. */
function isForeignGap({ packet, version }: Sample): boolean {
  const will = packet.kind === 'connect' ? packet.will : undefined
  const lists = 'properties' in packet ? [packet.properties, will?.properties ?? {}] : []
  const pairs = lists.flatMap((properties: Properties) => properties.userProperties ?? [])
  // A repeated name loses an empty first value, and names are keys of a plain object.
  if (pairs.some(([name, value]) => value === '' || name in {})) return true
  // Bad authentication method: in the table of MQTT5 2.4, not in that of 3.14.2.1.
  if (packet.kind === 'disconnect') return packet.reasonCode === 0x8c
  if (packet.kind !== 'connect') return false
  // It wants a client identifier where the session may decide, and a user name with every password.
  if (packet.password !== undefined && packet.userName === undefined) return true
  return packet.clientIdentifier === '' && (version === 3 || !packet.cleanStart)
}
