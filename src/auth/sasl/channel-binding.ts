import type { TlsInfo } from '../../core/transport.ts'

/** The bindings that we know, in the order in which they are told to clients (XEP-0440 §2). */
export const channelBindingTypes = ['tls-exporter', 'tls-unique', 'tls-server-end-point'] as const

/** The channel bindings of a connection by type; none without TLS or where the runtime gives none. */
export function channelBindingsOf(tls: TlsInfo | undefined): ReadonlyMap<string, Uint8Array> {
  const bindings = new Map<string, Uint8Array>()
  if (tls === undefined) return bindings
  const exporter = tls.exporter()
  if (exporter !== undefined) bindings.set('tls-exporter', exporter)
  // RFC 9266 §2: undefined for TLS 1.3, where tls-exporter is there instead.
  const unique = tls.version === 'TLSv1.2' ? tls.unique?.() : undefined
  if (unique !== undefined) bindings.set('tls-unique', unique)
  const endPoint = tls.serverEndPoint()
  if (endPoint !== undefined) bindings.set('tls-server-end-point', endPoint)
  return bindings
}
