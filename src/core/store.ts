import type {
  Compilable,
  DeleteQueryBuilder,
  DeleteResult,
  Expression,
  InsertObject,
  InsertQueryBuilder,
  InsertResult,
  Kysely,
  SelectQueryBuilder,
  UpdateObject,
  UpdateQueryBuilder,
  UpdateResult,
} from 'kysely'

/**
 * Row types by table. Whoever owns tables adds them beside their definition by declaration merging:
 * `declare module '../../core/store.ts' { interface Tables { linnet_x: RowOf<typeof x> } }`.
 * `server_host` never appears: the host's handle adds it to queries or leaves it out.
 */
export interface Tables {
  schema_version: { module: string; version: number }
  linnet_migration: { owner: string; version: number; title: string; applied_at: string }
}

export type TableName = keyof Tables
export type StoreDialect = 'sqlite' | 'postgres' | 'mysql'

/**
 * What is bound to a parameter or comes out of a column, the same for all dialects: booleans are booleans, `bigint` and
 * `numeric` columns numbers (a `bigint` only beyond 2^53), blobs bytes, timestamps text `YYYY-MM-DD HH:MM:SS[.ffffff]` in UTC.
 */
export type SqlValue = null | boolean | number | bigint | string | Uint8Array

/** SQL in the store's own dialect with what is bound to its placeholders; hot paths keep the text and change the values. */
export interface Statement<Row = unknown> {
  readonly sql: string
  readonly parameters: readonly unknown[]
  /** The column whose generated value the statement returns as its row, where the dialect has no `RETURNING`. */
  readonly generated?: string
  /** Only a type: what a row looks like. */
  readonly row?: Row
}

/** A Kysely builder, or what it compiled to. */
export type Query<Row = unknown> = Compilable<Row> | Statement<Row>

/**
 * Why the store could not do it. `constraint`: this operation's own fault, others of its batch went through. `full`: no
 * space. `unavailable`: no connection, locked, or lost while committing (then the outcome is unknown and counts as failure).
 * `corrupt`: the database file or a page of it cannot be read. `overloaded`: the queue's limit was reached, nothing was
 * queued. `timeout`: a transaction passed its deadline and was rolled back. `schema`: tables are not as needed. `closed`:
 * the store is closing.
 */
export type StorageErrorCode =
  | 'constraint'
  | 'full'
  | 'unavailable'
  | 'corrupt'
  | 'overloaded'
  | 'timeout'
  | 'schema'
  | 'closed'
  | 'other'

