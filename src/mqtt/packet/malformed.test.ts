import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PacketDecoder, type Outcome } from './decode.ts'
import type { ProtocolVersion } from './packet-type.ts'
import { ReasonCode } from './reason-code.ts'

/** Hex with spaces for reading; the version is the connection's, or undefined before a CONNECT. */
type Row = readonly [
  name: string,
  version: ProtocolVersion | undefined,
  hex: string,
  code: ReasonCode,
  receiver?: 'client',
]

const {
  malformedPacket,
  protocolError,
  unsupportedProtocolVersion,
  packetTooLarge,
  topicNameInvalid,
  topicFilterInvalid,
  topicAliasInvalid,
} = ReasonCode

/** `00 04 M Q T T`, then the level. */
const mqtt = '0004 4d515454'

const rows: readonly Row[] = [
  // Fixed header.
  ['type 0 (MQTT5 2.1.2)', 5, '00 00', malformedPacket],
  ['type 0 before CONNECT (MQTT5 2.1.2)', undefined, '00 00', malformedPacket],
  ['type 15 in MQTT 3.1.1 (MQTT3 2.2.1)', 4, 'f0 00', malformedPacket],
  ['PUBACK flags (MQTT5 2.1.3-1)', 5, '41 02 0001', malformedPacket],
  ['PUBACK flags (MQTT3 2.2.2-2)', 4, '48 02 0001', malformedPacket],
  ['PUBREL flags (MQTT5 3.6.1-1)', 5, '60 02 0001', malformedPacket],
  ['PUBREL flags (MQTT3 3.6.1-1)', 4, '6a 02 0001', malformedPacket],
  ['SUBSCRIBE flags (MQTT5 3.8.1-1)', 5, '80 06 0001 00 0001 61 00', malformedPacket],
  ['SUBSCRIBE flags (MQTT3 3.8.1-1)', 4, '8a 06 0001 0001 61 00', malformedPacket],
  ['UNSUBSCRIBE flags (MQTT5 3.10.1-1)', 5, 'a0 06 0001 00 0001 61', malformedPacket],
  ['PINGREQ flags (MQTT5 2.1.3-1)', 5, 'c1 00', malformedPacket],
  ['DISCONNECT flags (MQTT5 3.14.1-1)', 5, 'e4 00', malformedPacket],
  ['AUTH flags (MQTT5 3.15.1-1)', 5, 'f1 00', malformedPacket],
  ['CONNECT flags (MQTT3 2.2.2-2)', undefined, `11 0d ${mqtt} 04 02 0000 0001 61`, malformedPacket],
  ['five bytes of Remaining Length (MQTT5 1.5.5)', 5, 'c0 80808080 00', malformedPacket],
  ['long form of Remaining Length (MQTT5 1.5.5-1)', 5, 'c0 8000', malformedPacket],
  ['long form in PUBLISH (MQTT5 1.5.5-1)', 5, '30 8400 0001 61 00', malformedPacket],
  [
    'long form in CONNECT (MQTT5 1.5.5-1)',
    undefined,
    `10 8e00 ${mqtt} 05 02 0000 00 0001 61`,
    malformedPacket,
  ],
  ['a packet past the limit, told by its header (MQTT5 3.2.2-15)', 5, '30 ff7f', packetTooLarge],

  // What may come when.
  ['a first packet that is not CONNECT (MQTT5 3.1.0-1)', undefined, 'c0 00', protocolError],
  ['a first packet that is PUBLISH (MQTT3 3.1.0-1)', undefined, '30 03 0001 61', protocolError],
  ['an HTTP request (MQTT5 3.1.0-1)', undefined, '474554 202f', protocolError],
  ['a second CONNECT (MQTT5 3.1.0-2)', 5, `10 0e ${mqtt} 05 02 0000 00 0001 61`, protocolError],
  ['CONNACK to a server (MQTT5 2.1.2)', 5, '20 03 00 00 00', protocolError],
  ['SUBACK to a server (MQTT3 2.2.1)', 4, '90 03 0001 00', protocolError],
  ['UNSUBACK to a server (MQTT5 2.1.2)', 5, 'b0 04 0001 00 00', protocolError],
  ['PINGRESP to a server (MQTT5 2.1.2)', 5, 'd0 00', protocolError],
  ['PINGREQ to a client (MQTT5 2.1.2)', 5, 'c0 00', protocolError, 'client'],
  ['SUBSCRIBE to a client (MQTT5 2.1.2)', 5, '82 07 0001 00 0001 61 00', protocolError, 'client'],

  // CONNECT.
  [
    'another protocol name (MQTT5 3.1.2-1)',
    undefined,
    '10 0d 0004 4d515458 04 02 0000 0001 61',
    unsupportedProtocolVersion,
  ],
  [
    'level 6 (MQTT5 3.1.2-2)',
    undefined,
    `10 0e ${mqtt} 06 02 0000 00 0001 61`,
    unsupportedProtocolVersion,
  ],
  [
    'level 3 by the name MQTT (MQTT3 3.1.2-2)',
    undefined,
    `10 0d ${mqtt} 03 02 0000 0001 61`,
    unsupportedProtocolVersion,
  ],
  [
    'the bit of bridges in MQTT 5, which has none (MQTT5 3.1.2-2)',
    undefined,
    `10 0e ${mqtt} 85 02 0000 00 0001 61`,
    unsupportedProtocolVersion,
  ],
  [
    'level 4 by the name MQIsdp (MQTT3 3.1.2-1)',
    undefined,
    '10 0f 0006 4d5149736470 04 02 0000 0001 61',
    unsupportedProtocolVersion,
  ],
  [
    'reserved connect flag (MQTT5 3.1.2-3)',
    undefined,
    `10 0e ${mqtt} 05 03 0000 00 0001 61`,
    malformedPacket,
  ],
  [
    'reserved connect flag (MQTT3 3.1.2-3)',
    undefined,
    `10 0d ${mqtt} 04 03 0000 0001 61`,
    malformedPacket,
  ],
  [
    'will QoS without will (MQTT5 3.1.2-11)',
    undefined,
    `10 0e ${mqtt} 05 0a 0000 00 0001 61`,
    malformedPacket,
  ],
  [
    'will QoS without will (MQTT3 3.1.2-13)',
    undefined,
    `10 0d ${mqtt} 04 12 0000 0001 61`,
    malformedPacket,
  ],
  [
    'will retain without will (MQTT5 3.1.2-13)',
    undefined,
    `10 0e ${mqtt} 05 22 0000 00 0001 61`,
    malformedPacket,
  ],
  [
    'will retain without will (MQTT3 3.1.2-15)',
    undefined,
    `10 0d ${mqtt} 04 22 0000 0001 61`,
    malformedPacket,
  ],
  [
    'will QoS 3 (MQTT5 3.1.2-12)',
    undefined,
    `10 14 ${mqtt} 05 1e 0000 00 0001 61 00 0001 77 0000`,
    malformedPacket,
  ],
  [
    'will QoS 3 (MQTT3 3.1.2-14)',
    undefined,
    `10 12 ${mqtt} 04 1e 0000 0001 61 0001 77 0000`,
    malformedPacket,
  ],
  [
    'missing will message (MQTT5 3.1.2-9)',
    undefined,
    `10 0e ${mqtt} 05 06 0000 00 0001 61`,
    malformedPacket,
  ],
  [
    'wildcard in the will topic (MQTT5 4.7.0-1)',
    undefined,
    `10 14 ${mqtt} 05 06 0000 00 0001 61 00 0001 23 0000`,
    topicNameInvalid,
  ],
  [
    'empty will topic (MQTT5 4.7.3-1)',
    undefined,
    `10 13 ${mqtt} 05 06 0000 00 0001 61 00 0000 0000`,
    topicNameInvalid,
  ],
  [
    'password without user name (MQTT3 3.1.2-22)',
    undefined,
    `10 10 ${mqtt} 04 42 0000 0001 61 0001 70`,
    malformedPacket,
  ],
  [
    'missing user name (MQTT5 3.1.2-17)',
    undefined,
    `10 0e ${mqtt} 05 82 0000 00 0001 61`,
    malformedPacket,
  ],
  [
    'missing password (MQTT3 3.1.2-21)',
    undefined,
    `10 10 ${mqtt} 04 c2 0000 0001 61 0001 75`,
    malformedPacket,
  ],
  [
    'missing client identifier (MQTT5 3.1.3-3)',
    undefined,
    `10 0b ${mqtt} 05 02 0000 00`,
    malformedPacket,
  ],
  [
    'bytes behind the content (MQTT5 2.1.4)',
    undefined,
    `10 0f ${mqtt} 05 02 0000 00 0001 61 00`,
    malformedPacket,
  ],
  [
    'surrogate in the client identifier (MQTT5 1.5.4-1)',
    undefined,
    `10 10 ${mqtt} 05 02 0000 00 0003 eda080`,
    malformedPacket,
  ],
  [
    'U+0000 in the client identifier (MQTT3 1.5.3-2)',
    undefined,
    `10 0d ${mqtt} 04 02 0000 0001 00`,
    malformedPacket,
  ],
  [
    'overlong form in the user name (MQTT5 1.5.4-1)',
    undefined,
    `10 12 ${mqtt} 05 82 0000 00 0001 61 0002 c080`,
    malformedPacket,
  ],
  [
    'receive maximum 0 (MQTT5 3.1.2.11.3)',
    undefined,
    `10 11 ${mqtt} 05 02 0000 03 210000 0001 61`,
    protocolError,
  ],
  [
    'maximum packet size 0 (MQTT5 3.1.2.11.4)',
    undefined,
    `10 13 ${mqtt} 05 02 0000 05 2700000000 0001 61`,
    protocolError,
  ],
  [
    'request problem information 2 (MQTT5 3.1.2.11.7)',
    undefined,
    `10 10 ${mqtt} 05 02 0000 02 1702 0001 61`,
    protocolError,
  ],
  [
    'authentication data alone (MQTT5 3.1.2.11.10)',
    undefined,
    `10 12 ${mqtt} 05 02 0000 04 16000101 0001 61`,
    protocolError,
  ],
  [
    'repeated session expiry (MQTT5 3.1.2.11.2)',
    undefined,
    `10 18 ${mqtt} 05 02 0000 0a 1100000001 1100000001 0001 61`,
    protocolError,
  ],

  // CONNACK.
  ['connect acknowledge flags (MQTT5 3.2.2-1)', 5, '20 03 02 00 00', malformedPacket, 'client'],
  ['session present in a refusal (MQTT5 3.2.2-6)', 5, '20 03 01 87 00', protocolError, 'client'],
  ['session present in a refusal (MQTT3 3.2.2-4)', 4, '20 02 01 05', protocolError, 'client'],
  ['reserved return code (MQTT3 3.2.2.3)', 4, '20 02 00 06', protocolError, 'client'],
  ['a reason code CONNACK has not (MQTT5 3.2.2-8)', 5, '20 03 00 8e 00', protocolError, 'client'],

  // PUBLISH.
  ['QoS 3 (MQTT5 3.3.1-4)', 5, '36 06 0001 61 0001 00', malformedPacket],
  ['QoS 3 (MQTT3 3.3.1-4)', 4, '36 05 0001 61 0001', malformedPacket],
  ['DUP with QoS 0 (MQTT5 3.3.1-2)', 5, '38 04 0001 61 00', malformedPacket],
  ['DUP with QoS 0 (MQTT3 3.3.1-2)', 4, '38 03 0001 61', malformedPacket],
  ['wildcard + in a topic name (MQTT5 3.3.2-2)', 5, '30 06 0003 612f2b 00', topicNameInvalid],
  ['wildcard # in a topic name (MQTT3 3.3.2-2)', 4, '30 05 0003 612f23', topicNameInvalid],
  ['U+0000 in a topic name (MQTT5 1.5.4-2)', 5, '30 06 0003 610062 00', malformedPacket],
  ['ill-formed topic name (MQTT5 3.3.2-1)', 5, '30 05 0002 c328 00', malformedPacket],
  ['code point past U+10FFFF (MQTT5 1.5.4-1)', 5, '30 07 0004 f4908080 00', malformedPacket],
  ['cut-off sequence (MQTT3 1.5.3-1)', 4, '30 04 0002 e282', malformedPacket],
  ['topic longer than the packet (MQTT5 3.3.2-1)', 5, '30 04 0005 6161', malformedPacket],
  ['empty topic name (MQTT3 4.7.3-1)', 4, '30 02 0000', malformedPacket],
  ['neither topic name nor alias (MQTT5 3.3.2.1)', 5, '30 03 0000 00', protocolError],
  ['packet identifier 0 (MQTT5 2.2.1-3)', 5, '32 06 0001 61 0000 00', protocolError],
  ['packet identifier 0 (MQTT3 2.3.1-1)', 4, '32 05 0001 61 0000', protocolError],
  ['missing packet identifier (MQTT5 2.2.1-3)', 5, '32 03 0001 61', malformedPacket],
  ['missing Property Length (MQTT5 2.2.2-1)', 5, '30 03 0001 61', malformedPacket],
  ['Property Length past the end (MQTT5 2.2.2.1)', 5, '30 04 0001 61 01', malformedPacket],
  ['long form of Property Length (MQTT5 1.5.5-1)', 5, '30 05 0001 61 8000', malformedPacket],
  [
    'property past the Property Length (MQTT5 2.2.2.1)',
    5,
    '30 06 0001 61 01 01 00',
    malformedPacket,
  ],
  ['unknown property (MQTT5 2.2.2.2)', 5, '30 06 0001 61 02 04 00', malformedPacket],
  [
    'property identifier in two bytes (MQTT5 2.2.2.2)',
    5,
    '30 07 0001 61 03 8100 00',
    malformedPacket,
  ],
  ['property of another packet (MQTT5 2.2.2.2)', 5, '30 07 0001 61 03 210001', malformedPacket],
  ['topic alias 0 (MQTT5 3.3.2-8)', 5, '30 07 0001 61 03 230000', topicAliasInvalid],
  ['topic alias twice (MQTT5 3.3.2.3.4)', 5, '30 0a 0001 61 06 230001 230001', protocolError],
  [
    'subscription identifier from a client (MQTT5 3.3.4-6)',
    5,
    '30 06 0001 61 02 0b01',
    protocolError,
  ],
  [
    'subscription identifier 0 (MQTT5 3.3.2.3.8)',
    5,
    '30 06 0001 61 02 0b00',
    protocolError,
    'client',
  ],
  ['payload format 2 (MQTT5 3.3.2.3.2)', 5, '30 06 0001 61 02 0102', protocolError],
  [
    'wildcard in the response topic (MQTT5 3.3.2-14)',
    5,
    '30 08 0001 61 04 08000123',
    topicNameInvalid,
  ],
  ['ill-formed response topic (MQTT5 3.3.2-13)', 5, '30 08 0001 61 04 080001ff', malformedPacket],
  ['ill-formed content type (MQTT5 3.3.2-19)', 5, '30 08 0001 61 04 03000180', malformedPacket],
  [
    'ill-formed name of a user property (MQTT5 1.5.7-1)',
    5,
    '30 0a 0001 61 06 260001ff0000',
    malformedPacket,
  ],
  [
    'ill-formed value of a user property (MQTT5 1.5.7-1)',
    5,
    '30 0a 0001 61 06 260000000100',
    malformedPacket,
  ],

  // Acknowledgements.
  ['PUBACK with packet identifier 0 (MQTT5 2.2.1-5)', 5, '40 02 0000', protocolError],
  ['PUBACK with one byte (MQTT5 3.4.2)', 5, '40 01 00', malformedPacket],
  ['PUBACK of MQTT 3.1.1 with a reason code (MQTT3 3.4)', 4, '40 03 0001 00', malformedPacket],
  ['a reason code PUBACK has not (MQTT5 3.4.2-1)', 5, '40 03 0001 92', protocolError],
  ['a reason code PUBREC has not (MQTT5 3.5.2-1)', 5, '50 03 0001 01', protocolError],
  ['a reason code PUBREL has not (MQTT5 3.6.2-1)', 5, '62 03 0001 80', protocolError],
  ['a reason code PUBCOMP has not (MQTT5 3.7.2-1)', 5, '70 03 0001 10', protocolError],
  ['reason string twice (MQTT5 3.4.2.2.2)', 5, '40 0a 0001 00 06 1f0000 1f0000', protocolError],

  // SUBSCRIBE and UNSUBSCRIBE.
  ['SUBSCRIBE without filters (MQTT5 3.8.3-2)', 5, '82 03 0001 00', protocolError],
  ['SUBSCRIBE without filters (MQTT3 3.8.3-3)', 4, '82 02 0001', protocolError],
  [
    'SUBSCRIBE with packet identifier 0 (MQTT5 2.2.1-3)',
    5,
    '82 07 0000 00 0001 61 00',
    protocolError,
  ],
  ['SUBSCRIBE without options (MQTT5 3.8.3-2)', 5, '82 06 0001 00 0001 61', malformedPacket],
  ['reserved subscription options (MQTT5 3.8.3-5)', 5, '82 07 0001 00 0001 61 40', malformedPacket],
  [
    'reserved bits of the requested QoS (MQTT3 3.8.3-4)',
    4,
    '82 06 0001 0001 61 04',
    malformedPacket,
  ],
  ['subscription QoS 3 (MQTT5 3.8.3.1)', 5, '82 07 0001 00 0001 61 03', protocolError],
  ['subscription QoS 3 (MQTT3 3.8.3-4)', 4, '82 06 0001 0001 61 03', protocolError],
  ['retain handling 3 (MQTT5 3.8.3.1)', 5, '82 07 0001 00 0001 61 30', protocolError],
  [
    'No Local with $share (MQTT5 3.8.3-4)',
    5,
    '82 10 0001 00 000a 24736861 72652f67 2f61 04',
    protocolError,
  ],
  [
    'two subscription identifiers (MQTT5 3.8.2.1.2)',
    5,
    '82 0b 0001 04 0b01 0b02 0001 61 00',
    protocolError,
  ],
  [
    'subscription identifier 0 (MQTT5 3.8.2.1.2)',
    5,
    '82 09 0001 02 0b00 0001 61 00',
    protocolError,
  ],
  ['empty filter (MQTT5 4.7.3-1)', 5, '82 06 0001 00 0000 00', topicFilterInvalid],
  ['# before the end (MQTT5 4.7.1-1)', 5, '82 09 0001 00 0003 232f61 00', topicFilterInvalid],
  ['# beside text (MQTT3 4.7.1-2)', 4, '82 07 0001 0002 6123 00', topicFilterInvalid],
  ['+ beside text (MQTT5 4.7.1-2)', 5, '82 08 0001 00 0002 612b 00', topicFilterInvalid],
  [
    '$share without filter (MQTT5 4.8.2-2)',
    5,
    '82 0e 0001 00 0008 24736861 72652f67 00',
    topicFilterInvalid,
  ],
  [
    '$share with an empty name (MQTT5 4.8.2-1)',
    5,
    '82 0f 0001 00 0009 24736861 72652f2f 61 00',
    topicFilterInvalid,
  ],
  [
    '$share with a wildcard name (MQTT5 4.8.2-2)',
    5,
    '82 10 0001 00 000a 24736861 72652f2b 2f61 00',
    topicFilterInvalid,
  ],
  ['U+0000 in a filter (MQTT5 1.5.4-2)', 5, '82 07 0001 00 0001 00 00', malformedPacket],
  ['UNSUBSCRIBE without filters (MQTT5 3.10.2-2)', 5, 'a2 03 0001 00', protocolError],
  ['UNSUBSCRIBE without filters (MQTT3 3.10.3-2)', 4, 'a2 02 0001', protocolError],
  [
    'UNSUBSCRIBE of a wrong filter (MQTT5 4.7.1-1)',
    5,
    'a2 07 0001 00 0002 2323',
    topicFilterInvalid,
  ],

  // SUBACK and UNSUBACK.
  ['reserved SUBACK code (MQTT3 3.9.3-2)', 4, '90 03 0001 03', protocolError, 'client'],
  ['a code of MQTT 5 in MQTT 3.1.1 (MQTT3 3.9.3-2)', 4, '90 03 0001 87', protocolError, 'client'],
  ['SUBACK without codes (MQTT5 3.8.4-6)', 5, '90 03 0001 00', malformedPacket, 'client'],
  [
    'a reason code UNSUBACK has not (MQTT5 3.11.3-2)',
    5,
    'b0 04 0001 00 01',
    protocolError,
    'client',
  ],
  [
    'UNSUBACK of MQTT 3.1.1 with a payload (MQTT3 3.11.3)',
    4,
    'b0 03 0001 00',
    malformedPacket,
    'client',
  ],

  // PINGREQ, DISCONNECT, AUTH.
  ['PINGREQ with content (MQTT5 3.12.1)', 5, 'c0 01 00', malformedPacket],
  ['DISCONNECT of MQTT 3.1.1 with content (MQTT3 3.14.1)', 4, 'e0 01 00', malformedPacket],
  ['a reason code DISCONNECT has not (MQTT5 3.14.2-1)', 5, 'e0 01 01', protocolError],
  [
    'session expiry from a server (MQTT5 3.14.2-2)',
    5,
    'e0 07 00 05 1100000001',
    protocolError,
    'client',
  ],
  ['a reason code AUTH has not (MQTT5 3.15.2-1)', 5, 'f0 06 80 04 15000141', protocolError],
  ['AUTH without method (MQTT5 3.15.2.2.2)', 5, 'f0 02 18 00', protocolError],
]

