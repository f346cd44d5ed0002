import type { Connection } from '../connection.ts'
import type { ControlPacket } from '../packet/packet.ts'
import { PacketType } from '../packet/packet-type.ts'
import { handleAuth } from './auth.ts'
import { handleConnect } from './connect.ts'
import { handleDisconnect } from './disconnect.ts'
import { handlePingreq } from './pingreq.ts'
import { handlePuback } from './puback.ts'
import { handlePubcomp } from './pubcomp.ts'
import { handlePubrec } from './pubrec.ts'
import { handlePubrel } from './pubrel.ts'
import { handleSubscribe } from './subscribe.ts'
import { handleUnsubscribe } from './unsubscribe.ts'

/** Every packet but PUBLISH. The decoder lets CONNECT come first and only once, and nothing that servers send. */
export function handlePacket(connection: Connection, packet: ControlPacket): void {
  connection.broker?.metrics.packetReceived(PacketType[packet.kind])
  switch (packet.kind) {
    case 'connect':
      handleConnect(connection, packet)
      return
    case 'puback':
      handlePuback(connection, packet)
      return
    case 'pubrec':
      handlePubrec(connection, packet)
      return
    case 'pubrel':
      handlePubrel(connection, packet)
      return
    case 'pubcomp':
      handlePubcomp(connection, packet)
      return
    case 'subscribe':
      handleSubscribe(connection, packet)
      return
    case 'unsubscribe':
      handleUnsubscribe(connection, packet)
      return
    case 'pingreq':
      handlePingreq(connection)
      return
    case 'disconnect':
      handleDisconnect(connection, packet)
      return
    case 'auth':
      handleAuth(connection, packet)
      return
    case 'connack':
    case 'suback':
    case 'unsuback':
    case 'pingresp':
      return
  }
}
