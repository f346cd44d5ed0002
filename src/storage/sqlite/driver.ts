import { open, rename, rm } from 'node:fs/promises'
import type { Log } from '../../core/log.ts'
import { StorageError } from '../../core/store.ts'
import type {
  BoundStatement,
  Driver,
  DriverTransaction,
  Operation,
  Row,
  StatementResult,
} from '../driver.ts'
import { prepareFile, sizeOf } from './file.ts'
import type { WorkerSettings } from './protocol.ts'
import type { StartWorker } from './thread.ts'
import { startWorker, Thread } from './thread.ts'

export interface SqliteSettings {
  readonly file: string
  /** Connections: the first writes, the others read beside it. With one, a single thread does both. */
  readonly poolSize: number
  readonly synchronous: 'full' | 'off'
  readonly maxPages?: number | undefined
  readonly busyTimeoutMs?: number
}

/** Another process (ejabberd, a shell) may hold the file's lock that long. */
const defaultBusyTimeoutMs = 10_000

/** SQLite in threads of its own. */
export class SqliteDriver implements Driver {
  readonly dialect = 'sqlite'
  readonly #settings: WorkerSettings
  readonly #log: Log
  readonly #start: StartWorker
  readonly #writer: Thread
  readonly #readers: readonly Thread[]

  private constructor(settings: WorkerSettings, poolSize: number, log: Log, start: StartWorker) {
    this.#settings = settings
    this.#log = log
    this.#start = start
    this.#writer = new Thread({ ...settings, write: true, read: poolSize === 1 }, log, start)
    this.#readers =
      poolSize === 1
        ? [this.#writer]
        : Array.from(
            { length: poolSize - 1 },
            () => new Thread({ ...settings, read: true, check: false }, log, start),
          )
  }

  /** Opens the file, making it if it is not there; rejects with `corrupt` when it is no database or damaged. */
  static async open(
    settings: SqliteSettings,
    log: Log,
    start: StartWorker = startWorker,
  ): Promise<SqliteDriver> {
    const check = await prepareFile(settings.file)
    const driver = new SqliteDriver(
      {
        file: settings.file,
        write: false,
        read: false,
        synchronous: settings.synchronous,
        busyTimeoutMs: settings.busyTimeoutMs ?? defaultBusyTimeoutMs,
        maxPages: settings.maxPages,
        check,
        copyTo: undefined,
      },
      settings.poolSize,
      log,
      start,
    )
    try {
      // The writer first: it switches a new file to WAL, which nobody else may hold open then.
      await driver.#writer.open()
      for (const reader of driver.#readers) await reader.open()
    } catch (error) {
      await driver.close()
      if (!(error instanceof StorageError)) throw error
      const message = `Cannot open database "${settings.file}": ${error.message}`
      throw new StorageError(error.code, message, error)
    }
    return driver
  }

  get file(): string {
    return this.#settings.file
  }

  commit(operations: readonly Operation[]): Promise<readonly (StatementResult | StorageError)[]> {
    return this.#writer.commit(operations)
  }

  async begin(): Promise<DriverTransaction> {
    const writer = this.#writer
    await writer.request({ kind: 'begin' })
    return {
      run: (statement) => writer.run(statement),
      async commit() {
        await writer.request({ kind: 'end', commit: true })
      },
      rollback: async () => {
        try {
          await writer.request({ kind: 'end', commit: false })
        } catch (error) {
          this.#log.warn({ err: error }, 'Cannot roll back')
        }
      },
    }
  }

  read(statement: BoundStatement): Promise<readonly Row[]> {
    const [first, ...others] = this.#readers
    if (first === undefined) throw new Error('A SQLite store has at least one reader')
    let best = first
    for (const reader of others) if (reader.pending < best.pending) best = reader
    return best.read(statement)
  }

  /** Nothing to do: each schema change takes the file's write lock, and finds what others did before. */
  exclusively<T>(fn: () => Promise<T>): Promise<T> {
    return fn()
  }

  forgetStatements(): void {
    this.#writer.forgetStatements()
    for (const reader of this.#readers) reader.forgetStatements()
  }

  async backup(path: string): Promise<void> {
    if ((await sizeOf(path)) !== undefined) {
      throw new StorageError('other', `Cannot write backup "${path}": it exists`)
    }
    // Under another name until it is whole and on the disk. VACUUM INTO takes an empty file, so that nobody else ever reads it.
    const partial = `${path}.partial`
    await rm(partial, { force: true })
    const file = await open(partial, 'wx', 0o600)
    try {
      await new Thread({ ...this.#settings, copyTo: partial }, this.#log, this.#start).open()
      await file.sync()
      await rename(partial, path)
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    } finally {
      await file.close()
    }
  }

  async close(): Promise<void> {
    // The writer last, so that it finds itself alone and empties the write-ahead log into the file.
    for (const reader of this.#readers) if (reader !== this.#writer) await reader.close()
    await this.#writer.close()
  }
}
