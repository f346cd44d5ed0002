import type { Server, Socket } from 'node:net'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import type { Clock } from '../clock.ts'
import type { ListenerConfig, ParsedOptions } from '../config/config.ts'
import type { ListenerContext, ListenerModule, StreamAcceptor } from '../listener.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { OptionMap, ValuesOf } from '../options.ts'
import type { Services } from '../service.ts'
import type { PeerAddress, TlsInfo, TlsServerSettings } from '../transport.ts'
import { addressOf } from './address.ts'
import { bind, boundAddress, nameOf, whereOf } from './bind.ts'
import type { Certificates } from './certificates.ts'
import { ListenerMetrics } from './listener-metrics.ts'
import { readProxyHeader } from './proxy-header.ts'
import { TcpTransport, transportSettings } from './tcp-transport.ts'
import type { TransportSettings } from './tcp-transport.ts'
import type { TlsSettings } from './tls-settings.ts'
import { SocketTlsInfo, handshake, wrapServerTls } from './tls-socket.ts'

/** A listener as configured. */
export interface ListenerEntry extends Pick<ListenerConfig, 'id' | 'module' | 'common'> {
  readonly options: Pick<ParsedOptions, 'values' | 'as'>
}

/** What all listeners of a server share. */
export interface ListenerParts {
  readonly certificates: Certificates
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly services: Services
  /** Relative paths of Unix sockets start here. */
  readonly dataDir: string
  /** Several processes share the ports, and the kernel spreads connections over them. */
  readonly reusePort?: boolean
  /** Of all listeners together; as many as the process can have descriptors for unless said otherwise. */
  readonly maxConnections: number
  /** Instead of the defaults, for tests. */
  readonly transport?: Partial<TransportSettings>
}

/** Every connection of the server, whichever listener it came by; it may outlive its listener. */
export type OpenSockets = Set<Socket>

const acceptErrorLogMs = 10_000

/** One open port (or Unix socket) with its protocol behind. */
export class PortListener {
  #entry: ListenerEntry
  readonly address: PeerAddress
  /** `127.0.0.1:1883`, `[::]:5222` or `unix:/path`. */
  readonly name: string
  readonly #parts: ListenerParts
  readonly #server: Server
  readonly #sockets: OpenSockets
  readonly #transportSettings: TransportSettings
  readonly #tls: TlsServerSettings | undefined
  readonly #isDirectTls: boolean
  readonly #unpublish: () => void
  readonly #metrics: ListenerMetrics
  readonly #waiting: Socket[] = []
  #acceptor: StreamAcceptor = { close() {} }
  #connections = 0
  #isPacing = false
  #lastAcceptErrorMs = -Infinity
  #acceptErrors = 0

