import { sql } from 'kysely'
import type { HostStore, Query, WriteTicket } from '../../core/store.ts'
import type { BareJid, Jid } from '../../xmpp/jid/jid.ts'

export interface ArchiveEntry {
  /** Microseconds since 1970; in decimal it is the id that clients know. */
  readonly timestamp: number
  readonly xml: string
}

/** Which messages of an archive are meant; what is undefined does not matter. */
export interface ArchiveFilter {
  /** Microseconds since 1970, both included. */
  readonly start?: number | undefined
  readonly end?: number | undefined
  /** Neither included. */
  readonly after?: number | undefined
  readonly before?: number | undefined
  readonly with?: { readonly jid: Jid; readonly isBare: boolean } | undefined
  readonly ids?: readonly number[] | undefined
  /** In the body, in any case. */
  readonly text?: string | undefined
}

interface NewRow {
  username: string
  timestamp: number
  peer: string
  bare_peer: string
  xml: string
  txt: string
  kind: string
  nick: string
  origin_id: string
}

/** ejabberd's table `archive`, as far as accounts use it: rooms stand in it under their addresses. */
export class ArchiveTable {
  readonly #store: HostStore
  readonly #insert: (row: NewRow) => Query

  constructor(store: HostStore) {
    this.#store = store
    const table = store.table('archive')
    const hasOriginId = store.hasColumn('archive', 'origin_id')
    this.#insert = store.prepare<NewRow, unknown>((value) =>
      table.insert({
        username: value('username'),
        timestamp: value('timestamp'),
        peer: value('peer'),
        bare_peer: value('bare_peer'),
        xml: value('xml'),
        txt: value('txt'),
        kind: value('kind'),
        nick: value('nick'),
        ...(hasOriginId ? { origin_id: value('origin_id') } : {}),
      }),
    )
  }

  add(row: {
    readonly local: string
    readonly timestamp: number
    readonly peer: Jid
    readonly barePeer: BareJid
    readonly xml: string
    readonly body: string
    readonly originId: string
  }): WriteTicket {
    return this.#store.write(
      this.#insert({
        username: row.local,
        timestamp: row.timestamp,
        peer: row.peer,
        bare_peer: row.barePeer,
        xml: row.xml,
        txt: row.body,
        kind: 'chat',
        nick: '',
        origin_id: row.originId,
      }),
    )
  }

  /** In order of time, or the other way round; at most `limit`. */
  read(
    local: string,
    filter: ArchiveFilter,
    order: 'asc' | 'desc',
    limit: number,
  ): Promise<readonly ArchiveEntry[]> {
    let rows = this.#store.table('archive').select().select(['timestamp', 'xml'])
    for (const condition of conditions(local, filter)) rows = rows.where(condition)
    return this.#store.read(rows.orderBy('timestamp', order).limit(limit))
  }

  async count(local: string, filter: ArchiveFilter): Promise<number> {
    let rows = this.#store.table('archive').count()
    for (const condition of conditions(local, filter)) rows = rows.where(condition)
    return (await this.#store.first(rows))?.count ?? 0
  }

  removeAll(local: string, peer?: { readonly jid: Jid; readonly isBare: boolean }): WriteTicket {
    let rows = this.#store.table('archive').delete()
    for (const condition of conditions(local, { with: peer })) rows = rows.where(condition)
    return this.#store.write(rows)
  }

  /** Of all accounts; `kind` undefined is of every kind. */
  removeOlder(timestamp: number, kind: string | undefined): WriteTicket {
    const rows = this.#store.table('archive').delete().where('timestamp', '<', timestamp)
    return this.#store.write(kind === undefined ? rows : rows.where('kind', '=', kind))
  }
}

function conditions(local: string, filter: ArchiveFilter) {
  const { start, end, after, before, with: peer, ids, text } = filter
  const all = [sql<boolean>`${sql.ref('username')} = ${local}`]
  const timestamp = sql.ref('timestamp')
  if (start !== undefined) all.push(sql<boolean>`${timestamp} >= ${start}`)
  if (end !== undefined) all.push(sql<boolean>`${timestamp} <= ${end}`)
  if (after !== undefined) all.push(sql<boolean>`${timestamp} > ${after}`)
  if (before !== undefined) all.push(sql<boolean>`${timestamp} < ${before}`)
  if (ids !== undefined) all.push(sql<boolean>`${timestamp} in (${sql.join(ids)})`)
  if (peer !== undefined) {
    const column = sql.ref(peer.isBare ? 'bare_peer' : 'peer')
    all.push(sql<boolean>`${column} = ${peer.jid}`)
  }
  if (text !== undefined) {
    const pattern = `%${text.toLowerCase().replaceAll(/[!%_]/g, '!$&')}%`
    all.push(sql<boolean>`lower(${sql.ref('txt')}) like ${pattern} escape '!'`)
  }
  return all
}
