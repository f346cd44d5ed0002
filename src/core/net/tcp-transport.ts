import type { Socket } from 'node:net'
import type { Clock, Timer } from '../clock.ts'
import { silentLog } from '../log.ts'
import type { Log } from '../log.ts'
import type {
  CloseReason,
  PeerAddress,
  TlsInfo,
  TlsServerSettings,
  Transport,
  TransportHandler,
} from '../transport.ts'
import { addressOf } from './address.ts'
import { flusher } from './flusher.ts'
import { sendTimeoutsOf } from './send-timeouts.ts'
import type { Sender } from './send-timeouts.ts'
import { SocketTlsInfo, handshake, handshakeTimeoutMs, wrapServerTls } from './tls-socket.ts'
import { WriteBatch } from './write-batch.ts'

/** Above this `write` returns false; the same as the sockets' own mark, whose `drain` ours relies on. */
export const highWaterBytes = 64 * 1024
const lowWaterBytes = highWaterBytes / 2
/** No more is given to the kernel at a time, so that a slow reader of much is seen to make progress. */
const writeLimit = 256 * 1024

/** What the transports of one listener have in common. */
export interface TransportSettings {
  readonly clock: Clock
  /** Told of exceptions that a protocol let through: each ends one connection. */
  readonly log: Log
  readonly sendTimeoutMs: number
  /** How long an orderly close may take. */
  readonly graceMs: number
  readonly handshakeTimeoutMs: number
  /** Overwrites what was read after each callback, so that tests find views that outlive it. */
  readonly poison: boolean
}

export function transportSettings(
  clock: Clock,
  settings: Partial<TransportSettings> = {},
): TransportSettings {
  return {
    clock,
    log: silentLog,
    sendTimeoutMs: 15_000,
    graceMs: 10_000,
    handshakeTimeoutMs,
    poison: process.env['LINNET_TEST_POISON'] === '1',
    ...settings,
  }
}

const owner: unique symbol = Symbol('transport')

/** The handlers of a socket's events are the same functions for all; they find the transport here. */
interface OwnedSocket extends Socket {
  [owner]?: TcpTransport
}

/** A TCP connection, or a connection to a Unix socket, with or without TLS. The socket must allow half-open connections. */
export class TcpTransport implements Transport, Sender {
  readonly peer: PeerAddress
  bytesRead = 0
  bytesWritten = 0
  readonly #settings: TransportSettings
  readonly #batch = new WriteBatch()
  #socket: OwnedSocket
  #handler: TransportHandler | undefined
  #tls: TlsInfo | undefined
  /** `switching`: to TLS, meanwhile nothing is written. */
  #phase: 'open' | 'switching' | 'closing' | 'closed' = 'open'
  #reason: CloseReason | undefined
  #isReported = false
  #isDirty = false
  #isPaused = false
  #wantsDrain = false
  #grace: Timer | undefined

  /** `tls` is what is known when `socket` is a TLS connection whose handshake is done. */
  constructor(socket: Socket, peer: PeerAddress, settings: TransportSettings, tls?: TlsInfo) {
    this.peer = peer
    this.#settings = settings
    this.#socket = socket
    this.#tls = tls
    this.#adopt(socket)
    if (socket.destroyed) this.#phase = 'closed'
  }

