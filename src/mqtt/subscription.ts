import type { Message } from './message.ts'
import type { QoS } from './packet/packet-type.ts'
import type { Session } from './session.ts'
import type { TopicFilter } from './topic.ts'

export interface SubscriptionOptions {
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** Subscription identifier; 0 = none. */
  readonly identifier: number
}

/** One filter of one session (MQTT5 3.8.3.1). */
export class Subscription implements SubscriptionOptions {
  readonly session: Session
  readonly filter: TopicFilter
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifier: number
  /** Its number in the session: the key of its row. */
  readonly number: number
  /** What is retained has not been sent to its end, and goes at this QoS at most. */
  awaitsRetained: QoS | undefined = undefined

  constructor(session: Session, filter: TopicFilter, options: SubscriptionOptions, number: number) {
    this.session = session
    this.filter = filter
    this.qos = options.qos
    this.noLocal = options.noLocal
    this.retainAsPublished = options.retainAsPublished
    this.identifier = options.identifier
    this.number = number
  }
}

/** A module that wants to see what is published. */
export class InternalSubscription {
  readonly filter: TopicFilter
  readonly key: string
  /** Called in order, with messages that may be kept; must not throw. */
  readonly receive: (message: Message) => void

  constructor(filter: TopicFilter, key: string, receive: (message: Message) => void) {
    this.filter = filter
    this.key = key
    this.receive = receive
  }
}

export type Subscriber = Subscription | InternalSubscription
