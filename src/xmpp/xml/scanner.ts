import {
  isNcName,
  isXmlChar,
  nameClass,
  NAME_HIGH,
  NAME_COLON,
  NAME_OTHER,
  NAME_SPACE,
  NAME_START,
  skipName,
  skipText,
  skipValue,
  textClass,
  TEXT_AMP,
  TEXT_CR,
  TEXT_GT,
  TEXT_HIGH,
  TEXT_LT,
  utf8Length,
  UTF8_INVALID,
  UTF8_MORE,
  valueClass,
  VALUE_AMP,
  VALUE_HIGH,
  VALUE_LT,
  VALUE_QUOTE,
  VALUE_SPACE,
} from './characters.ts'
import type { XmlCondition, XmlError } from './errors.ts'
import { defaultLimits } from './limits.ts'
import type { XmlLimits } from './limits.ts'
import { NamespaceScope } from './namespace-scope.ts'
import type { Prefixes } from './namespace-scope.ts'

/** What came of scanning as far as the bytes go. */
export type Outcome = typeof MORE | typeof DONE | typeof FAILED | typeof DECLARED | typeof CLOSED
/** All bytes are used and the unit goes on. */
export const MORE = 0
/** The element ends at `at`; or its start tag, if only that was asked for. */
export const DONE = 1
/** `error` says why. */
export const FAILED = 2
/** An XML declaration ends at `at`. */
export const DECLARED = 3
/** An end tag at the outermost level, that of the stream, ends at `at`. */
export const CLOSED = 4

// Where the scanner stands: what it expects at `at`.
const START = 0
const CONTENT = 1
const MARKUP = 2
const NAME = 3
const AFTER_NAME = 4
const IN_TAG = 5
const ATTRIBUTE = 6
const AFTER_ATTRIBUTE = 7
const BEFORE_VALUE = 8
const VALUE = 9
const SELF_CLOSING = 10
const END_TAG = 11
const AFTER_END_NAME = 12
const CONTENT_REFERENCE = 13
const VALUE_REFERENCE = 14
const BANG = 15
const CDATA = 16
const DECLARATION = 17
const STREAM_END = 18

const BANG_MARK = 0x21
const QUOTE = 0x22
const HASH = 0x23
const APOSTROPHE = 0x27
const MINUS = 0x2d
const SLASH = 0x2f
const COLON = 0x3a
const SEMICOLON = 0x3b
const LESS = 0x3c
const EQUALS = 0x3d
const GREATER = 0x3e
const QUESTION = 0x3f
const BRACKET_OPEN = 0x5b
const BRACKET_CLOSE = 0x5d
const LETTER_D = 0x44
const LETTER_L = 0x6c
const LETTER_M = 0x6d
const LETTER_N = 0x6e
const LETTER_S = 0x73
const LETTER_X = 0x78

const cdataStart = Buffer.from('[CDATA[')
const badName = -2
const references = ['lt', 'gt', 'amp', 'apos', 'quot'].map((name) => Buffer.from(name))

function isSpace(byte: number): boolean {
  return nameClass[byte] === NAME_SPACE
}

function startsWithXml(bytes: Buffer, at: number): boolean {
  return bytes[at] === LETTER_X && bytes[at + 1] === LETTER_M && bytes[at + 2] === LETTER_L
}

function sameBytes(bytes: Buffer, a: number, b: number, length: number): boolean {
  for (let k = 0; k < length; k++) if (bytes[a + k] !== bytes[b + k]) return false
  return true
}

/**
 * Finds the end of one element in a stream of bytes and checks on the way all that XML 1.0, Namespaces
 * in XML 1.0, RFC 6120 §11.1 and our limits demand of it, so that who reads the tree later meets no
 * error. It can stop after any byte and go on in another buffer, and what it answers does not depend
 * on where the bytes were cut.
 *
 * One long function over plain numbers, because it sees every byte that the server receives.
 */
