import type { Counter, Metrics } from '../metrics.ts'

/** A listener's figures, under its module and name. */
export class ListenerMetrics {
  readonly accepted: Counter
  readonly acceptErrors: Counter
  readonly #metrics: Metrics
  readonly #labels: Readonly<Record<string, string>>

  constructor(metrics: Metrics, module: string, name: string, connections: () => number) {
    this.#metrics = metrics
    this.#labels = { module, listener: name }
    this.accepted = metrics.counter(acceptedName, 'Connections accepted.', this.#labels)
    this.acceptErrors = metrics.counter(
      acceptErrorsName,
      'Connections that the system could not give us.',
      this.#labels,
    )
    metrics.gauge(connectionsName, 'Connections that are open.', connections, this.#labels)
  }

  refused(reason: 'proxy' | 'tls' | 'limit'): Counter {
    const labels = { ...this.#labels, reason }
    return this.#metrics.counter(refusedName, 'Connections refused before their protocol.', labels)
  }

  remove(): void {
    // Counters stay: a listener that comes back goes on counting.
    this.#metrics.remove(connectionsName, this.#labels)
  }
}

const acceptedName = 'linnet_listener_accepted_total'
const acceptErrorsName = 'linnet_listener_accept_errors_total'
const connectionsName = 'linnet_listener_connections'
const refusedName = 'linnet_listener_refused_total'
