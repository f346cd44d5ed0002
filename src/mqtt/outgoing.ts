import { acknowledge } from './acknowledge.ts'
import type { Broker } from './broker.ts'
import type { Connection } from './connection.ts'
import { Delivery } from './delivery.ts'
import type { Message } from './message.ts'
import { PacketType, type QoS } from './packet/packet-type.ts'
import { ReasonCode } from './packet/reason-code.ts'
import { sendMessage } from './send.ts'
import type { Session } from './session.ts'
import type { TopicFilter } from './topic.ts'

/*
 * Messages on their way to sessions. A connected client that keeps up gets them at once; what it has not acknowledged is in
 * flight, at most its Receive Maximum (MQTT5 3.3.4-9); the rest waits in the session's queue, which is bounded by count and
 * bytes. When the queue is full, waiting messages of QoS 0 go first, then the new one is dropped: the session and what
 * waits in it stay. QoS 0 messages wait only while the client is away; a client that does not read loses them.
 */

/** Hands a message to a session. False when it was dropped. */
export function deliver(
  broker: Broker,
  session: Session,
  message: Message,
  qos: QoS,
  retain: boolean,
  identifiers: readonly number[] | undefined,
  shared?: TopicFilter,
): boolean {
  const { connection } = session
  const isOpen = connection !== undefined && connection.isOpen
  if (qos === 0) {
    if (isOpen && session.queuedQoS0 === 0 && session.uncommitted === 0) {
      if (connection.isCongested) {
        broker.metrics.dropped.slow_subscriber.add()
        return false
      }
      // MQTT5 4.3.1-1.
      const isSent = sendMessage(connection, message, 0, retain, 0, false, identifiers)
      if (!isSent) broker.metrics.dropped.too_large.add()
      return isSent
    }
    return enqueue(broker, session, new Delivery(message, 0, retain, identifiers, shared))
  }
  const delivery = new Delivery(message, qos, retain, identifiers, shared)
  const mayGo =
    isOpen &&
    session.isClear &&
    // MQTT5 3.3.4-9, 4.9.0-2.
    session.inflightCount < connection.sendWindow &&
    !connection.isBusy &&
    !isFull(broker, session, delivery)
  // MQTT5 4.5.0-1.
  if (!mayGo) return enqueue(broker, session, delivery)
  session.inflight.add(delivery)
  if (session.isStored) broker.journal.enqueued(session, delivery)
  transmit(broker, session, connection, delivery)
  return true
}

function enqueue(broker: Broker, session: Session, delivery: Delivery): boolean {
  if (isFull(broker, session, delivery)) {
    const dropped = delivery.qos === 0 ? 0 : session.queue.dropQoS0()
    broker.metrics.dropped.qos0_away.add(dropped)
    const isStillFull = isFull(broker, session, delivery)
    const reason = delivery.qos === 0 ? 'qos0_away' : 'queue_full'
    if (isStillFull) broker.metrics.dropped[reason].add()
    if (!session.hasOverflowed) {
      session.hasOverflowed = true
      broker.log.warn(
        { jid: session.key, queued: session.queued, bytes: session.pendingBytes },
        'Queue is full, messages for this client are lost',
      )
    }
    if (isStillFull) return false
  }
  session.queue.push(delivery)
  if (delivery.qos > 0 && session.isStored) broker.journal.enqueued(session, delivery)
  return true
}

/** A message larger than a limit of bytes is still taken when nothing else waits. */
function isFull(
  { settings, ledger }: Broker,
  session: Session,
  { message, weight }: Delivery,
): boolean {
  if (session.queued >= settings.maxQueue) return true
  const pending = session.pendingBytes
  if (pending > 0 && pending + weight > settings.maxQueueBytes) return true
  // What waits elsewhere already costs nothing more.
  if (message !== undefined && message.holders > 0) return false
  return ledger.bytes > 0 && ledger.bytes + weight > settings.maxTotalQueueBytes
}

/** Sends what waits, as far as the client and its connection take it. */
export function pump(broker: Broker, session: Session): void {
  const { connection } = session
  if (connection === undefined || !connection.isOpen) return
  while (!connection.isBusy) {
    if (session.resendLeft > 0) {
      // These are in flight already; a smaller Receive Maximum than before holds for them too.
      if (session.inflightCount - session.resendLeft >= connection.sendWindow) return
      resendNext(broker, session, connection)
      continue
    }
    const delivery = session.queued === 0 ? undefined : session.queue.peek()
    if (delivery === undefined) {
      connection.continueRetained()
      return
    }
    // MQTT5 3.3.4-9, 4.9.0-2.
    if (delivery.qos > 0 && session.inflightCount >= connection.sendWindow) return
    session.queue.shift()
    sendQueued(broker, session, connection, delivery)
  }
}

