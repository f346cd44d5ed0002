import type { Connection } from './connection.ts'
import { deliver } from './outgoing.ts'
import type { QoS } from './packet/packet-type.ts'
import type { RetainedCursor } from './retained-tree.ts'
import type { Retained } from './retained.ts'
import type { TopicName } from './topic.ts'

/** Topics looked at before others have their turn. */
const stepsAtOnce = 512

/** Retained messages on their way to a new subscription: searched for only as fast as the client takes them. */
export interface RetainedDelivery {
  readonly cursor: RetainedCursor<Retained>
  readonly qos: QoS
  readonly identifiers: readonly number[] | undefined
  /** How many there may be (`match_retained_limit`). */
  left: number
}

/** Begins to send, behind what is under way for earlier subscriptions. */
export function beginRetained(connection: Connection, delivery: RetainedDelivery): void {
  if (connection.retained === undefined) connection.retained = [delivery]
  else connection.retained.push(delivery)
  continueRetained(connection)
}

/** Goes on sending until the client has enough for now; whoever takes its acknowledgements calls again. */
export function continueRetained(connection: Connection): void {
  const { broker, session, retained } = connection
  if (broker === undefined || session === undefined || retained === undefined) return
  if (!connection.isOpen || connection.isSearching) return
  const nowMs = broker.nowMs()
  let current: RetainedDelivery | undefined
  const visit = (_topic: TopicName, { message }: Retained): void => {
    if (current === undefined || current.left <= 0 || message.isExpired(nowMs)) return
    current.left -= 1
    const qos = current.qos < message.qos ? current.qos : message.qos
    // MQTT5 3.3.1.3: the flag says that it is an old message.
    deliver(broker, session, message, qos, true, current.identifiers)
    message.forgetPackets()
  }
  for (let steps = stepsAtOnce; steps > 0; steps--) {
    if (connection.isBusy || !session.isClear || session.inflightCount >= connection.sendWindow)
      return
    current = retained[0]
    if (current === undefined) {
      connection.retained = undefined
      return
    }
    const hasMore = current.cursor.slice(1, visit)
    if (!hasMore || current.left <= 0) retained.shift()
  }
  connection.isSearching = true
  setImmediate(resume, connection)
}

function resume(connection: Connection): void {
  connection.isSearching = false
  continueRetained(connection)
}
