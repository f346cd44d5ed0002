import { compileGlob } from '../../util/glob.ts'
import { invalid, scalarType } from './type.ts'
import type { GlobMatcher } from '../../util/glob.ts'
import type { Type } from './type.ts'

/** A regular expression in PCRE's syntax, matched anywhere in the text. */
export const regexType: Type<RegExp> = scalarType(
  'a regular expression',
  { type: 'string', format: 'regex' },
  (text, node, ctx) => {
    try {
      return compileRegex(text)
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause
      const reason = cause.message.replace(/^Invalid regular expression: /, '')
      ctx.report(node.at, `invalid regular expression ${ctx.show(node)}: ${reason}`)
      return invalid
    }
  },
)

/** A shell pattern, which the whole text has to match. */
export class Glob {
  readonly source: string
  readonly #matches: GlobMatcher

  constructor(source: string, matches: GlobMatcher) {
    this.source = source
    this.#matches = matches
  }

  test(text: string): boolean {
    return this.#matches(text)
  }
}

/** Either kind of pattern: both can only be asked whether a text matches. */
export type Pattern = RegExp | Glob

/** A shell pattern: `*`, `?`, `[a-z]`, `[!a-z]`. */
export const globType: Type<Glob> = scalarType('a glob', { type: 'string' }, (text, node, ctx) => {
  const compiled = compileGlob(text)
  if (compiled.ok) return new Glob(text, compiled.value)
  const reasons = {
    'unterminated-set': 'a "[" has no "]"',
    'empty-range': 'a range runs backwards',
  }
  ctx.report(node.at, `invalid glob ${ctx.show(node)}: ${reasons[compiled.error]}`)
  return invalid
})

const posixClasses = new Map([
  ['alnum', '\\p{L}\\p{N}'],
  ['alpha', '\\p{L}'],
  ['ascii', '\\x00-\\x7f'],
  ['blank', ' \\t'],
  ['cntrl', '\\p{Cc}'],
  ['digit', '0-9'],
  ['lower', '\\p{Ll}'],
  ['punct', '\\p{P}\\p{S}'],
  ['space', '\\s'],
  ['upper', '\\p{Lu}'],
  ['word', '\\w'],
  ['xdigit', '0-9A-Fa-f'],
])

const anchors = new Map([
  ['A', '^'],
  ['z', '$'],
  ['Z', '$'],
  ['h', '[ \\t]'],
])

/**
 * Compiles PCRE's syntax: what JavaScript spells differently is translated, and what it lacks
 * (possessive quantifiers, atomic groups, recursion) is refused, never read as something else.
 * Throws a SyntaxError.
 */
export function compileRegex(source: string): RegExp {
  const leading = /^\(\?([imsx]+)\)/.exec(source)
  const options = leading?.[1] ?? ''
  if (options.includes('x')) throw new SyntaxError('the option (?x) is not supported')
  const body = source.slice(leading?.[0].length ?? 0)
  return new RegExp(translate(body), `u${[...new Set(options)].join('')}`)
}

function translate(source: string): string {
  let out = ''
  let inClass = false
  for (let i = 0; i < source.length; i++) {
    const char = source[i] ?? ''
    if (char === '\\') {
      const next = source[i + 1] ?? ''
      i++
      out += translateEscape(next, inClass)
    } else if (inClass && char === '[') {
      const named = /^\[:(\^?)([a-z]+):\]/.exec(source.slice(i, i + 12))
      const set = named === null ? undefined : posixClasses.get(named[2] ?? '')
      if (named !== null && (set === undefined || named[1] === '^')) {
        throw new SyntaxError(`the class ${named[0]} is not supported`)
      }
      out += set ?? '\\['
      if (named !== null) i += named[0].length - 1
    } else if (inClass) {
      if (char === ']') inClass = false
      out += char
    } else if (char === '[') {
      inClass = true
      out += char
      if (source[i + 1] === '^') out += source[++i]
      // A bracket that comes first stands for itself in PCRE and ends the class in JavaScript.
      if (source[i + 1] === ']') {
        out += '\\]'
        i++
      }
    } else if (char === '{' && !/^\{\d+(?:,\d*)?\}/.test(source.slice(i, i + 24))) {
      out += '\\{'
    } else if (char === '}' && !/\{\d+(?:,\d*)?$/.test(source.slice(Math.max(0, i - 24), i))) {
      out += '\\}'
    } else if (char === ']') {
      out += '\\]'
    } else {
      out += char
    }
  }
  return out
}

function translateEscape(next: string, inClass: boolean): string {
  if (next === '') throw new SyntaxError('it ends in a backslash')
  const anchor = anchors.get(next)
  if (!inClass && anchor !== undefined) return anchor
  // JavaScript's unicode mode refuses needless escapes of punctuation, which PCRE allows.
  if (/[^A-Za-z0-9\s]/.test(next) && !/[\^$\\.*+?()[\]{}|/-]/.test(next)) return next
  return next === '-' && !inClass ? '-' : `\\${next}`
}
