import type { LRUCache } from 'lru-cache'
import { banNamespace } from '../core/account.ts'
import type { BanDetails } from '../core/account.ts'
import type { Clock } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import { StorageError } from '../core/store.ts'
import type { HostStore, Statement, Transaction } from '../core/store.ts'
import type { Localpart } from '../xmpp/jid/jid.ts'
import { xml } from '../xmpp/xml/element.ts'
import { parseElement } from '../xmpp/xml/parse-element.ts'
import { toXml } from '../xmpp/xml/write.ts'
import { BackendError } from './backend.ts'
import { createCache } from './verified-passwords.ts'
import type { CacheSettings } from './verified-passwords.ts'

/**
 * Bans of a host's accounts, kept where ejabberd keeps them (version 2 of its command `ban_account`): an element in the
 * account's private storage. ejabberd puts a digest with its Erlang cookie in, so that its users, who can write there, cannot
 * make up bans; here nobody but this class writes that namespace, and bans that ejabberd made hold without the cookie.
 */
export class Bans {
  readonly #store: HostStore
  readonly #log: Log
  readonly #record: (values: { local: string }) => Statement<{ data: string }>
  /** Accounts that were not banned when somebody looked; undefined: nothing is cached (`auth_use_cache`). */
  readonly #free: LRUCache<string, typeof free> | undefined
  /** Rises with each write, so that what was read before it is not cached after it. */
  #writes = 0

  constructor(store: HostStore, log: Log, clock: Clock, cache: CacheSettings | undefined) {
    this.#store = store
    this.#log = log
    this.#record = store.prepare((parameter) =>
      this.#table()
        .select()
        .select('data')
        .where('username', '=', parameter('local'))
        .where('namespace', '=', banNamespace),
    )
    this.#free = cache === undefined ? undefined : createCache(cache, clock)
  }

  clearCache(): void {
    // What is being read right now is not kept either.
    this.#writes++
    this.#free?.clear()
  }

  /** For signing in: an account that was not banned a while ago costs no look into the database. */
  async isBanned(local: Localpart): Promise<boolean> {
    if (this.#free?.get(local) !== undefined) return false
    const writes = this.#writes
    if ((await this.find(local)) !== undefined) return true
    if (writes === this.#writes) this.#free?.set(local, free)
    return false
  }

  async find(local: Localpart): Promise<BanDetails | undefined> {
    const row = await answered(() => this.#store.first(this.#record({ local })))
    return row === undefined ? undefined : this.#parse(local, row.data)
  }

  /** Whether it is a new one. */
  async add(local: Localpart, details: BanDetails): Promise<boolean> {
    const field = (name: keyof BanDetails) => xml(name, banNamespace, {}, legible(details[name]))
    const element = xml(
      'banned',
      banNamespace,
      {},
      field('reason'),
      field('lastdate'),
      field('lastreason'),
      field('bandate'),
    )
    return this.#writing(local, async (tx) => {
      const key = { username: local, namespace: banNamespace }
      const before = await tx.first(this.#record({ local }))
      if (before !== undefined && this.#parse(local, before.data) !== undefined) return false
      await tx.write(this.#table().upsert({ key, set: { data: toXml(element) } }))
      return true
    })
  }

  /** Whether there was one. */
  async remove(local: Localpart): Promise<boolean> {
    const outcome = await this.#store.write(
      this.#table().delete().where('username', '=', local).where('namespace', '=', banNamespace),
    ).settled
    if (!outcome.ok) throw new BackendError('Cannot lift a ban', outcome.error)
    return outcome.changes > 0
  }

  async list(): Promise<readonly string[]> {
    return answered(async () => {
      const query = this.#table().select().select('username')
      const rows = await this.#store.read(query.where('namespace', '=', banNamespace))
      return rows.map(({ username }) => username)
    })
  }

  #table() {
    return this.#store.table('private_storage')
  }

  #parse(local: Localpart, data: string): BanDetails | undefined {
    const parsed = parseElement(data)
    if (!parsed.ok) {
      this.#log.error({ user: local, host: this.#store.host }, 'A record of a ban cannot be read')
      // Something of the kind is there: the account stays out until somebody looks.
      return { reason: '', bandate: 'unknown', lastdate: '', lastreason: '' }
    }
    const field = (name: keyof BanDetails): string => parsed.value.childText(name) ?? ''
    if (field('bandate') === '') return undefined
    return {
      reason: field('reason'),
      bandate: field('bandate'),
      lastdate: field('lastdate'),
      lastreason: field('lastreason'),
    }
  }

  async #writing<T>(local: Localpart, fn: (tx: Transaction) => Promise<T>): Promise<T> {
    this.#forget(local)
    try {
      return await answered(() => this.#store.transaction(fn))
    } finally {
      // Once more: what was read while the write was under way is as old as what was read before.
      this.#forget(local)
    }
  }

  #forget(local: Localpart): void {
    this.#writes++
    this.#free?.delete(local)
  }
}

/** The cache's only value: its entries are what counts. */
const free = {}

/** Without what XML cannot hold (XML 1.0 §2.2): an operator may paste anything as a reason. */
function legible(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, ' ')
}

async function answered<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof StorageError) throw new BackendError('The database of bans fails', error)
    throw error
  }
}
