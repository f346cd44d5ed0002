import { acknowledge } from '../acknowledge.ts'
import type { Connection } from '../connection.ts'
import { complete, pump } from '../outgoing.ts'
import { PacketType } from '../packet/packet-type.ts'
import type { Pubrec } from '../packet/packet.ts'
import { ReasonCode } from '../packet/reason-code.ts'

/** The client has a message of QoS 2 (MQTT5 4.3.3): from now on only its identifier is kept. */
export function handlePubrec(connection: Connection, { packetId, reasonCode }: Pubrec): void {
  const { broker, session } = connection
  if (broker === undefined || session === undefined) return
  const delivery = session.inflight.get(packetId)
  if (delivery === undefined || delivery.qos !== 2) {
    // MQTT5 3.6.2.1.
    if (reasonCode < 0x80) {
      acknowledge(
        connection,
        PacketType.pubrel,
        packetId,
        ReasonCode.packetIdentifierNotFound,
        false,
      )
    }
    return
  }
  if (reasonCode >= 0x80) {
    // The client does not want it; no PUBREL follows (MQTT5 4.3.3-4, 4.4.0-2, 4.8.2-6).
    complete(broker, session, delivery)
    pump(broker, session)
    return
  }
  const isStored = delivery.sequence > 0
  // MQTT5 4.3.3-3.
  if (delivery.message !== undefined) {
    session.inflight.release(delivery)
    if (isStored) broker.journal.released(session, delivery)
  }
  // MQTT5 4.3.3-4.
  acknowledge(connection, PacketType.pubrel, packetId, ReasonCode.success, isStored)
}
