import { isIPv6 } from 'node:net'
import { domainToUnicode } from 'node:url'
import type { Glob } from '../core/options/pattern-types.ts'

/** Host without port of `host[:port]` (RFC 9110 §7.2), in lower case, an IPv6 address without brackets. */
export function parseAuthority(text: string): string | undefined {
  const [, name, address, port] =
    /^(?:([A-Za-z0-9._~!$&'()*+,;=%-]+)|\[([0-9A-Fa-f:.]+)\])(?::(\d{0,5}))?$/.exec(text) ?? []
  if (Number(port ?? '') > 0xffff) return undefined
  if (address !== undefined) return isIPv6(address) ? address.toLowerCase() : undefined
  // A dot at the end makes a name absolute, not another one.
  const host = name?.toLowerCase().replace(/\.$/, '')
  return host === '' || host === undefined ? undefined : host
}

/** Which host a request is for. */
export function virtualHost(
  host: string,
  served: readonly string[],
  aliases: ReadonlyMap<Glob, string>,
): string {
  if (served.includes(host)) return host
  // What browsers send is in ASCII, what is configured may be in letters (RFC 5890).
  const unicode = host.includes('xn--') ? domainToUnicode(host) : host
  if (unicode !== '' && served.includes(unicode)) return unicode
  for (const [glob, target] of aliases) {
    if (glob.test(host)) return target
  }
  return unicode === '' ? host : unicode
}
