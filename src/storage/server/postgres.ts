import type { Client, ClientConfig, CustomTypesConfig, Pool, QueryResult } from 'pg'
import type { Timer } from '../../core/clock.ts'
import { StorageError } from '../../core/store.ts'
import type { StorageErrorCode } from '../../core/store.ts'
import type {
  BoundStatement,
  Driver,
  DriverTransaction,
  Operation,
  Row,
  StatementResult,
} from '../driver.ts'
import { Connector } from './connector.ts'
import type { ServerSettings, ServerTools } from './settings.ts'
import { postgresSocket, socketPath, tlsOptions } from './settings.ts'

/** Statements that get a name, and with it a plan that the server keeps; made-up SQL must not fill its memory. */
const maxNamed = 1000

/** How often a batch is tried again when the server chose it to end a deadlock. */
const maxDeadlocks = 3

/** One advisory lock for all schema changes: the bytes of "linnet". */
const schemaLock = 0x6c696e6e

/** PostgreSQL over `pg`: one connection that writes, whose statements go out without waiting for each other, and a pool that reads. */
export class PostgresDriver implements Driver {
  readonly dialect = 'postgres'
  readonly #settings: ServerSettings
  readonly #writer: Connector<Client>
  readonly #pool: Pool
  readonly #keepalive: Timer
  readonly #tools: ServerTools
  #names = new Map<string, string>()
  #generation = 0
  #timeoutMs: number

