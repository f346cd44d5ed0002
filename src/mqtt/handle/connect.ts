import type { Connection } from '../connection.ts'
import { stop } from '../stop.ts'
import { nameOf } from '../identity.ts'
import type { Connect } from '../packet/packet.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import { maxPacketBytes as largestPacketBytes } from '../packet/size.ts'
import { admit, refuse } from './admission.ts'
import { authenticate } from './auth.ts'
import { checkCredentials } from './credentials.ts'
import type { Refusal } from './refusal.ts'
import { refusal } from './refusal.ts'

/** The first packet (MQTT5 3.1.4). Nothing more is read until it is answered. */
export function handleConnect(connection: Connection, connect: Connect): void {
  connection.version = connect.version
  connection.isBridge = connect.isBridge === true
  connection.phase = 'signing-in'
  connection.pauseReading(stop.signIn)
  takeLimits(connection, connect)
  const surplus = surplusOf(connection)
  if (surplus !== undefined) {
    refuse(connection, surplus)
    return
  }
  const { firstHost } = connection.profile.brokers
  if (firstHost === undefined) {
    refuse(connection, refusal(ReasonCode.serverUnavailable).error)
    return
  }
  const name = nameOf(connect)
  if (!name.ok) {
    refuse(connection, refusal(name.error).error)
    return
  }
  const newcomer = { connect, name: name.value }
  if (connect.properties.authenticationMethod !== undefined) {
    authenticate(connection, newcomer, firstHost)
    return
  }
  checkCredentials(connection, connect, name.value, firstHost).then(
    (checked) => {
      if (connection.phase === 'closed') return
      if (checked.ok) admit(connection, newcomer, checked.value)
      else refuse(connection, checked.error)
    },
    (error: unknown) => {
      connection.profile.log.error({ err: error }, 'Cannot sign a client in')
      connection.refuse(ReasonCode.unspecifiedError, 'Internal error')
    },
  )
}

/** Why the listener takes no more. */
function surplusOf({ profile, surplus, transport }: Connection): Refusal | undefined {
  if (surplus === 'max_connections') {
    return refusal(ReasonCode.serverBusy, 'The listener has too many connections').error
  }
  if (surplus === 'max_connections_per_address') {
    return refusal(ReasonCode.quotaExceeded, 'There are too many connections of this address').error
  }
  const { limits, brokers } = profile
  const mayConnect = limits?.mayConnect(transport.peer.ip, brokers.clock.monotonic()) ?? true
  if (mayConnect) return undefined
  return refusal(ReasonCode.connectionRateExceeded, 'This address connects too often').error
}

/** What the client says about itself (MQTT5 3.1.2.11). */
function takeLimits(connection: Connection, { properties }: Connect): void {
  const { maximumPacketSize, requestProblemInformation } = properties
  if (maximumPacketSize !== undefined && maximumPacketSize < largestPacketBytes) {
    connection.maximumPacketSize = maximumPacketSize
  }
  connection.sendWindow = properties.receiveMaximum ?? 65_535
  connection.wantsReasons = requestProblemInformation !== false
}
