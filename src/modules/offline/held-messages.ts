import { drop } from '../../core/hooks.ts'
import type { Hooks } from '../../core/hooks.ts'
import { stanzaReceived } from '../../xmpp/hooks.ts'
import type { Router } from '../../xmpp/router.ts'
import type { Session } from '../../xmpp/session.ts'
import type { Message } from '../../xmpp/stanza/stanza.ts'
import { clientNs } from '../../xmpp/xml/namespaces.ts'
import { writeElement } from '../../xmpp/xml/write.ts'

/** For one session. What comes above either overtakes the others: handing out takes as long as the client reads. */
const maxHeld = 1000
const maxHeldBytes = 1024 * 1024

interface Hold {
  /** How many wait for the end of it. */
  holders: number
  readonly messages: Message[]
  bytes: number
}

/**
 * Holds messages back from sessions that are being handed what was kept for them, so that nobody's later message comes before
 * an earlier one (RFC 6120 §10.1).
 */
export class HeldMessages {
  readonly #router: Router
  readonly #hooks: Hooks
  readonly #holds = new Map<Session, Hold>()
  /** While somebody is held back only, so that the deliveries of all others cost nothing. */
  #unhook: (() => void) | undefined
  #isPassing = false

  constructor(router: Router, hooks: Hooks) {
    this.#router = router
    this.#hooks = hooks
  }

  begin(session: Session): void {
    const hold = this.#holds.get(session)
    if (hold !== undefined) {
      hold.holders++
      return
    }
    this.#holds.set(session, { holders: 1, messages: [], bytes: 0 })
    this.#unhook ??= this.#hooks.on(
      stanzaReceived,
      (stanza, to) => {
        if (this.#isPassing || stanza.kind !== 'message') return undefined
        const hold = this.#holds.get(to)
        return hold !== undefined && keep(hold, stanza) ? drop : undefined
      },
      'mod_offline',
      95, // after all filters that change the message or count it: it is only queued later
    )
  }

  /** Hands a message to a session that is held back. */
  pass(session: Session, message: Message): void {
    this.#isPassing = true
    try {
      session.deliver(message)
    } finally {
      this.#isPassing = false
    }
  }

  end(session: Session): void {
    const hold = this.#holds.get(session)
    if (hold === undefined || --hold.holders > 0) return
    this.#holds.delete(session)
    if (this.#holds.size === 0) {
      this.#unhook?.()
      this.#unhook = undefined
    }
    for (const message of hold.messages) {
      if (this.#router.sessions.isLive(session)) session.queue(message)
      else this.#router.route(message)
    }
  }

  /** For the end of the module. */
  endAll(): void {
    for (const [session, hold] of this.#holds) {
      hold.holders = 1
      this.end(session)
    }
  }
}

/** False when there is no room. */
function keep(hold: Hold, message: Message): boolean {
  if (hold.messages.length >= maxHeld || hold.bytes >= maxHeldBytes) return false
  hold.messages.push(message)
  hold.bytes += writeElement(message.element, clientNs).length
  return true
}
