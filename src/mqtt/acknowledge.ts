import type { Acknowledgement, Connection } from './connection.ts'
import type { Message } from './message.ts'
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
  /** What the client published, if this is the answer to it. */
  readonly message: Message | undefined
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
  message?: Message,
): void {
  const { broker } = connection
  if (broker === undefined || (!mustLast && connection.pendingAcks === 0)) {
    connection.sendAck(type, packetId, reason, detail)
    return
  }
  connection.pendingAcks += 1
  const pending: PendingAcknowledgement = { connection, type, packetId, reason, detail, message }
  broker.journal.after(settled, pending, operation)
}

function settled(isCommitted: boolean, pending: PendingAcknowledgement): void {
  const { connection, type, packetId, reason, detail, message } = pending
  connection.pendingAcks -= 1
  const isDurable = isCommitted && isTakenOver(pending)
  if (!isDurable) {
    if (message !== undefined) connection.broker?.refuse(message)
    // What was not stored was not taken over: sent again, it must not pass for a duplicate, whatever became of the connection.
    if (type === PacketType.pubrec) forgetIncoming(connection, packetId)
  }
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

/** A PUBLISH that came again waits for a later commit than the first, which may have failed. */
function isTakenOver({ connection, type, packetId, ...pending }: PendingAcknowledgement): boolean {
  const isRepeated = type === PacketType.pubrec && pending.message === undefined
  if (!isRepeated || pending.reason >= 0x80) return true
  return connection.session?.incoming?.has(packetId) === true
}

function forgetIncoming({ broker, session }: Connection, packetId: number): void {
  if (session?.incoming?.delete(packetId) !== true) return
  // Its record may be in a row that was stored when another one was not.
  if (session.isStored) broker?.journal.completed(session, packetId)
}
