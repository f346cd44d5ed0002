import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SignInPolicy } from '../../core/account.ts'
import { announcedBindings, channelBindingsOf } from './channel-binding.ts'
import { downgradeHash, offerMechanisms } from './offer.ts'
import type { OfferInput } from './offer.ts'

const policy: SignInPolicy = {
  scram: ['sha1', 'sha256', 'sha512'],
  checksPasswords: true,
  allowsGuests: false,
  hiddenInSasl1: [],
}
const input: OfferInput = {
  policy,
  profile: 'sasl1',
  disabled: [],
  isEncrypted: true,
  channelBindings: ['tls-exporter', 'tls-server-end-point'],
  hasCertificate: false,
  protectsFromDowngrade: true,
}
const offered = (changes: Partial<OfferInput> = {}): string =>
  offerMechanisms({ ...input, ...changes }).mechanisms.join(' ')

const plus = 'SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS'
const scram = 'SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1'

test('offers the strongest mechanism first', () => {
  assert.equal(offered(), `${plus} ${scram} PLAIN`)
  assert.equal(offered({ hasCertificate: true }), `EXTERNAL ${plus} ${scram} PLAIN`)
})

test('without TLS there is neither PLAIN nor -PLUS', () => {
  assert.equal(offered({ isEncrypted: false }), scram)
  assert.equal(offered({ isEncrypted: false, allowPlainWithoutTls: true }), `${scram} PLAIN`)
})

test('without channel bindings there is no -PLUS and nothing to announce', () => {
  const offer = offerMechanisms({ ...input, channelBindings: [] })
  assert.equal(offer.mechanisms.join(' '), `${scram} PLAIN`)
  assert.deepEqual(offer.channelBindings, [])
})

test('types of bindings are announced only with -PLUS (XEP-0440)', () => {
  assert.deepEqual(offerMechanisms(input).channelBindings, input.channelBindings)
  const disabled = plus.split(' ')
  assert.deepEqual(offerMechanisms({ ...input, disabled }).channelBindings, [])
})

test('takes out disabled mechanisms, in any case', () => {
  const disabled = ['plain', 'Scram-SHA-1', 'SCRAM-SHA-1-plus']
  assert.equal(
    offered({ disabled }),
    'SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-512 SCRAM-SHA-256',
  )
})

test('offers the hashes that the host has keys for', () => {
  assert.equal(
    offered({ policy: { ...policy, scram: ['sha1'] } }),
    'SCRAM-SHA-1-PLUS SCRAM-SHA-1 PLAIN',
  )
  assert.equal(offered({ policy: { ...policy, scram: [] } }), 'PLAIN')
})

test('hides forms in SASL1 only', () => {
  const hiding = { ...policy, hiddenInSasl1: ['plain', 'scram_sha1'] as const }
  assert.equal(
    offered({ policy: hiding }),
    'SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-512 SCRAM-SHA-256',
  )
  assert.equal(offered({ policy: hiding, profile: 'sasl2' }), `${plus} ${scram} PLAIN`)
})

test('a host of guests offers ANONYMOUS alone', () => {
  const guests = { scram: [], checksPasswords: false, allowsGuests: true, hiddenInSasl1: [] }
  assert.equal(offered({ policy: guests }), 'ANONYMOUS')
})

test('MQTT has no EXTERNAL and no list to protect', () => {
  const offer = offerMechanisms({ ...input, profile: 'mqtt', hasCertificate: true })
  assert.ok(!offer.mechanisms.includes('EXTERNAL'))
  assert.equal(offer.protectsFromDowngrade, false)
})

test('hashes what was offered as XEP-0474 §5.1 says', () => {
  const offer = {
    mechanisms: ['SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1'] as const,
    channelBindings: ['tls-server-end-point', 'tls-exporter'],
    protectsFromDowngrade: true,
  }
  assert.equal(downgradeHash(offer, 'sha1'), 'G6k/rBLDqgOhRRaCuuatSDFkJ08=')
  assert.notEqual(
    downgradeHash({ ...offer, channelBindings: [] }, 'sha1'),
    'G6k/rBLDqgOhRRaCuuatSDFkJ08=',
  )
})

test('announces tls-unique with TLS 1.2 only, and takes it with 1.3 (RFC 9266 §2)', () => {
  const tls = {
    cipher: '',
    serverName: undefined,
    alpn: undefined,
    peerCertificate: undefined,
    peerCertificateError: undefined,
    exporter: () => undefined,
    unique: () => Buffer.from('finished'),
    serverEndPoint: () => Buffer.from('end point'),
  }
  const both = ['tls-unique', 'tls-server-end-point']
  assert.deepEqual(announcedBindings({ ...tls, version: 'TLSv1.2' }), both)
  assert.deepEqual(announcedBindings({ ...tls, version: 'TLSv1.3' }), ['tls-server-end-point'])
  assert.deepEqual([...channelBindingsOf({ ...tls, version: 'TLSv1.3' }).keys()], both)
  assert.equal(channelBindingsOf(undefined).size, 0)
})
