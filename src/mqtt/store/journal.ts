import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { HostStore, Query, Statement, WriteOutcome } from '../../core/store.ts'
import type { Delivery } from '../delivery.ts'
import type { Message } from '../message.ts'
import type { ReasonCode } from '../packet/reason-code.ts'
import type { Session } from '../session.ts'
import type { IdSource } from './ids.ts'
import {
  writeCompleted,
  writeDone,
  writeEnqueued,
  writeMessage,
  writeReceived,
  writeReleased,
  writeSent,
} from './records.ts'
import { RecordWriter } from './record-writer.ts'

/** A row of the journal grows to about this size; what comes in one commit may fill several. */
const rowBytes = 1024 * 1024
/** More than this waiting for a commit: whoever feeds the journal stops reading. */
const congestedBytes = 16 * 1024 * 1024
const congestedCallbacks = 50_000
/** A smaller journal is never compacted. */
const minCompactBytes = 8 * 1024 * 1024
const retryMs = 1000

export type Settled<C> = (isDurable: boolean, context: C) => void

/** A write of its own that goes with the batch in which it was asked for, and may fail alone. */
export class StoredOperation {
  queries: readonly Query[]
  failed = false
  readonly batch: Batch

  constructor(queries: readonly Query[], batch: Batch) {
    this.queries = queries
    this.batch = batch
  }
}

/** What happened since the last commit began, and who waits for it. */
class Batch {
  readonly journal: Journal
  readonly operations: StoredOperation[] = []
  readonly rows: Uint8Array[] = []
  rowBytes = 0
  failed = false
  /** Writes whose outcome is not known yet. */
  pending = 0
  readonly #callbacks: Settled<never>[] = []
  readonly #contexts: unknown[] = []
  readonly #needs: (StoredOperation | undefined)[] = []

  constructor(journal: Journal) {
    this.journal = journal
  }

  get waiting(): number {
    return this.#callbacks.length
  }

  add<C>(callback: Settled<C>, context: C, operation: StoredOperation | undefined): void {
    this.#callbacks.push(callback)
    this.#contexts.push(context)
    this.#needs.push(operation)
  }

  /** Calls back in order, including those that are added meanwhile. */
  settle(log: Log): void {
    for (let i = 0; i < this.#callbacks.length; i++) {
      const isDurable = !this.failed && this.#needs[i]?.failed !== true
      try {
        const callback = this.#callbacks[i] as Settled<unknown> // its own context comes back to it
        callback(isDurable, this.#contexts[i])
      } catch (error) {
        log.error({ err: error }, 'What waited for a commit failed')
      }
    }
  }
}

/**
 * What must outlive a crash beside sessions and retained messages: which message is on its way to which session, in what
 * state, and which packet identifiers clients have open. Each commit is one row of records, and a message's payload stands
 * there once, however many sessions wait for it. While one commit is under way the next gathers, so that load is grouped and
 * an idle broker answers at once.
 *
 * When the journal has grown to twice of what lives in it, what lives is written anew, bit by bit, and the old rows go.
 */
export class Journal {
  readonly #store: HostStore | undefined
  readonly #ids: IdSource
  readonly #log: Log
  readonly #clock: Clock
  readonly #sessions: ReadonlyMap<string, Session>
  readonly #insert: ((values: { id: number; records: Uint8Array }) => Statement) | undefined
  readonly #writer = new RecordWriter()
  #open: Batch = new Batch(this)
  #writing: Batch | undefined
  #settling: Batch | undefined
  #scheduled = false
  /** Rises with each compaction: messages of an earlier one have to be written again. */
  #generation = 1
  #bytes = 0
  #compactAt = minCompactBytes
  #compaction: Compaction | undefined
  /** Rows were not written, and nothing is done about it yet. */
  #lost = false
  /** As before, and the compaction that makes up for it is not over. */
  #isBehind = false
  #closed = false
  #onRelief: (() => void) | undefined
  /** Rises with everything that is written: who compares it knows whether there is something to wait for. */
  writes = 0

  /** Without a store nothing lasts, and everything is "durable" at once. */
  constructor(
    store: HostStore | undefined,
    sessions: ReadonlyMap<string, Session>,
    ids: IdSource,
    log: Log,
    clock: Clock,
  ) {
    this.#store = store
    this.#sessions = sessions
    this.#ids = ids
    this.#log = log
    this.#clock = clock
    this.#insert = store?.prepare<{ id: number; records: Uint8Array }, unknown>((parameter) =>
      store
        .table('linnet_mqtt_journal')
        .insert({ id: parameter('id'), records: parameter('records') }),
    )
  }

  /** Time for those who write to stop reading from their clients; `onRelief` tells when it is over. */
  get isCongested(): boolean {
    return (
      this.#open.rowBytes + this.#writer.length > congestedBytes ||
      this.#open.waiting > congestedCallbacks ||
      this.#store?.database.pressure.high === true
    )
  }

