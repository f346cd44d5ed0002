import type { Counter, Histogram, Labels, Metrics } from '../core/metrics.ts'
import { LatencySampler } from './latency.ts'
import { PacketType } from './packet/packet-type.ts'
import type { PacketKind } from './packet/packet-type.ts'

/** Why a message was not delivered; docs/operations.md says what each means. */
const dropReasons = [
  'queue_full',
  'slow_subscriber',
  'expired',
  'too_large',
  'denied',
  'session_ended',
  'qos0_away',
] as const
export type DropReason = (typeof dropReasons)[number]

/** Counters of one kind, by QoS. */
export type CountersByQoS = readonly [Counter, Counter, Counter]

const receivedKinds: readonly PacketKind[] = [
  'connect',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'unsubscribe',
  'pingreq',
  'disconnect',
  'auth',
]

const sentKinds: readonly PacketKind[] = [
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'suback',
  'unsuback',
  'pingresp',
  'disconnect',
  'auth',
]

/** Their numbers are below this. */
const packetTypes = 16

/** Upper bounds in seconds. */
const latencyBounds = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60,
  600,
]

/** What a broker can tell about itself when somebody asks. */
export interface BrokerGauges {
  readonly connections: () => number
  readonly sessions: () => number
  readonly subscriptions: () => number
  readonly sharedSubscriptions: () => number
  readonly retained: () => number
  readonly retainedBytes: () => number
  readonly queued: () => number
  readonly pendingBytes: () => number
  readonly inflight: () => number
}

/** The counters of one host's broker. What is touched for each message is one addition. */
export class BrokerMetrics {
  /** PUBLISH packets. */
  readonly received: CountersByQoS
  readonly receivedBytes: Counter
  readonly sent: CountersByQoS
  readonly sentBytes: Counter
  /** Bytes of everything that clients sent once their host was known, and of CONNECT. */
  readonly bytesIn: Counter
  /** Bytes to clients, but those of PUBLISH packets. */
  otherBytesOut = 0
  readonly connects: Counter
  readonly refused: Counter
  /** Sessions whose time ran out while their clients were away. */
  readonly expiredSessions: Counter
  readonly dropped: Readonly<Record<DropReason, Counter>>
  readonly latency: LatencySampler
  /** The most clients that were connected at the same time. */
  mostConnections = 0
  /** Packets but PUBLISH, by type. */
  readonly #packetsIn = new Float64Array(packetTypes)
  readonly #packetsOut = new Float64Array(packetTypes)
  readonly #registry: Metrics
  readonly #labels: Labels
  /** Every series that is there for this broker. */
  readonly #series: (readonly [name: string, labels: Labels])[] = []

