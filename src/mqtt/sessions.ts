import type { Query } from '../core/store.ts'
import type { Result } from '../util/result.ts'
import { err, ok } from '../util/result.ts'
import type { BareJid, FullJid } from '../xmpp/jid/jid.ts'
import type { Broker } from './broker.ts'
import type { Connection, EndCause } from './connection.ts'
import type { Delivery } from './delivery.ts'
import { beginResend } from './outgoing.ts'
import { ReasonCode } from './packet/reason-code.ts'
import { Session } from './session.ts'
import type { StoredOperation } from './store/journal.ts'
import type { SessionRows } from './store/session-rows.ts'
import type { Subscription } from './subscription.ts'
import type { TopicFilter } from './topic.ts'
import type { Will } from './will.ts'

/** What a CONNECT asks of its session. */
export interface SessionRequest {
  readonly key: FullJid
  readonly cleanStart: boolean
  /** Granted. */
  readonly expirySeconds: number
  readonly will: Will | undefined
}

export interface OpenedSession {
  readonly session: Session
  /** It was there before (MQTT5 3.2.2.1.1). */
  readonly isPresent: boolean
  /** CONNACK waits until all this is stored: its own row, and that an older session and its will are gone. */
  readonly mustLast: boolean
  readonly operation: StoredOperation | undefined
}

/** The sessions of one broker: taking over, ending, expiring (MQTT5 3.1.2.4, 3.1.2.11.2), and the wills that go with it. */
export class Sessions {
  readonly byKey = new Map<FullJid, Session>()
  readonly #byAccount = new Map<BareJid, Set<Session>>()
  /** Those without a connection. */
  readonly #away = new Set<Session>()
  /** Their rows could not be written. */
  readonly #unsaved = new Set<Session>()
  readonly #broker: Broker
  readonly #rows: SessionRows | undefined

  constructor(broker: Broker, rows: SessionRows | undefined) {
    this.#broker = broker
    this.#rows = rows
  }

  get size(): number {
    return this.byKey.size
  }

  get connected(): number {
    return this.byKey.size - this.#away.size
  }

