import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { checkDeclaration } from './declaration.ts'
import type { Element } from './element.ts'
import type { XmlCondition, XmlError } from './errors.ts'
import { trustedLimits } from './limits.ts'
import type { XmlLimits } from './limits.ts'
import type { Prefixes } from './namespace-scope.ts'
import { readElement } from './read.ts'
import { CLOSED, DECLARED, DONE, ElementScanner, FAILED, MORE } from './scanner.ts'

export interface ParseOptions {
  /** The default namespace around the element, '' unless given. */
  readonly defaultNs?: string
  readonly prefixes?: Prefixes
  /** Needed for what comes from a peer: without it only depth is bounded. */
  readonly limits?: XmlLimits
}

const spaces = /^[ \t\r\n]*$/

function bad(condition: XmlCondition, detail: string): Result<never, XmlError> {
  return err({ condition, detail })
}

/** Reads a whole document or fragment: one element with nothing but white space around it. */
export function parseElement(
  input: string | Uint8Array,
  options: ParseOptions = {},
): Result<Element, XmlError> {
  if (typeof input === 'string' && !input.isWellFormed()) {
    return bad('not-well-formed', 'Lone surrogate')
  }
  const bytes =
    typeof input === 'string'
      ? Buffer.from(input)
      : Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  const { defaultNs = '', prefixes, limits = trustedLimits } = options
  const scanner = new ElementScanner()
  let at = 0
  for (;;) {
    const start = bytes.indexOf('<', at)
    if (start < 0) return bad('not-well-formed', 'No element')
    if (!spaces.test(bytes.toString('latin1', at, start))) {
      return bad('not-well-formed', 'Text before the element')
    }
    scanner.begin(start, limits, prefixes, defaultNs, false, start === 0)
    const outcome = scanner.scan(bytes, bytes.length)
    switch (outcome) {
      case DECLARED: {
        at = scanner.at
        const error = checkDeclaration(bytes.toString('latin1', 0, at))
        if (error !== undefined) return err(error)
        break
      }
      case DONE: {
        const rest = bytes.toString('latin1', scanner.at)
        if (/^[ \t\r\n]*<(?:\?|!--)/.test(rest)) {
          return bad('restricted-xml', 'Comment or processing instruction')
        }
        if (!spaces.test(rest)) return bad('not-well-formed', 'More than one element')
        const around = { prefixes, lang: undefined, wireNs: defaultNs, ns: defaultNs }
        return ok(readElement(bytes, scanner, around))
      }
      case FAILED:
        return err(scanner.error ?? { condition: 'bad-format', detail: 'Unreadable' })
      case CLOSED:
        return bad('not-well-formed', 'End tag without its start tag')
      case MORE:
        return bad('not-well-formed', 'Incomplete')
      default:
        throw new Error(`Unknown outcome ${outcome satisfies never}`)
    }
  }
}
