import { isIPv6 } from 'node:net'
import { domainToUnicode } from 'node:url'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { isCanonicalAscii, localpartEnd } from './ascii-jid.ts'
import { GenerationCache } from './generation-cache.ts'
import { nameprep, nodeprep, resourceprep } from './stringprep.ts'
import type { StringprepError } from './stringprep.ts'

declare const brand: unique symbol

/**
 * A JID in canonical form (RFC 6122): two are the same address if and only if they are the same
 * string. Nodeprep, Nameprep and Resourceprep decide, as in ejabberd, so that names which an
 * existing database holds keep their meaning.
 */
export type Jid = string & { readonly [brand]: { readonly jid: true } }
/** A JID without a resourcepart; with or without a localpart. */
export type BareJid = Jid & { readonly [brand]: { readonly bare: true } }
/** A JID with a resourcepart; with or without a localpart. */
export type FullJid = Jid & { readonly [brand]: { readonly full: true } }
/** A domainpart, which is also the JID of a server or service. */
export type HostName = BareJid & { readonly [brand]: { readonly host: true } }
export type Localpart = string & { readonly [brand]: { readonly localpart: true } }
export type Resourcepart = string & { readonly [brand]: { readonly resourcepart: true } }

export type LocalpartError = 'empty-localpart' | 'localpart-too-long' | 'malformed-localpart'
export type DomainpartError = 'empty-domainpart' | 'domainpart-too-long' | 'malformed-domainpart'
export type ResourcepartError =
  'empty-resourcepart' | 'resourcepart-too-long' | 'malformed-resourcepart'

export type JidError = LocalpartError | DomainpartError | ResourcepartError

/** RFC 6122 §2.1: for each part, before and after preparation. */
const maxPartBytes = 1023

/**
 * Texts that needed preparation lately, with their JIDs: preparing costs more than looking up,
 * plain ASCII does not.
 */
const cache = new GenerationCache<{ readonly ok: true; readonly value: Jid }>(10_000)
const maxCachedLength = 256

/**
 * Parses and canonicalises a JID. What is canonical already, which most JIDs on the wire are, comes
 * back as it is.
 */
export function parseJid(text: string): Result<Jid, JidError> {
  if (isCanonicalAscii(text)) return ok(text as Jid)
  if (text.length > maxCachedLength) return prepareJid(text)
  const known = cache.get(text)
  if (known !== undefined) return known
  const parsed = prepareJid(text)
  // A copy as the key: the text may be a slice that would keep a whole stanza alive.
  if (parsed.ok) cache.set(Buffer.from(text).toString(), parsed)
  return parsed
}

/** For constants and tests: throws on what is no JID. */
export function jid(text: string): Jid {
  const parsed = parseJid(text)
  if (!parsed.ok) throw new TypeError(`Cannot read "${text}" as a JID: ${parsed.error}`)
  return parsed.value
}

/** Puts prepared parts together; `''` stands for an absent one. */
export function makeJid(localpart: Localpart | '', domainpart: HostName, resourcepart: ''): BareJid
export function makeJid(
  localpart: Localpart | '',
  domainpart: HostName,
  resourcepart: Resourcepart,
): FullJid
export function makeJid(
  localpart: Localpart | '',
  domainpart: HostName,
  resourcepart: Resourcepart | '',
): Jid
export function makeJid(
  localpart: Localpart | '',
  domainpart: HostName,
  resourcepart: Resourcepart | '',
): Jid {
  const bare = localpart === '' ? domainpart : `${localpart}@${domainpart}`
  return (resourcepart === '' ? bare : `${bare}/${resourcepart}`) as Jid
}

/** Prepares parts and puts them together; `''` stands for an absent one. */
export function parseJidParts(
  localpart: string,
  domainpart: string,
  resourcepart: string,
): Result<Jid, JidError> {
  const host = prepDomain(domainpart)
  if (!host.ok) return host
  let local: Localpart | '' = ''
  if (localpart !== '') {
    const prepared = prepLocalpart(localpart)
    if (!prepared.ok) return prepared
    local = prepared.value
  }
  if (resourcepart === '') return ok(makeJid(local, host.value, ''))
  const resource = prepResource(resourcepart)
  if (!resource.ok) return resource
  return ok(makeJid(local, host.value, resource.value))
}

/** Prepares a localpart (RFC 6122 §2.3). */
export function prepLocalpart(text: string): Result<Localpart, LocalpartError> {
  if (text === '') return err('empty-localpart')
  const prepared = prepPart(text, nodeprep)
  if (prepared === tooLong) return err('localpart-too-long')
  if (prepared === undefined) return err('malformed-localpart')
  // Zero-width characters are mapped to nothing, so something may become nothing.
  if (prepared === '') return err('empty-localpart')
  return ok(prepared as Localpart)
}

