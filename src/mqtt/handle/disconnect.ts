import type { Connection } from '../connection.ts'
import type { Disconnect } from '../packet/packet.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import { grantedExpiry } from './admission.ts'

/** MQTT5 3.14.4: the client goes, and may say how long its session is to last. */
export function handleDisconnect(connection: Connection, packet: Disconnect): void {
  const { broker, session } = connection
  if (broker === undefined || session === undefined) {
    // It gives up signing in (MQTT5 3.1.2-30).
    connection.close()
    return
  }
  const { sessionExpiryInterval } = packet.properties
  if (sessionExpiryInterval !== undefined) {
    if (session.expirySeconds === 0 && sessionExpiryInterval > 0) {
      // MQTT5 3.14.2.2.2.
      connection.fail(
        ReasonCode.protocolError,
        'The session was to end with the connection (MQTT5 3.14.2.2.2)',
      )
      return
    }
    session.expirySeconds = grantedExpiry(sessionExpiryInterval, broker.settings)
  }
  // The will is kept back only by a normal end (MQTT5 3.14.4-3, MQTT3 3.14.4-3).
  const isNormal = packet.reasonCode === ReasonCode.normalDisconnection
  connection.close(isNormal ? 'normal' : 'lost')
}
