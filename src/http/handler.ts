import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { ListenerContext } from '../core/listener.ts'
import type { PeerAddress, TlsInfo, Transport } from '../core/transport.ts'
import type { Result } from '../util/result.ts'
import type { Credentials } from './credentials.ts'
import type { HttpOptions } from './options.ts'
import type { CloseCode } from './websocket/close-code.ts'

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS'

/** Why a body could not be had. `closed`: the peer went away, whatever is answered reaches nobody. */
export type BodyError = 'too-large' | 'timeout' | 'closed'

/** A request whose head was checked, as a handler sees it. */
export interface HttpRequest {
  readonly method: Method
  /** The path as sent, without the query. */
  readonly path: string
  /** What follows the handler's prefix, decoded, without empty, `.` and `..` segments. A segment may hold any character. */
  readonly segments: readonly string[]
  readonly query: URLSearchParams
  /** By lower-case name, as node:http joins them. */
  readonly headers: IncomingHttpHeaders
  /** The host that the request is for, in lower case, without port, after `hosts_alias`. Maybe none that is served. */
  readonly host: string
  /** Host and port as the client wrote them, for URLs that lead back here. */
  readonly authority: string
  /** The client, which `X-Forwarded-For` may have named if its proxies are trusted. Its port is 0 then. */
  readonly peer: PeerAddress
  readonly isTls: boolean
  readonly tls: TlsInfo | undefined
  /** From the `Authorization` header; what nobody can read is `malformed`. */
  readonly credentials: Credentials | undefined
  /** The whole body, up to `maxBytes` (20 MiB unless said otherwise). To be called once. */
  readBody(maxBytes?: number): Promise<Result<Buffer, BodyError>>
  /** The body as it comes, for who stores it himself; ends with an error when the client stops sending. To be called once. */
  streamBody(): Readable
  /** For libraries that want it. Bodies are better had by the methods above, which know limits and `Expect`. */
  readonly raw: IncomingMessage
}

/** What goes back. A handler that throws is answered for: 500, and a line in the log. */
export interface HttpAnswer {
  readonly status: number
  readonly headers?: OutgoingHttpHeaders
  /** Text goes as UTF-8. A stream is destroyed when the client goes away. Not sent to HEAD, though its length is told. */
  readonly body?: string | Uint8Array | Readable
}

/** What a handler knows besides the request: its listener and where on it the handler is mounted. */
export interface HandlerContext extends ListenerContext<HttpOptions> {
  /** The key under `request_handlers`. */
  readonly prefix: string
}

/**
 * A WebSocket carrying a protocol: bytes in both directions as with TCP (`binary`), or one message for each `write` and each call
 * of `data` (`text`). `writeCopy` and `writeText` are messages as well in text mode. `startTls` throws: it is too late for that.
 */
export interface WebSocketTransport extends Transport {
  readonly kind: 'websocket' | 'websocket-tls'
  /** As agreed upon; undefined when there is none. */
  readonly subprotocol: string | undefined
  /** `close` with a code other than 1000 and words for whoever reads the peer's log (at most 123 bytes). */
  closeWith(code: CloseCode, reason?: string): void
}

/** Says yes to a WebSocket. */
export interface WebSocketAnswer {
  /** One of those that the client asked for; undefined when it asked for none. */
  readonly subprotocol: string | undefined
  /** Frames of the other kind are refused (1003). */
  readonly mode: 'binary' | 'text'
  /** Longer messages end the connection (1009). In binary mode nothing is gathered, so that there need not be a limit. */
  readonly maxMessageBytes: number
  /** The handshake is done. `attach` now or later: nothing is read before. */
  open(transport: WebSocketTransport): void
}

/** A request to open a WebSocket. The handshake itself was checked, and so was `Origin`. */
export interface UpgradeRequest extends Omit<HttpRequest, 'readBody' | 'streamBody'> {
  /** What the client would speak, most wanted first. */
  readonly subprotocols: readonly string[]
}

/**
 * What answers requests below a prefix of `request_handlers`. Protocols and features export a constant, `server.ts` lists them;
 * the name is ejabberd's (`mod_mqtt`, `ejabberd_web_admin`) or one of ours (`linnet_metrics`).
 */
export interface RequestHandler {
  readonly name: string
  /** Absent where only WebSockets are served: other requests get 426. HEAD may be answered like GET. */
  handle?(request: HttpRequest, context: HandlerContext): HttpAnswer | Promise<HttpAnswer>
  /** A WebSocket, or why not. */
  upgrade?(request: UpgradeRequest, context: HandlerContext): WebSocketAnswer | HttpAnswer
}

export function defineRequestHandler(definition: RequestHandler): RequestHandler {
  return definition
}
