import type { BareJid, FullJid } from '../xmpp/jid/jid.ts'
import { bareJid } from '../xmpp/jid/jid.ts'
import type { Connection } from './connection.ts'
import type { Delivery } from './delivery.ts'
import { Inflight } from './inflight.ts'
import type { Ledger } from './ledger.ts'
import type { ReasonCode } from './packet/reason-code.ts'
import { OutgoingQueue } from './queue.ts'
import type { RetainedBacklog } from './retained-delivery.ts'
import type { Target } from './route.ts'
import type { Subscription } from './subscription.ts'
import type { TopicFilter } from './topic.ts'
import type { Will } from './will.ts'

/** Session Expiry Interval of sessions that never expire (MQTT5 3.1.2.11.2). */
export const neverExpires = 0xffff_ffff

/**
 * What the server keeps for one client (MQTT5 4.1): one object of one shape. Parts that most sessions do not need are made
 * when they are. Its rules are in sessions.ts and outgoing.ts.
 */
export class Session {
  /** `user@host/client`: the same client identifier of two accounts is two sessions. */
  readonly key: FullJid
  /** Names it in the store; never used again. */
  readonly id: number
  /** Set from CONNECT on; what it may be sent is `connection.isOpen`'s affair. */
  connection: Connection | undefined = undefined
  /** Granted Session Expiry Interval; 0 = ends with the connection. */
  expirySeconds = 0
  /** Milliseconds since 1970; undefined while connected. */
  disconnectedAt: number | undefined = undefined
  will: Will | undefined = undefined
  /** When the will is due after a disconnection, in milliseconds since 1970. */
  willAt = Infinity
  /** It has a row in the store. */
  hasRow = false
  /** What happens in it goes to the journal: it is to outlive the connection. */
  isStored = false
  subscriptions: Map<TopicFilter, Subscription> | undefined = undefined
  lastSubscription = 0
  /** What is retained and still has to be sent for new subscriptions. */
  retained: RetainedBacklog | undefined = undefined
  /** Packet identifiers of QoS 2 messages that were taken over and not released, with the reason in PUBREC. */
  incoming: Map<number, ReasonCode> | undefined = undefined
  /** Counts deliveries in the journal. */
  lastSequence = 0
  /** Deliveries that wait for a commit before they go out; whatever comes later waits behind them. */
  uncommitted = 0
  /** In flight on an earlier connection and not sent on this one yet, from `resendAt` on. */
  resend: Delivery[] | undefined = undefined
  resendAt = 0
  /** How many of them are still unacknowledged. */
  resendLeft = 0
  /** The log has told that messages were lost because the queue was full. */
  hasOverflowed = false
  /** For the matching under way: merges overlapping subscriptions. See match-cache.ts. */
  matchStamp = 0
  matchTarget: Target | undefined = undefined
  readonly #ledger: Ledger
  #queue: OutgoingQueue | undefined = undefined
  #inflight: Inflight | undefined = undefined

  constructor(key: FullJid, id: number, ledger: Ledger) {
    this.key = key
    this.id = id
    this.#ledger = ledger
  }

  get account(): BareJid {
    return bareJid(this.key)
  }

  get queue(): OutgoingQueue {
    return (this.#queue ??= new OutgoingQueue(this.#ledger))
  }

  get inflight(): Inflight {
    return (this.#inflight ??= new Inflight(this.#ledger))
  }

  get queued(): number {
    return this.#queue === undefined ? 0 : this.#queue.length
  }

  get queuedQoS0(): number {
    return this.#queue === undefined ? 0 : this.#queue.qos0
  }

  get inflightCount(): number {
    return this.#inflight === undefined ? 0 : this.#inflight.size
  }

  /** Bytes of what waits and of what is in flight. */
  get pendingBytes(): number {
    const waiting = this.#queue === undefined ? 0 : this.#queue.bytes
    return this.#inflight === undefined ? waiting : waiting + this.#inflight.bytes
  }

  /** Nothing waits: the next message may go out at once. */
  get isClear(): boolean {
    return this.queued === 0 && this.resendLeft === 0 && this.uncommitted === 0
  }

  /** Everything on its way, oldest first. */
  *deliveries(): Generator<Delivery, void, undefined> {
    if (this.#inflight !== undefined) yield* this.#inflight.values()
    if (this.#queue !== undefined) yield* this.#queue
  }

  /** Forgets everything that is on its way. */
  discardDeliveries(): void {
    this.#queue?.clear()
    this.#inflight?.clear()
    this.resend = undefined
    this.resendLeft = 0
  }

  /** Takes what was refused out of the queue: it would be in the way of others. */
  dropRefused(): void {
    this.#queue?.dropRefused()
  }

  /** When it ends if its client does not come back, in milliseconds since 1970. */
  get endsAt(): number {
    if (this.disconnectedAt === undefined || this.expirySeconds >= neverExpires) return Infinity
    return this.disconnectedAt + this.expirySeconds * 1000
  }
}
