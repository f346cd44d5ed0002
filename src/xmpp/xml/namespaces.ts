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
 * Prefixes that elements of these namespaces are always written with: old peers expect them literally
 * (RFC 6120 §4.8.5, XEP-0220), and `xml` can be written in no other way (Namespaces in XML §3).
 */
export function conventionalPrefix(ns: string): string | undefined {
  if (ns === streamsNs) return 'stream'
  if (ns === dialbackNs) return 'db'
  if (ns === xmlNs) return 'xml'
  return undefined
}
