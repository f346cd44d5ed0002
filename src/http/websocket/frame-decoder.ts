import { closeCodes } from './close-code.ts'
import type { CloseCode } from './close-code.ts'
import { maxControlBytes, opcodes } from './frame.ts'
import type { ControlOpcode } from './frame.ts'
import { unmask } from './unmask.ts'

/** Hears what a decoder finds. Ranges and buffers are only good during the call. */
export interface FrameSink {
  /** A piece of the current message, maybe an empty one; `isLast` when the message ends with it. */
  piece(buffer: Buffer, start: number, end: number, isLast: boolean): void
  /** A whole control frame; they may come between pieces of a message. */
  control(opcode: ControlOpcode, payload: Buffer): void
  /** The peer broke a rule. Nothing is called afterwards. */
  refused(code: CloseCode, why: string): void
}

// What the next byte is. Numbers, since every connection has one of these.
const atFirst = 0
const atSecond = 1
const atLength = 2
const atMask = 3
const atPayload = 4
const stopped = 5

/**
 * Reads the frames of a client, or of a server, which masks nothing (RFC 6455 §5). Payload is unmasked in the buffer that it came
 * in and handed on at once, so that nothing is held but a few numbers, and a control frame whose end is not there yet.
 */
export class FrameDecoder {
  readonly #dataOpcode: number
  readonly #maxMessageBytes: number
  readonly #isMasked: boolean
  #state = atFirst
  #opcode = 0
  #isFinal = false
  #isInMessage = false
  /** Of the message so far, the current frame included. */
  #messageBytes = 0
  /** Bytes of the length or of the mask that are still to come. */
  #left = 0
  #length = 0
  /** What would have fitted into a shorter form of the length is less. */
  #leastLength = 0
  #mask = 0
  /** How much of the payload was read. */
  #done = 0
  #control: Buffer | undefined

  /** Messages of the other kind are refused. */
  constructor(
    accepts: 'binary' | 'text',
    maxMessageBytes: number,
    sender: 'client' | 'server' = 'client',
  ) {
    this.#dataOpcode = opcodes[accepts]
    this.#maxMessageBytes = maxMessageBytes
    this.#isMasked = sender === 'client'
  }

  /** Ignores whatever comes from now on. */
  stop(): void {
    this.#state = stopped
    this.#control = undefined
  }

  /** Reads a range of bytes, which are overwritten. */
  push(sink: FrameSink, buffer: Buffer, start: number, end: number): void {
    let i = start
    while (i < end) {
      switch (this.#state) {
        case atFirst:
          this.#readFirst(sink, buffer[i++] ?? 0)
          break
        case atSecond:
          this.#readSecond(sink, buffer, i++)
          break
        case atLength:
          this.#length = this.#length * 256 + (buffer[i++] ?? 0)
          if (--this.#left === 0) this.#lengthRead(sink, buffer, i)
          break
        case atMask:
          this.#mask = (this.#mask << 8) | (buffer[i++] ?? 0)
          if (--this.#left === 0) this.#beginPayload(sink, buffer, i)
          break
        case atPayload: {
          const stop = Math.min(end, i + this.#length - this.#done)
          this.#readPayload(sink, buffer, i, stop)
          i = stop
          break
        }
        default:
          return
      }
    }
  }

  #readFirst(sink: FrameSink, byte: number): void {
    const opcode = byte & 0x0f
    this.#opcode = opcode
    this.#isFinal = (byte & 0x80) !== 0
    this.#state = atSecond
    // RFC 6455 §5.2: no extension was agreed upon that would give them a meaning.
    if ((byte & 0x70) !== 0) this.#refuse(sink, closeCodes.protocolError, 'reserved bits are set')
    else if (opcode >= opcodes.close) this.#checkControl(sink, opcode)
    else if (opcode > opcodes.binary) this.#refuseOpcode(sink)
    else if ((opcode === opcodes.continuation) !== this.#isInMessage) {
      const why = this.#isInMessage ? 'the message before has no end' : 'nothing to continue'
      // RFC 6455 §5.4
      this.#refuse(sink, closeCodes.protocolError, why)
    } else if (opcode !== opcodes.continuation && opcode !== this.#dataOpcode) {
      const kind = opcode === opcodes.text ? 'text' : 'binary'
      this.#refuse(sink, closeCodes.unsupportedData, `${kind} is not expected here`)
    }
  }

  #checkControl(sink: FrameSink, opcode: number): void {
    if (opcode > opcodes.pong) this.#refuseOpcode(sink)
    // RFC 6455 §5.5
    else if (!this.#isFinal) {
      this.#refuse(sink, closeCodes.protocolError, 'a control frame is fragmented')
    }
  }

  #refuseOpcode(sink: FrameSink): void {
    this.#refuse(sink, closeCodes.protocolError, 'unknown kind of frame')
  }

