import { createHash } from 'node:crypto'
import type { ColumnKind, ColumnSpec, KeySpec, StoreDialect, TableSpec } from '../../core/store.ts'
import { textKinds } from './define.ts'

/** In which form statements are written. */
export interface SchemaForm {
  readonly dialect: StoreDialect
  readonly multihost: boolean
}

const postgresTypes: Record<ColumnKind, string> = {
  text: 'text',
  key: 'text',
  short: 'text',
  bigtext: 'text',
  varchar: 'varchar',
  char: 'character',
  smallint: 'smallint',
  integer: 'integer',
  bigint: 'bigint',
  numeric: 'numeric',
  boolean: 'boolean',
  blob: 'bytea',
  bigblob: 'bytea',
  timestamp: 'timestamp',
  serial: 'bigserial',
}

const sqliteTypes: Record<ColumnKind, string> = {
  ...postgresTypes,
  blob: 'blob',
  bigblob: 'blob',
  serial: 'integer primary key autoincrement',
}

const mysqlTypes: Record<ColumnKind, string> = {
  ...postgresTypes,
  key: 'varchar(191)',
  short: 'varchar',
  bigtext: 'mediumtext',
  blob: 'blob',
  bigblob: 'longblob',
  serial: 'bigint',
}

/** MySQL compares ejabberd's tables without regard to case, as ejabberd made them; in ours, names are exact. */
const mysqlCollation = (table: string): string =>
  table.startsWith('linnet_') ? 'utf8mb4_bin' : 'utf8mb4_unicode_ci'

/** A name as SQL: quoted, because ejabberd has columns called `type`, `timestamp` and `value`. */
export function quote(name: string, dialect: StoreDialect): string {
  const mark = dialect === 'mysql' ? '`' : '"'
  return mark + name.replaceAll(mark, mark + mark) + mark
}

/** The columns that the table has in this form. */
export function columnsOf(table: TableSpec, form: Pick<SchemaForm, 'multihost'>): string[] {
  return Object.keys(table.columns).filter((name) => hasHere(table, name, form))
}

/** The columns of a key in this form, in order. */
export function keyColumns(
  table: TableSpec,
  key: KeySpec,
  form: Pick<SchemaForm, 'multihost'>,
): string[] {
  return key.columns.filter((name) => hasHere(table, name, form))
}

function hasHere(table: TableSpec, column: string, form: Pick<SchemaForm, 'multihost'>): boolean {
  return column !== 'server_host' || form.multihost || table.alwaysPerHost === true
}

/** Everything that makes the table and its keys, each statement harmless if it has run before. */
export function createTable(table: TableSpec, form: SchemaForm): string[] {
  const { dialect } = form
  const serial = Object.entries(table.columns).find(([, column]) => column.kind === 'serial')?.[0]
  const parts = columnsOf(table, form).map((name) => columnLine(table, name, dialect))
  const after: string[] = []
  for (const key of table.keys) {
    const columns = keyColumns(table, key, form)
    // There the generated column is the primary key already, and there can be only one.
    if (columns.length === 1 && columns[0] === serial && dialect !== 'postgres') continue
    if (key.kind === 'fulltext' && dialect !== 'mysql') continue
    const list = columns.map((name) => keyColumn(table, key, name, dialect)).join(', ')
    if (key.kind === 'primary') parts.push(`PRIMARY KEY (${list})`)
    else if (dialect === 'mysql') {
      // MySQL knows no CREATE INDEX IF NOT EXISTS.
      const kind = { unique: 'UNIQUE KEY', index: 'KEY', fulltext: 'FULLTEXT KEY' }[key.kind]
      parts.push(`${kind} ${quote(indexName(table, columns), dialect)} (${list})`)
    } else if (key.kind === 'unique' && columns.length === 1 && columns[0] === serial) {
      parts.push(`UNIQUE (${list})`)
    } else after.push(createIndex(table, key, form))
  }
  if (dialect === 'mysql') {
    for (const [name, { references }] of Object.entries(table.columns)) {
      if (references === undefined || references.notInMysql === true) continue
      parts.push(
        `FOREIGN KEY (${quote(name, dialect)}) REFERENCES ${quote(references.table, dialect)} (${quote(references.column, dialect)}) ON DELETE CASCADE`,
      )
    }
  }
  const tail =
    dialect === 'mysql'
      ? ` ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE ${mysqlCollation(table.name)}`
      : ''
  const body = parts.map((part) => `  ${part}`).join(',\n')
  return [`CREATE TABLE IF NOT EXISTS ${quote(table.name, dialect)} (\n${body}\n)${tail}`, ...after]
}