function sendQueued(
  broker: Broker,
  session: Session,
  connection: Connection,
  delivery: Delivery,
): void {
  const { message } = delivery
  if (message === undefined) return
  if (message.isRefused) {
    if (delivery.sequence > 0) broker.journal.done(session, delivery)
    return
  }
  if (message.expiresAt !== Infinity && message.isExpired(broker.nowMs())) {
    // MQTT5 3.3.2-5.
    broker.metrics.dropped.expired.add()
    if (delivery.sequence > 0) broker.journal.done(session, delivery)
    return
  }
  if (delivery.qos > 0) {
    session.inflight.add(delivery)
    if (delivery.sequence > 0) broker.journal.sent(session, delivery)
  }
  transmit(broker, session, connection, delivery)
  message.forgetPackets()
}

/** Begins with what was in flight when an earlier connection ended (MQTT5 4.4.0-1). */
export function beginResend(session: Session): void {
  session.resend = undefined
  session.resendAt = 0
  session.resendLeft = session.inflightCount
  if (session.resendLeft === 0) return
  session.resend = [...session.inflight.values()]
  for (const delivery of session.resend) delivery.awaitsResend = true
}

function resendNext(broker: Broker, session: Session, connection: Connection): void {
  const delivery = session.resend?.[session.resendAt++]
  if (delivery === undefined) {
    session.resendLeft = 0
    session.resend = undefined
    return
  }
  // Acknowledged meanwhile.
  if (!delivery.awaitsResend) return
  delivery.awaitsResend = false
  session.resendLeft -= 1
  if (session.resendLeft === 0) session.resend = undefined
  // MQTT5 4.3.3-6.
  if (delivery.message === undefined) {
    acknowledge(connection, PacketType.pubrel, delivery.packetId, ReasonCode.success, true)
    return
  }
  if (delivery.isRefused) {
    complete(broker, session, delivery)
    return
  }
  transmit(broker, session, connection, delivery)
  delivery.message?.forgetPackets()
}

/** What waits for a commit: made only for QoS 2 messages of stored sessions and what comes behind them. */
interface Uncommitted {
  readonly broker: Broker
  readonly session: Session
  readonly connection: Connection
  readonly delivery: Delivery
}

/** A QoS 2 message leaves a stored session only with its packet identifier on disk: else it could come twice. */
function transmit(
  broker: Broker,
  session: Session,
  connection: Connection,
  delivery: Delivery,
): void {
  if (session.uncommitted === 0 && (delivery.qos < 2 || delivery.sequence === 0)) {
    write(broker, session, connection, delivery)
    return
  }
  session.uncommitted += 1
  const uncommitted: Uncommitted = { broker, session, connection, delivery }
  broker.journal.after(committed, uncommitted)
}

function committed(isDurable: boolean, uncommitted: Uncommitted): void {
  const { broker, session, connection, delivery } = uncommitted
  // A new connection began with everything in flight anew.
  if (session.connection !== connection || !connection.isOpen) return
  if (!isDurable) {
    // Behind the answer to whoever published it.
    broker.journal.after(notCommitted, uncommitted)
    return
  }
  session.uncommitted -= 1
  // It may have been acknowledged by a client that knew it from before.
  if (delivery.qos === 0 || session.inflight.get(delivery.packetId) === delivery) {
    write(broker, session, connection, delivery)
  }
  if (session.uncommitted === 0) pump(broker, session)
}

function notCommitted(_isDurable: boolean, uncommitted: Uncommitted): void {
  const { broker, session, connection, delivery } = uncommitted
  if (session.connection !== connection || !connection.isOpen) return
  if (!delivery.isRefused) {
    connection.fail(ReasonCode.implementationSpecificError, 'The server cannot store messages')
    return
  }
  session.uncommitted -= 1
  if (session.inflight.get(delivery.packetId) === delivery) complete(broker, session, delivery)
  if (session.uncommitted === 0) pump(broker, session)
}

function write(broker: Broker, session: Session, connection: Connection, delivery: Delivery): void {
  const { message, qos, retain, packetId, wasSent, identifiers } = delivery
  if (message === undefined) return
  // MQTT5 3.3.1-1, 3.3.1-3, 4.3.2-2, 4.3.3-2.
  if (sendMessage(connection, message, qos, retain, packetId, wasSent, identifiers)) {
    delivery.wasSent = true
    return
  }
  broker.metrics.dropped.too_large.add()
  // MQTT5 3.1.2-25.
  if (qos > 0) complete(broker, session, delivery)
}

/** The delivery is over, whatever came of it. The caller pumps. */
export function complete(broker: Broker, session: Session, delivery: Delivery): void {
  session.inflight.delete(delivery)
  if (delivery.awaitsResend) {
    delivery.awaitsResend = false
    session.resendLeft -= 1
  }
  if (delivery.sequence > 0) broker.journal.done(session, delivery)
}
