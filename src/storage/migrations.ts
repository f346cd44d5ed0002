import type { Migration } from '../core/store.ts'
import { StorageError } from '../core/store.ts'
import type { BoundStatement, Driver } from './driver.ts'
import { createTable, quote } from './schema/ddl.ts'
import type { SchemaForm } from './schema/ddl.ts'
import { linnetMigration } from './schema/ejabberd.ts'
import type { Layout } from './schema/inspect.ts'

export interface MigrationPlan {
  readonly steps: readonly {
    readonly migration: Migration
    readonly statements: readonly string[]
  }[]
  /** A step changes what is there. */
  readonly alters: boolean
  /** The highest step recorded, where the owner's list ends before it. */
  readonly newer: number | undefined
}

/** Which steps are still to be made, and their SQL. */
export async function planMigrations(
  driver: Driver,
  layout: Layout,
  form: SchemaForm,
  owner: string,
  migrations: readonly Migration[],
): Promise<MigrationPlan> {
  checkNumbers(owner, migrations)
  const applied = new Set<number>()
  if (layout.has(linnetMigration.name)) {
    const table = quote(linnetMigration.name, form.dialect)
    const mark = form.dialect === 'postgres' ? '$1' : '?'
    const sql = `SELECT version FROM ${table} WHERE owner = ${mark}`
    for (const { version } of await driver.read({ sql, values: [owner] })) {
      applied.add(Number(version))
    }
  }
  const pending = migrations.filter(({ version }) => !applied.has(version))
  const highest = Math.max(0, ...applied)
  return {
    steps: pending.map((migration) => ({
      migration,
      statements: [
        ...(migration.tables ?? []).flatMap((table) => createTable(table, form)),
        ...(migration.sql?.(form) ?? []),
      ],
    })),
    alters: pending.some(({ sql }) => sql !== undefined),
    newer: highest > migrations.length ? highest : undefined,
  }
}

function checkNumbers(owner: string, migrations: readonly Migration[]): void {
  for (const [i, { version, tables }] of migrations.entries()) {
    if (version !== i + 1) {
      throw new Error(`Migrations of ${owner} must be numbered 1, 2, 3 …: found ${version}`)
    }
    for (const { name } of tables ?? []) {
      if (!name.startsWith('linnet_')) {
        throw new Error(`Table "${name}" of ${owner} must be named linnet_…`)
      }
    }
  }
}

/** The SQL that a plan runs, for people to read. */
export function describeMigrations(plan: MigrationPlan): string[] {
  return plan.steps.flatMap(({ statements }) => statements)
}

/** Makes each step and records it in one transaction; MySQL commits after each statement, so a step may have to bear a repetition. */
export async function applyMigrations(
  driver: Driver,
  layout: Layout,
  form: SchemaForm,
  owner: string,
  plan: MigrationPlan,
): Promise<void> {
  if (!layout.has(linnetMigration.name)) {
    await runInTransaction(
      driver,
      createTable(linnetMigration, form).map((sql) => ({ sql, values: [] })),
    )
  }
  const marks = form.dialect === 'postgres' ? '$1, $2, $3' : '?, ?, ?'
  const record = `INSERT INTO ${quote(linnetMigration.name, form.dialect)} (owner, version, title) VALUES (${marks})`
  for (const { migration, statements } of plan.steps) {
    await runInTransaction(driver, [
      ...statements.map((sql) => ({ sql, values: [] })),
      { sql: record, values: [owner, migration.version, migration.title] },
    ])
  }
}

/** Runs schema statements, all or (where the dialect can) none. */
export async function runInTransaction(
  driver: Driver,
  statements: readonly BoundStatement[],
): Promise<void> {
  const transaction = await driver.begin()
  try {
    for (const statement of statements) {
      await transaction.run(statement).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error)
        throw new StorageError(
          'schema',
          `Cannot change the schema: ${reason}: ${statement.sql}`,
          error,
        )
      })
    }
    await transaction.commit()
  } catch (error) {
    await transaction.rollback()
    throw error
  }
}