export class ElementScanner {
  /** Position of the next byte. */
  at = 0
  /** Position of the element's `<`. */
  start = 0
  bodyStart = 0
  /** Position of the `<` of the element's end tag; `bodyStart` if there is none. */
  bodyEnd = 0
  selfClosing = false
  /** Names are what their bytes say: ASCII. */
  namesPlain = true
  /** So are attribute values: no bytes from 0x80 on, no references, no white space but spaces. */
  valuesPlain = true
  /** So is character data: no bytes from 0x80 on, no references, no CR, no CDATA. */
  textPlain = true
  /** The element's own attributes are the first `rootAttributes` of the arrays. */
  rootAttributes = 0
  nameStart = 0
  nameEnd = 0
  readonly attributeStart: number[] = []
  readonly attributeEnd: number[] = []
  readonly valueStart: number[] = []
  readonly valueEnd: number[] = []
  readonly scope: NamespaceScope = new NamespaceScope()
  error: XmlError | undefined
  limits: XmlLimits = defaultLimits

  #state = START
  #startTagOnly = false
  #declarationAllowed = false
  #depth = 0
  #elements = 0
  #attributes = 0
  /** Where the open elements' names are, outermost first. */
  readonly #openStart: number[] = []
  readonly #openEnd: number[] = []
  #mark = 0
  #quote = 0
  /** The name at hand is more than ASCII letters: the fast checks do not suffice. */
  #odd = false
  /** The tag at hand has prefixes other than `xml`. */
  #prefixed = false
  /** Which attribute of the tag at hand is `xmlns`, or -1. */
  #defaultNs = -1

  /** Prepares for an element, declaration or end tag whose `<` is at `start`. */
  begin(
    start: number,
    limits: XmlLimits,
    outer: Prefixes | undefined,
    defaultNs: string,
    startTagOnly: boolean,
    declarationAllowed: boolean,
  ): void {
    this.at = start
    this.start = start
    this.selfClosing = false
    this.namesPlain = true
    this.valuesPlain = true
    this.textPlain = true
    this.error = undefined
    this.scope.begin(outer, defaultNs)
    this.#state = START
    this.limits = limits
    this.#startTagOnly = startTagOnly
    this.#declarationAllowed = declarationAllowed
    this.#depth = 0
    this.#elements = 0
    this.#attributes = 0
    this.rootAttributes = 0
  }

  /** Tells that the bytes now lie in a buffer where `start` is 0. */
  rebase(): void {
    const by = this.start
    if (by === 0) return
    this.start = 0
    this.at -= by
    this.#mark -= by
    this.bodyStart -= by
    this.bodyEnd -= by
    this.nameStart -= by
    this.nameEnd -= by
    for (const positions of [
      this.#openStart,
      this.#openEnd,
      this.attributeStart,
      this.attributeEnd,
      this.valueStart,
      this.valueEnd,
    ]) {
      for (let k = 0; k < positions.length; k++) positions[k] = (positions[k] ?? 0) - by
    }
  }

