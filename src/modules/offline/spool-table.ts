import type { HostStore, Query, WriteTicket } from '../../core/store.ts'

export interface SpoolRow {
  readonly seq: number
  /** The message as it was received, with a delay element. */
  readonly xml: string
}

/** ejabberd's table `spool`: messages in the order in which they came. */
export class SpoolTable {
  readonly #store: HostStore

  constructor(store: HostStore) {
    this.#store = store
  }

  async count(local: string): Promise<number> {
    const rows = this.#store.table('spool').count().where('username', '=', local)
    return (await this.#store.first(rows))?.count ?? 0
  }

  add(local: string, xml: string): WriteTicket {
    return this.#store.write(this.#store.table('spool').insert({ username: local, xml }))
  }

  /** The oldest, at most `limit` of them. */
  read(local: string, limit: number): Promise<readonly SpoolRow[]> {
    const rows = this.#store.table('spool').select().select(['seq', 'xml'])
    return this.#store.read(rows.where('username', '=', local).orderBy('seq').limit(limit))
  }

  /** These and no others: more may have come meanwhile. */
  remove(local: string, seqs: readonly number[]): WriteTicket {
    const rows = this.#store.table('spool').delete().where('username', '=', local)
    return this.#store.write(rows.where('seq', 'in', [...seqs]))
  }

  removeAll(local: string): WriteTicket {
    const query: Query = this.#store.table('spool').delete().where('username', '=', local)
    return this.#store.write(query)
  }
}
