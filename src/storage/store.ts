import type { Log } from '../core/log.ts'
import type {
  HostStore,
  Migration,
  Store,
  StoreCounters,
  StoreDialect,
  StorePressure,
} from '../core/store.ts'
import { StorageError } from '../core/store.ts'
import type { Driver } from './driver.ts'
import { SqlHostStore } from './host-store.ts'
import {
  applyMigrations,
  describeMigrations,
  planMigrations,
  runInTransaction,
} from './migrations.ts'
import { createBuilder } from './query.ts'
import type { SchemaForm } from './schema/ddl.ts'
import { ejabberdModules, schemaVersion } from './schema/ejabberd.ts'
import type { Layout } from './schema/inspect.ts'
import { inspect } from './schema/inspect.ts'
import type { SchemaPlan } from './schema/upgrade.ts'
import { planSchema } from './schema/upgrade.ts'
import type { WriterLimits } from './writer.ts'
import { Writer } from './writer.ts'

export interface SqlStoreOptions extends WriterLimits {
  readonly multihost: boolean
  /** `update_sql_schema`: whether tables may be made and changed. */
  readonly updateSchema: boolean
  /** Reads that may be under way or waiting; one more is refused. */
  readonly maxReads: number
  readonly ackBeforeCommit: boolean
  /** Makes a copy before the schema of a database with data changes; returns what to say about it. */
  readonly backupBeforeChange: () => Promise<string>
}

/** The store over any driver. */
export class SqlStore implements Store {
  readonly #driver: Driver
  readonly #options: SqlStoreOptions
  readonly #log: Log
  readonly #writer: Writer
  readonly #hosts = new Map<string, SqlHostStore>()
  readonly #migrated = new Map<string, Promise<readonly string[]>>()
  readonly #form: SchemaForm
  readonly #db
  #layout: Layout = new Map()
  /** The database held tables before we came. */
  #hadTables = false
  #backedUp = false
  #reads = 0
  #readsUnderWay = 0

  private constructor(driver: Driver, options: SqlStoreOptions, log: Log) {
    this.#driver = driver
    this.#options = options
    this.#log = log
    this.#writer = new Writer(driver, options, log, options.ackBeforeCommit)
    this.#form = { dialect: driver.dialect, multihost: options.multihost }
    this.#db = createBuilder(driver.dialect)
  }

