import type { Sample } from './latency.ts'
import { Cursor, copyOf } from './packet/cursor.ts'
import type { ProtocolVersion, QoS } from './packet/packet-type.ts'
import {
  noProperties,
  type PropertiesOf,
  PropertyReader,
  readProperties,
  writePropertyValues,
} from './packet/properties.ts'
import { PublishTemplate } from './packet/publish-template.ts'
import type { PublishView } from './packet/publish-view.ts'
import { variableByteIntegerLength } from './packet/size.ts'
import { Writer, writeVariableByteInteger } from './packet/writer.ts'
import type { TopicName } from './topic.ts'

/** What a publication consists of, for those who make one. */
export interface MessageContent {
  readonly topic: TopicName
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: PropertiesOf<'publish'>
}

/** Properties and payload as they stand on the wire: how a message is stored. */
export interface MessageBody {
  readonly topic: TopicName
  readonly qos: QoS
  readonly retain: boolean
  /** Property values (without their length, topic alias and subscription identifiers), then the payload. */
  readonly body: Uint8Array
  readonly propertiesLength: number
  /** Offset of the message expiry property in `body`, or -1. */
  readonly expiryAt: number
  /** Milliseconds since 1970; `Infinity` = never. */
  readonly expiresAt: number
}

const aliasBytes = 3
const largePayloadBytes = 16_384
/** What a message costs beside its bytes, roughly. */
const overheadBytes = 160

/**
 * Properties and payload go on as they came (MQTT5 3.3.2-4, 3.3.2-15 to 3.3.2-18, 3.3.2-20).
 *
 * One publication, shared by all sessions that wait for it and by the retained messages: the payload is there once. It owns
 * its bytes. Encoded packets are made once for each kind that is asked for, and let go by `forgetPackets`.
 */
export class Message implements MessageBody {
  readonly topic: TopicName
  readonly qos: QoS
  readonly retain: boolean
  readonly body: Uint8Array
  readonly propertiesLength: number
  readonly expiryAt: number
  readonly expiresAt: number
  /** Its number in the journal, 0 while it is not there. */
  journalId = 0
  /** The journal's generation in which it was written last. */
  journalGeneration = 0
  /** When it was retained, in seconds since 1970; 0 = it was not, or before the server was started. */
  retainedAt = 0
  /** How many deliveries hold it; see ledger.ts. */
  holders = 0
  /** Whoever published it was told that it could not be stored: where it has not been sent it is not. */
  isRefused = false
  /** Set while it is measured how long it takes; see latency.ts. */
  sample: Sample | undefined = undefined
  #template: PublishTemplate | undefined
  /** Where more kinds of packets are needed. */
  #others: PublishTemplate[] | undefined

  constructor(content: MessageBody) {
    this.topic = content.topic
    this.qos = content.qos
    this.retain = content.retain
    this.body = content.body
    this.propertiesLength = content.propertiesLength
    this.expiryAt = content.expiryAt
    this.expiresAt = content.expiresAt
  }

  /** A received message; `topic` is its name even when an alias stands in the packet. `nowMs` is asked for only if it expires. */
  static fromView(view: PublishView, topic: TopicName, nowMs: number): Message {
    const { bytes, propertiesStart: start, end, topicAliasAt } = view
    let body: Uint8Array
    let { messageExpiryAt: expiryAt } = view
    let propertiesLength = view.propertiesEnd - start
    if (topicAliasAt < 0) body = copyOf(bytes, start, end)
    else {
      // An alias is the affair of one connection (MQTT5 3.3.2.3.4).
      body = new Uint8Array(end - start - aliasBytes)
      body.set(bytes.subarray(start, topicAliasAt))
      body.set(bytes.subarray(topicAliasAt + aliasBytes, end), topicAliasAt - start)
      propertiesLength -= aliasBytes
      if (expiryAt > topicAliasAt) expiryAt -= aliasBytes
    }
    const { qos, retain, messageExpiryInterval } = view
    const expires = expiryAt >= 0
    return new Message({
      topic,
      qos,
      retain,
      body,
      propertiesLength,
      expiryAt: expires ? expiryAt - start : -1,
      expiresAt: expires ? nowMs + messageExpiryInterval * 1000 : Infinity,
    })
  }

