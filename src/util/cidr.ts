import { isIPv4, isIPv6 } from 'node:net'
import { err, ok } from './result.ts'
import type { Result } from './result.ts'

type Words = readonly [number, number, number, number]

/**
 * An IP address as four 32-bit words, an IPv4 one in the form ::ffff:a.b.c.d. An IPv4-mapped IPv6
 * address, which is what an IPv4 peer looks like on a socket of both families, is the IPv4 address.
 */
export interface IpAddress {
  readonly family: 4 | 6
  readonly words: Words
}

/** A network: all addresses whose first bits are these. */
export interface Cidr {
  readonly family: 4 | 6
  readonly words: Words
  readonly masks: Words
}

export type CidrError = 'malformed-address' | 'malformed-prefix'

/** Parses an IPv4 or IPv6 address; a zone (`fe80::1%eth0`) is left out. */
export function parseIpAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return { family: 4, words: [0, 0, 0xffff, parseIPv4(text)] }
  if (!isIPv6(text)) return undefined
  const words = parseIPv6(text.replace(/%.*/, ''))
  return { family: isMapped(words) ? 4 : 6, words }
}

/** Parses `address` (only that) or `address/length`. Bits behind the prefix may be anything. */
export function parseCidr(text: string): Result<Cidr, CidrError> {
  const [addressText = '', prefixText, ...rest] = text.split('/')
  const address = addressText.includes('%') ? undefined : parseIpAddress(addressText)
  if (address === undefined) return err('malformed-address')
  // The length counts in the notation that was used: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const bits = isIPv4(addressText) ? 32 : 128
  const prefix = prefixText === undefined ? bits : Number(prefixText)
  if (rest.length > 0 || (prefixText !== undefined && !/^\d{1,3}$/.test(prefixText))) {
    return err('malformed-prefix')
  }
  if (prefix > bits) return err('malformed-prefix')
  const prefix128 = prefix + 128 - bits
  const masks: Words = [
    mask(prefix128),
    mask(prefix128 - 32),
    mask(prefix128 - 64),
    mask(prefix128 - 96),
  ]
  // ::/0 and the like are about IPv6 only.
  return ok({ family: prefix128 < 96 ? 6 : address.family, words: address.words, masks })
}

export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  if (cidr.family !== address.family) return false
  const [a0, a1, a2, a3] = address.words
  const [c0, c1, c2, c3] = cidr.words
  const [m0, m1, m2, m3] = cidr.masks
  return (
    ((a3 ^ c3) & m3) === 0 &&
    ((a2 ^ c2) & m2) === 0 &&
    ((a1 ^ c1) & m1) === 0 &&
    ((a0 ^ c0) & m0) === 0
  )
}

/** RFC 5952 §4; IPv4 and IPv4-mapped addresses with dots. */
export function formatIpAddress(address: IpAddress): string {
  if (address.family === 4) {
    const word = address.words[3]
    return [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.')
  }
  const groups = address.words.flatMap((word) => [word >>> 16, word & 0xffff])
  const hex = groups.map((group) => group.toString(16)).join(':')
  // The first of the longest runs of two or more zero groups becomes "::".
  let longest = ''
  for (const [run] of hex.matchAll(/\b0(?::0)+\b/g)) if (run.length > longest.length) longest = run
  if (longest === '') return hex
  const start = hex.search(new RegExp(`\\b${longest}\\b`))
  const before = hex.slice(0, Math.max(start - 1, 0))
  return `${before}::${hex.slice(start + longest.length + 1)}`
}

/** The network's first address with the length of its prefix, which is left out where it is the whole address. */
export function formatCidr({ family, words, masks }: Cidr): string {
  const first: Words = [
    (words[0] & masks[0]) >>> 0,
    (words[1] & masks[1]) >>> 0,
    (words[2] & masks[2]) >>> 0,
    (words[3] & masks[3]) >>> 0,
  ]
  const bits = masks.reduce((sum, word) => sum + 32 - Math.clz32(~word), 0)
  const length = 128 - bits
  const address = formatIpAddress({ family, words: first })
  if (length === 128) return address
  return `${address}/${family === 4 ? length - 96 : length}`
}

function isMapped(words: Words): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff
}

function parseIPv4(text: string): number {
  let word = 0
  for (const part of text.split('.')) word = word * 256 + Number(part)
  return word
}

/** Of a text that is known to be valid. */
function parseIPv6(text: string): Words {
  const dotted = /[^:]*\.[^:]*$/.exec(text)?.[0]
  const tail = dotted === undefined ? undefined : parseIPv4(dotted)
  const plain =
    dotted === undefined || tail === undefined
      ? text
      : `${text.slice(0, -dotted.length)}${(tail >>> 16).toString(16)}:${(tail & 0xffff).toString(16)}`
  const [left = '', right] = plain.split('::')
  const head = parseGroups(left)
  const end = parseGroups(right ?? '')
  const zeros = Array.from({ length: 8 - head.length - end.length }, () => 0)
  const groups = [...head, ...zeros, ...end]
  const word = (i: number): number => (groups[i] ?? 0) * 0x10000 + (groups[i + 1] ?? 0)
  return [word(0), word(2), word(4), word(6)]
}

function parseGroups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => parseInt(group, 16))
}

/** A word whose first `bits` bits are set. */
function mask(bits: number): number {
  if (bits <= 0) return 0
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0
}
