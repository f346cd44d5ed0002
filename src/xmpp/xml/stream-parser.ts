import { checkDeclaration } from './declaration.ts'
import type { Attributes, Element } from './element.ts'
import type { XmlCondition, XmlError } from './errors.ts'
import { defaultLimits } from './limits.ts'
import type { XmlLimits } from './limits.ts'
import { isContentNs } from './namespaces.ts'
import type { Prefixes } from './namespace-scope.ts'
import { readElement } from './read.ts'
import type { Surroundings } from './read.ts'
import { CLOSED, DECLARED, DONE, ElementScanner, FAILED, MORE } from './scanner.ts'
import type { Outcome } from './scanner.ts'

/** The start tag of a stream. */
export interface StreamHead {
  readonly name: string
  readonly ns: string
  /** `to`, `from`, `id`, `version`, `xml:lang` and whatever else the peer put there. */
  readonly attrs: Attributes
  /** The default namespace: that of the stanzas, if the peer follows RFC 6120 §4.8.2. '' for none. */
  readonly contentNs: string
  /** The prefixes that it declares, with their namespaces. */
  readonly prefixes: Prefixes
}

/**
 * Whoever handles a stream. It may call the parser's methods from inside: `pause` before the bytes
 * change their meaning (STARTTLS, compression), `reset` where the stream starts anew.
 */
export interface StreamHandler {
  streamOpen(head: StreamHead): void
  stanza(element: Element): void
  streamClose(): void
  /** The stream cannot be read any further. */
  error(condition: XmlCondition, detail: string): void
}

export interface StreamParserOptions {
  readonly handler: StreamHandler
  readonly limits?: XmlLimits
  /**
   * Stanzas in the stream's own default namespace are handed over as of this namespace, so that those
   * behind the stream need to know only one: `jabber:client`, say, on a stream of `jabber:server`.
   */
  readonly contentNs?: string
}

/** Where the bytes are between two units. */
type Phase = 'before-stream' | 'in-stream' | 'closed' | 'failed'

const LESS = 0x3c
const noPrefixes: Prefixes = new Map()
const nothingAround: Surroundings = { prefixes: undefined, lang: undefined, wireNs: '', ns: '' }

// Only parsers in the middle of a unit hold a scanner, with its arrays, and a buffer. Both are lent out
// from here, because a new buffer costs as much as a whole stanza.
const idleScanners: ElementScanner[] = []
const idleBuffers: Buffer[] = []
const maxIdle = 16
const smallBytes = 1024

/**
 * Reads one direction of an XML stream (RFC 6120 §4). Bytes come in as they arrive; a stanza is handed
 * on when it is complete and checked in full. Holds nothing between stanzas, and at most
 * `maxStanzaBytes` of an incomplete one; no view of the bytes given to `push` outlives it.
 */
export class StreamParser {
  /** May change at any time; a stanza that has begun keeps those it began with. */
  limits: XmlLimits

  readonly #handler: StreamHandler
  readonly #contentNs: string | undefined
  #phase: Phase = 'before-stream'
  #paused = false
  /** No byte but white space came yet, so that an XML declaration may come. */
  #fresh = true
  #streamName = ''
  #around: Surroundings | undefined
  /** The unit that is being read when the bytes have run out, and its bytes so far. */
  #scanner: ElementScanner | undefined
  #partial: Buffer | undefined
  #partialLength = 0

  constructor(options: StreamParserOptions) {
    this.limits = options.limits ?? defaultLimits
    this.#handler = options.handler
    this.#contentNs = options.contentNs
  }

  /** Bytes held of an incomplete stanza. */
  get pendingBytes(): number {
    return this.#partialLength
  }

