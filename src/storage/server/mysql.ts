import type {
  Connection,
  ConnectionOptions,
  ExecuteValues,
  Pool,
  TypeCast,
  TypedParameter,
} from 'mysql2/promise'
import type { Timer } from '../../core/clock.ts'
import type { SqlValue, StorageErrorCode } from '../../core/store.ts'
import { StorageError } from '../../core/store.ts'
import type {
  BoundStatement,
  Driver,
  DriverTransaction,
  Operation,
  Row,
  StatementResult,
} from '../driver.ts'
import { noRows } from '../driver.ts'
import { Connector } from './connector.ts'
import type { ServerSettings, ServerTools } from './settings.ts'
import { socketPath, tlsOptions } from './settings.ts'

/** How often a batch is tried again when the server chose it to end a deadlock. */
const maxDeadlocks = 3

const schemaLock = 'linnet_schema'

/** What every session is told first. */
const sessionSettings = [
  "SET time_zone = '+00:00'",
  // Without it the server cuts what is too long for a column, and calls that success.
  "SET sql_mode = CONCAT_WS(',', @@sql_mode, 'STRICT_TRANS_TABLES')",
]

/** MySQL and MariaDB over `mysql2`: one connection that writes, a pool that reads. */
export class MysqlDriver implements Driver {
  readonly dialect = 'mysql'
  readonly #settings: ServerSettings
  readonly #writer: Connector<Connection>
  readonly #pool: Pool
  readonly #keepalive: Timer
  readonly #tools: ServerTools
  readonly #typed: TypedParameter
  #timeoutMs: number

