import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { ListenerContext } from '../core/listener.ts'
import { TcpTransport, transportSettings } from '../core/net/tcp-transport.ts'
import { err, ok } from '../util/result.ts'
import type { Result } from '../util/result.ts'
import { sendAnswer, textAnswer } from './answer.ts'
import type { HttpConnection } from './connection.ts'
import { clientAddress } from './forwarded.ts'
import type { HttpAnswer, Method, RequestHandler, WebSocketAnswer } from './handler.ts'
import { parseAuthority, virtualHost } from './host.ts'
import type { HttpLimits } from './limits.ts'
import type { HttpOptions } from './options.ts'
import { ServedRequest } from './request.ts'
import type { RequestHead } from './request.ts'
import { createRoutes, findRoute } from './router.ts'
import type { Route } from './router.ts'
import { parseTarget } from './target.ts'
import { TopLevel } from './top-level.ts'
import { WebSocket } from './websocket.ts'
import type { WebSocketSettings } from './websocket.ts'
import { closeCodes } from './websocket/close-code.ts'
import {
  checkHandshake,
  handshakeAnswer,
  upgradeRequired,
  wantsWebSocket,
} from './websocket/handshake.ts'
import { keepAliveOf } from './websocket/keep-alive.ts'

const methods: ReadonlySet<string> = new Set<Method>([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
])

/** What became of a request for a WebSocket before node:http goes on with it. */
type Decision =
  | { readonly kind: 'refused'; readonly answer: HttpAnswer }
  | {
      readonly kind: 'accepted'
      readonly answer: WebSocketAnswer
      readonly request: ServedRequest
      readonly key: string
    }

export interface DispatcherSettings {
  readonly context: ListenerContext<HttpOptions>
  readonly handlers: ReadonlyMap<string, RequestHandler>
  readonly limits: HttpLimits
}

/** Brings requests to their handlers, and answers to clients. */
export class Dispatcher {
  /** No more requests are wanted on connections that exist. */
  isStopping = false
  readonly #context: ListenerContext<HttpOptions>
  readonly #handlers: ReadonlyMap<string, RequestHandler>
  readonly #limits: HttpLimits
  readonly #topLevel: TopLevel
  readonly #webSockets: WebSocketSettings
  readonly #decisions = new WeakMap<IncomingMessage, Decision>()
  #options: HttpOptions
  #routes: readonly Route[]

  constructor({ context, handlers, limits }: DispatcherSettings) {
    this.#context = context
    this.#handlers = handlers
    this.#limits = limits
    this.#topLevel = new TopLevel(context.services)
    this.#webSockets = this.#webSocketSettings()
    this.#options = context.options
    this.#routes = createRoutes(context.options, handlers, context)
  }

  get customHeaders(): ReadonlyMap<string, string> {
    return this.#options.custom_headers
  }

  /** From now on; requests that have a handler already keep it. */
  reload(options: HttpOptions): void {
    this.#routes = createRoutes(options, this.#handlers, this.#context)
    this.#options = options
  }

