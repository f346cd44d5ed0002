import type { Log } from '../../core/log.ts'
import type { HostStore, Migration, Query, Tables, Transaction } from '../../core/store.ts'
import { bigText, defineTable, key, primary, serverHost } from '../../storage/schema/define.ts'
import type { RowOf } from '../../storage/schema/define.ts'
import type { Subscription } from '../../xmpp/contacts.ts'
import type { Jid } from '../../xmpp/jid/jid.ts'
import { parseJid } from '../../xmpp/jid/jid.ts'
import type { RosterItem } from './item.ts'
import { stateOf, subscriptionStates } from './subscription-states.ts'

/** Requests for a subscription that hold more than a status text, which is all that ejabberd's table has room for. */
const requests = defineTable(
  'linnet_subscription_request',
  { server_host: serverHost(), username: key(), jid: key(), xml: bigText() },
  [primary(['server_host', 'username', 'jid'])],
)

declare module '../../core/store.ts' {
  interface Tables {
    linnet_subscription_request: RowOf<typeof requests>
  }
}

export const rosterMigrations: readonly Migration[] = [
  { version: 1, title: 'complete subscription requests', tables: [requests] },
]

const subscriptionLetters: Readonly<Record<Subscription, string>> = {
  none: 'N',
  to: 'T',
  from: 'F',
  both: 'B',
}

const subscriptions: ReadonlyMap<string, Subscription> = new Map([
  ['N', 'none'],
  ['T', 'to'],
  ['F', 'from'],
  ['B', 'both'],
])

/**
 * In the column `subscribe`, which ejabberd writes empty and never reads: the user has added this contact, though the row
 * looks like one that only keeps a request.
 */
const listedMark = 'listed'

const columns = [
  'jid',
  'nick',
  'subscription',
  'approved',
  'ask',
  'askmessage',
  'subscribe',
] as const

type Row = Pick<Tables['rosterusers'], (typeof columns)[number]>

/** The roster in ejabberd's tables `rosterusers`, `rostergroups` and `roster_version`. */
export class RosterTable {
  readonly #store: HostStore
  readonly #log: Log

  constructor(store: HostStore, log: Log) {
    this.#store = store
    this.#log = log
  }

  get store(): HostStore {
    return this.#store
  }

  async read(local: string): Promise<Map<Jid, RosterItem>> {
    const [rows, groupRows] = await Promise.all([
      this.#store.read(this.#rowsOf(local)),
      this.#store.read(this.#groupsOf(local)),
    ])
    const groups = Map.groupBy(groupRows, ({ jid }) => jid)
    const items = new Map<Jid, RosterItem>()
    for (const row of rows) {
      const item = this.#itemOf(local, row, groups.get(row.jid)?.map(({ grp }) => grp) ?? [])
      if (item !== undefined) items.set(item.jid, item)
    }
    return items
  }

  async readItem(tx: Transaction, local: string, jid: Jid): Promise<RosterItem | undefined> {
    const row = await tx.first(this.#rowsOf(local).where('jid', '=', jid))
    if (row === undefined) return undefined
    const groups = await tx.read(this.#groupsOf(local).where('jid', '=', jid))
    return this.#itemOf(
      local,
      row,
      groups.map(({ grp }) => grp),
    )
  }

  async write(tx: Transaction, local: string, item: RosterItem): Promise<void> {
    const groups = this.#store.table('rostergroups')
    await tx.write(
      this.#store
        .table('rosterusers')
        .upsert({ key: { username: local, jid: item.jid }, set: rowOf(item) }),
    )
    await tx.write(groups.delete().where('username', '=', local).where('jid', '=', item.jid))
    for (const grp of item.groups) {
      await tx.write(groups.insert({ username: local, jid: item.jid, grp }))
    }
  }

  async remove(tx: Transaction, local: string, jid: Jid): Promise<void> {
    for (const table of ['rosterusers', 'rostergroups'] as const) {
      const rows = this.#store.table(table).delete()
      await tx.write(rows.where('username', '=', local).where('jid', '=', jid))
    }
  }

  /** Everything that is kept for an account. */
  removeAll(local: string): readonly Query[] {
    const tables = [
      'rosterusers',
      'rostergroups',
      'roster_version',
      'linnet_subscription_request',
    ] as const
    return tables.map((table) => this.#store.table(table).delete().where('username', '=', local))
  }

  async readVersion(local: string): Promise<string | undefined> {
    const rows = this.#store.table('roster_version').select().select('version')
    return (await this.#store.first(rows.where('username', '=', local)))?.version
  }

  writeVersion(local: string, version: string): Query {
    return this.#store
      .table('roster_version')
      .upsert({ key: { username: local }, set: { version } })
  }

  /** The complete requests that are kept, as XML, by the contact's address. */
  async readRequests(local: string): Promise<ReadonlyMap<string, string>> {
    const rows = this.#store.table('linnet_subscription_request').select().select(['jid', 'xml'])
    const found = await this.#store.read(rows.where('username', '=', local))
    return new Map(found.map(({ jid, xml }) => [jid, xml]))
  }

  /** Keeps the complete request, or forgets it. */
  writeRequest(local: string, jid: Jid, xml: string | undefined): Query {
    const table = this.#store.table('linnet_subscription_request')
    return xml === undefined
      ? table.delete().where('username', '=', local).where('jid', '=', jid)
      : table.upsert({ key: { username: local, jid }, set: { xml } })
  }

  #rowsOf(local: string) {
    return this.#store
      .table('rosterusers')
      .select()
      .select([...columns])
      .where('username', '=', local)
  }

  #groupsOf(local: string) {
    return this.#store
      .table('rostergroups')
      .select()
      .select(['jid', 'grp'])
      .where('username', '=', local)
  }

  #itemOf(local: string, row: Row, groups: readonly string[]): RosterItem | undefined {
    const jid = parseJid(row.jid)
    const subscription = subscriptions.get(row.subscription)
    if (!jid.ok || subscription === undefined) {
      this.#log.error(
        { user: local, jid: row.jid, subscription: row.subscription },
        'Roster item in the database cannot be read and is left out',
      )
      return undefined
    }
    const state = stateOf({
      subscription,
      // S is what ejabberd 2 wrote for a request that is pending out; its U (unsubscribing) has no meaning any more.
      isAsked: row.ask === 'O' || row.ask === 'B' || row.ask === 'S',
      isRequested: row.ask === 'I' || row.ask === 'B',
    })
    return {
      jid: jid.value,
      name: row.nick,
      groups,
      state,
      isApproved: row.approved,
      isListed:
        state !== 'none+in' ||
        row.nick !== '' ||
        groups.length > 0 ||
        row.approved ||
        row.subscribe === listedMark,
      requestText: row.askmessage,
    }
  }
}

function rowOf(item: RosterItem): Omit<Row, 'jid'> & { server: string; type: string } {
  const { subscription, isAsked, isRequested } = subscriptionStates[item.state]
  const looksListed = item.name !== '' || item.groups.length > 0 || item.isApproved
  const needsMark = item.state === 'none+in' && item.isListed && !looksListed
  return {
    nick: item.name,
    subscription: subscriptionLetters[subscription],
    approved: item.isApproved,
    ask: isAsked ? (isRequested ? 'B' : 'O') : isRequested ? 'I' : 'N',
    askmessage: item.requestText,
    server: 'N',
    subscribe: needsMark ? listedMark : '',
    type: 'item',
  }
}
