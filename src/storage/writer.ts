import type { Log } from '../core/log.ts'
import type { StoreCounters, StorePressure, WriteOutcome, WriteTicket } from '../core/store.ts'
import { StorageError } from '../core/store.ts'
import type { BoundStatement, Driver, StatementResult } from './driver.ts'
import { noRows } from './driver.ts'
import { weigh } from './query.ts'
import type { RunStatement } from './transaction.ts'
import { runTransaction } from './transaction.ts'

export interface WriterLimits {
  /** Operations that may wait or be under way; one more is refused. */
  readonly maxOperations: number
  readonly maxBytes: number
}

/** More would make the first wait long for its acknowledgement, and the log grow in one leap. */
const maxBatchOperations = 2000
const maxBatchBytes = 8 * 1024 * 1024

type Callback = (outcome: WriteOutcome, context: unknown) => void

/** An operation in the queue is its own ticket: one object for each, a second one only for a second callback. */
export class QueuedWrite implements WriteTicket {
  statements: readonly BoundStatement[]
  readonly bytes: number
  outcome: WriteOutcome | undefined
  #callback: Callback | undefined
  #context: unknown
  #more: { callback: Callback; context: unknown }[] | undefined
  #settled: Promise<WriteOutcome> | undefined
  readonly #log: Log

  constructor(statements: readonly BoundStatement[], bytes: number, log: Log) {
    this.statements = statements
    this.bytes = bytes
    this.#log = log
  }

