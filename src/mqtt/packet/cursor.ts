import { ReasonCode } from './reason-code.ts'
import { topicBytesFault } from './topic-syntax.ts'
import { decodeUtf8, isUtf8String } from './utf8.ts'

/** Why bytes are no packet: the code for CONNACK or DISCONNECT, and a sentence for the log. */
export interface Fault {
  readonly reasonCode: ReasonCode
  readonly detail: string
}

/**
 * Reads the fields of one packet. The first fault sticks and moves the cursor to its end, so that
 * callers read on with zeros and look at `fault` once, where the packet is complete.
 *
 * Texts and binaries are copied out; `textStart` and `textEnd` are ranges of `bytes`.
 */
export class Cursor {
  bytes: Uint8Array
  offset: number
  end: number
  fault: Fault | undefined = undefined
  /** Where the last string or binary stood, without its length. */
  textStart = 0
  textEnd = 0

  constructor(bytes: Uint8Array, offset: number, end: number) {
    this.bytes = bytes
    this.offset = offset
    this.end = end
  }

  reset(bytes: Uint8Array, offset: number, end: number): void {
    this.bytes = bytes
    this.offset = offset
    this.end = end
    this.fault = undefined
  }

  fail(reasonCode: ReasonCode, detail: string): void {
    this.fault ??= { reasonCode, detail }
    this.offset = this.end
  }

  malformed(detail: string): void {
    this.fail(ReasonCode.malformedPacket, detail)
  }

  get remaining(): number {
    return this.end - this.offset
  }

  u8(): number {
    if (this.offset + 1 > this.end) return this.#short()
    return this.bytes[this.offset++] ?? 0
  }

  u16(): number {
    if (this.offset + 2 > this.end) return this.#short()
    const at = this.offset
    this.offset = at + 2
    return ((this.bytes[at] ?? 0) << 8) | (this.bytes[at + 1] ?? 0)
  }

  u32(): number {
    const high = this.u16()
    return high * 65_536 + this.u16()
  }

  /** A Variable Byte Integer of at most four bytes, in its shortest form (MQTT5 1.5.5-1). */
  variableByteInteger(): number {
    let value = 0
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.offset >= this.end) return this.#short()
      const byte = this.bytes[this.offset++] ?? 0
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) {
          this.malformed('Variable Byte Integer is longer than needed (MQTT5 1.5.5-1)')
          return 0
        }
        return value
      }
    }
    this.malformed('Variable Byte Integer has more than four bytes (MQTT5 1.5.5)')
    return 0
  }

  /** Moves over a UTF-8 Encoded String and checks it (MQTT5 1.5.4-1, 1.5.4-2; MQTT3 1.5.3-1, 1.5.3-2). */
  skipText(what: string): void {
    this.skipBinary()
    if (!isUtf8String(this.bytes, this.textStart, this.textEnd)) {
      this.malformed(`${what} is not a UTF-8 Encoded String (MQTT5 1.5.4)`)
    }
  }

  text(what: string): string {
    this.skipText(what)
    return this.fault ? '' : decodeUtf8(this.bytes, this.textStart, this.textEnd)
  }

  /** Moves over binary data with its two-byte length. */
  skipBinary(): void {
    const length = this.u16()
    if (length > this.end - this.offset) {
      this.textStart = this.textEnd = this.offset
      this.#short()
      return
    }
    this.textStart = this.offset
    this.textEnd = this.offset += length
  }

  /** A copy of binary data. */
  binary(): Uint8Array {
    this.skipBinary()
    return copyOf(this.bytes, this.textStart, this.textEnd)
  }

  /** Moves over a topic name and checks it; whether it may be empty is the caller's rule. */
  skipTopicName(what: string): void {
    this.skipBinary()
    const fault = topicBytesFault(this.bytes, this.textStart, this.textEnd)
    if (fault === undefined) return
    if (fault === 'wildcard') {
      // MQTT5 3.3.2-2, 3.3.2-14; MQTT3 3.3.2-2.
      this.fail(ReasonCode.topicNameInvalid, `${what} has a wildcard (MQTT5 4.7.0-1)`)
    } else {
      this.malformed(`${what} is not a UTF-8 Encoded String (MQTT5 1.5.4)`)
    }
  }

  #short(): 0 {
    this.malformed('Packet ends inside a field')
    return 0
  }
}

/**
 * An owned copy of a range as a plain Uint8Array: Buffer.prototype.slice would hand out a view, and a
 * Buffer compares unequal to the same bytes from a browser.
 */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  copy.set(bytes.subarray(start, end))
  return copy
}
