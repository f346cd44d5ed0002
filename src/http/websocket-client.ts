import { randomBytes } from 'node:crypto'
import { flusher } from '../core/net/flusher.ts'
import type { Flushable } from '../core/net/flusher.ts'
import { highWaterBytes } from '../core/net/tcp-transport.ts'
import { WriteBatch } from '../core/net/write-batch.ts'
import type {
  CloseReason,
  PeerAddress,
  TlsInfo,
  Transport,
  TransportHandler,
} from '../core/transport.ts'
import { closeCodes } from './websocket/close-code.ts'
import type { CloseCode } from './websocket/close-code.ts'
import { FrameDecoder } from './websocket/frame-decoder.ts'
import type { FrameSink } from './websocket/frame-decoder.ts'
import { maskedFrame, opcodes } from './websocket/frame.ts'
import type { ControlOpcode } from './websocket/frame.ts'
import { acceptOf } from './websocket/handshake.ts'

export interface WebSocketRequest {
  /** Host and port. */
  readonly authority: string
  /** Path and query. */
  readonly target: string
  readonly subprotocol: string
}

/** A server's answer has no more to say. */
const maxHeadBytes = 16 * 1024
/** So much of the byte stream goes into one frame. */
const maxFrameBytes = 64 * 1024
const endOfHead = Buffer.from('\r\n\r\n')

/**
 * A client's end of a WebSocket (RFC 6455) on top of another transport, as a byte stream in binary messages. Pings are
 * answered, none are sent: the protocols in it have their own.
 */
export class WebSocketClient implements Transport, TransportHandler, Flushable, FrameSink {
  readonly #inner: Transport
  readonly #request: WebSocketRequest
  readonly #key = randomBytes(16).toString('base64')
  readonly #decoder = new FrameDecoder('binary', Infinity, 'server')
  readonly #batch = new WriteBatch()
  readonly #opened = Promise.withResolvers<void>()
  #handler: TransportHandler | undefined
  #phase: 'opening' | 'open' | 'closing' | 'closed' = 'opening'
  #reason: CloseReason | undefined
  /** The answer's head so far; then what came with it and before there was a handler. */
  #early = Buffer.alloc(0)
  #isReported = false
  #isDirty = false
  #isPaused = false
  #wantsDrain = false

  private constructor(inner: Transport, request: WebSocketRequest) {
    this.#inner = inner
    this.#request = request
  }