  private constructor(settings: {
    entry: ListenerEntry
    parts: ListenerParts
    server: Server
    sockets: OpenSockets
    tls: ListenerTls
    unpublish: () => void
    name: string
    address: PeerAddress
  }) {
    const { entry, parts } = settings
    this.#entry = entry
    this.name = settings.name
    this.address = settings.address
    this.#parts = parts
    this.#server = settings.server
    this.#sockets = settings.sockets
    this.#tls = settings.tls.settings
    this.#isDirectTls = settings.tls.direct
    this.#unpublish = settings.unpublish
    this.#transportSettings = transportSettings(parts.clock, {
      log: parts.log,
      sendTimeoutMs: entry.common.send_timeout,
      ...parts.transport,
    })
    this.#metrics = new ListenerMetrics(parts.metrics, entry.module, this.name, () => {
      return this.#connections
    })
    this.#server.on('connection', (socket: Socket) => this.#arrived(socket))
    this.#server.on('error', (error) => this.#acceptFailed(error))
  }

  /** Opens the port and the protocol behind it, or says why not. */
  static async open(
    entry: ListenerEntry,
    module: ListenerModule,
    parts: ListenerParts,
    sockets: OpenSockets,
  ): Promise<Result<PortListener, string>> {
    const { transport } = entry.common
    const cannot = (why: string): Result<PortListener, string> =>
      err(`Cannot listen on "${whereOf(entry.common)}" (${entry.module}): ${why}`)
    if (!module.transports.includes(transport)) return cannot(`it does not work over ${transport}`)
    if (transport === 'udp') return cannot('datagrams are not supported yet')
    const options = entry.options.as(module.options)
    const tls = listenerTls(entry, module, options, parts.certificates)
    if (!tls.ok) return cannot(tls.error)
    const bound = await bind(entry.common, parts)
    if (!bound.ok) return cannot(bound.error)
    const { server, unpublish } = bound.value
    const address = boundAddress(server)
    const name = typeof entry.common.port === 'string' ? whereOf(entry.common) : nameOf(address)
    const listener = new PortListener({
      entry,
      parts,
      server,
      sockets,
      tls: tls.value,
      unpublish,
      name,
      address,
    })
    try {
      // Nothing was awaited since the port was bound, so no connection came in yet.
      listener.#acceptor = module.open(listener.#context(options))
    } catch (error) {
      await listener.close()
      parts.log.error({ err: error }, 'Listener failed')
      return cannot(error instanceof Error ? error.message : String(error))
    }
    return ok(listener)
  }

  get entry(): ListenerEntry {
    return this.#entry
  }

  get connections(): number {
    return this.#connections
  }

  /** Gives the protocol changed options of its own. False when it cannot take them while it runs. */
  takeOptions(entry: ListenerEntry, options: ValuesOf<OptionMap>): boolean {
    if (this.#acceptor.reload === undefined) return false
    this.#entry = entry
    // The options were parsed with the map of the module that made this acceptor.
    this.#acceptor.reload(options as never)
    return true
  }

  /** Closes the port; connections go on. */
  async close(): Promise<void> {
    this.#server.close()
    this.#unpublish()
    for (const socket of this.#waiting.splice(0)) socket.destroy()
    this.#metrics.remove()
    await this.#acceptor.close()
  }

  #context(options: ValuesOf<OptionMap>): ListenerContext<ValuesOf<OptionMap>> {
    const { log, clock, metrics, services } = this.#parts
    return {
      options,
      address: this.address,
      log,
      clock,
      metrics,
      services,
      tls: this.#tls,
      sendTimeoutMs: this.#entry.common.send_timeout,
    }
  }

  #arrived(socket: Socket): void {
    if (this.#sockets.size >= this.#parts.maxConnections) {
      this.#metrics.refused('limit').add()
      socket.destroy()
      this.#acceptFailed(new Error(`There are ${this.#sockets.size} connections already`))
      return
    }
    this.#metrics.accepted.add()
    this.#connections++
    this.#sockets.add(socket)
    Reflect.set(socket, listenerOf, this)
    socket.on('close', onClose)
    // Until somebody takes the socket over, and for the one below TLS.
    socket.on('error', ignore)
    const intervalMs = this.#entry.common.accept_interval
    if (intervalMs === 0) void this.#admit(socket)
    else if (this.#isPacing) this.#waiting.push(socket)
    else this.#pace(socket, intervalMs)
  }

  /** Node accepts as fast as it can; what comes too fast waits here before its protocol starts. */
  #pace(socket: Socket, intervalMs: number): void {
    this.#isPacing = true
    void this.#admit(socket)
    this.#parts.clock.after(intervalMs, () => {
      this.#isPacing = false
      const next = this.#waiting.shift()
      if (next !== undefined) this.#pace(next, intervalMs)
    })
  }

  /** Brings a connection to its protocol. Does not wait, where nothing has to be heard first. */
  async #admit(socket: Socket): Promise<void> {
    let peer = addressOf(socket.remoteAddress, socket.remotePort)
    try {
      if (this.#entry.common.use_proxy_protocol) {
        const header = await readProxyHeader(socket, this.#parts.clock)
        if (!header.ok) {
          this.#refuse(socket, peer, 'proxy', header.error)
          return
        }
        peer = header.value.source
      }
      if (this.#isDirectTls) await this.#admitTls(socket, peer)
      else this.#accept(socket, peer, undefined)
    } catch (error) {
      this.#parts.log.error({ err: error, ip: peer.ip }, 'Connection handler failed')
      socket.destroy()
    }
  }

  async #admitTls(raw: Socket, peer: PeerAddress): Promise<void> {
    const { clock } = this.#parts
    const socket = this.#tls === undefined ? undefined : wrapServerTls(raw, this.#tls)
    if (socket === undefined) {
      this.#refuse(raw, peer, 'tls', 'there is no certificate')
      return
    }
    const error = await handshake(socket, clock, this.#transportSettings.handshakeTimeoutMs)
    if (error !== undefined) this.#refuse(raw, peer, 'tls', error.message)
    else this.#accept(socket, peer, new SocketTlsInfo(socket))
  }

  #accept(socket: Socket, peer: PeerAddress, tls: TlsInfo | undefined): void {
    if (socket.destroyed) return
    const acceptor = this.#acceptor
    if (acceptor.acceptSocket !== undefined) {
      acceptor.acceptSocket(socket, peer, tls !== undefined, tls)
    } else if (acceptor.accept !== undefined) {
      acceptor.accept(new TcpTransport(socket, peer, this.#transportSettings, tls))
    } else {
      socket.destroy()
    }
  }

  #refuse(socket: Socket, peer: PeerAddress, what: 'proxy' | 'tls', why: string): void {
    this.#metrics.refused(what).add()
    const message = what === 'tls' ? 'TLS handshake failed' : 'PROXY protocol failed'
    // Port scanners are no news; a proxy that is set up wrongly is.
    if (what === 'tls') this.#parts.log.debug({ ip: peer.ip, listener: this.name, why }, message)
    else this.#parts.log.warn({ ip: peer.ip, listener: this.name, why }, message)
    socket.destroy()
  }

  /** Too many connections, mostly; those that are there go on. A flood must not fill the log as well. */
  #acceptFailed(error: Error): void {
    this.#metrics.acceptErrors.add()
    this.#acceptErrors++
    const now = this.#parts.clock.monotonic()
    if (now - this.#lastAcceptErrorMs < acceptErrorLogMs) return
    this.#lastAcceptErrorMs = now
    const fields = { err: error, listener: this.name, failures: this.#acceptErrors }
    this.#parts.log.error(fields, 'Cannot accept connections')
    this.#acceptErrors = 0
  }

  /** A connection of this listener is gone; called by a function that all sockets share. */
  released(socket: Socket): void {
    this.#connections--
    this.#sockets.delete(socket)
  }
}

const listenerOf: unique symbol = Symbol('listener')

function onClose(this: Socket): void {
  const listener: unknown = Reflect.get(this, listenerOf)
  if (listener instanceof PortListener) listener.released(this)
}

function ignore(): void {
  // The `close` event that follows says enough.
}

interface ListenerTls {
  readonly direct: boolean
  readonly settings: TlsServerSettings | undefined
}

function listenerTls(
  entry: ListenerEntry,
  module: ListenerModule,
  options: ValuesOf<OptionMap>,
  certificates: Certificates,
): Result<ListenerTls, string> {
  const wanted = module.tls?.(options)
  if (wanted === undefined) return ok({ direct: false, settings: undefined })
  const { direct, requestCertificate, alpn } = wanted
  const contexts = certificates.withSettings(tlsSettingsOf(entry.options.values))
  if (!contexts.ok) return err(contexts.error)
  if (direct && contexts.value.contextFor(undefined) === undefined) {
    return err('there is no certificate for TLS')
  }
  const settings: TlsServerSettings = {
    contexts: contexts.value,
    requestCertificate,
    ...(alpn === undefined ? {} : { alpn }),
  }
  return ok({ direct, settings })
}

/** The values of `tlsListenerOptions`, for listeners that have them. */
export function tlsSettingsOf(values: Readonly<Record<string, unknown>>): TlsSettings {
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' ? value : undefined
  const { ciphers, dhfile, cafile, protocol_options: options } = values
  return {
    ciphers: text(ciphers),
    dhfile: text(dhfile),
    cafile: text(cafile),
    protocolOptions: Array.isArray(options) ? options.map(String) : undefined,
  }
}
