import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { StorageError } from '../../core/store.ts'
import type { Log } from '../../core/log.ts'
import type { BoundStatement, Operation, Row, StatementResult } from '../driver.ts'
import { noRows } from '../driver.ts'
import { storageError } from './failure.ts'
import type {
  PackedOperations,
  PackedRows,
  WorkerRequest,
  WorkerResponse,
  WorkerSettings,
} from './protocol.ts'

type Answer = Extract<WorkerResponse, { ok: true }>

/** What `Thread.request` takes: a request without what the thread's handle adds itself. */
type Content = WorkerRequest extends infer Request
  ? Request extends WorkerRequest
    ? Omit<Request, 'id' | 'texts' | 'forget'>
    : never
  : never

interface Waiting {
  resolve(answer: Answer): void
  reject(error: StorageError): void
}

/** Texts that the thread is asked to remember before all are dropped: modules have a few hundred, so more means made-up SQL. */
const maxTexts = 2000

/** Beside this file, `.ts` in a checkout and `.js` in a build. */
const script = new URL(`./worker${extname(import.meta.url)}`, import.meta.url)

/** Starts a thread; tests put their own in to get hold of it. */
export type StartWorker = (settings: WorkerSettings) => Worker

export const startWorker: StartWorker = (settings) =>
  new Worker(script, { workerData: settings, name: 'storage' })

/** The near side of a storage thread. A thread that dies fails what it was doing and is started again by the next request. */
export class Thread {
  readonly #settings: WorkerSettings
  readonly #log: Log
  readonly #start: StartWorker
  readonly #waiting = new Map<number, Waiting>()
  readonly #numbers = new Map<string, number>()
  #worker: Promise<Worker> | undefined
  /** The thread that counts; what an earlier one still says about its end does not. */
  #current: Worker | undefined
  #texts: string[] = []
  #forget = false
  #lastId = 0
  #closed = false

