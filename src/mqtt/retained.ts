import type { Log } from '../core/log.ts'
import type { Result } from '../util/result.ts'
import { err, ok } from '../util/result.ts'
import type { Query } from '../core/store.ts'
import type { FullJid } from '../xmpp/jid/jid.ts'
import { Message } from './message.ts'
import { ReasonCode } from './packet/reason-code.ts'
import { type RetainedCursor, RetainedTree } from './retained-tree.ts'
import type { BrokerSettings } from './settings.ts'
import type { Journal, StoredOperation } from './store/journal.ts'
import type { RetainedRows } from './store/retained-rows.ts'
import type { SysTopics } from './sys.ts'
import { isSysFilter, parseTopicName, type TopicFilter, type TopicName } from './topic.ts'

/** What one write puts into a topic's row; another may take its place as long as it has not begun. */
interface RetainedWrite {
  readonly retained: RetainedMessages
  readonly topic: TopicName
  readonly operation: StoredOperation
  /** Undefined: the row is deleted. */
  message: Message | undefined
}

/** A topic with writes that are not settled yet. */
interface UnsettledTopic {
  /** What the row holds as far as is known. */
  stored: Message | undefined
  last: RetainedWrite
  writes: number
}

/** The messages that are kept for subscribers to come (MQTT5 3.3.1.3), in memory and in ejabberd's table. */
export class RetainedMessages {
  readonly #tree = new RetainedTree<Message>()
  /** The topics that nobody publishes to but the broker: their messages are kept there. */
  server: SysTopics | undefined = undefined
  readonly #journal: Journal
  /** Undefined: in memory only. */
  readonly #rows: RetainedRows | undefined
  readonly #log: Log
  #bytes = 0
  /** Topics whose messages expire some day. */
  readonly #expiring = new Map<TopicName, number>()
  readonly #unsettled = new Map<TopicName, UnsettledTopic>()

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
    return this.#tree.get(topic)
  }

  /** Whether a search may find anything. */
  mayHold(filter: TopicFilter): boolean {
    if (isSysFilter(filter)) return this.server?.isOn === true
    if (this.#tree.size === 0) return false
    const topic = parseTopicName(filter)
    return !topic.ok || this.#tree.get(topic.value) !== undefined
  }

  search(filter: TopicFilter): RetainedCursor<Message> {
    if (this.server !== undefined && isSysFilter(filter)) return this.server.search(filter)
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
    if (this.server !== undefined && isSysFilter(topic)) {
      return this.server.keep(message) ? ok(undefined) : err(ReasonCode.quotaExceeded)
    }
    const before = this.#tree.get(topic)
    // MQTT5 3.3.1-6, 3.3.1-7.
    if (message.payloadLength === 0) return ok(this.remove(topic))
    const bytes = this.#bytes + message.weight - (before?.weight ?? 0)
    const isFull = before === undefined && this.#tree.size >= settings.maxRetained
    if (isFull || bytes > settings.maxRetainedBytes) return err(ReasonCode.quotaExceeded)
    if (this.#rows !== undefined && !this.#rows.fits(message)) return err(ReasonCode.packetTooLarge)
    this.#keep(message)
    return ok(this.#write(topic, this.#rows?.put(message, publisher), before, message))
  }

  /** Removes a topic's message, if it has one, and its row: perhaps memory could not make sense of it. */
  remove(topic: TopicName): StoredOperation | undefined {
    const before = this.#forget(topic)
    return this.#write(topic, this.#rows?.remove(topic), before, undefined)
  }

  /** Somebody else's marks are on this message: what is kept is another one of the same content. */
  detach(message: Message): void {
    const { topic } = message
    if (this.#tree.get(topic) === message) this.#tree.set(topic, new Message(message))
    const unsettled = this.#unsettled.get(topic)
    if (unsettled?.stored === message) unsettled.stored = new Message(message)
    if (unsettled?.last.message === message) unsettled.last.message = new Message(message)
  }

  /** So many topics went that cursors which stand still have to be refreshed; asking begins anew. */
  hasChurned(): boolean {
    return this.#tree.hasChurned()
  }

  /** For the journal's callback: the topic holds what its row holds. */
  settle({ topic, operation, message }: RetainedWrite): void {
    const unsettled = this.#unsettled.get(topic)
    if (unsettled === undefined) return
    unsettled.writes -= 1
    if (!operation.failed) unsettled.stored = message
    // A later write decides, and it has been told that this one failed.
    if (unsettled.writes > 0) return
    this.#unsettled.delete(topic)
    if (!operation.failed) return
    if (unsettled.stored === undefined) this.#forget(topic)
    else this.#keep(unsettled.stored)
  }

  /** Reads all that is stored; what has expired meanwhile is deleted. */
  async load(nowMs: number): Promise<void> {
    const rows = this.#rows
    if (rows === undefined) return
    await rows.load(nowMs, (topic, message) => {
      if (message === undefined) {
        this.#log.error({ topic }, 'Cannot read a retained message, it is left out')
      } else if (message.isExpired(nowMs)) this.#journal.operation(rows.remove(message.topic))
      else this.#keep(message)
    })
  }

  dropExpired(nowMs: number): void {
    for (const [topic, expiresAt] of this.#expiring) if (expiresAt <= nowMs) this.remove(topic)
  }

  #write(
    topic: TopicName,
    query: Query | undefined,
    before: Message | undefined,
    message: Message | undefined,
  ): StoredOperation | undefined {
    if (query === undefined) return undefined
    const unsettled = this.#unsettled.get(topic)
    // A topic that changes faster than the disk is written once for each commit.
    if (unsettled !== undefined && this.#journal.replace(unsettled.last.operation, query)) {
      unsettled.last.message = message
      return unsettled.last.operation
    }
    const operation = this.#journal.operation(query)
    if (operation === undefined) return undefined
    const last: RetainedWrite = { retained: this, topic, operation, message }
    if (unsettled === undefined) this.#unsettled.set(topic, { stored: before, last, writes: 1 })
    else {
      unsettled.last = last
      unsettled.writes += 1
    }
    this.#journal.after(settled, last)
    return operation
  }

  #keep(message: Message): void {
    const { topic } = message
    const before = this.#tree.set(topic, message)
    this.#bytes += message.weight - (before?.weight ?? 0)
    if (message.expiresAt !== Infinity) this.#expiring.set(topic, message.expiresAt)
    else if (before !== undefined) this.#expiring.delete(topic)
  }

  #forget(topic: TopicName): Message | undefined {
    const before = this.#tree.delete(topic)
    if (before === undefined) return undefined
    this.#bytes -= before.weight
    this.#expiring.delete(topic)
    return before
  }
}

function settled(_isDurable: boolean, write: RetainedWrite): void {
  write.retained.settle(write)
}
