import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { xmppAddresses } from './xmpp-address.ts'

/*
 * Made with `openssl req -x509 -addext subjectAltName=…`: a DNS name, an xmppAddr, an SRVName, another xmppAddr and
 * an e-mail address, in this order.
 */
const several = `
-----BEGIN CERTIFICATE-----
MIICITCCAcegAwIBAgIUCpG2KUd9p9n3q6egJO47nz7l9gkwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGanVsaWV0MCAXDTI2MTEyMTA4NDcwMVoYDzIxMjYxMDI4MDg0
NzAxWjARMQ8wDQYDVQQDDAZqdWxpZXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATatd+uqvj0FEcE2wPgksiRiVdtG7UCgEppH2W7E+VT1/y3NYck+1V/siuIccWj
J0YGR+yRUkaG/DISMIPnEyIao4H6MIH3MB0GA1UdDgQWBBTRQwzOMKY666VBkD/L
2p9zlUq5sDAfBgNVHSMEGDAWgBTRQwzOMKY666VBkD/L2p9zlUq5sDAPBgNVHRMB
Af8EBTADAQH/MIGjBgNVHREEgZswgZiCDmltLmV4YW1wbGUub3JnoCMGCCsGAQUF
BwgFoBcMFWp1bGlldEBpbS5leGFtcGxlLm9yZ6ApBggrBgEFBQcIB6AdFhtfeG1w
cC1jbGllbnQuaW0uZXhhbXBsZS5vcmegIgYIKwYBBQUHCAWgFgwUcm9tZW9AaW0u
ZXhhbXBsZS5vcmeBEmp1bGlldEBleGFtcGxlLm9yZzAKBggqhkjOPQQDAgNIADBF
AiEAqduaPVZK+EwqTsLTiBniqnS5otfNydZy83PGOMbmrMsCIHn7aAoflqi6be+s
zF/tw3SELkUnldirkO7p0MjRKdxj
-----END CERTIFICATE-----
`
const without = `
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUP3xAlQfJq7Pg9Ro4w4dxiGPNr6cwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyMTA4MjEyMloYDzIxMjYxMDI4MDgy
MTIyWjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATwX9cW/Wb5WSUCDRlUX5gH+YfkKmdkixZFZTXDL8uFXZ0efToqm5LhyfwDQATf
MOtFNi+TFaY1K3ot+zsgA20co1MwUTAdBgNVHQ4EFgQUV57iCus6F8rCbQuIdhmW
4XTJ6powHwYDVR0jBBgwFoAUV57iCus6F8rCbQuIdhmW4XTJ6powDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA6Y2c/vqunfPlP2ry4qmJPjwoPtxJ
cg7NE/UTvPA7JGUCICPhSb/y/ovZy19HYVapSR4MXEpgLY8Un45ZzoW8zQrJ
-----END CERTIFICATE-----
`

test('finds the addresses in subjectAltName, in their order (XEP-0178 §2.2)', () => {
  assert.deepEqual(xmppAddresses(new X509Certificate(several)), [
    'juliet@im.example.org',
    'romeo@im.example.org',
  ])
})

test('finds nothing where there is no subjectAltName', () => {
  assert.deepEqual(xmppAddresses(new X509Certificate(without)), [])
})

test('never throws, whatever the bytes are', () => {
  const { raw } = new X509Certificate(several)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(raw.length - 1), fc.nat(255)), { maxLength: 8 }),
      fc.nat(raw.length),
      (changes, length) => {
        const bytes = Buffer.from(raw)
        for (const [at, byte] of changes) bytes[at] = byte
        xmppAddresses({ raw: bytes.subarray(0, length) })
      },
    ),
    { numRuns: 500 },
  )
})
