import type { LRUCache } from 'lru-cache'
import type { Clock } from '../../core/clock.ts'
import { localpart } from '../../xmpp/jid/jid.ts'
import type { BareJid, Jid } from '../../xmpp/jid/jid.ts'
import { createId } from '../../xmpp/stanza/stanza.ts'
import { createCache } from '../cache.ts'
import type { CacheValues } from '../cache.ts'
import { looksSame, newItem } from './item.ts'
import type { RosterItem } from './item.ts'
import { KeyedQueue } from '../keyed-queue.ts'
import { RosterItems } from './roster-items.ts'
import type { RosterTable } from './roster-table.ts'
import { subscriptionStates } from './subscription-states.ts'

export interface RostersSettings extends CacheValues {
  readonly cache_missed: boolean
  readonly versioning: boolean
  readonly store_current_id: boolean
}

/** What becomes of an item: a new one, none any more, or it stays as it is. */
export type ItemChange = RosterItem | 'removed' | 'same'

export interface ChangedItem {
  readonly before: RosterItem
  /** One that is not listed and has no state when the roster has none any more. */
  readonly after: RosterItem
  /** Clients have to be told (RFC 6121 §2.6.3). */
  readonly isVisible: boolean
  /** Of the roster with the change; undefined without versioning. */
  readonly version: string | undefined
}

interface Held {
  holders: number
  items: RosterItems | undefined
}

/**
 * The rosters of one host: those of accounts that have available sessions in memory, others for a while. Reads and changes
 * of one roster happen one after the other, so that what is in memory is what the database has.
 */
export class Rosters {
  readonly #table: RosterTable
  readonly #settings: RostersSettings
  readonly #held = new Map<BareJid, Held>()
  readonly #cache: LRUCache<BareJid, RosterItems> | undefined
  readonly #queue = new KeyedQueue<BareJid>()
  readonly #onChange: (account: BareJid, before: RosterItem, after: RosterItem) => void

  constructor(
    table: RosterTable,
    settings: RostersSettings,
    clock: Clock,
    onChange: (account: BareJid, before: RosterItem, after: RosterItem) => void,
  ) {
    this.#table = table
    this.#settings = settings
    this.#cache = createCache(settings, clock)
    this.#onChange = onChange
  }

  /** The rosters of those who are there stay. */
  clearCache(): void {
    this.#cache?.clear()
  }

  /** The roster if it is in memory. */
  find(account: BareJid): RosterItems | undefined {
    return this.#held.get(account)?.items ?? this.#cache?.get(account)
  }

  /** The roster, after all changes that were begun before. */
  read(account: BareJid): Promise<RosterItems> {
    return this.#queue.run(account, () => this.#load(account))
  }

  /** Keeps the roster in memory until it is released as often as it was held. */
  hold(account: BareJid): void {
    const held = this.#held.get(account)
    if (held === undefined) this.#held.set(account, { holders: 1, items: this.find(account) })
    else held.holders++
  }

  release(account: BareJid): void {
    const held = this.#held.get(account)
    if (held === undefined || --held.holders > 0) return
    this.#held.delete(account)
    if (held.items !== undefined) this.#keep(account, held.items)
  }

  /**
   * Changes one item by what `decide` makes of it, which is asked once and at once; durable when the promise resolves. The item is
   * read where it is written, so that no change gets lost that somebody else made in the same database.
   */
  change(
    account: BareJid,
    jid: Jid,
    decide: (before: RosterItem, items: RosterItems) => ItemChange,
    extra?: (before: RosterItem, after: RosterItem) => string | undefined,
  ): Promise<ChangedItem> {
    return this.#queue.run(account, async () => {
      const items = await this.#load(account)
      const local = localpart(account)
      let version: string | undefined
      const changed = await this.#table.store.transaction(async (tx) => {
        const before = (await this.#table.readItem(tx, local, jid)) ?? newItem(jid)
        const change = decide(before, items)
        if (change === 'same') return { before, after: before, isVisible: false }
        const after = change === 'removed' ? newItem(jid) : change
        if (isNothing(after)) await this.#table.remove(tx, local, jid)
        else await this.#table.write(tx, local, after)
        const xml = extra?.(before, after)
        if (xml !== undefined || isRequested(before) !== isRequested(after)) {
          await tx.write(this.#table.writeRequest(local, jid, xml))
        }
        const isVisible = !looksSame(before, after)
        if (isVisible && this.#settings.store_current_id) {
          version = createId()
          await tx.write(this.#table.writeVersion(local, version))
        }
        return { before, after, isVisible }
      })
      items.set(jid, isNothing(changed.after) ? undefined : changed.after)
      if (version !== undefined) items.storedVersion = version
      if (changed.before !== changed.after) this.#onChange(account, changed.before, changed.after)
      return { ...changed, version: this.versionOf(items) }
    })
  }

  /** A roster that `versionOf` knows the version of. */
  async readWithVersion(account: BareJid): Promise<RosterItems> {
    const items = await this.read(account)
    const { versioning, store_current_id } = this.#settings
    if (!versioning || !store_current_id || items.storedVersion !== undefined) return items
    return this.#queue.run(account, async () => {
      const local = localpart(account)
      let version = items.storedVersion ?? (await this.#table.readVersion(local))
      if (version === undefined) {
        version = createId()
        const { store } = this.#table
        const written = await store.write(this.#table.writeVersion(local, version)).settled
        if (!written.ok) throw written.error
      }
      items.storedVersion = version
      return items
    })
  }

  /** The version of a roster as clients see it (RFC 6121 §2.1.1); undefined without versioning. */
  versionOf(items: RosterItems): string | undefined {
    if (!this.#settings.versioning) return undefined
    return this.#settings.store_current_id ? items.storedVersion : items.hash
  }

  /** The complete stanzas of requests, as XML, by the contact's address. */
  requests(account: BareJid): Promise<ReadonlyMap<string, string>> {
    return this.#table.readRequests(localpart(account))
  }

  /** Deletes a roster; resolves with what it held. */
  remove(account: BareJid): Promise<readonly RosterItem[]> {
    return this.#queue.run(account, async () => {
      const items = await this.#load(account)
      const removed = items.all
      const queries = this.#table.removeAll(localpart(account))
      const written = await this.#table.store.write(queries).settled
      if (!written.ok) throw written.error
      for (const { jid } of removed) items.set(jid, undefined)
      items.storedVersion = undefined
      return removed
    })
  }

  async #load(account: BareJid): Promise<RosterItems> {
    const known = this.find(account)
    if (known !== undefined) return known
    const items = new RosterItems(await this.#table.read(localpart(account)))
    const held = this.#held.get(account)
    if (held === undefined) this.#keep(account, items)
    else held.items = items
    return items
  }

  #keep(account: BareJid, items: RosterItems): void {
    if (items.size > 0 || this.#settings.cache_missed) this.#cache?.set(account, items)
  }
}

function isRequested({ state }: RosterItem): boolean {
  return subscriptionStates[state].isRequested
}

/** Nothing is worth a row. */
function isNothing({ isListed, state, isApproved }: RosterItem): boolean {
  return !isListed && state === 'none' && !isApproved
}
