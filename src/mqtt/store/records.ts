import type { Delivery } from '../delivery.ts'
import { Message } from '../message.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import type { QoS } from '../packet/packet-type.ts'
import { parseTopicFilter, parseTopicName, type TopicFilter } from '../topic.ts'
import type { RecordReader, RecordWriter } from './record-writer.ts'

/*
 * The records of the journal. Each names all it needs, may come twice (a compaction writes what lives anew), and means
 * nothing when the session or message that it names is gone.
 */
export const RecordType = {
  message: 1,
  enqueued: 2,
  sent: 3,
  released: 4,
  done: 5,
  received: 6,
  completed: 7,
} as const

const flag = { retain: 0x04, identifiers: 0x08, expiry: 0x10, shared: 0x20 } as const

export function writeMessage(writer: RecordWriter, id: number, message: Message): void {
  writer.u8(RecordType.message)
  writer.number(id)
  writeBody(writer, message)
}

/** A message is on its way to a session; `message` is 0 when the client has it and only PUBREL and PUBCOMP are left. */
export function writeEnqueued(
  writer: RecordWriter,
  session: number,
  delivery: Delivery,
  message: number,
): void {
  const { identifiers, shared } = delivery
  writer.u8(RecordType.enqueued)
  writer.number(session)
  writer.number(delivery.sequence)
  writer.number(message)
  writer.u8(
    delivery.qos |
      (delivery.retain ? flag.retain : 0) |
      (identifiers === undefined ? 0 : flag.identifiers) |
      (shared === undefined ? 0 : flag.shared),
  )
  writer.number(delivery.packetId)
  if (shared !== undefined) writer.text(shared)
  if (identifiers === undefined) return
  writer.number(identifiers.length)
  for (const identifier of identifiers) writer.number(identifier)
}

/** It was given a packet identifier. */
export function writeSent(writer: RecordWriter, session: number, delivery: Delivery): void {
  writer.u8(RecordType.sent)
  writer.number(session)
  writer.number(delivery.sequence)
  writer.number(delivery.packetId)
}

/** PUBREC came. */
export function writeReleased(writer: RecordWriter, session: number, delivery: Delivery): void {
  writer.u8(RecordType.released)
  writer.number(session)
  writer.number(delivery.sequence)
}

/** It is over: acknowledged, expired or dropped. */
export function writeDone(writer: RecordWriter, session: number, delivery: Delivery): void {
  writer.u8(RecordType.done)
  writer.number(session)
  writer.number(delivery.sequence)
}

/** The client's PUBLISH of QoS 2 was taken over, and PUBREC has this reason. */
export function writeReceived(
  writer: RecordWriter,
  session: number,
  packetId: number,
  reason: ReasonCode,
): void {
  writer.u8(RecordType.received)
  writer.number(session)
  writer.number(packetId)
  writer.u8(reason)
}

/** The client's PUBREL came. */
export function writeCompleted(writer: RecordWriter, session: number, packetId: number): void {
  writer.u8(RecordType.completed)
  writer.number(session)
  writer.number(packetId)
}

/** A message without a number. */
export function writeBody(writer: RecordWriter, message: Message): void {
  const expires = message.expiresAt !== Infinity
  writer.u8(message.qos | (message.retain ? flag.retain : 0) | (expires ? flag.expiry : 0))
  if (expires) {
    writer.number(message.expiresAt)
    writer.number(message.expiryAt)
  }
  writer.text(message.topic)
  writer.number(message.propertiesLength)
  writer.blob(message.body)
}

export function readBody(reader: RecordReader): Message {
  const flags = reader.u8()
  const expires = (flags & flag.expiry) !== 0
  const expiresAt = expires ? reader.number() : Infinity
  const expiryAt = expires ? reader.number() : -1
  const topic = parseTopicName(reader.text())
  if (!topic.ok) throw new Error('Stored MQTT state is damaged: a message has no valid topic name')
  const propertiesLength = reader.number()
  const body = reader.blob()
  return new Message({
    topic: topic.value,
    qos: readQoS(flags),
    retain: (flags & flag.retain) !== 0,
    body,
    propertiesLength,
    expiryAt,
    expiresAt,
  })
}

/** What follows the session's number in an `enqueued` record. */
export interface EnqueuedRecord {
  readonly sequence: number
  readonly message: number
  readonly qos: QoS
  readonly retain: boolean
  readonly packetId: number
  readonly identifiers: readonly number[] | undefined
  readonly shared: TopicFilter | undefined
}

export function readEnqueued(reader: RecordReader): EnqueuedRecord {
  const sequence = reader.number()
  const message = reader.number()
  const flags = reader.u8()
  const packetId = reader.number()
  const shared = (flags & flag.shared) === 0 ? undefined : parseTopicFilter(reader.text())
  let identifiers: number[] | undefined
  if ((flags & flag.identifiers) !== 0) {
    identifiers = []
    for (let left = reader.number(); left > 0; left--) identifiers.push(reader.number())
  }
  return {
    sequence,
    message,
    qos: readQoS(flags),
    retain: (flags & flag.retain) !== 0,
    packetId,
    identifiers,
    shared: shared?.ok === true ? shared.value : undefined,
  }
}

/** Only these two stand in a PUBREC that promises anything. */
export function readReceivedReason(reader: RecordReader): ReasonCode {
  return reader.u8() === ReasonCode.noMatchingSubscribers
    ? ReasonCode.noMatchingSubscribers
    : ReasonCode.success
}

function readQoS(flags: number): QoS {
  const qos = flags & 3
  return qos === 2 ? 2 : qos === 1 ? 1 : 0
}
