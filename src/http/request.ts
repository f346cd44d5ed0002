import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import type { PeerAddress, TlsInfo } from '../core/transport.ts'
import type { Result } from '../util/result.ts'
import { limitPauses, readBody } from './body.ts'
import { parseAuthorization } from './credentials.ts'
import type { Credentials } from './credentials.ts'
import type { BodyError, HttpRequest, Method, UpgradeRequest } from './handler.ts'
import type { HttpLimits } from './limits.ts'

/** What was found out about a request before its handler sees it. */
export interface RequestHead {
  readonly method: Method
  readonly path: string
  /** Of the whole path. */
  readonly segments: readonly string[]
  readonly query: string
  readonly host: string
  readonly authority: string
  readonly peer: PeerAddress
  readonly isTls: boolean
  readonly tls: TlsInfo | undefined
}

/** A request as its handler sees it. */
export class ServedRequest implements HttpRequest, UpgradeRequest {
  readonly method: Method
  readonly path: string
  readonly segments: readonly string[]
  readonly host: string
  readonly authority: string
  readonly peer: PeerAddress
  readonly isTls: boolean
  readonly tls: TlsInfo | undefined
  readonly subprotocols: readonly string[]
  readonly raw: IncomingMessage
  readonly #query: string
  readonly #limits: HttpLimits
  readonly #clock: Clock
  /** Waits to be told that its body is wanted (RFC 9110 §10.1.1). */
  #waiting: ServerResponse | undefined

  constructor(
    raw: IncomingMessage,
    head: RequestHead,
    settings: {
      readonly prefixLength: number
      readonly subprotocols?: readonly string[]
      readonly waiting?: ServerResponse | undefined
      readonly limits: HttpLimits
      readonly clock: Clock
    },
  ) {
    this.raw = raw
    this.method = head.method
    this.path = head.path
    this.segments = head.segments.slice(settings.prefixLength)
    this.host = head.host
    this.authority = head.authority
    this.peer = head.peer
    this.isTls = head.isTls
    this.tls = head.tls
    this.subprotocols = settings.subprotocols ?? []
    this.#query = head.query
    this.#waiting = settings.waiting
    this.#limits = settings.limits
    this.#clock = settings.clock
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.#query)
  }

  get headers(): IncomingHttpHeaders {
    return this.raw.headers
  }

  get credentials(): Credentials | undefined {
    return parseAuthorization(this.raw.headers.authorization)
  }

  /** Whether the client still waits before it sends the body. Nobody knows whether it will come. */
  get isBodyHeldBack(): boolean {
    return this.#waiting !== undefined
  }

  async readBody(maxBytes: number = this.#limits.bodyBytes): Promise<Result<Buffer, BodyError>> {
    const { bodyMs: timeoutMs } = this.#limits
    const isTooLarge = Number(this.raw.headers['content-length'] ?? 0) > maxBytes
    if (!isTooLarge) this.#continue()
    return readBody(this.raw, { maxBytes, timeoutMs }, this.#clock)
  }

  streamBody(): Readable {
    this.#continue()
    limitPauses(this.raw, this.#limits.bodyPauseMs, this.#clock)
    return this.raw
  }

  #continue(): void {
    this.#waiting?.writeContinue()
    this.#waiting = undefined
  }
}
