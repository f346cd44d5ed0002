import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PacketDecoder, type PacketHandler } from './decode.ts'
import { encodedLength, encodeInto, encodePacket } from './encode.ts'
import type { Packet } from './packet.ts'
import type { ProtocolVersion } from './packet-type.ts'
import { encodeUtf8 } from './utf8.ts'

interface Row {
  readonly name: string
  readonly version: ProtocolVersion
  readonly receiver?: 'client'
  readonly bytes: Uint8Array
  readonly value: Packet
  /** The bytes are valid but not what the encoder writes. */
  readonly decodeOnly?: true
}

/** Bytes from numbers, raw ASCII and length-prefixed strings. */
function bytes(...parts: (number | string | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === 'number' ? [part] : [...(typeof part === 'string' ? encodeUtf8(part) : part)],
    ),
  )
}

function field(text: string): Uint8Array {
  const raw = encodeUtf8(text)
  return bytes(raw.length >> 8, raw.length & 0xff, raw)
}

/** A packet with the right Remaining Length, below 16384. */
function packet(first: number, ...parts: (number | string | Uint8Array)[]): Uint8Array {
  const body = bytes(...parts)
  return body.length < 128
    ? bytes(first, body.length, body)
    : bytes(first, (body.length & 0x7f) | 0x80, body.length >> 7, body)
}

const none = {}
const mqtt5 = bytes(field('MQTT'), 5)
const mqtt311 = bytes(field('MQTT'), 4)
const mqtt31 = bytes(field('MQIsdp'), 3)

