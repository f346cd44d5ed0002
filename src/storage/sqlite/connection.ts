import type { StatementSync } from 'node:sqlite'
import { DatabaseSync } from 'node:sqlite'
import type { SqlValue } from '../../core/store.ts'
import type { Failure, PackedOperations, PackedRows, WorkerSettings } from './protocol.ts'

interface Prepared {
  readonly statement: StatementSync
  readonly columns: readonly string[]
  /** Positions of boolean columns: SQLite itself has only numbers. */
  readonly booleans: readonly number[]
}

interface Outcome {
  readonly changes: number[]
  readonly failures: [number, Failure][]
  readonly rows: [number, PackedRows][]
}

/** One SQLite connection inside the storage thread, with its prepared statements by number. */
export class Connection {
  readonly #db: DatabaseSync
  readonly #prepared: (Prepared | undefined)[] = []

  constructor(settings: WorkerSettings, kind: 'write' | 'read' | 'copy') {
    this.#db = new DatabaseSync(settings.file, { timeout: settings.busyTimeoutMs })
    if (kind === 'write') {
      // In WAL mode a commit is one write and one fsync, and readers never wait for it.
      this.#db.exec('PRAGMA journal_mode = WAL')
      this.#db.exec('PRAGMA journal_size_limit = 67108864')
      // The log goes into the file every 16 MiB, not every 4: a page that changes often is copied less often. With room for
      // the inner pages of ejabberd's many indexes, this halves the time of a row in a large archive.
      this.#db.exec('PRAGMA wal_autocheckpoint = 4000')
      this.#db.exec('PRAGMA cache_size = -16384')
    } else if (kind === 'read') this.#db.exec('PRAGMA query_only = ON')
    this.#db.exec(`PRAGMA synchronous = ${settings.synchronous.toUpperCase()}`)
    this.#db.exec('PRAGMA foreign_keys = ON')
    if (settings.maxPages !== undefined) {
      this.#db.exec(`PRAGMA max_page_count = ${settings.maxPages}`)
    }
    // Reads the header and the schema: a file that is no database, or a damaged one, shows here and not in the first query.
    this.#db.prepare('SELECT count(*) FROM sqlite_schema').get()
    if (kind === 'write' && settings.check) this.#check()
  }

  #check(): void {
    const row = this.#db.prepare('PRAGMA quick_check(1)').get()
    const found = Object.values(row ?? {})[0]
    if (found !== 'ok') throw Object.assign(new Error(String(found)), { errcode: sqliteCorrupt })
  }

  forget(): void {
    this.#prepared.length = 0
  }

  close(): void {
    this.#db.close()
  }

  /** A consistent copy, without keeping anybody from writing. */
  copyTo(path: string): void {
    this.#db.prepare('VACUUM INTO ?').run(path)
  }

  /** Runs all in one transaction; throws when it could not be committed. */
  commit(texts: readonly string[], operations: PackedOperations): Outcome {
    this.begin()
    try {
      const outcome = this.#runAll(texts, operations, true)
      this.end(true)
      return outcome
    } catch (error) {
      this.#rollback()
      throw error
    }
  }

  /** Runs single statements outside of any transaction. */
  read(texts: readonly string[], operations: PackedOperations): Outcome {
    return this.#runAll(texts, operations, false)
  }

  begin(): void {
    this.#db.exec('BEGIN IMMEDIATE')
  }

  end(commit: boolean): void {
    if (!commit) return this.#rollback()
    try {
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#rollback()
      throw error
    }
  }

  #rollback(): void {
    // After some errors (disk full, I/O) SQLite has rolled back by itself.
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
  }

  /** Runs statements inside the transaction that `begin` opened. */
  run(texts: readonly string[], operations: PackedOperations): Outcome {
    // SQLite may have rolled back by itself; what follows must not commit on its own.
    if (!this.#db.isTransaction) throw new Error('No transaction is open')
    return this.#runAll(texts, operations, true)
  }

  #runAll(texts: readonly string[], packed: PackedOperations, inTransaction: boolean): Outcome {
    const outcome: Outcome = { changes: [], failures: [], rows: [] }
    let at = 0
    for (let operation = 0; at < packed.length; operation++) {
      const statements = Number(packed[at++])
      // SQLite undoes a failed statement alone, so that only several need a savepoint.
      const savepoint = inTransaction && statements > 1
      if (savepoint) this.#db.exec('SAVEPOINT operation')
      let changes = 0
      let rows: PackedRows | undefined
      let failure: Failure | undefined
      for (let i = 0; i < statements; i++) {
        const prepared = Number(packed[at])
        const end = at + 2 + Number(packed[at + 1])
        const values = packed.slice(at + 2, end)
        at = end
        if (failure !== undefined) continue
        try {
          const result = this.#runOne(prepared, texts[prepared], values)
          if (typeof result === 'number') changes += result
          else {
            rows = result.rows
            changes += result.changes
          }
        } catch (error) {
          if (inTransaction && !this.#db.isTransaction) throw error
          failure = failureOf(error)
        }
      }
      if (savepoint) {
        if (failure !== undefined) this.#db.exec('ROLLBACK TO operation')
        this.#db.exec('RELEASE operation')
      }
      outcome.changes.push(failure === undefined ? changes : -1)
      if (failure !== undefined) outcome.failures.push([operation, failure])
      else if (rows !== undefined) outcome.rows.push([operation, rows])
    }
    return outcome
  }

  /** Rows changed, with the rows where the statement returns any. */
  #runOne(
    number: number,
    text: string | undefined,
    values: readonly SqlValue[],
  ): number | { readonly changes: number; readonly rows: PackedRows } {
    if (text === undefined) throw new Error(`Statement ${number} was never sent`)
    const { statement, columns, booleans } = this.#prepare(number, text)
    // Booleans became numbers when the values were bound.
    const bound = values as readonly (string | number | bigint | Uint8Array | null)[]
    if (columns.length === 0) return Number(statement.run(...bound).changes)
    // Arrays, by setReturnArrays below.
    const rows = statement.all(...bound) as unknown as SqlValue[][]
    const flat: SqlValue[] = []
    for (const row of rows) {
      for (const position of booleans) row[position] = toBoolean(row[position] ?? null)
      for (const value of row) flat.push(value)
    }
    return { changes: rows.length, rows: [columns, flat] }
  }

  #prepare(number: number, text: string): Prepared {
    const found = this.#prepared[number]
    if (found !== undefined) return found
    const statement = this.#db.prepare(text)
    const described = statement.columns()
    if (described.length > 0) statement.setReturnArrays(true)
    const prepared: Prepared = {
      statement,
      columns: described.map((column) => column.name),
      booleans: described.flatMap(({ type }, position) =>
        type?.toLowerCase() === 'boolean' ? [position] : [],
      ),
    }
    this.#prepared[number] = prepared
    return prepared
  }
}

function toBoolean(value: SqlValue): SqlValue {
  return value === null ? null : value !== 0
}

const sqliteError = 1
const sqliteCorrupt = 11

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return [sqliteError, String(error)]
  const code: unknown = 'errcode' in error ? error.errcode : undefined
  return [typeof code === 'number' ? code : sqliteError, error.message]
}
