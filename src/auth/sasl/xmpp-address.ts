import type { X509Certificate } from 'node:crypto'
import { decodeUtf8 } from './utf8.ts'

/** id-ce-subjectAltName, 2.5.29.17 (RFC 5280 §4.2.1.6). */
const subjectAltName = Buffer.from([0x55, 0x1d, 0x11])
/** id-on-xmppAddr, 1.3.6.1.5.5.7.8.5 (RFC 6120 §13.7.1.4). */
const xmppAddr = Buffer.from([0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x05])

const tag = {
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  constructed0: 0xa0,
  constructed3: 0xa3,
} as const

/** One value in DER: its tag and what is inside. */
interface Value {
  readonly tag: number
  readonly content: Uint8Array
}

/**
 * The XMPP addresses that a certificate was issued for (XEP-0178 §2.2), as they stand in it. Reads the certificate itself:
 * the text form of subjectAltName mixes names and their values. Nothing for what is not DER.
 */
export function xmppAddresses(certificate: Pick<X509Certificate, 'raw'>): readonly string[] {
  const [whole] = valuesIn(certificate.raw)
  const [toBeSigned] = whole?.tag === tag.sequence ? valuesIn(whole.content) : []
  if (toBeSigned?.tag !== tag.sequence) return []
  return valuesIn(toBeSigned.content)
    .filter((field) => field.tag === tag.constructed3)
    .flatMap((field) => valuesIn(field.content).slice(0, 1))
    .flatMap((extensions) => valuesIn(extensions.content))
    .flatMap(alternativeNames)
    .flatMap(addressIn)
}

/** Extension ::= SEQUENCE { extnID OID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
function alternativeNames(extension: Value): readonly Value[] {
  const [id, ...rest] = valuesIn(extension.content)
  if (id?.tag !== tag.oid || !subjectAltName.equals(id.content)) return []
  const value = rest.find((part) => part.tag === tag.octetString)
  const [names] = value === undefined ? [] : valuesIn(value.content)
  return names?.tag === tag.sequence ? valuesIn(names.content) : []
}

/** OtherName ::= [0] SEQUENCE { type-id OID, value [0] EXPLICIT UTF8String } */
function addressIn(name: Value): readonly string[] {
  if (name.tag !== tag.constructed0) return []
  const [type, wrapped] = valuesIn(name.content)
  if (type?.tag !== tag.oid || !xmppAddr.equals(type.content)) return []
  const [text] = wrapped?.tag === tag.constructed0 ? valuesIn(wrapped.content) : []
  const address = text?.tag === tag.utf8String ? decodeUtf8(text.content) : undefined
  return address === undefined ? [] : [address]
}

/** The values that stand one after another; those before the first malformed one. */
function valuesIn(bytes: Uint8Array): readonly Value[] {
  const values: Value[] = []
  let at = 0
  while (at + 2 <= bytes.length) {
    const kind = bytes[at] ?? 0
    let length = bytes[at + 1] ?? 0
    at += 2
    if (length >= 0x80) {
      const count = length & 0x7f
      if (count === 0 || count > 4 || at + count > bytes.length) return values
      length = 0
      for (let i = 0; i < count; i++) length = length * 256 + (bytes[at + i] ?? 0)
      at += count
    }
    if (at + length > bytes.length) return values
    values.push({ tag: kind, content: bytes.subarray(at, at + length) })
    at += length
  }
  return values
}
