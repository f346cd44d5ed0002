import type { Message } from './message.ts'
import type { QoS } from './packet/packet-type.ts'
import type { TopicFilter } from './topic.ts'

/** One message on its way to one session. */
export class Delivery {
  /** Undefined once the client has it and only PUBREL and PUBCOMP are left (MQTT5 4.3.3). */
  message: Message | undefined
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | undefined
  /** The shared subscription that it came by: when the session ends it may go to another member. */
  readonly shared: TopicFilter | undefined
  /** 0 until it has one. */
  packetId = 0
  /** Its number in the session's journal; 0 when it is not there. */
  sequence = 0
  /** It went out before, on this connection or another (MQTT5 3.3.1-1). */
  wasSent = false
  /** In flight on an earlier connection, and its turn on this one has not come yet. */
  awaitsResend = false

  constructor(
    message: Message | undefined,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    shared?: TopicFilter,
  ) {
    this.message = message
    this.qos = qos
    this.retain = retain
    this.identifiers = identifiers
    this.shared = shared
  }

  /** It was never on its way, and whoever published it was told that it was not taken. */
  get isRefused(): boolean {
    return this.message !== undefined && this.message.isRefused && !this.wasSent
  }

  get weight(): number {
    return this.message === undefined ? 0 : this.message.weight
  }
}
