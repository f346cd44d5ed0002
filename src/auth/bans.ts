import { banNamespace } from '../core/account.ts'
import type { BanDetails } from '../core/account.ts'
import type { Log } from '../core/log.ts'
import { StorageError } from '../core/store.ts'
import type { HostStore, Transaction } from '../core/store.ts'
import type { Localpart } from '../xmpp/jid/jid.ts'
import { xml } from '../xmpp/xml/element.ts'
import { parseElement } from '../xmpp/xml/parse-element.ts'
import { toXml } from '../xmpp/xml/write.ts'
import { BackendError } from './backend.ts'

/**
 * Bans of a host's accounts, kept where ejabberd keeps them (version 2 of its command `ban_account`): an element in the
 * account's private storage. ejabberd puts a digest with its Erlang cookie in, so that its users, who can write there, cannot
 * make up bans; here nobody but this class writes that namespace, and bans that ejabberd made hold without the cookie.
 */
export class Bans {
  readonly #store: HostStore
  readonly #log: Log

  constructor(store: HostStore, log: Log) {
    this.#store = store
    this.#log = log
  }

  async find(local: Localpart): Promise<BanDetails | undefined> {
    const data = await answered(async () => {
      const query = this.#table().select().select('data')
      return (
        await this.#store.first(
          query.where('username', '=', local).where('namespace', '=', banNamespace),
        )
      )?.data
    })
    return data === undefined ? undefined : this.#parse(local, data)
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
    return this.#transaction(async (tx) => {
      const key = { username: local, namespace: banNamespace }
      const before = await tx.first(
        this.#table()
          .select()
          .select('data')
          .where('username', '=', local)
          .where('namespace', '=', banNamespace),
      )
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

  #transaction<T>(fn: (tx: Transaction) => Promise<T>): Promise<T> {
    return answered(() => this.#store.transaction(fn))
  }
}

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
