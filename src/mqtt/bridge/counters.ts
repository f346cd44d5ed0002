import type { Counter, Metrics } from '../../core/metrics.ts'

export type BridgeDrop = 'no_rule' | 'too_large' | 'refused' | 'loop'

const drops: readonly BridgeDrop[] = ['no_rule', 'too_large', 'refused', 'loop']

export interface BridgeGauges {
  readonly isUp: () => boolean
  readonly queued: () => number
  readonly inflight: () => number
}

/** What one bridge has done since it was started. */
export class BridgeCounters {
  readonly sent: Counter
  readonly received: Counter
  readonly connects: Counter
  readonly failures: Counter
  readonly dropped: Readonly<Record<BridgeDrop, Counter>>
  readonly #metrics: Metrics
  readonly #labels: Readonly<Record<string, string>>

  constructor(metrics: Metrics, host: string, bridge: string) {
    const labels = { host, bridge }
    this.#metrics = metrics
    this.#labels = labels
    const counter = (name: string, help: string): Counter => metrics.counter(name, help, labels)
    this.sent = counter('linnet_mqtt_bridge_sent_total', 'Messages sent to the remote broker.')
    this.received = counter(
      'linnet_mqtt_bridge_received_total',
      'Messages from the remote broker that were published here.',
    )
    this.connects = counter('linnet_mqtt_bridge_connects_total', 'Connections that were made.')
    this.failures = counter(
      'linnet_mqtt_bridge_failures_total',
      'Attempts to connect that failed, and connections that were lost.',
    )
    const drop = (reason: BridgeDrop): Counter =>
      metrics.counter(
        'linnet_mqtt_bridge_dropped_total',
        'Messages that were not handed on, by reason.',
        { ...labels, reason },
      )
    this.dropped = {
      no_rule: drop('no_rule'),
      too_large: drop('too_large'),
      refused: drop('refused'),
      loop: drop('loop'),
    }
  }

  get droppedInAll(): number {
    return drops.reduce((sum, reason) => sum + this.dropped[reason].value, 0)
  }

  expose({ isUp, queued, inflight }: BridgeGauges): void {
    const gauge = (name: string, help: string, read: () => number): void =>
      this.#metrics.gauge(name, help, read, this.#labels)
    gauge('linnet_mqtt_bridge_up', '1 while the bridge is connected.', () => (isUp() ? 1 : 0))
    gauge('linnet_mqtt_bridge_queued', 'Messages that wait for the remote broker.', queued)
    gauge(
      'linnet_mqtt_bridge_inflight',
      'Messages sent to the remote broker and not acknowledged.',
      inflight,
    )
  }

  /** Takes the bridge's series out. */
  withdraw(): void {
    for (const name of series) this.#metrics.remove(name, this.#labels)
    for (const reason of drops) {
      this.#metrics.remove('linnet_mqtt_bridge_dropped_total', { ...this.#labels, reason })
    }
  }
}

const series = [
  'linnet_mqtt_bridge_sent_total',
  'linnet_mqtt_bridge_received_total',
  'linnet_mqtt_bridge_connects_total',
  'linnet_mqtt_bridge_failures_total',
  'linnet_mqtt_bridge_up',
  'linnet_mqtt_bridge_queued',
  'linnet_mqtt_bridge_inflight',
] as const
