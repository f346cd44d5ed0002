import type { ColumnType, Generated } from 'kysely'
import type { ColumnKind, ColumnSpec, KeySpec, TableSpec } from '../../core/store.ts'

/** A column with the type that its values have in a row. */
export interface Column<T> extends ColumnSpec {
  /** Only a type. */
  readonly value?: T
}

export interface Table<Columns extends Record<string, Column<unknown>>> extends TableSpec {
  readonly columns: Columns
}

type ValueOf<C> = C extends Column<infer T> ? T : never

/** The Kysely row type of a table: all columns but `server_host`, which queries never name. */
export type RowOf<T extends TableSpec> = {
  [Name in Exclude<keyof T['columns'], 'server_host'>]: ValueOf<T['columns'][Name]>
}

/** A text, in any length. MySQL: `text`, 64 KiB. */
export const text = (): Column<string> => ({ kind: 'text' })
/** A text that keys use. MySQL: `varchar(191)`, what an utf8mb4 key can hold. */
export const key = (): Column<string> => ({ kind: 'key' })
/** A text of at most `length` characters in MySQL, any length elsewhere. */
export const short = (length: number): Column<string> => ({ kind: 'short', length })
/** A text of up to 16 MiB (MySQL's `mediumtext`). */
export const bigText = (): Column<string> => ({ kind: 'bigtext' })
export const varchar = (length: number): Column<string> => ({ kind: 'varchar', length })
export const char = (length: number): Column<string> => ({ kind: 'char', length })
export const smallint = (): Column<number> => ({ kind: 'smallint' })
export const integer = (): Column<number> => ({ kind: 'integer' })
export const bigint = (): Column<number> => ({ kind: 'bigint' })
export const numeric = (): Column<number> => ({ kind: 'numeric' })
export const boolean = (): Column<boolean> => ({ kind: 'boolean' })
/** Bytes. MySQL: `blob`, 64 KiB. */
export const blob = (): Column<Uint8Array> => ({ kind: 'blob' })
/** Bytes, up to 4 GiB in MySQL. */
export const bigBlob = (): Column<Uint8Array> => ({ kind: 'bigblob' })
/** `YYYY-MM-DD HH:MM:SS` in UTC. */
export const timestamp = (): Column<string> => ({ kind: 'timestamp' })
/** A number that the database gives to each new row, rising. */
export const serial = (): Column<Generated<number>> => ({ kind: 'serial' })
/** The vhost; see `TableSpec`. */
export const serverHost = (): Column<string> => ({ kind: 'key' })

/** When the row was made, by the database's clock. */
export const createdAt = (): Column<Generated<string>> => ({ kind: 'timestamp', default: 'now' })

export function nullable<T>(column: Column<T>): Column<T | null> {
  const { value: _, ...spec } = column
  return { ...spec, nullable: true }
}

export function withDefault<T extends string | number | boolean>(
  column: Column<T>,
  value: T,
): Column<ColumnType<T, T | undefined, T>> {
  const { value: _, ...spec } = column
  return { ...spec, default: { value } }
}

export function references(
  table: string,
  column: string,
  options: { readonly notInMysql?: boolean } = {},
): Column<number | null> {
  return { kind: 'bigint', nullable: true, references: { table, column, ...options } }
}

/** Gives the column another type in MySQL. */
export function inMysql<T>(column: Column<T>, type: string): Column<T> {
  return { ...column, mysql: type }
}

type Prefix = KeySpec['prefix']

const keyOf =
  (kind: KeySpec['kind']) =>
  (columns: readonly string[], prefix?: Prefix): KeySpec => ({
    kind,
    columns,
    ...(prefix && { prefix }),
  })

export const primary = keyOf('primary')
export const unique = keyOf('unique')
export const index = keyOf('index')
export const fulltext = keyOf('fulltext')

export function defineTable<Columns extends Record<string, Column<unknown>>>(
  name: string,
  columns: Columns,
  keys: readonly KeySpec[],
  options: { readonly alwaysPerHost?: boolean } = {},
): Table<Columns> {
  return { name, columns, keys, ...options }
}

/** The tables that one of ejabberd's modules owns, and the version it gives them in `schema_version`. */
export interface SchemaModule {
  readonly name: string
  readonly version: number
  readonly tables: readonly TableSpec[]
}

/** Kinds whose values are texts. */
export const textKinds: ReadonlySet<ColumnKind> = new Set([
  'text',
  'key',
  'short',
  'bigtext',
  'varchar',
  'char',
])
