import { isIP, isIPv4, isIPv6 } from 'node:net'
import { parseCidr } from '../../util/cidr.ts'
import { prepareDomain, prepareJid } from './names.ts'
import { anyOf, invalid, scalarType } from './type.ts'
import type { HostName, Jid } from '../../xmpp/jid/jid.ts'
import type { Cidr } from '../../util/cidr.ts'
import type { Type } from './type.ts'

/** A host name in canonical form: nameprepped, Unicode rather than Punycode. */
export const domainType: Type<HostName> = scalarType(
  'a host name',
  { type: 'string', format: 'idn-hostname' },
  (text) => prepareDomain(text),
)

/** The host name of a service, which must not be one of the hosts served. */
export const serviceDomainType: Type<HostName> = scalarType(
  'a host name',
  { type: 'string', format: 'idn-hostname' },
  (text, node, ctx) => {
    const domain = prepareDomain(text)
    if (domain === undefined || ctx.settings.hosts?.has(domain) !== true) return domain
    ctx.report(
      node.at,
      `"${domain}" is already one of the hosts served, a service needs its own name`,
    )
    return invalid
  },
)

export const ipType: Type<string> = scalarType(
  'an IP address',
  {
    anyOf: [
      { type: 'string', format: 'ipv4' },
      { type: 'string', format: 'ipv6' },
    ],
  },
  (text) => (isIP(text) === 0 ? undefined : text),
)

export const ipv4Type: Type<string> = scalarType(
  'an IPv4 address',
  { type: 'string', format: 'ipv4' },
  (text) => (isIPv4(text) ? text : undefined),
)

export const ipv6Type: Type<string> = scalarType(
  'an IPv6 address',
  { type: 'string', format: 'ipv6' },
  (text) => (isIPv6(text) ? text : undefined),
)

export const cidrType: Type<Cidr> = scalarType(
  'an IP address or network ("10.0.0.0/8")',
  { type: 'string' },
  (text) => {
    const parsed = parseCidr(text)
    return parsed.ok ? parsed.value : undefined
  },
)

export const portType: Type<number> = scalarType(
  'a port number from 1 to 65535',
  { type: 'integer', minimum: 1, maximum: 65535 },
  (text, node) => {
    const port = node.plain && /^\d{1,5}$/.test(text) ? Number(text) : 0
    return port >= 1 && port <= 65535 ? port : undefined
  },
)

export function urlType(schemes: readonly string[] = ['http', 'https']): Type<string> {
  const pattern = schemes.length === 0 ? {} : { pattern: `^(${schemes.join('|')})://` }
  const name = schemes.length === 0 ? 'a URL' : `a URL (${anyOf(schemes)})`
  return scalarType(name, { type: 'string', format: 'uri', ...pattern }, (text) => {
    const url = URL.parse(text)
    if (url === null || url.host === '') return undefined
    return schemes.length === 0 || schemes.includes(url.protocol.slice(0, -1)) ? text : undefined
  })
}

/** A JID in canonical form, with or without a resource. */
export const jidType: Type<Jid> = scalarType('a JID', { type: 'string' }, (text) =>
  prepareJid(text),
)

/** MQTT5 4.7.1: `#` only as the last level, `+` only as a whole level. */
export const topicFilterType: Type<string> = scalarType(
  'an MQTT topic filter',
  { type: 'string', minLength: 1 },
  (text) => {
    const levels = text.split('/')
    const isFilter = levels.every((level, index) => {
      if (level === '#') return index === levels.length - 1
      return level === '+' || !/[+#]/.test(level)
    })
    return isFilter && text !== '' && !text.includes('\0') && text.length <= 65535
      ? text
      : undefined
  },
)

/** Origins of web sites, several of which may stand in one text with spaces between. */
export const originsType: Type<readonly string[]> = scalarType(
  'the URL of a web site',
  { type: 'string', format: 'uri' },
  (text) => {
    const origins = text.split(/\s+/).filter((part) => part !== '')
    const areUrls = origins.every((origin) => /^https?:$/.test(URL.parse(origin)?.protocol ?? ''))
    return areUrls && origins.length > 0 ? origins : undefined
  },
)
