import type { Connack, Connect, Will } from '../packet/packet.ts'
import type { QoS } from '../packet/packet-type.ts'
import { maxPacketBytes } from '../packet/size.ts'
import type { BridgeSettings } from './settings.ts'

export interface SignIn {
  readonly settings: BridgeSettings
  readonly clientId: string
  readonly cleanStart: boolean
  readonly tellsBridge: boolean
  /** Unacknowledged messages that may come from the remote broker. */
  readonly receiveMaximum: number
}

export const isUp: Uint8Array = Buffer.from('1')
export const isDown: Uint8Array = Buffer.from('0')

/** The CONNECT of a bridge. */
export function connectPacket(signIn: SignIn): Connect {
  const { settings, clientId, cleanStart, tellsBridge, receiveMaximum } = signIn
  const { userName, password, statusTopic, keepAliveSeconds } = settings
  const { version } = settings.endpoint
  const will: Will | undefined =
    statusTopic === undefined
      ? undefined
      : { topic: statusTopic, payload: isDown, qos: 1, retain: true, properties: {} }
  return {
    kind: 'connect',
    version,
    ...(tellsBridge && version < 5 && { isBridge: true }),
    cleanStart,
    keepAlive: keepAliveSeconds,
    clientIdentifier: clientId,
    ...(will !== undefined && { will }),
    ...(userName !== undefined && { userName }),
    ...(password !== undefined && { password: Buffer.from(password) }),
    properties:
      version < 5
        ? {}
        : {
            ...(!settings.cleanStart && { sessionExpiryInterval: settings.sessionExpirySeconds }),
            receiveMaximum,
            ...(settings.maxPacketBytes < maxPacketBytes && {
              maximumPacketSize: settings.maxPacketBytes,
            }),
          },
  }
}

/** What the remote broker can do, by its CONNACK (MQTT5 3.2.2.3); all that MQTT 3 does not say is possible. */
export interface RemoteAbilities {
  /** It has kept our session. */
  readonly isRemembered: boolean
  /** Messages of QoS 1 and 2 that it takes without having acknowledged them. */
  readonly receiveMaximum: number
  readonly maximumQoS: QoS
  readonly retains: boolean
  readonly maximumPacketSize: number
  readonly keepAliveSeconds: number
}

export function abilitiesOf(
  { sessionPresent, properties }: Connack,
  settings: BridgeSettings,
): RemoteAbilities {
  return {
    isRemembered: sessionPresent,
    receiveMaximum: properties.receiveMaximum ?? 65_535,
    maximumQoS: properties.maximumQoS ?? 2,
    retains: properties.retainAvailable ?? true,
    maximumPacketSize: properties.maximumPacketSize ?? maxPacketBytes,
    // MQTT5 3.1.2-21.
    keepAliveSeconds: properties.serverKeepAlive ?? settings.keepAliveSeconds,
  }
}
