import type { Clock } from '../core/clock.ts'
import type { Config } from '../core/config/config.ts'
import type { Logs } from '../core/log.ts'
import type { Metrics } from '../core/metrics.ts'
import type { CertificateSources } from '../core/net/certificates.ts'
import { Certificates } from '../core/net/certificates.ts'
import { Listeners } from '../core/net/listeners.ts'
import type { PortListener } from '../core/net/port-listener.ts'
import type { Services } from '../core/service.ts'
import { certificates } from '../core/shared.ts'
import { listenerEntries } from './listener-entries.ts'
import { listenerModules } from './protocols.ts'

export interface NetworkParts {
  readonly clock: Clock
  readonly logs: Logs
  readonly metrics: Metrics
  readonly services: Services
  readonly dataDir: string
}

/** How long peers have to take their goodbye at a stop. */
const drainMs = 5000

/** Ports, connections and certificates of the server. */
export class Network {
  readonly #parts: NetworkParts
  readonly #certificates: Certificates
  readonly #listeners: Listeners

  constructor(parts: NetworkParts, config: Config) {
    this.#parts = parts
    const { clock, logs, metrics, services, dataDir } = parts
    this.#certificates = new Certificates(this.#sources(config), clock, logs.for('certificates'))
    services.provide(certificates, this.#certificates)
    this.#listeners = new Listeners(listenerModules, {
      certificates: this.#certificates,
      clock,
      log: logs.for('listener'),
      metrics,
      services,
      dataDir,
    })
  }

  /** What is open, in the order of the configuration, with the real ports. */
  get open(): readonly PortListener[] {
    return this.#listeners.open
  }

  /** Rejects when a port cannot be opened; then all are closed again. */
  async start(config: Config): Promise<void> {
    const problems = await this.#listeners.start(listenerEntries(config))
    if (problems.length > 0) throw new Error(problems.join('\n'))
  }

  /**
   * Certificates are read again even if no option changed: a renewed file has the old name. Resolves with what could not be done;
   * without new certificates the server goes on with those that it has.
   */
  async reload(config: Config): Promise<{
    readonly ports: readonly string[]
    readonly certificates: readonly string[]
  }> {
    const isRenewed = this.#certificates.reload(this.#sources(config))
    const ports = await this.#listeners.reload(listenerEntries(config))
    for (const problem of ports) this.#parts.logs.for('listener').error(problem)
    const kept = 'Some certificates cannot be read (the log says which): those of before are kept'
    return { ports, certificates: isRenewed ? [] : [kept] }
  }

  closeListeners(): Promise<void> {
    return this.#listeners.close()
  }

  closeConnections(): Promise<void> {
    return this.#listeners.closeConnections(drainMs)
  }

  /** One line for each open port, for people: `  [::]:5222   XMPP clients (STARTTLS)`. */
  describe(): readonly string[] {
    const width = Math.max(0, ...this.open.map(({ name }) => name.length))
    return this.open.map((listener) => `  ${listener.name.padEnd(width)}  ${purposeOf(listener)}`)
  }

  #sources(config: Config): CertificateSources {
    return {
      hosts: config.hosts,
      certfiles: config.global.certfiles ?? [],
      caFile: config.global.ca_file,
      dataDir: this.#parts.dataDir,
    }
  }
}

const purposes: Readonly<Record<string, string>> = {
  ejabberd_c2s: 'XMPP clients',
  mod_mqtt: 'MQTT',
  ejabberd_http: 'HTTP',
}

function purposeOf({ entry }: PortListener): string {
  const values = entry.options.values
  const name = purposes[entry.module] ?? entry.module
  const tls = values['tls'] === true ? ' over TLS' : ''
  const paths =
    values['request_handlers'] instanceof Map ? [...values['request_handlers'].keys()] : []
  return `${name}${tls}${paths.length > 0 ? ` (${paths.join(', ')})` : ''}`
}
