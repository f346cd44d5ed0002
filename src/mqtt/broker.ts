import type { Access } from '../core/access.ts'
import type { Clock } from '../core/clock.ts'
import { drop } from '../core/hooks.ts'
import type { Hooks } from '../core/hooks.ts'
import type { Log } from '../core/log.ts'
import type { Metrics } from '../core/metrics.ts'
import type { SessionRegistry } from '../core/sessions.ts'
import { sessionClosed, sessionOpened } from '../core/sessions.ts'
import type { HostStore } from '../core/store.ts'
import type { Result } from '../util/result.ts'
import { err, ok } from '../util/result.ts'
import type { BareJid, FullJid, HostName } from '../xmpp/jid/jid.ts'
import { AccessReview } from './access-review.ts'
import { Authorization } from './authorization.ts'
import type { Client } from './client.ts'
import type { Bans } from './bans.ts'
import type { Connection } from './connection.ts'
import { stop } from './stop.ts'
import { mqttPublish, mqttSessionClosed, mqttSessionOpened } from './hooks.ts'
import type { Publisher } from './hooks.ts'
import { Ledger } from './ledger.ts'
import { MatchCache } from './match-cache.ts'
import type { MessageContent } from './message.ts'
import { Message } from './message.ts'
import { BrokerMetrics } from './metrics.ts'
import { SysTopics } from './sys.ts'
import { deliver } from './outgoing.ts'
import type { QoS } from './packet/packet-type.ts'
import { ReasonCode } from './packet/reason-code.ts'
import { encodeUtf8 } from './packet/utf8.ts'
import { farewell } from './redirect.ts'
import { RetainedMessages } from './retained.ts'
import type { Matches } from './route.ts'
import { Route } from './route.ts'
import type { Session } from './session.ts'
import { Sessions } from './sessions.ts'
import type { BrokerSettings } from './settings.ts'
import { IdSource } from './store/ids.ts'
import type { StoredOperation } from './store/journal.ts'
import { Journal } from './store/journal.ts'
import { forgottenPacketIds, restoreState } from './store/replay.ts'
import { RetainedRows } from './store/retained-rows.ts'
import { mqttMigrations, mqttOwner } from './store/schema.ts'
import { SessionRows } from './store/session-rows.ts'
import type { Subscriber } from './subscription.ts'
import { InternalSubscription, Subscription } from './subscription.ts'
import type { TopicFilter, TopicName } from './topic.ts'
import type { SharedGroup } from './topic-tree.ts'
import { TopicTree } from './topic-tree.ts'
import type { Will } from './will.ts'

/** Ticks between two looks at things that are in no hurry. */
const slowTicks = 30

export interface BrokerParts {
  readonly host: HostName
  readonly settings: BrokerSettings
  /** Undefined: nothing outlives the process. */
  readonly store: HostStore | undefined
  readonly hooks: Hooks
  readonly access: Access
  readonly bans: Bans
  readonly registry: SessionRegistry
  readonly clock: Clock
  readonly metrics: Metrics
  readonly log: Log
  /** Of the server. */
  readonly version: string
}

/** What became of a publication. */
export interface Published {
  /** Success, no matching subscribers, or why it was refused. */
  readonly reason: ReasonCode
  /** What has to be durable before it is acknowledged, besides the journal. */
  readonly operation: StoredOperation | undefined
  /** The message that a hook put in the place of the one given. */
  readonly replacement?: Message
}

const routed: Published = { reason: ReasonCode.success, operation: undefined }
const unmatched: Published = { reason: ReasonCode.noMatchingSubscribers, operation: undefined }

/** A session for those who list them. */
export interface SessionInfo {
  readonly jid: FullJid
  readonly isConnected: boolean
  readonly expirySeconds: number
  readonly subscriptions: number
  readonly queued: number
  readonly inflight: number
}

/** The MQTT broker of one host: its topics never meet those of another. */
export class Broker {
  readonly host: HostName
  readonly log: Log
  readonly hooks: Hooks
  readonly clock: Clock
  readonly access: Access
  readonly bans: Bans
  readonly metrics: BrokerMetrics
  readonly ids: IdSource
  readonly ledger = new Ledger()
  readonly tree = new TopicTree<Subscriber>()
  readonly sessions: Sessions
  readonly journal: Journal
  readonly retained: RetainedMessages
  readonly sys: SysTopics
  readonly accessReview = new AccessReview(this)
  /** Rises when decisions about access may have changed. */
  accessVersion = 0
  #settings: BrokerSettings
  #authorization: Authorization
  readonly #parts: BrokerParts
  readonly #matches = new MatchCache(this.tree)
  readonly #held = new Set<Connection>()
  #internal = 0
  #ticks = 0

