import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import { StorageError } from '../../core/store.ts'

export interface ConnectorOptions<Connection> {
  readonly connect: () => Promise<Connection>
  /** Ends a connection that nobody trusts any more. */
  readonly discard: (connection: Connection) => void
  /** After a failed attempt, the next is made this much later; until then there is an error at once. */
  readonly startIntervalMs: number
  readonly clock: Clock
  readonly log: Log
}

/** Keeps one connection to a database server: made when it is needed, made anew when it was lost. */
export class Connector<Connection> {
  readonly #options: ConnectorOptions<Connection>
  #connection: Promise<Connection> | undefined
  #failure: { readonly error: StorageError; readonly until: number } | undefined

  constructor(options: ConnectorOptions<Connection>) {
    this.#options = options
  }

  /** Rejects with `unavailable`. */
  get(): Promise<Connection> {
    if (this.#connection === undefined) {
      const connection = this.#connect()
      this.#connection = connection
      connection.catch(() => {
        if (this.#connection === connection) this.#connection = undefined
      })
    }
    return this.#connection
  }

  /** The connection is broken, or in a state that nobody knows: the next `get` makes another. */
  lost(connection: Connection): void {
    this.#connection = undefined
    this.#options.discard(connection)
  }

  /** The connection, if there is one, to end it. */
  async take(): Promise<Connection | undefined> {
    const connection = this.#connection
    this.#connection = undefined
    return connection?.catch(() => undefined)
  }

  async #connect(): Promise<Connection> {
    const { clock, startIntervalMs, log } = this.#options
    try {
      if (this.#failure !== undefined && clock.monotonic() < this.#failure.until) {
        throw this.#failure.error
      }
      const connection = await this.#options.connect()
      if (this.#failure !== undefined) log.info('Connected to the database again')
      this.#failure = undefined
      return connection
    } catch (cause) {
      if (cause === this.#failure?.error) throw cause
      const reason = cause instanceof Error ? describe(cause) : String(cause)
      const error = new StorageError(
        'unavailable',
        `Cannot connect to the database: ${reason}`,
        cause,
      )
      this.#failure = { error, until: clock.monotonic() + startIntervalMs }
      throw error
    }
  }
}

/** Attempts on several addresses come as one error without a text of its own. */
function describe(error: Error): string {
  if (error.message !== '') return error.message
  if (error instanceof AggregateError) return error.errors.map(String).join(', ')
  return error.name
}
