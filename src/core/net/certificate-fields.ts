import type { X509Certificate } from 'node:crypto'
import { derContent, derObjectId, derValues } from './der.ts'

/** Names in a certificate's subjectAltName (RFC 5280 §4.2.1.6) and its common name, as written. */
export interface CertificateNames {
  /** dNSName, wildcards included. */
  readonly dns: readonly string[]
  /** id-on-xmppAddr (RFC 6120 §13.7.1.4): JIDs, or domains of servers. */
  readonly xmpp: readonly string[]
  /** id-on-dnsSRV (RFC 4985) as `_service.domain`. */
  readonly srv: readonly string[]
  readonly commonName: string | undefined
}

const subjectAltName = '2.5.29.17'
const xmppAddress = '1.3.6.1.5.5.7.8.5'
const srvName = '1.3.6.1.5.5.7.8.7'

/** The names of a certificate; malformed fields count as absent. */
export function certificateNames(certificate: X509Certificate): CertificateNames {
  const dns: string[] = []
  const xmpp: string[] = []
  const srv: string[] = []
  const names = extensionValue(certificate.raw, subjectAltName)
  for (const { tag, content } of derValues(derContent(names, 0x30) ?? empty)) {
    if (tag === 0x82) {
      dns.push(text(content))
    } else if (tag === 0xa0) {
      const [type, value] = derValues(content)
      const inner = derValues(value?.content ?? empty)[0]
      if (type?.tag !== 0x06 || inner === undefined) continue
      const id = derObjectId(type.content)
      if (id === xmppAddress) xmpp.push(text(inner.content))
      else if (id === srvName) srv.push(text(inner.content))
    }
  }
  return { dns, xmpp, srv, commonName: commonNameOf(certificate) }
}

/** RFC 5929 §4.1: the hash of tls-server-end-point for this certificate; undefined where the RFC has none (Ed25519). */
export function signatureHash(der: Uint8Array): string | undefined {
  const [, algorithm] = derValues(derContent(der, 0x30) ?? empty)
  const [id, parameters] = derValues(algorithm?.content ?? empty)
  if (id?.tag !== 0x06) return undefined
  const oid = derObjectId(id.content)
  if (oid !== rsassaPss) return hashBySignature.get(oid)
  // RFC 4055 §3.1: the hash is parameter [0], SHA-1 when absent.
  const hash = derValues(parameters?.content ?? empty).find(({ tag }) => tag === 0xa0)
  if (hash === undefined) return 'sha256'
  const hashId = derContent(derContent(hash.content, 0x30) ?? empty, 0x06)
  return hashId === undefined ? undefined : hashById.get(derObjectId(hashId))
}

const rsassaPss = '1.2.840.113549.1.1.10'

// MD5 and SHA-1 are replaced by SHA-256 (RFC 5929 §4.1).
const hashBySignature = new Map([
  ['1.2.840.113549.1.1.4', 'sha256'], // md5WithRSAEncryption
  ['1.2.840.113549.1.1.5', 'sha256'], // sha1WithRSAEncryption
  ['1.2.840.113549.1.1.14', 'sha224'],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.10045.4.1', 'sha256'], // ecdsa-with-SHA1
  ['1.2.840.10045.4.3.1', 'sha224'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
])

const hashById = new Map([
  ['1.3.14.3.2.26', 'sha256'], // SHA-1
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
])

const empty = Buffer.alloc(0)

function text(content: Uint8Array): string {
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString('utf8')
}

/** The content of an extension's OCTET STRING. */
function extensionValue(der: Uint8Array, oid: string): Uint8Array {
  const toBeSigned = derContent(derContent(der, 0x30) ?? empty, 0x30) ?? empty
  const extensions = derValues(toBeSigned).find(({ tag }) => tag === 0xa3)
  for (const { content } of derValues(derContent(extensions?.content ?? empty, 0x30) ?? empty)) {
    const fields = derValues(content)
    const [id] = fields
    if (id?.tag !== 0x06 || derObjectId(id.content) !== oid) continue
    // extnID, critical (may be absent), extnValue
    return fields.find(({ tag }) => tag === 0x04)?.content ?? empty
  }
  return empty
}

function commonNameOf(certificate: X509Certificate): string | undefined {
  const toBeSigned = derContent(derContent(certificate.raw, 0x30) ?? empty, 0x30) ?? empty
  // version [0] (absent in version 1), serialNumber, signature, issuer, validity, subject
  const fields = derValues(toBeSigned).filter(({ tag }) => tag !== 0xa0)
  const subject = fields[4]?.content ?? empty
  let name: string | undefined
  for (const set of derValues(subject)) {
    for (const attribute of derValues(set.content)) {
      const [id, value] = derValues(attribute.content)
      if (id === undefined || value === undefined || derObjectId(id.content) !== '2.5.4.3') continue
      // BMPString, of old Windows tools, is the only type in use whose ASCII is not ASCII.
      if (value.tag !== 0x1e) name = text(value.content)
      else if (value.content.length % 2 === 0) {
        name = Buffer.from(value.content).swap16().toString('utf16le')
      }
    }
  }
  return name
}
