import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeAck, encodedLength, encodePacket, fitPacket } from './encode.ts'
import type { Connack, Packet, Puback } from './packet.ts'
import { PacketType, packetKindOf } from './packet-type.ts'
import { propertyTable } from './properties.ts'
import { connectReturnCode, ReasonCode, reasonCodes, reasonName } from './reason-code.ts'
import { decodeUtf8, encodeUtf8, isUtf8, isUtf8String, utf8Length } from './utf8.ts'

test('the reason code table and the names agree (MQTT5 2.4)', () => {
  const named = new Set<number>(Object.values(ReasonCode))
  assert.deepEqual(new Set(reasonCodes.map((row) => row.value)), named)
  for (const row of reasonCodes) {
    for (const kind of row.packets) assert.ok(kind in PacketType, `${row.name}: ${kind}`)
  }
  assert.equal(reasonName(0, 'disconnect'), 'Normal disconnection')
  assert.equal(reasonName(0, 'suback'), 'Granted QoS 0')
  assert.equal(reasonName(0x8e), 'Session taken over')
})

test('every reason code has an MQTT 3 return code, and only success is 0 (MQTT3 3.2.2.3)', () => {
  for (const { value } of reasonCodes) {
    assert.equal(connectReturnCode(value) === 0, value === 0)
  }
  assert.equal(connectReturnCode(ReasonCode.serverBusy), 3)
})

test('there are 27 properties with identifiers of their own (MQTT5 2.2.2.2)', () => {
  const rows = Object.values(propertyTable)
  assert.equal(rows.length, 27)
  assert.equal(new Set(rows.map((row) => row.id)).size, 27)
})

test('packet types and kinds agree (MQTT5 2.1.2)', () => {
  for (const [kind, type] of Object.entries(PacketType)) assert.equal(packetKindOf(type), kind)
  assert.equal(packetKindOf(0), undefined)
})

test('checks UTF-8 as the platform does, but for U+0000 (MQTT5 1.5.4)', () => {
  const fatal = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const leads = [0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef]
  const bytes = [...leads, 0xf0, 0xf1, 0xf4, 0xf5, 0xff, 0x8f, 0x90, 0x9f, 0xa0]
  for (const a of bytes) {
    for (const b of bytes) {
      for (const c of bytes) {
        for (const d of bytes) {
          const input = Uint8Array.of(a, b, c, d)
          let text: string | undefined
          try {
            text = fatal.decode(input)
          } catch {
            text = undefined
          }
          assert.equal(isUtf8(input, 0, 4), text !== undefined)
          assert.equal(isUtf8String(input, 0, 4), text !== undefined && !text.includes('\0'))
        }
      }
    }
  }
})

test('encodes and decodes text of every length and width', () => {
  for (const unit of ['a', 'ä', '€', '😀', '\ufeff']) {
    for (const length of [0, 1, 3, 4, 5, 8, 23, 24, 25, 100]) {
      const text = unit.repeat(length)
      const bytes = encodeUtf8(text)
      assert.deepEqual(bytes, new TextEncoder().encode(text))
      assert.equal(utf8Length(text), bytes.length)
      assert.equal(decodeUtf8(bytes, 0, bytes.length), text)
    }
  }
  assert.deepEqual(encodeUtf8('a\ud800b'), new TextEncoder().encode('a\ud800b'))
  assert.deepEqual(encodeUtf8('\udc00'), new TextEncoder().encode('\udc00'))
})

test('writes short acknowledgements as the encoder does', () => {
  const target = new Uint8Array(8)
  for (const kind of ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const) {
    for (const version of [3, 4, 5] as const) {
      for (const reasonCode of [0, 0x87] as const) {
        const packet = { kind, packetId: 0xabcd, reasonCode, properties: {} } as const
        const end = encodeAck(PacketType[kind], 0xabcd, reasonCode, version, target, 1)
        assert.deepEqual(target.subarray(1, end), encodePacket(packet, version))
      }
    }
  }
})

test('leaves out user properties and the reason string for a small client (MQTT5 3.4.2-2, 3.4.2-3)', () => {
  const packet: Puback = {
    kind: 'puback',
    packetId: 1,
    reasonCode: ReasonCode.notAuthorized,
    properties: { reasonString: 'no', userProperties: [['why', 'because']] },
  }
  const { reasonString } = packet.properties
  const size = encodedLength(packet, 5)
  assert.equal(fitPacket(packet, 5, size), packet)
  assert.deepEqual(fitPacket(packet, 5, size - 1), { ...packet, properties: { reasonString } })
  assert.deepEqual(fitPacket(packet, 5, 10), { ...packet, properties: {} })
  assert.equal(fitPacket(packet, 5, 4), undefined)
})

test('drops no other property to make a packet fit (MQTT5 3.1.2-24)', () => {
  const packet: Connack = {
    kind: 'connack',
    sessionPresent: false,
    reasonCode: 0,
    properties: { assignedClientIdentifier: 'x'.repeat(50), reasonString: 'hi' },
  }
  assert.equal(fitPacket(packet, 5, 30), undefined)
  assert.deepEqual(fitPacket(packet, 5, 60)?.properties, {
    assignedClientIdentifier: 'x'.repeat(50),
  })
})

test('refuses to encode a text that has no length field (MQTT5 1.5.4)', () => {
  const packet: Packet = {
    kind: 'unsubscribe',
    packetId: 1,
    filters: ['x'.repeat(65_536)],
    properties: {},
  }
  assert.throws(() => encodePacket(packet, 5), RangeError)
})
