import { Matches, Target } from './route.ts'
import type { InternalSubscription, Subscriber } from './subscription.ts'
import { Subscription } from './subscription.ts'
import type { TopicName } from './topic.ts'
import type { MatchVisitor, SharedGroup, TopicTree } from './topic-tree.ts'

/** Topics, and targets of all of them, that are kept; more are forgotten all at once. */
const maxTopics = 50_000
const maxTargets = 1_000_000
/** Matches of longer topics are worked out each time. */
const maxTopicLength = 512

/** What the topic tree found, by topic, as long as no subscription changes. */
export class MatchCache implements MatchVisitor<Subscriber> {
  readonly #tree: TopicTree<Subscriber>
  readonly #byTopic = new Map<TopicName, Matches>()
  #targetCount = 0
  /** Of the search under way. */
  #stamp = 0
  #targets: Target[] = []
  #groups: SharedGroup<Subscriber>[] = []
  #internal: InternalSubscription[] = []

  constructor(tree: TopicTree<Subscriber>) {
    this.#tree = tree
  }

  /** The matches of a topic; `refresh` brings them up to date. */
  of(topic: TopicName): Matches {
    const found = this.#byTopic.get(topic)
    if (found !== undefined) return found
    if (topic.length > maxTopicLength) return new Matches(topic)
    if (this.#byTopic.size >= maxTopics) this.forgetAll()
    const matches = new Matches(topic)
    this.#byTopic.set(topic, matches)
    return matches
  }

  /** Brings matches up to date. What comes back is to be used: they may have been forgotten, and made again, meanwhile. */
  refresh(stale: Matches): Matches {
    const isKept = stale.topic.length <= maxTopicLength
    const matches = isKept ? this.of(stale.topic) : stale
    if (matches.generation === this.#tree.generation) return matches
    this.#stamp += 1
    this.#targets = []
    this.#groups = []
    this.#internal = []
    this.#tree.match(matches.topic, this)
    for (const { session } of this.#targets) session.matchTarget = undefined
    if (isKept) this.#count(matches, this.#targets.length)
    matches.targets = this.#targets
    matches.groups = this.#groups
    matches.internal = this.#internal
    matches.generation = this.#tree.generation
    return matches
  }

  /** Lets go of sessions that have left since. */
  dropStale(): void {
    for (const [topic, matches] of this.#byTopic) {
      if (matches.generation === this.#tree.generation) continue
      this.#targetCount -= matches.targets.length
      matches.clear()
      this.#byTopic.delete(topic)
    }
  }

  subscriber(subscriber: Subscriber): void {
    if (!(subscriber instanceof Subscription)) {
      this.#internal.push(subscriber)
      return
    }
    const { session } = subscriber
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

  #count(matches: Matches, targets: number): void {
    this.#targetCount += targets - matches.targets.length
    if (this.#targetCount <= maxTargets) return
    this.forgetAll()
    this.#byTopic.set(matches.topic, matches)
    this.#targetCount = targets
  }

  forgetAll(): void {
    for (const matches of this.#byTopic.values()) matches.clear()
    this.#byTopic.clear()
    this.#targetCount = 0
  }
}