  /** Something of what happened is not stored: what was asked for before may have to be written once more. */
  get isBehind(): boolean {
    return this.#lost || this.#isBehind
  }

  set onRelief(listener: () => void) {
    this.#onRelief = listener
  }

  /** Says what the rows that were there at the start amount to. */
  restored(bytes: number): void {
    this.#bytes = bytes
    this.#compactAt = Math.max(minCompactBytes, bytes)
  }

  /** A message is on its way to a stored session. */
  enqueued(session: Session, delivery: Delivery): void {
    delivery.sequence = ++session.lastSequence
    this.#writeEnqueued(session, delivery)
    this.#touched()
  }

  sent(session: Session, delivery: Delivery): void {
    writeSent(this.#writer, session.id, delivery)
    this.#touched()
  }

  released(session: Session, delivery: Delivery): void {
    writeReleased(this.#writer, session.id, delivery)
    this.#touched()
  }

  done(session: Session, delivery: Delivery): void {
    writeDone(this.#writer, session.id, delivery)
    this.#touched()
  }

  received(session: Session, packetId: number, reason: ReasonCode): void {
    writeReceived(this.#writer, session.id, packetId, reason)
    this.#touched()
  }

  completed(session: Session, packetId: number): void {
    writeCompleted(this.#writer, session.id, packetId)
    this.#touched()
  }

  /** Rows of sessions and retained messages: all queries of one operation happen or none. */
  operation(...queries: readonly Query[]): StoredOperation | undefined {
    if (this.#store === undefined) return undefined
    const operation = new StoredOperation(queries, this.#open)
    this.#open.operations.push(operation)
    this.writes += 1
    this.#schedule()
    return operation
  }

  /** Puts another query in the operation's place; false when it is on its way already. */
  replace(operation: StoredOperation, query: Query): boolean {
    if (operation.batch !== this.#open) return false
    operation.queries = [query]
    this.writes += 1
    return true
  }

  /**
   * Calls back when all that was written so far is durable or has failed, in the order of the calls; at once when nothing is
   * under way. With an operation its outcome counts too. A shared function with a context costs no closure.
   */
  after<C>(callback: Settled<C>, context: C, operation?: StoredOperation): void {
    const batch = this.#isEmpty() ? (this.#writing ?? this.#settling) : this.#open
    if (batch === undefined) callback(true, context)
    else batch.add(callback, context, operation)
  }

  /** Resolves when all that was written so far is durable (true) or has failed. */
  settled(): Promise<boolean> {
    return new Promise((resolve) => this.after(resolve, undefined))
  }

  /** Commits what is there, and what could not be written before; nothing is compacted any more. */
  async close(): Promise<void> {
    if (this.isBehind && this.#compaction === undefined) {
      this.#beginCompaction()
      this.#schedule()
    }
    while (this.#compaction !== undefined && !this.#lost) await this.settled()
    this.#closed = true
    while (!this.#isEmpty() || this.#writing !== undefined) await this.settled()
  }

  #writeEnqueued(session: Session, delivery: Delivery): void {
    const { message } = delivery
    writeEnqueued(this.#writer, session.id, delivery, this.#numberOf(message))
  }

  /** Writes the message if its record is not there, or is in a row that will go. */
  #numberOf(message: Message | undefined): number {
    if (message === undefined) return 0
    if (message.journalGeneration !== this.#generation) {
      if (message.journalId === 0) message.journalId = this.#ids.next()
      message.journalGeneration = this.#generation
      writeMessage(this.#writer, message.journalId, message)
    }
    return message.journalId
  }

  #isEmpty(): boolean {
    return (
      this.#writer.length === 0 &&
      this.#open.rows.length === 0 &&
      this.#open.operations.length === 0 &&
      this.#open.waiting === 0
    )
  }

  #touched(): void {
    this.writes += 1
    if (this.#writer.length >= rowBytes) this.#cutRow()
    this.#schedule()
  }

  #cutRow(): void {
    const row = this.#writer.take()
    this.#open.rows.push(row)
    this.#open.rowBytes += row.length
  }

  #schedule(): void {
    // The end of a commit takes what has gathered meanwhile.
    if (this.#scheduled || this.#writing !== undefined || this.#settling !== undefined) return
    this.#scheduled = true
    // All that one socket read brought goes together.
    queueMicrotask(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    const store = this.#store
    if (this.#writing !== undefined || this.#isEmpty()) return
    if (this.#writer.length > 0) this.#cutRow()
    const batch = this.#open
    this.#open = new Batch(this)
    this.#writing = batch
    // Some may settle at once: the batch is not over before all have been asked for.
    batch.pending = 1
    if (store !== undefined) {
      // The rows come first and are one operation: what happened at once is there as a whole or not at all, and a will or
      // a retained message is on its way before the row goes that would bring it back after a crash.
      const rows = batch.rows.flatMap((records) => {
        const row = this.#insert?.({ id: this.#ids.next(), records })
        return row === undefined ? [] : [row]
      })
      if (rows.length > 0) {
        batch.pending += 1
        store.write(rows).after(rowsSettled, batch)
      }
      for (const operation of batch.operations) {
        batch.pending += 1
        store.write(operation.queries).after(operationSettled, operation)
      }
    }
    this.settleOne(batch)
  }

  /** For the callbacks of tickets below. */
  rowsFailed(): void {
    this.#lost = true
    // Nobody may go by a message whose record was in these rows.
    this.#generation += 1
  }

  /** For the callbacks of tickets below. */
  settleOne(batch: Batch): void {
    batch.pending -= 1
    if (batch.pending > 0) return
    if (!batch.failed) this.#bytes += batch.rowBytes
    this.#writing = undefined
    this.#settling = batch
    batch.settle(this.#log)
    this.#settling = undefined
    this.#goOn()
    if (!this.#isEmpty()) this.#flush()
    if (this.#onRelief !== undefined && !this.isCongested) this.#onRelief()
  }

  /** Begins a compaction when it is time, or takes the next step of the one under way. */
  #goOn(): void {
    if (this.#closed || this.#store === undefined) return
    if (this.#compaction !== undefined) this.#compact(this.#compaction)
    else if (this.#lost) this.#retryLater()
    else if (this.#bytes > this.#compactAt) this.#beginCompaction()
  }

  /** What a failed commit held lives on in memory: a compaction writes it again. */
  #retryLater(): void {
    this.#lost = false
    this.#isBehind = true
    this.#clock.after(retryMs, () => {
      if (this.#closed || this.#compaction !== undefined) return
      this.#beginCompaction()
      this.#schedule()
    })
  }

  #beginCompaction(): void {
    this.#generation += 1
    this.#compaction = {
      // Rows are numbered when they are written: what waits now comes after this.
      before: this.#ids.next(),
      bytes: this.#bytes,
      sessions: this.#sessions.values(),
    }
    this.#compact(this.#compaction)
  }

  #compact(compaction: Compaction): void {
    if (this.#lost) {
      // Something that was to replace the old rows is missing: they stay.
      this.#compaction = undefined
      this.#retryLater()
      return
    }
    const { sessions } = compaction
    while (this.#open.rowBytes + this.#writer.length < rowBytes) {
      const next = sessions.next()
      if (next.done === true) {
        this.#compaction = undefined
        this.after(replaced, { journal: this, compaction })
        return
      }
      this.#writeSession(next.value)
    }
    // The rest follows when this is committed.
  }

  /** For `replaced` below: all that lives stands in newer rows. */
  dropBefore({ before, bytes }: Compaction): void {
    const store = this.#store
    if (store === undefined) return
    if (!this.#lost) this.#isBehind = false
    const query = store.table('linnet_mqtt_journal').delete().where('id', '<', before)
    store.write(query).after(oldRowsDropped, this)
    this.#bytes -= bytes
    this.#compactAt = Math.max(minCompactBytes, this.#bytes * 2)
  }

  /** For the callback of a ticket below. */
  dropFailed(outcome: WriteOutcome): void {
    // They are ignored when they are read again, and go with the next compaction.
    if (!outcome.ok) this.#log.warn({ err: outcome.error }, 'Cannot delete old rows of the journal')
  }

  #writeSession(session: Session): void {
    if (!session.isStored) return
    if (this.isBehind) session.dropRefused()
    for (const delivery of session.deliveries()) {
      if (delivery.sequence > 0 && !delivery.isRefused) this.#writeEnqueued(session, delivery)
      if (this.#writer.length >= rowBytes) this.#cutRow()
    }
    for (const [packetId, reason] of session.incoming ?? []) {
      writeReceived(this.#writer, session.id, packetId, reason)
    }
  }
}

interface Compaction {
  readonly before: number
  readonly bytes: number
  readonly sessions: Iterator<Session>
}

function operationSettled(outcome: WriteOutcome, operation: StoredOperation): void {
  operation.failed = !outcome.ok
  operation.batch.journal.settleOne(operation.batch)
}

function rowsSettled(outcome: WriteOutcome, batch: Batch): void {
  if (!outcome.ok) {
    batch.failed = true
    batch.journal.rowsFailed()
  }
  batch.journal.settleOne(batch)
}

function replaced(
  isDurable: boolean,
  { journal, compaction }: { journal: Journal; compaction: Compaction },
): void {
  if (isDurable) journal.dropBefore(compaction)
}

function oldRowsDropped(outcome: WriteOutcome, journal: Journal): void {
  journal.dropFailed(outcome)
}
