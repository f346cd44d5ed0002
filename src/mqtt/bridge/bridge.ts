import type { Clock, Timer } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Metrics } from '../../core/metrics.ts'
import { transportSettings } from '../../core/net/tcp-transport.ts'
import type { Transport } from '../../core/transport.ts'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import type { FullJid } from '../../xmpp/jid/jid.ts'
import type { Broker } from '../broker.ts'
import type { ListenerProfile } from '../connection.ts'
import { Message } from '../message.ts'
import { encodeUtf8 } from '../packet/utf8.ts'
import { parseTopicName } from '../topic.ts'
import { Backoff } from './backoff.ts'
import type { BridgeMemory, BridgeRows } from './bridge-rows.ts'
import { BridgeCounters } from './counters.ts'
import { dial } from './dial.ts'
import { Echoes } from './echoes.ts'
import { Link } from './link.ts'
import type { LinkEnd, LinkOwner } from './link.ts'
import { LocalEnd } from './local-end.ts'
import { encodeUserProperty } from './rewrite.ts'
import { ruleOut } from './rule.ts'
import type { BridgeSettings } from './settings.ts'
import { isDown, isUp } from './sign-in.ts'
import type { RemoteAbilities } from './sign-in.ts'
import { planSubscriptions } from './subscriptions.ts'

export interface BridgeParts {
  readonly broker: Broker
  readonly profile: ListenerProfile
  readonly rows: BridgeRows
  /** Of the session; see {@link LocalEnd}. */
  readonly key: FullJid
  readonly publisher: FullJid
  /** Marks what goes out from here; no other broker has it. */
  readonly brokerId: string
  readonly clock: Clock
  readonly metrics: Metrics
  readonly log: Log
}

export type BridgeState = 'connecting' | 'up' | 'waiting' | 'stopped'

/** A bridge for those who look. */
export interface BridgeStatus {
  readonly name: string
  readonly url: string
  /** `waiting`: for the next attempt. */
  readonly state: BridgeState
  /** Since when, in milliseconds since 1970. */
  readonly sinceMs: number
  readonly queued: number
  readonly inflight: number
  readonly sent: number
  readonly received: number
  readonly dropped: number
  /** Attempts that failed, and connections that did not last, since it was last up for a while. */
  readonly failures: number
  /** What went wrong last, also of subscriptions; `''` = nothing. */
  readonly problem: string
}

/** The user property that marks what has passed a bridge of ours. */
const markName = 'linnet-bridge'
/** How often a message that the remote broker could not store is tried again. */
const maxRetries = 5

/**
 * A bridge to another broker: keeps a session here, connects, and connects again. See README.md for who holds what.
 */
export class Bridge implements LinkOwner {
  readonly settings: BridgeSettings
  readonly #parts: BridgeParts
  readonly #counters: BridgeCounters
  readonly #backoff: Backoff
  readonly #echoes: Echoes | undefined
  readonly #mark: Uint8Array | undefined
  readonly #retries = new Map<number, number>()
  #local: LocalEnd
  #memory: BridgeMemory
  #unsubscribe: (() => void)[] = []
  #state: BridgeState = 'connecting'
  #sinceMs: number
  #problem = ''
  #link: Link | undefined
  #remote: RemoteAbilities | undefined
  #dialing: AbortController | undefined
  #timer: Timer | undefined
  /** Retained messages are on their way to the remote broker. */
  #isHandingOver = false
  /** The remote broker wants no bridges, or did not the last time. */
  #hidesBridge = false
  #work: Promise<unknown> = Promise.resolve()

  static async start(parts: BridgeParts, settings: BridgeSettings): Promise<Bridge> {
    const bridge = new Bridge(parts, settings, await parts.rows.load(settings.name))
    bridge.#start()
    return bridge
  }

