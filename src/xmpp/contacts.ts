import { defineDecision, defineHook } from '../core/hooks.ts'
import type { Hooks } from '../core/hooks.ts'
import type { BareJid, Jid } from './jid/jid.ts'

/** RFC 6121 §2.1.2.5, as the account sees it: `from` is who may see its presence. */
export type Subscription = 'none' | 'to' | 'from' | 'both'

/** What an account's roster says about another address. */
export interface Contact {
  readonly subscription: Subscription
  /** The account asked for a subscription and has no answer yet. */
  readonly isAsked: boolean
  readonly name: string
  readonly groups: readonly string[]
}

/** Somebody who is not in the roster. */
export const noContact: Contact = { subscription: 'none', isAsked: false, name: '', groups: [] }

/**
 * What does the roster of this account say about the other address? Runs on the hooks of the account's host; nobody answers
 * where there is no roster. Ask through `contactOf`.
 */
export const contactAsked = defineDecision<Contact, [account: BareJid, other: Jid]>(
  'xmpp.contact.asked',
  noContact,
)

/** A roster has changed, and that is durable: what it said about the address before, and says now. */
export const contactChanged =
  defineHook<[account: BareJid, other: Jid, before: Contact, now: Contact]>('xmpp.contact.changed')

export async function contactOf(
  hooks: Hooks | undefined,
  account: BareJid,
  other: Jid,
): Promise<Contact> {
  return (await hooks?.decideLater(contactAsked, account, other)) ?? noContact
}

/** Whether the contact has a subscription to the account's presence. */
export function isSubscriber({ subscription }: Pick<Contact, 'subscription'>): boolean {
  return subscription === 'from' || subscription === 'both'
}

/** Whether the account has a subscription to the contact's presence. */
export function isSubscribedTo({ subscription }: Pick<Contact, 'subscription'>): boolean {
  return subscription === 'to' || subscription === 'both'
}
