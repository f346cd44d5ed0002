import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { xmppAddresses } from './xmpp-address.ts'

/*
 * Made with `openssl req -x509 -utf8 -addext subjectAltName=…`: a DNS name, an xmppAddr, an SRVName, another xmppAddr and
 * an e-mail address, in this order.
 */
const several = `
-----BEGIN CERTIFICATE-----
MIICJDCCAcugAwIBAgIUUTpi4MHbxjaQevMMEAdFhW9XJUgwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGanVsaWV0MCAXDTI2MTEyMTA4MjEyMloYDzIxMjYxMDI4MDgy
MTIyWjARMQ8wDQYDVQQDDAZqdWxpZXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATbUxDleQN84JYwUN7Eywm+/G4Ds0q4l/BcFseCEnQCEdrx8qzoN1h/Qj/p7HX9
8ty4A4O7kfT0xHIjHqqTQdreo4H+MIH7MB0GA1UdDgQWBBSBsgR3mwOj/L7PHUW9
I/9FGhaevTAfBgNVHSMEGDAWgBSBsgR3mwOj/L7PHUW9I/9FGhaevTAPBgNVHRMB
Af8EBTADAQH/MIGnBgNVHREEgZ8wgZyCDmltLmV4YW1wbGUub3JnoCMGCCsGAQUF
BwgFoBcMFWp1bGlldEBpbS5leGFtcGxlLm9yZ6ApBggrBgEFBQcIB6AdFhtfeG1w
cC1jbGllbnQuaW0uZXhhbXBsZS5vcmegJgYIKwYBBQUHCAWgGgwYasODwrxsaWV0
QGltLmV4YW1wbGUub3JngRJqdWxpZXRAZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwID
RwAwRAIgcWmNW0edPUFwPPvQMsYO1oniNVB6uGzxnkcxqFifLXgCICMkLTHNvui7
1ZyCQ8cGVP25Yq2uSmZ31LBvf6+8Yxn0
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
    'jüliet@im.example.org',
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
