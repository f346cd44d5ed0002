import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decodeProxyHeader } from './proxy-protocol.ts'
import type { ProxyHeader } from './proxy-protocol.ts'

const signature = '0d0a0d0a000d0a515549540a'

function hex(...parts: readonly string[]): Buffer {
  return Buffer.from(parts.join(''), 'hex')
}

const tcp4: ProxyHeader = {
  kind: 'proxied',
  source: { ip: '192.0.2.1', port: 56324 },
  destination: { ip: '192.0.2.2', port: 5222 },
}
const tcp6: ProxyHeader = {
  kind: 'proxied',
  source: { ip: '2001:db8::1', port: 56324 },
  destination: { ip: '2001:db8::2', port: 5222 },
}
const ip4 = 'c0000201c0000202dc041466'
const ip6 = '20010db800000000000000000000000120010db8000000000000000000000002dc041466'

const rows: readonly (readonly [name: string, bytes: Buffer, header: ProxyHeader])[] = [
  ['version 1, TCP4', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 56324 5222\r\n'), tcp4],
  ['version 1, TCP6', Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 56324 5222\r\n'), tcp6],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), { kind: 'unknown' }],
  [
    'version 1, the longest line (§2.1)',
    Buffer.from(
      'PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535'.replaceAll(
        'f...f',
        'ffff:ffff:ffff:ffff:ffff:ffff',
      ) + '\r\n',
    ),
    { kind: 'unknown' },
  ],
  ['version 2, TCP over IPv4', hex(signature, '2111000c', ip4), tcp4],
  ['version 2, UDP over IPv4', hex(signature, '2112000c', ip4), tcp4],
  ['version 2, TCP over IPv6', hex(signature, '21210024', ip6), tcp6],
  ['version 2, with extensions', hex(signature, '21110010', ip4, '04000100'), tcp4],
  ['version 2, LOCAL', hex(signature, '20000000'), { kind: 'local' }],
  ['version 2, LOCAL with addresses', hex(signature, '2011000c', ip4), { kind: 'local' }],
  ['version 2, UNSPEC', hex(signature, '21000000'), { kind: 'unknown' }],
  ['version 2, UNIX', hex(signature, '213100d8', '00'.repeat(216)), { kind: 'unknown' }],
]

test('decodes headers, at once and byte by byte, and leaves what follows', () => {
  for (const [name, bytes, header] of rows) {
    assert.deepEqual(
      decodeProxyHeader(Buffer.concat([bytes, Buffer.from('<?xml')])),
      { kind: 'header', header, bytes: bytes.length },
      name,
    )
    for (let end = 0; end < bytes.length; end++) {
      assert.deepEqual(decodeProxyHeader(bytes.subarray(0, end)), { kind: 'incomplete' }, name)
    }
  }
})

test('shows an IPv4-mapped address as IPv4', () => {
  const mapped = `${'00'.repeat(10)}ffffc0000201${'00'.repeat(10)}ffffc0000202dc041466`
  assert.deepEqual(decodeProxyHeader(hex(signature, '21210024', mapped)), {
    kind: 'header',
    header: tcp4,
    bytes: 52,
  })
})

test('refuses malformed headers', () => {
  const malformed: readonly (readonly [bytes: string | Buffer, error: string])[] = [
    ['<stream:stream', 'not-proxy-protocol'],
    ['PROXX', 'not-proxy-protocol'],
    [hex('0d0a0d0b'), 'not-proxy-protocol'],
    ['PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n', 'malformed'],
    ['PROXY \r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n', 'malformed'],
    ['PROXY TCP4 ::1 ::1 1 2\r\n', 'malformed'],
    ['PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n', 'malformed'],
    ['PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n', 'malformed'],
    [`PROXY UNKNOWN ${'x'.repeat(100)}`, 'too-long'],
    [hex(signature, '11110000'), 'malformed'],
    [hex(signature, '22110000'), 'malformed'],
    [hex(signature, '2111000b', ip4), 'malformed'],
    [hex(signature, '2121000c', ip4), 'malformed'],
    [hex(signature, '2141000c', ip4), 'malformed'],
    [hex(signature, '2113000c', ip4), 'malformed'],
    [hex(signature, '21111001'), 'too-long'],
  ]
  for (const [bytes, error] of malformed) {
    assert.deepEqual(
      decodeProxyHeader(Buffer.from(bytes)),
      { kind: 'malformed', error },
      bytes.toString('latin1'),
    )
  }
})

test('never throws, and never asks for more than a header may have', () => {
  const start = fc.constantFrom('', 'PROXY ', 'PROXY TCP4 ', Buffer.from(signature, 'hex'))
  fc.assert(
    fc.property(start, fc.uint8Array(), (head, tail) => {
      const result = decodeProxyHeader(Buffer.concat([Buffer.from(head), tail]))
      if (result.kind === 'header') assert.ok(result.bytes <= head.length + tail.length)
    }),
    { numRuns: 2000 },
  )
  assert.notEqual(decodeProxyHeader(Buffer.alloc(107, 'PROXY ')).kind, 'incomplete')
})
