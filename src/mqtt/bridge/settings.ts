import type { BridgeRule } from './rule.ts'
import type { DialTls } from './dial.ts'
import type { Endpoint } from './endpoint.ts'
import type { TopicName } from '../topic.ts'

/** One bridge: where it goes, who we are there, and what it hands on. */
export interface BridgeSettings {
  /** Names it in the log, in lists and in the store. */
  readonly name: string
  readonly endpoint: Endpoint
  readonly tls: DialTls
  readonly userName: string | undefined
  readonly password: string | undefined
  /** Undefined: one of its own, which stays the same. */
  readonly clientId: string | undefined
  /** The remote broker forgets us when the connection ends. */
  readonly cleanStart: boolean
  /** How long it remembers us otherwise, if it speaks MQTT 5. */
  readonly sessionExpirySeconds: number
  readonly keepAliveSeconds: number
  readonly rules: readonly BridgeRule[]
  /** On the remote broker: 1 while we are connected, 0 afterwards. */
  readonly statusTopic: TopicName | undefined
  /** Whether to say that we are a bridge, where MQTT 3.1.1 has no better way. */
  readonly tellsBridge: boolean
  /** Whether messages are marked, where MQTT 5 lets us, and our own mark is refused. */
  readonly marksMessages: boolean
  readonly reconnectMinMs: number
  readonly reconnectMaxMs: number
  /** The largest packet taken from the remote broker. */
  readonly maxPacketBytes: number
}
