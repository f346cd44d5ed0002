import { defineFilter, defineHook } from '../core/hooks.ts'
import type { FullJid } from '../xmpp/jid/jid.ts'
import type { MessageContent } from './message.ts'
import type { SubscriptionOptions } from './subscription.ts'
import type { TopicFilter } from './topic.ts'

/** Who publishes or subscribes: a client, or a part of the server in somebody's name. */
export interface Publisher {
  /** The resource is the client identifier. */
  readonly jid: FullJid
  /** `''` where there is no connection. */
  readonly ip: string
}

/** A client connected and its session is open; `isResumed`: the session was there before. */
export const mqttSessionOpened =
  defineHook<[client: Publisher, isResumed: boolean]>('mqtt.session.opened')

/** A client is gone; `hasEnded`: its session with it. */
export const mqttSessionClosed =
  defineHook<[client: Publisher, hasEnded: boolean]>('mqtt.session.closed')

/**
 * A message that access rules let pass (clients', wills and modules' alike), before it is retained and routed. A handler may
 * return another one, or `drop`: then the publisher is told "not authorized" where its protocol can.
 */
export const mqttPublish = defineFilter<MessageContent, [publisher: Publisher]>('mqtt.publish')

/** After a subscription was made or changed. */
export const mqttSubscribe =
  defineHook<[client: Publisher, filter: TopicFilter, options: SubscriptionOptions]>(
    'mqtt.subscribe',
  )

/** After a client took a subscription back, or changed access rules ended it; not when its session ends. */
export const mqttUnsubscribe =
  defineHook<[client: Publisher, filter: TopicFilter]>('mqtt.unsubscribe')
