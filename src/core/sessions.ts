import type { BareJid, FullJid, HostName } from '../xmpp/jid/jid.ts'
import { bareJid, domainpart } from '../xmpp/jid/jid.ts'
import { defineHook } from './hooks.ts'
import { defineService } from './service.ts'

/** A signed-in client of either protocol: what administrators list, kick and ban. */
export interface ClientSession {
  readonly jid: FullJid // an MQTT client's resource is its client identifier
  readonly protocol: 'xmpp' | 'mqtt'
  /** ejabberd's words: `c2s`, `c2s_tls`, `c2s_compressed`, `websocket`, `http_bind`, `mqtt`, `mqtt_tls`, … */
  readonly connection: string
  readonly ip: string
  readonly port: number
  /** Milliseconds since 1970. */
  readonly connectedAt: number
  /** XMPP: the priority of the last presence; undefined when it is not available. */
  readonly priority?: number | undefined
  /** XMPP: `show` of the last presence (`available` when it had none) and its status text. */
  readonly presence?: { readonly show: string; readonly status: string } | undefined
  /** Ends the session; the reason is told to the client as its protocol can. */
  kick(reason: string, cause: 'kicked' | 'account-removed' | 'replaced' | 'banned'): void
}

export const sessionOpened = defineHook<[session: ClientSession]>('core.session.opened')
export const sessionClosed = defineHook<[session: ClientSession]>('core.session.closed')

/** Every signed-in client of this node. Protocols add and remove; anybody may look. */
export class SessionRegistry {
  readonly #byAccount = new Map<BareJid, Set<ClientSession>>()
  readonly #countByHost = new Map<string, { xmpp: number; mqtt: number }>()

  add(session: ClientSession): void {
    const account = bareJid(session.jid)
    let sessions = this.#byAccount.get(account)
    if (sessions === undefined) {
      sessions = new Set()
      this.#byAccount.set(account, sessions)
    }
    if (sessions.has(session)) return
    sessions.add(session)
    this.#countOf(domainpart(session.jid))[session.protocol]++
  }

  remove(session: ClientSession): void {
    const account = bareJid(session.jid)
    const sessions = this.#byAccount.get(account)
    if (sessions === undefined || !sessions.delete(session)) return
    if (sessions.size === 0) this.#byAccount.delete(account)
    this.#countOf(domainpart(session.jid))[session.protocol]--
  }

  forAccount(account: BareJid): readonly ClientSession[] {
    return [...(this.#byAccount.get(account) ?? [])]
  }

  /** Whether its account has another session than this one. */
  hasOther(session: ClientSession): boolean {
    const sessions = this.#byAccount.get(bareJid(session.jid))
    return sessions !== undefined && sessions.size > (sessions.has(session) ? 1 : 0)
  }

  *all(): Generator<ClientSession> {
    for (const sessions of this.#byAccount.values()) yield* sessions
  }

  count(host: HostName, protocol: 'xmpp' | 'mqtt'): number {
    return this.#countOf(host)[protocol]
  }

  #countOf(host: string): { xmpp: number; mqtt: number } {
    let counts = this.#countByHost.get(host)
    if (counts === undefined) {
      counts = { xmpp: 0, mqtt: 0 }
      this.#countByHost.set(host, counts)
    }
    return counts
  }
}

export const sessionRegistry = defineService<SessionRegistry>('core.sessions')
