import type { Access } from '../../core/access.ts'
import { subjectOf } from '../../core/access.ts'
import { isSubscribedTo, isSubscriber } from '../../xmpp/contacts.ts'
import type { Contact } from '../../xmpp/contacts.ts'
import { bareJid } from '../../xmpp/jid/jid.ts'
import type { BareJid, Jid } from '../../xmpp/jid/jid.ts'
import type { Router } from '../../xmpp/router.ts'
import type { Session } from '../../xmpp/session.ts'
import { errorReply, result } from '../../xmpp/stanza/stanza-error.ts'
import { createPresence, payloadOf } from '../../xmpp/stanza/stanza.ts'
import type { Iq } from '../../xmpp/stanza/stanza.ts'
import { xml } from '../../xmpp/xml/element.ts'
import { itemElement, newItem, parseRosterSet, rosterNs } from './item.ts'
import type { RosterItem } from './item.ts'
import { isFull, isTooLarge } from './limits.ts'
import { changeElement, pushItem } from './pushes.ts'
import type { RosterOptions } from './roster-options.ts'
import type { RosterPresence } from './roster-presence.ts'
import type { ChangedItem, Rosters } from './rosters.ts'
import { isGained, isLost } from './subscriptions.ts'
import { stateOf, subscriptionStates } from './subscription-states.ts'

export interface QueryParts {
  readonly router: Router
  readonly presence: RosterPresence
  readonly access: Access
  readonly rosters: Rosters
  options(): RosterOptions
}

/** Why an item was not changed. */
export type ItemRefusal = 'not-found' | 'full'

/** Requests for the roster and for changes of it, from clients and from operators (RFC 6121 §2). */
export class RosterQueries {
  readonly #parts: QueryParts

  constructor(parts: QueryParts) {
    this.#parts = parts
  }

  /** RFC 6121 §2.1.3, §2.6.3 */
  async get(iq: Iq, session: Session | undefined): Promise<Iq> {
    const account = bareJid(iq.to)
    const query = payloadOf(iq)
    if (bareJid(iq.from) !== account) return errorReply(iq, 'forbidden')
    if (query === undefined || query.child('item') !== undefined) {
      return errorReply(iq, 'bad-request', { text: 'A roster get has no items' })
    }
    const rosters = this.#parts.rosters
    const items = await rosters.readWithVersion(account)
    const version = rosters.versionOf(items)
    // From here on it hears of changes: none can come between this and the answer.
    if (session !== undefined) session.rosterRequested = true
    if (version !== undefined && query.attr('ver') === version) return result(iq)
    const elements = items.listed.map(itemElement)
    return result(iq, xml('query', rosterNs, { ver: version }, ...elements))
  }

  /** RFC 6121 §2.1.5 */
  async set(iq: Iq, session: Session | undefined): Promise<Iq> {
    const account = bareJid(iq.to)
    const query = payloadOf(iq)
    // §2.1.5, security warning
    if (bareJid(iq.from) !== account) return errorReply(iq, 'forbidden')
    if (query === undefined) return errorReply(iq, 'bad-request')
    const { access } = this.#parts
    const subject = subjectOf(iq.from, session?.ip)
    if (!access.isAllowed(this.#parts.options().access, subject, subject.host)) {
      return errorReply(iq, 'not-allowed')
    }
    const parsed = parseRosterSet(query)
    if (!parsed.ok) {
      const { condition, text } = parsed.error
      return errorReply(iq, condition, { text })
    }
    const wanted = parsed.value
    const refusal =
      wanted.kind === 'remove'
        ? await this.remove(account, wanted.jid)
        : await this.#update(account, wanted.jid, (before) => ({
            ...before,
            name: wanted.name,
            groups: wanted.groups,
            isListed: true,
          }))
    switch (refusal) {
      case undefined:
        return result(iq)
      case 'not-found':
        // §2.5.3, with the type of its example
        return errorReply(iq, 'item-not-found', { type: 'modify' })
      case 'full':
        return errorReply(iq, 'resource-constraint', { text: 'The roster is full' })
    }
  }

  /** Writes an item for an operator, subscription and all, without asking the contact. */
  put(
    account: BareJid,
    jid: Jid,
    { name, groups, subscription }: Pick<Contact, 'name' | 'groups' | 'subscription'>,
  ): Promise<ItemRefusal | undefined> {
    return this.#update(account, jid, (before) => {
      const state = stateOf({ ...subscriptionStates[before.state], subscription })
      return { ...before, name, groups, state, isListed: true }
    })
  }

  /** RFC 6121 §2.5: ends all subscriptions with the contact, too. */
  async remove(account: BareJid, jid: Jid): Promise<ItemRefusal | undefined> {
    let isThere = false
    const changed = await this.#parts.rosters.change(account, jid, (before) => {
      isThere = before.isListed
      return isThere ? 'removed' : 'same'
    })
    if (!isThere) return 'not-found'
    this.#leave(account, changed)
    this.#push(account, changed)
    return undefined
  }

  /** Deletes the roster of an account that is gone. */
  async removeAll(account: BareJid): Promise<void> {
    for (const before of await this.#parts.rosters.remove(account)) {
      this.#leave(account, { before, after: newItem(before.jid) })
    }
  }

  async #update(
    account: BareJid,
    jid: Jid,
    update: (before: RosterItem) => RosterItem,
  ): Promise<ItemRefusal | undefined> {
    let isRefused = false
    const changed = await this.#parts.rosters.change(account, jid, (before, items) => {
      const after = update(before)
      isRefused = (!before.isListed && isFull(items)) || isTooLarge(items, before, after)
      return isRefused ? 'same' : after
    })
    if (isRefused) return 'full'
    if (isLost(changed)) this.#parts.presence.sendUnavailable(account, jid)
    // §2.4.2: also when nothing is new, as this is what the client waits for.
    this.#push(account, changed)
    if (isGained(changed)) this.#parts.presence.sendCurrent(account, jid)
    return undefined
  }

  #push(account: BareJid, { after, version }: ChangedItem): void {
    pushItem(this.#parts.router.sessions, account, changeElement(after), version)
  }

  /** §2.5.2. What is pending ends, too: nobody would know later to answer it or to take it back. */
  #leave(account: BareJid, change: Pick<ChangedItem, 'before' | 'after'>): void {
    const { router, presence } = this.#parts
    const { jid: to } = change.before
    const { subscription, isAsked, isRequested } = subscriptionStates[change.before.state]
    if (isLost(change)) presence.sendUnavailable(account, to)
    if (isSubscribedTo({ subscription }) || isAsked) {
      router.route(createPresence('unsubscribe', { from: account, to }))
    }
    if (isSubscriber({ subscription }) || isRequested) {
      router.route(createPresence('unsubscribed', { from: account, to }))
    }
  }
}
