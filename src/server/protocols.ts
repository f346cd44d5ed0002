import type { ListenerModule } from '../core/listener.ts'
import type { ContextExtension } from '../core/module.ts'
import type { Services } from '../core/service.ts'
import { sessionRegistry } from '../core/sessions.ts'
import type { RequestHandler } from '../http/handler.ts'
import { healthHandler } from '../http/health.ts'
import { httpListener } from '../http/listener.ts'
import { metricsHandler } from '../http/metrics.ts'
import { mqttBrokers } from '../mqtt/brokers.ts'
import { mqttListener } from '../mqtt/listener.ts'
import { mqttWebSocket } from '../mqtt/websocket.ts'
import { c2s } from '../xmpp/c2s/c2s.ts'
import { webSocket as xmppWebSocket } from '../xmpp/c2s/websocket.ts'
import { domainpart } from '../xmpp/jid/jid.ts'
import { Xmpp } from '../xmpp/xmpp.ts'
import type { VirtualHost } from './virtual-host.ts'

/** What may stand under `request_handlers`. */
export const requestHandlers: readonly RequestHandler[] = [
  mqttWebSocket,
  xmppWebSocket,
  metricsHandler,
  healthHandler,
]

/** What may stand under `listen:`. */
export const listenerModules: readonly ListenerModule[] = [
  c2s,
  mqttListener,
  httpListener(requestHandlers),
]

/** The protocols of the server: what they need of hosts, and their goodbye at a stop. */
export class Protocols {
  readonly extensions: readonly ContextExtension[]
  readonly #xmpp: Xmpp
  readonly #services: Services
  readonly #removers = new Map<string, () => void>()

  constructor(services: Services) {
    this.#services = services
    this.#xmpp = new Xmpp(services)
    this.extensions = [this.#xmpp.context]
  }

  /** Before the host's modules start. */
  addHost(host: VirtualHost): void {
    this.#removers.set(host.name, this.#xmpp.addHost(host.name, host.hooks))
  }

  /** Tells the clients of a host that it is served no more; while its modules run, which see the sessions end. */
  dismiss(host: VirtualHost): void {
    this.#xmpp.clients.streams.closeAll('host-gone', undefined, host.name)
    for (const session of [...this.#services.get(sessionRegistry).all()]) {
      if (domainpart(session.jid) === host.name) session.kick('The host is gone', 'kicked')
    }
  }

  /** After the host's modules have stopped. */
  removeHost(host: VirtualHost): void {
    this.#removers.get(host.name)?.()
    this.#removers.delete(host.name)
  }

  /** Tells every client that the server stops. */
  shutDown(): void {
    this.#xmpp.shutDown()
    this.#services.find(mqttBrokers)?.shutDown()
  }
}
