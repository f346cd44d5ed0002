import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { parseIpAddress } from '../../util/cidr.ts'
import {
  der,
  derContent,
  derOid,
  derSequence,
  derText,
  derTime,
  derUnsigned,
  derValues,
} from './der.ts'

export interface CertificateRequest {
  /** Common name. */
  readonly name: string
  /** dNSName entries, in A-labels. */
  readonly dns?: readonly string[]
  readonly ips?: readonly string[]
  /** id-on-xmppAddr (RFC 6120 §13.7.1.4). */
  readonly xmpp?: readonly string[]
  /** id-on-dnsSRV (RFC 4985). */
  readonly srv?: readonly string[]
  /** Who signs it; without one it signs itself. */
  readonly issuer?: IssuedCertificate
  readonly isAuthority?: boolean
  readonly notBefore: Date
  readonly notAfter: Date
  readonly hash?: 'sha256' | 'sha384'
}

export interface IssuedCertificate {
  /** PEM of the certificate and of its key. */
  readonly certificate: string
  readonly key: string
  readonly name: string
}

/** Makes a key (ECDSA P-256) and a certificate for it (RFC 5280). */
export function issueCertificate(request: CertificateRequest): IssuedCertificate {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { issuer, name, hash = 'sha256' } = request
  const signingKey = issuer === undefined ? keys.privateKey : createPrivateKey(issuer.key)
  const algorithm = derSequence(
    derOid(hash === 'sha256' ? '1.2.840.10045.4.3.2' : '1.2.840.10045.4.3.3'),
  )
  const toBeSigned = derSequence(
    der(0xa0, derUnsigned(Buffer.from([2]))), // version 3
    serialNumber(),
    algorithm,
    distinguishedName(issuer?.name ?? name),
    derSequence(derTime(request.notBefore), derTime(request.notAfter)),
    distinguishedName(name),
    publicKeyInfo(keys.publicKey),
    der(0xa3, derSequence(...extensions(request, keys.publicKey))),
  )
  const signature = sign(hash, toBeSigned, signingKey)
  const raw = derSequence(toBeSigned, algorithm, bitString(signature))
  return {
    certificate: pem('CERTIFICATE', raw),
    key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    name,
  }
}

/** RFC 5280 §4.1.2.2: positive, unique, at most 20 octets. */
function serialNumber(): Buffer {
  const octets = randomBytes(16)
  octets[0] = ((octets[0] ?? 0) & 0x7f) | 0x40
  return derUnsigned(octets)
}

function distinguishedName(commonName: string): Buffer {
  return derSequence(der(0x31, derSequence(derOid('2.5.4.3'), derText(commonName))))
}

function publicKeyInfo(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' })
}

function bitString(octets: Uint8Array): Buffer {
  return der(0x03, Buffer.from([0]), octets)
}

function extensions(request: CertificateRequest, key: KeyObject): Buffer[] {
  const isAuthority = request.isAuthority === true
  const names = generalNames(request)
  return [
    extension('2.5.29.14', false, der(0x04, keyIdentifier(key))), // subjectKeyIdentifier
    extension('2.5.29.19', true, derSequence(...(isAuthority ? [truth] : []))), // basicConstraints
    // keyUsage: keyCertSign and cRLSign, or digitalSignature
    extension(
      '2.5.29.15',
      true,
      der(0x03, isAuthority ? Buffer.from([1, 0x06]) : Buffer.from([7, 0x80])),
    ),
    ...(isAuthority ? [] : [extension('2.5.29.37', false, derSequence(serverAuth, clientAuth))]), // extKeyUsage
    ...(names.length === 0 ? [] : [extension('2.5.29.17', false, derSequence(...names))]), // subjectAltName
  ]
}

const truth = der(0x01, Buffer.from([0xff]))
const serverAuth = derOid('1.3.6.1.5.5.7.3.1')
const clientAuth = derOid('1.3.6.1.5.5.7.3.2')

function extension(id: string, isCritical: boolean, value: Buffer): Buffer {
  return derSequence(derOid(id), ...(isCritical ? [truth] : []), der(0x04, value))
}

/** RFC 5280 §4.2.1.2: the SHA-1 of the key's bits, as a name only. */
function keyIdentifier(key: KeyObject): Buffer {
  const [, bits] = derValues(derContent(publicKeyInfo(key), 0x30) ?? Buffer.alloc(0))
  return createHash('sha1')
    .update(bits?.content.subarray(1) ?? '')
    .digest()
}

function generalNames(request: CertificateRequest): Buffer[] {
  return [
    ...(request.dns ?? []).map((name) => der(0x82, Buffer.from(name))),
    ...(request.ips ?? []).map((ip) => der(0x87, ipBytes(ip))),
    ...(request.xmpp ?? []).map((jid) => otherName('1.3.6.1.5.5.7.8.5', derText(jid))),
    ...(request.srv ?? []).map((name) =>
      otherName('1.3.6.1.5.5.7.8.7', der(0x16, Buffer.from(name))),
    ),
  ]
}

function ipBytes(ip: string): Buffer {
  const address = parseIpAddress(ip)
  const bytes = Buffer.alloc(16)
  address?.words.forEach((word, i) => bytes.writeUInt32BE(word, 4 * i))
  return address?.family === 4 ? bytes.subarray(12) : bytes
}

function otherName(id: string, value: Buffer): Buffer {
  return der(0xa0, derOid(id), der(0xa0, value))
}

function pem(label: string, raw: Buffer): string {
  const lines = raw.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