/** Creates one key of an existing table. */
export function createIndex(table: TableSpec, key: KeySpec, form: SchemaForm): string {
  const { dialect } = form
  const columns = keyColumns(table, key, form)
  const list = columns.map((name) => keyColumn(table, key, name, dialect)).join(', ')
  const unique = key.kind === 'unique' || key.kind === 'primary' ? 'UNIQUE ' : ''
  const guard = dialect === 'mysql' ? '' : 'IF NOT EXISTS '
  return `CREATE ${unique}INDEX ${guard}${quote(indexName(table, columns), dialect)} ON ${quote(table.name, dialect)} (${list})`
}

/**
 * Adds a column to a table with rows in it. It keeps a default (or allows null) for good, so that an older ejabberd, which
 * does not name the column in its inserts, can go on writing to the same table.
 */
export function addColumn(table: TableSpec, name: string, form: SchemaForm): string {
  const column = table.columns[name]
  if (column === undefined) throw new Error(`Table "${table.name}" defines no column "${name}"`)
  const needsDefault = column.nullable !== true && column.default === undefined
  const line = columnLine(
    needsDefault
      ? { ...table, columns: { ...table.columns, [name]: { ...column, default: zero(column) } } }
      : table,
    name,
    form.dialect,
  )
  return `ALTER TABLE ${quote(table.name, form.dialect)} ADD COLUMN ${line}`
}

function zero(column: ColumnSpec): Exclude<ColumnSpec['default'], undefined> {
  if (column.kind === 'timestamp') return 'now'
  if (column.kind === 'boolean') return { value: false }
  return { value: textKinds.has(column.kind) ? '' : 0 }
}

function columnLine(table: TableSpec, name: string, dialect: StoreDialect): string {
  const column = table.columns[name]
  if (column === undefined) throw new Error(`Table "${table.name}" defines no column "${name}"`)
  let line = `${quote(name, dialect)} ${typeOf(column, dialect)}`
  if (column.kind === 'serial') {
    return dialect === 'mysql' ? `${line} NOT NULL AUTO_INCREMENT PRIMARY KEY` : line
  }
  // MySQL makes a nullable timestamp NOT NULL unless told otherwise.
  line += column.nullable === true ? (dialect === 'mysql' ? ' NULL' : '') : ' NOT NULL'
  line += defaultOf(column, dialect)
  if (column.references !== undefined && dialect !== 'mysql') {
    const { references } = column
    line += ` REFERENCES ${quote(references.table, dialect)}(${quote(references.column, dialect)}) ON DELETE CASCADE`
  }
  return line
}

function typeOf(column: ColumnSpec, dialect: StoreDialect): string {
  if (dialect === 'mysql' && column.mysql !== undefined) return column.mysql
  const types = { sqlite: sqliteTypes, postgres: postgresTypes, mysql: mysqlTypes }[dialect]
  const type = types[column.kind]
  const takesLength = type === 'varchar' || type === 'character'
  return takesLength && column.length !== undefined ? `${type}(${column.length})` : type
}

function defaultOf(column: ColumnSpec, dialect: StoreDialect): string {
  if (column.default === undefined) return ''
  if (column.default === 'now') return ' DEFAULT CURRENT_TIMESTAMP'
  // MySQL's text columns can have no plain default; ejabberd's own schema leaves it out as well.
  if (dialect === 'mysql' && (column.kind === 'text' || column.kind === 'bigtext')) return ''
  return ` DEFAULT ${literal(column.default.value)}`
}

function literal(value: string | number | boolean): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value)
}

function keyColumn(table: TableSpec, key: KeySpec, name: string, dialect: StoreDialect): string {
  const quoted = quote(name, dialect)
  if (dialect !== 'mysql' || key.kind === 'fulltext') return quoted
  const kind = table.columns[name]?.kind
  const length = key.prefix?.[name] ?? (kind === 'text' || kind === 'bigtext' ? 191 : 0)
  return length === 0 ? quoted : `${quoted}(${length})`
}

/** ejabberd's own way of naming; where that is too long for PostgreSQL (63) or MySQL (64), a hash ends it. */
function indexName(table: TableSpec, columns: readonly string[]): string {
  const name = `i_${table.name}_${columns.join('_')}`
  if (name.length <= 60) return name
  return `${name.slice(0, 51)}_${createHash('sha256').update(name).digest('hex').slice(0, 8)}`
}
