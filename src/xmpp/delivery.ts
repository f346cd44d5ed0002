import type { MessageType, PresenceType } from './stanza/stanza.ts'

/** Which sessions an account has when a stanza for it comes in (RFC 6121 §8.5). */
export type Availability =
  | 'none' // no session is available
  | 'negative' // those that are have a negative priority, so that they get only what names them
  | 'some' // at least one is available with a priority of 0 or more

/** What happens to a message. */
export type MessageAction =
  | 'top' // to the sessions of the highest priority
  | 'all' // to all sessions whose priority is not negative
  | 'offline' // to whoever keeps messages for later
  | 'error' // back, with `service-unavailable`
  | 'ignore'

type Row = Readonly<Record<Availability, MessageAction>>

const offlineOrTop: Row = { none: 'offline', negative: 'offline', some: 'top' }
const error: Row = { none: 'error', negative: 'error', some: 'error' }
const ignore: Row = { none: 'ignore', negative: 'ignore', some: 'ignore' }

/**
 * Messages for an account (RFC 6121 §8.5.2) and for a resource of it that is not there (§8.5.3.2.1); §8.5.4 sums them up. Where
 * the RFC leaves the choice, chat and normal messages go to all sessions of the highest priority, and what cannot be
 * delivered comes back, except for headlines.
 */
export const messageRules: Readonly<
  Record<MessageType, { readonly bare: Row; readonly unmatched: Row }>
> = {
  normal: { bare: offlineOrTop, unmatched: error },
  chat: { bare: offlineOrTop, unmatched: offlineOrTop },
  groupchat: { bare: error, unmatched: error },
  headline: { bare: { none: 'ignore', negative: 'ignore', some: 'all' }, unmatched: ignore },
  error: { bare: ignore, unmatched: ignore },
}

/** Messages for an account that does not exist (RFC 6121 §8.5.1). */
export const unknownAccountRules: Readonly<Record<MessageType, 'error' | 'ignore'>> = {
  normal: 'error',
  chat: 'error',
  groupchat: 'error',
  headline: 'ignore',
  error: 'ignore',
}

export type PresenceAction =
  | 'all-available'
  | 'matched' // to the resource that it names
  | 'subscription'
  | 'probe'
  | 'ignore'

interface PresenceRule {
  readonly bare: PresenceAction
  /** The resource is there. */
  readonly matched: PresenceAction
  readonly unmatched: PresenceAction
}

const broadcast: PresenceRule = { bare: 'all-available', matched: 'matched', unmatched: 'ignore' }
const ofAccount: PresenceRule = {
  bare: 'subscription',
  matched: 'subscription',
  unmatched: 'ignore',
}

/** Presence for an account and for one of its resources (RFC 6121 §8.5.2, §8.5.3). */
export const presenceRules: Readonly<Record<PresenceType, PresenceRule>> = {
  available: broadcast,
  unavailable: broadcast,
  error: { bare: 'ignore', matched: 'matched', unmatched: 'ignore' },
  // What is about the subscription is about the account, whatever resource it names (§3.1.3).
  subscribe: { ...ofAccount, unmatched: 'subscription' },
  subscribed: ofAccount,
  unsubscribe: ofAccount,
  unsubscribed: ofAccount,
  probe: { bare: 'probe', matched: 'probe', unmatched: 'probe' },
}
