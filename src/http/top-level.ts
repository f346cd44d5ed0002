import { currentConfig } from '../core/current-config.ts'
import type { Glob } from '../core/options/pattern-types.ts'
import type { Services } from '../core/service.ts'
import type { TrustedProxies } from './forwarded.ts'

/** Options at the top of the configuration that concern HTTP, as they are now. */
export class TopLevel {
  readonly #services: Services

  constructor(services: Services) {
    this.#services = services
  }

  get trustedProxies(): TrustedProxies {
    return this.#global.trusted_proxies
  }

  get hostsAlias(): ReadonlyMap<Glob, string> {
    return this.#global.hosts_alias
  }

  get hosts(): readonly string[] {
    return this.#services.get(currentConfig).value.hosts
  }

  get websocketOrigins(): readonly string[] {
    return this.#global.websocket_origin
  }

  get websocketPingIntervalMs(): number {
    return this.#global.websocket_ping_interval
  }

  get websocketTimeoutMs(): number {
    return this.#global.websocket_timeout
  }

  get #global() {
    return this.#services.get(currentConfig).value.global
  }
}