  /** Asks for a WebSocket; rejects when the server does not want it or the connection ends. */
  static async open(inner: Transport, request: WebSocketRequest): Promise<WebSocketClient> {
    const socket = new WebSocketClient(inner, request)
    inner.attach(socket)
    inner.writeText(socket.#head())
    await socket.#opened.promise
    return socket
  }

  get peer(): PeerAddress {
    return this.#inner.peer
  }

  get local(): PeerAddress {
    return this.#inner.local
  }

  get kind(): 'websocket' | 'websocket-tls' {
    return this.#inner.tls === undefined ? 'websocket' : 'websocket-tls'
  }

  get tls(): TlsInfo | undefined {
    return this.#inner.tls
  }

  get bufferedBytes(): number {
    return this.#batch.bytes + this.#inner.bufferedBytes
  }

  get bytesRead(): number {
    return this.#inner.bytesRead
  }

  get bytesWritten(): number {
    return this.#inner.bytesWritten
  }

  get isClosed(): boolean {
    return this.#phase !== 'open'
  }

  attach(handler: TransportHandler): void {
    this.#handler = handler
    if (this.#phase === 'closed') {
      process.nextTick(WebSocketClient.#report, this)
      return
    }
    const early = this.#early
    this.#early = Buffer.alloc(0)
    if (early.length > 0) this.#decoder.push(this, early, 0, early.length)
    if (!this.#isPaused) this.#inner.resume()
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed) return true
    this.#batch.add(bytes)
    return this.#gathered()
  }

  writeCopy(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.isClosed) return true
    this.#batch.addCopy(bytes, start, end)
    return this.#gathered()
  }

  writeText(text: string): boolean {
    if (this.isClosed) return true
    this.#batch.addText(text)
    return this.#gathered()
  }

  flush(): void {
    this.#isDirty = false
    if (this.#phase !== 'open') return
    this.#writeOut()
    this.#inner.flush()
  }

  pause(): void {
    this.#isPaused = true
    if (this.#phase === 'open') this.#inner.pause()
  }

  resume(): void {
    this.#isPaused = false
    if (this.#phase === 'open') this.#inner.resume()
  }

  close(): void {
    if (this.#phase !== 'open') {
      this.destroy()
      return
    }
    this.#reason = { kind: 'local' }
    this.#sayClose(closeCodes.normal)
    // The server closes the connection (RFC 6455 §7.1.1), or the transport's own grace time ends it.
    this.#inner.close()
  }

  destroy(): void {
    if (this.#phase === 'closed') return
    this.#reason ??= { kind: 'local' }
    this.#decoder.stop()
    this.#batch.clear()
    this.#inner.destroy()
  }

  startTls(): Promise<void> {
    return Promise.reject(new Error('TLS cannot start within a WebSocket'))
  }

  // From the transport below.

  data(buffer: Buffer, start: number, end: number): void {
    if (this.#phase === 'opening') this.#answered(buffer.subarray(start, end))
    else this.#decoder.push(this, buffer, start, end)
  }

  drain(): void {
    WebSocketClient.#drained(this)
  }

  closed(reason: CloseReason): void {
    const error =
      reason.kind === 'error'
        ? reason.error
        : new Error('The connection ended before the WebSocket was open')
    this.#opened.reject(error)
    this.#phase = 'closed'
    this.#decoder.stop()
    this.#batch.clear()
    this.#reason ??= reason
    WebSocketClient.#report(this)
  }

  // From the decoder.

  piece(buffer: Buffer, start: number, end: number): void {
    if (this.#phase !== 'open' || end === start) return
    this.#handler?.data(buffer, start, end)
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    if (this.#phase !== 'open') return
    if (opcode === opcodes.ping) {
      // RFC 6455 §5.5.3. A server that pings without reading gets no queue of answers.
      if (this.#inner.bufferedBytes < highWaterBytes) {
        this.#inner.write(maskedFrame(opcodes.pong, [payload], payload.length))
      }
    } else if (opcode === opcodes.close) {
      this.#reason = { kind: 'ended' }
      this.#sayClose(payload.length >= 2 ? payload.readUInt16BE() : undefined)
      this.#inner.close()
    }
  }

  refused(code: CloseCode, why: string): void {
    this.#reason = { kind: 'error', error: new Error(`WebSocket refused: ${why}`) }
    this.#sayClose(code)
    this.#inner.close()
  }

  /** RFC 6455 §4.1. */
  #head(): string {
    const { authority, target, subprotocol } = this.#request
    const lines = [
      `GET ${target} HTTP/1.1`,
      `Host: ${authority}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${this.#key}`,
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Protocol: ${subprotocol}`,
    ]
    return `${lines.join('\r\n')}\r\n\r\n`
  }

  #answered(bytes: Buffer): void {
    this.#early = Buffer.concat([this.#early, bytes])
    const end = this.#early.indexOf(endOfHead)
    if (end < 0 && this.#early.length <= maxHeadBytes) return
    const fault =
      end < 0 ? 'its answer is too long' : this.#faultOf(this.#early.toString('latin1', 0, end))
    if (fault !== undefined) {
      this.#opened.reject(new Error(`The server opens no WebSocket: ${fault}`))
      this.#inner.destroy()
      return
    }
    this.#early = this.#early.subarray(end + endOfHead.length)
    this.#phase = 'open'
    // Until somebody listens.
    this.#inner.pause()
    this.#opened.resolve()
  }

  /** RFC 6455 §4.1, what the client has to check. */
  #faultOf(head: string): string | undefined {
    const [status = '', ...lines] = head.split('\r\n')
    const headers = new Map<string, string>()
    for (const line of lines) {
      const colon = line.indexOf(':')
      if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
    }
    if (!/^HTTP\/1\.1 101(?: |$)/.test(status)) return `it answered ${JSON.stringify(status)}`
    const upgrade = headers.get('upgrade')?.toLowerCase()
    const connection =
      headers
        .get('connection')
        ?.toLowerCase()
        .split(/\s*,\s*/) ?? []
    if (upgrade !== 'websocket' || !connection.includes('upgrade')) return 'it did not upgrade'
    if (headers.get('sec-websocket-accept') !== acceptOf(this.#key)) return 'its key is wrong'
    // None was offered.
    if (headers.has('sec-websocket-extensions')) return 'it uses an extension'
    const subprotocol = headers.get('sec-websocket-protocol')
    // COMPAT: some servers take the subprotocol and do not say so.
    if (subprotocol === undefined || subprotocol === this.#request.subprotocol) return undefined
    return `it chose the subprotocol ${JSON.stringify(subprotocol)}`
  }

  #gathered(): boolean {
    if (!this.#isDirty) {
      this.#isDirty = true
      flusher.add(this)
    }
    if (this.bufferedBytes < highWaterBytes) return true
    this.#wantsDrain = true
    return false
  }

  #writeOut(): void {
    const batch = this.#batch
    while (batch.bytes > 0) {
      const length = Math.min(batch.bytes, maxFrameBytes)
      this.#inner.write(maskedFrame(opcodes.binary, batch.take(maxFrameBytes), length))
    }
    // When the transport below is not full (any more), it does not say so.
    if (this.#wantsDrain && this.#inner.bufferedBytes < highWaterBytes) {
      process.nextTick(WebSocketClient.#drained, this)
    }
  }

  /** RFC 6455 §5.5.1: the last frame of ours. */
  #sayClose(code: number | undefined): void {
    if (this.#phase !== 'open') return
    this.#writeOut()
    this.#phase = 'closing'
    this.#decoder.stop()
    const payload = Buffer.alloc(code === undefined ? 0 : 2)
    if (code !== undefined) payload.writeUInt16BE(code)
    this.#inner.write(maskedFrame(opcodes.close, [payload], payload.length))
  }

  static #drained(this: void, socket: WebSocketClient): void {
    if (!socket.#wantsDrain || socket.#phase !== 'open') return
    if (socket.bufferedBytes >= highWaterBytes) return
    socket.#wantsDrain = false
    socket.#handler?.drain?.()
  }

  static #report(this: void, socket: WebSocketClient): void {
    const handler = socket.#handler
    if (socket.#isReported || handler === undefined) return
    socket.#isReported = true
    handler.closed(socket.#reason ?? { kind: 'local' })
  }
}
