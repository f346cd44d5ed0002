import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { cidrContains, formatCidr, formatIpAddress, parseCidr, parseIpAddress } from './cidr.ts'

function contains(network: string, address: string): boolean {
  const cidr = parseCidr(network)
  const parsed = parseIpAddress(address)
  assert.ok(cidr.ok, network)
  assert.ok(parsed, address)
  return cidrContains(cidr.value, parsed)
}

test('tells which addresses are in a network', () => {
  const rows: readonly (readonly [network: string, inside: string[], outside: string[]])[] = [
    ['127.0.0.0/8', ['127.0.0.1', '127.255.255.255', '::ffff:127.0.0.1'], ['128.0.0.0', '::1']],
    ['10.1.2.3/8', ['10.0.0.0'], ['11.0.0.0']],
    ['192.0.2.7', ['192.0.2.7'], ['192.0.2.6', '192.0.2.8']],
    ['0.0.0.0/0', ['255.255.255.255', '::ffff:1.2.3.4'], ['::', '2001:db8::1']],
    ['::/0', ['::', 'ffff::'], ['1.2.3.4', '::ffff:1.2.3.4']],
    ['::1', ['::1', '0:0:0:0:0:0:0:1'], ['::', '::2']],
    ['2001:db8::/33', ['2001:db8:7fff::1'], ['2001:db8:8000::1', '2001:db9::']],
    ['fe80::/10', ['fe80::1%eth0', 'febf::'], ['fec0::']],
    ['::ffff:10.0.0.0/104', ['10.1.2.3', '::ffff:10.0.0.1'], ['11.0.0.0', '::']],
    ['::ffff:10.0.0.1', ['10.0.0.1'], ['10.0.0.2']],
  ]
  for (const [network, inside, outside] of rows) {
    for (const address of inside) assert.equal(contains(network, address), true, address)
    for (const address of outside) assert.equal(contains(network, address), false, address)
  }
})

test('refuses what is no network', () => {
  for (const text of [
    '',
    'x',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '::g',
    '[::1]',
    'fe80::1%eth0',
    '/8',
  ]) {
    assert.deepEqual(parseCidr(text), { ok: false, error: 'malformed-address' }, text)
  }
  for (const text of ['1.2.3.4/', '1.2.3.4/33', '::/129', '1.2.3.4/-1', '1.2.3.4/8/8', '::/1e1']) {
    assert.deepEqual(parseCidr(text), { ok: false, error: 'malformed-prefix' }, text)
  }
})

test('formats addresses as RFC 5952 §4 says', () => {
  const rows = [
    ['192.0.2.255', '192.0.2.255'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['10:0:0:20:0:0:0:0', '10:0:0:20::'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ] as const
  for (const [text, canonical] of rows) {
    const address = parseIpAddress(text)
    assert.ok(address, text)
    assert.equal(formatIpAddress(address), canonical)
  }
})

test('agrees with the block list of the runtime', () => {
  const cases = fc.oneof(
    fc.tuple(fc.constant('ipv4' as const), fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 })),
    fc.tuple(fc.constant('ipv6' as const), fc.ipV6(), fc.ipV6(), fc.integer({ min: 0, max: 128 })),
  )
  fc.assert(
    fc.property(cases, ([family, network, address, prefix]) => {
      const oracle = new BlockList()
      oracle.addSubnet(network, prefix, family)
      const parsed = parseIpAddress(address)
      // An IPv4 address in IPv6 clothes is not in ::/0 here.
      fc.pre(family === 'ipv4' || parsed?.family === 6)
      assert.equal(contains(`${network}/${prefix}`, address), oracle.check(address, family))
      assert.equal(contains(`${address}/${prefix}`, address), true)
    }),
  )
})

suite('formatCidr', () => {
  for (const [text, canonical] of [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1/32', '192.0.2.1'],
    ['192.0.2.77/24', '192.0.2.0/24'],
    ['192.0.2.77/31', '192.0.2.76/31'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::ffff:10.1.2.3/104', '10.0.0.0/8'],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:db8:1:2::1/64', '2001:db8:1:2::/64'],
    ['2001:db8::ffff/33', '2001:db8::/33'],
    ['::/0', '::/0'],
  ] as const) {
    test(`writes ${text} as ${canonical}`, () => {
      const network = parseCidr(text)
      assert.ok(network.ok)
      assert.equal(formatCidr(network.value), canonical)
    })
  }
})
