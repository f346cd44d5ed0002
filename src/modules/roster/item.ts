import type { Contact } from '../../xmpp/contacts.ts'
import type { Jid } from '../../xmpp/jid/jid.ts'
import { parseJid } from '../../xmpp/jid/jid.ts'
import type { StanzaErrorCondition } from '../../xmpp/stanza/stanza-error.ts'
import { xml } from '../../xmpp/xml/element.ts'
import type { Element } from '../../xmpp/xml/element.ts'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { subscriptionStates } from './subscription-states.ts'
import type { SubscriptionState } from './subscription-states.ts'

export const rosterNs = 'jabber:iq:roster'

/** What a roster holds about one address. */
export interface RosterItem {
  readonly jid: Jid
  readonly name: string
  readonly groups: readonly string[]
  readonly state: SubscriptionState
  /** A request of the contact is answered with yes as soon as it comes (RFC 6121 §3.4). */
  readonly isApproved: boolean
  /**
   * Clients see it. False for what only keeps a request that nobody answered yet, from a contact who was never added (RFC
   * 6121 A.1, state 3).
   */
  readonly isListed: boolean
  /** The status text of that request. */
  readonly requestText: string
}

/** RFC 6121 §2.3.3 leaves these to the server: as long as a part of an address may be (RFC 6122 §2.1). */
export const maxTextBytes = 1023
export const maxGroups = 100

/** An address that the roster does not hold. */
export function newItem(jid: Jid): RosterItem {
  return {
    jid,
    name: '',
    groups: [],
    state: 'none',
    isApproved: false,
    isListed: false,
    requestText: '',
  }
}

export function contactOfItem({ name, groups, state }: RosterItem): Contact {
  const { subscription, isAsked } = subscriptionStates[state]
  return { subscription, isAsked, name, groups }
}

/** RFC 6121 §2.1.2 */
export function itemElement(item: RosterItem): Element {
  const { subscription, isAsked } = subscriptionStates[item.state]
  const attrs = {
    jid: item.jid,
    name: item.name === '' ? undefined : item.name,
    subscription,
    ask: isAsked ? 'subscribe' : undefined,
    approved: item.isApproved ? 'true' : undefined,
  }
  return xml(
    'item',
    rosterNs,
    attrs,
    ...item.groups.map((group) => xml('group', rosterNs, {}, group)),
  )
}

/** What clients are told of an item that is gone (RFC 6121 §2.5.2). */
export function removedElement(jid: Jid): Element {
  return xml('item', rosterNs, { jid, subscription: 'remove' })
}

/** Whether clients see the same; else it is a "roster modification" (RFC 6121 §2.6.3). */
export function looksSame(one: RosterItem | undefined, other: RosterItem | undefined): boolean {
  const [seen, now] = [one, other].map((item) => (item?.isListed === true ? item : undefined))
  if (seen === undefined || now === undefined) return seen === now
  const [parts, partsNow] = [subscriptionStates[seen.state], subscriptionStates[now.state]]
  return (
    seen.name === now.name &&
    seen.isApproved === now.isApproved &&
    parts.subscription === partsNow.subscription &&
    parts.isAsked === partsNow.isAsked &&
    seen.groups.length === now.groups.length &&
    seen.groups.every((group, index) => group === now.groups[index])
  )
}

export type RosterSet =
  | { readonly kind: 'remove'; readonly jid: Jid }
  | {
      readonly kind: 'update'
      readonly jid: Jid
      readonly name: string
      readonly groups: readonly string[]
    }

export interface RosterSetProblem {
  readonly condition: StanzaErrorCondition
  readonly text: string
}

function problem(condition: StanzaErrorCondition, text: string): Result<never, RosterSetProblem> {
  return err({ condition, text })
}

/** Reads a roster set (RFC 6121 §2.1.5, §2.3.3); what `subscription` says is ignored unless it is "remove" (§2.1.2.5). */
export function parseRosterSet(query: Element): Result<RosterSet, RosterSetProblem> {
  const items = query.childrenNamed('item')
  const [item] = items
  if (item === undefined || items.length > 1) {
    return problem('bad-request', 'A roster set has exactly one item')
  }
  const jidText = item.attr('jid')
  if (jidText === undefined) return problem('bad-request', 'The item has no address')
  const parsed = parseJid(jidText)
  if (!parsed.ok) return problem('jid-malformed', `This is no address: ${parsed.error}`)
  const jid = parsed.value
  if (item.attr('subscription') === 'remove') return ok({ kind: 'remove', jid })
  // §2.1.2.2: clients must not send it; ejabberd refuses it, too.
  if (item.attr('ask') !== undefined) {
    return problem('bad-request', 'Subscriptions are asked for by presence, not by "ask"')
  }
  const name = item.attr('name') ?? ''
  const groups = item.childrenNamed('group').map((group) => group.text())
  const wrong = checkTexts(name, groups)
  return wrong === undefined ? ok({ kind: 'update', jid, name, groups }) : err(wrong)
}

/** RFC 6121 §2.3.3 */
export function checkTexts(name: string, groups: readonly string[]): RosterSetProblem | undefined {
  if (isTooLong(name)) return { condition: 'not-acceptable', text: 'The name is too long' }
  if (groups.includes('')) return { condition: 'not-acceptable', text: 'A group has no name' }
  if (groups.some(isTooLong)) {
    return { condition: 'not-acceptable', text: "A group's name is too long" }
  }
  if (groups.length > maxGroups) return { condition: 'not-acceptable', text: 'Too many groups' }
  if (new Set(groups).size < groups.length) {
    return { condition: 'bad-request', text: 'A group is named twice' }
  }
  return undefined
}

function isTooLong(text: string): boolean {
  return text.length > maxTextBytes || Buffer.byteLength(text) > maxTextBytes
}
