import type { Acknowledgement, Connection } from './connection.ts'
import { PacketType } from './packet/packet-type.ts'
import { ReasonCode } from './packet/reason-code.ts'
import type { StoredOperation } from './store/journal.ts'

/** An acknowledgement that waits for the commit which it stands for, or behind another one that does. */
interface PendingAcknowledgement {
  readonly connection: Connection
  readonly type: Acknowledgement
  readonly packetId: number
  readonly reason: ReasonCode
  readonly detail: string | undefined
}

/**
 * Sends PUBACK, PUBREC, PUBREL or PUBCOMP: at once when it stands for nothing that has to last, else when that is durable.
 * Those of one connection leave in the order of these calls (MQTT5 4.6.0-2 to 4.6.0-4).
 */
export function acknowledge(
  connection: Connection,
  type: Acknowledgement,
  packetId: number,
  reason: ReasonCode,
  mustLast: boolean,
  operation?: StoredOperation,
  detail?: string,
): void {
  const { broker } = connection
  if (broker === undefined || (!mustLast && connection.pendingAcks === 0)) {
    connection.sendAck(type, packetId, reason, detail)
    return
  }
  connection.pendingAcks += 1
  const pending: PendingAcknowledgement = { connection, type, packetId, reason, detail }
  broker.journal.after(settled, pending, operation)
}

function settled(isDurable: boolean, pending: PendingAcknowledgement): void {
  const { connection, type, packetId, reason, detail } = pending
  connection.pendingAcks -= 1
  // What was not stored was not taken over: sent again, it must not pass for a duplicate, whatever became of the connection.
  if (!isDurable && type === PacketType.pubrec) forgetIncoming(connection, packetId)
  if (!connection.isOpen) return
  if (isDurable) {
    connection.sendAck(type, packetId, reason, detail)
    return
  }
  const mayRefuse = type === PacketType.puback || type === PacketType.pubrec
  if (mayRefuse && connection.version === 5) {
    connection.sendAck(type, packetId, ReasonCode.implementationSpecificError)
    return
  }
  // There is no way to say no: the client will try again on its next connection.
  connection.fail(ReasonCode.implementationSpecificError, 'The server cannot store messages')
}

function forgetIncoming({ broker, session }: Connection, packetId: number): void {
  if (session?.incoming?.delete(packetId) !== true) return
  // Its record may be in a row that was stored when another one was not.
  if (session.isStored) broker?.journal.completed(session, packetId)
}
