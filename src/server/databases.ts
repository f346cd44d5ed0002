import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../core/clock.ts'
import type { Config } from '../core/config/config.ts'
import type { HostValues } from '../core/config/toplevel.ts'
import type { Log } from '../core/log.ts'
import type { HostStore } from '../core/store.ts'
import { StorageError } from '../core/store.ts'
import type { StoreSettings } from '../storage/open.ts'
import type { SslSettings } from '../storage/server/settings.ts'
import { setAside } from '../storage/sqlite/file.ts'
import type { Stores } from '../storage/stores.ts'
import { ejabberdSqliteFile, embeddedSettings } from '../storage/stores.ts'

/** Which database a host keeps what in: the embedded one (`mnesia`, `internal`), or that of its `sql_*` options. */
export class Databases {
  readonly #stores: Stores
  readonly #dataDir: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #inUse = new Map<string, StoreSettings[]>()

  constructor(
    dataDir: string,
    stores: Stores,
    tools: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#stores = stores
    this.#dataDir = dataDir
    this.#clock = tools.clock
    this.#log = tools.log
  }

  /** Our own file: when it cannot be read, the server goes on with a new one, and the broken one is kept for repair. */
  async embedded(host: string): Promise<HostStore> {
    const settings = embeddedSettings(this.#dataDir)
    try {
      return await this.#open(host, settings)
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'corrupt') throw error
      const moved = await setAside(settings.file, this.#clock.now())
      this.#log.error(
        { err: error, moved },
        'The database is broken: it was put aside, and the server starts with an empty one',
      )
      return this.#open(host, settings)
    }
  }

  /** The database of the host's `sql_*` options; undefined when nothing of the host is kept there. */
  async sql(host: string, config: Config): Promise<HostStore | undefined> {
    return usesSql(host, config) ? this.#open(host, this.#settings(host, config)) : undefined
  }

  /** Closes what only that host used. */
  async release(host: string): Promise<void> {
    const settings = this.#inUse.get(host) ?? []
    this.#inUse.delete(host)
    for (const each of settings) await this.#stores.release(host, each)
  }

  async #open(host: string, settings: StoreSettings): Promise<HostStore> {
    if (settings.type === 'sqlite') mkdirSync(dirname(settings.file), { recursive: true })
    const store = await this.#stores.open(host, settings)
    this.#inUse.getOrInsertComputed(host, () => []).push(settings)
    return store
  }

  #settings(host: string, config: Config): StoreSettings {
    const values = config.forHost(host)
    const multihost = config.global.sql_schema_multihost
    const updateSchema = config.global.update_sql_schema
    switch (values.sql_type) {
      case 'sqlite':
        return {
          type: 'sqlite',
          file: values.sql_database ?? ejabberdSqliteFile(this.#dataDir, host),
          multihost,
          updateSchema,
        }
      case 'pgsql':
      case 'mysql':
        return {
          type: values.sql_type,
          server: values.sql_server,
          ...(values.sql_port === undefined ? {} : { port: values.sql_port }),
          database: values.sql_database ?? 'ejabberd',
          username: values.sql_username,
          password: values.sql_password,
          poolSize: values.sql_pool_size,
          connectTimeoutMs: values.sql_connect_timeout,
          queryTimeoutMs: values.sql_query_timeout,
          startIntervalMs: values.sql_start_interval,
          ...(values.sql_keepalive_interval === undefined
            ? {}
            : { keepaliveIntervalMs: values.sql_keepalive_interval }),
          updateSchemaTimeoutMs: values.update_sql_schema_timeout,
          preparedStatements: values.sql_prepared_statements,
          ...sslOf(values),
          multihost,
          updateSchema,
        }
      case 'mssql':
      case 'odbc':
        throw new Error(
          `The host "${host}" keeps data in SQL, but sql_type "${values.sql_type}" is not supported: use sqlite, pgsql or mysql`,
        )
    }
  }
}

/** Whether anything of the host is configured to be kept in SQL: the default, the accounts, or one module's `db_type`. */
function usesSql(host: string, config: Config): boolean {
  const values = config.forHost(host)
  if (values.default_db === 'sql' || values.auth_method.includes('sql')) return true
  return [...config.modules(host).values()].some(
    ({ options }) => options.values['db_type'] === 'sql',
  )
}

function sslOf(values: HostValues): Partial<Extract<StoreSettings, { type: 'pgsql' | 'mysql' }>> {
  const verify = values.sql_ssl_verify || values.sql_ssl_cafile !== undefined
  const isOn = values.sql_ssl || verify || values.sql_ssl_certfile !== undefined
  if (!isOn) return {}
  const ssl: SslSettings = {
    verify,
    ...(values.sql_ssl_cafile === undefined ? {} : { caFile: values.sql_ssl_cafile }),
    ...(values.sql_ssl_certfile === undefined ? {} : { certFile: values.sql_ssl_certfile }),
  }
  return { ssl }
}
