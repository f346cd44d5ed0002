import type { Accounts } from '../core/account.ts'
import type { Log } from '../core/log.ts'
import { messageRules, presenceRules, unknownAccountRules } from './delivery.ts'
import type { MessageAction } from './delivery.ts'
import {
  messageArchived,
  messageDelivered,
  messageUndeliverable,
  probeReceived,
  responseReceived,
  stanzaBlocked,
  subscriptionReceived,
} from './hooks.ts'
import { bareJid, isFull } from './jid/jid.ts'
import type { BareJid } from './jid/jid.ts'
import { Lanes } from './lanes.ts'
import type { Router, XmppHost } from './router.ts'
import type { Session } from './session.ts'
import { availabilityOf, nonNegativeSessions, topSessions } from './sessions.ts'
import type { Sessions } from './sessions.ts'
import { SharedStanza } from './stanza/stanza-bytes.ts'
import type { StanzaBytes } from './stanza/stanza-bytes.ts'
import { isRequest, withAddresses } from './stanza/stanza.ts'
import type { Iq, Message, Presence, Stanza } from './stanza/stanza.ts'

/** One stanza on its way to an account. */
interface Journey {
  readonly host: XmppHost
  readonly account: BareJid
  readonly stanza: Stanza
  readonly sender: Session | undefined
  readonly bytes: StanzaBytes | undefined
  readonly done: (() => void) | undefined
}

/**
 * What happens to a stanza for an account or one of its resources (RFC 6121 §8.5). While something has to be looked up for
 * an account (does it exist, store this message), what comes for it afterwards waits in a lane of its own.
 */
export class AccountRoute {
  readonly #router: Router
  readonly #sessions: Sessions
  readonly #accounts: Pick<Accounts, 'exists'>
  readonly #log: Log
  readonly #lanes: Lanes<BareJid, Journey>

