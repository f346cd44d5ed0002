import type { Connection } from '../connection.ts'
import { encodePacket } from '../packet/encode.ts'
import { PacketType } from '../packet/packet-type.ts'

/** The same in all versions. */
const pingresp = encodePacket({ kind: 'pingresp' }, 4)

/** MQTT5 3.12.4-1. */
export function handlePingreq(connection: Connection): void {
  connection.transport.write(pingresp)
  connection.broker?.metrics.packetSent(PacketType.pingresp, pingresp.length)
}