  /** Brings the schema up to date (or checks it); the driver belongs to the store from here on, also when it rejects. */
  static async open(driver: Driver, options: SqlStoreOptions, log: Log): Promise<SqlStore> {
    const store = new SqlStore(driver, options, log)
    try {
      await driver.exclusively(() => store.#prepareSchema())
    } catch (error) {
      await driver.close()
      throw error
    }
    return store
  }

  /** What `open` would do to the schema. */
  static async plan(driver: Driver, form: SchemaForm): Promise<SchemaPlan> {
    const layout = await inspect(driver)
    return planSchema(ejabberdModules, layout, await readVersions(driver, layout), form)
  }

  get dialect(): StoreDialect {
    return this.#driver.dialect
  }

  get multihost(): boolean {
    return this.#options.multihost
  }

  get pressure(): StorePressure {
    return this.#writer.pressure
  }

  get counters(): StoreCounters {
    return { ...this.#writer.counters, reads: this.#reads }
  }

  onPressure(listener: (high: boolean) => void): () => void {
    return this.#writer.onPressure(listener)
  }

  forHost(host: string): HostStore {
    let store = this.#hosts.get(host)
    if (store !== undefined) return store
    store = new SqlHostStore(host, {
      store: this,
      driver: this.#driver,
      writer: this.#writer,
      db: this.#db,
      layout: () => this.#layout,
      startRead: () => this.#startRead(),
      endRead: () => {
        this.#readsUnderWay--
      },
    })
    const [other] = this.#hosts.keys()
    this.#hosts.set(host, store)
    if (other !== undefined && !this.multihost) {
      // As in ejabberd, where it is rarely meant.
      this.#log.warn(
        { hosts: [other, host] },
        'Two hosts share a database without sql_schema_multihost: what belongs to one belongs to the other',
      )
    }
    return store
  }

  migrate(
    owner: string,
    migrations: readonly Migration[],
    options: { readonly dryRun?: boolean } = {},
  ): Promise<readonly string[]> {
    if (options.dryRun === true) {
      return this.#writer.alone(async () =>
        describeMigrations(
          await planMigrations(this.#driver, this.#layout, this.#form, owner, migrations),
        ),
      )
    }
    let done = this.#migrated.get(owner)
    if (done === undefined) {
      done = this.#writer.alone(() =>
        this.#driver.exclusively(() => this.#migrate(owner, migrations)),
      )
      this.#migrated.set(owner, done)
      done.catch(() => this.#migrated.delete(owner))
    }
    return done
  }

  flush(): Promise<void> {
    return this.#writer.flush()
  }

  backup(path: string): Promise<void> {
    return this.#driver.backup(path)
  }

  async close(): Promise<void> {
    await this.#writer.close()
    await this.#driver.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #startRead(): StorageError | undefined {
    if (this.#readsUnderWay >= this.#options.maxReads) {
      return new StorageError('overloaded', `${this.#readsUnderWay} reads are waiting`)
    }
    this.#reads++
    this.#readsUnderWay++
    return undefined
  }

  async #prepareSchema(): Promise<void> {
    this.#layout = await inspect(this.#driver)
    this.#hadTables = this.#layout.size > 0
    const plan = await SqlStore.plan(this.#driver, this.#form)
    if (plan.mismatch !== undefined) throw new StorageError('schema', plan.mismatch)
    for (const note of plan.notes) this.#log.info(note)
    if (plan.statements.length === 0) return
    if (!this.#options.updateSchema) {
      for (const sql of plan.statements) {
        this.#log.error({ sql }, 'The schema is not up to date, and update_sql_schema is false')
      }
      return
    }
    if (plan.alters) await this.#backUp()
    if (this.#hadTables) {
      this.#log.info({ sql: plan.statements }, "Bringing ejabberd's tables up to date")
    }
    await runInTransaction(
      this.#driver,
      plan.statements.map((sql) => ({ sql, values: [] })),
    )
    await this.#readLayout()
  }

  async #migrate(owner: string, migrations: readonly Migration[]): Promise<readonly string[]> {
    const plan = await planMigrations(this.#driver, this.#layout, this.#form, owner, migrations)
    if (plan.newer !== undefined) {
      this.#log.warn(
        { owner, version: plan.newer },
        'The database was used by a newer version of this program',
      )
    }
    const statements = describeMigrations(plan)
    if (plan.steps.length === 0) return statements
    if (!this.#options.updateSchema) {
      throw new StorageError(
        'schema',
        `Tables of ${owner} are not up to date, and update_sql_schema is false: ${statements.join('; ')}`,
      )
    }
    if (plan.alters) await this.#backUp()
    await applyMigrations(this.#driver, this.#layout, this.#form, owner, plan)
    await this.#readLayout()
    return statements
  }

  async #readLayout(): Promise<void> {
    this.#driver.forgetStatements()
    this.#layout = await inspect(this.#driver)
  }

  /** Once an opening is enough: what follows changes what we have just changed ourselves. */
  async #backUp(): Promise<void> {
    if (this.#backedUp || !this.#hadTables) return
    this.#backedUp = true
    this.#log.info(await this.#options.backupBeforeChange())
  }
}

async function readVersions(driver: Driver, layout: Layout): Promise<Map<string, number>> {
  if (!layout.has(schemaVersion.name)) return new Map()
  const rows = await driver.read({
    sql: `SELECT module, version FROM ${schemaVersion.name}`,
    values: [],
  })
  return new Map(rows.map(({ module, version }) => [String(module), Number(version)]))
}
