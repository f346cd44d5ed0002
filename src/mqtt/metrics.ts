import type { Counter, Metrics } from '../core/metrics.ts'

export type DropReason =
  'queue_full' | 'slow_subscriber' | 'expired' | 'too_large' | 'denied' | 'session_ended'

const dropReasons: readonly DropReason[] = [
  'queue_full',
  'slow_subscriber',
  'expired',
  'too_large',
  'denied',
  'session_ended',
]

/** What a broker can tell about itself when somebody asks. */
export interface BrokerGauges {
  readonly connections: () => number
  readonly sessions: () => number
  readonly subscriptions: () => number
  readonly retained: () => number
  readonly retainedBytes: () => number
  readonly queued: () => number
  readonly pendingBytes: () => number
  readonly inflight: () => number
}

/** The counters of one host's broker. */
export class BrokerMetrics {
  readonly received: Counter
  readonly receivedBytes: Counter
  readonly sent: Counter
  readonly sentBytes: Counter
  readonly connects: Counter
  readonly refused: Counter
  readonly dropped: Readonly<Record<DropReason, Counter>>
  readonly #metrics: Metrics
  readonly #host: string

  constructor(metrics: Metrics, host: string) {
    this.#metrics = metrics
    this.#host = host
    const counter = (name: string, help: string): Counter => metrics.counter(name, help, { host })
    this.received = counter('linnet_mqtt_messages_received_total', 'PUBLISH packets from clients.')
    this.receivedBytes = counter(
      'linnet_mqtt_messages_received_bytes_total',
      'Bytes of PUBLISH packets from clients.',
    )
    this.sent = counter('linnet_mqtt_messages_sent_total', 'PUBLISH packets to clients.')
    this.sentBytes = counter(
      'linnet_mqtt_messages_sent_bytes_total',
      'Bytes of PUBLISH packets to clients.',
    )
    this.connects = counter('linnet_mqtt_connects_total', 'Clients that were let in.')
    this.refused = counter('linnet_mqtt_connects_refused_total', 'Clients that were turned away.')
    const drop = (reason: DropReason): Counter =>
      metrics.counter(
        'linnet_mqtt_messages_dropped_total',
        'Messages that were not delivered, by reason.',
        { host, reason },
      )
    this.dropped = {
      queue_full: drop('queue_full'),
      slow_subscriber: drop('slow_subscriber'),
      expired: drop('expired'),
      too_large: drop('too_large'),
      denied: drop('denied'),
      session_ended: drop('session_ended'),
    }
  }

  expose(gauges: BrokerGauges): void {
    const labels = { host: this.#host }
    const gauge = (name: string, help: string, read: () => number): void =>
      this.#metrics.gauge(name, help, read, labels)
    gauge('linnet_mqtt_connections', 'Clients that are connected.', gauges.connections)
    gauge('linnet_mqtt_sessions', 'Sessions, connected or not.', gauges.sessions)
    gauge('linnet_mqtt_subscriptions', 'Subscriptions.', gauges.subscriptions)
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
    const host = this.#host
    for (const name of series) this.#metrics.remove(name, { host })
    for (const reason of dropReasons) {
      this.#metrics.remove('linnet_mqtt_messages_dropped_total', { host, reason })
    }
  }
}

const series = [
  'linnet_mqtt_messages_received_total',
  'linnet_mqtt_messages_received_bytes_total',
  'linnet_mqtt_messages_sent_total',
  'linnet_mqtt_messages_sent_bytes_total',
  'linnet_mqtt_connects_total',
  'linnet_mqtt_connects_refused_total',
  'linnet_mqtt_connections',
  'linnet_mqtt_sessions',
  'linnet_mqtt_subscriptions',
  'linnet_mqtt_retained',
  'linnet_mqtt_retained_bytes',
  'linnet_mqtt_queued',
  'linnet_mqtt_pending_bytes',
  'linnet_mqtt_inflight',
] as const