  private constructor(
    settings: ServerSettings,
    tools: ServerTools,
    connect: () => Promise<Client>,
    pool: Pool,
  ) {
    this.#settings = settings
    this.#tools = tools
    this.#timeoutMs = settings.queryTimeoutMs
    this.#pool = pool
    this.#writer = new Connector({
      connect,
      discard: (client) => void client.end().catch(() => undefined),
      startIntervalMs: settings.startIntervalMs,
      ...tools,
    })
    this.#keepalive = tools.clock.every(settings.keepaliveIntervalMs, () => void this.#ping())
  }

  static async open(settings: ServerSettings, tools: ServerTools): Promise<PostgresDriver> {
    const { Client, Pool, types } = await import('pg')
    const path = socketPath(settings.server)
    const config: ClientConfig = {
      ...(path === undefined
        ? { host: settings.server, port: settings.port }
        : postgresSocket(path, settings.port)),
      database: settings.database,
      user: settings.username,
      password: settings.password,
      connectionTimeoutMillis: settings.connectTimeoutMs,
      keepAlive: true,
      application_name: 'linnet',
      // Of the session, so that what the server writes by itself (created_at) is in UTC.
      options: '-c TimeZone=UTC',
      types: { getTypeParser: typeParsers(types) },
      ...(settings.ssl !== undefined && { ssl: await tlsOptions(settings.ssl) }),
    }
    const pool = new Pool({ ...config, max: Math.max(1, settings.poolSize - 1) })
    // A reader that breaks while idle has left the pool already; the next read opens another.
    pool.on('error', (error) => tools.log.debug({ err: error }, 'An idle connection was lost'))
    const connect = async (): Promise<Client> => {
      const client = new Client({ ...config, pipeline: true })
      client.on('error', (error) => tools.log.warn({ err: error }, 'The database connection broke'))
      await client.connect()
      // A commit that is not on the disk is none, whatever the server's default.
      await client.query(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
      )
      return client
    }
    const driver = new PostgresDriver(settings, tools, connect, pool)
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
      const client = await this.#writer.get()
      try {
        return await this.#tryCommit(client, operations)
      } catch (error) {
        this.#checkLost(client, error)
        if (isDeadlock(error) && attempt < maxDeadlocks) continue
        throw storageError(error)
      }
    }
  }

  async begin(): Promise<DriverTransaction> {
    const client = await this.#writer.get()
    const all = (...statements: BoundStatement[]): Promise<QueryResult[]> =>
      this.#all(client, statements)
    const guarded = async <T>(run: () => Promise<T>): Promise<T> => {
      try {
        return await run()
      } catch (error) {
        this.#checkLost(client, error)
        throw storageError(error)
      }
    }
    await guarded(() => all(plain('BEGIN')))
    return {
      run: (statement) =>
        guarded(async () => {
          // An error makes PostgreSQL refuse all that follows, unless there is a savepoint to go back to.
          try {
            const results = await all(
              plain('SAVEPOINT statement'),
              statement,
              plain('RELEASE statement'),
            )
            return toResult(results[1])
          } catch (error) {
            if (!isLost(error)) await all(plain('ROLLBACK TO statement'))
            throw error
          }
        }),
      commit: () =>
        guarded(async () => {
          const [result] = await all(plain('COMMIT'))
          if (result?.command !== 'COMMIT') throw new StorageError('other', 'Rolled back')
        }),
      rollback: () =>
        guarded(() => all(plain('ROLLBACK'))).then(
          () => undefined,
          (error: unknown) => this.#tools.log.warn({ err: error }, 'Cannot roll back'),
        ),
    }
  }

  async read(statement: BoundStatement): Promise<readonly Row[]> {
    try {
      const result = await this.#pool.query(this.#query(statement))
      return result.rows
    } catch (error) {
      throw storageError(error)
    }
  }

  async exclusively<T>(fn: () => Promise<T>): Promise<T> {
    const client = await this.#writer.get()
    this.#timeoutMs = this.#settings.updateSchemaTimeoutMs
    try {
      await this.#all(client, [plain(`SELECT pg_advisory_lock(${schemaLock})`)])
      const result = await fn()
      await this.#all(client, [plain(`SELECT pg_advisory_unlock(${schemaLock})`)])
      return result
    } catch (error) {
      // Also gives the lock back.
      this.#writer.lost(client)
      throw storageError(error)
    } finally {
      this.#timeoutMs = this.#settings.queryTimeoutMs
    }
  }

  forgetStatements(): void {
    // A plan made for the old columns fails; under new names they are made anew.
    this.#names.clear()
    this.#generation++
  }

  backup(): Promise<void> {
    return Promise.reject(new StorageError('other', 'Use pg_dump to back up a PostgreSQL database'))
  }

  async close(): Promise<void> {
    this.#keepalive.cancel()
    const client = await this.#writer.take()
    await client?.end()
    await this.#pool.end()
  }

  /** All at once, hoping that nothing fails; only when something did, one by one to find out what. */
  async #tryCommit(
    client: Client,
    operations: readonly Operation[],
  ): Promise<(StatementResult | StorageError)[]> {
    const [only] = operations
    const [single, ...more] = only?.statements ?? []
    if (operations.length === 1 && single !== undefined && more.length === 0) {
      // A statement on its own is a transaction.
      return [await this.#outcome(client, [single])]
    }
    const statements = operations.flatMap((operation) => operation.statements)
    const results = await Promise.allSettled(
      this.#send(client, [plain('BEGIN'), ...statements, plain('COMMIT')]),
    )
    const failed = results.find((result) => result.status === 'rejected')
    if (failed === undefined) return gather(operations, results.slice(1))
    if (isLost(failed.reason) || isDeadlock(failed.reason)) throw failed.reason
    const last = results.at(-1)
    if (last?.status === 'rejected') throw last.reason
    return this.#commitCarefully(client, operations)
  }

  async #commitCarefully(
    client: Client,
    operations: readonly Operation[],
  ): Promise<(StatementResult | StorageError)[]> {
    await this.#all(client, [plain('BEGIN')])
    const outcomes: (StatementResult | StorageError)[] = []
    for (const { statements } of operations) {
      const outcome = await this.#outcome(client, [
        plain('SAVEPOINT operation'),
        ...statements,
        plain('RELEASE operation'),
      ])
      if (outcome instanceof StorageError) await this.#all(client, [plain('ROLLBACK TO operation')])
      outcomes.push(outcome)
    }
    const [commit] = await this.#all(client, [plain('COMMIT')])
    if (commit?.command !== 'COMMIT') throw new StorageError('other', 'The batch was rolled back')
    return outcomes
  }

  /** What became of one operation; throws when the connection is lost. */
  async #outcome(
    client: Client,
    statements: readonly BoundStatement[],
  ): Promise<StatementResult | StorageError> {
    try {
      return combine(await this.#all(client, statements))
    } catch (error) {
      if (isLost(error) || isDeadlock(error)) throw error
      return storageError(error)
    }
  }

  /** The results of all, or the error of the first that failed. */
  async #all(client: Client, statements: readonly BoundStatement[]): Promise<QueryResult[]> {
    const results = await Promise.allSettled(this.#send(client, statements))
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return result.value
    })
  }

  #send(client: Client, statements: readonly BoundStatement[]): Promise<QueryResult>[] {
    // One write for all, where the client would make several for each.
    const { stream } = client.connection
    stream.cork()
    try {
      return statements.map((statement) => client.query(this.#query(statement)))
    } finally {
      stream.uncork()
    }
  }

  #query(statement: BoundStatement) {
    const { sql, values } = statement
    return {
      text: sql,
      values: [...values],
      ...(values.length > 0 && { name: this.#name(sql) }),
      query_timeout: this.#timeoutMs,
    }
  }

  #name(sql: string): string | undefined {
    if (!this.#settings.preparedStatements) return undefined
    let name = this.#names.get(sql)
    if (name === undefined && this.#names.size < maxNamed) {
      name = `linnet_${this.#generation}_${this.#names.size}`
      this.#names.set(sql, name)
    }
    return name
  }

  #checkLost(client: Client, error: unknown): void {
    if (isLost(error)) this.#writer.lost(client)
  }

  async #ping(): Promise<void> {
    try {
      const client = await this.#writer.get()
      await this.#all(client, [plain('SELECT 1')]).catch((error: unknown) => {
        this.#checkLost(client, error)
        throw error
      })
      await this.#pool.query('SELECT 1')
    } catch (error) {
      this.#tools.log.warn({ err: error }, 'The database does not answer')
    }
  }
}

