import type { Will as WillPacket } from './packet/packet.ts'
import { RecordReader, RecordWriter } from './store/record-writer.ts'
import { readBody, writeBody } from './store/records.ts'
import type { MessageContent } from './message.ts'
import { Message } from './message.ts'
import type { TopicName } from './topic.ts'

/** What is published when a connection ends badly (MQTT5 3.1.2.5). */
export interface Will {
  readonly content: MessageContent
  /** Will Delay Interval (MQTT5 3.1.3.2.2). */
  readonly delaySeconds: number
}

export function createWill(packet: WillPacket, topic: TopicName): Will {
  const { willDelayInterval = 0, ...properties } = packet.properties
  const { payload, qos, retain } = packet
  // MQTT5 3.1.2-14, 3.1.2-15, 3.1.3-10.
  return { content: { topic, payload, qos, retain, properties }, delaySeconds: willDelayInterval }
}

export function encodeWill(will: Will): Uint8Array {
  const writer = new RecordWriter()
  writer.number(will.delaySeconds)
  // Its message expiry counts from its publication: the time in here means nothing.
  writeBody(writer, Message.create(will.content, 0))
  return writer.take()
}

/** Throws on bytes that `encodeWill` cannot have made. */
export function decodeWill(bytes: Uint8Array): Will {
  const reader = new RecordReader(bytes)
  const delaySeconds = reader.number()
  const message = readBody(reader)
  const { topic, qos, retain } = message
  return {
    content: { topic, payload: message.payload, qos, retain, properties: message.properties() },
    delaySeconds,
  }
}