const rows: readonly Row[] = [
  {
    name: 'CONNECT of MQTT 5 with nothing optional (MQTT5 3.1)',
    version: 5,
    bytes: packet(0x10, mqtt5, 0x02, 0, 60, 0, field('c')),
    value: {
      kind: 'connect',
      version: 5,
      cleanStart: true,
      keepAlive: 60,
      clientIdentifier: 'c',
      properties: none,
    },
  },
  {
    name: 'CONNECT of MQTT 5 with will, credentials and all properties (MQTT5 3.1.2.11, 3.1.3.2)',
    version: 5,
    bytes: packet(
      0x10,
      mqtt5,
      0xf4,
      0x0e,
      0x10,
      ...[47, 0x11, 0, 0, 0, 10, 0x21, 0, 20, 0x27, 0, 1, 0, 0, 0x22, 0, 9, 0x19, 1, 0x17, 0],
      ...[0x26, field('k'), field('v'), 0x26, field('k'), field('w'), 0x15, field('PLAIN')],
      ...[0x16, 0, 2, 0, 255],
      field('thermostat'),
      ...[41, 0x18, 0, 0, 0, 5, 0x01, 1, 0x02, 0, 0, 1, 0, 0x03, field('text/plain'), 0x08],
      ...[field('re'), 0x09, 0, 1, 7, 0x26, field('a'), field('b')],
      field('will/topic'),
      field('gone'),
      field('user@host'),
      field('secret'),
    ),
    value: {
      kind: 'connect',
      version: 5,
      cleanStart: false,
      keepAlive: 3600,
      clientIdentifier: 'thermostat',
      will: {
        topic: 'will/topic',
        payload: bytes('gone'),
        qos: 2,
        retain: true,
        properties: {
          willDelayInterval: 5,
          payloadFormatIndicator: 1,
          messageExpiryInterval: 256,
          contentType: 'text/plain',
          responseTopic: 're',
          correlationData: bytes(7),
          userProperties: [['a', 'b']],
        },
      },
      userName: 'user@host',
      password: bytes('secret'),
      properties: {
        sessionExpiryInterval: 10,
        receiveMaximum: 20,
        maximumPacketSize: 65_536,
        topicAliasMaximum: 9,
        requestResponseInformation: true,
        requestProblemInformation: false,
        userProperties: [
          ['k', 'v'],
          ['k', 'w'],
        ],
        authenticationMethod: 'PLAIN',
        authenticationData: bytes(0, 255),
      },
    },
  },
  {
    name: 'CONNECT with a password and no user name, which only MQTT 5 allows (MQTT5 3.1.2.9)',
    version: 5,
    bytes: packet(0x10, mqtt5, 0x42, 0, 0, 0, field(''), field('token')),
    value: {
      kind: 'connect',
      version: 5,
      cleanStart: true,
      keepAlive: 0,
      clientIdentifier: '',
      password: bytes('token'),
      properties: none,
    },
  },
  {
    name: 'CONNECT of a bridge of mosquitto, MQTT 3.1.1',
    version: 4,
    bytes: packet(0x10, field('MQTT'), 0x84, 0x02, 0, 60, field('b')),
    value: {
      kind: 'connect',
      version: 4,
      isBridge: true,
      cleanStart: true,
      keepAlive: 60,
      clientIdentifier: 'b',
      properties: none,
    },
  },
  {
    name: 'CONNECT of a bridge of mosquitto, MQTT 3.1',
    version: 3,
    bytes: packet(0x10, field('MQIsdp'), 0x83, 0x02, 0, 60, field('b')),
    value: {
      kind: 'connect',
      version: 3,
      isBridge: true,
      cleanStart: true,
      keepAlive: 60,
      clientIdentifier: 'b',
      properties: none,
    },
  },
  {
    name: 'CONNECT of MQTT 3.1.1 (MQTT3 3.1)',
    version: 4,
    bytes: packet(
      0x10,
      mqtt311,
      ...[0xce, 0, 10, field('a'), field('w'), 0, 0, field('u'), field('p')],
    ),
    value: {
      kind: 'connect',
      version: 4,
      cleanStart: true,
      keepAlive: 10,
      clientIdentifier: 'a',
      will: { topic: 'w', payload: bytes(), qos: 1, retain: false, properties: none },
      userName: 'u',
      password: bytes('p'),
      properties: none,
    },
  },
  {
    name: 'CONNECT of MQTT 3.1 (MQTT V3.1 §3.1)',
    version: 3,
    bytes: packet(0x10, mqtt31, 0x82, 0, 10, field('sensor'), field('joe')),
    value: {
      kind: 'connect',
      version: 3,
      cleanStart: true,
      keepAlive: 10,
      clientIdentifier: 'sensor',
      userName: 'joe',
      properties: none,
    },
  },
  {
    name: 'CONNECT of MQTT 3.1 whose user name flag promises more than there is (MQTT V3.1 §3.1)',
    version: 3,
    decodeOnly: true,
    bytes: packet(0x10, mqtt31, 0xc2, 0, 10, field('sensor')),
    value: {
      kind: 'connect',
      version: 3,
      cleanStart: true,
      keepAlive: 10,
      clientIdentifier: 'sensor',
      properties: none,
    },
  },
  {
    name: 'CONNACK of MQTT 5 with all properties (MQTT5 3.2.2.3)',
    version: 5,
    receiver: 'client',
    bytes: packet(
      0x20,
      ...[1, 0, 72, 0x11, 0, 0, 1, 44, 0x21, 0, 100, 0x24, 1, 0x25, 1, 0x27, 0, 16, 0, 0, 0x12],
      ...[field('id-1'), 0x22, 0, 10, 0x1f, field('hello'), 0x26, field('x'), field('y')],
      ...[0x28, 1, 0x29, 1, 0x2a, 0, 0x13, 0, 30, 0x1a, field('r/'), 0x1c, field('other')],
      ...[0x15, field('M'), 0x16, 0, 1, 1],
    ),
    value: {
      kind: 'connack',
      sessionPresent: true,
      reasonCode: 0,
      properties: {
        sessionExpiryInterval: 300,
        receiveMaximum: 100,
        maximumQoS: 1,
        retainAvailable: true,
        maximumPacketSize: 1_048_576,
        assignedClientIdentifier: 'id-1',
        topicAliasMaximum: 10,
        reasonString: 'hello',
        userProperties: [['x', 'y']],
        wildcardSubscriptionAvailable: true,
        subscriptionIdentifierAvailable: true,
        sharedSubscriptionAvailable: false,
        serverKeepAlive: 30,
        responseInformation: 'r/',
        serverReference: 'other',
        authenticationMethod: 'M',
        authenticationData: bytes(1),
      },
    },
  },
  {
    name: 'CONNACK of MQTT 3.1.1 with the return code for bad credentials (MQTT3 3.2.2.3)',
    version: 4,
    receiver: 'client',
    bytes: packet(0x20, 0, 4),
    value: { kind: 'connack', sessionPresent: false, reasonCode: 0x86, properties: none },
  },
  {
    name: 'PUBLISH with QoS 0 of MQTT 3.1.1 (MQTT3 3.3)',
    version: 4,
    bytes: packet(0x31, field('a/b'), 'on'),
    value: {
      kind: 'publish',
      dup: false,
      qos: 0,
      retain: true,
      topic: 'a/b',
      packetId: 0,
      payload: bytes('on'),
      properties: none,
    },
  },
  {
    name: 'PUBLISH with QoS 2, DUP and properties (MQTT5 3.3.2.3)',
    version: 5,
    bytes: packet(
      0x3c,
      ...[field('a/b'), 0x12, 0x34],
      ...[31, 0x01, 1, 0x02, 0xff, 0xff, 0xff, 0xff, 0x23, 0, 7, 0x08, field('re/x'), 0x09, 0, 0],
      ...[0x26, field('a'), field('1'), 0x03, field('t')],
      'payload',
    ),
    value: {
      kind: 'publish',
      dup: true,
      qos: 2,
      retain: false,
      topic: 'a/b',
      packetId: 0x1234,
      payload: bytes('payload'),
      properties: {
        payloadFormatIndicator: 1,
        messageExpiryInterval: 4_294_967_295,
        topicAlias: 7,
        responseTopic: 're/x',
        correlationData: bytes(),
        userProperties: [['a', '1']],
        contentType: 't',
      },
    },
  },
  {
    name: 'PUBLISH with a topic alias in place of the topic name (MQTT5 3.3.2.3.4)',
    version: 5,
    bytes: packet(0x30, field(''), 3, 0x23, 0xff, 0xff),
    value: {
      kind: 'publish',
      dup: false,
      qos: 0,
      retain: false,
      topic: '',
      packetId: 0,
      payload: bytes(),
      properties: { topicAlias: 65_535 },
    },
  },
  {
    name: 'PUBLISH from a server with two subscription identifiers (MQTT5 3.3.4-4)',
    version: 5,
    receiver: 'client',
    bytes: packet(0x30, field('t'), 7, 0x0b, 1, 0x0b, 0xff, 0xff, 0xff, 0x7f),
    value: {
      kind: 'publish',
      dup: false,
      qos: 0,
      retain: false,
      topic: 't',
      packetId: 0,
      payload: bytes(),
      properties: { subscriptionIdentifiers: [1, 268_435_455] },
    },
  },
  {
    name: 'a topic name that begins with U+FEFF, which stays (MQTT5 1.5.4-3)',
    version: 4,
    bytes: packet(0x30, 0, 6, 0xef, 0xbb, 0xbf, 'a', 0xc3, 0xa4),
    value: {
      kind: 'publish',
      dup: false,
      qos: 0,
      retain: false,
      topic: '\ufeffaä',
      packetId: 0,
      payload: bytes(),
      properties: none,
    },
  },
  {
    name: 'PUBACK without reason code (MQTT5 3.4.2.1)',
    version: 5,
    bytes: packet(0x40, 0, 1),
    value: { kind: 'puback', packetId: 1, reasonCode: 0, properties: none },
  },
  {
    name: 'PUBACK with success spelled out (MQTT5 3.4.2.1)',
    version: 5,
    decodeOnly: true,
    bytes: packet(0x40, 0, 1, 0, 0),
    value: { kind: 'puback', packetId: 1, reasonCode: 0, properties: none },
  },
  {
    name: 'PUBREC with a reason code and no Property Length (MQTT5 3.5.2.1)',
    version: 5,
    bytes: packet(0x50, 0xff, 0xff, 0x10),
    value: { kind: 'pubrec', packetId: 65_535, reasonCode: 0x10, properties: none },
  },
  {
    name: 'PUBREL with properties (MQTT5 3.6.2.2)',
    version: 5,
    bytes: packet(0x62, 0, 9, 0x92, 5, 0x1f, field('no')),
    value: {
      kind: 'pubrel',
      packetId: 9,
      reasonCode: 0x92,
      properties: { reasonString: 'no' },
    },
  },
  {
    name: 'PUBREL of MQTT 3.1 with DUP (MQTT V3.1 §2.1)',
    version: 3,
    decodeOnly: true,
    bytes: packet(0x6a, 0, 9),
    value: { kind: 'pubrel', packetId: 9, reasonCode: 0, properties: none },
  },
  {
    name: 'PUBCOMP of MQTT 3.1.1 (MQTT3 3.7)',
    version: 4,
    bytes: packet(0x70, 0, 9),
    value: { kind: 'pubcomp', packetId: 9, reasonCode: 0, properties: none },
  },
  {
    name: 'SUBSCRIBE with all options, a shared filter and an identifier (MQTT5 3.8.3.1)',
    version: 5,
    bytes: packet(
      0x82,
      ...[0, 10, 2, 0x0b, 5, field('a/+'), 0x2e, field('$share/g/#'), 0x11, field('b'), 0],
    ),
    value: {
      kind: 'subscribe',
      packetId: 10,
      subscriptions: [
        { filter: 'a/+', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        {
          filter: '$share/g/#',
          qos: 1,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 1,
        },
        { filter: 'b', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
      properties: { subscriptionIdentifiers: [5] },
    },
  },
  {
    name: 'SUBSCRIBE of MQTT 3.1.1 (MQTT3 3.8)',
    version: 4,
    bytes: packet(0x82, 0, 10, field('a/b'), 1, field('c/d'), 2),
    value: {
      kind: 'subscribe',
      packetId: 10,
      subscriptions: [
        { filter: 'a/b', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
        { filter: 'c/d', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
      properties: none,
    },
  },
  {
    name: 'SUBACK of MQTT 5 (MQTT5 3.9.3)',
    version: 5,
    receiver: 'client',
    bytes: packet(0x90, 0, 10, 0, 2, 0x8f, 0x9e),
    value: { kind: 'suback', packetId: 10, reasonCodes: [2, 0x8f, 0x9e], properties: none },
  },
  {
    name: 'SUBACK of MQTT 3.1.1 with its failure code (MQTT3 3.9.3-2)',
    version: 4,
    receiver: 'client',
    bytes: packet(0x90, 0, 10, 0, 0x80),
    value: { kind: 'suback', packetId: 10, reasonCodes: [0, 0x80], properties: none },
  },
  {
    name: 'UNSUBSCRIBE (MQTT5 3.10)',
    version: 5,
    bytes: packet(0xa2, 0, 11, 0, field('a/#'), field('b')),
    value: { kind: 'unsubscribe', packetId: 11, filters: ['a/#', 'b'], properties: none },
  },
  {
    name: 'UNSUBACK of MQTT 5 (MQTT5 3.11.3)',
    version: 5,
    receiver: 'client',
    bytes: packet(0xb0, 0, 11, 0, 0, 0x11),
    value: { kind: 'unsuback', packetId: 11, reasonCodes: [0, 0x11], properties: none },
  },
  {
    name: 'UNSUBACK of MQTT 3.1.1, which has no payload (MQTT3 3.11.3)',
    version: 4,
    receiver: 'client',
    bytes: packet(0xb0, 0, 11),
    value: { kind: 'unsuback', packetId: 11, reasonCodes: [], properties: none },
  },
  { name: 'PINGREQ (MQTT5 3.12)', version: 5, bytes: packet(0xc0), value: { kind: 'pingreq' } },
  {
    name: 'PINGRESP (MQTT5 3.13)',
    version: 4,
    receiver: 'client',
    bytes: packet(0xd0),
    value: { kind: 'pingresp' },
  },
  {
    name: 'DISCONNECT without anything (MQTT5 3.14.2.1)',
    version: 5,
    bytes: packet(0xe0),
    value: { kind: 'disconnect', reasonCode: 0, properties: none },
  },
  {
    name: 'DISCONNECT that asks for the will (MQTT5 3.14.2.1)',
    version: 5,
    bytes: packet(0xe0, 4),
    value: { kind: 'disconnect', reasonCode: 4, properties: none },
  },
  {
    name: 'DISCONNECT with a session expiry interval (MQTT5 3.14.2.2.2)',
    version: 5,
    bytes: packet(0xe0, 0, 5, 0x11, 0, 0, 0, 1),
    value: { kind: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1 } },
  },
  {
    name: 'DISCONNECT from a server that moved (MQTT5 3.14.2.2.5)',
    version: 5,
    receiver: 'client',
    bytes: packet(0xe0, 0x9d, 4, 0x1c, field('b')),
    value: { kind: 'disconnect', reasonCode: 0x9d, properties: { serverReference: 'b' } },
  },
  {
    name: 'AUTH (MQTT5 3.15)',
    version: 5,
    bytes: packet(0xf0, 0x18, 8, 0x15, field('M'), 0x16, 0, 1, 9),
    value: {
      kind: 'auth',
      reasonCode: 0x18,
      properties: { authenticationMethod: 'M', authenticationData: bytes(9) },
    },
  },
  {
    name: 'AUTH that is empty and so means success (MQTT5 3.15.2.1)',
    version: 5,
    bytes: packet(0xf0),
    value: { kind: 'auth', reasonCode: 0, properties: none },
  },
  {
    name: 'a Remaining Length in more bytes than needed, which MQTT 3 does not forbid (MQTT3 2.2.3)',
    version: 4,
    decodeOnly: true,
    bytes: bytes(0xc0, 0x80, 0x80, 0x00),
    value: { kind: 'pingreq' },
  },
]

/** Feeds the input in pieces of this size, each in a buffer that is overwritten after the call. */
function feed(row: Row, input: Uint8Array, pieceBytes: number): Packet[] {
  const isConnect = (input[0] ?? 0) >> 4 === 1
  const decoder = new PacketDecoder({
    maxPacketBytes: 65_536,
    ...(isConnect ? {} : { version: row.version }),
    receiver: row.receiver ?? 'server',
  })
  const packets: Packet[] = []
  const handler: PacketHandler = {
    packet: (value) => packets.push(value),
    publish: (view) => packets.push(view.toPublish()),
  }
  for (let at = 0; at < input.length; at += pieceBytes) {
    const piece = input.subarray(at, at + pieceBytes)
    // Space around the piece shows whether the range is honoured.
    const read = Buffer.alloc(piece.length + 6, 0xee)
    read.set(piece, 3)
    const outcome = decoder.push(read, 3, 3 + piece.length, handler)
    read.fill(0xee)
    const last = at + pieceBytes >= input.length
    assert.equal(outcome.kind, last ? 'complete' : outcome.kind, JSON.stringify(outcome))
    assert.notEqual(outcome.kind, 'malformed')
  }
  assert.equal(decoder.heldBytes, 0)
  return packets
}

describe('decodes', () => {
  for (const row of rows) {
    test(`${row.name} (${row.version})`, () => {
      assert.deepEqual(feed(row, row.bytes, row.bytes.length), [row.value])
      assert.deepEqual(feed(row, row.bytes, 1), [row.value])
      const twice = Buffer.concat([row.bytes, row.bytes])
      if (row.value.kind === 'connect') return
      for (const piece of [2, 3, 7, twice.length]) {
        assert.deepEqual(feed(row, twice, piece), [row.value, row.value], `pieces of ${piece}`)
      }
    })
  }
})

describe('encodes', () => {
  for (const row of rows) {
    if (row.decodeOnly) continue
    test(`${row.name} (${row.version})`, () => {
      assert.deepEqual(encodePacket(row.value, row.version), row.bytes)
      assert.equal(encodedLength(row.value, row.version), row.bytes.length)
      const target = new Uint8Array(row.bytes.length + 4)
      assert.equal(encodeInto(row.value, row.version, target, 2), row.bytes.length + 2)
      assert.deepEqual(target, bytes(0, 0, row.bytes, 0, 0))
    })
  }
})
