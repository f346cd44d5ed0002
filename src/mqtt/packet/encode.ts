import { bridgeBit } from './connect.ts'
import type { Connect, Packet, Subscription } from './packet.ts'
import { PacketType, type ProtocolVersion } from './packet-type.ts'
import { type Properties, writeProperties } from './properties.ts'
import { connectReturnCode, ReasonCode, subackByte } from './reason-code.ts'
import { maxVariableByteInteger, packetBytes } from './size.ts'
import { Writer, writeVariableByteInteger } from './writer.ts'

/*
 * Encoding trusts its input: a text longer than 65535 bytes or a packet longer than MQTT can express is a
 * bug of the caller and throws RangeError. MQTT 3 silently loses what it has no place for (reason codes,
 * properties, subscription options).
 */

/** The packet's bytes. A CONNECT is encoded by its own version. */
export function encodePacket(packet: Packet, version: ProtocolVersion): Uint8Array {
  const remainingLength = bodyLength(packet, version)
  const bytes = new Uint8Array(packetBytes(remainingLength))
  writePacket(packet, version, bytes, 0, remainingLength)
  return bytes
}

/** Size of the encoded packet. */
export function encodedLength(packet: Packet, version: ProtocolVersion): number {
  return packetBytes(bodyLength(packet, version))
}

/** Encodes into `target` at `offset` and returns the offset behind; there must be room. */
export function encodeInto(
  packet: Packet,
  version: ProtocolVersion,
  target: Uint8Array,
  offset: number,
): number {
  return writePacket(packet, version, target, offset, bodyLength(packet, version))
}

/** Bytes that {@link encodeAck} needs at most. */
export const maxAckBytes = 5

/** A PUBACK, PUBREC, PUBREL or PUBCOMP (MQTT5 2.2.1-5) without properties, straight into `target`; returns the offset behind. */
export function encodeAck(
  type: 4 | 5 | 6 | 7,
  packetId: number,
  reasonCode: ReasonCode,
  version: ProtocolVersion,
  target: Uint8Array,
  offset: number,
): number {
  const reasoned = version === 5 && reasonCode !== ReasonCode.success
  target[offset] = (type << 4) | (type === PacketType.pubrel ? 2 : 0)
  target[offset + 1] = reasoned ? 3 : 2
  target[offset + 2] = packetId >>> 8
  target[offset + 3] = packetId & 0xff
  if (!reasoned) return offset + 4
  target[offset + 4] = reasonCode
  return offset + 5
}

/**
 * The packet as it may be sent to a peer with this Maximum Packet Size: without its user properties, then
 * without its reason string, if it is too large with them (MQTT5 3.2.2-19, 3.2.2-20, 3.4.2-2, 3.4.2-3,
 * 3.9.2-1, 3.9.2-2, 3.14.2-3, 3.14.2-4 and so on for each packet). Undefined when it is too large all the same and must not be sent (MQTT5 3.1.2-24).
 */
export function fitPacket<P extends Packet>(
  packet: P,
  version: ProtocolVersion,
  maximumPacketSize: number,
): P | undefined {
  if (encodedLength(packet, version) <= maximumPacketSize) return packet
  if (packet.kind === 'publish' || packet.kind === 'connect' || !('properties' in packet)) {
    return undefined
  }
  const properties: Properties = packet.properties
  const { userProperties: _user, ...named } = properties
  const { reasonString: _reason, ...bare } = named
  for (const fewer of [named, bare]) {
    const smaller = { ...packet, properties: fewer }
    if (encodedLength(smaller, version) <= maximumPacketSize) return smaller
  }
  return undefined
}

function bodyLength(packet: Packet, version: ProtocolVersion): number {
  const counter = new Writer(undefined, 0)
  writeBody(counter, packet, version)
  if (counter.offset > maxVariableByteInteger) {
    throw new RangeError(`Cannot encode ${packet.kind} of ${counter.offset} bytes`)
  }
  return counter.offset
}

function writePacket(
  packet: Packet,
  version: ProtocolVersion,
  target: Uint8Array,
  offset: number,
  remainingLength: number,
): number {
  target[offset] = (PacketType[packet.kind] << 4) | flagsOf(packet)
  const body = new Writer(target, writeVariableByteInteger(target, offset + 1, remainingLength))
  writeBody(body, packet, version)
  return body.offset
}

