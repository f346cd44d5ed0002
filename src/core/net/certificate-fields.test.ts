import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { certificateNames, signatureHash } from './certificate-fields.ts'
import {
  der,
  derContent,
  derObjectId,
  derOid,
  derSequence,
  derTime,
  derUnsigned,
  derValues,
} from './der.ts'
import { makeCertificate } from './test-support.ts'

test('reads the names of a certificate', () => {
  const made = makeCertificate({
    name: 'Größe',
    dns: ['a.example', '*.b.example'],
    ips: ['192.0.2.1', '2001:db8::1'],
    xmpp: ['juliet@ü.example'],
    srv: ['_xmpp-server.c.example'],
  })
  const certificate = new X509Certificate(made.certificate)
  assert.deepEqual(certificateNames(certificate), {
    dns: ['a.example', '*.b.example'],
    xmpp: ['juliet@ü.example'],
    srv: ['_xmpp-server.c.example'],
    commonName: 'Größe',
  })
  assert.equal(certificate.checkIP('192.0.2.1'), '192.0.2.1')
  assert.ok(certificate.checkIP('2001:db8::1'))
  // OpenSSL reads what we wrote as we do.
  assert.match(certificate.subjectAltName ?? '', /DNS:a\.example, DNS:\*\.b\.example/)
  assert.equal(certificate.signatureAlgorithm, 'ecdsa-with-SHA256')
  assert.equal(signatureHash(certificate.raw), 'sha256')
})

/** A certificate as far as `signatureHash` looks. */
function signedWith(algorithm: Buffer): Buffer {
  return derSequence(derSequence(), algorithm, der(0x03, Buffer.from([0])))
}

test('chooses the hash of tls-server-end-point (RFC 5929 §4.1)', () => {
  const hashOf = (oid: string): string | undefined =>
    signatureHash(signedWith(derSequence(derOid(oid))))
  assert.equal(hashOf('1.2.840.113549.1.1.4'), 'sha256') // MD5
  assert.equal(hashOf('1.2.840.113549.1.1.5'), 'sha256') // SHA-1
  assert.equal(hashOf('1.2.840.113549.1.1.13'), 'sha512')
  assert.equal(hashOf('1.2.840.10045.4.3.3'), 'sha384')
  assert.equal(hashOf('1.3.101.112'), undefined) // Ed25519
  const pss = derOid('1.2.840.113549.1.1.10')
  const sha384 = derSequence(der(0xa0, derSequence(derOid('2.16.840.1.101.3.4.2.2'))))
  assert.equal(signatureHash(signedWith(derSequence(pss, sha384))), 'sha384')
  assert.equal(signatureHash(signedWith(derSequence(pss, derSequence()))), 'sha256')
})

test('writes DER that it reads back', () => {
  for (const id of [
    '1.2.840.113549.1.1.11',
    '2.5.29.17',
    '1.3.6.1.5.5.7.8.5',
    '2.16.840.1.101.3.4.2.1',
  ]) {
    assert.equal(derObjectId(derContent(derOid(id), 0x06) ?? Buffer.alloc(0)), id)
  }
  for (const length of [0, 1, 127, 128, 255, 256, 65_535]) {
    const [value] = derValues(der(0x04, Buffer.alloc(length, 7)))
    assert.equal(value?.content.length, length)
  }
  assert.equal(derUnsigned(Buffer.from([0x80])).toString('hex'), '02020080')
  assert.equal(
    derTime(new Date(Date.UTC(2049, 11, 31, 23, 59, 59))).toString('latin1', 2),
    '491231235959Z',
  )
  assert.equal(derTime(new Date(Date.UTC(2050, 0, 1))).toString('latin1', 2), '20500101000000Z')
})

test('never throws, whatever it is given', () => {
  const { certificate } = makeCertificate({ name: 'fuzz', xmpp: ['a@b'], srv: ['_x.y'] })
  const good = new X509Certificate(certificate)
  let state = Math.floor(Math.random() * 2 ** 31)
  const seed = state
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return state % below
  }
  for (let round = 0; round < 20_000; round++) {
    const raw = Buffer.from(good.raw)
    for (let changes = random(4) + 1; changes > 0; changes--) raw[random(raw.length)] = random(256)
    const cut = raw.subarray(0, random(4) === 0 ? random(raw.length) : raw.length)
    // Only `raw` is looked at.
    const damaged: X509Certificate = Object.create(good, { raw: { value: cut } })
    assert.doesNotThrow(() => {
      certificateNames(damaged)
      signatureHash(cut)
    }, `seed ${seed}, round ${round}`)
  }
})
