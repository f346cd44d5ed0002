import type { Cursor } from './cursor.ts'
import type { Connect, Will } from './packet.ts'
import type { ProtocolVersion, QoS } from './packet-type.ts'
import { noProperties, type PropertyReader, readProperties } from './properties.ts'
import { ReasonCode } from './reason-code.ts'

/**
 * COMPAT: set in the level by bridges of mosquitto (`try_private`) and those that learnt from it, in MQTT 3 only. MQTT 5 has
 * subscription options for what it asks for.
 */
export const bridgeBit = 0x80

/** What a CONNECT says first. */
export interface Protocol {
  readonly version: ProtocolVersion
  readonly isBridge: boolean
}

const flag = { reserved: 0x01, cleanStart: 0x02, will: 0x04, willRetain: 0x20 } as const
const credential = { password: 0x40, userName: 0x80 } as const

/**
 * Decodes a CONNECT from its flags on; what stands before them is read by {@link readProtocol}. Faults are left on the
 * cursor.
 */
export function decodeConnect(
  cursor: Cursor,
  reader: PropertyReader,
  { version, isBridge }: Protocol,
): Connect {
  const flags = cursor.u8()
  checkConnectFlags(cursor, flags, version)
  const keepAlive = cursor.u16()
  const properties = version === 5 ? readProperties(cursor, reader, 'connect') : noProperties
  // In this order (MQTT5 3.1.3-1); what the flags announce has to be there (MQTT5 3.1.2-9, 3.1.2-17, 3.1.2-19), and nothing
  // else, which the decoder sees to (MQTT5 3.1.2-16, 3.1.2-18). MQTT5 3.1.3-3, 3.1.3-4.
  const clientIdentifier = cursor.text('Client Identifier')
  const will = (flags & flag.will) === 0 ? undefined : readWill(cursor, reader, flags, version)
  // MQTT5 3.1.3-12.
  const userName = hasField(cursor, flags, credential.userName, version)
    ? cursor.text('User Name')
    : undefined
  const password = hasField(cursor, flags, credential.password, version)
    ? cursor.binary()
    : undefined
  return {
    kind: 'connect',
    version,
    ...(isBridge && { isBridge }),
    cleanStart: (flags & flag.cleanStart) !== 0,
    keepAlive,
    clientIdentifier,
    ...(will && { will }),
    ...(userName !== undefined && { userName }),
    ...(password && { password }),
    properties,
  }
}

/** Reads protocol name and level. An unknown pair is a fault, 0x84 (MQTT5 3.1.2-1, 3.1.2-2; MQTT3 3.1.2-2). */
export function readProtocol(cursor: Cursor): Protocol | undefined {
  const name = cursor.text('Protocol Name')
  const level = cursor.u8()
  if (cursor.fault) return undefined
  if (name === 'MQTT' && level === 5) return { version: 5, isBridge: false }
  const isBridge = (level & bridgeBit) !== 0
  const version = level & ~bridgeBit
  if (name === 'MQTT' && version === 4) return { version, isBridge }
  if (name === 'MQIsdp' && version === 3) return { version, isBridge }
  cursor.fail(
    ReasonCode.unsupportedProtocolVersion,
    `Protocol ${JSON.stringify(name.slice(0, 16))} level ${level} is not supported (MQTT5 3.1.2-2)`,
  )
  return undefined
}

function checkConnectFlags(cursor: Cursor, flags: number, version: ProtocolVersion): void {
  // MQTT 3.1 calls these bits unused.
  if (version === 3) return
  if ((flags & flag.reserved) !== 0) {
    cursor.malformed('Reserved connect flag is set (MQTT5 3.1.2-3, MQTT3 3.1.2-3)')
  }
  if ((flags & flag.will) === 0) {
    if (willQoS(flags) !== 0) {
      cursor.malformed('Will QoS without will (MQTT5 3.1.2-11, MQTT3 3.1.2-13)')
    }
    if ((flags & flag.willRetain) !== 0) {
      cursor.malformed('Will Retain without will (MQTT5 3.1.2-13, MQTT3 3.1.2-15)')
    }
  }
  // MQTT 5 allows a password alone (MQTT5 3.1.2.9).
  const password = (flags & credential.password) !== 0
  if (version === 4 && password && (flags & credential.userName) === 0) {
    cursor.malformed('Password without user name (MQTT3 3.1.2-22)')
  }
}

function willQoS(flags: number): number {
  return (flags >> 3) & 3
}

function readWill(
  cursor: Cursor,
  reader: PropertyReader,
  flags: number,
  version: ProtocolVersion,
): Will {
  const level = willQoS(flags)
  // MQTT5 3.1.2-12, MQTT3 3.1.2-14.
  if (level === 3) cursor.malformed('Will QoS is 3 (MQTT5 3.1.2-12, MQTT3 3.1.2-14)')
  const qos: QoS = level === 1 ? 1 : level === 2 ? 2 : 0
  const properties = version === 5 ? readProperties(cursor, reader, 'will') : noProperties
  const topic = readWillTopic(cursor)
  const payload = cursor.binary()
  return { topic, payload, qos, retain: (flags & flag.willRetain) !== 0, properties }
}

/** MQTT5 3.1.3-11. */
function readWillTopic(cursor: Cursor): string {
  const before = cursor.offset
  cursor.skipTopicName('Will Topic')
  if (cursor.fault) return ''
  if (cursor.textStart === cursor.textEnd) {
    cursor.fail(ReasonCode.topicNameInvalid, 'Will Topic is empty (MQTT5 4.7.3-1, MQTT3 4.7.3-1)')
    return ''
  }
  cursor.offset = before
  return cursor.text('Will Topic')
}

/**
 * COMPAT: in MQTT 3.1 (§3.1, "User name and password flags") the Remaining Length takes precedence over
 * these flags: a field that the packet has no room for is absent.
 */
function hasField(cursor: Cursor, flags: number, bit: number, version: ProtocolVersion): boolean {
  if ((flags & bit) === 0) return false
  return version > 3 || cursor.remaining > 0
}
