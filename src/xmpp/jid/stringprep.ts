import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import {
  caseFolding,
  leftToRight,
  mappedToNothing,
  nonAsciiSpaces,
  otherProhibited,
  rightToLeft,
  unassigned,
} from './tables.ts'

/** Why a string has no prepared form (RFC 3454 §5, §6, §7). */
export type StringprepError = 'prohibited' | 'unassigned' | 'bidirectional'

export interface StringprepOptions {
  /**
   * RFC 3454 §7: a query may hold code points that Unicode 3.2 did not know; a stored string may
   * not.
   */
  readonly allowUnassigned?: boolean
}

/** RFC 6122 appendix A: localparts. Case is folded. */
export function nodeprep(text: string): Result<string, StringprepError> {
  return prepare(text, profiles.nodeprep)
}

/**
 * RFC 3491 over a whole domain name. IDNA prepares label by label, which only matters for the
 * bidirectional rule: here a name passes if each label does, or if the whole does (as in ejabberd).
 */
export function nameprep(text: string): Result<string, StringprepError> {
  return prepare(text, profiles.nameprep)
}

/** RFC 6122 appendix B: resourceparts. Case stays. */
export function resourceprep(text: string): Result<string, StringprepError> {
  return prepare(text, profiles.resourceprep)
}

/** RFC 4013: passwords, and user names in SASL. Case stays. */
export function saslprep(
  text: string,
  options: StringprepOptions = {},
): Result<string, StringprepError> {
  return prepare(
    text,
    options.allowUnassigned === true ? profiles.saslprepQuery : profiles.saslprep,
  )
}

const isUnassigned = 1
const isMappedToNothing = 2
const isAsciiSpace = 4
const isAsciiControl = 8
const isNonAsciiSpace = 16
const isOtherProhibited = 32
const isNodeprepProhibited = 64
const isRightToLeft = 128
const isLeftToRight = 256

interface Profile {
  readonly foldsCase: boolean
  readonly mapsSpaces: boolean
  readonly allowsUnassigned: boolean
  readonly prohibited: number
  readonly bidiPerLabel: boolean
}

const common: Profile = {
  foldsCase: false,
  mapsSpaces: false,
  allowsUnassigned: false,
  // What no profile lacks: C.1.2 and C.2.2 to C.9.
  prohibited: isNonAsciiSpace | isOtherProhibited,
  bidiPerLabel: false,
}
const saslprepProfile: Profile = {
  ...common,
  mapsSpaces: true,
  prohibited: common.prohibited | isAsciiControl,
}
const profiles = {
  nodeprep: {
    ...common,
    foldsCase: true,
    prohibited: common.prohibited | isAsciiSpace | isAsciiControl | isNodeprepProhibited,
  },
  // ASCII spaces and controls are not nameprep's business (RFC 3491 §5) but the caller's.
  nameprep: { ...common, foldsCase: true, bidiPerLabel: true },
  resourceprep: { ...common, prohibited: common.prohibited | isAsciiControl },
  saslprep: saslprepProfile,
  saslprepQuery: { ...saslprepProfile, allowsUnassigned: true },
} satisfies Record<string, Profile>

/** Code points from `starts[i]` up to `starts[i + 1]` have the properties `flags[i]`. */
interface Properties {
  readonly starts: Uint32Array
  readonly flags: Uint16Array
}

const properties = buildProperties()
const folding = buildFolding()

function buildProperties(): Properties {
  const changes = new Map<number, number>([[0, 0]])
  const add = (table: string, flag: number): void => {
    for (const range of table.trim().split(/\s+/)) {
      const dash = range.indexOf('-')
      const first = parseInt(range, 16)
      const end = (dash < 0 ? first : parseInt(range.slice(dash + 1), 16)) + 1
      // No table overlaps itself, so its flag toggles where a range starts and again behind its
      // end.
      changes.set(first, (changes.get(first) ?? 0) ^ flag)
      changes.set(end, (changes.get(end) ?? 0) ^ flag)
    }
  }
  add(unassigned, isUnassigned)
  add(mappedToNothing, isMappedToNothing)
  add('20', isAsciiSpace)
  add('0-1F 7F', isAsciiControl)
  add(nonAsciiSpaces, isNonAsciiSpace)
  add(otherProhibited, isOtherProhibited)
  // " & ' / : < > @ (RFC 6122 §A.5)
  add('22 26-27 2F 3A 3C 3E 40', isNodeprepProhibited)
  add(rightToLeft, isRightToLeft)
  add(leftToRight, isLeftToRight)
  const starts = [...changes.keys()].sort((a, b) => a - b)
  let flags = 0
  return {
    starts: Uint32Array.from(starts),
    flags: Uint16Array.from(starts, (start) => (flags ^= changes.get(start) ?? 0)),
  }
}

