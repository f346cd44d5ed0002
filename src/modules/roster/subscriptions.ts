import type { Access } from '../../core/access.ts'
import { subjectOf } from '../../core/access.ts'
import type { Log } from '../../core/log.ts'
import type { Counter } from '../../core/metrics.ts'
import { isSubscriber } from '../../xmpp/contacts.ts'
import { bareJid } from '../../xmpp/jid/jid.ts'
import type { BareJid } from '../../xmpp/jid/jid.ts'
import type { Router } from '../../xmpp/router.ts'
import type { Session } from '../../xmpp/session.ts'
import { errorReply } from '../../xmpp/stanza/stanza-error.ts'
import type { StanzaErrorCondition } from '../../xmpp/stanza/stanza-error.ts'
import { createPresence, withAddresses } from '../../xmpp/stanza/stanza.ts'
import type { Presence } from '../../xmpp/stanza/stanza.ts'
import { toXml } from '../../xmpp/xml/write.ts'
import { maxTextBytes } from './item.ts'
import type { RosterItem } from './item.ts'
import { hasTooManyRequests, isFull } from './limits.ts'
import { changeElement, pushItem } from './pushes.ts'
import type { RosterOptions } from './roster-options.ts'
import type { RosterPresence } from './roster-presence.ts'
import type { ChangedItem, Rosters } from './rosters.ts'
import {
  inboundStep,
  isSubscriptionType,
  outbound,
  subscriptionStates,
} from './subscription-states.ts'
import type { Step } from './subscription-states.ts'

/** Of a complete request; above it only the status text is kept. */
const maxRequestBytes = 10_000

export interface SubscriptionParts {
  readonly router: Router
  readonly presence: RosterPresence
  readonly access: Access
  readonly log: Log
  readonly refused: Counter
  readonly rosters: Rosters
  options(): RosterOptions
}

/** What subscription stanzas do to a roster, and who hears of it (RFC 6121 §3). */
export class Subscriptions {
  readonly #parts: SubscriptionParts

  constructor(parts: SubscriptionParts) {
    this.#parts = parts
  }

  /** For `subscriptionSent`: both addresses are bare. */
  async sent(presence: Presence, session: Session): Promise<'handled' | undefined> {
    const { router, access, log } = this.#parts
    const { type } = presence
    if (!isSubscriptionType(type)) return undefined
    const { account } = session
    const contact = bareJid(presence.to)
    // Everybody is subscribed to their own presence (§4.2.2).
    if (contact === account) return 'handled'
    const subject = subjectOf(session.jid, session.ip)
    if (!access.isAllowed(this.#parts.options().access, subject, session.host)) {
      refuse(session, presence, 'forbidden')
      return 'handled'
    }
    let step: Step = { passes: false }
    let wasFull = false
    try {
      const changed = await this.#parts.rosters.change(account, contact, (before, items) => {
        step = outbound[type][before.state]
        const after = applied(before, step)
        wasFull = after.isListed && !before.isListed && isFull(items)
        return wasFull || isSame(before, after) ? 'same' : after
      })
      if (wasFull) {
        refuse(session, presence, 'resource-constraint')
        return 'handled'
      }
      // §3.2.2: while the contact is still subscribed, so that it is listened to.
      if (isLost(changed)) this.#parts.presence.sendUnavailable(account, contact)
      const routed = step.passes ? router.dispatch(presence, session) : undefined
      this.#push(account, changed)
      if (isGained(changed)) this.#parts.presence.sendCurrent(account, contact)
      await routed
    } catch (error) {
      log.error({ err: error, account }, 'Subscription cannot be stored')
      refuse(session, presence, 'internal-server-error')
    }
    return 'handled'
  }

  /** For `subscriptionReceived`. */
  async received(presence: Presence, account: BareJid): Promise<'handled' | undefined> {
    const { router, refused } = this.#parts
    const { type } = presence
    if (!isSubscriptionType(type)) return undefined
    const contact = bareJid(presence.from)
    if (contact === account) return 'handled'
    let step: Step = { passes: false }
    const changed = await this.#parts.rosters.change(
      account,
      contact,
      (before, items) => {
        step = inboundStep(type, before.state, before.isApproved)
        const after = withRequest(applied(before, step), presence)
        if (!isRequested(before) && isRequested(after) && hasTooManyRequests(items)) {
          // Nobody could keep it until it is answered, so nobody gets it.
          step = { passes: false }
          refused.add()
          return 'same'
        }
        return isSame(before, after) ? 'same' : after
      },
      (before, after) =>
        !isRequested(before) && isRequested(after) ? completeRequest(presence) : undefined,
    )
    if (step.passes) this.#deliver(account, withAddresses(presence, { from: contact }))
    this.#push(account, changed)
    if (isLost(changed)) this.#parts.presence.sendUnavailable(account, contact)
    if (step.reply !== undefined) {
      const { id } = presence
      router.route(createPresence(step.reply, { from: account, to: contact, id }))
      // Also to who has the subscription already: it asked because it knows nothing of it.
      if (step.reply === 'subscribed') this.#parts.presence.sendCurrent(account, contact)
    }
    return 'handled'
  }

  /** Requests go to available resources, what follows from them to interested ones (§3.1.3, §3.1.6). */
  #deliver(account: BareJid, presence: Presence): void {
    for (const session of this.#parts.router.sessions.forAccount(account)) {
      const isFor =
        presence.type === 'subscribe' ? session.available !== undefined : session.rosterRequested
      if (isFor) session.deliver(presence)
    }
  }

  #push(account: BareJid, changed: ChangedItem): void {
    if (!changed.isVisible) return
    pushItem(this.#parts.router.sessions, account, changeElement(changed.after), changed.version)
  }
}

