import { err, ok } from './result.ts'
import type { Result } from './result.ts'
import { atom, float, list, map, readList, string, tuple } from './erlang-term.ts'
import type { ErlangTerm } from './erlang-term.ts'

export interface ErlangTextError {
  readonly reason:
    | 'unexpected-character'
    | 'unexpected-end'
    | 'text-after-term'
    | 'bad-escape'
    | 'bad-number'
    | 'not-a-byte'
    | 'too-deep'
    /** A term that cannot be read back by Erlang either (pid, reference, fun), or a bit string. */
    | 'unsupported'
  /** Index of the UTF-16 unit where it was noticed. */
  readonly at: number
}

export interface ErlangTextOptions {
  /**
   * What a character beyond ASCII in `<<"...">>` stands for. ejabberd prints binaries as bytes into
   * columns which hold UTF-8, so it stands for its UTF-8 bytes; in text printed with the encoding
   * latin1 for the byte of its code.
   */
  readonly characters?: 'utf8' | 'latin1'
  readonly maxDepth?: number
}

/**
 * Parses what `~p` and `~w` print: one term, with or without a dot behind it. Spaces and comments
 * are skipped.
 */
export function parseErlangTerm(
  text: string,
  options: ErlangTextOptions = {},
): Result<ErlangTerm, ErlangTextError> {
  const reader = new Reader(text, options)
  try {
    return ok(reader.readWhole())
  } catch (error) {
    if (error instanceof Malformed) return err({ reason: error.reason, at: error.at })
    throw error
  }
}

/** Leaves the reader's recursion; never leaves this file. */
class Malformed extends Error {
  readonly reason: ErlangTextError['reason']
  readonly at: number

  constructor(reason: ErlangTextError['reason'], at: number) {
    super(reason)
    this.name = 'Malformed'
    this.reason = reason
    this.at = at
  }
}

const defaultMaxDepth = 128
/** Reading a number takes time that grows faster than its length. */
const maxDigits = 1000

const spaces = /(?:[\s\0]|%[^\n]*)*/y
const bareAtom = /[a-z\u00DF-\u00F6\u00F8-\u00FF][\w@\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u00FF]*/y
const number = /[+-]?\d+(?:\.\d+(?:[eE][+-]?\d+)?)?/y
const typeSuffix = /\s*\/\s*utf8/y
const hexEscape = /x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))/y
const octalEscape = /[0-7]{1,3}/y
const controlEscape = /\^([@-_a-z?])/y

const namedEscapes: ReadonlyMap<string, number> = new Map([
  ['b', 8],
  ['d', 127],
  ['e', 27],
  ['f', 12],
  ['n', 10],
  ['r', 13],
  ['s', 32],
  ['t', 9],
  ['v', 11],
])

/**
 * A character of a quoted part. An escape names a code; a raw character is what the column's text
 * had.
 */
interface Character {
  readonly code: number
  readonly isRaw: boolean
}

class Reader {
  readonly #text: string
  readonly #isLatin1: boolean
  readonly #maxDepth: number
  #at = 0

  constructor(text: string, options: ErlangTextOptions) {
    this.#text = text
    this.#isLatin1 = options.characters === 'latin1'
    this.#maxDepth = options.maxDepth ?? defaultMaxDepth
  }

