import type { Log } from '../core/log.ts'
import type { Clock } from '../core/clock.ts'
import type { Store } from '../core/store.ts'
import { StorageError } from '../core/store.ts'
import type { Driver } from './driver.ts'
import { MysqlDriver } from './server/mysql.ts'
import { PostgresDriver } from './server/postgres.ts'
import type { ServerSettings, SslSettings } from './server/settings.ts'
import type { SchemaPlan } from './schema/upgrade.ts'
import { SqliteDriver } from './sqlite/driver.ts'
import { sizeOf, stamp } from './sqlite/file.ts'
import { SqlStore } from './store.ts'

/** What holds for all databases. Times are in ms; what is left out takes ejabberd's default. */
interface CommonSettings {
  /** `sql_schema_multihost`: whether tables have `server_host`. */
  readonly multihost: boolean
  /** `update_sql_schema` */
  readonly updateSchema?: boolean
  /** Writes that may wait before more are refused, and their bytes. */
  readonly maxQueuedOperations?: number
  readonly maxQueuedBytes?: number
  readonly maxReads?: number
  /** For the crash test's control run only: acknowledges before the commit. Also by `LINNET_TEST_ACK_BEFORE_COMMIT=1`. */
  readonly unsafeAckBeforeCommit?: boolean
}

export interface SqliteStoreSettings extends CommonSettings {
  readonly type: 'sqlite'
  readonly file: string
  /** `sql_pool_size`. Two by default: one connection writes, one reads while the other waits for the disk. */
  readonly poolSize?: number
  /** `off` is for the crash test's control run only. Also by `LINNET_TEST_SYNCHRONOUS=off`. */
  readonly synchronous?: 'full' | 'off'
  /** The most pages of 4 KiB that the file may grow to. */
  readonly maxPages?: number
}

export interface ServerStoreSettings extends CommonSettings {
  readonly type: 'pgsql' | 'mysql'
  /** A host name, an address, or `unix:PATH`. */
  readonly server?: string
  readonly port?: number
  readonly database?: string
  readonly username?: string
  readonly password?: string
  readonly poolSize?: number
  readonly connectTimeoutMs?: number
  readonly queryTimeoutMs?: number
  /** After a failed attempt to connect, the next one is made this much later. */
  readonly startIntervalMs?: number
  /** Left out: connections are not tried while idle. */
  readonly keepaliveIntervalMs?: number
  readonly updateSchemaTimeoutMs?: number
  readonly preparedStatements?: boolean
  readonly ssl?: SslSettings
}

export type StoreSettings = SqliteStoreSettings | ServerStoreSettings

export interface StoreTools {
  readonly log: Log
  readonly clock: Clock
}

const defaults = {
  maxQueuedOperations: 100_000,
  maxQueuedBytes: 128 * 1024 * 1024,
  maxReads: 20_000,
}

/** Opens a database and brings its tables up to date. Rejects with a `StorageError`. */
export async function openStore(settings: StoreSettings, tools: StoreTools): Promise<Store> {
  const { log, clock } = tools
  const ackBeforeCommit =
    settings.unsafeAckBeforeCommit ?? process.env['LINNET_TEST_ACK_BEFORE_COMMIT'] === '1'
  if (ackBeforeCommit) log.warn('Writes are acknowledged BEFORE they are durable: for tests only')
  const driver = await openDriver(settings, tools)
  return SqlStore.open(
    driver,
    {
      multihost: settings.multihost,
      updateSchema: settings.updateSchema ?? true,
      maxOperations: settings.maxQueuedOperations ?? defaults.maxQueuedOperations,
      maxBytes: settings.maxQueuedBytes ?? defaults.maxQueuedBytes,
      maxReads: settings.maxReads ?? defaults.maxReads,
      ackBeforeCommit,
      async backupBeforeChange() {
        if (settings.type !== 'sqlite') {
          return 'The schema changes now: this database has no backup of ours, make them by its own means'
        }
        const path = `${settings.file}.before-upgrade-${stamp(clock.now())}`
        await driver.backup(path)
        return `The schema changes now: the database as it was is in "${path}"`
      },
    },
    log,
  )
}

/** What opening would do to ejabberd's tables, without doing it. */
export async function planStore(settings: StoreSettings, tools: StoreTools): Promise<SchemaPlan> {
  if (settings.type === 'sqlite' && ((await sizeOf(settings.file)) ?? 0) === 0) {
    throw new StorageError('unavailable', `There is no database "${settings.file}" yet`)
  }
  const driver = await openDriver(settings, tools)
  try {
    return await SqlStore.plan(driver, {
      dialect: driver.dialect,
      multihost: settings.multihost,
    })
  } finally {
    await driver.close()
  }
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
async function openDriver(settings: StoreSettings, tools: StoreTools): Promise<Driver> {
  switch (settings.type) {
    case 'sqlite': {
      const synchronous =
        settings.synchronous ?? (process.env['LINNET_TEST_SYNCHRONOUS'] === 'off' ? 'off' : 'full')
      if (synchronous === 'off') {
        tools.log.warn(
          { file: settings.file },
          'Commits are NOT written to the disk: for tests only',
        )
      }
      return SqliteDriver.open(
        {
          file: settings.file,
          poolSize: settings.poolSize ?? 2,
          synchronous,
          maxPages: settings.maxPages,
        },
        tools.log,
      )
    }
    case 'pgsql':
      return PostgresDriver.open(serverSettings(settings, 5432), tools)
    case 'mysql':
      return MysqlDriver.open(serverSettings(settings, 3306), tools)
  }
}

/** ejabberd's defaults for `sql_*`. */
function serverSettings(settings: ServerStoreSettings, port: number): ServerSettings {
  return {
    server: settings.server ?? 'localhost',
    port: settings.port ?? port,
    database: settings.database ?? 'ejabberd',
    username: settings.username ?? 'ejabberd',
    password: settings.password ?? '',
    poolSize: settings.poolSize ?? 10,
    connectTimeoutMs: settings.connectTimeoutMs ?? 5000,
    queryTimeoutMs: settings.queryTimeoutMs ?? 60_000,
    startIntervalMs: settings.startIntervalMs ?? 30_000,
    keepaliveIntervalMs: settings.keepaliveIntervalMs ?? Infinity,
    updateSchemaTimeoutMs: settings.updateSchemaTimeoutMs ?? 300_000,
    preparedStatements: settings.preparedStatements ?? true,
    ssl: settings.ssl,
  }
}
