import type { Kysely } from 'kysely'
import type {
  StorageError,
  HostStore,
  HostTable,
  Migration,
  Parameter,
  Query,
  Scopable,
  Statement,
  Store,
  TableName,
  Tables,
  Transaction,
  TransactionOptions,
  Written,
  WriteTicket,
} from '../core/store.ts'
import type { BoundStatement, Driver, Row } from './driver.ts'
import type { HostScope } from './host-table.ts'
import { createHostTable, hostColumn, layoutOf } from './host-table.ts'
import { bind, prepareStatement } from './query.ts'
import type { Layout } from './schema/inspect.ts'
import type { RunStatement } from './transaction.ts'
import type { QueuedWrite, Writer } from './writer.ts'

/** Longer than any sane transaction, shorter than people's patience. */
const defaultTransactionTimeoutMs = 5000

/** What the hosts of one database share. */
export interface HostContext {
  readonly store: Store
  readonly driver: Driver
  readonly writer: Writer
  readonly db: Kysely<Tables>
  readonly layout: () => Layout
  /** Counts a read, or says why there can be none. */
  readonly startRead: () => StorageError | undefined
  readonly endRead: () => void
}

export class SqlHostStore implements HostStore {
  readonly host: string
  readonly #context: HostContext
  readonly #scope: HostScope
  readonly #tables = new Map<string, { layout: Layout; table: unknown }>()
  /** The last of this host's writes: what a read waits for. */
  #last: QueuedWrite | Promise<unknown> | undefined

  constructor(host: string, context: HostContext) {
    this.host = host
    this.#context = context
    this.#scope = {
      host,
      dialect: context.driver.dialect,
      db: context.db,
      layout: context.layout,
    }
  }

  get database(): Store {
    return this.#context.store
  }

  get db(): Kysely<Tables> {
    return this.#context.db
  }

  table<T extends TableName>(name: T): HostTable<T> {
    const layout = this.#context.layout()
    const found = this.#tables.get(name)
    if (found?.layout === layout) return found.table as HostTable<T> // kept under its own name
    const table = createHostTable(this.#scope, name)
    this.#tables.set(name, { layout, table })
    return table
  }

  scope<Q extends Scopable<Q>>(query: Q, table: TableName, alias?: string): Q {
    const column = hostColumn(this.#scope, table, alias)
    return column === undefined ? query : query.where(column, '=', this.host)
  }

  hasColumn<T extends TableName>(table: T, column: keyof Tables[T] & string): boolean {
    return layoutOf(this.#scope, table).columns.has(column)
  }

  async read<R>(query: Query<R>): Promise<readonly R[]> {
    const statement = bind(query, this.#scope.dialect)
    const refusal = this.#context.startRead()
    if (refusal !== undefined) throw refusal
    try {
      if (this.#last !== undefined) await this.#lastWrite(this.#last)
      return rowsAs<R>(await this.#context.driver.read(statement))
    } finally {
      this.#context.endRead()
    }
  }

  async first<R>(query: Query<R>): Promise<R | undefined> {
    return (await this.read(query))[0]
  }

  write<R>(operation: Query<R> | readonly Query<R>[]): WriteTicket<R> {
    const { dialect } = this.#scope
    const statements: BoundStatement[] = isQuery(operation)
      ? [bind(operation, dialect)]
      : operation.map((query) => bind(query, dialect))
    const write = this.#context.writer.write(statements)
    if (write.outcome === undefined) this.#last = write
    return write as unknown as WriteTicket<R> // the rows are what the query's type says
  }

  transaction<T>(
    fn: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    const result = this.#context.writer.transaction(
      (run) => fn(this.#transactionOver(run)),
      options.timeoutMs ?? defaultTransactionTimeoutMs,
    )
    this.#last = result
    return result
  }

  prepare<Values extends object, R>(
    build: (parameter: Parameter<Values>) => Query<R>,
  ): (values: Values) => Statement<R> {
    return prepareStatement(build)
  }

  async migrate(owner: string, migrations: readonly Migration[]): Promise<void> {
    await this.#context.store.migrate(owner, migrations)
  }

  async #lastWrite(last: QueuedWrite | Promise<unknown>): Promise<void> {
    // Whether it went well is for those who wrote to know.
    if ('settled' in last) {
      if (last.outcome === undefined) await last.settled
    } else await last.catch(() => undefined)
    if (this.#last === last) this.#last = undefined
  }

  #transactionOver(run: RunStatement): Transaction {
    const { dialect } = this.#scope
    const read = async <R>(query: Query<R>): Promise<readonly R[]> =>
      rowsAs<R>((await run(bind(query, dialect))).rows)
    return {
      read,
      first: async (query) => (await read(query))[0],
      async write<R>(query: Query<R>): Promise<Written<R>> {
        const { changes, rows } = await run(bind(query, dialect))
        return { ok: true, changes, rows: rowsAs<R>(rows) }
      },
    }
  }
}

function isQuery<R>(operation: Query<R> | readonly Query<R>[]): operation is Query<R> {
  return !Array.isArray(operation)
}

/** Rows get their type from the query that asked for them, as everywhere in Kysely. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it is what the function is for
function rowsAs<R>(rows: readonly Row[]): readonly R[] {
  return rows as unknown as readonly R[]
}
