import type { ListenerModule } from '../core/listener.ts'
import type { ContextExtension } from '../core/module.ts'
import type { Services } from '../core/service.ts'
import type { RequestHandler } from '../http/handler.ts'
import { httpListener } from '../http/listener.ts'
import { mqttListener } from '../mqtt/listener.ts'
import { mqttWebSocket } from '../mqtt/websocket.ts'
import { c2s } from '../xmpp/c2s/c2s.ts'
import { Xmpp } from '../xmpp/xmpp.ts'
import type { VirtualHost } from './virtual-host.ts'

/** What may stand under `request_handlers`. */
export const requestHandlers: readonly RequestHandler[] = [mqttWebSocket]

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
  readonly #removers = new Map<string, () => void>()

  constructor(services: Services) {
    this.#xmpp = new Xmpp(services)
    this.extensions = [this.#xmpp.context]
  }

  /** Before the host's modules start. */
  addHost(host: VirtualHost): void {
    this.#removers.set(host.name, this.#xmpp.addHost(host.name, host.hooks))
  }

  /** After the host's modules have stopped. */
  removeHost(host: VirtualHost): void {
    this.#removers.get(host.name)?.()
    this.#removers.delete(host.name)
  }

  /** Tells every client that the server stops. */
  shutDown(): void {
    this.#xmpp.shutDown()
  }
}