  /** Brings the tables up to date and loads what the last run left. */
  static async open(parts: BrokerParts): Promise<Broker> {
    await parts.store?.migrate(mqttOwner, mqttMigrations)
    const broker = new Broker(parts)
    await broker.#load()
    return broker
  }

  private constructor(parts: BrokerParts) {
    const { host, settings, store, hooks, access, bans, clock, log } = parts
    this.#parts = parts
    this.host = host
    this.log = log
    this.hooks = hooks
    this.clock = clock
    this.access = access
    this.bans = bans
    this.#settings = settings
    this.#authorization = new Authorization(parts.access, settings)
    this.metrics = new BrokerMetrics(parts.metrics, host, () => clock.monotonic())
    this.ids = new IdSource(() => clock.now())
    const rows = store === undefined ? undefined : new SessionRows(store)
    const retainedRows = store === undefined ? undefined : new RetainedRows(store)
    this.sessions = new Sessions(this, rows)
    this.journal = new Journal(store, this.sessions.byKey, this.ids, log, clock)
    this.journal.onRelief = () => this.#relieve()
    this.retained = new RetainedMessages(this.journal, retainedRows, log)
    this.sys = new SysTopics(this, parts.version)
    this.retained.server = this.sys
    this.metrics.expose({
      connections: () => this.sessions.connected,
      sessions: () => this.sessions.size,
      subscriptions: () => this.tree.size,
      sharedSubscriptions: () => this.tree.sharedSize,
      retained: () => this.retained.size,
      retainedBytes: () => this.retained.bytes,
      queued: () => this.ledger.queued,
      pendingBytes: () => this.ledger.bytes,
      inflight: () => this.ledger.inflight,
    })
  }

  get settings(): BrokerSettings {
    return this.#settings
  }

  nowMs(): number {
    return this.clock.now()
  }

  /** Takes new options over; limits hold for what comes from now on. */
  reload(settings: BrokerSettings): void {
    this.#settings = settings
    this.#authorization = new Authorization(this.#parts.access, settings)
    this.accessChanged()
  }

  /** Rules changed: decisions are made anew, and what is not allowed any more ends. */
  accessChanged(): void {
    this.accessVersion += 1
    this.accessReview.start()
  }

  get authorization(): Authorization {
    return this.#authorization
  }

