import type { TableSpec } from '../../core/store.ts'
import { addColumn, columnsOf, createIndex, createTable, keyColumns, quote } from './ddl.ts'
import type { SchemaForm } from './ddl.ts'
import type { SchemaModule } from './define.ts'
import { schemaVersion } from './ejabberd.ts'
import type { Layout } from './inspect.ts'
import { uniqueKeyOf } from './inspect.ts'

export interface SchemaPlan {
  readonly statements: readonly string[]
  /** Tables with rows in them are changed: worth a backup. */
  readonly alters: boolean
  /** What is not as the newest ejabberd has it, and stays so. */
  readonly notes: readonly string[]
  /** Why the database cannot be used in this form at all. */
  readonly mismatch: string | undefined
}

/**
 * What it takes to bring ejabberd's tables up to date, adding only: whatever ejabberd wrote this database can open and use
 * it afterwards, down to Debian's 23.01.
 * - Missing tables are made in the newest form, missing columns added with a default that stays, so that inserts which do not
 *   name them go on working (`archive.origin_id`, `rosterusers.approved`).
 * - A missing column that belongs to a key is not added: `users.type` (schema version 2) makes several rows an account, and
 *   an older ejabberd, which upserts by user name alone, would fail or take one of them for the account. Such a table keeps its
 *   form, one row with one password form an account (`type` 0 in the newer layout's words), which `HostStore.hasColumn` tells
 *   the accounts' code; its recorded version is 1, so that a newer ejabberd makes the change itself.
 */
export function planSchema(
  modules: readonly SchemaModule[],
  layout: Layout,
  versions: ReadonlyMap<string, number>,
  form: SchemaForm,
): SchemaPlan {
  const statements: string[] = []
  const notes: string[] = []
  let alters = false
  let mismatch: string | undefined
  if (!layout.has(schemaVersion.name)) statements.push(...createTable(schemaVersion, form))
  for (const module of modules) {
    let version = module.version
    for (const table of module.tables) {
      const change = planTable(table, layout, form)
      statements.push(...change.statements)
      notes.push(...change.notes)
      alters ||= change.alters
      mismatch ??= change.mismatch
      if (change.keepsOldForm) version = 1
    }
    statements.push(...recordVersion(module.name, version, versions.get(module.name), notes, form))
  }
  return { statements, alters, notes, mismatch }
}

interface TableChange {
  readonly statements: readonly string[]
  readonly notes: readonly string[]
  readonly alters: boolean
  readonly mismatch: string | undefined
  readonly keepsOldForm: boolean
}

function planTable(table: TableSpec, layout: Layout, form: SchemaForm): TableChange {
  const found = layout.get(table.name)
  const change = {
    statements: [] as string[],
    notes: [] as string[],
    alters: false,
    mismatch: undefined as string | undefined,
    keepsOldForm: false,
  }
  if (found === undefined) {
    change.statements.push(...createTable(table, form))
    return change
  }
  if ('server_host' in table.columns && table.alwaysPerHost !== true) {
    const has = found.columns.has('server_host')
    if (has !== form.multihost) {
      change.mismatch = `Table "${table.name}" has ${has ? 'a' : 'no'} column "server_host": sql_schema_multihost must be ${has}`
      return change
    }
  }
  const inKey = new Set(
    table.keys.filter(({ kind }) => kind === 'primary').flatMap(({ columns }) => columns),
  )
  const missing = columnsOf(table, form).filter((name) => !found.columns.has(name))
  const added = missing.filter((name) => !inKey.has(name))
  change.keepsOldForm = missing.length > added.length
  for (const name of missing) {
    if (inKey.has(name)) {
      change.notes.push(
        `Table "${table.name}" is of an older layout without "${name}", which it keeps`,
      )
    } else {
      change.statements.push(addColumn(table, name, form))
      change.alters = true
    }
  }
  for (const key of table.keys) {
    const columns = keyColumns(table, key, form)
    if (columns.some((name) => added.includes(name))) {
      if (key.kind === 'index') change.statements.push(createIndex(table, key, form))
    } else if (key.kind === 'unique' || key.kind === 'primary') {
      const own = columns.filter((name) => name !== 'server_host')
      if (uniqueKeyOf(found, own) === undefined && !change.keepsOldForm) {
        change.notes.push(`Table "${table.name}" has no unique key (${columns.join(', ')})`)
      }
    }
  }
  return change
}

function recordVersion(
  module: string,
  version: number,
  recorded: number | undefined,
  notes: string[],
  form: SchemaForm,
): string[] {
  if (recorded === version) return []
  if (recorded !== undefined && recorded > version) {
    notes.push(`Tables of ${module} are of version ${recorded}, newer than ${version} known here`)
    return []
  }
  const table = quote(schemaVersion.name, form.dialect)
  return [
    `DELETE FROM ${table} WHERE module = '${module}'`,
    `INSERT INTO ${table} (module, version) VALUES ('${module}', ${version})`,
  ]
}
