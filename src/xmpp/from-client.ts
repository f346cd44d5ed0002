import { drop } from '../core/hooks.ts'
import { stanzaSent } from './hooks.ts'
import { parseJid } from './jid/jid.ts'
import type { Jid } from './jid/jid.ts'
import { checkBlocked, handlePresence } from './presence.ts'
import type { Router } from './router.ts'
import type { Session } from './session.ts'
import { errorElement } from './stanza/stanza-error.ts'
import type { StanzaErrorCondition } from './stanza/stanza-error.ts'
import { readStanza } from './stanza/stanza.ts'
import type { Stanza } from './stanza/stanza.ts'
import { xml } from './xml/element.ts'
import type { Element } from './xml/element.ts'

const blockedErrorsNs = 'urn:xmpp:blocking:errors'

/**
 * What a client's session sends: makes a stanza of the element, with the sender's address stamped on it, and sends it on its way
 * past the hooks. The promise has to settle before the client's next stanza.
 */
export function stanzaFromClient(
  router: Router,
  session: Session,
  element: Element,
): Promise<void> | undefined {
  session.handled?.count()
  if (!isOwnAddress(session, element.attr('from'))) {
    // RFC 6120 §8.1.2.1, §4.9.3.9: who pretends to be another is not listened to any longer.
    session.close('invalid-from')
    return undefined
  }
  const to = addressee(session, element.attr('to'))
  if (to === undefined) {
    refuse(session, element, 'jid-malformed')
    return undefined
  }
  const read = readStanza(element, session.jid, to)
  if (!read.ok) {
    refuse(session, element, 'bad-request')
    return undefined
  }
  let stanza = read.value
  const { hooks } = session
  if (!hooks.isIdle(stanzaSent)) {
    const filtered = hooks.apply(stanzaSent, stanza, session)
    if (filtered === drop) return undefined
    stanza = filtered
  }
  const blocked = checkBlocked(router, session, stanza)
  if (blocked === false) return send(router, session, stanza)
  if (blocked === true) {
    bounceBlocked(router, stanza)
    return undefined
  }
  const checked = stanza
  const done = session.handled?.open()
  return blocked
    .then((isBlocked) => {
      if (!isBlocked) return send(router, session, checked)
      bounceBlocked(router, checked)
      return undefined
    })
    .finally(done)
}

function send(router: Router, session: Session, stanza: Stanza): Promise<void> | undefined {
  switch (stanza.kind) {
    case 'presence':
      return handlePresence(router, session, stanza)
    case 'iq': {
      const work = router.dispatch(stanza, session)
      return work === undefined ? undefined : work.finally(session.handled?.open())
    }
    case 'message':
      return router.dispatch(stanza, session, undefined, session.handled?.open())
  }
}

/** RFC 6120 §8.1.2.1: absent, or the session's own address, full or bare. */
function isOwnAddress({ jid, account }: Session, from: string | undefined): boolean {
  if (from === undefined || from === jid || from === account) return true
  const parsed = parseJid(from)
  return parsed.ok && (parsed.value === jid || parsed.value === account)
}

/** RFC 6120 §10.3: without an address it is the client's own account. */
function addressee({ account }: Session, to: string | undefined): Jid | undefined {
  if (to === undefined) return account
  const parsed = parseJid(to)
  return parsed.ok ? parsed.value : undefined
}

/** Answers what cannot even be made a stanza of; but never an error or a result (RFC 6120 §8.3.1). */
function refuse(session: Session, element: Element, condition: StanzaErrorCondition): void {
  const type = element.attr('type')
  if (type === 'error' || (type === 'result' && element.name === 'iq')) return
  const { account: from, jid: to } = session
  const reply = element
    .withAttrs({ from, to, type: 'error' })
    .append(errorElement(element.ns, condition))
  const head = { type: 'error', from, to, id: element.attr('id'), element: reply } as const
  if (element.name === 'message') session.queue({ kind: 'message', ...head })
  else if (element.name === 'presence') session.queue({ kind: 'presence', ...head })
  else session.queue({ kind: 'iq', ...head })
}

/** XEP-0191 §3.2: the account itself keeps the stanza from going out. */
function bounceBlocked(router: Router, stanza: Stanza): void {
  if (stanza.kind === 'presence' && stanza.type !== 'subscribe') {
    router.settled(stanza, 'dropped')
    return
  }
  router.bounce(stanza, 'not-acceptable', { application: xml('blocked', blockedErrorsNs) })
}
