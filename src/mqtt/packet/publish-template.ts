import { copyOf } from './cursor.ts'
import type { Publish } from './packet.ts'
import type { ProtocolVersion, QoS } from './packet-type.ts'
import { propertyTable, writePropertyValues } from './properties.ts'
import type { PublishView } from './publish-view.ts'
import { packetBytes, variableByteIntegerLength } from './size.ts'
import { decodeUtf8, utf8Length, writeUtf8 } from './utf8.ts'
import { writeVariableByteInteger, Writer } from './writer.ts'

/** What may differ between the copies of one template. */
export interface PublishVariation {
  /** Ignored when the template's QoS is 0. */
  readonly packetId: number
  readonly dup: boolean
  /** MQTT 5: of the matching subscriptions (MQTT5 3.3.4-3 to 3.3.4-5). */
  readonly subscriptionIdentifiers?: readonly number[]
  /** MQTT 5: what is left of it (MQTT5 3.3.2-6); replaces the template's, and is ignored if that has none. */
  readonly messageExpiryInterval?: number
  /** MQTT 5: sent with the topic name to set the alias, or, with `omitTopic`, in its place. */
  readonly topicAlias?: number
  readonly omitTopic?: boolean
}

/** What a template encodes: property values as they stand on the wire, and behind them the payload. */
export interface PublishSource {
  readonly topic: string
  /** Property values without their length, topic alias and subscription identifiers, then the payload. */
  readonly body: Uint8Array
  readonly propertiesLength: number
  /** Offset of the message expiry property in `body`, or -1. */
  readonly expiryAt: number
}

/**
 * One message for a group of subscribers whose packets are the same but for the packet identifier, DUP,
 * and a few properties: encoded once, copied and patched for each. The template owns its bytes, and may be
 * used again for another message: small arrays are dearer to make than to fill.
 *
 * QoS and retain are the group's: a broker makes one template for each pair that occurs.
 */
export class PublishTemplate {
  version: ProtocolVersion = 5
  qos: QoS = 0
  retain = false
  /** The whole packet with packet identifier 0 and without DUP, in the first `byteLength` bytes; at QoS 0 ready to be sent. */
  bytes: Uint8Array
  byteLength = 0
  /** Where the two bytes of the packet identifier stand, or 0 at QoS 0. */
  packetIdOffset = 0
  /** Where the topic's length stands: the size of the fixed header. */
  #topicOffset = 0
  /** Where the property values stand; the Property Length ends here. */
  #propertiesOffset = 0
  #payloadOffset = 0
  /** Where the four bytes of the message expiry interval stand, or 0. */
  #expiryOffset = 0

  /** Encodes into `bytes` when they are large enough, else into new ones of just the size. */
  constructor(bytes: Uint8Array = noBytes) {
    this.bytes = bytes
  }

  /** Copies all; MQTT 3 leaves the properties out. */
  encode(version: ProtocolVersion, qos: QoS, retain: boolean, source: PublishSource): this {
    const { topic, body, propertiesLength, expiryAt } = source
    this.version = version
    this.qos = qos
    this.retain = retain
    const topicLength = utf8Length(topic)
    const listLength = version === 5 ? propertiesLength : 0
    const lengthBytes = version === 5 ? variableByteIntegerLength(listLength) : 0
    const payloadLength = body.length - propertiesLength
    const remaining = 2 + topicLength + (qos > 0 ? 2 : 0) + lengthBytes + listLength + payloadLength
    const byteLength = packetBytes(remaining)
    if (this.bytes.length < byteLength) this.bytes = new Uint8Array(byteLength)
    this.byteLength = byteLength
    const { bytes } = this
    bytes[0] = 0x30 | (qos << 1) | (retain ? 1 : 0)
    let at = writeVariableByteInteger(bytes, 1, remaining)
    this.#topicOffset = at
    bytes[at] = topicLength >>> 8
    bytes[at + 1] = topicLength & 0xff
    at = writeUtf8(topic, bytes, at + 2)
    // MQTT5 2.2.1-2.
    this.packetIdOffset = qos > 0 ? at : 0
    if (qos > 0) {
      bytes[at++] = 0
      bytes[at++] = 0
    }
    if (version === 5) at = writeVariableByteInteger(bytes, at, listLength)
    this.#propertiesOffset = at
    this.#expiryOffset = version === 5 && expiryAt >= 0 ? at + expiryAt + 1 : 0
    this.#payloadOffset = at + listLength
    const isWhole = listLength === propertiesLength
    bytes.set(isWhole ? body : body.subarray(propertiesLength), at)
    return this
  }

  /**
   * A template of a received message. A topic alias is left out; when the packet had no topic name, the
   * alias's name comes in `topic`. Subscription identifiers, which a client receives, are left out too.
   */
  static fromView(
    view: PublishView,
    version: ProtocolVersion,
    qos: QoS,
    retain: boolean,
    topic?: Uint8Array,
  ): PublishTemplate {
    if (view.hasSubscriptionIdentifiers) {
      // Only a client receives these, so a bridge may take the slower way.
      const received = view.toPublish()
      const name = topic === undefined ? received.topic : decodeUtf8(topic, 0, topic.length)
      return PublishTemplate.fromPublish({ ...received, topic: name }, version, qos, retain)
    }
    const { bytes, propertiesStart, end, topicAliasAt } = view
    let body = bytes.subarray(propertiesStart, end)
    let propertiesLength = view.propertiesEnd - propertiesStart
    let expiryAt = view.messageExpiryAt < 0 ? -1 : view.messageExpiryAt - propertiesStart
    if (topicAliasAt >= 0) {
      const aliasAt = topicAliasAt - propertiesStart
      const rest = copyOf(body, 0, body.length - aliasBytes)
      rest.set(body.subarray(aliasAt + aliasBytes), aliasAt)
      body = rest
      propertiesLength -= aliasBytes
      if (expiryAt > aliasAt) expiryAt -= aliasBytes
    }
    const name = topic === undefined ? view.topic() : decodeUtf8(topic, 0, topic.length)
    const source = { topic: name, body, propertiesLength, expiryAt }
    return new PublishTemplate().encode(version, qos, retain, source)
  }

