import { setImmediate } from 'node:timers/promises'
import type { Log } from '../../core/log.ts'
import { isSubscriber } from '../../xmpp/contacts.ts'
import { bareJid, domainpart, localpart } from '../../xmpp/jid/jid.ts'
import type { BareJid, Jid } from '../../xmpp/jid/jid.ts'
import type { Router } from '../../xmpp/router.ts'
import { defineSessionState } from '../../xmpp/session-state.ts'
import type { Session } from '../../xmpp/session.ts'
import { createPresence, parseStanza } from '../../xmpp/stanza/stanza.ts'
import type { Presence } from '../../xmpp/stanza/stanza.ts'
import { xml } from '../../xmpp/xml/element.ts'
import { clientNs } from '../../xmpp/xml/namespaces.ts'
import { parseElement } from '../../xmpp/xml/parse-element.ts'
import type { RosterItem } from './item.ts'
import type { RosterItems } from './roster-items.ts'
import type { Rosters } from './rosters.ts'
import { subscriptionStates } from './subscription-states.ts'

/** Whether the subscribers know that the session is available. */
const announcement = defineSessionState('mod_roster.announcement', () => ({
  isMade: false,
  /** The roster is being read. */
  isWaiting: false,
}))

/** Contacts that are asked before the client gets a chance to read what they answer. */
const probesAtOnce = 50

/** Tells subscribers of a session's presence, and sessions of their contacts' (RFC 6121 §4). */
export class RosterPresence {
  readonly #router: Router
  readonly #rosters: Rosters
  readonly #log: Log

  constructor(router: Router, rosters: Rosters, log: Log) {
    this.#router = router
    this.#rosters = rosters
    this.#log = log
  }

  /** For `initialPresence`, which comes before `changed` for the same presence. */
  begin(session: Session): void {
    this.#rosters.hold(session.account)
  }

  /** For `presenceChanged`. */
  async changed(session: Session, presence: Presence): Promise<void> {
    const rosters = this.#rosters
    const known = rosters.find(session.account)
    if (known !== undefined) {
      this.#announce(session, presence, known)
      return
    }
    const state = session.state(announcement)
    if (state.isWaiting) return
    state.isWaiting = true
    const items = await rosters.read(session.account).finally(() => {
      state.isWaiting = false
    })
    // Meanwhile it may have changed again, or gone: nobody has heard of it yet.
    const { available } = session
    if (available !== undefined) this.#announce(session, available, items)
  }

  /** For `presenceUnavailable`: whoever is told here need not be told by the core as well (RFC 6121 §4.6.3). */
  ended(session: Session, presence: Presence): void {
    const rosters = this.#rosters
    const state = session.state(announcement)
    const items = rosters.find(session.account)
    rosters.release(session.account)
    if (!state.isMade) return
    state.isMade = false
    if (items === undefined) return
    const told = new Set<Jid>(others(items.subscribers, session.account))
    this.#router.broadcast(presence, told, session)
    for (const jid of session.directed) if (told.has(bareJid(jid))) session.directed.delete(jid)
  }

  /** A session that was available before this module started. */
  async adopt(session: Session): Promise<void> {
    this.begin(session)
    session.state(announcement).isMade = true
    await this.#rosters.read(session.account)
  }

  /** To a new subscriber, from each available resource (RFC 6121 §3.1.5). */
  sendCurrent(account: BareJid, to: Jid): void {
    for (const session of this.#router.sessions.available(account)) {
      const { available } = session
      if (available !== undefined) this.#router.broadcast(available, [to], session)
    }
  }

  /** To somebody who is a subscriber no longer (RFC 6121 §3.2.2, §3.3.3). */
  sendUnavailable(account: BareJid, to: Jid): void {
    for (const session of this.#router.sessions.available(account)) {
      const presence = createPresence('unavailable', { from: session.jid, to })
      this.#router.broadcast(presence, [to], session)
    }
  }

  /** Answers a probe (RFC 6121 §4.3.2). */
  async probed(probe: Presence, account: BareJid): Promise<'handled'> {
    const { from, id } = probe
    const available = this.#router.sessions.available(account)
    if (await this.#maySee(account, from)) {
      for (const { available: presence } of available) {
        if (presence !== undefined) this.#router.broadcast(presence, [from])
      }
      if (available.length === 0) {
        this.#router.route(createPresence('unavailable', { from: account, to: from, id }))
      }
      return 'handled'
    }
    // §4.6.5: who got presence of its own hears whether that resource is still there, and no more.
    const known = available.filter(
      ({ directed }) => directed.has(from) || directed.has(bareJid(from)),
    )
    for (const { jid } of known) {
      this.#router.route(createPresence('available', { from: jid, to: from, id }))
    }
    if (known.length === 0) {
      const to = bareJid(from)
      this.#router.route(createPresence('unsubscribed', { from: account, to, id }))
    }
    return 'handled'
  }

  async #maySee(account: BareJid, from: Jid): Promise<boolean> {
    if (bareJid(from) === account) return true
    const rosters = this.#rosters
    const items = rosters.find(account) ?? (await rosters.read(account))
    const item = items.get(bareJid(from))
    return item !== undefined && isSubscriber(subscriptionStates[item.state])
  }

  #announce(session: Session, presence: Presence, items: RosterItems): void {
    const state = session.state(announcement)
    const isFirst = !state.isMade
    state.isMade = true
    const { account } = session
    this.#router.broadcast(presence, others(items.subscribers, account), session)
    if (!isFirst) return
    void this.#probe(session, items)
    if (items.requests.length > 0) void this.#handOut(session, items.requests)
  }

  /** RFC 6121 §4.3.1; contacts of our own who are not there need no probe. */
  async #probe(session: Session, items: RosterItems): Promise<void> {
    const { account } = session
    let left = probesAtOnce
    for (const contact of others(items.contacts, account)) {
      const isOurs =
        this.#router.host(domainpart(contact)) !== undefined && localpart(contact) !== ''
      if (isOurs && this.#router.sessions.available(bareJid(contact)).length === 0) continue
      const to = bareJid(contact)
      this.#router.broadcast(createPresence('probe', { from: account, to }), [to])
      if (--left > 0) continue
      left = probesAtOnce
      await setImmediate()
      await session.drained()
      if (session.available === undefined) return
    }
  }

  /** Requests are shown again until they are answered (RFC 6121 §3.1.3, rule 4). */
  async #handOut(session: Session, items: readonly RosterItem[]): Promise<void> {
    try {
      const complete = await this.#rosters.requests(session.account)
      for (const item of items) {
        await session.drained()
        if (session.available === undefined) return
        session.deliver(requestOf(session.account, item, complete.get(item.jid)))
      }
    } catch (error) {
      this.#log.error({ err: error, account: session.account }, 'Cannot read subscription requests')
    }
  }
}

/** The request as it came; without the complete stanza what its row tells. */
function requestOf(account: BareJid, item: RosterItem, complete: string | undefined): Presence {
  const element = complete === undefined ? undefined : parseElement(complete)
  if (element?.ok === true) {
    const stanza = parseStanza(element.value)
    if (stanza.ok && stanza.value.kind === 'presence') return stanza.value
  }
  const { jid: from, requestText } = item
  const status = requestText === '' ? undefined : xml('status', clientNs, {}, requestText)
  return createPresence('subscribe', { from, to: account }, status)
}

/** An account is subscribed to itself without being in its roster (RFC 6121 §4.2.2): it must not hear everything twice. */
function others(jids: readonly Jid[], account: BareJid): readonly Jid[] {
  return jids.includes(account) ? jids.filter((jid) => jid !== account) : jids
}