/** The item after a step. */
export function applied(before: RosterItem, step: Step): RosterItem {
  const state = step.next ?? before.state
  const isApproved = step.approval === undefined ? before.isApproved : step.approval === 'given'
  // A contact gets into the roster by any tie but a request that waits (§3.1.3, last warning but one).
  const isListed = before.isListed || isApproved || (state !== 'none' && state !== 'none+in')
  const requestText = subscriptionStates[state].isRequested ? before.requestText : ''
  return { ...before, state, isApproved, isListed, requestText }
}

function withRequest(item: RosterItem, presence: Presence): RosterItem {
  if (presence.type !== 'subscribe' || !isRequested(item)) return item
  const text = presence.element.childText('status') ?? ''
  return { ...item, requestText: text.slice(0, maxTextBytes).toWellFormed() }
}

/** §3.1.3, rule 4: the whole stanza, where it holds more than the row of the roster can. */
function completeRequest({ element }: Presence): string | undefined {
  const children = element.elements()
  const [only] = children
  const isPlain =
    only === undefined ||
    (children.length === 1 && only.is('status', element.ns) && only.flatAttributes.length === 0)
  if (isPlain) return undefined
  const text = toXml(element)
  return Buffer.byteLength(text) > maxRequestBytes ? undefined : text
}

function isRequested({ state }: RosterItem): boolean {
  return subscriptionStates[state].isRequested
}

function isSame(before: RosterItem, after: RosterItem): boolean {
  return (
    before.state === after.state &&
    before.isApproved === after.isApproved &&
    before.isListed === after.isListed
  )
}

export function isGained({ before, after }: Pick<ChangedItem, 'before' | 'after'>): boolean {
  return seesUs(after) && !seesUs(before)
}

export function isLost({ before, after }: Pick<ChangedItem, 'before' | 'after'>): boolean {
  return seesUs(before) && !seesUs(after)
}

function seesUs({ state }: RosterItem): boolean {
  return isSubscriber(subscriptionStates[state])
}

/** To the session alone: the stanza itself is from the account (RFC 6121 §3.1.2). */
function refuse(session: Session, presence: Presence, condition: StanzaErrorCondition): void {
  session.deliver(errorReply(withAddresses(presence, { from: session.jid }), condition))
}
