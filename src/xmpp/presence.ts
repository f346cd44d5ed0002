import {
  initialPresence,
  presenceChanged,
  presenceUnavailable,
  stanzaBlocked,
  subscriptionSent,
} from './hooks.ts'
import { bareJid, isBare } from './jid/jid.ts'
import type { Router } from './router.ts'
import type { Session } from './session.ts'
import type { Presence, Stanza } from './stanza/stanza.ts'
import { withAddresses } from './stanza/stanza.ts'

/** Each costs memory for as long as the session lasts: nobody is in so many rooms. */
const maxDirected = 10_000

/**
 * What a client's own presence does (RFC 6121 §4). The promise has to settle before more comes from the client.
 */
export function handlePresence(
  router: Router,
  session: Session,
  presence: Presence,
): Promise<void> | undefined {
  switch (presence.type) {
    case 'available':
      if (presence.to === session.account) becomeAvailable(router, session, presence)
      else return direct(router, session, presence)
      return undefined
    case 'unavailable':
      if (presence.to === session.account) becomeUnavailable(router, session, presence)
      else {
        session.directed.delete(presence.to)
        return router.dispatch(presence, session)
      }
      return undefined
    case 'subscribe':
    case 'subscribed':
    case 'unsubscribe':
    case 'unsubscribed':
      return subscribe(router, session, presence)
    case 'probe':
    case 'error':
      return router.dispatch(presence, session)
  }
}

/** RFC 6121 §4.2, §4.4: presence for everybody, the first or another. */
function becomeAvailable(router: Router, session: Session, presence: Presence): void {
  const before = session.available
  session.setAvailable(presence)
  // To all resources of the account, this one included (§4.2.2).
  void router.dispatch(presence, session)
  const { hooks } = session
  if (before === undefined) {
    for (const other of router.sessions.forAccount(session.account)) {
      if (other === session || other.available === undefined) continue
      session.deliver(withAddresses(other.available, { to: session.jid }))
    }
    hooks.emit(initialPresence, session, presence)
  }
  if (!hooks.isIdle(presenceChanged)) hooks.emit(presenceChanged, session, presence, before)
}

/** RFC 6121 §4.5, §4.6.3: whoever saw the session come sees it leave. */
export function becomeUnavailable(router: Router, session: Session, presence: Presence): void {
  const wasAvailable = session.available !== undefined
  session.setAvailable(undefined)
  if (wasAvailable) session.hooks.emit(presenceUnavailable, session, presence)
  const directed = [...session.directed]
  session.directed.clear()
  router.broadcast(presence, directed, session)
  if (wasAvailable) void router.dispatch(presence, session)
}

/** RFC 6121 §4.6 */
function direct(router: Router, session: Session, presence: Presence): Promise<void> | undefined {
  const { directed } = session
  if (directed.size >= maxDirected && !directed.has(presence.to)) {
    router.bounce(presence, 'resource-constraint')
    return undefined
  }
  directed.add(presence.to)
  return router.dispatch(presence, session)
}

/** RFC 6121 §3.1.2, §3.2.2, §3.3.2: subscriptions are between accounts. */
function subscribe(
  router: Router,
  session: Session,
  presence: Presence,
): Promise<void> | undefined {
  const to = isBare(presence.to) ? presence.to : bareJid(presence.to)
  const stamped = withAddresses(presence, { from: session.account, to })
  const { hooks } = session
  if (hooks.isIdle(subscriptionSent)) return router.dispatch(stamped, session)
  return hooks
    .decideLater(subscriptionSent, stamped, session)
    .then((answer) => (answer === 'handled' ? undefined : router.dispatch(stamped, session)))
}

/** Whether an account keeps this stanza in (XEP-0191 §3.2, XEP-0016 §2.14); the sender is told. */
export function checkBlocked(
  router: Router,
  session: Session,
  stanza: Stanza,
): boolean | Promise<boolean> {
  const { hooks, account } = session
  if (hooks.isIdle(stanzaBlocked) || bareJid(stanza.to) === account) return false
  const answer = hooks.decide(stanzaBlocked, stanza, account, 'out', session)
  if (!(answer instanceof Promise)) return answer === 'block'
  return hooks
    .decideLater(stanzaBlocked, stanza, account, 'out', session)
    .then((later) => later === 'block')
}
