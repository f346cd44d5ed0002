import type { Subscription } from '../../xmpp/contacts.ts'
import type { PresenceType } from '../../xmpp/stanza/stanza.ts'

/** RFC 6121 A.1: the nine states of a subscription, as the user sees it. */
export type SubscriptionState =
  'none' | 'none+out' | 'none+in' | 'none+out+in' | 'to' | 'to+in' | 'from' | 'from+out' | 'both'

export interface StateParts {
  readonly subscription: Subscription
  /** Pending out: the user asked for a subscription and has no answer yet. */
  readonly isAsked: boolean
  /** Pending in: the contact asked for one, the user did not answer yet. */
  readonly isRequested: boolean
}

export const subscriptionStates: Readonly<Record<SubscriptionState, StateParts>> = {
  none: { subscription: 'none', isAsked: false, isRequested: false },
  'none+out': { subscription: 'none', isAsked: true, isRequested: false },
  'none+in': { subscription: 'none', isAsked: false, isRequested: true },
  'none+out+in': { subscription: 'none', isAsked: true, isRequested: true },
  to: { subscription: 'to', isAsked: false, isRequested: false },
  'to+in': { subscription: 'to', isAsked: false, isRequested: true },
  from: { subscription: 'from', isAsked: false, isRequested: false },
  'from+out': { subscription: 'from', isAsked: true, isRequested: false },
  both: { subscription: 'both', isAsked: false, isRequested: false },
}

/**
 * The state that these parts make up. What asks for a subscription that is there already is left out: ejabberd's commands can
 * store such rows.
 */
export function stateOf({ subscription, isAsked, isRequested }: StateParts): SubscriptionState {
  switch (subscription) {
    case 'none':
      if (isAsked) return isRequested ? 'none+out+in' : 'none+out'
      return isRequested ? 'none+in' : 'none'
    case 'to':
      return isRequested ? 'to+in' : 'to'
    case 'from':
      return isAsked ? 'from+out' : 'from'
    case 'both':
      return 'both'
  }
}

export type SubscriptionType = Extract<
  PresenceType,
  'subscribe' | 'subscribed' | 'unsubscribe' | 'unsubscribed'
>

export function isSubscriptionType(type: PresenceType): type is SubscriptionType {
  return Object.hasOwn(outbound, type)
}

/** One cell of the tables. */
export interface Step {
  /** Whether the stanza goes on: out to the contact, or in to the user. */
  readonly passes: boolean
  /** The new state, if there is one. */
  readonly next?: SubscriptionState
  /** What the server answers in the user's name. */
  readonly reply?: 'subscribed' | 'unsubscribed'
  /** Sets or takes back a pre-approval (RFC 6121 §3.4). */
  readonly approval?: 'given' | 'withdrawn'
}

type Table = Readonly<Record<SubscriptionType, Readonly<Record<SubscriptionState, Step>>>>

const pass: Step = { passes: true }
const hold: Step = { passes: false }
const passTo = (next: SubscriptionState): Step => ({ passes: true, next })
const approve: Step = { passes: false, approval: 'given' }
const disapprove: Step = { passes: false, approval: 'withdrawn' }
/** Whoever loses access loses a pre-approval with it: it would let the contact in again at once (RFC 6121 §3.4.2). */
const revokeTo = (next: SubscriptionState): Step => ({
  passes: true,
  next,
  approval: 'withdrawn',
})
const confirm: Step = { passes: false, reply: 'subscribed' }
const endTo = (next: SubscriptionState): Step => ({ passes: true, next, reply: 'unsubscribed' })

/** RFC 6121 A.2, Tables 2 to 5: what the user's client sends. "Should not" is "does not" here. */
export const outbound: Table = {
  subscribe: {
    none: passTo('none+out'),
    'none+out': pass,
    'none+in': passTo('none+out+in'),
    'none+out+in': pass,
    to: pass,
    'to+in': pass,
    from: passTo('from+out'),
    'from+out': pass,
    both: pass,
  },
  unsubscribe: {
    none: pass,
    'none+out': passTo('none'),
    'none+in': pass,
    'none+out+in': passTo('none+in'),
    to: passTo('none'),
    'to+in': passTo('none+in'),
    from: pass,
    'from+out': passTo('from'),
    both: passTo('from'),
  },
  subscribed: {
    none: approve,
    'none+out': approve,
    'none+in': passTo('from'),
    'none+out+in': passTo('from+out'),
    to: approve,
    'to+in': passTo('both'),
    from: hold,
    'from+out': hold,
    both: hold,
  },
  unsubscribed: {
    none: disapprove,
    'none+out': disapprove,
    'none+in': revokeTo('none'),
    'none+out+in': revokeTo('none+out'),
    to: disapprove,
    'to+in': revokeTo('to'),
    from: revokeTo('none'),
    'from+out': revokeTo('none+out'),
    both: revokeTo('to'),
  },
}

/** RFC 6121 A.3, Tables 6 to 9: what comes from the contact. "Should not" is "does not" here. */
export const inbound: Table = {
  subscribe: {
    none: passTo('none+in'),
    'none+out': passTo('none+out+in'),
    'none+in': hold,
    'none+out+in': hold,
    to: passTo('to+in'),
    'to+in': hold,
    from: confirm,
    'from+out': confirm,
    both: confirm,
  },
  unsubscribe: {
    none: hold,
    'none+out': hold,
    'none+in': endTo('none'),
    'none+out+in': endTo('none+out'),
    to: hold,
    'to+in': endTo('to'),
    from: endTo('none'),
    'from+out': endTo('none+out'),
    both: endTo('to'),
  },
  subscribed: {
    none: hold,
    'none+out': passTo('to'),
    'none+in': hold,
    'none+out+in': passTo('to+in'),
    to: hold,
    'to+in': hold,
    from: hold,
    'from+out': passTo('both'),
    both: hold,
  },
  unsubscribed: {
    none: hold,
    'none+out': passTo('none'),
    'none+in': hold,
    'none+out+in': passTo('none+in'),
    to: passTo('none'),
    'to+in': passTo('none+in'),
    from: hold,
    'from+out': passTo('from'),
    both: passTo('from'),
  },
}

const letIn = (next: SubscriptionState): Step => ({ passes: false, next, reply: 'subscribed' })

/** The row "subscribe" of `inbound` for a contact whom the user approved in advance (RFC 6121 §3.4.2, Table 6 [1]). */
export const inboundSubscribeApproved: Readonly<Record<SubscriptionState, Step>> = {
  none: letIn('from'),
  'none+out': letIn('from+out'),
  'none+in': letIn('from'),
  'none+out+in': letIn('from+out'),
  to: letIn('both'),
  'to+in': letIn('both'),
  from: confirm,
  'from+out': confirm,
  both: confirm,
}

export function inboundStep(
  type: SubscriptionType,
  state: SubscriptionState,
  isApproved: boolean,
): Step {
  return type === 'subscribe' && isApproved ? inboundSubscribeApproved[state] : inbound[type][state]
}