  private constructor(
    settings: ServerSettings,
    tools: ServerTools,
    connect: () => Promise<Connection>,
    pool: Pool,
    typed: TypedParameter,
  ) {
    this.#settings = settings
    this.#tools = tools
    this.#timeoutMs = settings.queryTimeoutMs
    this.#pool = pool
    this.#typed = typed
    this.#writer = new Connector({
      connect,
      discard: (connection) => connection.destroy(),
      startIntervalMs: settings.startIntervalMs,
      ...tools,
    })
    this.#keepalive = tools.clock.every(settings.keepaliveIntervalMs, () => void this.#ping())
  }

  static async open(settings: ServerSettings, tools: ServerTools): Promise<MysqlDriver> {
    // A CommonJS module whose parts come late: only the whole has them all.
    const { default: mysql } = await import('mysql2/promise')
    const { createConnection, createPool, TypedParameter } = mysql
    const path = socketPath(settings.server)
    const config: ConnectionOptions = {
      ...(path === undefined
        ? { host: settings.server, port: settings.port }
        : { socketPath: path }),
      database: settings.database,
      user: settings.username,
      password: settings.password,
      connectTimeout: settings.connectTimeoutMs,
      charset: 'utf8mb4_bin',
      dateStrings: true,
      decimalNumbers: true,
      supportBigNumbers: true,
      maxPreparedStatements: 1000,
      typeCast,
      ...(settings.ssl !== undefined && {
        // A certificate of somebody else is no proof; a socket has no name that one could hold.
        ssl: {
          ...(await tlsOptions(settings.ssl)),
          verifyIdentity: settings.ssl.verify && path === undefined,
        },
      }),
    }
    const pool = createPool({ ...config, connectionLimit: Math.max(1, settings.poolSize - 1) })
    // Queued before the query that the connection was made for.
    pool.pool.on('connection', (connection) => {
      for (const sql of sessionSettings) {
        connection.query(sql, (error) => {
          if (error !== null) tools.log.warn({ err: error }, 'Cannot set up a database session')
        })
      }
    })
    const connect = async (): Promise<Connection> => {
      const connection = await createConnection(config)
      connection.on('error', (error) =>
        tools.log.warn({ err: error }, 'The database connection broke'),
      )
      for (const sql of sessionSettings) await connection.query(sql)
      return connection
    }
    const driver = new MysqlDriver(settings, tools, connect, pool, TypedParameter)
    try {
      await driver.#writer.get()
    } catch (error) {
      await driver.close()
      throw error
    }
    return driver
  }

  async commit(
    operations: readonly Operation[],
  ): Promise<readonly (StatementResult | StorageError)[]> {
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#writer.get()
      try {
        return await this.#tryCommit(connection, operations)
      } catch (error) {
        if (!this.#checkLost(connection, error)) await this.#rollback(connection)
        if (isDeadlock(error) && attempt < maxDeadlocks) continue
        throw storageError(error)
      }
    }
  }

  async begin(): Promise<DriverTransaction> {
    const connection = await this.#writer.get()
    const guarded = async <T>(run: () => Promise<T>): Promise<T> => {
      try {
        return await run()
      } catch (error) {
        this.#checkLost(connection, error)
        throw storageError(error)
      }
    }
    const command = (sql: string) => guarded(() => this.#run(connection, { sql, values: [] }))
    await command('BEGIN')
    return {
      // InnoDB undoes a failed statement alone.
      run: (statement) => guarded(() => this.#run(connection, statement)),
      commit: async () => void (await command('COMMIT')),
      rollback: () => this.#rollback(connection),
    }
  }

  async read(statement: BoundStatement): Promise<readonly Row[]> {
    try {
      return (await this.#run(this.#pool, statement)).rows
    } catch (error) {
      throw storageError(error)
    }
  }

  async exclusively<T>(fn: () => Promise<T>): Promise<T> {
    const connection = await this.#writer.get()
    this.#timeoutMs = this.#settings.updateSchemaTimeoutMs
    const seconds = Math.min(Math.ceil(this.#timeoutMs / 1000), 31_536_000)
    try {
      const lock = `SELECT GET_LOCK('${schemaLock}', ${seconds}) AS got`
      const { rows } = await this.#run(connection, { sql: lock, values: [] })
      if (rows[0]?.['got'] !== 1) {
        throw new StorageError('unavailable', 'Somebody else has been changing the schema for long')
      }
      const result = await fn()
      await this.#run(connection, { sql: `SELECT RELEASE_LOCK('${schemaLock}')`, values: [] })
      return result
    } catch (error) {
      // Also gives the lock back.
      this.#writer.lost(connection)
      throw storageError(error)
    } finally {
      this.#timeoutMs = this.#settings.queryTimeoutMs
    }
  }

  /** Nothing to do: the server prepares anew by itself when a table has changed. */
  forgetStatements(): void {}

  backup(): Promise<void> {
    return Promise.reject(new StorageError('other', 'Use mysqldump to back up a MySQL database'))
  }

  async close(): Promise<void> {
    this.#keepalive.cancel()
    const connection = await this.#writer.take()
    await connection?.end().catch(() => connection.destroy())
    await this.#pool.end()
  }

  async #tryCommit(
    connection: Connection,
    operations: readonly Operation[],
  ): Promise<(StatementResult | StorageError)[]> {
    const [only] = operations
    if (operations.length === 1 && only?.statements.length === 1) {
      // A statement on its own is a transaction.
      return [await this.#outcome(connection, only)]
    }
    await this.#command(connection, 'BEGIN')
    const outcomes: (StatementResult | StorageError)[] = []
    for (const operation of operations) {
      // InnoDB undoes a failed statement alone, so that only several need a savepoint.
      const savepoint = operation.statements.length > 1
      if (savepoint) await this.#command(connection, 'SAVEPOINT operation')
      const outcome = await this.#outcome(connection, operation)
      if (savepoint) {
        const end = outcome instanceof StorageError ? 'ROLLBACK TO' : 'RELEASE'
        await this.#command(connection, `${end} SAVEPOINT operation`)
      }
      outcomes.push(outcome)
    }
    await this.#command(connection, 'COMMIT')
    return outcomes
  }

  /** What became of one operation; throws when the whole transaction is over. */
  async #outcome(
    connection: Connection,
    { statements }: Operation,
  ): Promise<StatementResult | StorageError> {
    let changes = 0
    let rows = noRows
    try {
      for (const statement of statements) {
        const result = await this.#run(connection, statement)
        changes += result.changes
        if (result.rows.length > 0) rows = result.rows
      }
      return { changes, rows }
    } catch (error) {
      if (isLost(error) || isDeadlock(error)) throw error
      return storageError(error)
    }
  }

  async #command(connection: Connection, sql: string): Promise<void> {
    await this.#run(connection, { sql, values: [] })
  }

  async #run(target: Connection | Pool, statement: BoundStatement): Promise<StatementResult> {
    const { sql, values, generated } = statement
    const options = { sql, timeout: this.#timeoutMs }
    const [result] =
      values.length > 0 && this.#settings.preparedStatements
        ? await target.execute(options, this.#toParameters(values))
        : await target.query(options, values.map(toQueryValue))
    if (Array.isArray(result)) return { changes: result.length, rows: result as Row[] } // one statement, so rows of it
    const rows = generated === undefined ? noRows : [{ [generated]: result.insertId }]
    return { changes: result.affectedRows, rows }
  }

  /** Integers as such: `mysql2` sends numbers as floating point, which LIMIT refuses and which no index is found for. */
  #toParameters(values: readonly SqlValue[]): ExecuteValues {
    return values.map((value) =>
      Number.isSafeInteger(value) || typeof value === 'bigint'
        ? this.#typed.LONGLONG(value)
        : toQueryValue(value),
    )
  }

  async #rollback(connection: Connection): Promise<void> {
    try {
      await this.#command(connection, 'ROLLBACK')
    } catch (error) {
      this.#tools.log.warn({ err: error }, 'Cannot roll back')
      this.#writer.lost(connection)
    }
  }

  #checkLost(connection: Connection, error: unknown): boolean {
    const lost = isLost(error)
    if (lost) this.#writer.lost(connection)
    return lost
  }

  async #ping(): Promise<void> {
    try {
      const connection = await this.#writer.get()
      await this.#command(connection, 'SELECT 1').catch((error: unknown) => {
        this.#checkLost(connection, error)
        throw error
      })
      await this.#run(this.#pool, { sql: 'SELECT 1', values: [] })
    } catch (error) {
      this.#tools.log.warn({ err: error }, 'The database does not answer')
    }
  }
}

