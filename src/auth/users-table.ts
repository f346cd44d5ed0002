import type { Log } from '../core/log.ts'
import { StorageError } from '../core/store.ts'
import type { HostStore, Query, Transaction } from '../core/store.ts'
import type { Localpart } from '../xmpp/jid/jid.ts'
import { BackendError } from './backend.ts'
import { formatRow, formOf, parseRow } from './stored-password.ts'
import type { PasswordRow, StoredPassword } from './stored-password.ts'

const columns = ['password', 'serverkey', 'salt', 'iterationcount'] as const

/**
 * ejabberd's table `users`: a row for each account and form of its password, or, in the layout of before ejabberd 24
 * without the column `type`, one row an account. Whatever is written back has the table's own form.
 */
export class UsersTable {
  readonly #store: HostStore
  readonly #log: Log

  constructor(store: HostStore, log: Log) {
    this.#store = store
    this.#log = log
  }

  /** Whether an account may have several forms. */
  get hasTypes(): boolean {
    return this.#store.hasColumn('users', 'type')
  }

  /** The forms stored for an account; undefined when there is no such account. */
  async read(local: Localpart): Promise<readonly StoredPassword[] | undefined> {
    const rows = await answered(() => this.#store.read(this.#rowsOf(local)))
    return this.#parse(local, rows)
  }

  /** Stores a new account unless there is one; durable when it resolves. */
  async create(local: Localpart, forms: readonly StoredPassword[]): Promise<'ok' | 'exists'> {
    return this.#transaction(async (tx) => {
      if ((await tx.first(this.#rowsOf(local))) !== undefined) return 'exists'
      for (const form of forms) await tx.write(this.#insert(local, form))
      return 'ok'
    })
  }

  /** Puts these forms in place of all that are stored. */
  async replace(local: Localpart, forms: readonly StoredPassword[]): Promise<'ok' | 'not-found'> {
    return this.#transaction(async (tx) => {
      if ((await tx.first(this.#rowsOf(local))) === undefined) return 'not-found'
      await tx.write(this.#delete(local))
      for (const form of forms) await tx.write(this.#insert(local, form))
      return 'ok'
    })
  }

  /**
   * Changes what is stored, unless it is no longer `seen` by then: somebody may have set another password meanwhile. Returns
   * whether it did.
   */
  async exchange(
    local: Localpart,
    seen: readonly StoredPassword[],
    forms: readonly StoredPassword[],
  ): Promise<boolean> {
    return this.#transaction(async (tx) => {
      const now = this.#parse(local, await tx.read(this.#rowsOf(local)))
      if (now === undefined || !sameForms(now, seen)) return false
      await tx.write(this.#delete(local))
      for (const form of forms) await tx.write(this.#insert(local, form))
      return true
    })
  }

  async remove(local: Localpart): Promise<boolean> {
    const outcome = await this.#store.write(this.#delete(local)).settled
    if (!outcome.ok) throw new BackendError('Cannot remove an account', outcome.error)
    return outcome.changes > 0
  }

  async list(): Promise<readonly string[]> {
    const query = this.#store.table('users').select().select('username').distinct()
    return (await answered(() => this.#store.read(query))).map(({ username }) => username)
  }

  async count(): Promise<number> {
    const query = this.#store
      .table('users')
      .select()
      .select(({ fn }) => fn.count<number>('username').distinct().as('count'))
    return (await answered(() => this.#store.first(query)))?.count ?? 0
  }

  /** Whether any account has its password stored as it is. */
  async hasPlain(): Promise<boolean> {
    const query = this.#store
      .table('users')
      .select()
      .select('username')
      .where('iterationcount', '=', 0)
      .limit(1)
    return (await answered(() => this.#store.first(query))) !== undefined
  }

  #rowsOf(local: Localpart): Query<PasswordRow> {
    const query = this.#store.table('users').select().where('username', '=', local)
    if (this.hasTypes) return query.select(['type', ...columns])
    return query.select(columns).select(({ lit }) => lit(0).as('type'))
  }

  #insert(local: Localpart, stored: StoredPassword): Query {
    const { type, ...row } = formatRow(stored, this.hasTypes)
    const key = this.hasTypes ? { username: local, type } : { username: local }
    return this.#store.table('users').upsert({ key, set: row })
  }

  #delete(local: Localpart): Query {
    return this.#store.table('users').delete().where('username', '=', local)
  }

  #parse(local: Localpart, rows: readonly PasswordRow[]): readonly StoredPassword[] | undefined {
    if (rows.length === 0) return undefined
    return rows.flatMap((row) => {
      const stored = parseRow(row)
      if (stored === undefined) {
        this.#log.warn(
          { user: local, host: this.#store.host, type: row.type },
          'A stored password makes no sense and is passed over',
        )
      }
      return stored ?? []
    })
  }

  #transaction<T>(fn: (tx: Transaction) => Promise<T>): Promise<T> {
    return answered(() => this.#store.transaction(fn))
  }
}

async function answered<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof StorageError)
      throw new BackendError('The database of accounts fails', error)
    throw error
  }
}

function sameForms(a: readonly StoredPassword[], b: readonly StoredPassword[]): boolean {
  const text = (forms: readonly StoredPassword[]): string =>
    forms
      .map((form) => JSON.stringify([formOf(form), formatRow(form, true)]))
      .sort()
      .join('\n')
  return text(a) === text(b)
}
