import { isUtf8 } from 'node:buffer'
import type { Clock } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
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
import type { WebSocketAnswer, WebSocketTransport } from './handler.ts'
import { closeCodes, isSendableCode } from './websocket/close-code.ts'
import type { CloseCode } from './websocket/close-code.ts'
import { FrameDecoder } from './websocket/frame-decoder.ts'
import type { FrameSink } from './websocket/frame-decoder.ts'
import {
  closeFrame,
  controlFrame,
  maxHeaderBytes,
  opcodes,
  writeFrameHeader,
} from './websocket/frame.ts'
import type { ControlOpcode } from './websocket/frame.ts'
import type { KeepAlive, KeptAlive } from './websocket/keep-alive.ts'
import { MessageBuffer } from './websocket/message-buffer.ts'

/** What the WebSockets of one listener have in common. Times may change at a reload: they are asked for each time. */
export interface WebSocketSettings {
  readonly clock: Clock
  /** The one of that clock. */
  readonly keepAlive: KeepAlive
  /** Told of exceptions that a protocol let through: each ends one connection. */
  readonly log: Log
  /** How long a client may be silent before it is pinged, and then before it is given up. */
  readonly pingIntervalMs: number
  /** How long a client may be silent at all. */
  readonly timeoutMs: number
  /** How long the peer may take to answer a Close. */
  readonly graceMs: number
  /** The server goes away, which is what WebSockets closed now are told. */
  readonly isStopping: boolean
  readonly poison: boolean
}

/** So much of a byte stream goes into one frame: a peer can use nothing of it before its end is there. */
const maxFrameBytes = 64 * 1024
/** Settings may have changed after that. */
const maxWaitMs = 60_000
/** Used for one header after another, which are copied. */
const header = Buffer.alloc(maxHeaderBytes)
const noPayload = Buffer.alloc(0)

/**
 * A server's end of a WebSocket (RFC 6455) on top of another transport, after the handshake. In binary mode it is a byte stream:
 * the writes of a turn become one frame, and what is received is handed on as it comes, not message by message. In text mode a
 * write is a message and so is what is received.
 */
