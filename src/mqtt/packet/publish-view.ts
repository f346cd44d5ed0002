import { Cursor, copyOf } from './cursor.ts'
import type { Publish } from './packet.ts'
import type { ProtocolVersion, QoS } from './packet-type.ts'
import {
  noProperties,
  type PropertiesOf,
  PropertyReader,
  propertyTable,
  readProperties,
} from './properties.ts'
import { ReasonCode } from './reason-code.ts'
import { variableByteIntegerLength } from './size.ts'
import { decodeUtf8 } from './utf8.ts'

const idOf = {
  payloadFormatIndicator: propertyTable.payloadFormatIndicator.id,
  messageExpiryInterval: propertyTable.messageExpiryInterval.id,
  subscriptionIdentifiers: propertyTable.subscriptionIdentifiers.id,
  topicAlias: propertyTable.topicAlias.id,
}

/**
 * A decoded and checked PUBLISH as ranges of the buffer that it came in: nothing is built until it is
 * asked for, so that a broker can route by bytes.
 *
 * The decoder has one view and reuses it. It and `bytes` are valid only inside the handler's call:
 * whoever keeps something copies it ({@link toPublish}, {@link copyTopic}, `PublishTemplate`).
 */
export class PublishView {
  version: ProtocolVersion = 5
  bytes: Uint8Array = new Uint8Array(0)
  /** The whole packet, fixed header included, is `start` to `end`. */
  start = 0
  end = 0
  qos: QoS = 0
  dup = false
  retain = false
  /** 0 when `qos` is 0. */
  packetId = 0
  /** Without the two length bytes; empty only when `topicAlias` is not 0. */
  topicStart = 0
  topicEnd = 0
  /** Without the Property Length; empty in MQTT 3. */
  propertiesStart = 0
  propertiesEnd = 0
  /** The payload ends at `end`. */
  payloadStart = 0
  /** 0 when absent. Whether it is in range and known is the connection's business. */
  topicAlias = 0
  /** Offset of the three bytes of the topic alias property, or -1. */
  topicAliasAt = -1
  /** In seconds, or -1 when absent. */
  messageExpiryInterval = -1
  /** Offset of the five bytes of the message expiry property, or -1. */
  messageExpiryAt = -1
  /** True when the publisher says that the payload is UTF-8; checking it is optional (MQTT5 3.3.2.3.2). */
  payloadIsText = false
  /** Only in packets from a server (MQTT5 3.3.4-6). */
  hasSubscriptionIdentifiers = false

  topic(): string {
    return decodeUtf8(this.bytes, this.topicStart, this.topicEnd)
  }

  /** Whether the topic name has just these bytes. */
  topicIs(topic: Uint8Array): boolean {
    const length = this.topicEnd - this.topicStart
    if (topic.length !== length) return false
    // Names of one device differ near the end, so compare backwards.
    for (let i = length - 1, at = this.topicEnd - 1; i >= 0; i--, at--) {
      if (topic[i] !== this.bytes[at]) return false
    }
    return true
  }

  copyTopic(): Uint8Array {
    return copyOf(this.bytes, this.topicStart, this.topicEnd)
  }

  /** A view of the payload, not a copy. */
  payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.end)
  }

  copyPayload(): Uint8Array {
    return copyOf(this.bytes, this.payloadStart, this.end)
  }

  properties(): PropertiesOf<'publish'> {
    if (this.propertiesStart === this.propertiesEnd) return noProperties
    // The Property Length in front was checked to be in its shortest form.
    const lengthBytes = variableByteIntegerLength(this.propertiesEnd - this.propertiesStart)
    const cursor = new Cursor(this.bytes, this.propertiesStart - lengthBytes, this.propertiesEnd)
    return readProperties(cursor, new PropertyReader(cursor), 'publish')
  }

  /** An owned packet that may outlive the callback. */
  toPublish(): Publish {
    return {
      kind: 'publish',
      dup: this.dup,
      qos: this.qos,
      retain: this.retain,
      topic: this.topic(),
      packetId: this.packetId,
      payload: this.copyPayload(),
      properties: this.properties(),
    }
  }
}

