import type { DatabaseConnection, Dialect, Driver as KyselyDriver, Expression } from 'kysely'
import {
  Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Parameter, Query, SqlValue, Statement, StoreDialect, Tables } from '../core/store.ts'
import type { BoundStatement } from './driver.ts'

/** Builds and compiles for the dialect; running a query on it throws, because all goes through the store. */
export function createBuilder(dialect: StoreDialect): Kysely<Tables> {
  const createDriver = (): KyselyDriver => new NoDriver()
  const dialects: Record<StoreDialect, Dialect> = {
    sqlite: {
      createAdapter: () => new SqliteAdapter(),
      createQueryCompiler: () => new SqliteQueryCompiler(),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createDriver,
    },
    postgres: {
      createAdapter: () => new PostgresAdapter(),
      createQueryCompiler: () => new PostgresQueryCompiler(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createDriver,
    },
    mysql: {
      createAdapter: () => new MysqlAdapter(),
      createQueryCompiler: () => new MysqlQueryCompiler(),
      createIntrospector: (db) => new MysqlIntrospector(db),
      createDriver,
    },
  }
  return new Kysely<Tables>({ dialect: dialects[dialect] })
}

class NoDriver implements KyselyDriver {
  async init(): Promise<void> {}
  acquireConnection(): Promise<DatabaseConnection> {
    return Promise.reject(
      new Error('Queries are run by the store: pass this one to read() or write()'),
    )
  }
  async beginTransaction(): Promise<void> {}
  async commitTransaction(): Promise<void> {}
  async rollbackTransaction(): Promise<void> {}
  async releaseConnection(): Promise<void> {}
  async destroy(): Promise<void> {}
}

/** What a query will run, with values that a driver can send as they are. */
export function bind(query: Query, dialect: StoreDialect): BoundStatement {
  const {
    sql: text,
    parameters,
    generated,
  }: Statement = 'compile' in query ? query.compile() : query
  const values: SqlValue[] = Array.from({ length: parameters.length })
  for (let i = 0; i < parameters.length; i++) values[i] = bindValue(parameters[i], dialect)
  return { sql: text, values, generated }
}

function bindValue(value: unknown, dialect: StoreDialect): SqlValue {
  if (typeof value === 'string' || typeof value === 'number' || value === null) return value
  if (typeof value === 'boolean') return dialect === 'postgres' ? value : value ? 1 : 0
  if (typeof value === 'bigint') return value
  if (value instanceof Uint8Array) {
    // A view belongs to somebody's larger buffer, who may use it again before the batch leaves.
    return value.byteLength === value.buffer.byteLength ? value : new Uint8Array(value)
  }
  throw new TypeError(`Cannot bind a value of type ${describe(value)}`)
}

function describe(value: unknown): string {
  return typeof value === 'object' && value !== null ? value.constructor.name : typeof value
}

/** What a statement's values weigh in the queue. */
export function weigh(values: readonly SqlValue[]): number {
  let bytes = 64
  for (const value of values) {
    if (typeof value === 'string') bytes += value.length + 8
    else if (value instanceof Uint8Array) bytes += value.byteLength + 64
    else bytes += 8
  }
  return bytes
}

/** Compiles once with marks in place of the values. */
export function prepareStatement<Values extends object, Row>(
  build: (parameter: Parameter<Values>) => Query<Row>,
): (values: Values) => Statement<Row> {
  class Mark {
    readonly name: keyof Values & string
    constructor(name: keyof Values & string) {
      this.name = name
    }
  }
  const parameter = <Name extends keyof Values & string>(name: Name): Expression<Values[Name]> =>
    sql<Values[Name]>`${new Mark(name)}`
  const query = build(parameter)
  const compiled: Statement<Row> = 'compile' in query ? query.compile() : query
  const { sql: text, parameters: template, generated } = compiled
  return (values) => {
    const parameters: unknown[] = template.map((value) =>
      value instanceof Mark ? Reflect.get(values, value.name) : value,
    )
    return generated === undefined
      ? { sql: text, parameters }
      : { sql: text, parameters, generated }
  }
}
