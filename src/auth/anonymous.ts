import { randomBytes } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import type { ClientSession, SessionRegistry } from '../core/sessions.ts'
import type { BareJid, HostName, Localpart } from '../xmpp/jid/jid.ts'
import { bareJid, localpart, makeJid, prepLocalpart } from '../xmpp/jid/jid.ts'
import type { Backend, Verdict } from './backend.ts'

export interface AnonymousSettings {
  /** `anonymous_protocol` */
  readonly protocol: 'sasl_anon' | 'login_anon' | 'both'
  /** `allow_multiple_connections` */
  readonly allowsSeveral: boolean
}

export interface AnonymousParts {
  readonly host: HostName
  readonly sessions: SessionRegistry
  readonly clock: Clock
  /** Whether another backend of the host has an account of that name; rejects when it cannot tell. */
  readonly existsElsewhere: (local: Localpart) => Promise<boolean>
  /** Called when a guest's first session opened, and when its last one ended. */
  readonly arrived: (guest: BareJid) => void
  readonly left: (guest: BareJid) => void
}

/** How long a name that was let in waits for its session, and how many may. */
const admissionMs = 5 * 60_000
const maxAdmitted = 10_000

/**
 * Guests (`auth_method: anonymous`): they have no password and no account, and what they leave behind goes with their last
 * session. By SASL ANONYMOUS the server names them, by `login_anon` they choose any name that is free.
 */
export class AnonymousBackend implements Backend {
  readonly name = 'anonymous'
  readonly isExternal = false
  readonly #parts: AnonymousParts
  readonly #settings: AnonymousSettings
  /** Guests that were let in and have no session yet, with the time at which that lapses. */
  readonly #admitted: Map<BareJid, number>
  readonly #present: Set<BareJid>

  /** `before` is the backend of before a reload: its guests are this one's. */
  constructor(parts: AnonymousParts, settings: AnonymousSettings, before?: AnonymousBackend) {
    this.#parts = parts
    this.#settings = settings
    this.#admitted = before === undefined ? new Map() : before.#admitted
    this.#present = before === undefined ? new Set() : before.#present
  }

  get allowsSasl(): boolean {
    return this.#settings.protocol !== 'login_anon'
  }

  get allowsLogin(): boolean {
    return this.#settings.protocol !== 'sasl_anon'
  }

  /** A new guest for SASL ANONYMOUS; undefined when that is not allowed or too many are on their way in. */
  admitNew(): BareJid | undefined {
    const local = prepLocalpart(randomBytes(16).toString('hex'))
    if (!this.allowsSasl || !local.ok) return undefined
    const guest = makeJid(local.value, this.#parts.host, '')
    return this.#admit(guest) ? guest : undefined
  }

  async exists(local: Localpart): Promise<boolean> {
    return this.#present.has(makeJid(local, this.#parts.host, ''))
  }

  /** Any password will do for a name that nobody has. */
  async verify(local: Localpart): Promise<Verdict> {
    if (!this.allowsLogin) return 'wrong'
    if (await this.#parts.existsElsewhere(local)) return 'wrong'
    const guest = makeJid(local, this.#parts.host, '')
    const isTaken = this.#present.has(guest) || this.#isAdmitted(guest)
    if (isTaken && !this.#settings.allowsSeveral) return 'wrong'
    return this.#admit(guest) ? 'right' : 'wrong'
  }

  async list(): Promise<readonly string[]> {
    return [...this.#present].map((guest) => localpart(guest))
  }

  async count(): Promise<number> {
    return this.#present.size
  }

  sessionOpened(session: ClientSession): void {
    const guest = bareJid(session.jid)
    if (!this.#isAdmitted(guest)) return
    this.#admitted.delete(guest)
    if (this.#present.has(guest)) return
    this.#present.add(guest)
    this.#parts.arrived(guest)
  }

  sessionClosed(session: ClientSession): void {
    const guest = bareJid(session.jid)
    if (!this.#present.has(guest)) return
    if (this.#parts.sessions.hasOther(session)) return
    this.#present.delete(guest)
    this.#parts.left(guest)
  }

  #admit(guest: BareJid): boolean {
    if (this.#admitted.size >= maxAdmitted) this.#dropLapsed()
    if (this.#admitted.size >= maxAdmitted) return false
    this.#admitted.set(guest, this.#parts.clock.monotonic() + admissionMs)
    return true
  }

  #isAdmitted(guest: BareJid): boolean {
    return (this.#admitted.get(guest) ?? 0) > this.#parts.clock.monotonic()
  }

  #dropLapsed(): void {
    for (const guest of this.#admitted.keys()) {
      if (!this.#isAdmitted(guest)) this.#admitted.delete(guest)
    }
  }
}