  #readSecond(sink: FrameSink, buffer: Buffer, at: number): void {
    const byte = buffer[at] ?? 0
    const length = byte & 0x7f
    const isMasked = (byte & 0x80) !== 0
    if (isMasked !== this.#isMasked) {
      // RFC 6455 §5.1
      const why = isMasked
        ? 'frames of servers are not masked'
        : 'frames of clients have to be masked'
      this.#refuse(sink, closeCodes.protocolError, why)
    } else if (length < 126) {
      this.#length = length
      this.#lengthKnown(sink, buffer, at + 1)
    } else {
      this.#length = 0
      this.#left = length === 126 ? 2 : 8
      this.#leastLength = length === 126 ? maxControlBytes + 1 : 0x1_0000
      this.#state = atLength
      if (this.#opcode >= opcodes.close) {
        this.#refuse(sink, closeCodes.protocolError, 'a control frame is too long')
      }
    }
  }

  #lengthRead(sink: FrameSink, buffer: Buffer, at: number): void {
    // RFC 6455 §5.2
    if (this.#length < this.#leastLength) {
      this.#refuse(sink, closeCodes.protocolError, 'a length is not in its shortest form')
    } else if (this.#length >= 2 ** 63) {
      this.#refuse(sink, closeCodes.protocolError, 'a length has its first bit set')
    } else {
      this.#lengthKnown(sink, buffer, at)
    }
  }

  #lengthKnown(sink: FrameSink, buffer: Buffer, at: number): void {
    if (this.#opcode < opcodes.close) {
      if (this.#opcode !== opcodes.continuation) this.#messageBytes = 0
      this.#messageBytes += this.#length
      // Beyond that JavaScript does not count reliably.
      const most = Math.min(this.#maxMessageBytes, Number.MAX_SAFE_INTEGER)
      if (this.#messageBytes > most) {
        this.#refuse(sink, closeCodes.tooBig, 'the message is too big')
        return
      }
    }
    this.#mask = 0
    if (this.#isMasked) {
      this.#left = 4
      this.#state = atMask
    } else this.#beginPayload(sink, buffer, at)
  }

  #beginPayload(sink: FrameSink, buffer: Buffer, at: number): void {
    this.#state = atPayload
    this.#done = 0
    if (this.#length === 0) this.#readPayload(sink, buffer, at, at)
  }

  #readPayload(sink: FrameSink, buffer: Buffer, start: number, end: number): void {
    if (this.#isMasked) unmask(buffer, start, end, this.#mask, this.#done)
    this.#done += end - start
    const isWhole = this.#done === this.#length
    if (isWhole) this.#state = atFirst
    if (this.#opcode < opcodes.close) {
      const isLast = isWhole && this.#isFinal
      this.#isInMessage = !isLast
      // An end that carries nothing still ends its message.
      if (end > start || isLast) sink.piece(buffer, start, end, isLast)
    } else {
      this.#readControl(sink, buffer, start, end, isWhole)
    }
  }

  #readControl(
    sink: FrameSink,
    buffer: Buffer,
    start: number,
    end: number,
    isWhole: boolean,
  ): void {
    let payload = this.#control
    if (payload === undefined && isWhole) payload = buffer.subarray(start, end)
    else {
      payload ??= Buffer.allocUnsafe(this.#length)
      payload.set(buffer.subarray(start, end), this.#done - (end - start))
      this.#control = payload
    }
    if (!isWhole) return
    this.#control = undefined
    switch (this.#opcode) {
      case opcodes.close:
      case opcodes.ping:
      case opcodes.pong:
        sink.control(this.#opcode, payload)
        break
    }
  }

  #refuse(sink: FrameSink, code: CloseCode, why: string): void {
    this.stop()
    sink.refused(code, why)
  }
}
