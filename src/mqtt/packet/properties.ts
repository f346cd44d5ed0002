import { type Cursor, copyOf } from './cursor.ts'
import type { PacketKind } from './packet-type.ts'
import { ReasonCode } from './reason-code.ts'
import { decodeUtf8 } from './utf8.ts'
import type { Writer } from './writer.ts'

/** What has properties: a packet, or the will inside a CONNECT. */
export type PropertyOwner = Exclude<PacketKind, 'pingreq' | 'pingresp'> | 'will'

/** How a property's value stands on the wire, and what it is in memory. */
interface ValueTypes {
  /** One byte, 0 or 1, as a number. */
  bit: 0 | 1
  /** One byte, 0 or 1, as a boolean. */
  flag: boolean
  u16: number
  u32: number
  /** Variable Byte Integers; several in a PUBLISH, one elsewhere. */
  variable: readonly number[]
  text: string
  topic: string
  binary: Uint8Array
  pairs: readonly UserProperty[]
}

export type UserProperty = readonly [name: string, value: string]

interface Row {
  readonly id: number
  readonly type: keyof ValueTypes
  readonly owners: readonly PropertyOwner[]
  /** Zero is a Protocol Error. */
  readonly nonZero?: true
}

const message = ['publish', 'will'] as const
const session = ['connect', 'connack'] as const
const reasoned = [
  'connack',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'suback',
  'unsuback',
  'disconnect',
  'auth',
] as const

/** Every property (MQTT5 2.2.2.2). All may stand once, but user properties and, in a PUBLISH, subscription identifiers. */
export const propertyTable = {
  payloadFormatIndicator: { id: 0x01, type: 'bit', owners: message },
  messageExpiryInterval: { id: 0x02, type: 'u32', owners: message },
  contentType: { id: 0x03, type: 'text', owners: message },
  responseTopic: { id: 0x08, type: 'topic', owners: message },
  correlationData: { id: 0x09, type: 'binary', owners: message },
  subscriptionIdentifiers: {
    id: 0x0b,
    type: 'variable',
    owners: ['publish', 'subscribe'],
    nonZero: true,
  },
  sessionExpiryInterval: { id: 0x11, type: 'u32', owners: [...session, 'disconnect'] },
  assignedClientIdentifier: { id: 0x12, type: 'text', owners: ['connack'] },
  serverKeepAlive: { id: 0x13, type: 'u16', owners: ['connack'] },
  authenticationMethod: { id: 0x15, type: 'text', owners: [...session, 'auth'] },
  authenticationData: { id: 0x16, type: 'binary', owners: [...session, 'auth'] },
  requestProblemInformation: { id: 0x17, type: 'flag', owners: ['connect'] },
  willDelayInterval: { id: 0x18, type: 'u32', owners: ['will'] },
  requestResponseInformation: { id: 0x19, type: 'flag', owners: ['connect'] },
  responseInformation: { id: 0x1a, type: 'text', owners: ['connack'] },
  serverReference: { id: 0x1c, type: 'text', owners: ['connack', 'disconnect'] },
  reasonString: { id: 0x1f, type: 'text', owners: reasoned },
  receiveMaximum: { id: 0x21, type: 'u16', owners: session, nonZero: true },
  topicAliasMaximum: { id: 0x22, type: 'u16', owners: session },
  topicAlias: { id: 0x23, type: 'u16', owners: ['publish'] },
  maximumQoS: { id: 0x24, type: 'bit', owners: ['connack'] },
  retainAvailable: { id: 0x25, type: 'flag', owners: ['connack'] },
  userProperties: {
    id: 0x26,
    type: 'pairs',
    owners: ['connect', ...message, ...reasoned, 'subscribe', 'unsubscribe'],
  },
  maximumPacketSize: { id: 0x27, type: 'u32', owners: session, nonZero: true },
  wildcardSubscriptionAvailable: { id: 0x28, type: 'flag', owners: ['connack'] },
  subscriptionIdentifierAvailable: { id: 0x29, type: 'flag', owners: ['connack'] },
  sharedSubscriptionAvailable: { id: 0x2a, type: 'flag', owners: ['connack'] },
} as const satisfies Record<string, Row>

type Table = typeof propertyTable
export type PropertyName = keyof Table

/** All properties by name. Absent ones mean the specification's default, which no decoder fills in. */
export type Properties = { readonly [N in PropertyName]?: ValueTypes[Table[N]['type']] }

type NamesOf<O extends PropertyOwner> = {
  [N in PropertyName]: O extends Table[N]['owners'][number] ? N : never
}[PropertyName]

