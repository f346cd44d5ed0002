import { err, ok } from './result.ts'
import type { Result } from './result.ts'

export type GlobError = 'unterminated-set' | 'empty-range'

export type GlobMatcher = (text: string) => boolean

/** A character, `?`, a set `[...]`, or `*`. */
type Token =
  | { readonly kind: 'character'; readonly character: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'set'; readonly isNegated: boolean; readonly ranges: readonly Range[] }
  | { readonly kind: 'star' }

interface Range {
  readonly first: number
  readonly last: number
}

/**
 * Compiles a shell pattern, as ejabberd's `*_glob` rules have: `*` matches any text, `?` any
 * character, `[a-z]` one of a set, `[!a-z]` one outside of it, and anything else itself, a
 * backslash included. The whole text must match. The work is bounded by the product of the lengths
 * of pattern and text.
 */
export function compileGlob(pattern: string): Result<GlobMatcher, GlobError> {
  const tokens = parseGlob(pattern)
  if (!tokens.ok) return tokens
  return ok((text) => matches(tokens.value, Array.from(text)))
}

function parseGlob(pattern: string): Result<Token[], GlobError> {
  const characters = Array.from(pattern)
  const tokens: Token[] = []
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] ?? ''
    if (character === '*') {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' })
    } else if (character === '?') {
      tokens.push({ kind: 'any' })
    } else if (character !== '[') {
      tokens.push({ kind: 'character', character })
    } else if (characters[i + 1] === '^' && characters[i + 2] === ']') {
      // A set of "^" alone would look like a negation to some.
      tokens.push({ kind: 'character', character: '^' })
      i += 2
    } else {
      const isNegated = characters[i + 1] === '!'
      const start = isNegated ? i + 2 : i + 1
      // A "]" right at the start belongs to the set.
      const end = characters.indexOf(']', start + 1)
      if (end < 0) return err('unterminated-set')
      const ranges = parseRanges(characters.slice(start, end))
      if (ranges === undefined) return err('empty-range')
      tokens.push({ kind: 'set', isNegated, ranges })
      i = end
    }
  }
  return ok(tokens)
}

/** The inside of a set; undefined if a range runs backwards. */
function parseRanges(characters: readonly string[]): Range[] | undefined {
  const ranges: Range[] = []
  for (let i = 0; i < characters.length; i++) {
    const first = characters[i]?.codePointAt(0) ?? 0
    const end = characters[i + 1] === '-' ? characters[i + 2]?.codePointAt(0) : undefined
    const last = end ?? first
    if (last < first) return undefined
    ranges.push({ first, last })
    if (end !== undefined) i += 2
  }
  return ranges
}

/**
 * Goes through both in step. At a mismatch the latest star takes one character more: no earlier one
 * needs to, since whatever it took, the rest must come behind the latest.
 */
function matches(tokens: readonly Token[], characters: readonly string[]): boolean {
  let token = 0
  let at = 0
  let afterStar = -1
  let starEnd = 0
  while (at < characters.length) {
    const next = tokens[token]
    if (next?.kind === 'star') {
      afterStar = ++token
      starEnd = at
    } else if (next !== undefined && matchesOne(next, characters[at] ?? '')) {
      token++
      at++
    } else if (afterStar >= 0) {
      token = afterStar
      at = ++starEnd
    } else {
      return false
    }
  }
  while (tokens[token]?.kind === 'star') token++
  return token === tokens.length
}

function matchesOne(token: Token, character: string): boolean {
  switch (token.kind) {
    case 'character':
      return token.character === character
    case 'set': {
      const codePoint = character.codePointAt(0) ?? 0
      const isInside = token.ranges.some(
        ({ first, last }) => first <= codePoint && codePoint <= last,
      )
      return isInside !== token.isNegated
    }
    case 'any':
    case 'star':
      break
  }
  return true
}
