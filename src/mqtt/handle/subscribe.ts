import { quoted } from '../authorization.ts'
import type { Broker } from '../broker.ts'
import type { Client } from '../client.ts'
import type { Connection } from '../connection.ts'
import { logDenial } from '../denial.ts'
import { mqttSubscribe } from '../hooks.ts'
import type { Subscribe, Subscription as Requested } from '../packet/packet.ts'
import type { QoS } from '../packet/packet-type.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import { awaitRetained } from '../retained-delivery.ts'
import type { Session } from '../session.ts'
import type { StoredOperation } from '../store/journal.ts'
import { Subscription } from '../subscription.ts'
import { levelCount, parseTopicFilter, sharedFilterOf } from '../topic.ts'

/** What became of one filter of a SUBSCRIBE. */
interface Outcome {
  readonly reason: ReasonCode
  readonly operation: StoredOperation | undefined
  readonly subscription: Subscription | undefined
}

interface PendingSuback {
  readonly connection: Connection
  readonly packetId: number
  readonly outcomes: readonly Outcome[]
  readonly detail: string | undefined
}

const granted: readonly ReasonCode[] = [
  ReasonCode.grantedQoS0,
  ReasonCode.grantedQoS1,
  ReasonCode.grantedQoS2,
]

/** MQTT5 3.8.4: each filter gets its own answer. Subscriptions of sessions that last are durable before SUBACK. */
export function handleSubscribe(connection: Connection, packet: Subscribe): void {
  const { broker, session, client } = connection
  if (broker === undefined || session === undefined || client === undefined) return
  const identifier = packet.properties.subscriptionIdentifiers?.[0] ?? 0
  const outcomes: Outcome[] = []
  let detail: string | undefined
  for (const requested of packet.subscriptions) {
    const outcome = subscribe(broker, session, client, requested, identifier)
    outcomes.push(outcome)
    if (outcome.reason < 0x80) continue
    const why = explain(broker, client, outcome.reason, requested.filter)
    if (outcome.reason === ReasonCode.notAuthorized) logDenial(connection, why)
    detail ??= why
  }
  const pending: PendingSuback = { connection, packetId: packet.packetId, outcomes, detail }
  const mustLast = outcomes.some(({ operation }) => operation !== undefined)
  if (mustLast) broker.journal.after(answer, pending)
  else answer(true, pending)
}

function subscribe(
  broker: Broker,
  session: Session,
  client: Client,
  requested: Requested,
  identifier: number,
): Outcome {
  const filter = parseTopicFilter(requested.filter)
  if (!filter.ok) return refused(ReasonCode.topicFilterInvalid)
  const shared = sharedFilterOf(filter.value)
  const selected = shared?.filter ?? filter.value
  // ejabberd counts slashes.
  if (levelCount(selected) > broker.settings.maxTopicDepth) {
    return refused(ReasonCode.topicFilterInvalid)
  }
  const allowed = broker.authorization.subscribing(selected, client)
  if (allowed.qos < 0) return refused(ReasonCode.notAuthorized)
  const before = session.subscriptions?.get(filter.value)
  const count = session.subscriptions?.size ?? 0
  if (before === undefined && count >= broker.settings.maxSubscriptions) {
    return refused(ReasonCode.quotaExceeded)
  }
  const number = before?.number ?? ++session.lastSubscription
  const qos = lowerQoS(requested.qos, allowed.qos)
  // COMPAT: MQTT 3 has no such options, and bridges of mosquitto count on having them.
  const isBridge = client.isBridge && shared === undefined
  const bridged = isBridge ? { noLocal: true, retainAsPublished: true } : {}
  const options = { ...requested, qos, identifier, ...bridged }
  const subscription = new Subscription(session, filter.value, options, number)
  // MQTT5 3.8.4-4, 3.3.1-9, 3.3.1-10, 3.3.1-11; nothing for share groups (MQTT5 4.8.2).
  const { retainHandling } = requested
  const wantsRetained = retainHandling === 0 || (retainHandling === 1 && before === undefined)
  const mayFollow = shared === undefined && wantsRetained && allowed.retainedQoS >= 0
  if (mayFollow && broker.retained.mayHold(filter.value)) {
    subscription.awaitsRetained = lowerQoS(qos, allowed.retainedQoS)
  }
  const operation = broker.sessions.subscribe(subscription)
  broker.hooks.emit(mqttSubscribe, client, filter.value, subscription)
  // MQTT5 3.9.3: it may be lower than requested.
  return { reason: granted[qos] ?? ReasonCode.grantedQoS0, operation, subscription }
}

function refused(reason: ReasonCode): Outcome {
  return { reason, operation: undefined, subscription: undefined }
}

/** What rules allow, at most. */
export function lowerQoS(requested: QoS, allowed: number): QoS {
  if (requested <= allowed) return requested
  return allowed === 1 ? 1 : 0
}

function explain(broker: Broker, client: Client, reason: ReasonCode, filter: string): string {
  const name = quoted(filter)
  if (reason === ReasonCode.quotaExceeded) return `There are too many subscriptions for ${name}`
  const parsed = parseTopicFilter(filter)
  if (reason !== ReasonCode.notAuthorized || !parsed.ok) {
    return `Topic filter ${name} has too many levels`
  }
  const selected = sharedFilterOf(parsed.value)?.filter ?? parsed.value
  return broker.authorization.explainSubscribe(selected, client)
}

/** SUBACK, and then the retained messages. */
function answer(isDurable: boolean, pending: PendingSuback): void {
  const { connection, packetId, outcomes, detail } = pending
  const { broker, session } = connection
  if (broker === undefined || session === undefined) return
  const reasonCodes = outcomes.map(({ reason, operation, subscription }) => {
    const isLost = operation !== undefined && (!isDurable || operation.failed)
    // Not if a later SUBSCRIBE has replaced it.
    const isCurrent =
      subscription !== undefined && session.subscriptions?.get(subscription.filter) === subscription
    if (!isLost) {
      // Wanted even if the connection is gone: the subscription may last.
      if (isCurrent && subscription.awaitsRetained !== undefined) awaitRetained(subscription)
      return reason
    }
    // Nothing comes of a subscription that was refused (MQTT5 3.8.4-7).
    if (isCurrent) broker.sessions.unsubscribe(session, subscription.filter)
    return ReasonCode.implementationSpecificError
  })
  if (!connection.isOpen) return
  const properties =
    // MQTT5 3.1.2-29.
    detail === undefined || !connection.wantsReasons ? {} : { reasonString: detail }
  // MQTT5 2.2.1-6, 3.8.4-1, 3.8.4-2, 3.8.4-5, 3.8.4-6, 3.9.3-1.
  connection.sendAnswer({ kind: 'suback', packetId, reasonCodes, properties })
  connection.continueRetained()
}