  private constructor(parts: BridgeParts, settings: BridgeSettings, memory: BridgeMemory) {
    const { broker, clock, metrics } = parts
    this.#parts = parts
    this.settings = settings
    this.#memory = memory
    this.#backoff = new Backoff(settings.reconnectMinMs, settings.reconnectMaxMs)
    this.#sinceMs = clock.now()
    const goesIn = settings.rules.some(({ direction }) => direction !== 'out')
    const goesOut = settings.rules.some(({ direction }) => direction !== 'in')
    const isOld = settings.endpoint.version < 5
    this.#echoes = isOld && goesIn && goesOut ? new Echoes(() => clock.monotonic()) : undefined
    this.#mark =
      isOld || !settings.marksMessages ? undefined : encodeUserProperty(markName, parts.brokerId)
    this.#local = new LocalEnd(parts)
    this.#counters = new BridgeCounters(metrics, broker.host, settings.name)
    this.#counters.expose({
      isUp: () => this.#state === 'up',
      queued: () => this.#local.session.queued,
      inflight: () => this.#local.session.inflightCount,
    })
  }

  get status(): BridgeStatus {
    const { session } = this.#local
    return {
      name: this.settings.name,
      url: this.settings.endpoint.url,
      state: this.#state,
      sinceMs: this.#sinceMs,
      queued: session.queued,
      inflight: session.inflightCount,
      sent: this.#counters.sent.value,
      received: this.#counters.received.value,
      dropped: this.#counters.droppedInAll,
      failures: this.#backoff.failures,
      problem: this.#problem,
    }
  }

  /** To be called about once a second. */
  tick(): void {
    this.#link?.tick()
    // A broker that lets us in and then drops us is not to be asked without end.
    if (this.#state === 'up' && this.#parts.clock.now() - this.#sinceMs >= steadyMs) {
      this.#backoff.succeeded()
    }
    if (!this.#isHandingOver || this.#state !== 'up' || !this.#local.hasHandedOver) return
    this.#isHandingOver = false
    this.#remember({ ...this.#memory, handedOver: this.#filtersOut() })
  }

  /** Ends the connection in order. What waits stays in the session. */
  async stop(): Promise<void> {
    this.#become('stopped')
    this.#timer?.cancel()
    this.#dialing?.abort()
    for (const undo of this.#unsubscribe) undo()
    const link = this.#link
    this.#link = undefined
    if (link !== undefined) {
      this.#tellRemote(link, isDown)
      link.close()
    }
    this.#local.leave()
    this.#counters.withdraw()
    await this.#work
  }

  // From the link.

  accepted(link: Link, remote: RemoteAbilities): void {
    const { endpoint, rules, marksMessages: _, ...settings } = this.settings
    this.#remote = remote
    this.#counters.connects.add()
    this.#problem = ''
    this.#echoes?.prolong()
    const { version } = endpoint
    this.#local.open(link, version, remote.isRemembered)
    this.#tellRemote(link, isUp)
    this.#become('up')
    this.#parts.log.info(
      { bridge: settings.name, url: endpoint.url, resumed: remote.isRemembered },
      'Bridge is up',
    )
    // What it does not remember it has to be asked and given again.
    const { subscribed, handedOver } = this.#memory
    const before = remote.isRemembered ? (subscribed ?? {}) : {}
    const plan = planSubscriptions(rules, before, version)
    const known = remote.isRemembered ? handedOver : []
    this.#background(this.#prepare(link, plan, before, known))
  }

  ended(link: Link, { why, mindsBridge }: LinkEnd): void {
    if (this.#link !== link) return
    this.#link = undefined
    this.#remote = undefined
    this.#isHandingOver = false
    this.#local.leave()
    if (this.#state === 'stopped') return
    const wasTold = this.#tellsBridge
    if (mindsBridge && this.settings.tellsBridge && this.settings.endpoint.version < 5) {
      // Perhaps it was the bridge bit. If it is not, the next attempt says it again.
      this.#hidesBridge = wasTold
      if (wasTold) {
        this.#parts.log.debug({ bridge: this.settings.name }, 'Trying again as an ordinary client')
        this.#connect()
        return
      }
    }
    this.#openLocal()
    this.#failed(why)
  }

  #start(): void {
    const { broker } = this.#parts
    const { rules } = this.settings
    for (const rule of rules) {
      if (rule.direction === 'in') continue
      this.#unsubscribe.push(
        broker.subscribe(rule.local, (message) => {
          // Of rules that overlap the first one counts.
          if (ruleOut(rules, message.topic) === rule) this.#openLocal().enqueue(message, rule.qos)
        }),
      )
    }
    this.#tellLocal(isDown)
    this.#connect()
  }

  get #tellsBridge(): boolean {
    const { tellsBridge, endpoint } = this.settings
    return tellsBridge && endpoint.version < 5 && !this.#hidesBridge
  }

  /** The session with a connection, which the broker may have ended. */
  #openLocal(): LocalEnd {
    if (this.#local.isClosed) this.#local = new LocalEnd(this.#parts)
    return this.#local
  }

  /**
   * A session that the remote broker has and we know nothing of is not ours. In MQTT 3.1.1 a clean session ends with its
   * connection (MQTT3 3.1.2-6): there nothing is cleaned, or what comes during the first break would be lost.
   */
  get #isStranger(): boolean {
    return this.settings.endpoint.version === 5 && this.#memory.subscribed === undefined
  }

  #connect(): void {
    this.#become('connecting')
    const { endpoint, tls } = this.settings
    const { clock, log } = this.#parts
    const dialing = new AbortController()
    this.#dialing = dialing
    const timer = clock.after(dialMs, () => dialing.abort())
    const transport = dial(endpoint, tls, transportSettings(clock, { log }), dialing.signal)
    this.#background(
      settle(transport).then((outcome) => {
        timer.cancel()
        if (this.#dialing === dialing) this.#dialing = undefined
        if (!outcome.ok) {
          if (this.#state !== 'stopped') this.#failed(outcome.error)
        } else if (this.#state === 'stopped') outcome.value.destroy()
        else this.#signIn(outcome.value)
      }),
    )
  }

  #signIn(transport: Transport): void {
    const { settings } = this
    const { broker, clock, log } = this.#parts
    const tellsBridge = this.#tellsBridge
    this.#link = new Link({
      settings,
      clientId: settings.clientId ?? this.#memory.clientId,
      cleanStart: settings.cleanStart || this.#isStranger,
      tellsBridge,
      receiveMaximum: broker.settings.receiveMaximum,
      transport,
      local: this.#openLocal(),
      owner: this,
      counters: this.#counters,
      clock,
      log: log.child({ bridge: settings.name }),
      mark: this.#mark,
      // Brokers that know what the bridge bit means send nothing back.
      echoes: tellsBridge ? undefined : this.#echoes,
      mayRetry: (packetId) => this.#mayRetry(packetId),
    })
    this.#link.start()
  }

  /** Subscribes, and lets messages go out when that is done. */
  async #prepare(
    link: Link,
    plan: ReturnType<typeof planSubscriptions>,
    before: Readonly<Record<string, number>>,
    handedOver: readonly string[],
  ): Promise<void> {
    const { log } = this.#parts
    const refused: string[] = []
    // Whatever happens from here on: what it was asked for is known.
    await this.#save({ ...this.#memory, subscribed: { ...before, ...plan.wanted }, handedOver })
    if (this.#link !== link) return
    const answers = await settle(link.request(plan))
    // The link has told its end itself.
    if (!answers.ok || this.#link !== link) return
    const subscribed: Record<string, number> = { ...plan.wanted }
    for (const { filter } of plan.subscribe) {
      if ((answers.value.get(filter) ?? 0) < 0x80) continue
      refused.push(filter)
      delete subscribed[filter]
    }
    if (refused.length > 0) {
      this.#problem = `The broker refused subscriptions: ${refused.slice(0, 5).join(', ')}`
      log.warn(
        { bridge: this.settings.name, filters: refused.slice(0, 5), count: refused.length },
        'The remote broker refused subscriptions',
      )
    }
    await this.#save({ ...this.#memory, subscribed })
    if (this.#link !== link) return
    this.#handOver(handedOver)
    this.#local.release(this.#remote?.receiveMaximum ?? 1)
  }

  /** Retained messages of rules that are new to the remote broker. */
  #handOver(handedOver: readonly string[]): void {
    if (this.#remote?.retains !== true) return
    for (const { direction, local, qos } of this.settings.rules) {
      if (direction === 'in' || handedOver.includes(local)) continue
      this.#local.handOver(local, qos)
      this.#isHandingOver = true
    }
  }

  #filtersOut(): readonly string[] {
    return this.settings.rules
      .filter(({ direction }) => direction !== 'in')
      .map(({ local }) => local)
  }

  #mayRetry(packetId: number): boolean {
    const count = (this.#retries.get(packetId) ?? 0) + 1
    if (count > maxRetries) {
      this.#retries.delete(packetId)
      return false
    }
    // Whatever has failed before and went well since counts no more.
    this.#retries.clear()
    this.#retries.set(packetId, count)
    return true
  }

  #failed(why: string): void {
    const { log, clock } = this.#parts
    const isNews = this.#state === 'up' || this.#backoff.failures === 0
    const delayMs = this.#backoff.next()
    this.#counters.failures.add()
    this.#problem = why
    const fields = {
      bridge: this.settings.name,
      url: this.settings.endpoint.url,
      reason: why,
      retryInMs: delayMs,
    }
    // An outage of hours is told once.
    if (isNews) log.warn(fields, 'Bridge is down')
    else log.debug(fields, 'Bridge is still down')
    this.#become('waiting')
    this.#timer = clock.after(delayMs, () => this.#connect())
  }

  #become(state: BridgeState): void {
    const wasUp = this.#state === 'up'
    if (state !== this.#state) this.#sinceMs = this.#parts.clock.now()
    this.#state = state
    if (wasUp !== (state === 'up')) this.#tellLocal(wasUp ? isDown : isUp)
  }

  /** On the topic that mosquitto has for it. */
  #tellLocal(payload: Uint8Array): void {
    const { broker, key } = this.#parts
    const topic = parseTopicName(`$SYS/broker/connection/${this.settings.name}/state`)
    if (!topic.ok) return
    const publisher = { jid: key, ip: '' }
    // Topics of the server are for nobody to publish: access rules are not asked.
    const route = broker.createRoute(topic.value, encodeUtf8(topic.value))
    broker.refresh(route, publisher)
    const content = { topic: topic.value, payload, qos: 1, retain: true, properties: {} } as const
    broker.publish(Message.create(content, broker.nowMs()), route, publisher)
  }

  #tellRemote(link: Link, payload: Uint8Array): void {
    const { statusTopic } = this.settings
    if (statusTopic !== undefined) link.publishOwn(statusTopic, payload)
  }

  #remember(memory: BridgeMemory): void {
    this.#background(this.#save(memory))
  }

  async #save(memory: BridgeMemory): Promise<void> {
    this.#memory = memory
    await this.#parts.rows.save(this.settings.name, memory)
  }

  /** One after the other is not needed: each is written in the order in which it is asked for. */
  #background(promise: Promise<unknown>): void {
    const done = promise.catch((error: unknown) => {
      this.#parts.log.error({ err: error, bridge: this.settings.name }, 'Bridge failed')
      this.#link?.close()
    })
    this.#work = Promise.all([this.#work, done])
  }
}

/** After so long a connection is not a failed attempt any more. */
const steadyMs = 10_000
/** TCP, TLS and WebSocket have to be there by then. */
const dialMs = 30_000

async function settle<T>(promise: Promise<T>): Promise<Result<T, string>> {
  try {
    return ok(await promise)
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error))
  }
}
