import { acknowledge } from '../acknowledge.ts'
import type { Broker } from '../broker.ts'
import type { Client } from '../client.ts'
import type { Connection } from '../connection.ts'
import { logDenial } from '../denial.ts'
import { flushForwarded, forward } from '../forward.ts'
import { mqttPublish } from '../hooks.ts'
import type { LatencySampler } from '../latency.ts'
import { Message } from '../message.ts'
import { PacketType } from '../packet/packet-type.ts'
import type { PublishView } from '../packet/publish-view.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import { isUtf8 } from '../packet/utf8.ts'
import type { Route } from '../route.ts'
import { RouteCache } from '../route.ts'
import type { Session } from '../session.ts'
import type { TopicName } from '../topic.ts'

/** A message from a client (MQTT5 3.3.4, 4.3). */
export function handlePublish(connection: Connection, view: PublishView): void {
  const { broker, session, client } = connection
  if (broker === undefined || session === undefined || client === undefined) return
  const { metrics } = broker
  if (--metrics.latency.countdown === 0) {
    measure(connection, view, metrics.latency)
    return
  }
  metrics.received[view.qos].value += 1
  metrics.receivedBytes.value += view.end - view.start
  connection.messagesIn += 1
  const route = routeOf(connection, broker, view)
  if (route === undefined) return
  broker.refresh(route, client)
  if (view.qos > 0) {
    flushForwarded()
    takeOver(connection, broker, session, client, view, route)
    return
  }
  if (!route.mayPublish(0, view.retain)) {
    // MQTT has no word for this at QoS 0, and the connection is not to blame (MQTT5 4.13.1).
    broker.metrics.dropped.denied.value += 1
    logDenial(connection, explain(broker, client, view, route))
    return
  }
  if (view.payloadIsText && !isText(view)) {
    connection.fail(ReasonCode.payloadFormatInvalid, 'Payload is not UTF-8 (MQTT5 3.3.2.3.2)')
    return
  }
  if (!view.retain && broker.hooks.isIdle(mqttPublish)) {
    forward(connection, view, route)
    return
  }
  flushForwarded()
  const writes = broker.journal.writes
  broker.publish(messageOf(broker, view, route), route, client)
  if (broker.journal.writes !== writes) holdIfCongested(connection, broker)
}

/** Handles it apart from the messages before and after, so that it is not them who are measured. */
function measure(connection: Connection, view: PublishView, latency: LatencySampler): void {
  flushForwarded()
  latency.begin()
  try {
    handlePublish(connection, view)
    flushForwarded()
  } finally {
    latency.end()
  }
}

/** QoS 1 and 2: answered when everything that the answer stands for lasts. */
function takeOver(
  connection: Connection,
  broker: Broker,
  session: Session,
  client: Client,
  view: PublishView,
  route: Route,
): void {
  const { packetId, qos } = view
  const answer = qos === 1 ? PacketType.puback : PacketType.pubrec
  connection.unacknowledged += 1
  if (connection.version === 5 && connection.unacknowledged > connection.receiveWindow) {
    // MQTT5 3.3.4-7.
    connection.fail(
      ReasonCode.receiveMaximumExceeded,
      `More than ${connection.receiveWindow} messages are unacknowledged (MQTT5 3.3.4-7)`,
    )
    return
  }
  if (qos === 2) {
    const before = session.incoming?.get(packetId)
    if (before !== undefined) {
      // Sent again because PUBREC did not arrive: taken over once is enough (MQTT5 4.3.3-10).
      connection.unacknowledged -= 1
      acknowledge(connection, answer, packetId, before, session.isStored)
      return
    }
  }
  if (!route.mayPublish(qos, view.retain)) {
    const why = explain(broker, client, view, route)
    logDenial(connection, why)
    refuse(connection, broker, session, view, ReasonCode.notAuthorized, why)
    return
  }
  if (view.payloadIsText && !isText(view)) {
    const why = 'Payload is not UTF-8 (MQTT5 3.3.2.3.2)'
    refuse(connection, broker, session, view, ReasonCode.payloadFormatInvalid, why)
    return
  }
  const { journal } = broker
  const writes = journal.writes
  const message = messageOf(broker, view, route)
  const { reason, operation, replacement } = broker.publish(message, route, client)
  if (reason >= 0x80) {
    // MQTT5 4.3.3-9.
    refuse(connection, broker, session, view, reason, 'The server does not take this message')
    return
  }
  if (qos === 2) {
    ;(session.incoming ??= new Map()).set(packetId, reason)
    if (session.isStored) journal.received(session, packetId, reason)
  }
  // MQTT5 3.3.4-1, 4.3.2-4, 4.3.3-8.
  const mustLast = journal.writes !== writes
  const published = replacement ?? message
  acknowledge(connection, answer, packetId, reason, mustLast, operation, undefined, published)
  if (journal.writes !== writes) holdIfCongested(connection, broker)
}