  ofAccount(account: BareJid): readonly Session[] {
    return [...(this.#byAccount.get(account) ?? [])]
  }

  /** Opens the session that a CONNECT asks for; a connection that has it is closed. */
  open(connection: Connection, request: SessionRequest): Result<OpenedSession, ReasonCode> {
    const { key, cleanStart, expirySeconds, will } = request
    const { journal } = this.#broker
    const { writes } = journal
    let operation: StoredOperation | undefined
    // MQTT5 3.1.4-3.
    this.byKey
      .get(key)
      ?.connection?.fail(
        ReasonCode.sessionTakenOver,
        'Another connection took the session over',
        cleanStart ? 'replaced-clean' : 'replaced',
      )
    let session = this.byKey.get(key)
    // MQTT5 3.1.2-4, 3.1.4-4.
    if (session !== undefined && (cleanStart || session.endsAt <= this.#broker.nowMs())) {
      operation = this.end(session)
      session = undefined
    }
    // MQTT5 3.2.2-2, 3.2.2-3.
    const isPresent = session !== undefined
    // MQTT5 3.1.2-5, 3.1.2-6.
    if (session === undefined) {
      const created = this.#create(key)
      if (!created.ok) return created
      session = created.value
    } else this.#away.delete(session)
    session.connection = connection
    connection.hasResumed = isPresent
    session.disconnectedAt = undefined
    session.expirySeconds = expirySeconds
    // A will that waited is not sent any more (MQTT5 3.1.3-9). MQTT5 3.1.2-7.
    session.will = will
    session.willAt = Infinity
    session.isStored = this.#rows !== undefined && expirySeconds > 0
    session.uncommitted = 0
    session.hasOverflowed = false
    beginResend(session)
    if (session.isStored || will !== undefined || session.hasRow) operation = this.#put(session)
    return ok({ session, isPresent, mustLast: journal.writes !== writes, operation })
  }

  /** The session's connection is closed. */
  leave(session: Session, cause: EndCause): void {
    const broker = this.#broker
    const { connection } = session
    session.connection = undefined
    session.uncommitted = 0
    if (connection?.client !== undefined) broker.clientLeft(connection.client)
    const now = broker.nowMs()
    session.disconnectedAt = now
    this.#settleWill(session, cause, now)
    // MQTT5 3.1.2-23, 4.1.0-1.
    const hasEnded = session.expirySeconds === 0
    if (hasEnded) this.end(session)
    else {
      this.#away.add(session)
      if (session.hasRow) this.#put(session)
    }
    if (connection?.client !== undefined && connection.wasOpen) {
      broker.clientClosed(connection.client, hasEnded)
    }
  }

  /** Ends a session for good: its subscriptions and what waits in it are gone. */
  end(session: Session): StoredOperation | undefined {
    if (this.byKey.get(session.key) !== session) return undefined
    const broker = this.#broker
    this.byKey.delete(session.key)
    this.#away.delete(session)
    const ofAccount = this.#byAccount.get(session.account)
    ofAccount?.delete(session)
    if (ofAccount?.size === 0) this.#byAccount.delete(session.account)
    for (const filter of session.subscriptions?.keys() ?? []) {
      broker.tree.unsubscribe(filter, session.key)
    }
    session.subscriptions = undefined
    session.retained = undefined
    session.isStored = false
    const left = [...session.deliveries()]
    session.discardDeliveries()
    this.#passOn(session, left)
    // MQTT5 3.1.3.2.2: at the latest when the session ends.
    if (session.connection === undefined) this.#publishWill(session)
    return session.hasRow ? this.#remove(session) : undefined
  }

  /** Keeps a subscription; what comes back has to be durable before SUBACK. */
  subscribe(subscription: Subscription): StoredOperation | undefined {
    const { session, filter } = subscription
    session.subscriptions ??= new Map()
    const before = session.subscriptions.get(filter)
    // MQTT5 3.8.4-3.
    session.subscriptions.set(filter, subscription)
    if (before?.awaitsRetained !== undefined && subscription.awaitsRetained === undefined) {
      // What the one before asked for goes on.
      subscription.awaitsRetained = before.awaitsRetained
      session.retained?.replace(subscription)
    }
    this.#broker.tree.subscribe(filter, session.key, subscription)
    return session.isStored && this.#rows !== undefined
      ? this.#broker.journal.operation(this.#rows.putSubscription(subscription))
      : undefined
  }

  /** Undefined when there was no such subscription. */
  unsubscribe(
    session: Session,
    filter: TopicFilter,
  ): { operation: StoredOperation | undefined } | undefined {
    const subscription = session.subscriptions?.get(filter)
    if (subscription === undefined) return undefined
    // MQTT5 3.10.4-1, 3.10.4-2.
    session.subscriptions?.delete(filter)
    // MQTT5 3.10.4-2.
    session.retained?.delete(filter)
    this.#broker.tree.unsubscribe(filter, session.key)
    const operation =
      session.isStored && this.#rows !== undefined
        ? this.#broker.journal.operation(this.#rows.removeSubscription(subscription))
        : undefined
    return { operation }
  }

  /** All that was retained for a subscription has been sent: after a crash it does not begin again. */
  retainedSent(subscription: Subscription): void {
    const { session, filter } = subscription
    session.retained?.delete(filter)
    subscription.awaitsRetained = undefined
    if (!session.isStored || this.#rows === undefined) return
    if (session.subscriptions?.get(filter) !== subscription) return
    this.#broker.journal.operation(this.#rows.putSubscription(subscription))
  }

  /** See {@link RetainedBacklog.refresh}. */
  refreshSearches(): void {
    for (const { retained } of this.byKey.values()) retained?.refresh()
  }

  /** Takes over what the store held. Those that were connected when the server went down are disconnected now. */
  restore(sessions: readonly Session[]): void {
    const now = this.#broker.nowMs()
    for (const session of sessions) {
      const older = this.byKey.get(session.key)
      if (older !== undefined) {
        // It ended, but that could not be stored. Its will was dealt with then.
        older.will = undefined
        this.end(older)
      }
      this.#add(session)
      this.#away.add(session)
      for (const [filter, subscription] of session.subscriptions ?? []) {
        this.#broker.tree.subscribe(filter, session.key, subscription)
      }
      if (session.disconnectedAt !== undefined) continue
      session.disconnectedAt = now
      if (session.will !== undefined) {
        session.willAt = now + Math.min(session.will.delaySeconds, session.expirySeconds) * 1000
      }
      this.#put(session)
    }
    this.tick(now)
  }

  /** Publishes the wills and ends the sessions that are due. */
  tick(nowMs: number): void {
    if (this.#unsaved.size > 0) this.saveAgain()
    for (const session of this.#away) {
      if (session.willAt <= nowMs) {
        this.#publishWill(session)
        if (session.hasRow) this.#put(session)
      }
      // MQTT5 4.1.0-2.
      if (session.endsAt > nowMs) continue
      this.#broker.metrics.expiredSessions.add()
      this.end(session)
    }
  }

  #create(key: FullJid): Result<Session, ReasonCode> {
    const session = new Session(key, this.#broker.ids.next(), this.#broker.ledger)
    const { maxUserSessions } = this.#broker.settings
    const count = this.#byAccount.get(session.account)?.size ?? 0
    if (count >= maxUserSessions) return err(ReasonCode.quotaExceeded)
    this.#add(session)
    return ok(session)
  }

  #add(session: Session): void {
    const { account } = session
    this.byKey.set(session.key, session)
    const sessions = this.#byAccount.get(account)
    if (sessions === undefined) this.#byAccount.set(account, new Set([session]))
    else sessions.add(session)
  }

  #put(session: Session): StoredOperation | undefined {
    if (this.#rows === undefined) return undefined
    session.hasRow = true
    return this.#save(session, this.#rows.put(session))
  }

  #remove(session: Session): StoredOperation | undefined {
    if (this.#rows === undefined) return undefined
    session.hasRow = false
    return this.#save(session, ...this.#rows.remove(session))
  }

  #save(session: Session, ...queries: readonly Query[]): StoredOperation | undefined {
    const { journal } = this.#broker
    const operation = journal.operation(...queries)
    if (operation !== undefined) journal.after(saved, { sessions: this, session, operation })
    return operation
  }

  /** For the journal's callback: the row is not as it should be, and is written again until it is. */
  notSaved(session: Session): void {
    this.#unsaved.add(session)
  }

  /** Writes the rows that could not be written before. */
  saveAgain(): void {
    for (const session of this.#unsaved) {
      this.#unsaved.delete(session)
      if (this.byKey.get(session.key) === session) this.#put(session)
      else this.#remove(session)
    }
  }

  /** MQTT5 3.1.2-8, 3.1.2-10, 3.1.3.2.2, 3.14.4-3. */
  #settleWill(session: Session, cause: EndCause, nowMs: number): void {
    const { will } = session
    if (will === undefined) return
    const delay = Math.min(will.delaySeconds, session.expirySeconds)
    if (cause === 'normal') session.will = undefined
    else if (cause === 'replaced-clean' || delay === 0) this.#publishWill(session)
    // Who comes back in time has no last will (MQTT5 3.1.3-9).
    else if (cause === 'replaced') session.will = undefined
    else session.willAt = nowMs + delay * 1000
  }

  #publishWill(session: Session): void {
    const { will } = session
    // MQTT5 3.1.2-10.
    session.will = undefined
    session.willAt = Infinity
    if (will !== undefined) this.#broker.publishWill(session.key, will)
  }

  /**
   * What came by a shared subscription goes to another member: of QoS 1 in any case, of QoS 2 only if it was not sent yet (MQTT5
   * 4.8.2-5). The rest is lost.
   */
  #passOn(session: Session, deliveries: readonly Delivery[]): void {
    const broker = this.#broker
    let lost = 0
    for (const { shared, message, qos, wasSent } of deliveries) {
      if (message === undefined || message.isRefused) continue
      const mayMove = shared !== undefined && (qos === 1 || !wasSent)
      if (mayMove && !message.isExpired(broker.nowMs()) && broker.deliverShared(shared, message)) {
        continue
      }
      if (qos > 0) lost += 1
      else broker.metrics.dropped.qos0_away.add()
    }
    if (lost === 0) return
    broker.metrics.dropped.session_ended.add(lost)
    broker.log.info({ jid: session.key, lost }, 'Session ended with undelivered messages')
  }
}

interface Saving {
  readonly sessions: Sessions
  readonly session: Session
  readonly operation: StoredOperation
}

function saved(_isDurable: boolean, { sessions, session, operation }: Saving): void {
  if (operation.failed) sessions.notSaved(session)
}
