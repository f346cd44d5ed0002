import { variableByteIntegerLength } from './size.ts'
import { utf8Length, writeUtf8 } from './utf8.ts'

/**
 * Writes fields one after another. Without a target it only counts, so that a layout is written down
 * once and serves for the length in front of it as well.
 */
export class Writer {
  offset: number
  readonly #target: Uint8Array | undefined

  constructor(target: Uint8Array | undefined, offset: number) {
    this.#target = target
    this.offset = offset
  }

  /** How many bytes `write` would take. */
  measure(write: (writer: Writer) => void): number {
    const measuring = new Writer(undefined, 0)
    write(measuring)
    return measuring.offset
  }

  u8(value: number): void {
    if (this.#target !== undefined) this.#target[this.offset] = value
    this.offset += 1
  }

  u16(value: number): void {
    if (this.#target !== undefined) {
      this.#target[this.offset] = value >>> 8
      this.#target[this.offset + 1] = value & 0xff
    }
    this.offset += 2
  }

  u32(value: number): void {
    this.u16(Math.floor(value / 65_536))
    this.u16(value & 0xffff)
  }

  variableByteInteger(value: number): void {
    if (this.#target === undefined) this.offset += variableByteIntegerLength(value)
    else this.offset = writeVariableByteInteger(this.#target, this.offset, value)
  }

  text(text: string): void {
    if (this.#target === undefined) {
      this.offset += 2 + textLength(text)
      return
    }
    const start = this.offset + 2
    const end = writeUtf8(text, this.#target, start)
    this.u16(end - start)
    this.offset = end
  }

  binary(bytes: Uint8Array): void {
    if (bytes.length > 65_535) {
      throw new RangeError(`Cannot encode binary data of ${bytes.length} bytes: more than 65535`)
    }
    this.u16(bytes.length)
    this.raw(bytes)
  }

  raw(bytes: Uint8Array): void {
    this.#target?.set(bytes, this.offset)
    this.offset += bytes.length
  }
}

function textLength(text: string): number {
  const length = utf8Length(text)
  if (length > 65_535)
    throw new RangeError(`Cannot encode a string of ${length} bytes: more than 65535`)
  return length
}

/** Writes a Variable Byte Integer and returns the offset behind it. */
export function writeVariableByteInteger(
  target: Uint8Array,
  offset: number,
  value: number,
): number {
  let at = offset
  let rest = value
  while (rest > 127) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  return at
}
