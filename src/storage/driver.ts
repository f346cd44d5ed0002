import type { SqlValue, StorageError, StoreDialect } from '../core/store.ts'

/** SQL with values that the driver sends as they are. */
export interface BoundStatement {
  readonly sql: string
  readonly values: readonly SqlValue[]
  readonly generated?: string | undefined
}

export type Row = Readonly<Record<string, SqlValue>>

export interface StatementResult {
  readonly changes: number
  readonly rows: readonly Row[]
}

/** The statements of one operation: all or none. */
export interface Operation {
  readonly statements: readonly BoundStatement[]
}

/** One open database transaction on the writing connection. */
export interface DriverTransaction {
  /** A failed statement rejects with a `StorageError` and is undone alone. */
  run(statement: BoundStatement): Promise<StatementResult>
  commit(): Promise<void>
  /** Never rejects: where it cannot be sent, the connection is gone and the transaction with it. */
  rollback(): Promise<void>
}

/** What a dialect adds to the store. The store calls `commit` and `begin` one at a time, `read` at any time. */
export interface Driver {
  readonly dialect: StoreDialect
  /**
   * Runs the operations in order in one transaction and commits it. Resolves when they are durable, with a result or an
   * error for each; rejects with a `StorageError` when none of them counts.
   */
  commit(operations: readonly Operation[]): Promise<readonly (StatementResult | StorageError)[]>
  begin(): Promise<DriverTransaction>
  read(statement: BoundStatement): Promise<readonly Row[]>
  /** Keeps other processes from changing the schema while `fn` runs. */
  exclusively<T>(fn: () => Promise<T>): Promise<T>
  /** Forgets prepared statements, after the schema has changed. */
  forgetStatements(): void
  backup(path: string): Promise<void>
  close(): Promise<void>
}

export const noRows: readonly Row[] = []