  readonly #reads: {
    statement: BoundStatement
    resolve(rows: readonly Row[]): void
    reject(error: unknown): void
  }[] = []
  #reading = false

  constructor(settings: WorkerSettings, log: Log, start: StartWorker = startWorker) {
    this.#settings = settings
    this.#log = log
    this.#start = start
  }

  /** Requests without an answer yet. */
  get pending(): number {
    return this.#waiting.size + this.#reads.length
  }

  /** Starts the thread; rejects with a `StorageError` when the file cannot be opened. */
  async open(): Promise<void> {
    await this.#running()
  }

  async request(content: Content): Promise<Answer> {
    const worker = await this.#running()
    return this.#send(worker, content)
  }

  /** Commits in one message there and one back. */
  async commit(
    operations: readonly Operation[],
  ): Promise<readonly (StatementResult | StorageError)[]> {
    const worker = await this.#running()
    const answer = await this.#send(worker, { kind: 'commit', operations: this.#pack(operations) })
    return unpack(answer)
  }

  /** Runs one statement in the transaction that `begin` opened. */
  async run(statement: BoundStatement): Promise<StatementResult> {
    const worker = await this.#running()
    const operations = this.#pack([{ statements: [statement] }])
    const result = unpack(await this.#send(worker, { kind: 'run', operations }))[0]
    if (result === undefined) throw noAnswer()
    if (result instanceof StorageError) throw result
    return result
  }

  /** Reads asked for while others are under way go over together. */
  read(statement: BoundStatement): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      this.#reads.push({ statement, resolve, reject })
      if (this.#reading) return
      this.#reading = true
      queueMicrotask(() => void this.#readAll())
    })
  }

  forgetStatements(): void {
    this.#forget = true
    this.#numbers.clear()
    this.#texts = []
  }

  async close(): Promise<void> {
    this.#closed = true
    const worker = await this.#worker?.catch(() => undefined)
    if (worker === undefined) return
    const ended = new Promise((resolve) => worker.once('exit', resolve))
    await this.#send(worker, { kind: 'close' })
    await ended
  }

  async #readAll(): Promise<void> {
    while (this.#reads.length > 0) {
      const reads = this.#reads.splice(0)
      try {
        const worker = await this.#running()
        const operations = this.#pack(reads.map(({ statement }) => ({ statements: [statement] })))
        const results = unpack(await this.#send(worker, { kind: 'read', operations }))
        for (const [i, read] of reads.entries()) {
          const result = results[i]
          if (result === undefined) read.reject(noAnswer())
          else if (result instanceof StorageError) read.reject(result)
          else read.resolve(result.rows)
        }
      } catch (error) {
        for (const read of reads) read.reject(error)
      }
    }
    this.#reading = false
  }

  #running(): Promise<Worker> {
    this.#worker ??= this.#launch()
    return this.#worker
  }

  async #launch(): Promise<Worker> {
    if (this.#closed) throw new StorageError('closed', 'The store is closed')
    // The new thread knows no texts yet.
    this.#numbers.clear()
    this.#texts = []
    this.#forget = false
    const worker = this.#start(this.#settings)
    this.#current = worker
    const opened = new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(0, { resolve, reject })
    })
    worker.on('message', (response: WorkerResponse) => {
      const waiting = this.#waiting.get(response.id)
      this.#waiting.delete(response.id)
      if (response.ok) waiting?.resolve(response)
      else waiting?.reject(storageError(response.failure))
    })
    worker.on('error', (error) => {
      this.#log.error({ err: error, file: this.#settings.file }, 'The storage thread failed')
    })
    worker.on('exit', () => {
      if (this.#current !== worker) return
      this.#worker = undefined
      if (this.#waiting.size === 0) return
      this.#log.error(
        { file: this.#settings.file, pending: this.#waiting.size },
        'The storage thread ended with work under way, all of which failed',
      )
      const waiting = [...this.#waiting.values()]
      this.#waiting.clear()
      for (const { reject } of waiting) {
        reject(new StorageError('unavailable', 'The storage thread ended'))
      }
    })
    try {
      await opened
    } catch (error) {
      this.#current = undefined
      this.#worker = undefined
      throw error
    }
    return worker
  }

  #send(worker: Worker, content: Content): Promise<Answer> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      const request: WorkerRequest = {
        ...content,
        id,
        ...(this.#texts.length > 0 && { texts: this.#texts }),
        ...(this.#forget && { forget: true }),
      }
      this.#texts = []
      this.#forget = false
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window's
      worker.postMessage(request)
    })
  }

  #pack(operations: readonly Operation[]): PackedOperations {
    if (this.#numbers.size >= maxTexts) this.forgetStatements()
    const packed: PackedOperations = []
    for (const { statements } of operations) {
      packed.push(statements.length)
      for (const { sql, values } of statements) {
        let number = this.#numbers.get(sql)
        if (number === undefined) {
          number = this.#numbers.size
          this.#numbers.set(sql, number)
          this.#texts.push(sql)
        }
        packed.push(number, values.length)
        for (const value of values) packed.push(value)
      }
    }
    return packed
  }
}

function noAnswer(): StorageError {
  return new StorageError('other', 'The storage thread gave no result')
}

function unpack(answer: Answer): (StatementResult | StorageError)[] {
  const results: (StatementResult | StorageError)[] = answer.changes.map((changes) => ({
    changes,
    rows: noRows,
  }))
  for (const [operation, failure] of answer.failures ?? []) {
    results[operation] = storageError(failure)
  }
  for (const [operation, rows] of answer.rows ?? []) {
    const changes = answer.changes[operation] ?? 0
    results[operation] = { changes, rows: unpackRows(rows) }
  }
  return results
}

function unpackRows([columns, values]: PackedRows): Row[] {
  const rows: Row[] = []
  for (let at = 0; at < values.length; at += columns.length) {
    const row: Record<string, Row[string]> = {}
    for (let i = 0; i < columns.length; i++) row[columns[i] ?? ''] = values[at + i] ?? null
    rows.push(row)
  }
  return rows
}