function toQueryValue(value: SqlValue): Exclude<SqlValue, Uint8Array> | Buffer {
  return value instanceof Uint8Array
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : value
}

/** `boolean` is `tinyint(1)` there. */
const typeCast: TypeCast = (field, next) => {
  const value = next()
  if (field.type !== 'TINY' || field.length !== 1 || value === null) return value
  return value !== 0
}

/** Server error numbers (MySQL and MariaDB reference manuals) that mean more than "other" to us. */
const codes: Readonly<Record<number, StorageErrorCode>> = {
  1021: 'full', // ER_DISK_FULL
  1114: 'full', // ER_RECORD_FILE_FULL
  1034: 'corrupt', // ER_NOT_KEYFILE
  1194: 'corrupt', // ER_CRASHED_ON_USAGE
  1195: 'corrupt', // ER_CRASHED_ON_REPAIR
  1040: 'unavailable', // ER_CON_COUNT_ERROR
  1053: 'unavailable', // ER_SERVER_SHUTDOWN
  1205: 'unavailable', // ER_LOCK_WAIT_TIMEOUT
  1213: 'unavailable', // ER_LOCK_DEADLOCK
  1290: 'unavailable', // ER_OPTION_PREVENTS_STATEMENT: read only
  1317: 'unavailable', // ER_QUERY_INTERRUPTED
  1927: 'unavailable', // ER_CONNECTION_KILLED
}

function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  const message = error instanceof Error ? error.message : String(error)
  const number = numberOf(error)
  if (number === undefined) return new StorageError('unavailable', message, error)
  const state = error instanceof Error && 'sqlState' in error ? String(error.sqlState) : ''
  // SQLSTATE 23 are the constraints, 22 values that do not fit the columns.
  const byState = state.startsWith('23') || state.startsWith('22') ? 'constraint' : 'other'
  return new StorageError(codes[number] ?? byState, message, error)
}

/** The number of an error that the server itself reports. */
function numberOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errno' in error) || !('sqlState' in error)) return undefined
  return typeof error.errno === 'number' ? error.errno : undefined
}

/** After these the connection is gone, or nobody knows what it is doing. */
function isLost(error: unknown): boolean {
  if (error instanceof StorageError) return false
  const number = numberOf(error)
  return number === undefined || number === 1053 || number === 1927
}

function isDeadlock(error: unknown): boolean {
  return numberOf(error) === 1213
}
