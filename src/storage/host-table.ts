import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { HostTable, Query, Statement, StoreDialect, TableName, Tables } from '../core/store.ts'
import { StorageError } from '../core/store.ts'
import type { Layout, TableLayout } from './schema/inspect.ts'
import { uniqueKeyOf } from './schema/inspect.ts'

type Values = Record<string, unknown>
/** The tables as Kysely sees them in here, where only the caller's types know which table it is. */
type AnyTables = Record<string, Values>

/** Where a host's queries go. */
export interface HostScope {
  readonly host: string
  readonly dialect: StoreDialect
  readonly db: Kysely<Tables>
  readonly layout: () => Layout
}

export function layoutOf(scope: HostScope, table: string): TableLayout {
  const found = scope.layout().get(table)
  if (found === undefined) throw new StorageError('schema', `The database has no table "${table}"`)
  return found
}

/** The column by which rows of the table belong to a host, if it has one. */
export function hostColumn(scope: HostScope, table: string, alias: string = table) {
  if (!layoutOf(scope, table).columns.has('server_host')) return undefined
  return sql.ref<string>(`${alias}.server_host`)
}

export function createHostTable<T extends TableName>(scope: HostScope, table: T): HostTable<T> {
  // Built over tables of any kind; the caller's type says which one it is.
  return createAnyTable(scope, table) as unknown as HostTable<T>
}

function createAnyTable(scope: HostScope, name: string) {
  const { host, dialect } = scope
  const db = scope.db as unknown as Kysely<AnyTables>
  const layout = layoutOf(scope, name)
  const belongs = layout.columns.has('server_host')
  const column = sql.ref<string>(`${name}.server_host`)

  const owned = (values: Values): Values => (belongs ? { ...values, server_host: host } : values)
  const select = () => {
    const query = db.selectFrom(name)
    return belongs ? query.where(column, '=', host) : query
  }
  const insert = (values: Values | readonly Values[]) =>
    db.insertInto(name).values(Array.isArray(values) ? values.map(owned) : owned(values as Values))

  const upsert = (row: { key: Values; set: Values; update?: Values }): Query => {
    const keyNames = Object.keys(row.key)
    const key = uniqueKeyOf(layout, keyNames)
    if (key === undefined) {
      throw new StorageError('schema', `Table "${name}" has no unique key (${keyNames.join(', ')})`)
    }
    const query = insert({ ...row.key, ...row.set })
    const changed = Object.keys(row.set)
    if (dialect === 'mysql') {
      const update: Record<string, unknown> = Object.fromEntries(
        changed.map((column) => [column, sql`values(${sql.ref(column)})`]),
      )
      // There is no DO NOTHING; INSERT IGNORE would swallow other errors too.
      const nothing = Object.fromEntries(keyNames.map((column) => [column, sql.ref(column)]))
      const all = { ...update, ...row.update }
      return query.onDuplicateKeyUpdate(Object.keys(all).length > 0 ? all : nothing)
    }
    const update: Record<string, unknown> = Object.fromEntries(
      changed.map((column) => [column, sql.ref(`excluded.${column}`)]),
    )
    const all = { ...update, ...row.update }
    return query.onConflict((conflict) => {
      const target = conflict.columns([...key])
      return Object.keys(all).length > 0 ? target.doUpdateSet(all) : target.doNothing()
    })
  }

  return {
    select,
    insert,
    insertReturning(values: Values, generated: string): Statement {
      if (dialect === 'mysql') {
        const { sql: text, parameters } = insert(values).compile()
        return { sql: text, parameters, generated }
      }
      return insert(values).returning(generated).compile()
    },
    upsert,
    update(values: Values) {
      const query = db.updateTable(name).set(values)
      return belongs ? query.where(column, '=', host) : query
    },
    delete() {
      const query = db.deleteFrom(name)
      return belongs ? query.where(column, '=', host) : query
    },
    count: () => select().select(db.fn.countAll<number>().as('count')),
  }
}