  #fail(condition: XmlCondition, detail: string): typeof FAILED {
    this.error = { condition, detail }
    return FAILED
  }

  #failUtf8(length: number): typeof FAILED {
    // RFC 6120 §4.9.3.22: also for what breaks the rules of UTF-8.
    return length === UTF8_INVALID
      ? this.#fail('unsupported-encoding', 'Not UTF-8')
      : this.#fail('not-well-formed', 'Character that XML forbids')
  }

  /** Goes on at `at` in `bytes`, which may hold more than this element, up to `available`. */
  scan(bytes: Buffer, available: number): Outcome {
    const limits = this.limits
    // Bytes past the limit are not looked at, so that the outcome is the same however they come.
    const end = Math.min(available, this.start + limits.maxStanzaBytes)
    let at = this.at
    let state = this.#state
    let mark = this.#mark
    let quote = this.#quote
    let odd = this.#odd

    // `continue` enters the next state, `break` runs out of bytes.
    for (;;) {
      switch (state) {
        case START:
          if (bytes[at] !== LESS) throw new Error('ElementScanner began beside a "<"')
          at++
          state = MARKUP
          continue

        case CONTENT: {
          let length = 1
          while ((at = skipText(bytes, at, end)) < end) {
            const kind = textClass[bytes[at] ?? 0] ?? 0
            if (kind === TEXT_LT) {
              at++
              state = MARKUP
              break
            }
            if (kind === TEXT_HIGH) {
              this.textPlain = false
              length = utf8Length(bytes, at, end)
              if (length <= 0) break
              at += length
            } else if (kind === TEXT_AMP) {
              at++
              state = CONTENT_REFERENCE
              mark = at
              break
            } else if (kind === TEXT_CR) {
              this.textPlain = false
              at++
            } else if (kind === TEXT_GT) {
              // XML 1.0 §2.4. Character data that "]]>" could end began with a byte that is no "]".
              if (bytes[at - 1] === BRACKET_CLOSE && bytes[at - 2] === BRACKET_CLOSE) {
                return this.#fail('not-well-formed', '"]]>" in character data')
              }
              at++
            } else return this.#fail('not-well-formed', 'Control character in character data')
          }
          if (length < UTF8_MORE) return this.#failUtf8(length)
          if (state === CONTENT) break
          continue
        }

        case MARKUP: {
          if (at >= end) break
          const byte = bytes[at] ?? 0
          const kind = nameClass[byte] ?? 0
          if (kind === NAME_START || kind === NAME_HIGH) {
            if (this.#depth >= limits.maxDepth) {
              return this.#fail('policy-violation', `Deeper than ${limits.maxDepth} elements`)
            }
            if (++this.#elements > limits.maxElements) {
              return this.#fail('policy-violation', `More than ${limits.maxElements} elements`)
            }
            this.#openStart[this.#depth] = at
            odd = kind === NAME_HIGH
            at++
            state = NAME
            continue
          }
          at++
          mark = at
          if (this.#depth === 0) {
            if (byte === SLASH && !this.#startTagOnly) {
              state = STREAM_END
              continue
            }
            if (byte === QUESTION && this.#declarationAllowed) {
              state = DECLARATION
              continue
            }
          } else if (byte === SLASH) {
            state = END_TAG
            continue
          }
          if (byte === BANG_MARK) {
            state = BANG
            continue
          }
          if (byte === QUESTION) {
            return this.#fail('restricted-xml', 'Processing instruction')
          }
          return this.#fail('not-well-formed', '"<" before what is no name')
        }

        case NAME: {
          while ((at = skipName(bytes, at, end)) < end) {
            const kind = nameClass[bytes[at] ?? 0]
            if (kind !== NAME_HIGH && kind !== NAME_COLON) break
            odd = true
            at++
          }
          if (at >= end) break
          const from = this.#openStart[this.#depth] ?? 0
          if (at - from > limits.maxNameBytes) {
            return this.#fail('policy-violation', `Name of more than ${limits.maxNameBytes} bytes`)
          }
          this.#openEnd[this.#depth] = at
          this.#prefixed = false
          this.#defaultNs = -1
          if (odd) {
            const colon = this.#checkName(bytes, from, at)
            if (colon === badName) return FAILED
            this.#prefixed = colon >= 0
          }
          this.#attributes = this.rootAttributes
          state = AFTER_NAME
          continue
        }

        case AFTER_NAME:
        case IN_TAG: {
          if (at >= end) break
          let byte = bytes[at] ?? 0
          let kind = nameClass[byte] ?? 0
          while (kind === NAME_SPACE) {
            state = IN_TAG
            at++
            if (at >= end) break
            byte = bytes[at] ?? 0
            kind = nameClass[byte] ?? 0
          }
          if (at >= end) break
          if (byte === GREATER) {
            at++
            if (!this.#endStartTag(bytes, at)) return FAILED
            if (this.#startTagOnly) {
              this.at = at
              return DONE
            }
            this.#depth++
            state = CONTENT
            continue
          }
          if (byte === SLASH) {
            at++
            state = SELF_CLOSING
            continue
          }
          // White space must stand before each attribute (XML 1.0 §3.1).
          if (state !== IN_TAG || (kind !== NAME_START && kind !== NAME_HIGH)) {
            return this.#fail('not-well-formed', 'Neither an attribute nor the end of the tag')
          }
          if (this.#attributes - this.rootAttributes >= limits.maxAttributes) {
            return this.#fail('policy-violation', `More than ${limits.maxAttributes} attributes`)
          }
          this.attributeStart[this.#attributes] = at
          odd = kind === NAME_HIGH
          at++
          state = ATTRIBUTE
          continue
        }

        case ATTRIBUTE: {
          while ((at = skipName(bytes, at, end)) < end) {
            const kind = nameClass[bytes[at] ?? 0]
            if (kind !== NAME_HIGH && kind !== NAME_COLON) break
            odd = true
            at++
          }
          if (at >= end) break
          const index = this.#attributes
          const from = this.attributeStart[index] ?? 0
          if (at - from > limits.maxNameBytes) {
            return this.#fail('policy-violation', `Name of more than ${limits.maxNameBytes} bytes`)
          }
          this.attributeEnd[index] = at
          if (odd) {
            const colon = this.#checkName(bytes, from, at)
            if (colon === badName) return FAILED
            // `xml:lang` is common and needs no looking up.
            this.#prefixed ||= colon >= 0 && !(colon - from === 3 && startsWithXml(bytes, from))
          } else if (
            at - from === 5 &&
            startsWithXml(bytes, from) &&
            bytes[from + 3] === LETTER_N &&
            bytes[from + 4] === LETTER_S
          ) {
            this.#defaultNs = index
          }
          for (let other = this.rootAttributes; other < index; other++) {
            const otherFrom = this.attributeStart[other] ?? 0
            if (
              (this.attributeEnd[other] ?? 0) - otherFrom === at - from &&
              sameBytes(bytes, otherFrom, from, at - from)
            ) {
              return this.#fail('not-well-formed', 'Attribute given twice')
            }
          }
          // Nearly always `="` or `='` follows at once; the next two states do the same at leisure.
          if (bytes[at] === EQUALS && at + 1 < end) {
            quote = bytes[at + 1] ?? 0
            if (quote === QUOTE || quote === APOSTROPHE) {
              at += 2
              this.valueStart[index] = at
              state = VALUE
              continue
            }
          }
          state = AFTER_ATTRIBUTE
          continue
        }

        case AFTER_ATTRIBUTE: {
          while (at < end && isSpace(bytes[at] ?? 0)) at++
          if (at >= end) break
          if (bytes[at] !== EQUALS) {
            return this.#fail('not-well-formed', 'Attribute without a value')
          }
          at++
          state = BEFORE_VALUE
          continue
        }

        case BEFORE_VALUE: {
          while (at < end && isSpace(bytes[at] ?? 0)) at++
          if (at >= end) break
          quote = bytes[at] ?? 0
          if (quote !== QUOTE && quote !== APOSTROPHE) {
            return this.#fail('not-well-formed', 'Attribute value without quotes')
          }
          at++
          this.valueStart[this.#attributes] = at
          state = VALUE
          continue
        }

        case VALUE: {
          let length = 1
          while ((at = skipValue(bytes, at, end)) < end) {
            const kind = valueClass[bytes[at] ?? 0] ?? 0
            if (kind === VALUE_QUOTE) {
              if (bytes[at] === quote) {
                state = AFTER_NAME
                break
              }
              at++
            } else if (kind === VALUE_HIGH) {
              this.valuesPlain = false
              length = utf8Length(bytes, at, end)
              if (length <= 0) break
              at += length
            } else if (kind === VALUE_AMP) {
              at++
              mark = at
              state = VALUE_REFERENCE
              break
            } else if (kind === VALUE_SPACE) {
              this.valuesPlain = false
              at++
            } else if (kind === VALUE_LT) {
              return this.#fail('not-well-formed', '"<" in an attribute value')
            } else return this.#fail('not-well-formed', 'Control character in an attribute value')
          }
          if (length < UTF8_MORE) return this.#failUtf8(length)
          if (state === VALUE) break
          if (state === AFTER_NAME) {
            const index = this.#attributes
            this.valueEnd[index] = at
            if (at - (this.valueStart[index] ?? 0) > limits.maxAttributeBytes) {
              const most = limits.maxAttributeBytes
              return this.#fail('policy-violation', `Attribute value of more than ${most} bytes`)
            }
            this.#attributes = index + 1
            at++
          }
          continue
        }

        case SELF_CLOSING: {
          if (at >= end) break
          if (bytes[at] !== GREATER) {
            return this.#fail('not-well-formed', '"/" inside a tag')
          }
          at++
          if (!this.#endStartTag(bytes, at)) return FAILED
          if (this.#depth === 0) {
            this.selfClosing = true
            this.at = at
            return DONE
          }
          this.scope.leave(this.#depth)
          state = CONTENT
          continue
        }

        case END_TAG: {
          const from = this.#openStart[this.#depth - 1] ?? 0
          const length = (this.#openEnd[this.#depth - 1] ?? 0) - from
          let matched = at - mark
          while (matched < length && at < end && bytes[at] === bytes[from + matched]) {
            matched++
            at++
          }
          if (matched === length) {
            state = AFTER_END_NAME
            continue
          }
          if (at >= end) break
          return this.#fail('not-well-formed', 'End tag without its start tag')
        }

        case AFTER_END_NAME: {
          while (at < end && isSpace(bytes[at] ?? 0)) at++
          if (at >= end) break
          if (bytes[at] !== GREATER) {
            return this.#fail('not-well-formed', 'End tag without its start tag')
          }
          at++
          this.#depth--
          if (this.#depth === 0) {
            this.bodyEnd = mark - 2
            this.at = at
            return DONE
          }
          this.scope.leave(this.#depth)
          state = CONTENT
          continue
        }

        case CONTENT_REFERENCE:
        case VALUE_REFERENCE: {
          while (at < end) {
            const byte = bytes[at] ?? 0
            const kind = nameClass[byte] ?? 0
            if (byte !== HASH && (kind === NAME_OTHER || kind === NAME_SPACE)) break
            at++
          }
          if (at >= end) break
          if (bytes[at] !== SEMICOLON) {
            return this.#fail('not-well-formed', '"&" that begins no reference')
          }
          if (!this.#checkReference(bytes, mark, at)) return FAILED
          if (state === CONTENT_REFERENCE) {
            this.textPlain = false
            state = CONTENT
          } else {
            this.valuesPlain = false
            state = VALUE
          }
          at++
          continue
        }

        case BANG: {
          if (at >= end) break
          if (at === mark) {
            // RFC 6120 §11.1: no comments, no document type declarations.
            const byte = bytes[at]
            if (byte === MINUS) return this.#fail('restricted-xml', 'Comment')
            if (byte === LETTER_D) return this.#fail('restricted-xml', 'Document type declaration')
            if (byte === BRACKET_OPEN && this.#depth === 0) {
              return this.#fail('bad-format', 'Text outside of stanzas')
            }
          }
          let matched = at - mark
          while (matched < cdataStart.length && at < end && bytes[at] === cdataStart[matched]) {
            matched++
            at++
          }
          if (matched === cdataStart.length) {
            this.textPlain = false
            mark = at
            state = CDATA
            continue
          }
          if (at >= end) break
          return this.#fail('not-well-formed', '"<!" that begins no CDATA section')
        }

        case CDATA: {
          let length = 1
          while (at < end) {
            const kind = textClass[bytes[at] ?? 0] ?? 0
            if (kind === TEXT_HIGH) {
              this.textPlain = false
              length = utf8Length(bytes, at, end)
              if (length <= 0) break
              at += length
              continue
            }
            if (kind > TEXT_CR) {
              return this.#fail('not-well-formed', 'Control character in character data')
            }
            at++
            if (
              kind === TEXT_GT &&
              at - 3 >= mark &&
              bytes[at - 2] === BRACKET_CLOSE &&
              bytes[at - 3] === BRACKET_CLOSE
            ) {
              state = CONTENT
              break
            }
          }
          if (length < UTF8_MORE) return this.#failUtf8(length)
          if (state === CDATA) break
          continue
        }

        case DECLARATION:
          while (at < end && !(bytes[at] === GREATER && bytes[at - 1] === QUESTION)) at++
          if (at >= end) break
          this.at = at + 1
          return DECLARED

        case STREAM_END:
          while (at < end && bytes[at] !== GREATER && bytes[at] !== LESS) at++
          if (at >= end) break
          if (bytes[at] === LESS) return this.#fail('not-well-formed', '"<" in an end tag')
          this.at = at + 1
          return CLOSED

        default:
          throw new Error(`ElementScanner in unknown state ${state}`)
      }

      if (end < available) {
        return this.#fail('policy-violation', `More than ${limits.maxStanzaBytes} bytes`)
      }
      this.at = at
      this.#state = state
      this.#mark = mark
      this.#quote = quote
      this.#odd = odd
      return MORE
    }
  }

  /** What there is to do at the `>` of a start tag; `after` is the position behind it. */
  #endStartTag(bytes: Buffer, after: number): boolean {
    const depth = this.#depth
    if (this.#prefixed) {
      const name = bytes.toString('utf8', this.#openStart[depth], this.#openEnd[depth])
      const first = this.rootAttributes
      this.error = this.scope.enter(depth, bytes, name, this, first, this.#attributes)
    } else if (this.#defaultNs >= 0) {
      const from = this.valueStart[this.#defaultNs] ?? 0
      const to = this.valueEnd[this.#defaultNs] ?? 0
      this.error = this.scope.enterDefault(depth, bytes, from, to, this.valuesPlain)
    }
    if (this.error !== undefined) return false
    if (depth === 0) {
      this.rootAttributes = this.#attributes
      this.nameStart = this.#openStart[0] ?? 0
      this.nameEnd = this.#openEnd[0] ?? 0
      this.bodyStart = after
      this.bodyEnd = after
    }
    return true
  }

  /** Checks a name that has more than ASCII letters; answers where its colon is, -1, or `badName`. */
  #checkName(bytes: Buffer, from: number, to: number): number {
    let colon = -1
    let strange = false
    for (let at = from; at < to; at++) {
      const byte = bytes[at] ?? 0
      if (byte === COLON) {
        strange ||= colon >= 0 || nameClass[bytes[at + 1] ?? 0] !== NAME_START
        colon = at
      } else if (byte >= 0x80) {
        this.namesPlain = false
        strange = true
        const length = utf8Length(bytes, at, to)
        if (length <= UTF8_MORE) {
          this.#failUtf8(length === UTF8_MORE ? UTF8_INVALID : length)
          return badName
        }
        at += length - 1
      }
    }
    if (!strange) return colon
    const parts = bytes.toString('utf8', from, to).split(':')
    if (parts.length <= 2 && parts.every(isNcName)) return colon
    this.#fail('not-well-formed', 'Name that XML forbids')
    return badName
  }

  /** RFC 6120 §11.1: no references but to characters and to the five entities that XML predefines. */
  #checkReference(bytes: Buffer, from: number, to: number): boolean {
    for (const name of references) {
      if (to - from !== name.length || bytes[from] !== name[0]) continue
      let matched = 1
      while (matched < name.length && bytes[from + matched] === name[matched]) matched++
      if (matched === name.length) return true
    }
    const name = bytes.toString('utf8', from, to)
    if (/^#(?:[0-9]+|x[0-9A-Fa-f]+)$/.test(name)) {
      const codePoint = name[1] === 'x' ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1))
      if (isXmlChar(codePoint)) return true
      this.#fail('not-well-formed', 'Reference to a character that XML forbids')
    } else if (isNcName(name)) this.#fail('restricted-xml', 'Entity reference')
    else this.#fail('not-well-formed', '"&" that begins no reference')
    return false
  }
}
