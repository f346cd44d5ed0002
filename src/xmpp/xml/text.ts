import { fromBinary, ownSlice, toBinary } from './binary.ts'
import type { BinaryString } from './binary.ts'

const predefined: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  apos: "'",
  quot: '"',
}

function resolveReferences(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&([^;]+);/g, (_, name: string) => {
    if (!name.startsWith('#')) return predefined[name] ?? ''
    const codePoint = name[1] === 'x' ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1))
    return String.fromCodePoint(codePoint)
  })
}

// All of these take a source that was checked: it holds valid UTF-8 and valid references only.

/** Character data between tags: XML 1.0 §2.11 (line ends) and §4.6 (references). */
export function decodeText(source: BinaryString, start: number, end: number): string {
  const part = ownSlice(source, start, end)
  if (!/[&\r\x80-\xff]/.test(part)) return part
  return resolveReferences(normalizeLines(decoded(part)))
}

export function decodeCdata(source: BinaryString, start: number, end: number): string {
  return normalizeLines(decoded(ownSlice(source, start, end)))
}

/** An attribute's value: white space becomes spaces, that of references stays (XML 1.0 §3.3.3). */
export function decodeValue(source: BinaryString, start: number, end: number): string {
  const part = ownSlice(source, start, end)
  if (!/[&\t\n\r\x80-\xff]/.test(part)) return part
  return resolveReferences(decoded(part).replace(/\r\n|[\t\n\r]/g, ' '))
}

function decoded(part: BinaryString): string {
  return high.test(part) ? fromBinary(part) : part
}

function normalizeLines(text: string): string {
  return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text
}

// Characters that cannot stand for themselves, or are no single byte. What XML forbids altogether is
// included: a peer would close its stream on it, so it is written as U+FFFD.
const forbidden = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g
const careInText = /[\0-\x08\x0b-\x1f&<>\x80-\uffff]/
const careInValue = /[\0-\x1f&<>'"]/
const careCodes = Uint8Array.from({ length: 128 }, (_, code) =>
  careInValue.test(String.fromCharCode(code)) ? 1 : 0,
)
const high = /[\x80-\uffff]/

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;',
}

function escaped(text: string, special: RegExp): BinaryString {
  const safe = text
    .replace(forbidden, '\ufffd')
    .replace(special, (character) => escapes[character] ?? character)
  return high.test(safe) ? toBinary(safe) : safe
}

/** `text` as character data. */
export function encodeText(text: string): BinaryString {
  return careInText.test(text) ? escaped(text, /[&<>\r]/g) : text
}

/** `value` as it stands between quotes of either kind. */
export function encodeValue(value: string): BinaryString {
  // Values are short: a loop takes a third of the time of a pattern.
  for (let at = 0; at < value.length; at++) {
    if (careCodes[value.charCodeAt(at)] !== 0) return escaped(value, /[&<>'"\t\n\r]/g)
  }
  return value
}

/** `name` may hold any characters that XML allows in names. */
export function encodeName(name: string): BinaryString {
  for (let at = 0; at < name.length; at++) if (name.charCodeAt(at) >= 0x80) return toBinary(name)
  return name
}
