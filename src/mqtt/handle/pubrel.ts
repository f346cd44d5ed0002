import { acknowledge } from '../acknowledge.ts'
import type { Connection } from '../connection.ts'
import { PacketType } from '../packet/packet-type.ts'
import type { Pubrel } from '../packet/packet.ts'
import { ReasonCode } from '../packet/reason-code.ts'

/** The client forgets a message of QoS 2 that we took over, and so may we (MQTT5 4.3.3-11). */
export function handlePubrel(connection: Connection, { packetId }: Pubrel): void {
  const { broker, session } = connection
  if (broker === undefined || session === undefined) return
  // MQTT5 4.3.3-12.
  const wasOpen = session.incoming?.delete(packetId) === true
  // If it was not stored that it is no longer open, it is told again: its identifier will be used for another message.
  const mustLast = session.isStored && (wasOpen || broker.journal.isBehind)
  if (mustLast) broker.journal.completed(session, packetId)
  // COMPAT: when PUBCOMP was lost with the last connection, mqtt.js takes 0x92 for a failure of what was delivered.
  const isKnown = wasOpen || connection.hasResumed
  const reason = isKnown ? ReasonCode.success : ReasonCode.packetIdentifierNotFound
  acknowledge(connection, PacketType.pubcomp, packetId, reason, mustLast)
}
