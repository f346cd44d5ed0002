import type { Allowance } from './authorization.ts'
import { nothingAllowed } from './authorization.ts'
import type { Session } from './session.ts'
import type { QoS } from './packet/packet-type.ts'
import type { InternalSubscription, Subscriber, Subscription } from './subscription.ts'
import type { TopicName } from './topic.ts'
import type { SharedGroup } from './topic-tree.ts'

/**
 * A session whose subscriptions select a topic. Overlapping ones are merged: the message goes once, with the highest QoS
 * (MQTT5 3.3.4-2) and all subscription identifiers (MQTT5 3.3.4-3, 3.3.4-4).
 */
export class Target {
  readonly session: Session
  qos: QoS
  retainAsPublished: boolean
  identifiers: readonly number[] | undefined
  /**
   * What the session gets of its own messages, where that is something else because of No Local (MQTT5 3.8.3-3): less, or
   * nothing.
   */
  own: Target | 'nothing' | undefined

  constructor(subscription: Subscription) {
    this.session = subscription.session
    this.qos = subscription.qos
    this.retainAsPublished = subscription.retainAsPublished
    this.identifiers = subscription.identifier === 0 ? undefined : [subscription.identifier]
    this.own = subscription.noLocal ? 'nothing' : undefined
  }

  merge(subscription: Subscription): void {
    this.#mergeOwn(subscription)
    // MQTT5 3.3.4-2.
    if (subscription.qos > this.qos) this.qos = subscription.qos
    if (subscription.retainAsPublished) this.retainAsPublished = true
    const { identifier } = subscription
    if (identifier === 0) return
    // MQTT5 3.3.4-3, 3.3.4-4. Read-only to all who hold it: a new list.
    this.identifiers =
      this.identifiers === undefined ? [identifier] : [...this.identifiers, identifier]
  }

  /** Before the rest is merged: until the first subscription with No Local both are the same. */
  #mergeOwn(subscription: Subscription): void {
    const { own } = this
    if (own === undefined) {
      if (subscription.noLocal) this.own = this.#copy(subscription)
    } else if (subscription.noLocal) return
    else if (own === 'nothing') this.own = new Target(subscription)
    else own.merge(subscription)
  }

  #copy(model: Subscription): Target {
    const copy = new Target(model)
    copy.qos = this.qos
    copy.retainAsPublished = this.retainAsPublished
    copy.identifiers = this.identifiers
    copy.own = undefined
    return copy
  }
}

const noTargets: readonly never[] = []

/** Who is subscribed to a topic; shared by all who publish to it. */
export class Matches {
  readonly topic: TopicName
  /** The tree's generation that the rest belongs to. */
  generation = -1
  targets: readonly Target[] = noTargets
  groups: readonly SharedGroup<Subscriber>[] = noTargets
  internal: readonly InternalSubscription[] = noTargets

  constructor(topic: TopicName) {
    this.topic = topic
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

/** Where the messages of one client to one topic go, and whether it may publish them: kept while nothing changes. */
export class Route {
  /** The topic's UTF-8, to find the route by the bytes of a packet. */
  readonly bytes: Uint8Array
  matches: Matches
  /** The access version that `allowed` belongs to. */
  accessVersion = -1
  allowed: Allowance = nothingAllowed

  constructor(matches: Matches, bytes: Uint8Array) {
    this.matches = matches
    this.bytes = bytes
  }

  get topic(): TopicName {
    return this.matches.topic
  }

  mayPublish(qos: QoS, retain: boolean): boolean {
    return qos <= (retain ? this.allowed.retainedQoS : this.allowed.qos)
  }
}

const slots = 64
/** Routes of longer topics are made anew each time. */
const maxCachedBytes = 512

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
    if (route.bytes.length > maxCachedBytes) return
    this.#table ??= Array.from({ length: slots }, () => undefined)
    this.#table[slotOf(this.#last.bytes, 0, this.#last.bytes.length)] = this.#last
    this.#table[slotOf(route.bytes, 0, route.bytes.length)] = route
    this.#last = route
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
