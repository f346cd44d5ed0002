import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodedLength, fitPacket } from '../../../src/mqtt/packet/encode.ts'
import type { Packet } from '../../../src/mqtt/packet/packet.ts'

const why = {
  reasonString: 'no',
  userProperties: [
    ['a', '1'],
    ['a', '2'],
  ],
} as const

const packets: readonly Packet[] = [
  { kind: 'connack', sessionPresent: false, reasonCode: 0x87, properties: why },
  { kind: 'puback', packetId: 1, reasonCode: 0x87, properties: why },
  { kind: 'pubrec', packetId: 1, reasonCode: 0x87, properties: why },
  { kind: 'pubrel', packetId: 1, reasonCode: 0x92, properties: why },
  { kind: 'pubcomp', packetId: 1, reasonCode: 0x92, properties: why },
  { kind: 'suback', packetId: 1, reasonCodes: [0x87], properties: why },
  { kind: 'unsuback', packetId: 1, reasonCodes: [0x87], properties: why },
  { kind: 'disconnect', reasonCode: 0x87, properties: why },
  {
    kind: 'auth',
    reasonCode: 0x18,
    properties: { authenticationMethod: 'x', ...why },
  },
]

/*
 * The server sends no user properties of its own, and few reason strings: no conversation could show that of all packets.
 */
// shows: MQTT5 3.2.2-19, 3.2.2-20, 3.4.2-2, 3.4.2-3, 3.5.2-2, 3.5.2-3, 3.6.2-2, 3.6.2-3, 3.7.2-2, 3.7.2-3
// shows: MQTT5 3.9.2-1, 3.9.2-2, 3.11.2-1, 3.11.2-2, 3.14.2-3, 3.14.2-4, 3.15.2-2, 3.15.2-3
test('user properties, then the reason string, are left out of what would be too large', () => {
  for (const packet of packets) {
    const { reasonString: _reason, userProperties: _user, ...bare } = propertiesOf(packet)
    const size = encodedLength(packet, 5)
    assert.equal(fitPacket(packet, 5, size), packet)
    const named = { ...packet, properties: { ...bare, reasonString: 'no' } }
    const namedSize = encodedLength(named as Packet, 5)
    assert.deepEqual(fitPacket(packet, 5, size - 1), named)
    assert.deepEqual(fitPacket(packet, 5, namedSize), named)
    assert.deepEqual(fitPacket(packet, 5, namedSize - 1), { ...packet, properties: bare })
    const bareSize = encodedLength({ ...packet, properties: bare } as Packet, 5)
    assert.deepEqual(fitPacket(packet, 5, bareSize), { ...packet, properties: bare })
    assert.equal(fitPacket(packet, 5, bareSize - 1), undefined)
  }
})

function propertiesOf(packet: Packet): typeof why & Record<string, unknown> {
  // All packets above have them.
  return 'properties' in packet ? (packet.properties as typeof why & Record<string, unknown>) : why
}