  /** A new route to a topic, whose UTF-8 is `bytes`. */
  createRoute(topic: TopicName, bytes: Uint8Array): Route {
    return new Route(this.#matches.of(topic), bytes)
  }

  /** What was worked out and kept is worked out anew. Retained messages are in memory whole: that is no cache. */
  clearCache(): void {
    this.#matches.forgetAll()
    this.accessChanged()
  }

  /** Who is subscribed to a topic. */
  matchesOf(topic: TopicName): Matches {
    return this.#matches.refresh(this.#matches.of(topic))
  }

  /** Brings a route up to date; `publisher` is whose it is. */
  refresh(route: Route, publisher: Publisher): void {
    if (route.matches.generation !== this.tree.generation) {
      route.matches = this.#matches.refresh(route.matches)
    }
    if (route.accessVersion === this.accessVersion) return
    route.allowed = this.#authorization.publishing(route.topic, publisher)
    route.accessVersion = this.accessVersion
  }

  /**
   * Publishes a message of somebody who may: asks the hooks, retains it, and hands it to all who are subscribed. The route
   * must be up to date.
   */
  publish(message: Message, route: Route, publisher: Publisher): Published {
    let current = message
    let itsRoute = route
    if (!this.hooks.isIdle(mqttPublish)) {
      const { topic, payload, qos, retain } = message
      const content = { topic, payload, qos, retain, properties: message.properties() }
      const filtered = this.hooks.apply(mqttPublish, content, publisher)
      if (filtered === drop) return { reason: ReasonCode.notAuthorized, operation: undefined }
      if (filtered !== content) {
        current = Message.create(filtered, this.nowMs())
        itsRoute = filtered.topic === topic ? route : this.#routeTo(filtered.topic, publisher)
      }
    }
    let operation: StoredOperation | undefined
    // MQTT5 3.3.1-8.
    if (current.retain) {
      current.retainedAt = Math.floor(this.nowMs() / 1000)
      const kept = this.retained.update(current, publisher.jid, this.#settings)
      if (!kept.ok) return { reason: kept.error, operation: undefined }
      operation = kept.value
    }
    const own = this.sessions.byKey.get(publisher.jid)
    const isMatched = this.distribute(current, itsRoute.matches, own) > 0
    // Those who get it later as a retained message are not measured.
    if (current.retain) current.sample = undefined
    if (operation === undefined && current === message) return isMatched ? routed : unmatched
    const reason = isMatched ? ReasonCode.success : ReasonCode.noMatchingSubscribers
    return { reason, operation, ...(current !== message && { replacement: current }) }
  }

  /** A message could not be stored, and its publisher is told so: nobody gets it any more who has not got it yet. */
  refuse(message: Message): void {
    message.isRefused = true
    // It may be retained all the same, and then it is there for everybody.
    this.retained.detach(message)
  }

  /** A session has ended: what it had not got by a shared subscription goes to another member (MQTT5 4.8.2). False when there is none. */
  deliverShared(filter: TopicFilter, message: Message): boolean {
    const group = this.tree.group(filter)
    const isTaken = group !== undefined && this.#deliverToOne(group, message)
    message.forgetPackets()
    return isTaken
  }

  /** Hands a message to everybody who is subscribed; says how many that were. `publisher` is the session it comes from. */
  distribute(message: Message, matches: Matches, publisher: Session | undefined): number {
    const { targets, groups, internal } = matches
    let count = targets.length + groups.length + internal.length
    for (const target of targets) {
      const isOwn = target.own !== undefined && target.session === publisher
      const subscribed = isOwn ? target.own : target
      if (subscribed === undefined || subscribed === 'nothing') {
        count -= 1
        continue
      }
      const { session, qos, retainAsPublished, identifiers } = subscribed
      // MQTT5 3.8.4-8, 3.3.1-12, 3.3.1-13.
      const lower = qos < message.qos ? qos : message.qos
      deliver(this, session, message, lower, message.retain && retainAsPublished, identifiers)
    }
    for (const group of groups) this.#deliverToOne(group, message)
    for (const { receive } of internal) {
      try {
        receive(message)
      } catch (error) {
        this.log.error(
          { err: error, topic: message.topic },
          'A subscriber within the server failed',
        )
      }
    }
    message.forgetPackets()
    return count
  }

  /** For parts of the server: publishes in somebody's name, whom the access rules must allow it. */
  publishAs(publisher: Publisher, content: MessageContent): Result<Published, ReasonCode> {
    const route = this.#routeTo(content.topic, publisher)
    if (!route.mayPublish(content.qos, content.retain)) return err(ReasonCode.notAuthorized)
    const published = this.publish(Message.create(content, this.nowMs()), route, publisher)
    return published.reason >= 0x80 ? err(published.reason) : ok(published)
  }

  publishWill(key: FullJid, will: Will): void {
    // The connection is gone, and with it the address.
    const published = this.publishAs({ jid: key, ip: '' }, will.content)
    if (!published.ok) this.metrics.dropped.denied.add()
  }

  /** For parts of the server: sees what is published from now on. The function returned ends it. */
  subscribe(filter: TopicFilter, receive: (message: Message) => void): () => void {
    // No JID looks like this.
    const key = `\0${++this.#internal}`
    this.tree.subscribe(filter, key, new InternalSubscription(filter, key, receive))
    return () => {
      this.tree.unsubscribe(filter, key)
    }
  }

  *listSessions(): Generator<SessionInfo, void, undefined> {
    for (const session of this.sessions.byKey.values()) {
      yield {
        jid: session.key,
        isConnected: session.connection?.isOpen === true,
        expirySeconds: session.expirySeconds,
        subscriptions: session.subscriptions?.size ?? 0,
        queued: session.queued,
        inflight: session.inflightCount,
      }
    }
  }

  subscriptionsOf(key: FullJid): readonly { filter: TopicFilter; qos: QoS }[] {
    const subscriptions = this.sessions.byKey.get(key)?.subscriptions?.values() ?? []
    return [...subscriptions].map(({ filter, qos }) => ({ filter, qos }))
  }

  /** Ends all sessions of an account, connected or not; resolves when that is durable. */
  async endSessionsOf(account: BareJid, reason: string): Promise<void> {
    for (const session of this.sessions.ofAccount(account)) {
      session.connection?.fail(ReasonCode.administrativeAction, reason)
      this.sessions.end(session)
    }
    await this.journal.settled()
  }

  clientAdmitted(client: Client): void {
    this.#parts.registry.add(client)
  }

  clientOpened(client: Client, isResumed: boolean): void {
    this.metrics.connects.add()
    this.metrics.noteConnections(this.sessions.connected)
    this.hooks.emit(sessionOpened, client)
    this.hooks.emit(mqttSessionOpened, client, isResumed)
  }

  clientLeft(client: Client): void {
    this.#parts.registry.remove(client)
  }

  clientClosed(client: Client, hasEnded: boolean): void {
    this.hooks.emit(sessionClosed, client)
    this.hooks.emit(mqttSessionClosed, client, hasEnded)
  }

  /** Stops reading from a client until the journal has caught up. */
  hold(connection: Connection): void {
    if (this.#held.has(connection)) return
    this.#held.add(connection)
    connection.pauseReading(stop.journal)
  }

  /** Once a second. */
  tick(): void {
    const now = this.nowMs()
    this.sessions.tick(now)
    this.metrics.latency.tick()
    this.sys.tick()
    this.#ticks += 1
    if (this.#held.size > 0 && !this.journal.isCongested) this.#relieve()
    if (this.retained.hasChurned()) this.sessions.refreshSearches()
    if (this.#ticks % slowTicks !== 0) return
    this.retained.dropExpired(now)
    this.#matches.dropStale()
    if (this.#authorization.isDynamic) this.accessVersion += 1
  }

  /** Says goodbye to all clients, publishes their wills and commits everything. */
  async stop(): Promise<void> {
    this.accessReview.stop()
    const { reason, detail, serverReference } = farewell(this.#settings.redirect)
    for (const session of [...this.sessions.byKey.values()]) {
      session.connection?.fail(reason, detail, 'lost', serverReference)
    }
    this.sessions.saveAgain()
    await this.journal.close()
    this.metrics.withdraw()
  }

  async #load(): Promise<void> {
    const { store } = this.#parts
    if (store === undefined) return
    if (forgottenPacketIds !== undefined) {
      this.log.warn('Packet identifiers are FORGOTTEN at the start: QoS 2 messages come twice')
    }
    await this.retained.load(this.nowMs())
    const { sessions, journalBytes } = await restoreState(store, this.ids, this.ledger)
    this.journal.restored(journalBytes)
    this.sessions.restore(sessions)
    await this.journal.settled()
    const { size } = this.sessions
    if (size > 0 || this.retained.size > 0) {
      this.log.info({ sessions: size, retained: this.retained.size }, 'Restored MQTT state')
    }
  }

  #routeTo(topic: TopicName, publisher: Publisher): Route {
    const route = this.createRoute(topic, encodeUtf8(topic))
    this.refresh(route, publisher)
    return route
  }

  /** One member of a share group, in turn: whoever is there and keeps up before whoever is not (MQTT5 4.8.2). */
  #deliverToOne(group: SharedGroup<Subscriber>, message: Message): boolean {
    let away: Subscription | undefined
    for (let left = group.size; left > 0; left--) {
      const member = group.next()?.value
      if (member instanceof InternalSubscription) {
        member.receive(message)
        return true
      }
      if (!(member instanceof Subscription)) continue
      const { connection } = member.session
      if (connection?.isOpen === true && !connection.isCongested) {
        if (this.#deliverShared(member, message)) return true
      } else away ??= member
    }
    return away !== undefined && this.#deliverShared(away, message)
  }

  #deliverShared(member: Subscription, message: Message): boolean {
    const { session, filter, retainAsPublished, identifier } = member
    // MQTT5 4.8.2-3, 3.3.4-5.
    const qos = member.qos < message.qos ? member.qos : message.qos
    const identifiers = identifier === 0 ? undefined : [identifier]
    const retain = message.retain && retainAsPublished
    return deliver(this, session, message, qos, retain, identifiers, filter)
  }

  #relieve(): void {
    const held = [...this.#held]
    this.#held.clear()
    for (const connection of held) connection.resumeReading(stop.journal)
  }
}
