import type { Connection } from '../connection.ts'
import { mqttUnsubscribe } from '../hooks.ts'
import type { Unsubscribe } from '../packet/packet.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import type { StoredOperation } from '../store/journal.ts'
import { parseTopicFilter } from '../topic.ts'

interface PendingUnsuback {
  readonly connection: Connection
  readonly packetId: number
  readonly outcomes: readonly {
    readonly reason: ReasonCode
    readonly operation: StoredOperation | undefined
  }[]
}

/** MQTT5 3.10.4. What is in flight is still delivered (MQTT5 3.10.4-3). */
export function handleUnsubscribe(connection: Connection, packet: Unsubscribe): void {
  const { broker, session, client } = connection
  if (broker === undefined || session === undefined || client === undefined) return
  const outcomes = packet.filters.map((text) => {
    const filter = parseTopicFilter(text)
    const removed = filter.ok ? broker.sessions.unsubscribe(session, filter.value) : undefined
    if (!filter.ok || removed === undefined) {
      return { reason: ReasonCode.noSubscriptionExisted, operation: undefined }
    }
    broker.hooks.emit(mqttUnsubscribe, client, filter.value)
    return { reason: ReasonCode.success, operation: removed.operation }
  })
  const pending: PendingUnsuback = { connection, packetId: packet.packetId, outcomes }
  if (outcomes.some(({ operation }) => operation !== undefined)) {
    broker.journal.after(answer, pending)
  } else answer(true, pending)
}

function answer(isDurable: boolean, { connection, packetId, outcomes }: PendingUnsuback): void {
  if (!connection.isOpen) return
  const reasonCodes = outcomes.map(({ reason, operation }) => {
    const isLost = operation !== undefined && (!isDurable || operation.failed)
    return isLost ? ReasonCode.implementationSpecificError : reason
  })
  // MQTT5 2.2.1-6, 3.10.4-4, 3.10.4-5, 3.10.4-6, 3.11.3-1.
  connection.sendAnswer({ kind: 'unsuback', packetId, reasonCodes, properties: {} })
}