export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode

  constructor(code: StorageErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

export interface Written<Row = unknown> {
  readonly ok: true
  /** Rows inserted, changed or deleted by all statements of the operation; MySQL counts an upsert that changes as two. */
  readonly changes: number
  /** What the last statement with `RETURNING` (or a `generated` column) returned. */
  readonly rows: readonly Row[]
}

export type WriteOutcome<Row = unknown> =
  Written<Row> | { readonly ok: false; readonly error: StorageError }

/** The promise of a commit, without a promise: acknowledgements hang on it and leave in the order of the writes. */
export interface WriteTicket<Row = unknown> {
  /**
   * Calls back once, when the operation is durable or has failed, never before; callbacks of a store run in the order in
   * which the operations were queued. On a settled ticket it runs at once. A shared function with a `context` costs no closure.
   */
  after(callback: (outcome: WriteOutcome<Row>) => void): void
  after<C>(callback: (outcome: WriteOutcome<Row>, context: C) => void, context: C): void
  /** The outcome once there is one. */
  readonly outcome: WriteOutcome<Row> | undefined
  /** Resolves with the outcome, never rejects; created when first asked for. */
  readonly settled: Promise<WriteOutcome<Row>>
}

/** Inside a transaction: reads see its own writes, and a failed write throws a `StorageError` but leaves it usable. */
export interface Transaction {
  read<Row>(query: Query<Row>): Promise<readonly Row[]>
  /** The first row. */
  first<Row>(query: Query<Row>): Promise<Row | undefined>
  write<Row>(query: Query<Row>): Promise<Written<Row>>
}

export interface TransactionOptions {
  /** How long `fn` may take before it is rolled back and fails with `timeout`; other writes wait that long. Default 5 s. */
  readonly timeoutMs?: number
}

/** Stands for a value that is given when the prepared statement is used. */
export type Parameter<Values> = <Name extends keyof Values & string>(
  name: Name,
) => Expression<Values[Name]>

/** One table as this host sees it: `server_host` is added to conditions, inserts and keys where the schema has it. */
export interface HostTable<T extends TableName> {
  select(): SelectQueryBuilder<Tables, T, object>
  insert(
    values: InsertObject<Tables, T> | readonly InsertObject<Tables, T>[],
  ): InsertQueryBuilder<Tables, T, InsertResult>
  /** One row, giving back the value that the database generated for `column`, in every dialect. */
  insertReturning<Column extends keyof Tables[T] & string>(
    values: InsertObject<Tables, T>,
    column: Column,
  ): Statement<Record<Column, number>>
  /**
   * Inserts `key` and `set`, or gives the row with that `key` the values of `set`, or of `update` where they differ (for
   * instance an expression). The columns of `key` must be those of a unique key of the table (without `server_host`).
   * An empty `set` keeps the row that is there.
   */
  upsert(row: {
    key: Partial<InsertObject<Tables, T>>
    set: Partial<InsertObject<Tables, T>>
    update?: UpdateObject<Tables, T, T>
  }): Query
  update(values: UpdateObject<Tables, T, T>): UpdateQueryBuilder<Tables, T, T, UpdateResult>
  delete(): DeleteQueryBuilder<Tables, T, DeleteResult>
  count(): SelectQueryBuilder<Tables, T, { count: number }>
}

/** A database as one host sees it. All that a host's modules read and write goes through its handle. */
export interface HostStore {
  readonly host: string
  readonly database: Store
  /** Builds queries, never runs them. Join and group here; {@link scope} adds the host to it. */
  readonly db: Kysely<Tables>
  table<T extends TableName>(name: T): HostTable<T>
  /** Restricts a select, update or delete to this host for each table (or alias) named that has `server_host`. */
  scope<Q extends Scopable<Q>>(query: Q, table: TableName, alias?: string): Q
  /** Whether the database has it: ejabberd databases of an older layout miss `users.type` (docs in storage/schema/upgrade.ts). */
  hasColumn<T extends TableName>(table: T, column: keyof Tables[T] & string): boolean
  /** Sees every write of this host that was queued before. Rejects with a `StorageError`. */
  read<Row>(query: Query<Row>): Promise<readonly Row[]>
  /** The first row. */
  first<Row>(query: Query<Row>): Promise<Row | undefined>
  /**
   * Queues one operation, all of whose queries happen or none, and returns its ticket. Bytes are copied at once when they
   * are a view into something larger, so that read buffers may be reused; otherwise they belong to the store until it settles.
   */
  write<Row>(operation: Query<Row> | readonly Query<Row>[]): WriteTicket<Row>
  /**
   * Read-modify-write: `fn` runs alone inside the writer when all writes queued before have ended, and is durable when the
   * promise resolves; when it throws, all is rolled back. Use `tx` in it only: waiting there for a write or read of the
   * store itself waits for ever, that is, until the deadline.
   */
  transaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** Compiles once; the function that comes back only fills in values. For hot paths. */
  prepare<Values extends object, Row>(
    build: (parameter: Parameter<Values>) => Query<Row>,
  ): (values: Values) => Statement<Row>
  /** Brings the owner's tables up to date, once per database however many hosts ask. */
  migrate(owner: string, migrations: readonly Migration[]): Promise<void>
}

/** What `scope` needs of a builder. */
export interface Scopable<Q> {
  where(reference: Expression<string>, operator: '=', value: string): Q
}

export interface StorePressure {
  readonly operations: number
  readonly bytes: number
  /** Past half of a limit, until both are below a quarter again: time to stop reading from whoever writes. */
  readonly high: boolean
}

export interface StoreCounters {
  readonly commits: number
  readonly operations: number
  readonly failed: number
  /** Refused with `overloaded`. */
  readonly refused: number
  readonly reads: number
}

/** One database: what one connection setting leads to. Serves one host or several. */
export interface Store extends AsyncDisposable {
  readonly dialect: StoreDialect
  /** Whether ejabberd's tables have `server_host` (`sql_schema_multihost`). */
  readonly multihost: boolean
  readonly pressure: StorePressure
  readonly counters: StoreCounters
  forHost(host: string): HostStore
  /** Told when `pressure.high` changes; returns the way to stop. */
  onPressure(listener: (high: boolean) => void): () => void
  /** Brings tables up to date and returns the SQL; with `dryRun` only returns what it would run. */
  migrate(
    owner: string,
    migrations: readonly Migration[],
    options?: { readonly dryRun?: boolean },
  ): Promise<readonly string[]>
  /** Resolves when everything queued so far has ended. */
  flush(): Promise<void>
  /** A consistent copy in a new file, while the database is in use. SQLite only; others reject with `other`. */
  backup(path: string): Promise<void>
  /** Refuses new writes, commits what is queued, then closes. */
  close(): Promise<void>
}

/** A numbered step of one owner's tables. Steps run once, in order, and must bear being run again after a crash. */
export interface Migration {
  /** 1, 2, 3 … without gaps. A released step never changes. */
  readonly version: number
  readonly title: string
  /** Tables (with keys) that are created if absent. */
  readonly tables?: readonly TableSpec[]
  /** Further statements, which may change what is there: a backup is made before. */
  readonly sql?: (context: { dialect: StoreDialect; multihost: boolean }) => readonly string[]
}

export type ColumnKind =
  | 'text'
  | 'key'
  | 'short'
  | 'bigtext'
  | 'varchar'
  | 'char'
  | 'smallint'
  | 'integer'
  | 'bigint'
  | 'numeric'
  | 'boolean'
  | 'blob'
  | 'bigblob'
  | 'timestamp'
  | 'serial'

/** A column as data; `storage/schema/define.ts` has the functions that write it down with its row type. */
export interface ColumnSpec {
  readonly kind: ColumnKind
  /** Characters, for `short`, `varchar` and `char`. */
  readonly length?: number
  readonly nullable?: boolean
  readonly default?: 'now' | { readonly value: string | number | boolean }
  /** Deleting the row there deletes the row here (in MySQL too, unless `notInMysql`). */
  readonly references?: {
    readonly table: string
    readonly column: string
    readonly notInMysql?: boolean
  }
  /** MySQL's type where it is not the kind's usual one. */
  readonly mysql?: string
}

export interface KeySpec {
  readonly columns: readonly string[]
  readonly kind: 'primary' | 'unique' | 'index' | 'fulltext'
  /** MySQL's prefix lengths by column, where not the usual 191 for `text`; 0 = whole. */
  readonly prefix?: Readonly<Record<string, number>>
}

/** A table as data; `server_host` stands in it, and is left out in the single-host form unless `alwaysPerHost`. */
export interface TableSpec {
  readonly name: string
  readonly columns: Readonly<Record<string, ColumnSpec>>
  readonly keys: readonly KeySpec[]
  readonly alwaysPerHost?: boolean
}