/** The properties that one packet may carry. */
export type PropertiesOf<O extends PropertyOwner> = Pick<Properties, NamesOf<O>>

/** Properties of a packet without any, and of every MQTT 3 packet. */
export const noProperties: Readonly<Partial<Record<PropertyName, never>>> = Object.freeze({})

/** A row of {@link propertyTable} made ready for decoding. */
export interface PropertyDefinition {
  readonly name: PropertyName
  readonly id: number
  readonly type: keyof ValueTypes
  readonly owners: ReadonlySet<PropertyOwner>
  readonly nonZero: boolean
  /** One bit of its own, to notice repetitions. */
  readonly bit: number
}

/** By identifier; identifiers are Variable Byte Integers whose second byte nobody needs yet. */
const byId: (PropertyDefinition | undefined)[] = Array.from({ length: 0x80 }, () => undefined)
const definitions: PropertyDefinition[] = []
for (const name of propertyNames()) {
  const row: Row = propertyTable[name]
  const definition: PropertyDefinition = {
    name,
    id: row.id,
    type: row.type,
    owners: new Set(row.owners),
    nonZero: row.nonZero === true,
    bit: 1 << definitions.length,
  }
  definitions.push(definition)
  byId[row.id] = definition
}

function propertyNames(): PropertyName[] {
  // Object.keys forgets the literal type that `as const` gave.
  return Object.keys(propertyTable) as PropertyName[]
}

/**
 * Steps through the properties of one packet, checking each, without building anything. After `next()`
 * a number stands in `number`, a string or binary in the range `start` to `end`, and a pair in both
 * ranges. It is reused: `begin()` once for each property list.
 */
export class PropertyReader {
  number = 0
  start = 0
  end = 0
  valueStart = 0
  valueEnd = 0
  /** The offset of the identifier of the property read last. */
  at = 0
  #cursor: Cursor
  #owner: PropertyOwner = 'publish'
  #listEnd = 0
  #seen = 0

  constructor(cursor: Cursor) {
    this.#cursor = cursor
  }

  /** Reads the Property Length. */
  begin(owner: PropertyOwner): void {
    const cursor = this.#cursor
    const length = cursor.variableByteInteger()
    this.#owner = owner
    this.#seen = 0
    this.#listEnd = cursor.offset + length
    if (this.#listEnd > cursor.end) {
      cursor.malformed('Property Length goes past the end of the packet (MQTT5 2.2.2.1)')
      this.#listEnd = cursor.end
    }
  }

