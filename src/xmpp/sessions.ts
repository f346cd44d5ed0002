import { defineService } from '../core/service.ts'
import { bareJid } from './jid/jid.ts'
import type { BareJid, HostName, Jid } from './jid/jid.ts'
import type { Availability } from './delivery.ts'
import type { Session } from './session.ts'

const noSessions: readonly Session[] = []

/** The bound resources of this node, by account. */
export class Sessions {
  /** The arrays are never changed, so that who goes through one sees those of that moment. */
  readonly #byAccount = new Map<BareJid, readonly Session[]>()
  #count = 0

  get count(): number {
    return this.#count
  }

  /** In the order in which they were bound. */
  forAccount(account: BareJid): readonly Session[] {
    return this.#byAccount.get(account) ?? noSessions
  }

  /** Those that sent presence (RFC 6121 §4.2). */
  available(account: BareJid): readonly Session[] {
    return this.forAccount(account).filter((session) => session.available !== undefined)
  }

  find(jid: Jid): Session | undefined {
    return this.#byAccount.get(bareJid(jid))?.find((session) => session.jid === jid)
  }

  /** Whether this session has not ended. */
  isLive(session: Session): boolean {
    return this.forAccount(session.account).includes(session)
  }

  *all(): Generator<Session> {
    for (const sessions of this.#byAccount.values()) yield* sessions
  }

  *onHost(host: HostName): Generator<Session> {
    for (const session of this.all()) if (session.host === host) yield session
  }

  add(session: Session): void {
    this.#byAccount.set(session.account, [...this.forAccount(session.account), session])
    this.#count++
  }

  remove(session: Session): boolean {
    const before = this.forAccount(session.account)
    const left = before.filter((other) => other !== session)
    if (left.length === before.length) return false
    this.#count--
    if (left.length === 0) this.#byAccount.delete(session.account)
    else this.#byAccount.set(session.account, left)
    return true
  }
}

/** Which of RFC 6121 §8.5's cases an account is in. */
export function availabilityOf(sessions: readonly Session[]): Availability {
  let availability: Availability = 'none'
  for (const { priority } of sessions) {
    if (priority === undefined) continue
    if (priority >= 0) return 'some'
    availability = 'negative'
  }
  return availability
}

/** The available sessions of the highest priority that is not negative. */
export function topSessions(sessions: readonly Session[]): readonly Session[] {
  let top = 0
  for (const { priority } of sessions) if (priority !== undefined && priority > top) top = priority
  return sessions.filter((session) => session.priority === top)
}

/** The available sessions whose priority is not negative. */
export function nonNegativeSessions(sessions: readonly Session[]): readonly Session[] {
  return sessions.filter(({ priority }) => priority !== undefined && priority >= 0)
}

export const sessions = defineService<Sessions>('xmpp.sessions')