function buildFolding(): ReadonlyMap<number, string> {
  const entries = caseFolding
    .trim()
    .split(/\s+/)
    .map((entry): [number, string] => {
      const [from = '', to = ''] = entry.split('=')
      const codePoints = to.split('+').map((codePoint) => parseInt(codePoint, 16))
      return [parseInt(from, 16), String.fromCodePoint(...codePoints)]
    })
  return new Map(entries)
}

/**
 * Five mappings of Unicode 3.2 were wrong and have since been corrected (Unicode Corrigendum 4).
 * Names were compared by the old ones, so they are applied before the runtime's normalisation,
 * which otherwise agrees with Unicode 3.2's on every code point that 3.2 assigns.
 */
const uncorrected: ReadonlyMap<number, string> = new Map([
  [0x2f868, '\u{2136A}'],
  [0x2f874, '\u{5F33}'],
  [0x2f91f, '\u{43AB}'],
  [0x2f95f, '\u{7AAE}'],
  [0x2f9bf, '\u{4D57}'],
])

/** Most text is ASCII: no search for that. */
const asciiFlags = Uint16Array.from({ length: 128 }, (_, codePoint) => searchFlags(codePoint))

function flagsOf(codePoint: number): number {
  return codePoint < 128 ? (asciiFlags[codePoint] ?? 0) : searchFlags(codePoint)
}

function searchFlags(codePoint: number): number {
  const { starts, flags } = properties
  let low = 0
  let high = starts.length
  // Invariant: starts[low] <= codePoint < starts[high].
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if ((starts[middle] ?? 0) <= codePoint) low = middle
    else high = middle
  }
  return flags[low] ?? 0
}

function prepare(text: string, profile: Profile): Result<string, StringprepError> {
  if (isAscii(text)) return prepareAscii(text, profile)
  const mapped = map(text, profile)
  if (mapped === undefined) return err('unassigned')
  const normalized = mapped.normalize('NFKC')
  if (!checkProhibited(normalized, profile.prohibited)) return err('prohibited')
  const bidirectional = profile.bidiPerLabel
    ? checkBidi(normalized) || normalized.split(/[.\u3002]/).every(checkBidi)
    : checkBidi(normalized)
  return bidirectional ? ok(normalized) : err('bidirectional')
}

function prepareAscii(text: string, profile: Profile): Result<string, StringprepError> {
  const folded = profile.foldsCase ? text.toLowerCase() : text
  for (let i = 0; i < folded.length; i++) {
    if ((flagsOf(folded.charCodeAt(i)) & profile.prohibited) !== 0) return err('prohibited')
  }
  return ok(folded)
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) return false
  }
  return true
}

/**
 * RFC 3454 §3, and §7 at once: unassigned code points must be seen before a newer Unicode
 * normalises them away.
 */
function map(text: string, profile: Profile): string | undefined {
  let mapped = ''
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0
    const flags = flagsOf(codePoint)
    if ((flags & isUnassigned) !== 0 && !profile.allowsUnassigned) return undefined
    // U+200B is in B.1 and in C.1.2. SASLprep makes it a space, the others drop it.
    if ((flags & isNonAsciiSpace) !== 0 && profile.mapsSpaces) mapped += ' '
    else if ((flags & isMappedToNothing) !== 0) continue
    else {
      const folded = profile.foldsCase ? folding.get(codePoint) : undefined
      mapped += folded ?? uncorrected.get(codePoint) ?? character
    }
  }
  return mapped
}

/** RFC 3454 §5. */
function checkProhibited(text: string, prohibited: number): boolean {
  for (const character of text) {
    if ((flagsOf(character.codePointAt(0) ?? 0) & prohibited) !== 0) return false
  }
  return true
}

/**
 * RFC 3454 §6: text with a right-to-left character starts and ends with one and has no
 * left-to-right one.
 */
function checkBidi(text: string): boolean {
  let first: number | undefined
  let last = 0
  let all = 0
  for (const character of text) {
    last = flagsOf(character.codePointAt(0) ?? 0)
    first ??= last
    all |= last
  }
  if ((all & isRightToLeft) === 0) return true
  return ((first ?? 0) & last & isRightToLeft) !== 0 && (all & isLeftToRight) === 0
}
