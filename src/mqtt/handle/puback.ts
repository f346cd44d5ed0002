import type { Connection } from '../connection.ts'
import { complete, pump } from '../outgoing.ts'
import type { Puback } from '../packet/packet.ts'

/** The client has a message of QoS 1, or refuses it: either way it is done with (MQTT5 4.3.2). */
export function handlePuback(connection: Connection, { packetId }: Puback): void {
  const { broker, session } = connection
  if (broker === undefined || session === undefined) return
  const delivery = session.inflight.get(packetId)
  // There is no answer to an identifier that is not in use.
  if (delivery === undefined || delivery.qos !== 1) return
  // MQTT5 4.3.2-3, 4.4.0-2, 4.8.2-6.
  complete(broker, session, delivery)
  pump(broker, session)
}
