import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Timer } from '../core/clock.ts'
import { defineListener } from '../core/listener.ts'
import type { ListenerContext, ListenerModule, StreamAcceptor } from '../core/listener.ts'
import { sendTimeoutsOf } from '../core/net/send-timeouts.ts'
import type { PeerAddress, TlsInfo } from '../core/transport.ts'
import { HttpConnection } from './connection.ts'
import { Dispatcher } from './dispatcher.ts'
import type { RequestHandler } from './handler.ts'
import { defaultLimits } from './limits.ts'
import type { HttpLimits } from './limits.ts'
import { httpOptions } from './options.ts'
import type { HttpOptions } from './options.ts'

/** HTTP with these handlers to choose from. */
export function httpListener(
  handlers: readonly RequestHandler[],
  limits: Partial<HttpLimits> = {},
): ListenerModule<typeof httpOptions> {
  const byName = new Map(handlers.map((handler) => [handler.name, handler]))
  return defineListener({
    name: 'ejabberd_http',
    options: httpOptions,
    transports: ['tcp'],
    tls: (options) => ({ direct: options.tls, requestCertificate: false, alpn: ['http/1.1'] }),
    open: (context) => new HttpAcceptor(context, byName, { ...defaultLimits, ...limits }),
  })
}

const sweepMs = 1000

/** The connections of one port, their HTTP read by one server of node:http that has no port of its own. */
class HttpAcceptor implements StreamAcceptor {
  readonly #context: ListenerContext<HttpOptions>
  readonly #limits: HttpLimits
  readonly #dispatcher: Dispatcher
  readonly #server: Server
  readonly #connections = new Map<Duplex, HttpConnection>()
  /** One for all sockets. */
  readonly #onClose: (this: Duplex) => void
  #sweep: Timer | undefined

  constructor(
    context: ListenerContext<HttpOptions>,
    handlers: ReadonlyMap<string, RequestHandler>,
    limits: HttpLimits,
  ) {
    this.#context = context
    this.#limits = limits
    this.#dispatcher = new Dispatcher({ context, handlers, limits })
    this.#server = this.#createServer()
    const forget = (socket: Duplex): void => this.#forget(socket)
    this.#onClose = function () {
      forget(this)
    }
  }

  acceptSocket(socket: Duplex, peer: PeerAddress, isTls: boolean, tls?: TlsInfo): void {
    if (!(socket instanceof Socket)) throw new TypeError('HTTP needs a socket of node:net')
    const connection = new HttpConnection({
      socket,
      peer,
      isTls,
      tls,
      sendTimeoutMs: this.#context.sendTimeoutMs ?? Infinity,
      nowMs: this.#context.clock.monotonic(),
    })
    this.#connections.set(socket, connection)
    socket.on('close', this.#onClose)
    this.#sweep ??= this.#context.clock.every(sweepMs, () => this.#checkTimes())
    this.#server.emit('connection', socket)
    // Behind a PROXY header the socket stands still, and what came with the header waits in it.
    socket.resume()
  }

  reload(options: HttpOptions): void {
    this.#dispatcher.reload(options)
  }

  /** Lets requests be answered; whoever has none is not waited for. */
  close(): void {
    this.#dispatcher.isStopping = true
    for (const connection of this.#connections.values()) connection.closeIfIdle()
  }

  #createServer(): Server {
    const server = createServer({
      maxHeaderSize: this.#limits.headBytes,
      insecureHTTPParser: false,
      // We look at the clock ourselves (`#checkTimes`), and at Host, for one way to answer.
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
      requireHostHeader: false,
      shouldUpgradeCallback: (request: IncomingMessage) => {
        const connection = this.#connections.get(request.socket)
        if (connection === undefined || connection.isLastAnswered) return false
        return this.#dispatcher.decideUpgrade(connection, request)
      },
    })
    // More are dropped silently by node:http, so that one more tells that there were too many.
    server.maxHeadersCount = this.#limits.headers + 1
    server.on('request', (request, response) => this.#serve(request, response, false))
    server.on('checkContinue', (request, response) => this.#serve(request, response, true))
    server.on('upgrade', (request, socket, early) => this.#upgrade(request, socket, early))
    server.on('connect', (_request, socket) => {
      this.#connections.get(socket)?.refuse(400, this.#dispatcher.customHeaders)
    })
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const connection = this.#connections.get(socket)
      const status = statusOf(error)
      if (connection === undefined || status === undefined) socket.destroy()
      else connection.refuse(status, this.#dispatcher.customHeaders)
    })
    return server
  }

  #serve(request: IncomingMessage, response: ServerResponse, isHeldBack: boolean): void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined || connection.inFlight >= this.#limits.pipelined) {
      request.socket.destroy()
      return
    }
    if (connection.isLastAnswered) return
    connection.requestStarted(response)
    response.once('close', () => {
      connection.requestEnded(request, response, this.#context.clock.monotonic())
      if (this.#dispatcher.isStopping) connection.closeIfIdle()
    })
    // Settles in any case: what goes wrong becomes an answer.
    void this.#dispatcher.serve(connection, request, response, isHeldBack)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, early: Buffer): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined) {
      socket.destroy()
      return
    }
    // It is no longer ours: nothing of HTTP is kept for it.
    socket.off('close', this.#onClose)
    this.#forget(socket)
    this.#dispatcher.upgrade(connection, request, early)
  }

  #forget(socket: Duplex): void {
    this.#connections.get(socket)?.abandon()
    this.#connections.delete(socket)
    if (this.#connections.size > 0) return
    this.#sweep?.cancel()
    this.#sweep = undefined
  }

  #checkTimes(): void {
    const { clock } = this.#context
    const nowMs = clock.monotonic()
    for (const connection of this.#connections.values()) {
      const isLate = connection.checkTime(nowMs, this.#limits)
      if (isLate) connection.refuse(408, this.#dispatcher.customHeaders)
      if (connection.unsentBytes > 0) sendTimeoutsOf(clock).watch(connection)
    }
  }
}

/** How to answer what node:http could not read; undefined when nobody is there to hear it. */
function statusOf(error: NodeJS.ErrnoException): number | undefined {
  const { code = '' } = error
  if (code === 'HPE_HEADER_OVERFLOW') return 431
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 413
  return code.startsWith('HPE_') ? 400 : undefined
}