  /** The next property, or undefined behind the last one and after a fault. */
  next(): PropertyDefinition | undefined {
    const cursor = this.#cursor
    if (cursor.offset >= this.#listEnd || cursor.fault) return undefined
    this.at = cursor.offset
    const id = cursor.u8()
    const definition = byId[id]
    if (definition === undefined || !definition.owners.has(this.#owner)) {
      // Unknown, or not for this packet (MQTT5 2.2.2.2).
      cursor.malformed(
        `Property 0x${id.toString(16)} has no place in ${this.#owner} (MQTT5 2.2.2.2)`,
      )
      return undefined
    }
    if ((this.#seen & definition.bit) !== 0 && !this.#mayRepeat(definition)) {
      cursor.fail(
        ReasonCode.protocolError,
        `Property ${definition.name} stands twice in ${this.#owner} (MQTT5 2.2.2.2)`,
      )
      return undefined
    }
    this.#seen |= definition.bit
    this.#value(definition)
    if (cursor.offset > this.#listEnd) {
      cursor.malformed(`Property ${definition.name} goes past the Property Length (MQTT5 2.2.2.1)`)
    }
    return cursor.fault ? undefined : definition
  }

  /** Whether a property was seen since `begin()`. */
  saw(name: PropertyName): boolean {
    const definition = byId[propertyTable[name].id]
    return definition !== undefined && (this.#seen & definition.bit) !== 0
  }

  #mayRepeat(definition: PropertyDefinition): boolean {
    return (
      definition.type === 'pairs' || (definition.type === 'variable' && this.#owner === 'publish')
    )
  }

  #value(definition: PropertyDefinition): void {
    const cursor = this.#cursor
    switch (definition.type) {
      case 'bit':
      case 'flag':
        this.number = cursor.u8()
        if (this.number > 1) {
          cursor.fail(
            ReasonCode.protocolError,
            `Property ${definition.name} is ${this.number}, not 0 or 1 (MQTT5 2.2.2.2)`,
          )
        }
        return
      case 'u16':
        this.number = cursor.u16()
        break
      case 'u32':
        this.number = cursor.u32()
        break
      case 'variable':
        this.number = cursor.variableByteInteger()
        break
      case 'text':
        // MQTT5 3.3.2-19.
        cursor.skipText(definition.name)
        this.#range()
        return
      case 'topic':
        // MQTT5 3.3.2-13, 3.3.2-14.
        cursor.skipTopicName(definition.name)
        this.#range()
        // MQTT5 4.7.3-1.
        if (this.end === this.start && !cursor.fault) {
          cursor.fail(ReasonCode.topicNameInvalid, `${definition.name} is empty (MQTT5 4.7.3-1)`)
        }
        return
      case 'binary':
        cursor.skipBinary()
        this.#range()
        return
      case 'pairs':
        // MQTT5 1.5.7-1.
        cursor.skipText('Name of a user property')
        this.#range()
        cursor.skipText('Value of a user property')
        this.valueStart = cursor.textStart
        this.valueEnd = cursor.textEnd
        return
    }
    if (definition.nonZero && this.number === 0 && !cursor.fault) {
      // MQTT5 3.1.2.11.3, 3.1.2.11.4, 3.8.2.1.2.
      cursor.fail(ReasonCode.protocolError, `Property ${definition.name} is 0 (MQTT5 2.2.2.2)`)
    }
  }

  #range(): void {
    this.start = this.#cursor.textStart
    this.end = this.#cursor.textEnd
  }
}

/** Decodes a property list, its length included. Binaries are copies. */
export function readProperties<O extends PropertyOwner>(
  cursor: Cursor,
  reader: PropertyReader,
  owner: O,
): PropertiesOf<O> {
  reader.begin(owner)
  const values: Partial<Record<PropertyName, unknown>> = {}
  const { bytes } = cursor
  let identifiers: number[] | undefined
  let pairs: UserProperty[] | undefined
  let empty = true
  for (let property = reader.next(); property !== undefined; property = reader.next()) {
    empty = false
    switch (property.type) {
      case 'flag':
        values[property.name] = reader.number === 1
        break
      case 'bit':
      case 'u16':
      case 'u32':
        values[property.name] = reader.number
        break
      case 'variable':
        if (identifiers === undefined) values[property.name] = identifiers = []
        identifiers.push(reader.number)
        break
      case 'text':
      case 'topic':
        values[property.name] = decodeUtf8(bytes, reader.start, reader.end)
        break
      case 'binary':
        values[property.name] = copyOf(bytes, reader.start, reader.end)
        break
      case 'pairs':
        if (pairs === undefined) values[property.name] = pairs = []
        pairs.push([
          decodeUtf8(bytes, reader.start, reader.end),
          decodeUtf8(bytes, reader.valueStart, reader.valueEnd),
        ])
        break
    }
  }
  if (reader.saw('authenticationData') && !reader.saw('authenticationMethod')) {
    // MQTT5 3.1.2.11.10.
    cursor.fail(
      ReasonCode.protocolError,
      'Authentication Data without Authentication Method (MQTT5 3.1.2.11.10)',
    )
  }
  // Each value was read by the type that the table gives to its name, and the reader let only names
  // of this owner pass.
  return (empty || cursor.fault ? noProperties : values) as PropertiesOf<O>
}

/** Writes a property list with its length, which is there even if it is 0 (MQTT5 2.2.2-1). Names that are absent or undefined are left out. */
export function writeProperties(writer: Writer, properties: Properties): void {
  writer.variableByteInteger(
    writer.measure((measuring) => writePropertyValues(measuring, properties)),
  )
  writePropertyValues(writer, properties)
}

/** Writes properties without the length in front. */
export function writePropertyValues(writer: Writer, properties: Properties): void {
  for (const key in properties) {
    const row = rowOf(key)
    if (row === undefined) continue
    writeValue(writer, row.id, row.type, properties[row.name])
  }
}

const byName = new Map<string, PropertyDefinition>(definitions.map((row) => [row.name, row]))

function rowOf(name: string): PropertyDefinition | undefined {
  return byName.get(name)
}

function writeValue(
  writer: Writer,
  id: number,
  type: keyof ValueTypes,
  value: Properties[PropertyName],
): void {
  if (value === undefined) return
  if (typeof value === 'object' && !(value instanceof Uint8Array)) {
    for (const item of value) {
      writer.u8(id)
      if (typeof item === 'number') {
        writer.variableByteInteger(item)
      } else {
        writer.text(item[0])
        writer.text(item[1])
      }
    }
    return
  }
  writer.u8(id)
  if (typeof value === 'object') writer.binary(value)
  else if (typeof value === 'string') writer.text(value)
  else if (type === 'u16') writer.u16(Number(value))
  else if (type === 'u32') writer.u32(Number(value))
  else writer.u8(Number(value))
}
