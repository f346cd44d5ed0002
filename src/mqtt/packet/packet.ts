import type { ProtocolVersion, QoS } from './packet-type.ts'
import type { PropertiesOf } from './properties.ts'
import type { ReasonCode } from './reason-code.ts'

/** The message that the server publishes when the connection ends badly (MQTT5 3.1.2.5). */
export interface Will {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: PropertiesOf<'will'>
}

export interface Connect {
  readonly kind: 'connect'
  readonly version: ProtocolVersion
  /** Only in MQTT 3: the client is another broker, and said so as mosquitto does. */
  readonly isBridge?: boolean
  /** Clean Session in MQTT 3. */
  readonly cleanStart: boolean
  /** In seconds; 0 turns the mechanism off. */
  readonly keepAlive: number
  /** May be empty: whether that is accepted is the session's decision (MQTT5 3.1.3-6, MQTT3 3.1.3-8). */
  readonly clientIdentifier: string
  readonly will?: Will
  readonly userName?: string
  readonly password?: Uint8Array
  readonly properties: PropertiesOf<'connect'>
}

export interface Connack {
  readonly kind: 'connack'
  readonly sessionPresent: boolean
  /** In MQTT 5 numbering for every version; MQTT 3 return codes are translated. */
  readonly reasonCode: ReasonCode
  readonly properties: PropertiesOf<'connack'>
}

export interface Publish {
  readonly kind: 'publish'
  readonly dup: boolean
  readonly qos: QoS
  readonly retain: boolean
  /** Empty only beside a topic alias. */
  readonly topic: string
  /** 0 when `qos` is 0. */
  readonly packetId: number
  readonly payload: Uint8Array
  readonly properties: PropertiesOf<'publish'>
}

interface Acknowledgement<K extends 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'> {
  readonly kind: K
  readonly packetId: number
  /** Always success in MQTT 3, which has no place for it. */
  readonly reasonCode: ReasonCode
  readonly properties: PropertiesOf<K>
}

export type Puback = Acknowledgement<'puback'>
export type Pubrec = Acknowledgement<'pubrec'>
export type Pubrel = Acknowledgement<'pubrel'>
export type Pubcomp = Acknowledgement<'pubcomp'>

/** 0: send retained messages; 1: only if the subscription is new; 2: do not (MQTT5 3.8.3.1). */
export type RetainHandling = 0 | 1 | 2

export interface Subscription {
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: RetainHandling
}

export interface Subscribe {
  readonly kind: 'subscribe'
  readonly packetId: number
  readonly subscriptions: readonly Subscription[]
  readonly properties: PropertiesOf<'subscribe'>
}

export interface Suback {
  readonly kind: 'suback'
  readonly packetId: number
  /** One per filter of the SUBSCRIBE, in its order (MQTT5 3.9.3-1). */
  readonly reasonCodes: readonly ReasonCode[]
  readonly properties: PropertiesOf<'suback'>
}

export interface Unsubscribe {
  readonly kind: 'unsubscribe'
  readonly packetId: number
  readonly filters: readonly string[]
  readonly properties: PropertiesOf<'unsubscribe'>
}

export interface Unsuback {
  readonly kind: 'unsuback'
  readonly packetId: number
  /** One per filter of the UNSUBSCRIBE; empty in MQTT 3, whose UNSUBACK has no payload. */
  readonly reasonCodes: readonly ReasonCode[]
  readonly properties: PropertiesOf<'unsuback'>
}

export interface Pingreq {
  readonly kind: 'pingreq'
}

export interface Pingresp {
  readonly kind: 'pingresp'
}

export interface Disconnect {
  readonly kind: 'disconnect'
  /** Always normal disconnection in MQTT 3. */
  readonly reasonCode: ReasonCode
  readonly properties: PropertiesOf<'disconnect'>
}

/** MQTT 5 only. */
export interface Auth {
  readonly kind: 'auth'
  readonly reasonCode: ReasonCode
  readonly properties: PropertiesOf<'auth'>
}

/** Every packet but PUBLISH, which the decoder hands out as ranges instead. */
export type ControlPacket =
  | Connect
  | Connack
  | Puback
  | Pubrec
  | Pubrel
  | Pubcomp
  | Subscribe
  | Suback
  | Unsubscribe
  | Unsuback
  | Pingreq
  | Pingresp
  | Disconnect
  | Auth

export type Packet = ControlPacket | Publish