  static create(content: MessageContent, nowMs: number): Message {
    const { topic, payload, qos, retain } = content
    const {
      messageExpiryInterval,
      topicAlias: _alias,
      subscriptionIdentifiers: _identifiers,
      ...rest
    } = content.properties
    // The interval goes first, so that its place is known.
    const properties =
      messageExpiryInterval === undefined ? rest : { messageExpiryInterval, ...rest }
    const counter = new Writer(undefined, 0)
    writePropertyValues(counter, properties)
    const propertiesLength = counter.offset
    const body = new Uint8Array(propertiesLength + payload.length)
    writePropertyValues(new Writer(body, 0), properties)
    body.set(payload, propertiesLength)
    const expires = messageExpiryInterval !== undefined
    return new Message({
      topic,
      qos,
      retain,
      body,
      propertiesLength,
      expiryAt: expires ? 0 : -1,
      expiresAt: expires ? nowMs + messageExpiryInterval * 1000 : Infinity,
    })
  }

  /** A view, not a copy. */
  get payload(): Uint8Array {
    return this.body.subarray(this.propertiesLength)
  }

  get payloadLength(): number {
    return this.body.length - this.propertiesLength
  }

  /** The payload is not copied for each subscriber. */
  get isLarge(): boolean {
    return this.payloadLength >= largePayloadBytes
  }

  /** What it weighs in a queue. */
  get weight(): number {
    return this.body.length + this.topic.length + overheadBytes
  }

  isExpired(nowMs: number): boolean {
    return this.expiresAt <= nowMs
  }

  /** What is left of the message expiry interval in seconds (MQTT5 3.3.2-6); undefined when it never expires. */
  remainingSeconds(nowMs: number): number | undefined {
    if (this.expiresAt === Infinity) return undefined
    return Math.max(0, Math.ceil((this.expiresAt - nowMs) / 1000))
  }

  /** The properties, decoded anew at each call; the message expiry interval is the one that it came with. */
  properties(): PropertiesOf<'publish'> {
    const length = this.propertiesLength
    if (length === 0) return noProperties
    const start = variableByteIntegerLength(length)
    const list = new Uint8Array(start + length)
    writeVariableByteInteger(list, 0, length)
    list.set(this.body.subarray(0, length), start)
    const cursor = new Cursor(list, 0, list.length)
    return readProperties(cursor, new PropertyReader(cursor), 'publish')
  }

  /** The packet for subscribers of this kind; the same one at each call until `forgetPackets`, not to be used after it. */
  packet(version: ProtocolVersion, qos: QoS, retain: boolean): PublishTemplate {
    // PUBLISH is the same in MQTT 3.1 and 3.1.1.
    const format = version === 5 ? 5 : 4
    const template = this.#template
    if (template === undefined) {
      this.#template = this.#borrow().encode(format, qos, retain, this)
      return this.#template
    }
    if (isFor(template, format, qos, retain)) return template
    for (const other of this.#others ?? []) if (isFor(other, format, qos, retain)) return other
    const fresh = this.#borrow().encode(format, qos, retain, this)
    if (this.#others === undefined) this.#others = [fresh]
    else this.#others.push(fresh)
    return fresh
  }

  /** Lets the encoded packets go: the message may have to wait for long. */
  forgetPackets(): void {
    if (this.#template === undefined) return
    giveBack(this.#template)
    for (const other of this.#others ?? []) giveBack(other)
    this.#template = undefined
    this.#others = undefined
  }

  /** Packets of large messages are kept by transports, and so belong to nobody else afterwards. */
  #borrow(): PublishTemplate {
    if (this.isLarge) return new PublishTemplate()
    return spare.pop() ?? new PublishTemplate(new Uint8Array(spareBytes))
  }
}

function isFor(
  template: PublishTemplate,
  version: ProtocolVersion,
  qos: QoS,
  retain: boolean,
): boolean {
  return template.qos === qos && template.retain === retain && template.version === version
}

/** Templates that no message uses: one is enough for most that happens. */
const spare: PublishTemplate[] = []
const maxSpare = 16
/** Larger ones are used once. */
const spareBytes = 4096

function giveBack(template: PublishTemplate): void {
  if (template.bytes.length === spareBytes && spare.length < maxSpare) spare.push(template)
}