/** Prepares a resourcepart (RFC 6122 §2.4). */
export function prepResource(text: string): Result<Resourcepart, ResourcepartError> {
  if (text === '') return err('empty-resourcepart')
  const prepared = prepPart(text, resourceprep)
  if (prepared === tooLong) return err('resourcepart-too-long')
  if (prepared === undefined) return err('malformed-resourcepart')
  if (prepared === '') return err('empty-resourcepart')
  return ok(prepared as Resourcepart)
}

/**
 * Prepares a domainpart (RFC 6122 §2.2): a host name without a trailing dot, an IPv4 address, or an
 * IPv6 address in brackets. A-labels (`xn--`) stay as they are.
 */
export function prepDomain(text: string): Result<HostName, DomainpartError> {
  if (text === '') return err('empty-domainpart')
  const prepared = prepPart(text, nameprep)
  if (prepared === tooLong) return err('domainpart-too-long')
  if (prepared === undefined) return err('malformed-domainpart')
  if (prepared.startsWith('[')) {
    const isAddress = prepared.endsWith(']') && isIPv6(prepared.slice(1, -1))
    return isAddress && !prepared.includes('%')
      ? ok(prepared as HostName)
      : err('malformed-domainpart')
  }
  // RFC 3490 §3.1: U+3002 separates labels, too. Its full-width kin became "." or U+3002 in
  // preparation.
  const dotted = prepared.replaceAll('\u3002', '.')
  const name = dotted.endsWith('.') ? dotted.slice(0, -1) : dotted
  if (name === '') return err('empty-domainpart')
  return isDotted(name) ? ok(name as HostName) : err('malformed-domainpart')
}

/**
 * Prepares a host name from a configuration: like `prepDomain`, but A-labels become the Unicode
 * that clients write in JIDs. A name whose Unicode form is not stable under preparation
 * (`xn--fa-hia.de`) can only be met as it stands.
 */
export function parseHostName(text: string): Result<HostName, DomainpartError> {
  const asWritten = prepDomain(text)
  if (!asWritten.ok || !/(?:^|\.)xn--/.test(asWritten.value)) return asWritten
  const unicode = domainToUnicode(asWritten.value)
  const prepared = prepDomain(unicode)
  return prepared.ok && prepared.value === unicode ? prepared : asWritten
}

/** `''` if there is none. */
export function localpart(jid: Jid): Localpart | '' {
  return jid.slice(0, Math.max(localpartEnd(jid), 0)) as Localpart | ''
}

export function domainpart(jid: Jid): HostName {
  const slash = jid.indexOf('/')
  return jid.slice(localpartEnd(jid) + 1, slash < 0 ? jid.length : slash) as HostName
}

/** `''` if there is none. */
export function resourcepart(jid: Jid): Resourcepart | '' {
  const slash = jid.indexOf('/')
  return (slash < 0 ? '' : jid.slice(slash + 1)) as Resourcepart | ''
}

/** The JID without its resourcepart. */
export function bareJid(jid: Jid): BareJid {
  const slash = jid.indexOf('/')
  return (slash < 0 ? jid : jid.slice(0, slash)) as BareJid
}

export function withResource(bare: BareJid, resource: Resourcepart): FullJid {
  return `${bare}/${resource}` as FullJid
}

/** Has no resourcepart. */
export function isBare(jid: Jid): jid is BareJid {
  return !jid.includes('/')
}

/** Has a resourcepart. */
export function isFull(jid: Jid): jid is FullJid {
  return jid.includes('/')
}

/** Is nothing but a domainpart. */
export function isDomain(jid: Jid): jid is HostName {
  return !jid.includes('/') && !jid.includes('@')
}

/**
 * RFC 6122 §2.1: the first `/` starts the resourcepart, the first `@` before it ends the localpart.
 */
function prepareJid(text: string): Result<Jid, JidError> {
  const slash = text.indexOf('/')
  const at = localpartEnd(text)
  if (at === 0) return err('empty-localpart')
  if (slash === text.length - 1 && slash >= 0) return err('empty-resourcepart')
  return parseJidParts(
    at < 0 ? '' : text.slice(0, at),
    text.slice(at + 1, slash < 0 ? text.length : slash),
    slash < 0 ? '' : text.slice(slash + 1),
  )
}

const tooLong = Symbol('too long')

function prepPart(
  text: string,
  profile: (text: string) => Result<string, StringprepError>,
): string | undefined | typeof tooLong {
  if (isTooLong(text)) return tooLong
  const prepared = profile(text)
  if (!prepared.ok) return undefined
  return isTooLong(prepared.value) ? tooLong : prepared.value
}

function isTooLong(text: string): boolean {
  // No UTF-16 unit takes more than three bytes of UTF-8, so short text needs no counting.
  if (text.length * 3 <= maxPartBytes) return false
  return text.length > maxPartBytes || Buffer.byteLength(text) > maxPartBytes
}

/** Letters, digits, hyphens, underscores and what is not ASCII, in non-empty labels. */
function isDotted(name: string): boolean {
  return /^[a-z0-9_\-\u0080-\u{10ffff}]+(?:\.[a-z0-9_\-\u0080-\u{10ffff}]+)*$/u.test(name)
}
