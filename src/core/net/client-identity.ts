import type { TlsInfo } from '../transport.ts'
import { certificateNames } from './certificate-fields.ts'

/** Who a client is by its certificate. */
export type ClientIdentity =
  /** No TLS, or no certificate was shown. */
  | { readonly kind: 'none' }
  /** Not from an authority that we trust, expired, …; `error` is OpenSSL's code. */
  | { readonly kind: 'unverified'; readonly error: string }
  | {
      readonly kind: 'verified'
      /** id-on-xmppAddr entries (XEP-0178 §2): JIDs as written. */
      readonly addresses: readonly string[]
      readonly commonName: string | undefined
    }

export function clientIdentity(tls: TlsInfo | undefined): ClientIdentity {
  const certificate = tls?.peerCertificate
  if (certificate === undefined) return { kind: 'none' }
  if (tls?.peerCertificateError !== undefined) {
    return { kind: 'unverified', error: tls.peerCertificateError }
  }
  const { xmpp, commonName } = certificateNames(certificate)
  return { kind: 'verified', addresses: xmpp, commonName }
}