  /** Answers a request. `isHeldBack`: the client wants to be told before it sends the body. */
  async serve(
    connection: HttpConnection,
    raw: IncomingMessage,
    response: ServerResponse,
    isHeldBack: boolean,
  ): Promise<void> {
    let request: ServedRequest | undefined
    let closeAfter = false
    let answer: HttpAnswer
    try {
      const decision = this.#decisions.get(raw)
      const head = this.#readHead(connection, raw)
      if (!head.ok) {
        answer = head.error
        // Who breaks the rules of a request may see its end elsewhere than we do.
        closeAfter = true
      } else if (decision?.kind === 'refused') {
        answer = decision.answer
      } else {
        const route = findRoute(this.#routes, head.value.segments)
        request = this.#served(raw, head.value, route, isHeldBack ? response : undefined)
        answer = await this.#handle(request, route)
      }
    } catch (error) {
      answer = this.#failed(error, connection, raw)
    }
    // RFC 9110 §10.1.1: the body may come or not, so that the next request could not be told from it.
    closeAfter ||= request === undefined ? isHeldBack : request.isBodyHeldBack
    if (response.destroyed || connection.socket.destroyed) {
      if (answer.body instanceof Readable) answer.body.destroy()
      return
    }
    this.#send(connection, raw, response, answer, closeAfter || this.isStopping)
  }

  /** Whether the connection becomes a WebSocket; if not, `serve` answers. */
  decideUpgrade(connection: HttpConnection, raw: IncomingMessage): boolean {
    if (!wantsWebSocket(raw)) return false
    let decision: Decision | undefined
    try {
      decision = this.#decide(connection, raw)
    } catch (error) {
      decision = { kind: 'refused', answer: this.#failed(error, connection, raw) }
    }
    if (decision === undefined) return false
    this.#decisions.set(raw, decision)
    return decision.kind === 'accepted'
  }

  /** Hands the connection to the handler that accepted it. `early` was sent with the handshake. */
  upgrade(connection: HttpConnection, raw: IncomingMessage, early: Buffer): void {
    const decision = this.#decisions.get(raw)
    const { socket } = connection
    if (decision?.kind !== 'accepted' || socket.destroyed) {
      socket.destroy()
      return
    }
    const { answer, request, key } = decision
    const { clock, log, sendTimeoutMs } = this.#context
    const settings = transportSettings(clock, {
      log,
      graceMs: this.#limits.graceMs,
      ...(sendTimeoutMs === undefined ? {} : { sendTimeoutMs }),
    })
    if (early.length > 0) socket.unshift(early)
    const transport = new TcpTransport(socket, request.peer, settings, connection.tls)
    transport.writeText(handshakeAnswer(key, answer.subprotocol, this.customHeaders))
    const webSocket = new WebSocket(transport, answer, this.#webSockets)
    this.#count('101')
    try {
      answer.open(webSocket)
    } catch (error) {
      log.error({ err: error, ip: request.peer.ip }, 'WebSocket handler failed')
      webSocket.closeWith(closeCodes.internalError)
    }
  }

  #decide(connection: HttpConnection, raw: IncomingMessage): Decision | undefined {
    const head = this.#readHead(connection, raw)
    const route = head.ok ? findRoute(this.#routes, head.value.segments) : undefined
    // Upgrades may be ignored (RFC 9110 §7.8): whoever has none answers as usual.
    if (!head.ok || route?.handler.upgrade === undefined) return undefined
    const handshake = checkHandshake(raw, this.#topLevel.websocketOrigins)
    if (!handshake.ok) return { kind: 'refused', answer: handshake.error }
    if (this.isStopping) return { kind: 'refused', answer: textAnswer(503) }
    // An answer that is still to come would end up within the WebSocket.
    if (connection.inFlight > 0) return { kind: 'refused', answer: textAnswer(400) }
    const { key, subprotocols } = handshake.value
    const request = this.#served(raw, head.value, route, undefined, subprotocols)
    const answer = route.handler.upgrade(request, route.context)
    if (!('open' in answer)) return { kind: 'refused', answer }
    const { subprotocol } = answer
    if (subprotocol !== undefined && !subprotocols.includes(subprotocol)) {
      // RFC 6455 §4.1: the client would have to give up.
      throw new Error(`The client did not ask for the subprotocol "${subprotocol}"`)
    }
    return { kind: 'accepted', answer, request, key }
  }

  async #handle(request: ServedRequest, route: Route | undefined): Promise<HttpAnswer> {
    if (route === undefined) return textAnswer(404)
    if (route.handler.handle === undefined) return upgradeRequired()
    return route.handler.handle(request, route.context)
  }

  /** Checks what concerns all requests, or says how to answer. */
  #readHead(connection: HttpConnection, raw: IncomingMessage): Result<RequestHead, HttpAnswer> {
    const { method = '', headers } = raw
    if (raw.httpVersionMajor !== 1 || raw.httpVersionMinor > 1) return err(textAnswer(505))
    if (raw.rawHeaders.length / 2 > this.#limits.headers) return err(textAnswer(431))
    const coding = headers['transfer-encoding']
    if (coding !== undefined) {
      // RFC 9112 §6.1: HTTP/1.0 knows none, and whoever passed it on may not have either.
      if (raw.httpVersionMinor === 0) return err(textAnswer(400))
      if (coding.toLowerCase() !== 'chunked') return err(textAnswer(501))
    }
    if (!isMethod(method)) return err(textAnswer(400))
    const target = parseTarget(raw.url ?? '')
    if (target === undefined) return err(textAnswer(400))
    // RFC 9112 §3.2: exactly one, even where the target tells the host.
    if (countHosts(raw.rawHeaders) !== 1) return err(textAnswer(400))
    const authority = target.authority ?? headers.host ?? ''
    const host = parseAuthority(authority)
    if (host === undefined) return err(textAnswer(400))
    const forwarded = headers['x-forwarded-for']
    return ok({
      method,
      path: target.path,
      segments: target.segments,
      query: target.query,
      host: virtualHost(host, this.#topLevel.hosts, this.#topLevel.hostsAlias),
      authority,
      peer: clientAddress(
        connection.peer,
        Array.isArray(forwarded) ? forwarded.join(',') : forwarded,
        this.#topLevel.trustedProxies,
      ),
      isTls: connection.isTls,
      tls: connection.tls,
    })
  }

  #served(
    raw: IncomingMessage,
    head: RequestHead,
    route: Route | undefined,
    waiting: ServerResponse | undefined,
    subprotocols: readonly string[] = [],
  ): ServedRequest {
    return new ServedRequest(raw, head, {
      prefixLength: route?.segments.length ?? 0,
      subprotocols,
      waiting,
      limits: this.#limits,
      clock: this.#context.clock,
    })
  }

  #send(
    connection: HttpConnection,
    raw: IncomingMessage,
    response: ServerResponse,
    answer: HttpAnswer,
    closeAfter: boolean,
  ): void {
    if (closeAfter) connection.isLastAnswered = true
    const settings = {
      isHead: raw.method === 'HEAD',
      customHeaders: this.customHeaders,
      closeAfter,
    }
    try {
      sendAnswer(response, answer, settings)
    } catch (error) {
      const failure = this.#failed(error, connection, raw)
      if (response.headersSent) {
        response.destroy()
      } else {
        for (const name of response.getHeaderNames()) response.removeHeader(name)
        sendAnswer(response, failure, settings)
      }
    }
    const { statusCode: status } = response
    this.#count(`${String(status).slice(0, 1)}xx`)
    const { log } = this.#context
    if (log.isLevelEnabled('debug')) {
      const fields = { ip: connection.peer.ip, method: raw.method, path: pathOf(raw), status }
      log.debug(fields, 'Request answered')
    }
  }

  /** What went wrong is for the log; the client learns that something did. */
  #failed(error: unknown, connection: HttpConnection, raw: IncomingMessage): HttpAnswer {
    const fields = { err: error, ip: connection.peer.ip, method: raw.method, path: pathOf(raw) }
    this.#context.log.error(fields, 'Request handler failed')
    return textAnswer(500)
  }

  #count(code: string): void {
    this.#context.metrics
      .counter('linnet_http_requests_total', 'Requests answered, by kind of status', { code })
      .add()
  }

  #webSocketSettings(): WebSocketSettings {
    const { clock, log } = this.#context
    const topLevel = this.#topLevel
    const isStopping = (): boolean => this.isStopping
    return {
      clock,
      keepAlive: keepAliveOf(clock),
      log,
      graceMs: this.#limits.graceMs,
      poison: transportSettings(clock).poison,
      get pingIntervalMs() {
        return topLevel.websocketPingIntervalMs
      },
      get timeoutMs() {
        return topLevel.websocketTimeoutMs
      },
      get isStopping() {
        return isStopping()
      },
    }
  }
}

/** Without the query, which may hold what is nobody's business. */
function pathOf(raw: IncomingMessage): string {
  return raw.url?.replace(/\?.*/s, '') ?? ''
}

function isMethod(text: string): text is Method {
  return methods.has(text)
}

function countHosts(rawHeaders: readonly string[]): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === 'host') count++
  }
  return count
}
