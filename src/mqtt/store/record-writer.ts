import { utf8Length, writeUtf8 } from '../packet/utf8.ts'

const firstCapacity = 512

/** Bytes that grow as they are written: LEB128 numbers, and texts and blobs with their length in front. */
export class RecordWriter {
  #bytes = new Uint8Array(firstCapacity)
  #length = 0

  get length(): number {
    return this.#length
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  /** A whole number from 0 to 2^53 - 1. */
  number(value: number): void {
    this.#reserve(8)
    let rest = value
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#length++] = rest
  }

  text(text: string): void {
    const length = utf8Length(text)
    this.number(length)
    this.#reserve(length)
    this.#length = writeUtf8(text, this.#bytes, this.#length)
  }

  blob(bytes: Uint8Array): void {
    this.number(bytes.length)
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** A copy of what was written; the writer begins anew. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length)
    // A burst must not hold its memory for ever.
    if (this.#bytes.length > 65_536) this.#bytes = new Uint8Array(firstCapacity)
    this.#length = 0
    return taken
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

/** Reads what a {@link RecordWriter} wrote. Throws on bytes that it cannot have written. */
export class RecordReader {
  readonly #bytes: Uint8Array
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length
  }

  u8(): number {
    const byte = this.#bytes[this.#offset++]
    if (byte === undefined) throw truncated()
    return byte
  }

  number(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.u8()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) break
    }
    if (!Number.isSafeInteger(value)) throw truncated()
    return value
  }

  text(): string {
    return Buffer.from(this.#range()).toString('utf8')
  }

  /** A copy of its own. */
  blob(): Uint8Array {
    return new Uint8Array(this.#range())
  }

  #range(): Uint8Array {
    const length = this.number()
    const end = this.#offset + length
    if (end > this.#bytes.length) throw truncated()
    const range = this.#bytes.subarray(this.#offset, end)
    this.#offset = end
    return range
  }
}

function truncated(): Error {
  return new Error('Stored MQTT state is damaged')
}