function flagsOf(packet: Packet): number {
  const { kind } = packet
  if (kind === 'publish') return (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0)
  // MQTT5 3.6.1-1, 3.8.1-1, 3.10.1-1.
  return kind === 'pubrel' || kind === 'subscribe' || kind === 'unsubscribe' ? 2 : 0
}

function writeBody(writer: Writer, packet: Packet, version: ProtocolVersion): void {
  switch (packet.kind) {
    case 'connect':
      writeConnect(writer, packet)
      return
    case 'connack':
      // MQTT5 3.2.2-1.
      writer.u8(packet.sessionPresent && version > 3 ? 1 : 0)
      writer.u8(version === 5 ? packet.reasonCode : connectReturnCode(packet.reasonCode))
      if (version === 5) writeProperties(writer, packet.properties)
      return
    case 'publish':
      writer.text(packet.topic)
      if (packet.qos > 0) writer.u16(packet.packetId)
      if (version === 5) writeProperties(writer, packet.properties)
      writer.raw(packet.payload)
      return
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      writer.u16(packet.packetId)
      if (version === 5) writeReason(writer, packet.reasonCode, packet.properties)
      return
    case 'subscribe':
      writer.u16(packet.packetId)
      if (version === 5) writeProperties(writer, packet.properties)
      for (const subscription of packet.subscriptions) {
        writer.text(subscription.filter)
        writer.u8(version === 5 ? optionsOf(subscription) : subscription.qos)
      }
      return
    case 'suback':
      writer.u16(packet.packetId)
      if (version === 5) writeProperties(writer, packet.properties)
      for (const reason of packet.reasonCodes) writer.u8(subackByte(reason, version))
      return
    case 'unsubscribe':
      writer.u16(packet.packetId)
      if (version === 5) writeProperties(writer, packet.properties)
      for (const filter of packet.filters) writer.text(filter)
      return
    case 'unsuback':
      writer.u16(packet.packetId)
      if (version < 5) return
      writeProperties(writer, packet.properties)
      for (const reason of packet.reasonCodes) writer.u8(reason)
      return
    case 'disconnect':
    case 'auth':
      if (version === 5) writeReason(writer, packet.reasonCode, packet.properties)
      return
    case 'pingreq':
    case 'pingresp':
      return
  }
}

/** Reason code and properties at the end of a packet, shortened where they may be (MQTT5 3.4.2.1, 3.14.2.1). */
function writeReason(writer: Writer, reasonCode: ReasonCode, properties: Properties): void {
  const start = writer.measure((counter) => writeProperties(counter, properties))
  if (start > 1) {
    writer.u8(reasonCode)
    writeProperties(writer, properties)
  } else if (reasonCode !== ReasonCode.success) {
    writer.u8(reasonCode)
  }
}

function writeConnect(writer: Writer, packet: Connect): void {
  const { version, will, userName, password } = packet
  writer.text(version === 3 ? 'MQIsdp' : 'MQTT')
  writer.u8(packet.isBridge === true ? version | bridgeBit : version)
  writer.u8(
    (packet.cleanStart ? 0x02 : 0) |
      (will ? 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0) : 0) |
      (password === undefined ? 0 : 0x40) |
      (userName === undefined ? 0 : 0x80),
  )
  writer.u16(packet.keepAlive)
  if (version === 5) writeProperties(writer, packet.properties)
  // The order is MQTT5 3.1.3-1, MQTT3 3.1.3-1.
  writer.text(packet.clientIdentifier)
  if (will) {
    if (version === 5) writeProperties(writer, will.properties)
    writer.text(will.topic)
    writer.binary(will.payload)
  }
  if (userName !== undefined) writer.text(userName)
  if (password !== undefined) writer.binary(password)
}

function optionsOf(subscription: Subscription): number {
  return (
    subscription.qos |
    (subscription.noLocal ? 0x04 : 0) |
    (subscription.retainAsPublished ? 0x08 : 0) |
    (subscription.retainHandling << 4)
  )
}