export class WebSocket
  implements WebSocketTransport, TransportHandler, Flushable, FrameSink, KeptAlive
{
  readonly subprotocol: string | undefined
  keepAliveTick = 0
  readonly #inner: Transport
  readonly #settings: WebSocketSettings
  readonly #isText: boolean
  readonly #decoder: FrameDecoder
  readonly #batch = new WriteBatch()
  #handler: TransportHandler | undefined
  /** `closing`: a Close frame is on its way; nothing else follows it. */
  #phase: 'open' | 'closing' | 'closed' = 'open'
  #reason: CloseReason | undefined
  #isReported = false
  #isDirty = false
  #isPaused = false
  #wantsDrain = false
  /** The last ping that was not answered yet. */
  #ping: Buffer | undefined
  /** Fragments of a text message. */
  #message: MessageBuffer | undefined
  #heardMs: number
  /** When it was pinged, unless something came since. */
  #askedMs: number | undefined

  constructor(
    inner: Transport,
    answer: Pick<WebSocketAnswer, 'subprotocol' | 'mode' | 'maxMessageBytes'>,
    settings: WebSocketSettings,
  ) {
    this.#inner = inner
    this.#settings = settings
    this.subprotocol = answer.subprotocol
    this.#isText = answer.mode === 'text'
    this.#decoder = new FrameDecoder(answer.mode, answer.maxMessageBytes)
    this.#heardMs = settings.clock.monotonic()
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
    const isFirst = this.#handler === undefined
    this.#handler = handler
    if (this.#phase === 'closed') process.nextTick(WebSocket.#report, this)
    else if (isFirst && this.#phase === 'open') this.#start()
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed) return true
    if (this.#isText) {
      this.#writeHeader(opcodes.text, bytes.length)
      this.#inner.write(bytes)
    } else {
      this.#batch.add(bytes)
      this.#gathered()
    }
    return this.#hasRoom()
  }

  writeCopy(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.isClosed) return true
    if (this.#isText) {
      this.#writeHeader(opcodes.text, end - start)
      this.#inner.writeCopy(bytes, start, end)
    } else {
      this.#batch.addCopy(bytes, start, end)
      this.#gathered()
    }
    return this.#hasRoom()
  }

  writeText(text: string): boolean {
    if (this.isClosed) return true
    if (this.#isText) {
      this.#writeHeader(opcodes.text, Buffer.byteLength(text))
      this.#inner.writeText(text)
    } else {
      this.#batch.addText(text)
      this.#gathered()
    }
    return this.#hasRoom()
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
    this.closeWith(this.#settings.isStopping ? closeCodes.goingAway : closeCodes.normal)
  }

  closeWith(code: CloseCode, reason = ''): void {
    if (this.#phase !== 'open') return
    this.#reason = { kind: 'local' }
    this.#sendClose(closeFrame(code, reason))
    // RFC 6455 §7.1.1: the peer answers, then we close the connection below. What it still sends is read, but not heard.
    const { clock, keepAlive, graceMs } = this.#settings
    keepAlive.schedule(this, clock.monotonic() + graceMs)
    if (this.#handler === undefined) this.#inner.attach(this)
    this.#inner.resume()
  }

  destroy(): void {
    if (this.#phase === 'closed') return
    this.#reason ??= { kind: 'local' }
    this.#phase = 'closing'
    this.#decoder.stop()
    this.#release()
    // Attached late only to hear of the end.
    if (this.#handler === undefined) this.#inner.attach(this)
    this.#inner.destroy()
  }

  startTls(): Promise<void> {
    return Promise.reject(new Error('TLS cannot start within a WebSocket'))
  }

  data(buffer: Buffer, start: number, end: number): void {
    this.#heardMs = this.#settings.keepAlive.nowMs
    this.#askedMs = undefined
    this.#decoder.push(this, buffer, start, end)
  }

  drain(): void {
    if (this.#phase === 'open' && this.#ping !== undefined) this.flush()
    WebSocket.#drained(this)
  }

  closed(reason: CloseReason): void {
    this.#phase = 'closed'
    this.#decoder.stop()
    this.#release()
    this.#settings.keepAlive.remove(this)
    this.#reason ??= reason
    WebSocket.#report(this)
  }

  piece(buffer: Buffer, start: number, end: number, isLast: boolean): void {
    if (this.#phase !== 'open') return
    if (!this.#isText) {
      if (end > start) this.#deliver(buffer, start, end)
      return
    }
    if (this.#message === undefined && isLast) {
      this.#deliverText(buffer, start, end)
      return
    }
    this.#message ??= new MessageBuffer()
    this.#message.add(buffer, start, end)
    if (!isLast) return
    const message = this.#message
    this.#message = undefined
    this.#deliverText(message.bytes, 0, message.length)
    if (this.#settings.poison) message.bytes.fill(0xdb)
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    if (opcode === opcodes.close) {
      this.#closeReceived(payload)
    } else if (opcode === opcodes.ping && this.#phase === 'open') {
      // RFC 6455 §5.5.3: of several pings only the last need be answered. Whoever pings without reading fills no queue.
      this.#ping = Buffer.from(payload)
      if (this.#inner.bufferedBytes < highWaterBytes) this.#gathered()
    }
  }

  refused(code: CloseCode, why: string): void {
    this.#fail(code, why, new Error(`WebSocket refused: ${why}`))
  }

  keepAlive(nowMs: number): number {
    if (this.#phase !== 'open') {
      // The peer does not answer our Close.
      this.#inner.destroy()
      return Infinity
    }
    const { pingIntervalMs, timeoutMs } = this.#settings
    // Who is not read cannot be heard.
    if (this.#isPaused) this.#heardMs = nowMs
    if (nowMs - this.#heardMs >= timeoutMs) {
      this.closeWith(closeCodes.goingAway, 'idle')
      return nowMs + this.#settings.graceMs
    }
    if (this.#isPaused) this.#askedMs = undefined
    if (this.#askedMs === undefined && nowMs - this.#heardMs >= pingIntervalMs) {
      this.#inner.write(controlFrame(opcodes.ping, noPayload))
      this.#askedMs = nowMs
    } else if (this.#askedMs !== undefined && nowMs - this.#askedMs >= pingIntervalMs) {
      this.#reason = { kind: 'timeout' }
      this.destroy()
      return Infinity
    }
    const sinceMs = this.#askedMs ?? this.#heardMs
    return Math.min(sinceMs + pingIntervalMs, this.#heardMs + timeoutMs, nowMs + maxWaitMs)
  }

  #start(): void {
    const { clock, keepAlive, pingIntervalMs, timeoutMs } = this.#settings
    const nowMs = clock.monotonic()
    this.#heardMs = nowMs
    const waitMs = Math.min(pingIntervalMs, timeoutMs, maxWaitMs)
    keepAlive.schedule(this, nowMs + waitMs)
    if (this.#isPaused) this.#inner.pause()
    this.#inner.attach(this)
  }

  #deliver(buffer: Buffer, start: number, end: number): void {
    try {
      this.#handler?.data(buffer, start, end)
    } catch (error) {
      this.#crashed(error)
    }
  }

  #deliverText(buffer: Buffer, start: number, end: number): void {
    // RFC 6455 §8.1
    if (isUtf8(buffer.subarray(start, end))) this.#deliver(buffer, start, end)
    else this.#fail(closeCodes.invalidData, 'not UTF-8', new Error('WebSocket text is not UTF-8'))
  }

  #gathered(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    flusher.add(this)
  }

  #hasRoom(): boolean {
    if (this.bufferedBytes < highWaterBytes) return true
    this.#wantsDrain = true
    return false
  }

  #writeHeader(opcode: typeof opcodes.text | typeof opcodes.binary, length: number): void {
    this.#inner.writeCopy(header, 0, writeFrameHeader(header, opcode, length))
  }

  /** Hands what was gathered to the transport below. */
  #writeOut(): void {
    const inner = this.#inner
    const batch = this.#batch
    if (this.#ping !== undefined && inner.bufferedBytes < highWaterBytes) {
      inner.write(controlFrame(opcodes.pong, this.#ping))
      this.#ping = undefined
    }
    while (batch.bytes > 0) {
      this.#writeHeader(opcodes.binary, Math.min(batch.bytes, maxFrameBytes))
      const whole = batch.takeWhole(maxFrameBytes)
      if (whole !== undefined) inner.write(whole)
      else for (const piece of batch.take(maxFrameBytes)) inner.write(piece)
    }
    // When the transport below is not full (any more), it does not say so.
    if (this.#wantsDrain && inner.bufferedBytes < highWaterBytes) {
      process.nextTick(WebSocket.#drained, this)
    }
  }

  /** RFC 6455 §5.5.1: the last frame of ours. */
  #sendClose(frame: Buffer): void {
    this.#writeOut()
    this.#phase = 'closing'
    this.#inner.write(frame)
    this.#inner.flush()
    this.#release()
  }

  #closeReceived(payload: Buffer): void {
    const code = payload.length >= 2 ? payload.readUInt16BE() : undefined
    if (payload.length === 1 || (code !== undefined && !isSendableCode(code))) {
      this.refused(closeCodes.protocolError, 'invalid code in a Close frame')
    } else if (!isUtf8(payload.subarray(2))) {
      this.refused(closeCodes.invalidData, 'the reason of a Close frame is not UTF-8')
    } else {
      this.#decoder.stop()
      if (this.#phase === 'open') {
        this.#reason = { kind: 'ended' }
        this.#sendClose(closeFrame(code))
      }
      this.#inner.close()
      WebSocket.#report(this)
    }
  }

  /** RFC 6455 §7.1.7 */
  #fail(code: CloseCode, why: string, error: Error): void {
    this.#decoder.stop()
    if (this.#phase === 'open') {
      this.#reason = { kind: 'error', error }
      this.#sendClose(closeFrame(code, why))
    }
    this.#inner.close()
    WebSocket.#report(this)
  }

  /** One catch for each connection: a bug met by one peer must not take the others down. */
  #crashed(cause: unknown): void {
    this.#settings.log.error({ err: cause, ip: this.peer.ip }, 'WebSocket handler failed')
    const error = cause instanceof Error ? cause : new Error('Handler failed', { cause })
    this.#fail(closeCodes.internalError, '', error)
  }

  #release(): void {
    this.#batch.clear()
    this.#ping = undefined
    this.#message = undefined
  }

  static #drained(this: void, socket: WebSocket): void {
    if (!socket.#wantsDrain || socket.#phase !== 'open') return
    if (socket.bufferedBytes >= highWaterBytes) return
    socket.#wantsDrain = false
    try {
      socket.#handler?.drain?.()
    } catch (error) {
      socket.#crashed(error)
    }
  }

  static #report(this: void, socket: WebSocket): void {
    const handler = socket.#handler
    if (socket.#isReported || handler === undefined) return
    socket.#isReported = true
    try {
      handler.closed(socket.#reason ?? { kind: 'local' })
    } catch (error) {
      socket.#crashed(error)
    }
  }
}
