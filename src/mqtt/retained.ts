import type { Log } from '../core/log.ts'
import type { Result } from '../util/result.ts'
import { err, ok } from '../util/result.ts'
import type { FullJid } from '../xmpp/jid/jid.ts'
import type { Message } from './message.ts'
import { ReasonCode } from './packet/reason-code.ts'
import { type RetainedCursor, RetainedTree } from './retained-tree.ts'
import type { BrokerSettings } from './settings.ts'
import type { Journal, StoredOperation } from './store/journal.ts'
import type { RetainedRows } from './store/retained-rows.ts'
import type { TopicFilter, TopicName } from './topic.ts'

/** The last message of a topic, and its write as long as that has not begun. */
export interface Retained {
  readonly message: Message
  readonly operation: StoredOperation | undefined
}

/** The messages that are kept for subscribers to come (MQTT5 3.3.1.3), in memory and in ejabberd's table. */
export class RetainedMessages {
  readonly #tree = new RetainedTree<Retained>()
  readonly #journal: Journal
  /** Undefined: in memory only. */
  readonly #rows: RetainedRows | undefined
  readonly #log: Log
  #bytes = 0
  /** Topics whose messages expire some day. */
  readonly #expiring = new Map<TopicName, number>()

  constructor(journal: Journal, rows: RetainedRows | undefined, log: Log) {
    this.#journal = journal
    this.#rows = rows
    this.#log = log
  }

  get size(): number {
    return this.#tree.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(topic: TopicName): Message | undefined {
    return this.#tree.get(topic)?.message
  }

  search(filter: TopicFilter): RetainedCursor<Retained> {
    return this.#tree.search(filter)
  }

  /**
   * Does what a PUBLISH with the RETAIN flag asks for: keeps the message, or, if it has no payload, removes the topic's
   * (MQTT5 3.3.1-5 to 3.3.1-7). What comes back has to be durable before it is acknowledged.
   */
  update(
    message: Message,
    publisher: FullJid,
    settings: BrokerSettings,
  ): Result<StoredOperation | undefined, ReasonCode> {
    const { topic } = message
    const before = this.#tree.get(topic)
    // A removal that could not be stored leaves a row that memory does not know of: tried again, it has to be stored again.
    // MQTT5 3.3.1-6, 3.3.1-7.
    if (message.payloadLength === 0) return ok(this.remove(topic))
    const bytes = this.#bytes + message.weight - (before?.message.weight ?? 0)
    const isFull = before === undefined && this.#tree.size >= settings.maxRetained
    if (isFull || bytes > settings.maxRetainedBytes) return err(ReasonCode.quotaExceeded)
    if (this.#rows !== undefined && !this.#rows.fits(message)) return err(ReasonCode.packetTooLarge)
    const operation = this.#write(message, publisher, before)
    this.#keep(message, operation)
    return ok(operation)
  }

  /** Removes a topic's message, if it has one, and its row. */
  remove(topic: TopicName): StoredOperation | undefined {
    this.#forget(topic)
    return this.#rows === undefined ? undefined : this.#journal.operation(this.#rows.remove(topic))
  }

  /** Reads all that is stored; what has expired meanwhile is deleted. */
  async load(nowMs: number): Promise<void> {
    const rows = this.#rows
    if (rows === undefined) return
    await rows.load(nowMs, (topic, message) => {
      if (message === undefined) {
        this.#log.error({ topic }, 'Cannot read a retained message, it is left out')
      } else if (message.isExpired(nowMs)) this.#journal.operation(rows.remove(message.topic))
      else this.#keep(message, undefined)
    })
  }

  dropExpired(nowMs: number): void {
    for (const [topic, expiresAt] of this.#expiring) if (expiresAt <= nowMs) this.remove(topic)
  }

  #write(
    message: Message,
    publisher: FullJid,
    before: Retained | undefined,
  ): StoredOperation | undefined {
    if (this.#rows === undefined) return undefined
    const query = this.#rows.put(message, publisher)
    // A topic that changes faster than the disk is written once for each commit.
    const waiting = before?.operation
    if (waiting !== undefined && this.#journal.replace(waiting, query)) return waiting
    return this.#journal.operation(query)
  }

  #keep(message: Message, operation: StoredOperation | undefined): void {
    const { topic } = message
    const before = this.#tree.set(topic, { message, operation })
    this.#bytes += message.weight - (before?.message.weight ?? 0)
    if (message.expiresAt !== Infinity) this.#expiring.set(topic, message.expiresAt)
    else if (before !== undefined) this.#expiring.delete(topic)
  }

  #forget(topic: TopicName): void {
    const before = this.#tree.delete(topic)
    if (before === undefined) return
    this.#bytes -= before.message.weight
    this.#expiring.delete(topic)
  }
}