  readWhole(): ErlangTerm {
    const term = this.#readTerm(0)
    this.#skip('.')
    if (this.#peek() !== '') throw new Malformed('text-after-term', this.#at)
    return term
  }

  #readTerm(depth: number): ErlangTerm {
    if (depth > this.#maxDepth) throw new Malformed('too-deep', this.#at)
    const next = this.#peek()
    if (next === '{') {
      this.#expect('{')
      return tuple(...this.#readItems('}', depth))
    }
    if (next === '[') return this.#readList(depth)
    if (next === '<') return this.#readBinary()
    if (next === '#') return this.#readMap(depth)
    if (next === '"') return string(this.#readStrings())
    if (next === "'") return atom(textOf(this.#readQuoted("'")))
    if (/[\d+-]/.test(next)) return this.#readNumber()
    const name = this.#match(bareAtom)
    if (name === undefined) throw this.#unexpected()
    return atom(name[0])
  }

  #readList(depth: number): ErlangTerm {
    this.#expect('[')
    if (this.#skip(']')) return list([])
    const items = [this.#readTerm(depth + 1)]
    while (this.#skip(',')) items.push(this.#readTerm(depth + 1))
    if (!this.#skip('|')) {
      this.#expect(']')
      return list(items)
    }
    const tail = this.#readTerm(depth + 1)
    this.#expect(']')
    // [a | [b]] is [a, b], and so is [a | "b"].
    if (tail.kind === 'list') return { ...tail, items: [...items, ...tail.items] }
    const more = readList(tail)
    return more === undefined ? { kind: 'list', items, tail } : list([...items, ...more])
  }

  /** Terms with commas between them up to the bracket, which is consumed. */
  #readItems(close: string, depth: number): ErlangTerm[] {
    if (this.#skip(close)) return []
    const items = [this.#readTerm(depth + 1)]
    while (this.#skip(',')) items.push(this.#readTerm(depth + 1))
    this.#expect(close)
    return items
  }

  #readMap(depth: number): ErlangTerm {
    const start = this.#at
    this.#expect('#')
    // #Ref<0.1.2.3>, #Fun<module.1.2>, #Port<0.1>
    if (this.#text[this.#at] !== '{') throw new Malformed('unsupported', start)
    this.#expect('{')
    const entries: [ErlangTerm, ErlangTerm][] = []
    if (this.#skip('}')) return map(entries)
    do {
      const key = this.#readTerm(depth + 1)
      this.#expect('=>')
      entries.push([key, this.#readTerm(depth + 1)])
    } while (this.#skip(','))
    this.#expect('}')
    return map(entries)
  }

  #readNumber(): ErlangTerm {
    const start = this.#at
    const [digits] = this.#match(number) ?? ['']
    if (digits.length > maxDigits) throw new Malformed('bad-number', start)
    // "16#ff" and "$a" are never printed.
    if (digits === '' || /[\w#]/.test(this.#text[this.#at] ?? '')) {
      throw new Malformed('bad-number', start)
    }
    if (!digits.includes('.')) return { kind: 'integer', value: BigInt(digits.replace('+', '')) }
    const value = Number(digits)
    if (!Number.isFinite(value)) throw new Malformed('bad-number', start)
    return float(value)
  }

  #readBinary(): ErlangTerm {
    const start = this.#at
    this.#expect('<')
    // <0.123.0> is a pid.
    if (this.#text[this.#at] !== '<') throw new Malformed('unsupported', start)
    this.#expect('<')
    const bytes: number[] = []
    if (!this.#skip('>>')) {
      do this.#readSegment(bytes)
      while (this.#skip(','))
      this.#expect('>>')
    }
    return { kind: 'binary', bytes: Uint8Array.from(bytes) }
  }

  #readSegment(bytes: number[]): void {
    const start = this.#at
    if (this.#peek() !== '"') {
      const [digits] = this.#match(/\d+/y) ?? []
      if (digits === undefined) throw this.#unexpected()
      if (digits.length > 3 || Number(digits) > 255) throw new Malformed('not-a-byte', start)
      if (/[:/]/.test(this.#peek())) throw new Malformed('unsupported', this.#at)
      bytes.push(Number(digits))
      return
    }
    const characters = this.#readQuoted('"')
    const isUtf8 = this.#match(typeSuffix) !== undefined
    if (/[:/]/.test(this.#peek())) throw new Malformed('unsupported', this.#at)
    for (const { code, isRaw } of characters) {
      if (isUtf8 || (isRaw && !this.#isLatin1)) bytes.push(...Buffer.from(characterOf(code)))
      else if (code <= 255) bytes.push(code)
      else throw new Malformed('not-a-byte', start)
    }
  }

  /** String literals that follow one another are one. */
  #readStrings(): string {
    let text = ''
    do text += textOf(this.#readQuoted('"'))
    while (this.#peek() === '"')
    return text
  }

  #readQuoted(quote: string): Character[] {
    this.#expect(quote)
    const characters: Character[] = []
    for (;;) {
      const code = this.#text.codePointAt(this.#at)
      if (code === undefined) throw new Malformed('unexpected-end', this.#at)
      const character = characterOf(code)
      this.#at += character.length
      if (character === quote) return characters
      characters.push(
        character === '\\' ? { code: this.#readEscape(), isRaw: false } : { code, isRaw: true },
      )
    }
  }

  #readEscape(): number {
    const start = this.#at
    const next = this.#text.codePointAt(start)
    if (next === undefined) throw new Malformed('unexpected-end', start)
    const octal = this.#matchHere(octalEscape)
    if (octal) return parseInt(octal[0], 8)
    const control = this.#matchHere(controlEscape)
    if (control) return control[1] === '?' ? 127 : (control[1]?.charCodeAt(0) ?? 0) & 31
    const character = characterOf(next)
    if (character === 'x') {
      const hex = this.#matchHere(hexEscape)
      const code = parseInt(hex?.[1] ?? hex?.[2] ?? '', 16)
      if (!(code <= 0x10ffff)) throw new Malformed('bad-escape', start)
      return code
    }
    this.#at += character.length
    return namedEscapes.get(character) ?? next
  }

  /** The next character that is neither space nor comment; `''` at the end. */
  #peek(): string {
    this.#matchHere(spaces)
    return this.#text[this.#at] ?? ''
  }

  #skip(token: string): boolean {
    this.#peek()
    if (!this.#text.startsWith(token, this.#at)) return false
    this.#at += token.length
    return true
  }

  #expect(token: string): void {
    if (!this.#skip(token)) throw this.#unexpected()
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    this.#peek()
    return this.#matchHere(pattern)
  }

  #matchHere(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (found === null) return undefined
    this.#at = pattern.lastIndex
    return found
  }

  #unexpected(): Malformed {
    const isEnd = this.#at >= this.#text.length
    return new Malformed(isEnd ? 'unexpected-end' : 'unexpected-character', this.#at)
  }
}

function characterOf(code: number): string {
  return String.fromCodePoint(code)
}

function textOf(characters: readonly Character[]): string {
  let text = ''
  for (const { code } of characters) text += characterOf(code)
  return text
}

/**
 * Prints a term on one line, so that Erlang and ejabberd read it back. All of it is ASCII: what
 * ejabberd prints beyond that depends on the encoding of whoever reads it.
 */
export function formatErlangTerm(term: ErlangTerm): string {
  switch (term.kind) {
    case 'atom':
      return formatAtom(term.name)
    case 'integer':
      return String(term.value)
    case 'float':
      return formatFloat(term.value)
    case 'binary':
      return formatBinary(term.bytes)
    case 'string':
      return formatString(term.text)
    case 'tuple':
      return `{${term.items.map(formatErlangTerm).join(',')}}`
    case 'list': {
      const tail = term.tail === undefined ? '' : `|${formatErlangTerm(term.tail)}`
      return `[${term.items.map(formatErlangTerm).join(',')}${tail}]`
    }
    case 'map':
      break
  }
  const entries = term.entries.map(
    ([key, value]) => `${formatErlangTerm(key)} => ${formatErlangTerm(value)}`,
  )
  return `#{${entries.join(',')}}`
}

const reservedWords: ReadonlySet<string> = new Set(
  (
    'after and andalso band begin bnot bor bsl bsr bxor case catch cond div else end fun if let ' +
    'maybe not of or orelse receive rem try when xor'
  ).split(' '),
)

function formatAtom(name: string): string {
  if (/^[a-z][\w@]*$/.test(name) && !reservedWords.has(name)) return name
  return `'${escapeText(name, "'")}'`
}

function formatFloat(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`Erlang has no float ${value}`)
  if (Object.is(value, -0)) return '-0.0'
  const [mantissa = '', exponent] = String(value).split('e')
  const dotted = mantissa.includes('.') ? mantissa : `${mantissa}.0`
  return exponent === undefined ? dotted : `${dotted}e${exponent.replace('+', '')}`
}

function formatBinary(bytes: Uint8Array): string {
  if (bytes.length === 0) return '<<>>'
  const isText = bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 8 && byte <= 13))
  if (!isText) return `<<${bytes.join(',')}>>`
  return `<<"${escapeText(Buffer.from(bytes).toString('latin1'), '"')}">>`
}

function formatString(text: string): string {
  if (text === '') return '[]'
  if (/^[\x08-\x0d\x20-\x7e]*$/.test(text)) return `"${escapeText(text, '"')}"`
  return `[${Array.from(text, (character) => character.codePointAt(0)).join(',')}]`
}

const printedEscapes: ReadonlyMap<string, string> = new Map(
  [...namedEscapes]
    .filter(([name]) => name !== 's')
    .map(([name, code]) => [characterOf(code), `\\${name}`]),
)

function escapeText(text: string, quote: string): string {
  return text.replace(/[^\x20-\x7e]|["'\\]/gu, (character) => {
    if (character === '\\' || character === quote) return `\\${character}`
    if (character === '"' || character === "'") return character
    return printedEscapes.get(character) ?? `\\x{${(character.codePointAt(0) ?? 0).toString(16)}}`
  })
}
