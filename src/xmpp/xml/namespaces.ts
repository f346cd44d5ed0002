export const xmlNs = 'http://www.w3.org/XML/1998/namespace'
export const xmlnsNs = 'http://www.w3.org/2000/xmlns/'
export const streamsNs = 'http://etherx.jabber.org/streams'
export const clientNs = 'jabber:client'
export const serverNs = 'jabber:server'
export const componentNs = 'jabber:component:accept'
export const dialbackNs = 'jabber:server:dialback'

/** Whether stanzas may have this namespace: the default one of some kind of stream (RFC 6120 §4.8.2). */
export function isContentNs(ns: string): boolean {
  return ns === clientNs || ns === serverNs || ns === componentNs
}

/**
 * Prefixes that old peers expect literally, so elements of these namespaces are always written with
 * them (RFC 6120 §4.8.5, XEP-0220).
 */
export function conventionalPrefix(ns: string): string | undefined {
  if (ns === streamsNs) return 'stream'
  if (ns === dialbackNs) return 'db'
  return undefined
}
