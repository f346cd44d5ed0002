import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'

/** XEP-0106 §3.1: what a localpart may not hold, and the backslash itself. */
const escapes: ReadonlyMap<string, string> = new Map([
  [' ', '\\20'],
  ['"', '\\22'],
  ['&', '\\26'],
  ["'", '\\27'],
  ['/', '\\2f'],
  [':', '\\3a'],
  ['<', '\\3c'],
  ['>', '\\3e'],
  ['@', '\\40'],
  ['\\', '\\5c'],
])
const unescapes: ReadonlyMap<string, string> = new Map(
  [...escapes].map(([character, escaped]) => [escaped, character]),
)

/**
 * Makes text fit for a localpart (XEP-0106 §3.2). A backslash is escaped only where it would
 * otherwise read as the start of an escape. Spaces at the ends have no escaped form.
 */
export function escapeLocalpart(text: string): Result<string, 'space-at-end'> {
  if (text.startsWith(' ') || text.endsWith(' ')) return err('space-at-end')
  return ok(
    text.replace(
      /[ "&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)/g,
      (character) => escapes.get(character) ?? character,
    ),
  )
}

/**
 * The text that a localpart stands for (XEP-0106 §3.3). An escaped space at either end is none and
 * stays.
 */
export function unescapeLocalpart(localpart: string): string {
  return localpart.replace(
    /(?!^)\\20(?!$)|\\(?:22|26|27|2f|3a|3c|3e|40|5c)/g,
    (escaped) => unescapes.get(escaped) ?? escaped,
  )
}
