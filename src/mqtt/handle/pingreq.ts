import type { Connection } from '../connection.ts'
import { encodePacket } from '../packet/encode.ts'

/** The same in all versions. */
const pingresp = encodePacket({ kind: 'pingresp' }, 4)

/** MQTT5 3.12.4-1. */
export function handlePingreq(connection: Connection): void {
  connection.transport.write(pingresp)
}