function explain(broker: Broker, client: Client, view: PublishView, route: Route): string {
  return broker.authorization.explainPublish(route.topic, view.qos, view.retain, client)
}

/** MQTT 3 has no way to say no: the message is acknowledged and goes nowhere (MQTT3 3.3.5-2). */
function refuse(
  connection: Connection,
  broker: Broker,
  session: Session,
  { qos, packetId }: PublishView,
  reason: ReasonCode,
  detail: string,
): void {
  broker.metrics.dropped.denied.value += 1
  const answer = qos === 1 ? PacketType.puback : PacketType.pubrec
  if (connection.version === 5) {
    acknowledge(connection, answer, packetId, reason, false, undefined, detail)
    return
  }
  let mustLast = false
  if (qos === 2) {
    ;(session.incoming ??= new Map()).set(packetId, ReasonCode.success)
    mustLast = session.isStored
    if (mustLast) broker.journal.received(session, packetId, ReasonCode.success)
  }
  acknowledge(connection, answer, packetId, ReasonCode.success, mustLast)
}

function holdIfCongested(connection: Connection, broker: Broker): void {
  if (broker.journal.isCongested) broker.hold(connection)
}

function messageOf(broker: Broker, view: PublishView, route: Route): Message {
  const nowMs = view.messageExpiryAt < 0 ? 0 : broker.nowMs()
  const message = Message.fromView(view, route.topic, nowMs)
  message.sample = broker.metrics.latency.current
  return message
}

function isText(view: PublishView): boolean {
  return isUtf8(view.bytes, view.payloadStart, view.end)
}

/** The route of the packet's topic or alias; undefined when the connection was ended. */
function routeOf(connection: Connection, broker: Broker, view: PublishView): Route | undefined {
  const { topicAlias, topicStart, topicEnd } = view
  if (topicAlias === 0) return routeByTopic(connection, broker, view)
  if (topicAlias > connection.aliasLimit) {
    // MQTT5 3.3.2-9, 3.2.2-17, 3.2.2-18.
    connection.fail(
      ReasonCode.topicAliasInvalid,
      `Topic alias is larger than ${connection.aliasLimit} (MQTT5 3.3.2-9)`,
    )
    return undefined
  }
  if (topicStart < topicEnd) {
    const route = routeByTopic(connection, broker, view)
    // MQTT5 3.3.2-12.
    connection.aliases ??= []
    connection.aliases[topicAlias] = route
    return route
  }
  const known = connection.aliases?.[topicAlias]
  if (known === undefined) {
    connection.fail(ReasonCode.protocolError, 'Topic alias is not known (MQTT5 3.3.2.3.4)')
  }
  return known
}

function routeByTopic(connection: Connection, broker: Broker, view: PublishView): Route {
  const { bytes, topicStart, topicEnd } = view
  const found = connection.routes?.find(bytes, topicStart, topicEnd)
  if (found !== undefined) return found
  // The decoder has checked it.
  const route = broker.createRoute(view.topic() as TopicName, view.copyTopic())
  if (connection.routes === undefined) connection.routes = new RouteCache(route)
  else connection.routes.add(route)
  return route
}