  after<C>(callback: (outcome: WriteOutcome, context: C) => void, context?: C): void {
    const call = callback as Callback // its own context comes back to it
    if (this.outcome !== undefined) this.#call(call, context, this.outcome)
    else if (this.#callback === undefined) {
      this.#callback = call
      this.#context = context
    } else (this.#more ??= []).push({ callback: call, context })
  }

  get settled(): Promise<WriteOutcome> {
    this.#settled ??= new Promise((resolve) => this.after(resolve))
    return this.#settled
  }

  settle(outcome: WriteOutcome): void {
    if (this.outcome !== undefined) return
    this.outcome = outcome
    // Whoever keeps the ticket need not keep what was written.
    this.statements = []
    if (this.#callback !== undefined) this.#call(this.#callback, this.#context, outcome)
    for (const { callback, context } of this.#more ?? []) this.#call(callback, context, outcome)
    this.#callback = undefined
    this.#context = undefined
    this.#more = undefined
  }

  /** One caller's mistake must not keep the others of the batch waiting for ever. */
  #call(callback: Callback, context: unknown, outcome: WriteOutcome): void {
    try {
      callback(outcome, context)
    } catch (error) {
      this.#log.error({ err: error }, 'A callback on a write ticket failed')
    }
  }
}

/** A transaction in the queue; `run` never rejects, and resolves with what tells its caller. */
interface QueuedTransaction {
  readonly run: () => Promise<() => void>
}

type Queued = QueuedWrite | QueuedTransaction

/**
 * The one who writes: takes what is queued in order, as large a batch as has gathered while the one before committed.
 * A transaction is a batch of its own, so that a slow one holds up nobody's acknowledgement but those queued behind it.
 */
export class Writer {
  readonly #driver: Driver
  readonly #limits: WriterLimits
  readonly #log: Log
  readonly #ackBeforeCommit: boolean
  readonly #listeners = new Set<(high: boolean) => void>()
  #queue: Queued[] = []
  /** Where the queue begins: taking a batch off a long array's front would copy the rest. */
  #head = 0
  #busy = false
  #closed = false
  #operations = 0
  #bytes = 0
  #high = false
  #idle: (() => void)[] = []
  #commits = 0
  #done = 0
  #failed = 0
  #refused = 0

  constructor(driver: Driver, limits: WriterLimits, log: Log, ackBeforeCommit: boolean) {
    this.#driver = driver
    this.#limits = limits
    this.#log = log
    this.#ackBeforeCommit = ackBeforeCommit
  }

  get pressure(): StorePressure {
    return { operations: this.#operations, bytes: this.#bytes, high: this.#high }
  }

  get counters(): Omit<StoreCounters, 'reads'> {
    return {
      commits: this.#commits,
      operations: this.#done,
      failed: this.#failed,
      refused: this.#refused,
    }
  }

  onPressure(listener: (high: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Queues an operation. One that is refused settles at once. */
  write(statements: readonly BoundStatement[]): QueuedWrite {
    let bytes = 0
    for (const { values } of statements) bytes += weigh(values)
    const write = new QueuedWrite(statements, bytes, this.#log)
    const refusal = this.#refusal(bytes)
    if (refusal !== undefined) write.settle({ ok: false, error: refusal })
    else if (statements.length === 0) write.settle({ ok: true, changes: 0, rows: noRows })
    else this.#enqueue(write, bytes)
    return write
  }

  /** Runs `fn` when its turn comes. Rejects with what `fn` threw, or a `StorageError`. */
  transaction<T>(fn: (run: RunStatement) => Promise<T>, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(0)
      if (refusal !== undefined) return reject(refusal)
      const run = (): Promise<() => void> =>
        runTransaction(this.#driver, fn, timeoutMs).then(
          (value) => {
            this.#done++
            return () => resolve(value)
          },
          (error: unknown) => {
            this.#failed++
            return () => reject(error)
          },
        )
      this.#enqueue({ run }, 0)
    })
  }

  /** Runs `fn` with nobody else writing, as schema changes need it. */
  alone<T>(fn: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (): Promise<() => void> =>
        fn().then(
          (value) => () => resolve(value),
          (error: unknown) => () => reject(error),
        )
      this.#enqueue({ run }, 0)
    })
  }

  /** Resolves when all that is queued now has ended. */
  flush(): Promise<void> {
    if (!this.#busy && this.#head === this.#queue.length) return Promise.resolve()
    return this.alone(async () => {})
  }

  /** Refuses what comes from now on and waits for what is there. */
  async close(): Promise<void> {
    this.#closed = true
    while (this.#busy || this.#head < this.#queue.length) {
      await new Promise<void>((resolve) => this.#idle.push(resolve))
    }
  }

  #refusal(bytes: number): StorageError | undefined {
    if (this.#closed) return new StorageError('closed', 'The store is closed')
    const { maxOperations, maxBytes } = this.#limits
    if (this.#operations < maxOperations && this.#bytes + bytes <= maxBytes) return undefined
    this.#refused++
    return new StorageError(
      'overloaded',
      `The database cannot keep up: ${this.#operations} writes (${this.#bytes} bytes) are waiting`,
    )
  }

  #enqueue(item: Queued, bytes: number): void {
    this.#queue.push(item)
    this.#operations++
    this.#bytes += bytes
    this.#checkPressure()
    if (this.#busy) return
    this.#busy = true
    // All that one socket read brought goes together, and still leaves before the next one is looked at.
    queueMicrotask(() => this.#next())
  }

  #next(): void {
    const item = this.#queue[this.#head]
    if (item === undefined) {
      this.#queue = []
      this.#head = 0
      this.#busy = false
      for (const resolve of this.#idle.splice(0)) resolve()
      return
    }
    if (item instanceof QueuedWrite) return this.#commit(this.#takeBatch())
    this.#head++
    void item.run().then((tell) => {
      this.#commits++
      this.#release(1, 0)
      this.#next()
      tell()
    })
  }

  #takeBatch(): QueuedWrite[] {
    const batch: QueuedWrite[] = []
    let bytes = 0
    while (batch.length < maxBatchOperations && bytes < maxBatchBytes) {
      const item = this.#queue[this.#head]
      if (!(item instanceof QueuedWrite)) break
      batch.push(item)
      bytes += item.bytes
      this.#head++
    }
    // A queue that never runs empty would otherwise keep all it ever held.
    if (this.#head > 4096 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return batch
  }

  #commit(batch: readonly QueuedWrite[]): void {
    // A ticket that settles lets go of its statements, which then have to be somebody else's.
    const operations = this.#ackBeforeCommit
      ? batch.map(({ statements }) => ({ statements }))
      : batch
    const committing = this.#driver.commit(operations)
    if (this.#ackBeforeCommit)
      settleAll(
        batch,
        batch.map(() => emptyResult),
      )
    committing.then(
      (results) => {
        // The next batch is on its way before this one's callbacks run.
        this.#next()
        this.#end(batch, results)
      },
      (error: unknown) => {
        const failure = toStorageError(error)
        this.#log.error({ err: failure, operations: batch.length }, 'Cannot commit to the database')
        this.#next()
        this.#end(
          batch,
          batch.map(() => failure),
        )
      },
    )
  }

  #end(batch: readonly QueuedWrite[], results: readonly (StatementResult | StorageError)[]): void {
    this.#commits++
    let bytes = 0
    for (const write of batch) bytes += write.bytes
    this.#release(batch.length, bytes)
    for (const result of results) {
      if (result instanceof StorageError) this.#failed++
      else this.#done++
    }
    settleAll(batch, results)
  }

  #release(operations: number, bytes: number): void {
    this.#operations -= operations
    this.#bytes -= bytes
    this.#checkPressure()
  }

  #checkPressure(): void {
    const { maxOperations, maxBytes } = this.#limits
    const load = Math.max(this.#operations / maxOperations, this.#bytes / maxBytes)
    const high = this.#high ? load > 0.25 : load > 0.5
    if (high === this.#high) return
    this.#high = high
    this.#log.warn(
      { operations: this.#operations, bytes: this.#bytes },
      high ? 'The database falls behind' : 'The database has caught up',
    )
    for (const listener of this.#listeners) listener(high)
  }
}

const emptyResult: StatementResult = { changes: 0, rows: noRows }

function settleAll(
  batch: readonly QueuedWrite[],
  results: readonly (StatementResult | StorageError)[],
): void {
  for (let i = 0; i < batch.length; i++) {
    const result = results[i] ?? new StorageError('other', 'The driver gave no result')
    batch[i]?.settle(
      result instanceof StorageError
        ? { ok: false, error: result }
        : { ok: true, changes: result.changes, rows: result.rows },
    )
  }
}

export function toStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  return new StorageError('other', error instanceof Error ? error.message : String(error), error)
}
