import type { TlsInfo } from '../../core/transport.ts'

/** The bindings that we know, in the order in which they are told to clients (XEP-0440 §2). */
export const channelBindingTypes = ['tls-exporter', 'tls-unique', 'tls-server-end-point'] as const

/** The channel bindings of a connection by type; none without TLS or where the runtime gives none. */
export function channelBindingsOf(tls: TlsInfo | undefined): ReadonlyMap<string, Uint8Array> {
  const bindings = new Map<string, Uint8Array>()
  if (tls === undefined) return bindings
  const exporter = tls.exporter()
  if (exporter !== undefined) bindings.set('tls-exporter', exporter)
  // COMPAT: slixmpp up to 1.8 binds to tls-unique whatever the version of TLS, and gives up when that is refused. In TLS
  // 1.3 the Finished message is a MAC over the whole handshake, so that this is no weaker than with 1.2.
  const unique = tls.unique?.()
  if (unique !== undefined) bindings.set('tls-unique', unique)
  const endPoint = tls.serverEndPoint()
  if (endPoint !== undefined) bindings.set('tls-server-end-point', endPoint)
  return bindings
}

/** The types that clients are told of (XEP-0440 §2): tls-unique is not defined for TLS 1.3 (RFC 9266 §2). */
export function announcedBindings(tls: TlsInfo | undefined): readonly string[] {
  const types = [...channelBindingsOf(tls).keys()]
  return tls?.version === 'TLSv1.2' ? types : types.filter((type) => type !== 'tls-unique')
}
