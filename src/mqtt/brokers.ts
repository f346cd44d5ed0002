import type { Clock, Timer } from '../core/clock.ts'
import { currentConfig } from '../core/current-config.ts'
import type { Services } from '../core/service.ts'
import { defineService } from '../core/service.ts'
import { clock } from '../core/shared.ts'
import type { HostName } from '../xmpp/jid/jid.ts'
import type { Broker } from './broker.ts'
import type { Connection } from './connection.ts'
import type { ListenerLimits } from './limits.ts'
import { ReasonCode } from './packet/reason-code.ts'

const tickMs = 1000
/** The first packet has to come in this time. */
const connectTimeoutMs = 30_000

/**
 * The brokers of all hosts, and the connections of all listeners, which belong to no host before CONNECT. One timer serves
 * them all.
 */
export class Brokers {
  readonly clock: Clock
  readonly services: Services
  /** WebSockets of all HTTP listeners share one; made for the first. */
  webSocketLimits: ListenerLimits | undefined = undefined
  /** The monotonic clock as of the last tick. */
  tickMs: number
  readonly #byHost = new Map<string, Broker>()
  readonly #connections = new Set<Connection>()
  #timer: Timer | undefined

  constructor(services: Services) {
    this.services = services
    this.clock = services.get(clock)
    this.tickMs = this.clock.monotonic()
  }

  /** Whom a user name without a domain belongs to: the first host of the configuration. */
  get firstHost(): HostName | undefined {
    return this.services.get(currentConfig).value.hosts[0]
  }

  /** The broker of a host; undefined where `mod_mqtt` does not run. */
  find(host: string): Broker | undefined {
    return this.#byHost.get(host)
  }

  all(): Iterable<Broker> {
    return this.#byHost.values()
  }

  add(broker: Broker): void {
    this.#byHost.set(broker.host, broker)
    this.#start()
  }

  remove(broker: Broker): void {
    if (this.#byHost.get(broker.host) === broker) this.#byHost.delete(broker.host)
  }

  connected(connection: Connection): void {
    this.#connections.add(connection)
    this.#start()
  }

  disconnected(connection: Connection): void {
    this.#connections.delete(connection)
  }

  /** The server stops: who has not said CONNECT yet belongs to no broker that could say goodbye. */
  shutDown(): void {
    for (const connection of [...this.#connections]) {
      if (connection.phase === 'new') connection.close()
      else if (connection.phase === 'authenticating') {
        connection.refuse(ReasonCode.serverUnavailable, 'The server is shutting down')
      }
    }
  }

  #start(): void {
    if (this.#timer !== undefined) return
    this.tickMs = this.clock.monotonic()
    this.#timer = this.clock.every(tickMs, () => this.#tick())
  }

  #tick(): void {
    if (this.#connections.size === 0 && this.#byHost.size === 0) {
      this.#timer?.cancel()
      this.#timer = undefined
      return
    }
    const now = this.clock.monotonic()
    this.tickMs = now
    for (const connection of this.#connections) checkSilence(connection, now)
    for (const broker of this.#byHost.values()) broker.tick()
  }
}

function checkSilence(connection: Connection, nowMs: number): void {
  const { authentication } = connection
  if (authentication !== undefined && authentication.isLate(nowMs)) {
    connection.reject(ReasonCode.notAuthorized, 'Authentication took too long')
    return
  }
  const silence = nowMs - connection.heardAtMs
  if (connection.phase === 'new') {
    if (silence > connectTimeoutMs) connection.close()
    return
  }
  const { silenceMs, isOpen, isPaused } = connection
  if (silenceMs === 0 || !isOpen || isPaused) return
  // MQTT5 3.1.2-22. The last packet came up to a tick later than noted.
  if (silence > silenceMs + tickMs) {
    connection.fail(ReasonCode.keepAliveTimeout, 'Keep alive timeout')
  }
}

export const mqttBrokers = defineService<Brokers>('mqtt.brokers')

/** The one of this server, made when first asked for. */
export function brokersOf(services: Services): Brokers {
  const found = services.find(mqttBrokers)
  if (found !== undefined) return found
  const brokers = new Brokers(services)
  services.provide(mqttBrokers, brokers)
  return brokers
}