function plain(sql: string): BoundStatement {
  return { sql, values: [] }
}

function toResult(result: QueryResult | undefined): StatementResult {
  return { changes: result?.rowCount ?? 0, rows: result?.rows ?? [] }
}

/** One operation's result out of its statements'; those that are none of its own (savepoints) count nothing. */
function combine(results: readonly QueryResult[]): StatementResult {
  let changes = 0
  let rows: readonly Row[] = []
  for (const result of results) {
    changes += result.rowCount ?? 0
    if (result.fields.length > 0) rows = result.rows
  }
  return { changes, rows }
}

/** Results of a batch's statements, gathered by operation. */
function gather(
  operations: readonly Operation[],
  results: readonly PromiseSettledResult<QueryResult>[],
): StatementResult[] {
  let at = 0
  return operations.map(({ statements }) => {
    const own = results.slice(at, (at += statements.length))
    return combine(own.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])))
  })
}

const toText = (value: string): string => value
const toNumber = (value: string): number => Number(value)
const toInteger = (value: string): number | bigint => {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : BigInt(value)
}

/** By the type's OID (`pg_type`). */
const parsers: ReadonlyMap<number, (value: string) => unknown> = new Map<
  number,
  (value: string) => unknown
>([
  [20, toInteger], // int8
  [1700, toNumber], // numeric
  [1114, toText], // timestamp
  [1184, toText], // timestamptz
])

/** `pg` gives texts for large numbers, and dates in the process's time zone: neither is what other dialects give. */
function typeParsers(defaults: CustomTypesConfig): CustomTypesConfig['getTypeParser'] {
  return (oid, format) => parsers.get(oid) ?? defaults.getTypeParser(oid, format)
}

/** SQLSTATE classes and codes (PostgreSQL manual, appendix A) that mean more than "other" to us. */
const states: readonly (readonly [prefix: string, code: StorageErrorCode])[] = [
  ['23', 'constraint'],
  ['22', 'constraint'], // data exception: the values do not fit the columns
  ['53100', 'full'],
  ['53', 'unavailable'],
  ['08', 'unavailable'],
  ['57', 'unavailable'],
  ['40', 'unavailable'],
  ['55P03', 'unavailable'],
  ['XX001', 'corrupt'],
  ['XX002', 'corrupt'],
]

function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  const message = error instanceof Error ? error.message : String(error)
  const state = stateOf(error)
  if (state === undefined) return new StorageError('unavailable', message, error)
  const code = states.find(([prefix]) => state.startsWith(prefix))?.[1] ?? 'other'
  return new StorageError(code, message, error)
}

/** SQLSTATE, for errors that the server itself reports. */
function stateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('severity' in error) || !('code' in error)) return undefined
  return String(error.code)
}

/** After these the connection is gone, or nobody knows what it is doing. */
function isLost(error: unknown): boolean {
  if (error instanceof StorageError) return false
  if (stateOf(error) === undefined) return true
  return error instanceof Error && 'severity' in error && error.severity !== 'ERROR'
}

function isDeadlock(error: unknown): boolean {
  const state = stateOf(error)
  return state === '40P01' || state === '40001'
}
