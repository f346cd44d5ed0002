import type { Cursor } from './cursor.ts'
import type {
  Auth,
  ControlPacket,
  Disconnect,
  Suback,
  Subscribe,
  Subscription,
  Unsuback,
  Unsubscribe,
} from './packet.ts'
import type { PacketKind, ProtocolVersion } from './packet-type.ts'
import {
  noProperties,
  type PropertiesOf,
  type PropertyReader,
  readProperties,
} from './properties.ts'
import { ReasonCode, reasonCodeOf, reasonFromReturnCode } from './reason-code.ts'
import { sharePrefix, topicFilterFault } from './topic-syntax.ts'

type BodyKind = Exclude<PacketKind, 'connect' | 'publish'>

/**
 * Decodes what follows the fixed header of any packet but CONNECT and PUBLISH. Faults are left on the
 * cursor, and what is returned beside one means nothing. Everything in the result is owned.
 */
export function decodeBody(
  kind: BodyKind,
  cursor: Cursor,
  reader: PropertyReader,
  version: ProtocolVersion,
  fromClient: boolean,
): ControlPacket {
  switch (kind) {
    case 'connack':
      return decodeConnack(cursor, reader, version)
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp': {
      const packetId = readPacketId(cursor, kind)
      const reasonCode = readReason(cursor, kind, version)
      const properties = readTail(cursor, reader, kind, version)
      return { kind, packetId, reasonCode, properties }
    }
    case 'subscribe':
      return decodeSubscribe(cursor, reader, version)
    case 'suback':
      return decodeSuback(cursor, reader, version)
    case 'unsubscribe':
      return decodeUnsubscribe(cursor, reader, version)
    case 'unsuback':
      return decodeUnsuback(cursor, reader, version)
    case 'pingreq':
      return { kind }
    case 'pingresp':
      return { kind }
    case 'disconnect':
      return decodeDisconnect(cursor, reader, version, fromClient)
    case 'auth':
      break
  }
  return decodeAuth(cursor, reader, version)
}

function decodeDisconnect(
  cursor: Cursor,
  reader: PropertyReader,
  version: ProtocolVersion,
  fromClient: boolean,
): Disconnect {
  const reasonCode = readReason(cursor, 'disconnect', version)
  const properties = readTail(cursor, reader, 'disconnect', version)
  if (!fromClient && properties.sessionExpiryInterval !== undefined) {
    cursor.fail(
      ReasonCode.protocolError,
      'DISCONNECT from a server has a session expiry interval (MQTT5 3.14.2-2)',
    )
  }
  return { kind: 'disconnect', reasonCode, properties }
}

function decodeAuth(cursor: Cursor, reader: PropertyReader, version: ProtocolVersion): Auth {
  // A Remaining Length of 0 stands for success without properties, method included (MQTT5 3.15.2.1).
  const short = cursor.remaining === 0
  const reasonCode = readReason(cursor, 'auth', version)
  const properties = readTail(cursor, reader, 'auth', version)
  if (!short && properties.authenticationMethod === undefined) {
    cursor.fail(ReasonCode.protocolError, 'AUTH has no authentication method (MQTT5 3.15.2.2.2)')
  }
  return { kind: 'auth', reasonCode, properties }
}

function decodeConnack(
  cursor: Cursor,
  reader: PropertyReader,
  version: ProtocolVersion,
): ControlPacket {
  const flags = cursor.u8()
  // MQTT 3.1 has no session present flag and calls the byte reserved.
  if (version > 3 && flags > 1) {
    cursor.malformed('Reserved connect acknowledge flag is set (MQTT5 3.2.2-1)')
  }
  const code = cursor.u8()
  const reasonCode = version === 5 ? reasonCodeOf('connack', code) : reasonFromReturnCode(code)
  if (reasonCode === undefined && !cursor.fault) badReason(cursor, 'connack', code)
  const sessionPresent = version > 3 && (flags & 1) === 1
  if (sessionPresent && code !== 0) {
    // MQTT5 3.2.2-6, MQTT3 3.2.2-4.
    cursor.fail(ReasonCode.protocolError, 'Refused CONNACK has session present (MQTT5 3.2.2-6)')
  }
  const properties = version === 5 ? readProperties(cursor, reader, 'connack') : noProperties
  return { kind: 'connack', sessionPresent, reasonCode: reasonCode ?? 0, properties }
}

