import type { Accounts } from '../core/account.ts'
import type { Clock } from '../core/clock.ts'
import type { Hooks } from '../core/hooks.ts'
import type { Log } from '../core/log.ts'
import type { Counter, Metrics } from '../core/metrics.ts'
import { defineService } from '../core/service.ts'
import { AccountRoute } from './account-route.ts'
import type { IqAnswer, IqHandler, Service, TargetTables } from './handlers.ts'
import { HandlerTable, answeredElsewhere } from './handlers.ts'
import { hostAddressed, stanzaBlocked, stanzaRouted } from './hooks.ts'
import type { Outcome } from './hooks.ts'
import { bareJid, domainpart, localpart } from './jid/jid.ts'
import type { HostName, Jid } from './jid/jid.ts'
import { PendingRequests } from './pending-requests.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'
import { errorReply, mayBounce } from './stanza/stanza-error.ts'
import type { StanzaErrorCondition, StanzaErrorDetails } from './stanza/stanza-error.ts'
import { BroadcastStanza } from './stanza/stanza-bytes.ts'
import type { StanzaBytes } from './stanza/stanza-bytes.ts'
import { isRequest, payloadOf, withAddresses } from './stanza/stanza.ts'
import type { Iq, Stanza } from './stanza/stanza.ts'

/** A virtual host as the router knows it. */
export interface XmppHost {
  readonly name: HostName
  readonly hooks: Hooks
  readonly tables: TargetTables
}

export interface RouterParts {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly sessions: Sessions
  readonly accounts: Pick<Accounts, 'exists'>
}

/** Takes stanzas for a domain that is not served here: a component, another server. */
export type StanzaSink = (stanza: Stanza) => void

/**
 * Where every stanza goes: to an account or resource of a virtual host, to the host itself, to a service of a module, to a
 * component, to another server. Stanzas between the same two addresses stay in order (RFC 6120 §10.1).
 */
export class Router {
  readonly sessions: Sessions
  readonly #hosts = new Map<HostName, XmppHost>()
  readonly #services = new Map<HostName, Service>()
  readonly #sinks = new Map<HostName, StanzaSink>()
  readonly #requests: PendingRequests
  readonly #log: Log
  readonly #accountRoute: AccountRoute
  readonly #outcomes: Readonly<Record<Outcome, Counter>>
  #remote: StanzaSink | undefined