  constructor(registry: Metrics, host: string, monotonic: () => number) {
    this.#registry = registry
    this.#labels = { host }
    this.received = this.#byQoS(
      'linnet_mqtt_messages_received_total',
      'PUBLISH packets from clients.',
    )
    this.receivedBytes = this.#counter(
      'linnet_mqtt_messages_received_bytes_total',
      'Bytes of PUBLISH packets from clients.',
    )
    this.sent = this.#byQoS('linnet_mqtt_messages_sent_total', 'PUBLISH packets to clients.')
    this.sentBytes = this.#counter(
      'linnet_mqtt_messages_sent_bytes_total',
      'Bytes of PUBLISH packets to clients.',
    )
    for (const kind of receivedKinds) {
      this.#counterOf(
        'linnet_mqtt_packets_received_total',
        'Packets from clients, by type.',
        kind === 'publish' ? () => this.messagesIn : () => this.#packetsIn[PacketType[kind]] ?? 0,
        { type: kind },
      )
    }
    for (const kind of sentKinds) {
      this.#counterOf(
        'linnet_mqtt_packets_sent_total',
        'Packets to clients, by type.',
        kind === 'publish' ? () => this.messagesOut : () => this.#packetsOut[PacketType[kind]] ?? 0,
        { type: kind },
      )
    }
    this.bytesIn = this.#counter('linnet_mqtt_received_bytes_total', 'Bytes of MQTT from clients.')
    this.#counterOf(
      'linnet_mqtt_sent_bytes_total',
      'Bytes of MQTT to clients.',
      () => this.bytesOut,
    )
    this.connects = this.#counter('linnet_mqtt_connects_total', 'Clients that were let in.')
    this.refused = this.#counter(
      'linnet_mqtt_connects_refused_total',
      'Clients that were turned away.',
    )
    this.expiredSessions = this.#counter(
      'linnet_mqtt_sessions_expired_total',
      'Sessions whose clients did not come back in time.',
    )
    const drop = (reason: DropReason): Counter =>
      this.#counter(
        'linnet_mqtt_messages_dropped_total',
        'Messages that were not delivered, by reason.',
        { reason },
      )
    this.dropped = {
      queue_full: drop('queue_full'),
      slow_subscriber: drop('slow_subscriber'),
      expired: drop('expired'),
      too_large: drop('too_large'),
      denied: drop('denied'),
      session_ended: drop('session_ended'),
      qos0_away: drop('qos0_away'),
    }
    this.latency = new LatencySampler(this.#histogram(), monotonic)
  }

  get messagesIn(): number {
    return sum(this.received)
  }

  get messagesOut(): number {
    return sum(this.sent)
  }

  get packetsIn(): number {
    return this.#packetsIn.reduce((total, count) => total + count, this.messagesIn)
  }

  get packetsOut(): number {
    return this.#packetsOut.reduce((total, count) => total + count, this.messagesOut)
  }

  get connectPackets(): number {
    return this.#packetsIn[PacketType.connect] ?? 0
  }

  get bytesOut(): number {
    return this.sentBytes.value + this.otherBytesOut
  }

  /** Messages that were not delivered, whatever the reason. */
  get droppedTotal(): number {
    return sum(dropReasons.map((reason) => this.dropped[reason]))
  }

  noteConnections(count: number): void {
    if (count > this.mostConnections) this.mostConnections = count
  }

  /** Not for PUBLISH. */
  packetReceived(type: PacketType): void {
    this.#packetsIn[type] = (this.#packetsIn[type] ?? 0) + 1
  }

  /** Not for PUBLISH. */
  packetSent(type: PacketType, bytes: number): void {
    this.#packetsOut[type] = (this.#packetsOut[type] ?? 0) + 1
    this.otherBytesOut += bytes
  }

  expose(gauges: BrokerGauges): void {
    const gauge = (name: string, help: string, read: () => number): void => {
      this.#registry.gauge(name, help, read, this.#labels)
      this.#series.push([name, this.#labels])
    }
    gauge('linnet_mqtt_connections', 'Clients that are connected.', gauges.connections)
    gauge('linnet_mqtt_sessions', 'Sessions, connected or not.', gauges.sessions)
    gauge('linnet_mqtt_subscriptions', 'Subscriptions.', gauges.subscriptions)
    gauge(
      'linnet_mqtt_shared_subscriptions',
      'Subscriptions that are shared, counted above as well.',
      gauges.sharedSubscriptions,
    )
    gauge('linnet_mqtt_retained', 'Retained messages.', gauges.retained)
    gauge('linnet_mqtt_retained_bytes', 'Bytes of retained messages.', gauges.retainedBytes)
    gauge('linnet_mqtt_queued', 'Messages that wait for a client.', gauges.queued)
    gauge(
      'linnet_mqtt_pending_bytes',
      'Bytes of messages that wait or are not acknowledged, each counted once.',
      gauges.pendingBytes,
    )
    gauge('linnet_mqtt_inflight', 'Messages sent and not acknowledged.', gauges.inflight)
  }

  /** Takes the broker's series out. */
  withdraw(): void {
    for (const [name, labels] of this.#series) this.#registry.remove(name, labels)
    this.#series.length = 0
  }

  #counter(name: string, help: string, more: Labels = {}): Counter {
    const labels = { ...this.#labels, ...more }
    this.#series.push([name, labels])
    return this.#registry.counter(name, help, labels)
  }

  #counterOf(name: string, help: string, read: () => number, more: Labels = {}): void {
    const labels = { ...this.#labels, ...more }
    this.#series.push([name, labels])
    this.#registry.counterOf(name, help, read, labels)
  }

  #byQoS(name: string, help: string): CountersByQoS {
    const counter = (qos: string): Counter => this.#counter(name, help, { qos })
    return [counter('0'), counter('1'), counter('2')]
  }

  #histogram(): Histogram {
    const name = 'linnet_mqtt_delivery_seconds'
    this.#series.push([name, this.#labels])
    return this.#registry.histogram(
      name,
      'Time from a PUBLISH of a client to its PUBLISH to a subscriber, sampled.',
      latencyBounds,
      this.#labels,
    )
  }
}

function sum(counters: readonly Counter[]): number {
  let total = 0
  for (const { value } of counters) total += value
  return total
}
