import type { Connection } from './connection.ts'
import type { Message } from './message.ts'
import type { QoS } from './packet/packet-type.ts'
import type { PublishTemplate, PublishVariation } from './packet/publish-template.ts'

/** Small packets are copied into the transport's batch before the next one comes. */
const scratch = new Uint8Array(4096)

/**
 * Writes one PUBLISH to a connection. False when the packet is larger than its client takes: then it must not be sent, and
 * counts as delivered (MQTT5 3.1.2-25).
 */
export function sendMessage(
  connection: Connection,
  message: Message,
  qos: QoS,
  retain: boolean,
  packetId: number,
  dup: boolean,
  identifiers: readonly number[] | undefined,
): boolean {
  const template = message.packet(connection.version, qos, retain)
  if (connection.version === 5) {
    const expires = message.expiresAt !== Infinity
    if (identifiers !== undefined || expires || connection.usesAliases) {
      return sendVariation(connection, template, message, packetId, dup, identifiers)
    }
  }
  const { bytes, byteLength, packetIdOffset } = template
  // MQTT5 3.1.2-24.
  if (byteLength > connection.maximumPacketSize) return false
  const { transport } = connection
  if (qos > 0) {
    // The template is ours, and its head is copied before the next one changes it.
    const first = bytes[0] ?? 0
    // MQTT5 3.3.1-1, 3.3.1-3.
    bytes[0] = dup ? first | 0x08 : first & 0xf7
    bytes[packetIdOffset] = packetId >>> 8
    bytes[packetIdOffset + 1] = packetId & 0xff
  }
  if (!message.isLarge) transport.writeCopy(bytes, 0, byteLength)
  else if (qos === 0) transport.write(bytes)
  else {
    const payloadAt = byteLength - message.payloadLength
    transport.writeCopy(bytes, 0, payloadAt)
    transport.write(bytes.subarray(payloadAt))
  }
  connection.countSent(byteLength, qos)
  if (message.sample !== undefined && !dup) message.sample.sent()
  return true
}

/** With subscription identifiers, what is left of the message expiry interval, or a topic alias. */
function sendVariation(
  connection: Connection,
  template: PublishTemplate,
  message: Message,
  packetId: number,
  dup: boolean,
  identifiers: readonly number[] | undefined,
): boolean {
  const remaining = message.remainingSeconds(connection.nowMs())
  const common: PublishVariation = {
    packetId,
    dup,
    ...(identifiers !== undefined && { subscriptionIdentifiers: identifiers }),
    ...(remaining !== undefined && { messageExpiryInterval: remaining }),
  }
  const known = connection.aliasOf(message.topic)
  const fresh = known === undefined ? connection.newAlias(message.topic) : undefined
  const topicAlias = known ?? fresh
  let variation =
    topicAlias === undefined ? common : { ...common, topicAlias, omitTopic: known !== undefined }
  let length = template.byteLengthOf(variation)
  if (length > connection.maximumPacketSize && fresh !== undefined) {
    // Perhaps the three bytes of the new alias were too many.
    connection.forgetAlias(message.topic)
    variation = common
    length = template.byteLengthOf(variation)
  }
  // MQTT5 3.1.2-24.
  if (length > connection.maximumPacketSize) return false
  if (length <= scratch.length) {
    template.copyVariation(scratch, 0, variation)
    connection.transport.writeCopy(scratch, 0, length)
  } else {
    const packet = new Uint8Array(length)
    template.copyVariation(packet, 0, variation)
    connection.transport.write(packet)
  }
  connection.countSent(length, template.qos)
  if (message.sample !== undefined && !dup) message.sample.sent()
  return true
}