  /** A template of a message made by the server, by its topic, payload and properties. */
  static fromPublish(
    message: Pick<Publish, 'topic' | 'payload' | 'properties'>,
    version: ProtocolVersion,
    qos: QoS,
    retain: boolean,
  ): PublishTemplate {
    const {
      messageExpiryInterval,
      topicAlias: _alias,
      subscriptionIdentifiers: _ids,
      ...rest
    } = message.properties
    // The interval goes first, so that its place is known.
    const first = messageExpiryInterval === undefined ? rest : { messageExpiryInterval, ...rest }
    const counter = new Writer(undefined, 0)
    writePropertyValues(counter, first)
    const propertiesLength = counter.offset
    const body = new Uint8Array(propertiesLength + message.payload.length)
    writePropertyValues(new Writer(body, 0), first)
    body.set(message.payload, propertiesLength)
    const expiryAt = messageExpiryInterval === undefined ? -1 : 0
    const source = { topic: message.topic, body, propertiesLength, expiryAt }
    return new PublishTemplate().encode(version, qos, retain, source)
  }

  /** The packet alone. */
  get #packet(): Uint8Array {
    const { bytes, byteLength } = this
    return bytes.length === byteLength ? bytes : bytes.subarray(0, byteLength)
  }

  /** Copies the packet into `target` at `offset` and returns the offset behind; there must be room. */
  copyTo(target: Uint8Array, offset: number, packetId: number, dup: boolean): number {
    target.set(this.#packet, offset)
    if (this.packetIdOffset > 0) {
      target[offset + this.packetIdOffset] = packetId >>> 8
      target[offset + this.packetIdOffset + 1] = packetId & 0xff
      if (dup) target[offset] = 0x38 | (this.qos << 1) | (this.retain ? 1 : 0)
    }
    return offset + this.byteLength
  }

  /** Size of a copy with this variation. */
  byteLengthOf(variation: PublishVariation): number {
    return packetBytes(this.#remainingLength(variation))
  }

  /** As {@link copyTo}, with properties of its own. */
  copyVariation(target: Uint8Array, offset: number, variation: PublishVariation): number {
    const added = this.#addedBytes(variation)
    const omitTopic = this.version === 5 && variation.omitTopic === true
    const expiry = this.#expiryOffset > 0 ? variation.messageExpiryInterval : undefined
    if (added === 0 && !omitTopic) {
      const end = this.copyTo(target, offset, variation.packetId, variation.dup)
      if (expiry !== undefined) writeU32(target, offset + this.#expiryOffset, expiry)
      return end
    }
    const { bytes } = this
    const dup = variation.dup && this.qos > 0
    target[offset] = (bytes[0] ?? 0) | (dup ? 8 : 0)
    let at = writeVariableByteInteger(target, offset + 1, this.#remainingLength(variation))
    if (omitTopic) {
      target[at++] = 0
      target[at++] = 0
    } else {
      const topicEnd = this.#topicEnd
      target.set(bytes.subarray(this.#topicOffset, topicEnd), at)
      at += topicEnd - this.#topicOffset
    }
    if (this.qos > 0) {
      target[at++] = variation.packetId >>> 8
      target[at++] = variation.packetId & 0xff
    }
    const kept = this.#payloadOffset - this.#propertiesOffset
    at = writeVariableByteInteger(target, at, kept + added)
    if (variation.topicAlias !== undefined) {
      target[at++] = propertyTable.topicAlias.id
      target[at++] = variation.topicAlias >>> 8
      target[at++] = variation.topicAlias & 0xff
    }
    for (const identifier of variation.subscriptionIdentifiers ?? []) {
      target[at++] = propertyTable.subscriptionIdentifiers.id
      at = writeVariableByteInteger(target, at, identifier)
    }
    target.set(bytes.subarray(this.#propertiesOffset, this.byteLength), at)
    if (expiry !== undefined) {
      writeU32(target, at + this.#expiryOffset - this.#propertiesOffset, expiry)
    }
    return at + this.byteLength - this.#propertiesOffset
  }

  get #topicEnd(): number {
    const at = this.#topicOffset
    return at + 2 + (((this.bytes[at] ?? 0) << 8) | (this.bytes[at + 1] ?? 0))
  }

  #addedBytes(variation: PublishVariation): number {
    if (this.version < 5) return 0
    let added = variation.topicAlias === undefined ? 0 : aliasBytes
    for (const identifier of variation.subscriptionIdentifiers ?? []) {
      added += 1 + variableByteIntegerLength(identifier)
    }
    return added
  }

  #remainingLength(variation: PublishVariation): number {
    const added = this.#addedBytes(variation)
    const kept = this.#payloadOffset - this.#propertiesOffset
    const topic =
      this.version === 5 && variation.omitTopic === true ? 2 : this.#topicEnd - this.#topicOffset
    return (
      topic +
      (this.qos > 0 ? 2 : 0) +
      (this.version === 5 ? variableByteIntegerLength(kept + added) : 0) +
      added +
      this.byteLength -
      this.#propertiesOffset
    )
  }
}

const aliasBytes = 3
const noBytes = new Uint8Array(0)

function writeU32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24
  target[offset + 1] = (value >>> 16) & 0xff
  target[offset + 2] = (value >>> 8) & 0xff
  target[offset + 3] = value & 0xff
}
