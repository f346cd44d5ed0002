import type { Broker } from './broker.ts'
import type { Connection } from './connection.ts'
import type { Message } from './message.ts'
import { deliver } from './outgoing.ts'
import type { QoS } from './packet/packet-type.ts'
import type { RetainedCursor } from './retained-tree.ts'
import type { Subscription } from './subscription.ts'
import type { TopicFilter, TopicName } from './topic.ts'

/** Topics looked at before others have their turn. */
const stepsAtOnce = 512

interface RetainedSearch {
  subscription: Subscription
  readonly qos: QoS
  readonly cursor: RetainedCursor<Message>
  readonly identifiers: readonly number[] | undefined
  /** How many more there may be (`match_retained_limit`). */
  left: number
}

/**
 * The subscriptions of one session that are still to get what is retained, in the order in which they were made: searched for
 * only as fast as the client takes it. Belongs to the session, and so goes on where it was when the client comes back; after
 * a restart each subscription that was not done begins anew. There is one for each filter at most, and one search at a time.
 */
export class RetainedBacklog {
  readonly #waiting = new Map<TopicFilter, Subscription>()
  #search: RetainedSearch | undefined = undefined

  get size(): number {
    return this.#waiting.size
  }

  /** A subscription that is made again begins again, and at the end. */
  add(subscription: Subscription): void {
    const { filter } = subscription
    if (this.#waiting.get(filter) === subscription) return
    this.delete(filter)
    this.#waiting.set(filter, subscription)
  }

  /** The subscription was made again without asking for anything: nothing begins again. */
  replace(subscription: Subscription): void {
    const { filter } = subscription
    if (this.#waiting.has(filter)) this.#waiting.set(filter, subscription)
    if (this.#search?.subscription.filter === filter) this.#search.subscription = subscription
  }

  delete(filter: TopicFilter): void {
    if (this.#search?.subscription.filter === filter) this.#search = undefined
    this.#waiting.delete(filter)
  }

  /** The search under way, or the next one; undefined when there is nothing left to search for. */
  search(broker: Broker): RetainedSearch | undefined {
    if (this.#search !== undefined) return this.#search
    const subscription = this.#waiting.values().next().value
    if (subscription === undefined) return undefined
    const { filter, identifier, awaitsRetained = 0 } = subscription
    this.#search = {
      subscription,
      qos: awaitsRetained,
      cursor: broker.retained.search(filter),
      identifiers: identifier === 0 ? undefined : [identifier],
      left: broker.settings.matchRetainedLimit,
    }
    return this.#search
  }

  /** See {@link RetainedCursor.refresh}. */
  refresh(): void {
    this.#search?.cursor.refresh()
  }
}

/** What is retained is to be sent, behind what is under way for earlier subscriptions. */
export function awaitRetained(subscription: Subscription): void {
  const { session } = subscription
  session.retained ??= new RetainedBacklog()
  session.retained.add(subscription)
}

/** Goes on sending until the client has enough for now; whoever takes its acknowledgements calls again. */
export function continueRetained(connection: Connection): void {
  const { broker, session } = connection
  if (broker === undefined || session?.connection !== connection) return
  if (!connection.isOpen || connection.isSearching) return
  const nowMs = broker.nowMs()
  let search: RetainedSearch | undefined
  const visit = (_topic: TopicName, message: Message): void => {
    if (search === undefined || search.left < 0 || message.isExpired(nowMs)) return
    search.left -= 1
    if (search.left < 0) {
      // One more than may be sent: nobody would know why the rest is missing.
      broker.log.warn(
        { jid: session.key, filter: search.subscription.filter },
        'There are more retained messages than match_retained_limit, the rest is not sent',
      )
      return
    }
    const qos = search.qos < message.qos ? search.qos : message.qos
    // MQTT5 3.3.1-8: the flag says that it is an old message.
    deliver(broker, session, message, qos, true, search.identifiers)
    message.forgetPackets()
  }
  for (let steps = stepsAtOnce; steps > 0; steps--) {
    if (connection.isBusy || !session.isClear || session.inflightCount >= connection.sendWindow)
      return
    search = session.retained?.search(broker)
    if (search === undefined) {
      session.retained = undefined
      return
    }
    const hasMore = search.cursor.slice(1, visit)
    if (!hasMore || search.left < 0) broker.sessions.retainedSent(search.subscription)
  }
  connection.isSearching = true
  setImmediate(resume, connection)
}

function resume(connection: Connection): void {
  connection.isSearching = false
  continueRetained(connection)
}