  constructor(router: Router, sessions: Sessions, accounts: Pick<Accounts, 'exists'>, log: Log) {
    this.#router = router
    this.#sessions = sessions
    this.#accounts = accounts
    this.#log = log
    this.#lanes = new Lanes(
      (journey) => this.#travel(journey),
      (journey, error) => this.#failed(journey, error),
    )
  }

  /** See `Router.dispatch`. */
  dispatch(start: Omit<Journey, 'account'>): Promise<void> | undefined {
    const { stanza } = start
    const account = bareJid(stanza.to)
    const journey = { ...start, account }
    // A request keeps its own stream waiting, not those who write to the account meanwhile.
    if (stanza.kind === 'iq' && !this.#lanes.isBusy(account)) {
      return this.#travel(journey)?.catch((error: unknown) => this.#failed(journey, error))
    }
    const answer = this.#lanes.run(account, journey)
    if (answer !== 'full') return answer
    this.#router.bounce(stanza, 'resource-constraint')
    journey.done?.()
    return undefined
  }

  /** A backend that does not answer is no fault of the sender's stream. */
  #failed({ stanza, done }: Journey, error: unknown): void {
    const { from, to } = stanza
    this.#log.error({ err: error, from, to }, 'Stanza cannot be delivered')
    this.#router.bounce(stanza, 'internal-server-error')
    done?.()
  }

  #travel(journey: Journey): Promise<void> | undefined {
    const work = this.#start(journey)
    if (journey.done === undefined) return work
    if (work !== undefined) return work.then(() => this.#arrived(journey))
    this.#arrived(journey)
    return undefined
  }

  /** Whoever sent it hears of it when those who got it would not lose it in a crash (XEP-0198). */
  #arrived({ account, sender, done }: Journey): void {
    if (done === undefined) return
    const open: Promise<unknown>[] = []
    for (const { committing } of this.#sessions.forAccount(account)) {
      if (committing !== undefined) open.push(committing)
    }
    if (sender?.committing !== undefined) open.push(sender.committing)
    if (open.length === 0) done()
    else void Promise.allSettled(open).then(done)
  }

  #start(journey: Journey): Promise<void> | undefined {
    const { host, stanza, account } = journey
    const { hooks } = host
    if (hooks.isIdle(stanzaBlocked) || bareJid(stanza.from) === account) {
      return this.#byKind(journey)
    }
    const answer = hooks.decide(stanzaBlocked, stanza, account, 'in', undefined)
    if (answer instanceof Promise) {
      return hooks
        .decideLater(stanzaBlocked, stanza, account, 'in', undefined)
        .then((later) => (later === 'block' ? this.#blocked(stanza) : this.#byKind(journey)))
    }
    return answer === 'block' ? this.#blocked(stanza) : this.#byKind(journey)
  }

  /** XEP-0191 §3.2: as if the account were not there. */
  #blocked(stanza: Stanza): undefined {
    if (stanza.kind === 'presence') this.#router.settled(stanza, 'dropped')
    else this.#router.bounce(stanza, 'service-unavailable')
  }

  #byKind(journey: Journey): Promise<void> | undefined {
    const { stanza } = journey
    switch (stanza.kind) {
      case 'message':
        return this.#message(stanza, journey)
      case 'presence':
        return this.#presence(stanza, journey)
      case 'iq':
        return this.#iq(stanza, journey)
    }
  }

  #message(stanza: Message, journey: Journey): Promise<void> | undefined {
    const { account, host, sender } = journey
    if (host.hooks.isIdle(messageArchived)) return this.#arrange(stanza, journey)
    const answer = host.hooks.decide(messageArchived, stanza, account, sender)
    if (!(answer instanceof Promise)) return this.#archived(stanza, answer, journey)
    return answer.then((later) => this.#archived(stanza, later, journey))
  }

  #archived(
    stanza: Message,
    archived: Message | 'failed' | undefined,
    journey: Journey,
  ): Promise<void> | undefined {
    if (archived === 'failed') {
      this.#router.bounce(stanza, 'internal-server-error')
      return undefined
    }
    if (archived === undefined || archived === stanza) return this.#arrange(stanza, journey)
    return this.#arrange(archived, { ...journey, stanza: archived, bytes: undefined })
  }

  /** RFC 6121 §8.5.2, §8.5.3 */
  #arrange(stanza: Message, journey: Journey): Promise<void> | undefined {
    const { account } = journey
    const sessions = this.#sessions.forAccount(account)
    const isForResource = isFull(stanza.to)
    if (isForResource) {
      const session = sessions.find(({ jid }) => jid === stanza.to)
      if (session !== undefined) {
        this.#deliverMessage([session], stanza, journey)
        return undefined
      }
    }
    const rules = messageRules[stanza.type]
    const action: MessageAction = (isForResource ? rules.unmatched : rules.bare)[
      availabilityOf(sessions)
    ]
    switch (action) {
      case 'top':
        this.#deliverMessage(topSessions(sessions), stanza, journey)
        return undefined
      case 'all':
        this.#deliverMessage(nonNegativeSessions(sessions), stanza, journey)
        return undefined
      case 'error':
        this.#router.bounce(stanza, 'service-unavailable')
        return undefined
      case 'ignore':
        this.#router.settled(stanza, 'dropped')
        return undefined
      case 'offline':
        return this.#offline(stanza, journey)
    }
  }

  #deliverMessage(
    sessions: readonly Session[],
    message: Message,
    { host: { hooks }, account, bytes }: Journey,
  ): void {
    if (!hooks.isIdle(messageDelivered)) hooks.emit(messageDelivered, message, account, sessions)
    this.#deliver(sessions, message, bytes)
  }

  async #offline(stanza: Message, { host, account }: Journey): Promise<void> {
    if (!(await this.#exists(account))) {
      if (unknownAccountRules[stanza.type] === 'ignore') this.#router.settled(stanza, 'dropped')
      else this.#router.bounce(stanza, 'service-unavailable')
      return
    }
    const answer = await host.hooks.decideLater(messageUndeliverable, stanza, account)
    if (answer === 'stored' || answer === 'dropped') this.#router.settled(stanza, answer)
    else this.#router.bounce(stanza, answer ?? 'service-unavailable')
  }

  #presence(stanza: Presence, journey: Journey): Promise<void> | undefined {
    const { account, bytes } = journey
    const rules = presenceRules[stanza.type]
    const session = isFull(stanza.to) ? this.#sessions.find(stanza.to) : undefined
    const isMatched = session !== undefined
    switch (isFull(stanza.to) ? (isMatched ? rules.matched : rules.unmatched) : rules.bare) {
      case 'matched':
        this.#deliverPresence(isMatched ? [session] : [], stanza, bytes)
        return undefined
      case 'all-available':
        this.#deliverPresence(this.#sessions.available(account), stanza, bytes)
        return undefined
      case 'subscription':
      case 'probe':
        return this.#ask(stanza, journey)
      case 'ignore':
        this.#router.settled(stanza, 'dropped')
        return undefined
    }
  }

  /** Subscriptions and probes are the business of whoever keeps the roster. */
  async #ask(stanza: Presence, { host, account }: Journey): Promise<void> {
    if (!(await this.#exists(account))) {
      this.#router.settled(stanza, 'dropped')
      return
    }
    const presence = stanza.to === account ? stanza : withAddresses(stanza, { to: account })
    const hook = presence.type === 'probe' ? probeReceived : subscriptionReceived
    const answer = await host.hooks.decideLater(hook, presence, account)
    if (answer === 'handled') this.#router.settled(stanza, 'delivered')
    else if (presence.type === 'probe') this.#router.settled(stanza, 'dropped')
    else this.#deliver(this.#sessions.available(account), presence, undefined)
  }

  #iq(stanza: Iq, journey: Journey): Promise<void> | undefined {
    const { host, account, sender } = journey
    if (isFull(stanza.to)) {
      const session = this.#sessions.find(stanza.to)
      // RFC 6121 §8.5.3.2.3
      if (session === undefined) this.#router.bounce(stanza, 'service-unavailable')
      else this.#deliver([session], stanza, journey.bytes)
      return undefined
    }
    if (!isRequest(stanza)) return this.#response(stanza, host)
    const ask = (): Promise<void> | undefined =>
      this.#router.askHandlers(host.tables.account, stanza, sender, () => {
        this.#router.bounce(stanza, 'service-unavailable')
        return undefined
      })
    const isKnown =
      bareJid(stanza.from) === account || this.#sessions.forAccount(account).length > 0
    if (isKnown) return ask()
    return this.#accounts.exists(account).then((exists) => {
      if (exists) return ask()
      this.#router.bounce(stanza, 'service-unavailable')
      return undefined
    })
  }

  async #response(stanza: Iq, host: XmppHost): Promise<void> {
    const answer = await host.hooks.decideLater(responseReceived, stanza)
    this.#router.settled(stanza, answer === 'handled' ? 'delivered' : 'dropped')
  }

  #deliverPresence(
    sessions: readonly Session[],
    presence: Presence,
    bytes: StanzaBytes | undefined,
  ): void {
    if (presence.type === 'unavailable') {
      // RFC 6121 §4.6.1: who has left need not be told of our leaving.
      for (const session of sessions) session.directed.delete(presence.from)
    }
    this.#deliver(sessions, presence, bytes)
  }

  #deliver(
    sessions: readonly Session[],
    stanza: Stanza,
    bytes: StanzaBytes = new SharedStanza(stanza.element),
  ): void {
    for (const session of sessions) session.deliver(stanza, bytes)
    this.#router.settled(stanza, sessions.length === 0 ? 'dropped' : 'delivered')
  }

  /** An account with sessions exists, also where no backend knows it (anonymous ones). */
  async #exists(account: BareJid): Promise<boolean> {
    return this.#sessions.forAccount(account).length > 0 || (await this.#accounts.exists(account))
  }
}