  get local(): PeerAddress {
    return addressOf(this.#socket.localAddress, this.#socket.localPort)
  }

  get kind(): 'tcp' | 'tls' {
    return this.#tls === undefined ? 'tcp' : 'tls'
  }

  get tls(): TlsInfo | undefined {
    return this.#tls
  }

  get bufferedBytes(): number {
    return this.#batch.bytes + this.#socket.writableLength
  }

  get isClosed(): boolean {
    return this.#phase === 'closing' || this.#phase === 'closed'
  }

  get sendTimeoutMs(): number {
    return this.#settings.sendTimeoutMs
  }

  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  get sentBytes(): number {
    return this.bytesWritten - this.#socket.writableLength
  }

  attach(handler: TransportHandler): void {
    const isFirst = this.#handler === undefined
    this.#handler = handler
    if (this.#phase === 'closed') {
      process.nextTick(TcpTransport.#report, this)
    } else if (isFirst && this.#phase === 'open') {
      this.#socket.on('data', TcpTransport.#onData)
      if (this.#isPaused) this.#socket.pause()
      else this.#socket.resume()
    }
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed) return true
    this.#batch.add(bytes)
    return this.#queued()
  }

  writeCopy(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.isClosed) return true
    this.#batch.addCopy(bytes, start, end)
    return this.#queued()
  }

  writeText(text: string): boolean {
    if (this.isClosed) return true
    this.#batch.addText(text)
    return this.#queued()
  }

  flush(): void {
    this.#isDirty = false
    if (this.#phase === 'switching' || this.#phase === 'closed') return
    this.#writeOut()
    const isDone = this.#phase === 'closing' && this.#batch.bytes === 0
    if (isDone && !this.#socket.destroyed) this.#socket.end()
  }

  pause(): void {
    this.#isPaused = true
    if (this.#phase === 'open') this.#socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    if (this.#phase === 'open' && this.#handler !== undefined) this.#socket.resume()
  }

  close(): void {
    if (this.isClosed) return
    this.#reason = { kind: 'local' }
    this.#shutDown()
  }

  destroy(): void {
    if (this.#phase === 'closed') return
    this.#reason ??= { kind: 'local' }
    this.#phase = 'closing'
    this.#batch.clear()
    this.#socket.destroy()
  }

  sendTimedOut(): void {
    this.#reason = { kind: 'timeout' }
    this.destroy()
  }

  async startTls(settings: TlsServerSettings, already?: Uint8Array): Promise<void> {
    if (this.#phase !== 'open' || this.#tls !== undefined) {
      throw new Error('TLS was already started or the connection is closed')
    }
    const raw = this.#socket
    raw.pause()
    raw.off('data', TcpTransport.#onData)
    if (already !== undefined && already.length > 0) raw.unshift(Buffer.from(already))
    this.flush()
    this.#phase = 'switching'
    // What is still queued belongs to the plain connection. Closing ends the wait, too.
    while (this.#batch.bytes > 0 && !raw.destroyed) {
      await new Promise<void>((resolve) => {
        raw.once('drain', resolve).once('close', resolve)
      })
      this.#writeOut()
    }
    if (raw.destroyed || this.#reason !== undefined) return
    const socket = wrapServerTls(raw, settings)
    if (socket === undefined) {
      this.#fail(new Error('There is no certificate for TLS'))
      return
    }
    this.#disown(raw)
    this.#socket = socket
    const error = await handshake(socket, this.#settings.clock, this.#settings.handshakeTimeoutMs)
    if (error !== undefined) {
      this.#reason ??= { kind: 'error', error }
      this.#finish()
      return
    }
    this.#tls = new SocketTlsInfo(socket)
    this.#phase = 'open'
    this.#adopt(socket)
    if (this.#handler !== undefined) socket.on('data', TcpTransport.#onData)
    if (this.#isPaused) socket.pause()
    else if (this.#handler !== undefined) socket.resume()
    if (this.#batch.bytes > 0) this.flush()
  }

  #queued(): boolean {
    if (!this.#isDirty) {
      this.#isDirty = true
      flusher.add(this)
    }
    if (this.#batch.bytes + this.#socket.writableLength < highWaterBytes) return true
    this.#wantsDrain = true
    return false
  }

  #writeOut(): void {
    const socket = this.#socket
    const batch = this.#batch
    // A full socket says `drain`, and what was gathered till then leaves at once.
    if (batch.bytes === 0 || socket.writableNeedDrain) return
    const whole = batch.takeWhole(writeLimit)
    if (whole === undefined) {
      this.#writePieces(batch.take(writeLimit))
    } else {
      this.bytesWritten += whole.length
      socket.write(whole)
    }
    if (socket.writableLength > 0) sendTimeoutsOf(this.#settings.clock).watch(this)
    else if (this.#wantsDrain && !socket.writableNeedDrain) {
      process.nextTick(TcpTransport.#drained, this)
    }
  }

  #writePieces(pieces: readonly Uint8Array[]): void {
    const socket = this.#socket
    // One writev for all of them.
    socket.cork()
    for (const piece of pieces) {
      this.bytesWritten += piece.length
      socket.write(piece)
    }
    socket.uncork()
  }

  #received(chunk: Buffer): void {
    this.bytesRead += chunk.length
    // After `close` the peer is only waited for.
    if (this.#phase !== 'open') return
    flusher.countRead()
    try {
      this.#handler?.data(chunk, 0, chunk.length)
    } catch (error) {
      this.#crashed(error)
    }
    if (this.#settings.poison) chunk.fill(0xdb)
  }

  /** Writes what is queued, then ends our side, and waits a while for the peer to end its. */
  #shutDown(): void {
    const wasSwitching = this.#phase === 'switching'
    this.#phase = 'closing'
    // A handshake in progress is not worth waiting for.
    if (wasSwitching) {
      this.#socket.destroy()
      return
    }
    this.#grace = this.#settings.clock.after(this.#settings.graceMs, () => this.destroy())
    // Reading goes on, without anybody listening, so that the peer's end is seen.
    this.#socket.resume()
    this.flush()
  }

  #fail(error: Error): void {
    this.#reason ??= { kind: 'error', error }
    this.destroy()
  }

  /** One catch for each connection: a bug met by one peer must not take the others down. */
  #crashed(cause: unknown): void {
    this.#settings.log.error({ err: cause, ip: this.peer.ip }, 'Connection handler failed')
    this.#fail(cause instanceof Error ? cause : new Error('Connection handler failed', { cause }))
  }

  #ended(): void {
    if (this.#phase !== 'open') return
    this.#reason = { kind: 'ended' }
    this.#shutDown()
    TcpTransport.#report(this)
  }

  #finish(): void {
    this.#phase = 'closed'
    this.#grace?.cancel()
    this.#batch.clear()
    this.#reason ??= { kind: 'local' }
    TcpTransport.#report(this)
  }

  #adopt(socket: OwnedSocket): void {
    socket[owner] = this
    socket.on('drain', TcpTransport.#onDrain)
    socket.on('end', TcpTransport.#onEnd)
    socket.on('error', TcpTransport.#onError)
    socket.on('close', TcpTransport.#onClose)
  }

  /** The socket below TLS keeps its error handler: errors show on either of the two. */
  #disown(socket: OwnedSocket): void {
    socket.off('drain', TcpTransport.#onDrain)
    socket.off('end', TcpTransport.#onEnd)
    socket.off('close', TcpTransport.#onClose)
  }

  static #onData(this: OwnedSocket, chunk: Buffer): void {
    const transport = this[owner]
    if (transport !== undefined) transport.#received(chunk)
  }

  static #onDrain(this: OwnedSocket): void {
    const transport = this[owner]
    if (transport !== undefined) TcpTransport.#drained(transport)
  }

  static #onEnd(this: OwnedSocket): void {
    const transport = this[owner]
    if (transport !== undefined) transport.#ended()
  }

  static #onError(this: OwnedSocket, error: Error): void {
    const transport = this[owner]
    if (transport !== undefined) transport.#reason ??= { kind: 'error', error }
  }

  static #onClose(this: OwnedSocket): void {
    const transport = this[owner]
    if (transport !== undefined) transport.#finish()
  }

  static #drained(this: void, transport: TcpTransport): void {
    transport.flush()
    if (!transport.#wantsDrain || transport.bufferedBytes > lowWaterBytes) return
    transport.#wantsDrain = false
    if (transport.#phase !== 'open') return
    try {
      transport.#handler?.drain?.()
    } catch (error) {
      transport.#crashed(error)
    }
  }

  static #report(this: void, transport: TcpTransport): void {
    const handler = transport.#handler
    if (transport.#isReported || handler === undefined) return
    transport.#isReported = true
    try {
      handler.closed(transport.#reason ?? { kind: 'local' })
    } catch (error) {
      transport.#crashed(error)
    }
  }
}
