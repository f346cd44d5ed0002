import { deflateSync, inflateSync } from 'node:zlib'
import { err, ok } from './result.ts'
import type { Result } from './result.ts'
import { list, readList } from './erlang-term.ts'
import type { ErlangTerm } from './erlang-term.ts'

export type ErlangExternalError =
  | 'not-external-term'
  | 'truncated'
  | 'bytes-after-term'
  | 'too-deep'
  | 'too-large'
  | 'malformed'
  /** A pid, port, reference, fun, bit string or atom cache reference. */
  | 'unsupported'

export interface ErlangExternalOptions {
  /** Bounds the bytes of a term, once it is expanded if it was compressed. */
  readonly maxBytes?: number
  readonly maxDepth?: number
}

const defaultMaxBytes = 1 << 20
const defaultMaxDepth = 128
/** Making a bigint takes time that grows faster than its length. */
const maxBigBytes = 1024

const version = 131
const compressed = 80

/** The tags of the Erlang external term format. */
const tags = {
  newFloat: 70,
  smallInteger: 97,
  integer: 98,
  float: 99,
  atom: 100,
  smallTuple: 104,
  largeTuple: 105,
  nil: 106,
  string: 107,
  list: 108,
  binary: 109,
  smallBig: 110,
  largeBig: 111,
  smallAtom: 115,
  map: 116,
  atomUtf8: 118,
  smallAtomUtf8: 119,
} as const

/** Pid, port, reference, fun, export, bit string, atom cache, in all their versions. */
const unsupportedTags: ReadonlySet<number> = new Set([
  77, 82, 88, 89, 90, 101, 102, 103, 112, 113, 114, 117, 120, 121,
])

/**
 * Decodes the output of Erlang's `term_to_binary`. Binaries are views of `bytes`, unless it was
 * compressed.
 */
export function decodeExternalTerm(
  bytes: Uint8Array,
  options: ErlangExternalOptions = {},
): Result<ErlangTerm, ErlangExternalError> {
  if (bytes[0] !== version) return err('not-external-term')
  const maxBytes = options.maxBytes ?? defaultMaxBytes
  if (bytes.length > maxBytes) return err('too-large')
  try {
    const content = bytes[1] === compressed ? inflate(bytes, maxBytes) : bytes.subarray(1)
    const decoder = new Decoder(content, options.maxDepth ?? defaultMaxDepth)
    return ok(decoder.decodeWhole())
  } catch (error) {
    if (error instanceof Malformed) return err(error.reason)
    throw error
  }
}

/** Leaves the decoder's recursion; never leaves this file. */
class Malformed extends Error {
  readonly reason: ErlangExternalError

  constructor(reason: ErlangExternalError) {
    super(reason)
    this.name = 'Malformed'
    this.reason = reason
  }
}

/** 131, 80, the size once expanded in 4 bytes, zlib stream. */
function inflate(bytes: Uint8Array, maxBytes: number): Uint8Array {
  if (bytes.length < 6) throw new Malformed('truncated')
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(2)
  if (size > maxBytes) throw new Malformed('too-large')
  let expanded: Uint8Array
  try {
    // One byte more than announced is enough to tell that the announcement was wrong.
    expanded = inflateSync(bytes.subarray(6), { maxOutputLength: size + 1 })
  } catch {
    // Whatever zlib has to say about it, the stream is broken.
    throw new Malformed('malformed')
  }
  if (expanded.length !== size) throw new Malformed('malformed')
  return expanded
}

class Decoder {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #maxDepth: number
  #at = 0

