import type { Connection } from '../connection.ts'
import { complete, pump } from '../outgoing.ts'
import type { Pubcomp } from '../packet/packet.ts'

/** The last step of QoS 2: the packet identifier is free again (MQTT5 4.3.3). */
export function handlePubcomp(connection: Connection, { packetId }: Pubcomp): void {
  const { broker, session } = connection
  if (broker === undefined || session === undefined) return
  const delivery = session.inflight.get(packetId)
  if (delivery === undefined || delivery.qos !== 2) return
  // MQTT5 4.3.3-5.
  complete(broker, session, delivery)
  pump(broker, session)
}
