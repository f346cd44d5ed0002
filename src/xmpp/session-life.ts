import { sessionClosed, sessionOpened } from '../core/sessions.ts'
import type { SessionRegistry } from '../core/sessions.ts'
import { sessionBound, sessionEnded, streamLost } from './hooks.ts'
import { becomeUnavailable } from './presence.ts'
import type { Router } from './router.ts'
import type { Session, SessionStream } from './session.ts'
import { createPresence } from './stanza/stanza.ts'

/** Begins and ends sessions: the tables that they are in, the presence that goes, the hooks that tell. */
export class SessionLife {
  readonly #router: Router
  /** Of clients of all protocols. */
  readonly #registry: SessionRegistry

  constructor(router: Router, registry: SessionRegistry) {
    this.#router = router
    this.#registry = registry
  }

  open(session: Session): void {
    this.#router.sessions.add(session)
    this.#registry.add(session)
    session.hooks.emit(sessionBound, session)
    session.hooks.emit(sessionOpened, session)
  }

  /** That stream is gone, and nobody agreed on its end: the session may outlive it (XEP-0198). */
  lost(session: Session, stream: SessionStream): void {
    if (session.isEnded || session.stream !== stream) return
    session.stream = undefined
    if (session.hooks.decide(streamLost, session) !== 'keep') this.end(session)
  }

  /** Ends a session, once; its stream is closed by whoever calls this. The others see it leave (RFC 6121 §4.5.2). */
  end(session: Session): void {
    if (session.isEnded) return
    session.isEnded = true
    session.stream = undefined
    const addresses = { from: session.jid, to: session.account }
    becomeUnavailable(this.#router, session, createPresence('unavailable', addresses))
    this.#router.sessions.remove(session)
    this.#registry.remove(session)
    session.hooks.emit(sessionEnded, session)
    session.hooks.emit(sessionClosed, session)
  }
}