  /**
   * Reads `bytes` and calls the handler for what is complete. Answers what was not read because the
   * handler paused, as a view of `bytes`; undefined if everything was.
   */
  push(bytes: Uint8Array): Uint8Array | undefined {
    const input = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let at = 0
    while (at < input.length) {
      if (this.#paused) return input.subarray(at)
      if (this.#phase === 'closed' || this.#phase === 'failed') return undefined
      at =
        this.#scanner === undefined || this.#partial === undefined
          ? this.#pushFresh(input, at)
          : this.#pushMore(input, at, this.#scanner, this.#partial)
    }
    return undefined
  }

  /** Makes `push` stop after the stanza at hand. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
  }

  /** Expects a new stream from the next byte on (RFC 6120 §4.3.3). */
  reset(): void {
    this.#phase = 'before-stream'
    this.#fresh = true
    this.#around = undefined
    this.#dropPartial()
  }

  #dropPartial(): void {
    if (this.#partial === undefined) return
    releaseBuffer(this.#partial)
    this.#scanner = undefined
    this.#partial = undefined
    this.#partialLength = 0
  }

  #pushFresh(input: Buffer, from: number): number {
    let at = from
    while (at < input.length && isSpace(input[at])) at++
    if (at === input.length) return at
    if (input[at] !== LESS) {
      this.#fail(this.#textError(input[at] ?? 0))
      return at
    }
    const scanner = idleScanners.pop() ?? new ElementScanner()
    const before = this.#phase === 'before-stream'
    const around = this.#around
    const defaultNs = around?.wireNs ?? ''
    scanner.begin(at, this.limits, around?.prefixes, defaultNs, before, before && this.#fresh)
    this.#fresh = false
    const outcome = scanner.scan(input, input.length)
    if (outcome !== MORE) {
      const next = scanner.at
      this.#finish(outcome, input, scanner)
      return next
    }
    const length = input.length - at
    const partial =
      length <= smallBytes
        ? (idleBuffers.pop() ?? Buffer.allocUnsafeSlow(smallBytes))
        : Buffer.allocUnsafeSlow(capacityFor(length, 2 * length, scanner))
    input.copy(partial, 0, at)
    scanner.rebase()
    this.#scanner = scanner
    this.#partial = partial
    this.#partialLength = length
    return input.length
  }

  /** Goes on with an incomplete unit, of which `partial` are the bytes so far. */
  #pushMore(input: Buffer, from: number, scanner: ElementScanner, partial: Buffer): number {
    // Takes about as much as is there already: what belongs to the next unit was copied in vain.
    const had = this.#partialLength
    const most = Math.min(input.length - from, Math.max(had, 512))
    const taken = Math.min(most, scanner.limits.maxStanzaBytes + 1 - had)
    const length = had + taken
    let bytes = partial
    if (length > partial.length) {
      bytes = Buffer.allocUnsafeSlow(capacityFor(length, 2 * partial.length, scanner))
      partial.copy(bytes, 0, 0, had)
      releaseBuffer(partial)
      this.#partial = bytes
    }
    input.copy(bytes, had, from, from + taken)
    this.#partialLength = length
    const outcome = scanner.scan(bytes, length)
    if (outcome === MORE) return from + taken
    const next = from + scanner.at - had
    this.#finish(outcome, bytes, scanner)
    return next
  }

  /** Acts on a unit that is complete or bad. The handler is called last, as it may change everything. */
  #finish(outcome: Exclude<Outcome, typeof MORE>, bytes: Buffer, scanner: ElementScanner): void {
    // Nobody else gets the buffer before the handler runs, and by then all of it has been read.
    this.#dropPartial()
    switch (outcome) {
      case DONE:
        if (this.#around === undefined) this.#openStream(bytes, scanner)
        else {
          const stanza = readElement(bytes, scanner, this.#around)
          release(scanner)
          this.#handler.stanza(stanza)
        }
        return
      case DECLARED: {
        const error = checkDeclaration(bytes.toString('latin1', scanner.start, scanner.at))
        release(scanner)
        if (error !== undefined) this.#fail(error)
        return
      }
      case CLOSED: {
        const name = bytes.toString('utf8', scanner.start + 2, scanner.at - 1)
        release(scanner)
        if (name.replace(/[ \t\r\n]+$/, '') === this.#streamName) {
          this.#phase = 'closed'
          this.#handler.streamClose()
        } else {
          this.#fail({ condition: 'not-well-formed', detail: 'End tag without its start tag' })
        }
        return
      }
      case FAILED: {
        const { error } = scanner
        release(scanner)
        this.#fail(error ?? { condition: 'bad-format', detail: 'Unreadable' })
        return
      }
      default:
        throw new Error(`Unknown outcome ${outcome satisfies never}`)
    }
  }

  #openStream(bytes: Buffer, scanner: ElementScanner): void {
    const root = readElement(bytes, scanner, nothingAround)
    const { selfClosing, scope } = scanner
    const contentNs = scope.bodyNs
    const prefixes = scope.rootPrefixes ?? noPrefixes
    this.#streamName = bytes.toString('utf8', scanner.nameStart, scanner.nameEnd)
    release(scanner)
    const around: Surroundings = {
      prefixes,
      lang: root.attr('xml:lang'),
      wireNs: contentNs,
      ns: isContentNs(contentNs) ? (this.#contentNs ?? contentNs) : contentNs,
    }
    this.#around = around
    this.#phase = 'in-stream'
    const { name, ns, attrs } = root
    this.#handler.streamOpen({ name, ns, attrs, contentNs, prefixes })
    if (selfClosing && this.#around === around) {
      this.#phase = 'closed'
      this.#handler.streamClose()
    }
  }

  #textError(byte: number): XmlError {
    // The bytes that no UTF-8 sequence begins with: UTF-16, TLS, compressed data.
    if ((byte >= 0x80 && byte < 0xc2) || byte > 0xf4) {
      return { condition: 'unsupported-encoding', detail: 'Not UTF-8' }
    }
    return this.#phase === 'before-stream'
      ? { condition: 'not-well-formed', detail: 'Text before the stream' }
      : { condition: 'bad-format', detail: 'Text outside of stanzas' }
  }

  #fail(error: XmlError): void {
    this.#phase = 'failed'
    this.#handler.error(error.condition, error.detail)
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/** Room for `needed` bytes and some more, but no more than the unit may have. */
function capacityFor(needed: number, wanted: number, scanner: ElementScanner): number {
  return Math.max(needed, Math.min(wanted, scanner.limits.maxStanzaBytes + 1))
}

function releaseBuffer(buffer: Buffer): void {
  if (buffer.length === smallBytes && idleBuffers.length < maxIdle) idleBuffers.push(buffer)
}

function release(scanner: ElementScanner): void {
  if (idleScanners.length < maxIdle) idleScanners.push(scanner)
}