/**
 * Decodes a PUBLISH whose fixed header ends at the cursor, into `view`. Faults are left on the cursor.
 * `fromClient` says who sent it, for the rules that differ.
 */
export function decodePublish(
  view: PublishView,
  cursor: Cursor,
  reader: PropertyReader,
  start: number,
  flags: number,
  version: ProtocolVersion,
  fromClient: boolean,
): void {
  const qos = (flags >> 1) & 3
  const dup = (flags & 8) !== 0
  if (qos === 3) {
    cursor.malformed('PUBLISH has QoS 3 (MQTT5 3.3.1-4, MQTT3 3.3.1-4)')
    return
  }
  if (dup && qos === 0 && version >= 4) {
    cursor.malformed('PUBLISH has DUP with QoS 0 (MQTT5 3.3.1-2, MQTT3 3.3.1-2)')
    return
  }
  view.version = version
  view.bytes = cursor.bytes
  view.start = start
  view.end = cursor.end
  view.qos = qos === 0 ? 0 : qos === 1 ? 1 : 2
  view.dup = dup && qos > 0
  view.retain = (flags & 1) !== 0
  // MQTT5 3.3.2-1, 3.3.2-2.
  cursor.skipTopicName('Topic Name')
  view.topicStart = cursor.textStart
  view.topicEnd = cursor.textEnd
  view.packetId = 0
  if (qos > 0) {
    view.packetId = cursor.u16()
    if (view.packetId === 0) {
      // MQTT5 2.2.1-3, MQTT3 2.3.1-1.
      cursor.fail(ReasonCode.protocolError, 'PUBLISH has packet identifier 0 (MQTT5 2.2.1-3)')
    }
  }
  view.topicAlias = 0
  view.topicAliasAt = -1
  view.messageExpiryInterval = -1
  view.messageExpiryAt = -1
  view.payloadIsText = false
  view.hasSubscriptionIdentifiers = false
  view.propertiesStart = view.propertiesEnd = cursor.offset
  if (version === 5) scanProperties(view, cursor, reader, fromClient)
  if (view.topicStart === view.topicEnd && view.topicAlias === 0 && !cursor.fault) {
    if (version === 5) {
      // MQTT5 3.3.2.1.
      cursor.fail(ReasonCode.protocolError, 'PUBLISH has no topic name (MQTT5 3.3.2.1)')
    } else {
      cursor.malformed('PUBLISH has no topic name (MQTT3 4.7.3-1)')
    }
  }
  view.payloadStart = cursor.offset
}

function scanProperties(
  view: PublishView,
  cursor: Cursor,
  reader: PropertyReader,
  fromClient: boolean,
): void {
  reader.begin('publish')
  view.propertiesStart = cursor.offset
  for (let property = reader.next(); property !== undefined; property = reader.next()) {
    switch (property.id) {
      case idOf.payloadFormatIndicator:
        view.payloadIsText = reader.number === 1
        break
      case idOf.messageExpiryInterval:
        view.messageExpiryInterval = reader.number
        view.messageExpiryAt = reader.at
        break
      case idOf.topicAlias:
        if (reader.number === 0) {
          // MQTT5 3.3.2-8.
          cursor.fail(ReasonCode.topicAliasInvalid, 'Topic alias is 0 (MQTT5 3.3.2-8)')
        }
        view.topicAlias = reader.number
        view.topicAliasAt = reader.at
        break
      case idOf.subscriptionIdentifiers:
        view.hasSubscriptionIdentifiers = true
        if (fromClient) {
          // MQTT5 3.3.4-6.
          cursor.fail(
            ReasonCode.protocolError,
            'PUBLISH from a client has a subscription identifier (MQTT5 3.3.4-6)',
          )
        }
        break
    }
  }
  view.propertiesEnd = cursor.offset
}