function decode(row: Row, pieceBytes: number): Outcome {
  const [, version, hex, , receiver] = row
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  const decoder = new PacketDecoder({
    maxPacketBytes: 4096,
    ...(version !== undefined && { version }),
    ...(receiver && { receiver }),
  })
  const refuse = (): never => assert.fail('a packet was handed out')
  const handler = { packet: refuse, publish: refuse }
  let outcome: Outcome = { kind: 'incomplete' }
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    outcome = decoder.push(bytes, at, Math.min(at + pieceBytes, bytes.length), handler)
  }
  // The fault stays, whatever else comes, and nothing is kept.
  assert.equal(decoder.push(Buffer.from([0xc0, 0]), 0, 2, handler), outcome)
  assert.equal(decoder.heldBytes, 0)
  return outcome
}

for (const row of rows) {
  const [name, , , code] = row
  test(`refuses ${name}`, () => {
    for (const pieceBytes of [4096, 1, 2, 5]) {
      const outcome = decode(row, pieceBytes)
      assert.equal(outcome.kind, 'malformed', `pieces of ${pieceBytes}`)
      if (outcome.kind !== 'malformed') return
      assert.equal(outcome.reasonCode.toString(16), code.toString(16), outcome.detail)
      assert.notEqual(outcome.detail, '')
    }
  })
}