  constructor(bytes: Uint8Array, maxDepth: number) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#maxDepth = maxDepth
  }

  decodeWhole(): ErlangTerm {
    const term = this.#decodeTerm(0)
    if (this.#at !== this.#bytes.length) throw new Malformed('bytes-after-term')
    return term
  }

  #decodeTerm(depth: number): ErlangTerm {
    if (depth > this.#maxDepth) throw new Malformed('too-deep')
    const tag = this.#uint8()
    switch (tag) {
      case tags.smallInteger:
        return { kind: 'integer', value: BigInt(this.#uint8()) }
      case tags.integer:
        return { kind: 'integer', value: BigInt(this.#view.getInt32(this.#take(4))) }
      case tags.smallBig:
        return this.#decodeBig(this.#uint8())
      case tags.largeBig:
        return this.#decodeBig(this.#uint32())
      case tags.newFloat:
        return finite(this.#view.getFloat64(this.#take(8)))
      case tags.float:
        return this.#decodeOldFloat()
      case tags.atom:
        return this.#decodeAtom(this.#uint16(), 'latin1')
      case tags.smallAtom:
        return this.#decodeAtom(this.#uint8(), 'latin1')
      case tags.atomUtf8:
        return this.#decodeAtom(this.#uint16(), 'utf8')
      case tags.smallAtomUtf8:
        return this.#decodeAtom(this.#uint8(), 'utf8')
      case tags.smallTuple:
        return { kind: 'tuple', items: this.#decodeTerms(this.#uint8(), depth) }
      case tags.largeTuple:
        return { kind: 'tuple', items: this.#decodeTerms(this.#uint32(), depth) }
      case tags.nil:
        return list([])
      case tags.string:
        return { kind: 'string', text: toText(this.#slice(this.#uint16()), 'latin1') }
      case tags.list:
        return this.#decodeList(depth)
      case tags.binary:
        return { kind: 'binary', bytes: this.#slice(this.#uint32()) }
      case tags.map:
        return this.#decodeMap(depth)
      default:
        throw new Malformed(unsupportedTags.has(tag) ? 'unsupported' : 'malformed')
    }
  }

  #decodeTerms(count: number, depth: number): ErlangTerm[] {
    // A term takes a byte at least: an announcement beyond what there is must not make a huge
    // array.
    if (count > this.#bytes.length - this.#at) throw new Malformed('truncated')
    const terms: ErlangTerm[] = []
    for (let i = 0; i < count; i++) terms.push(this.#decodeTerm(depth + 1))
    return terms
  }

  #decodeList(depth: number): ErlangTerm {
    const items = this.#decodeTerms(this.#uint32(), depth)
    const tail = this.#decodeTerm(depth + 1)
    if (tail.kind === 'list') return { ...tail, items: [...items, ...tail.items] }
    const more = readList(tail)
    return more === undefined ? { kind: 'list', items, tail } : list([...items, ...more])
  }

  #decodeMap(depth: number): ErlangTerm {
    const terms = this.#decodeTerms(2 * this.#uint32(), depth)
    const entries: [ErlangTerm, ErlangTerm][] = []
    for (let i = 0; i + 1 < terms.length; i += 2) {
      const [key, value] = terms.slice(i, i + 2)
      if (key !== undefined && value !== undefined) entries.push([key, value])
    }
    return { kind: 'map', entries }
  }

  /** A sign byte, then the magnitude with the least byte first. */
  #decodeBig(size: number): ErlangTerm {
    if (size > maxBigBytes) throw new Malformed('too-large')
    const sign = this.#uint8()
    const hex = Buffer.from(this.#slice(size)).reverse().toString('hex')
    const magnitude = BigInt(`0x0${hex}`)
    return { kind: 'integer', value: sign === 0 ? magnitude : -magnitude }
  }

  /** 31 bytes of `%.20e`, padded with zero bytes. */
  #decodeOldFloat(): ErlangTerm {
    const text = toText(this.#slice(31), 'latin1').replace(/\0.*$/s, '')
    if (!/^\s*[+-]?\d+\.\d+e[+-]\d+$/.test(text)) throw new Malformed('malformed')
    return finite(Number(text))
  }

  #decodeAtom(size: number, encoding: 'latin1' | 'utf8'): ErlangTerm {
    return { kind: 'atom', name: toText(this.#slice(size), encoding) }
  }

  #uint8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  #uint16(): number {
    return this.#view.getUint16(this.#take(2))
  }

  #uint32(): number {
    return this.#view.getUint32(this.#take(4))
  }

  #slice(size: number): Uint8Array {
    const start = this.#take(size)
    return this.#bytes.subarray(start, start + size)
  }

  /** Steps over that many bytes and says where they start. */
  #take(size: number): number {
    const start = this.#at
    if (size > this.#bytes.length - start) throw new Malformed('truncated')
    this.#at = start + size
    return start
  }
}

function finite(value: number): ErlangTerm {
  if (!Number.isFinite(value)) throw new Malformed('malformed')
  return { kind: 'float', value }
}

function toText(bytes: Uint8Array, encoding: 'latin1' | 'utf8'): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding)
}

/** Encodes a term as Erlang's `term_to_binary` does, `compress` as with its option `compressed`. */
export function encodeExternalTerm(
  term: ErlangTerm,
  options: { readonly compress?: boolean } = {},
): Buffer {
  const parts: Uint8Array[] = []
  encodeTerm(term, parts)
  const content = Buffer.concat(parts)
  if (options.compress !== true) return Buffer.concat([Buffer.of(version), content])
  const packed = deflateSync(content)
  // As in Erlang: not if that makes it longer.
  if (packed.length + 5 >= content.length) return Buffer.concat([Buffer.of(version), content])
  return Buffer.concat([Buffer.of(version, compressed), uint32(content.length), packed])
}

function encodeTerm(term: ErlangTerm, parts: Uint8Array[]): void {
  switch (term.kind) {
    case 'atom': {
      const name = Buffer.from(term.name)
      if (name.length < 256) parts.push(Buffer.of(tags.smallAtomUtf8, name.length), name)
      else parts.push(Buffer.of(tags.atomUtf8, name.length >> 8, name.length & 255), name)
      return
    }
    case 'integer':
      parts.push(encodeInteger(term.value))
      return
    case 'float': {
      const bytes = Buffer.alloc(9, tags.newFloat)
      bytes.writeDoubleBE(term.value, 1)
      parts.push(bytes)
      return
    }
    case 'binary':
      parts.push(Buffer.of(tags.binary), uint32(term.bytes.length), term.bytes)
      return
    case 'string':
      encodeString(term.text, parts)
      return
    case 'tuple': {
      const { length } = term.items
      if (length < 256) parts.push(Buffer.of(tags.smallTuple, length))
      else parts.push(Buffer.of(tags.largeTuple), uint32(length))
      for (const item of term.items) encodeTerm(item, parts)
      return
    }
    case 'list':
      encodeList(term.items, term.tail, parts)
      return
    case 'map':
      parts.push(Buffer.of(tags.map), uint32(term.entries.length))
      for (const entry of term.entries) for (const part of entry) encodeTerm(part, parts)
  }
}

/** Characters up to 255 are packed, as Erlang does, if there are not too many. */
function encodeString(text: string, parts: Uint8Array[]): void {
  if (text !== '' && text.length < 65536 && /^[\0-\xff]*$/.test(text)) {
    parts.push(Buffer.of(tags.string, text.length >> 8, text.length & 255))
    parts.push(Buffer.from(text, 'latin1'))
  } else {
    encodeList(readList({ kind: 'string', text }) ?? [], undefined, parts)
  }
}

function encodeList(
  items: readonly ErlangTerm[],
  tail: ErlangTerm | undefined,
  parts: Uint8Array[],
): void {
  if (items.length > 0) {
    parts.push(Buffer.of(tags.list), uint32(items.length))
    for (const item of items) encodeTerm(item, parts)
  }
  if (tail === undefined) parts.push(Buffer.of(tags.nil))
  else encodeTerm(tail, parts)
}

function encodeInteger(value: bigint): Uint8Array {
  if (value >= 0n && value < 256n) return Buffer.of(tags.smallInteger, Number(value))
  if (BigInt.asIntN(32, value) === value) {
    const bytes = Buffer.alloc(5, tags.integer)
    bytes.writeInt32BE(Number(value), 1)
    return bytes
  }
  const hex = (value < 0n ? -value : value).toString(16)
  const magnitude = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').reverse()
  const sign = value < 0n ? 1 : 0
  const head =
    magnitude.length < 256
      ? Buffer.of(tags.smallBig, magnitude.length, sign)
      : Buffer.concat([Buffer.of(tags.largeBig), uint32(magnitude.length), Buffer.of(sign)])
  return Buffer.concat([head, magnitude])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
