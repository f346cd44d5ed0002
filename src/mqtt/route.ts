import type { Session } from './session.ts'
import type { QoS } from './packet/packet-type.ts'
import type { InternalSubscription, Subscriber } from './subscription.ts'
import { Subscription } from './subscription.ts'
import type { TopicName } from './topic.ts'
import type { MatchVisitor, SharedGroup, TopicTree } from './topic-tree.ts'

/**
 * A session whose subscriptions select a topic. Overlapping ones are merged: the message goes once, with the highest QoS
 * (MQTT5 3.3.4-2) and all subscription identifiers (MQTT5 3.3.4-5).
 */
export class Target {
  readonly session: Session
  qos: QoS
  retainAsPublished: boolean
  identifiers: readonly number[] | undefined

  constructor(subscription: Subscription) {
    this.session = subscription.session
    this.qos = subscription.qos
    this.retainAsPublished = subscription.retainAsPublished
    this.identifiers = subscription.identifier === 0 ? undefined : [subscription.identifier]
  }

  merge(subscription: Subscription): void {
    if (subscription.qos > this.qos) this.qos = subscription.qos
    if (subscription.retainAsPublished) this.retainAsPublished = true
    const { identifier } = subscription
    if (identifier === 0) return
    // Read-only to all who hold it: a new list.
    this.identifiers =
      this.identifiers === undefined ? [identifier] : [...this.identifiers, identifier]
  }
}

const noTargets: readonly never[] = []

/** Who gets what one client publishes to one topic, and whether it may: worked out once and kept while nothing changes. */
export class Route {
  readonly topic: TopicName
  /** The topic's UTF-8, to find the route by the bytes of a packet. */
  readonly bytes: Uint8Array
  /** The tree's generation that `targets` belong to. */
  generation = -1
  targets: readonly Target[] = noTargets
  groups: readonly SharedGroup<Subscriber>[] = noTargets
  internal: readonly InternalSubscription[] = noTargets
  /** The access version that `isAllowed` belongs to. */
  accessVersion = -1
  isAllowed = false

  constructor(topic: TopicName, bytes: Uint8Array) {
    this.topic = topic
    this.bytes = bytes
  }

  get isEmpty(): boolean {
    return this.targets.length === 0 && this.groups.length === 0 && this.internal.length === 0
  }

  /** Forgets sessions that may be gone by now. */
  clear(): void {
    this.generation = -1
    this.targets = noTargets
    this.groups = noTargets
    this.internal = noTargets
  }
}

/** Collects what a topic's subscriptions come to. One for each broker, used again and again. */
export class RouteBuilder implements MatchVisitor<Subscriber> {
  #stamp = 0
  #publisher: string | undefined
  #targets: Target[] = []
  #groups: SharedGroup<Subscriber>[] = []
  #internal: InternalSubscription[] = []

  /** Brings the route up to date. `publisher` is the key of the publishing session: No Local keeps its messages from it. */
  refresh(route: Route, tree: TopicTree<Subscriber>, publisher: string | undefined): void {
    this.#stamp += 1
    this.#publisher = publisher
    this.#targets = []
    this.#groups = []
    this.#internal = []
    tree.match(route.topic, this)
    for (const { session } of this.#targets) session.matchTarget = undefined
    route.targets = this.#targets
    route.groups = this.#groups
    route.internal = this.#internal
    route.generation = tree.generation
  }

  subscriber(subscriber: Subscriber): void {
    if (!(subscriber instanceof Subscription)) {
      this.#internal.push(subscriber)
      return
    }
    const { session } = subscriber
    // MQTT5 3.8.3-3.
    if (subscriber.noLocal && session.key === this.#publisher) return
    if (session.matchStamp === this.#stamp && session.matchTarget !== undefined) {
      session.matchTarget.merge(subscriber)
      return
    }
    const target = new Target(subscriber)
    session.matchStamp = this.#stamp
    session.matchTarget = target
    this.#targets.push(target)
  }

  group(group: SharedGroup<Subscriber>): void {
    this.#groups.push(group)
  }
}

const slots = 64

/**
 * The routes of one publishing connection by the topic's bytes. Most clients publish to one topic, so that one is kept
 * beside; the table is made for the second, and a topic may push another one out.
 */
export class RouteCache {
  #last: Route
  #table: (Route | undefined)[] | undefined

  constructor(first: Route) {
    this.#last = first
  }

  find(bytes: Uint8Array, start: number, end: number): Route | undefined {
    if (isTopic(this.#last.bytes, bytes, start, end)) return this.#last
    const found = this.#table?.[slotOf(bytes, start, end)]
    if (found === undefined || !isTopic(found.bytes, bytes, start, end)) return undefined
    this.#last = found
    return found
  }

  add(route: Route): void {
    this.#table ??= Array.from({ length: slots }, () => undefined)
    this.#table[slotOf(this.#last.bytes, 0, this.#last.bytes.length)] = this.#last
    this.#table[slotOf(route.bytes, 0, route.bytes.length)] = route
    this.#last = route
  }

  /** Forgets who was subscribed when that has changed since. */
  clearStale(generation: number): void {
    if (this.#last.generation !== generation) this.#last.clear()
    if (this.#table === undefined) return
    for (const route of this.#table) {
      if (route !== undefined && route.generation !== generation) route.clear()
    }
  }
}

function isTopic(topic: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const { length } = topic
  if (end - start !== length) return false
  // Names of one device differ near the end.
  for (let i = length - 1, at = end - 1; i >= 0; i--, at--) {
    if (topic[i] !== bytes[at]) return false
  }
  return true
}

/** FNV-1a. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c_9dc5
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x0100_0193)
  return (hash ^ (hash >>> 16)) & (slots - 1)
}