  constructor({ clock, log, metrics, sessions, accounts }: RouterParts) {
    this.sessions = sessions
    this.#log = log
    this.#requests = new PendingRequests(clock)
    this.#accountRoute = new AccountRoute(this, sessions, accounts, log)
    const counter = (outcome: Outcome): Counter =>
      metrics.counter('linnet_xmpp_stanzas_total', 'Stanzas routed, by outcome', { outcome })
    this.#outcomes = {
      delivered: counter('delivered'),
      stored: counter('stored'),
      bounced: counter('bounced'),
      dropped: counter('dropped'),
      'handed-on': counter('handed-on'),
    }
  }

  /** Sends a stanza on its way; what becomes of it is told by `stanzaRouted`, and by an error to its sender. */
  route(stanza: Stanza): void {
    void this.dispatch(stanza) // it never rejects
  }

  /**
   * `route` for streams: while the promise is pending nothing more may come from the same address. `sender` is the session that
   * the stanza came from. `done` is called once, when the stanza has arrived where it was to go, or is kept for good, or has
   * been refused; that may be long after the promise.
   */
  dispatch(
    stanza: Stanza,
    sender?: Session,
    bytes?: StanzaBytes,
    done?: () => void,
  ): Promise<void> | undefined {
    const { to } = stanza
    const host = this.#hosts.get(domainpart(to))
    if (host !== undefined && localpart(to) !== '') {
      if (stanza.kind !== 'iq' || isRequest(stanza) || !this.#requests.settle(stanza)) {
        return this.#accountRoute.dispatch({ host, stanza, sender, bytes, done })
      }
      done?.()
      return undefined
    }
    const work = this.#elsewhere(host, stanza, sender)
    if (done === undefined) return work
    if (work !== undefined) return work.finally(done)
    done()
    return undefined
  }

  /** To anything but an account. */
  #elsewhere(
    host: XmppHost | undefined,
    stanza: Stanza,
    sender: Session | undefined,
  ): Promise<void> | undefined {
    if (stanza.kind === 'iq' && !isRequest(stanza) && this.#requests.settle(stanza)) {
      return undefined
    }
    if (host !== undefined) return this.#toHost(host, stanza, sender)
    const domain = domainpart(stanza.to)
    const service = this.#services.get(domain)
    if (service !== undefined) return this.#toService(service, stanza, sender)
    const sink = this.#sinks.get(domain) ?? this.#remote
    if (sink === undefined) {
      this.bounce(stanza, 'remote-server-not-found')
    } else {
      sink(stanza)
      this.settled(stanza, 'handed-on')
    }
    return undefined
  }

  /**
   * One stanza for many: `to` is what each recipient makes of it, the rest is written once. For what an account sends
   * (presence above all) it asks for each recipient whether that may pass.
   */
  broadcast(stanza: Stanza, recipients: Iterable<Jid>, sender?: Session): void {
    const bytes = new BroadcastStanza(stanza.element)
    const hooks = this.#hosts.get(domainpart(stanza.from))?.hooks
    const checked = hooks !== undefined && localpart(stanza.from) !== '' ? hooks : undefined
    for (const to of recipients) {
      const copy = withAddresses(stanza, { to })
      const blocking = checked === undefined ? undefined : this.#isBlocked(checked, copy, sender)
      if (blocking === true) continue
      if (blocking instanceof Promise) {
        void blocking.then((isBlocked) =>
          isBlocked ? undefined : this.dispatch(copy, sender, bytes),
        )
      } else void this.dispatch(copy, sender, bytes)
    }
  }

  /** Sends a request and waits for its answer, an error too; undefined when none comes in time. */
  request(iq: Iq, timeoutMs: number): Promise<Iq | undefined> {
    const answer = this.#requests.add(iq, timeoutMs)
    this.route(iq)
    return answer
  }

  /** Sends a stanza back with an error, unless that would answer an error or a result. */
  bounce(stanza: Stanza, condition: StanzaErrorCondition, details?: StanzaErrorDetails): void {
    if (!mayBounce(stanza)) {
      this.settled(stanza, 'dropped')
      return
    }
    this.settled(stanza, 'bounced')
    this.route(errorReply(stanza, condition, details))
  }

  /** Tells the host that a stanza concerns what became of it. */
  settled(stanza: Stanza, outcome: Outcome): void {
    this.#outcomes[outcome].value++
    const host = this.#hosts.get(domainpart(stanza.to)) ?? this.#hosts.get(domainpart(stanza.from))
    if (host === undefined || host.hooks.isIdle(stanzaRouted)) return
    host.hooks.emit(stanzaRouted, stanza, outcome)
  }

  get hosts(): readonly XmppHost[] {
    return [...this.#hosts.values()]
  }

  /** A virtual host, if it is one. */
  host(name: HostName): XmppHost | undefined {
    return this.#hosts.get(name)
  }

  /** Services of a host's modules: its items for service discovery. */
  servicesOf(host: HostName): readonly Service[] {
    return [...this.#services.values()].filter((service) => service.parent === host)
  }

  service(domain: HostName): Service | undefined {
    return this.#services.get(domain)
  }

  /** Whether addresses of that domain are served by this server. */
  isServed(domain: HostName): boolean {
    return this.#hosts.has(domain) || this.#services.has(domain) || this.#sinks.has(domain)
  }

  /** The function returned takes the host out again. */
  addHost(name: HostName, hooks: Hooks): () => void {
    this.#mustBeFree(name)
    const tables = { host: new HandlerTable(), account: new HandlerTable() }
    this.#hosts.set(name, { name, hooks, tables })
    return () => this.#hosts.delete(name)
  }

  addService(service: Service): () => void {
    this.#mustBeFree(service.domain)
    this.#services.set(service.domain, service)
    return () => this.#services.delete(service.domain)
  }

  /** A component's domain: all of its stanzas go to `sink`. */
  addSink(domain: HostName, sink: StanzaSink): () => void {
    this.#mustBeFree(domain)
    this.#sinks.set(domain, sink)
    return () => this.#sinks.delete(domain)
  }

  /** Who reaches domains that are not served here. */
  setRemote(sink: StanzaSink): () => void {
    this.#remote = sink
    return () => {
      if (this.#remote === sink) this.#remote = undefined
    }
  }

  /**
   * Asks the handlers of an address for the answer to a request, and answers it. `otherwise` runs when none of them takes it.
   */
  askHandlers(
    table: HandlerTable,
    iq: Iq,
    sender: Session | undefined,
    otherwise: () => Promise<void> | undefined,
  ): Promise<void> | undefined {
    const payload = payloadOf(iq)
    if (payload === undefined || iq.element.elements().length !== 1) {
      // RFC 6120 §8.2.3: a request has exactly one child element.
      this.bounce(iq, 'bad-request')
      return undefined
    }
    return this.#askFrom(table.iqHandlers(iq, payload), 0, iq, sender, otherwise)
  }

  #askFrom(
    handlers: readonly IqHandler[],
    first: number,
    iq: Iq,
    sender: Session | undefined,
    otherwise: () => Promise<void> | undefined,
  ): Promise<void> | undefined {
    for (const [index, handler] of handlers.entries()) {
      if (index < first) continue
      try {
        const answer = handler(iq, sender)
        if (answer instanceof Promise) {
          return answer.then(
            (later) =>
              later === undefined
                ? this.#askFrom(handlers, index + 1, iq, sender, otherwise)
                : this.#answer(iq, later),
            (error: unknown) => this.#failed(iq, error),
          )
        }
        if (answer !== undefined) {
          this.#answer(iq, answer)
          return undefined
        }
      } catch (error) {
        this.#failed(iq, error)
        return undefined
      }
    }
    return otherwise()
  }

  #answer(iq: Iq, answer: Exclude<IqAnswer, undefined>): void {
    this.settled(iq, 'delivered')
    if (answer !== answeredElsewhere) this.route(answer)
  }

  #failed(stanza: Stanza, error: unknown): void {
    this.#log.error(
      { err: error, from: stanza.from, to: stanza.to, kind: stanza.kind },
      'Handler of a stanza failed',
    )
    this.bounce(stanza, 'internal-server-error')
  }

  #toHost(host: XmppHost, stanza: Stanza, sender: Session | undefined): Promise<void> | undefined {
    if (stanza.kind === 'iq' && isRequest(stanza) && stanza.to === host.name) {
      return this.askHandlers(host.tables.host, stanza, sender, () => {
        this.bounce(stanza, 'service-unavailable')
        return undefined
      })
    }
    if (host.hooks.isIdle(hostAddressed)) {
      this.#notForHost(stanza)
      return undefined
    }
    return host.hooks.decideLater(hostAddressed, stanza, sender).then((answer) => {
      if (answer === 'handled') this.settled(stanza, 'delivered')
      else this.#notForHost(stanza)
    })
  }

  #notForHost(stanza: Stanza): void {
    if (stanza.kind === 'presence') this.settled(stanza, 'dropped')
    else this.bounce(stanza, 'service-unavailable')
  }

  #toService(
    service: Service,
    stanza: Stanza,
    sender: Session | undefined,
  ): Promise<void> | undefined {
    const hand = (): Promise<void> | undefined => this.#handTo(service, stanza)
    return stanza.kind === 'iq' && isRequest(stanza) && stanza.to === service.domain
      ? this.askHandlers(service.table, stanza, sender, hand)
      : hand()
  }

  #handTo(service: Service, stanza: Stanza): Promise<void> | undefined {
    this.settled(stanza, 'handed-on')
    try {
      const handled = service.handler(stanza)
      return handled?.catch((error: unknown) => this.#failed(stanza, error))
    } catch (error) {
      this.#failed(stanza, error)
      return undefined
    }
  }

  #isBlocked(
    hooks: Hooks,
    stanza: Stanza,
    sender: Session | undefined,
  ): boolean | Promise<boolean> {
    if (hooks.isIdle(stanzaBlocked)) return false
    const account = bareJid(stanza.from)
    const answer = hooks.decide(stanzaBlocked, stanza, account, 'out', sender)
    if (!(answer instanceof Promise)) return answer === 'block'
    return hooks
      .decideLater(stanzaBlocked, stanza, account, 'out', sender)
      .then((later) => later === 'block')
  }

  #mustBeFree(domain: HostName): void {
    if (this.isServed(domain)) throw new Error(`The domain "${domain}" is served twice`)
  }
}

export const router = defineService<Router>('xmpp.router')
