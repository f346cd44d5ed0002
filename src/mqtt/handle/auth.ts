import type { Connection } from '../connection.ts'
import { ReasonCode } from '../packet/reason-code.ts'

/** No method that goes on after CONNECT is offered, so that there is nothing an AUTH could belong to (MQTT5 4.12). */
export function handleAuth(connection: Connection): void {
  connection.fail(ReasonCode.protocolError, 'No extended authentication is under way (MQTT5 4.12)')
}
