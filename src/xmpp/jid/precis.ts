import { err } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { prepLocalpart } from './jid.ts'
import type { Localpart, LocalpartError } from './jid.ts'

export type NewLocalpartError = LocalpartError | 'disallowed-character'

/**
 * Prepares the localpart of an account that is about to be created. Existing names follow Nodeprep,
 * which lets symbols, compatibility characters and the like through; a new one must also be of the
 * PRECIS IdentifierClass (RFC 7622 §3.3, RFC 8264 §4.2), so that other servers take it and it
 * cannot be mistaken for another by look.
 */
export function checkNewLocalpart(text: string): Result<Localpart, NewLocalpartError> {
  const prepared = prepLocalpart(text)
  if (!prepared.ok) return prepared
  // RFC 8265 §3.3.2: full-width and half-width forms are mapped first and thereby allowed.
  const narrow = text.replace(/[\uFF01-\uFFEF]/gu, (wide) => wide.normalize('NFKC'))
  const characters = Array.from(narrow)
  return characters.every(isIdentifierCharacter) ? prepared : err('disallowed-character')
}

/**
 * RFC 5892 §2.6: what is decided one by one. The values of context rules (RFC 5892 appendix A) are
 * in `contextRules`.
 */
const allowed = /[\u00DF\u03C2\u06FD\u06FE\u0F0B\u3007]/u
const disallowed = /\u0640|\u07FA|[\u302E\u302F]|[\u3031-\u3035]|\u303B/u
/**
 * RFC 8264 §9.9. These fell out of use and only combine (U+1100 to U+11FF and their extensions).
 */
const oldHangulJamo = /[\u1100-\u11FF\uA960-\uA97F\uD7B0-\uD7FF]/u
const lettersAndDigits = /[\p{Lu}\p{Ll}\p{Lo}\p{Lm}\p{Nd}\p{Mn}\p{Mc}]/u
const ignorable = /[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/u

interface Context {
  readonly before: string
  readonly after: string
  readonly all: readonly string[]
}

/**
 * RFC 5892 appendices A.3 to A.9; joiners (A.1, A.2) are dropped by Nodeprep, so that no name can
 * have them.
 */
const contextRules: readonly {
  readonly characters: RegExp
  readonly allows: (context: Context) => boolean
}[] = [
  { characters: /\u00B7/u, allows: ({ before, after }) => before === 'l' && after === 'l' },
  { characters: /\u0375/u, allows: ({ after }) => /\p{Script=Greek}/u.test(after) },
  { characters: /[\u05F3\u05F4]/u, allows: ({ before }) => /\p{Script=Hebrew}/u.test(before) },
  {
    characters: /\u30FB/u,
    allows: ({ all }) =>
      all.some((character) =>
        /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u.test(character),
      ),
  },
  {
    characters: /[\u0660-\u0669]/u,
    allows: ({ all }) => !all.some((character) => /[\u06F0-\u06F9]/u.test(character)),
  },
  {
    characters: /[\u06F0-\u06F9]/u,
    allows: ({ all }) => !all.some((character) => /[\u0660-\u0669]/u.test(character)),
  },
]

function isIdentifierCharacter(character: string, index: number, all: readonly string[]): boolean {
  const rule = contextRules.find(({ characters }) => characters.test(character))
  if (rule) {
    return rule.allows({ before: all[index - 1] ?? '', after: all[index + 1] ?? '', all })
  }
  if (allowed.test(character)) return true
  if (disallowed.test(character) || oldHangulJamo.test(character)) return false
  // RFC 8264 §9.11: printable ASCII without the space, of which Nodeprep has refused some already.
  if (/[!-~]/.test(character)) return true
  if (ignorable.test(character) || character.normalize('NFKC') !== character) return false
  return lettersAndDigits.test(character)
}
