import { STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Sender } from '../core/net/send-timeouts.ts'
import type { PeerAddress, TlsInfo } from '../core/transport.ts'
import type { HttpLimits } from './limits.ts'

/** One connection that speaks HTTP, until it ends or becomes a WebSocket. */
export class HttpConnection implements Sender {
  readonly socket: Socket
  /** Who is connected to us; a proxy, maybe. */
  readonly peer: PeerAddress
  readonly tls: TlsInfo | undefined
  readonly isTls: boolean
  readonly sendTimeoutMs: number
  /** The connection ends with an answer that was given: what follows in the same packet is not for us. */
  isLastAnswered = false
  /** Of requests that wait for the end of their answer. */
  readonly #responses = new Set<ServerResponse>()
  /** Since when there is no request, and what had been read by then. */
  #idleMs: number
  #idleBytes: number
  /** Since when there is a piece of the next request. */
  #headMs: number | undefined
  /** An answered request whose body still comes. */
  #unread: IncomingMessage | undefined

  constructor(settings: {
    readonly socket: Socket
    readonly peer: PeerAddress
    readonly isTls: boolean
    readonly tls: TlsInfo | undefined
    readonly sendTimeoutMs: number
    readonly nowMs: number
  }) {
    this.socket = settings.socket
    this.peer = settings.peer
    this.isTls = settings.isTls
    this.tls = settings.tls
    this.sendTimeoutMs = settings.sendTimeoutMs
    this.#idleMs = settings.nowMs
    this.#idleBytes = settings.socket.bytesRead
  }

  /** Requests that wait for the end of their answer. */
  get inFlight(): number {
    return this.#responses.size
  }

  get unsentBytes(): number {
    return this.socket.writableLength
  }

  get sentBytes(): number {
    return this.socket.bytesWritten - this.socket.writableLength
  }

  sendTimedOut(): void {
    this.socket.destroy()
  }

  requestStarted(response: ServerResponse): void {
    this.#responses.add(response)
    this.#headMs = undefined
  }

  requestEnded(request: IncomingMessage, response: ServerResponse, nowMs: number): void {
    this.#responses.delete(response)
    this.#idleMs = nowMs
    this.#idleBytes = this.socket.bytesRead
    if (!request.complete) this.#unread = request
  }

  /**
   * Ends the connection if it has been doing nothing, or next to nothing, for too long. True when a request began to come and
   * did not end in time, which is for the caller to answer.
   */
  checkTime(nowMs: number, limits: HttpLimits): boolean {
    if (this.#unread?.complete === true) this.#unread = undefined
    if (this.#unread !== undefined) {
      if (nowMs - this.#idleMs >= limits.lingerMs) this.socket.destroy()
    } else if (this.inFlight === 0) {
      if (this.socket.bytesRead > this.#idleBytes) this.#headMs ??= nowMs
      if (this.#headMs !== undefined) return nowMs - this.#headMs >= limits.headMs
      if (nowMs - this.#idleMs >= limits.idleMs) this.socket.destroySoon()
    }
    return false
  }

  /** The connection is gone. Answers that waited for their turn are not told by node:http. */
  abandon(): void {
    for (const response of this.#responses) {
      if (response.destroyed) continue
      response.destroy()
      response.emit('close')
    }
  }

  /** Ends the connection unless there is something to wait for. */
  closeIfIdle(): void {
    if (this.inFlight === 0) this.socket.destroySoon()
  }

  /** Answers what could not be read as a request and closes. */
  refuse(status: number, headers: ReadonlyMap<string, string>): void {
    // Within an answer another one would be taken for a part of it.
    if (this.inFlight > 0 || !this.socket.writable) {
      this.socket.destroy()
      return
    }
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
    for (const [name, value] of headers) text += `${name}: ${value}\r\n`
    this.socket.write(`${text}Connection: close\r\nContent-Length: 0\r\n\r\n`, 'latin1')
    this.socket.destroySoon()
  }
}
