import { PacketType } from '../packet/packet-type.ts'
import type { QoS } from '../packet/packet-type.ts'
import { propertyTable } from '../packet/properties.ts'
import type { PublishView } from '../packet/publish-view.ts'
import { maxVariableByteInteger, packetBytes } from '../packet/size.ts'
import { encodeUtf8 } from '../packet/utf8.ts'
import { Writer } from '../packet/writer.ts'
import type { TopicName } from '../topic.ts'

/** What a bridge changes in a PUBLISH; packet identifier, payload and all other properties stay. */
export interface Rewriting {
  readonly topic: TopicName
  readonly qos: QoS
  readonly retain: boolean
  /** Encoded properties that are added, in MQTT 5. */
  readonly added?: Uint8Array
}

/**
 * The PUBLISH as it goes on to the other side, in the same version; undefined when MQTT has no packets of that size. The
 * view must have neither a topic alias nor subscription identifiers: they are the affair of one connection.
 */
export function rewritePublish(view: PublishView, rewriting: Rewriting): Uint8Array | undefined {
  const topic = encodeUtf8(rewriting.topic)
  const counter = new Writer(undefined, 0)
  writeRest(counter, view, topic, rewriting)
  const remainingLength = counter.offset
  if (remainingLength > maxVariableByteInteger) return undefined
  const packet = new Uint8Array(packetBytes(remainingLength))
  const writer = new Writer(packet, 0)
  const { qos, retain } = rewriting
  const dup = view.dup && qos > 0
  writer.u8((PacketType.publish << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0))
  writer.variableByteInteger(remainingLength)
  writeRest(writer, view, topic, rewriting)
  return packet
}

function writeRest(
  writer: Writer,
  view: PublishView,
  topic: Uint8Array,
  { qos, added }: Rewriting,
): void {
  const { bytes, propertiesStart, propertiesEnd } = view
  writer.binary(topic)
  if (qos > 0) writer.u16(view.packetId)
  if (view.version === 5) {
    writer.variableByteInteger(propertiesEnd - propertiesStart + (added?.length ?? 0))
    // Added behind those of others, whose order stays (MQTT5 3.3.2-18).
    writer.raw(bytes.subarray(propertiesStart, propertiesEnd))
    if (added !== undefined) writer.raw(added)
  }
  writer.raw(view.payload())
}

/** A user property as it stands among others. */
export function encodeUserProperty(name: string, value: string): Uint8Array {
  const counter = new Writer(undefined, 0)
  writeUserProperty(counter, name, value)
  const encoded = new Uint8Array(counter.offset)
  writeUserProperty(new Writer(encoded, 0), name, value)
  return encoded
}

function writeUserProperty(writer: Writer, name: string, value: string): void {
  writer.u8(propertyTable.userProperties.id)
  writer.text(name)
  writer.text(value)
}

/** Whether these bytes stand among the properties of a PUBLISH. */
export function hasEncoded(
  { bytes, propertiesStart, propertiesEnd }: PublishView,
  encoded: Uint8Array,
): boolean {
  const last = propertiesEnd - encoded.length
  for (let at = propertiesStart; at <= last; at++) {
    let i = 0
    while (i < encoded.length && bytes[at + i] === encoded[i]) i += 1
    if (i === encoded.length) return true
  }
  return false
}