function decodeSubscribe(
  cursor: Cursor,
  reader: PropertyReader,
  version: ProtocolVersion,
): Subscribe {
  const packetId = readPacketId(cursor, 'subscribe')
  const properties = version === 5 ? readProperties(cursor, reader, 'subscribe') : noProperties
  const subscriptions: Subscription[] = []
  while (cursor.remaining > 0) {
    const filter = readFilter(cursor)
    const options = cursor.u8()
    subscriptions.push(readOptions(cursor, filter, options, version))
  }
  if (subscriptions.length === 0) {
    // MQTT5 3.8.3-2, MQTT3 3.8.3-3.
    cursor.fail(ReasonCode.protocolError, 'SUBSCRIBE has no topic filter (MQTT5 3.8.3-2)')
  }
  return { kind: 'subscribe', packetId, subscriptions, properties }
}

function readOptions(
  cursor: Cursor,
  filter: string,
  options: number,
  version: ProtocolVersion,
): Subscription {
  const qos = options & 3
  const plain = { filter, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
  if (version === 4 && (options & 0xfc) !== 0) {
    cursor.malformed('Reserved bits of the requested QoS are set (MQTT3 3.8.3-4)')
  }
  if (version === 5 && (options & 0xc0) !== 0) {
    cursor.malformed('Reserved bits of the subscription options are set (MQTT5 3.8.3-5)')
  }
  if (qos === 3) {
    // MQTT5 3.8.3.1, MQTT3 3.8.3-4.
    cursor.fail(ReasonCode.protocolError, 'Subscription has QoS 3 (MQTT5 3.8.3.1)')
  }
  const level = qos === 1 ? 1 : qos === 2 ? 2 : 0
  if (version < 5) return { ...plain, qos: level }
  const noLocal = (options & 0x04) !== 0
  const handling = (options >> 4) & 3
  if (noLocal && filter.startsWith(sharePrefix)) {
    cursor.fail(ReasonCode.protocolError, 'Shared subscription has No Local (MQTT5 3.8.3-4)')
  }
  if (handling === 3) {
    cursor.fail(ReasonCode.protocolError, 'Retain Handling is 3 (MQTT5 3.8.3.1)')
  }
  return {
    filter,
    qos: level,
    noLocal,
    retainAsPublished: (options & 0x08) !== 0,
    retainHandling: handling === 1 ? 1 : handling === 2 ? 2 : 0,
  }
}

function decodeSuback(cursor: Cursor, reader: PropertyReader, version: ProtocolVersion): Suback {
  const packetId = readPacketId(cursor, 'suback')
  const properties = version === 5 ? readProperties(cursor, reader, 'suback') : noProperties
  const reasonCodes: ReasonCode[] = []
  while (cursor.remaining > 0) {
    const code = cursor.u8()
    // MQTT 3.1 has no failure code, but brokers send the one of 3.1.1 (MQTT3 3.9.3-2).
    const known = version === 5 || code <= 2 || code === 0x80
    const reason = known ? reasonCodeOf('suback', code) : undefined
    if (reason === undefined) badReason(cursor, 'suback', code)
    else reasonCodes.push(reason)
  }
  return {
    kind: 'suback',
    packetId,
    reasonCodes: nonEmpty(cursor, reasonCodes, 'suback'),
    properties,
  }
}

function decodeUnsubscribe(
  cursor: Cursor,
  reader: PropertyReader,
  version: ProtocolVersion,
): Unsubscribe {
  const packetId = readPacketId(cursor, 'unsubscribe')
  const properties = version === 5 ? readProperties(cursor, reader, 'unsubscribe') : noProperties
  const filters: string[] = []
  while (cursor.remaining > 0) filters.push(readFilter(cursor))
  if (filters.length === 0) {
    // MQTT5 3.10.3-2, MQTT3 3.10.3-2.
    cursor.fail(ReasonCode.protocolError, 'UNSUBSCRIBE has no topic filter (MQTT5 3.10.3-2)')
  }
  return { kind: 'unsubscribe', packetId, filters, properties }
}

function decodeUnsuback(
  cursor: Cursor,
  reader: PropertyReader,
  version: ProtocolVersion,
): Unsuback {
  const packetId = readPacketId(cursor, 'unsuback')
  if (version < 5) return { kind: 'unsuback', packetId, reasonCodes: [], properties: noProperties }
  const properties = readProperties(cursor, reader, 'unsuback')
  const reasonCodes: ReasonCode[] = []
  while (cursor.remaining > 0) {
    const code = cursor.u8()
    const reason = reasonCodeOf('unsuback', code)
    if (reason === undefined) badReason(cursor, 'unsuback', code)
    else reasonCodes.push(reason)
  }
  nonEmpty(cursor, reasonCodes, 'unsuback')
  return { kind: 'unsuback', packetId, reasonCodes, properties }
}

function nonEmpty(
  cursor: Cursor,
  reasonCodes: ReasonCode[],
  kind: 'suback' | 'unsuback',
): ReasonCode[] {
  // One code per filter, and there is no request without a filter (MQTT5 3.8.4-6).
  if (reasonCodes.length === 0 && !cursor.fault) {
    cursor.malformed(`${kind.toUpperCase()} has no reason code (MQTT5 3.8.4-6)`)
  }
  return reasonCodes
}

function readPacketId(cursor: Cursor, kind: BodyKind): number {
  const packetId = cursor.u16()
  if (packetId === 0) {
    // MQTT5 2.2.1-3, 2.2.1-5, 2.2.1-6; MQTT3 2.3.1-1.
    cursor.fail(
      ReasonCode.protocolError,
      `${kind.toUpperCase()} has packet identifier 0 (MQTT5 2.2.1)`,
    )
  }
  return packetId
}

/** MQTT5 3.8.3-1, 3.10.3-1. */
function readFilter(cursor: Cursor): string {
  const filter = cursor.text('Topic Filter')
  if (cursor.fault) return filter
  const fault = topicFilterFault(filter)
  if (fault !== undefined) {
    // MQTT5 4.7.1-1, 4.7.1-2, 4.7.3-1, 4.8.2-1, 4.8.2-2; MQTT3 4.7.1-2, 4.7.1-3, 4.7.3-1.
    cursor.fail(ReasonCode.topicFilterInvalid, `Topic Filter is not valid: ${fault} (MQTT5 4.7)`)
  }
  return filter
}

/** A Reason Code, which may be left out when it is 0 (MQTT5 3.4.2.1, 3.14.2.1) and which MQTT 3 lacks. */
function readReason(
  cursor: Cursor,
  kind: Exclude<BodyKind, 'pingreq' | 'pingresp'>,
  version: ProtocolVersion,
): ReasonCode {
  if (version < 5 || cursor.remaining === 0) return ReasonCode.success
  const code = cursor.u8()
  const reason = reasonCodeOf(kind, code)
  if (reason === undefined) badReason(cursor, kind, code)
  return reason ?? ReasonCode.success
}

function badReason(cursor: Cursor, kind: PacketKind, code: number): void {
  // MQTT5 3.2.2-8, 3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1, 3.9.3-2, 3.11.3-2, 3.14.2-1, 3.15.2-1.
  cursor.fail(
    ReasonCode.protocolError,
    `${kind.toUpperCase()} has reason code 0x${code.toString(16)} (MQTT5 2.4)`,
  )
}

/** Properties at the end of a packet, which may be left out with their length (MQTT5 3.4.2.2.1). */
function readTail<K extends 'puback' | 'pubrec' | 'pubrel' | 'pubcomp' | 'disconnect' | 'auth'>(
  cursor: Cursor,
  reader: PropertyReader,
  kind: K,
  version: ProtocolVersion,
): PropertiesOf<K> {
  if (version < 5 || cursor.remaining === 0) return noProperties
  return readProperties(cursor, reader, kind)
}
