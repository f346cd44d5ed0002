import type { HostStore, Migration, Query, TableSpec, WriteTicket } from '../../core/store.ts'

const table: TableSpec = {
  name: 'linnet_sm_message',
  alwaysPerHost: true,
  columns: {
    server_host: { kind: 'key' },
    id: { kind: 'bigint' },
    username: { kind: 'text' },
    xml: { kind: 'bigtext' },
  },
  keys: [{ kind: 'primary', columns: ['server_host', 'id'] }],
}

declare module '../../core/store.ts' {
  interface Tables {
    linnet_sm_message: {
      /** Rising in the order in which the messages came. */
      id: number
      username: string
      /** The message with both of its addresses and a delay element. */
      xml: string
    }
  }
}

export const streamMgmtMigrations: readonly Migration[] = [
  { version: 1, title: 'messages that clients have not acknowledged', tables: [table] },
]

export interface KeptMessage {
  readonly id: number
  readonly xml: string
}

/** Messages that were handed to clients and not acknowledged by them, so that a crash does not lose them. */
export class KeptMessages {
  readonly #store: HostStore
  readonly #insert: (row: { id: number; username: string; xml: string }) => Query
  #last: number

  private constructor(store: HostStore, last: number) {
    this.#store = store
    this.#last = last
    const rows = store.table('linnet_sm_message')
    this.#insert = store.prepare<{ id: number; username: string; xml: string }, unknown>((value) =>
      rows.insert({ id: value('id'), username: value('username'), xml: value('xml') }),
    )
  }

  static async open(store: HostStore): Promise<KeptMessages> {
    await store.migrate('mod_stream_mgmt', streamMgmtMigrations)
    const rows = store.table('linnet_sm_message').select().select(['id'])
    return new KeptMessages(
      store,
      (await store.first(rows.orderBy('id', 'desc').limit(1)))?.id ?? 0,
    )
  }

  /** The number under which nothing was kept before now; everything below and with it was there at the start. */
  get last(): number {
    return this.#last
  }

  add(username: string, xml: string): { readonly id: number; readonly ticket: WriteTicket } {
    const id = ++this.#last
    return { id, ticket: this.#store.write(this.#insert({ id, username, xml })) }
  }

  remove(ids: readonly number[]): WriteTicket {
    const rows = this.#store.table('linnet_sm_message').delete()
    return this.#store.write(rows.where('id', 'in', [...ids]))
  }

  removeAll(username: string): WriteTicket {
    const rows = this.#store.table('linnet_sm_message').delete()
    return this.#store.write(rows.where('username', '=', username))
  }

  /** The oldest after `after` and not above `to`, at most `limit` of them. */
  read(after: number, to: number, limit: number): Promise<readonly KeptMessage[]> {
    const rows = this.#store.table('linnet_sm_message').select().select(['id', 'xml'])
    return this.#store.read(
      rows.where('id', '>', after).where('id', '<=', to).orderBy('id').limit(limit),
    )
  }
}
