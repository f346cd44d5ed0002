import { createHash } from 'node:crypto'
import { isSubscribedTo, isSubscriber } from '../../xmpp/contacts.ts'
import type { Jid } from '../../xmpp/jid/jid.ts'
import type { RosterItem } from './item.ts'
import { subscriptionStates } from './subscription-states.ts'

/** An account's roster in memory, with what is asked of it again and again. */
export class RosterItems {
  readonly #items: Map<Jid, RosterItem>
  /** The version that the database holds (`store_current_id`), once it has been read. */
  storedVersion: string | undefined
  #subscribers: readonly Jid[] | undefined
  #contacts: readonly Jid[] | undefined
  #hash: string | undefined
  #listedBytes: number | undefined

  constructor(items: Map<Jid, RosterItem>) {
    this.#items = items
  }

  get size(): number {
    return this.#items.size
  }

  get(jid: Jid): RosterItem | undefined {
    return this.#items.get(jid)
  }

  /** Puts what the database says now in place of what was there. */
  set(jid: Jid, item: RosterItem | undefined): void {
    if (this.#listedBytes !== undefined) {
      this.#listedBytes += listedBytesOf(item) - listedBytesOf(this.#items.get(jid))
    }
    if (item === undefined) this.#items.delete(jid)
    else this.#items.set(jid, item)
    this.#subscribers = undefined
    this.#contacts = undefined
    this.#hash = undefined
  }

  get all(): readonly RosterItem[] {
    return [...this.#items.values()]
  }

  /** Those that clients see. */
  get listed(): readonly RosterItem[] {
    return [...this.#items.values()].filter(({ isListed }) => isListed)
  }

  /** What clients get to see, in bytes, roughly. */
  get listedBytes(): number {
    this.#listedBytes ??= this.listed.reduce((sum, item) => sum + listedBytesOf(item), 0)
    return this.#listedBytes
  }

  /** Who has a subscription to the account's presence. */
  get subscribers(): readonly Jid[] {
    this.#subscribers ??= this.#jids((item) => isSubscriber(subscriptionStates[item.state]))
    return this.#subscribers
  }

  /** To whose presence the account has a subscription. */
  get contacts(): readonly Jid[] {
    this.#contacts ??= this.#jids((item) => isSubscribedTo(subscriptionStates[item.state]))
    return this.#contacts
  }

  /** Requests for a subscription that nobody answered yet. */
  get requests(): readonly RosterItem[] {
    return [...this.#items.values()].filter(({ state }) => subscriptionStates[state].isRequested)
  }

  /** A version that is the same as long as clients see the same (RFC 6121 §2.1.1). */
  get hash(): string {
    this.#hash ??= hashOf(this.listed)
    return this.#hash
  }

  #jids(isWanted: (item: RosterItem) => boolean): readonly Jid[] {
    return [...this.#items.values()].filter(isWanted).map(({ jid }) => jid)
  }
}

/** What an item adds to `listedBytes`. */
export function listedBytesOf(item: RosterItem | undefined): number {
  if (item?.isListed !== true) return 0
  return [item.jid, item.name, ...item.groups].reduce(
    (sum, text) => sum + Buffer.byteLength(text),
    0,
  )
}

function hashOf(items: readonly RosterItem[]): string {
  const fields = items.map(({ jid, name, groups, state, isApproved }) => {
    const { subscription, isAsked } = subscriptionStates[state]
    return JSON.stringify([jid, name, subscription, isAsked, isApproved, [...groups].sort()])
  })
  return createHash('sha1').update(fields.sort().join('\n')).digest('hex')
}
