import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { atom, binary, float, integer, list, map, string, tuple } from './erlang-term.ts'
import type { ErlangTerm } from './erlang-term.ts'
import { formatErlangTerm, parseErlangTerm } from './erlang-term-text.ts'

const rows: readonly (readonly [name: string, text: string, term: ErlangTerm])[] = [
  ['atom', 'abc_1@X', atom('abc_1@X')],
  ['quoted atom', "'a b'", atom('a b')],
  ['escaped quote', String.raw`'it\'s "so"'`, atom('it\'s "so"')],
  ['integer', '-5', integer(-5)],
  ['big integer', '123456789012345678901234567890', integer(123456789012345678901234567890n)],
  ['float', '1.0', float(1)],
  ['small float', '1.5e-7', float(1.5e-7)],
  ['large float', '1.0e22', float(1e22)],
  ['binary of text', '<<"abc">>', binary('abc')],
  ['binary of bytes', '<<0,127,255>>', binary(Uint8Array.of(0, 127, 255))],
  ['empty binary', '<<>>', binary('')],
  ['escapes', String.raw`<<"\\\"\n\t">>`, binary('\\"\n\t')],
  ['list', '[a,[],{}]', list([atom('a'), list([]), tuple()])],
  ['improper list', '[a|b]', { kind: 'list', items: [atom('a')], tail: atom('b') }],
  ['string', '"it\'s \\"so\\""', string('it\'s "so"')],
  ['tuple', '{a,{1}}', tuple(atom('a'), tuple(integer(1)))],
  [
    'map',
    '#{a => 1,<<"b">> => []}',
    map([
      [atom('a'), integer(1)],
      [binary('b'), list([])],
    ]),
  ],
  ['empty map', '#{}', map([])],
]

/** The same bytes compare equal as Buffer and as Uint8Array. */
function plain(term: ErlangTerm): string {
  return JSON.stringify(term, (_, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`
    return Buffer.isBuffer(value) ? Array.from(value) : value
  })
}

function parse(text: string): ErlangTerm {
  const parsed = parseErlangTerm(text)
  assert.ok(parsed.ok, text)
  return parsed.value
}

test('parses and prints terms', () => {
  for (const [name, text, term] of rows) {
    assert.equal(formatErlangTerm(parse(text)), text, name)
    assert.equal(formatErlangTerm(term), text, name)
    assert.equal(parse(text).kind, term.kind, name)
  }
})

test('parses what it would print otherwise', () => {
  const others: readonly (readonly [string, ErlangTerm])[] = [
    [' { a , % comment\n b } . ', tuple(atom('a'), atom('b'))],
    ['<<"caf\u00E9">>', binary('café')],
    ['<<"caf\u00E9"/utf8>>', binary('café')],
    [String.raw`<<"caf\x{e9}"/utf8>>`, binary('café')],
    [String.raw`<<"caf\351">>`, binary(Buffer.from('café', 'latin1'))],
    [String.raw`<<"\xe9\x{e8}">>`, binary(Uint8Array.of(0xe9, 0xe8))],
    ['<<"日本"/utf8>>', binary('日本')],
    ['<<"a", 98 , "c"/utf8>>', binary('abc')],
    ['"a" "b"', string('ab')],
    ['[a|[b|[c]]]', list([atom('a'), atom('b'), atom('c')])],
    ['[97|"b"]', list([integer(97), integer(98)])],
    ['été', atom('été')],
    ['+1', integer(1)],
    [String.raw`"\^A\s\z"`, string('\x01 z')],
    [String.raw`'\x{1F600}'`, atom('😀')],
  ]
  for (const [text, term] of others) {
    assert.equal(formatErlangTerm(parse(text)), formatErlangTerm(term), text)
    assert.equal(parse(text).kind, term.kind, text)
  }
  const latin1 = parseErlangTerm('<<"caf\u00E9">>', { characters: 'latin1' })
  assert.ok(latin1.ok)
  assert.equal(plain(latin1.value), plain(binary(Uint8Array.of(0x63, 0x61, 0x66, 0xe9))))
})

test('says what is wrong and where', () => {
  const malformed: readonly (readonly [text: string, reason: string, at: number])[] = [
    ['', 'unexpected-end', 0],
    ['{a,', 'unexpected-end', 3],
    ['{a;b}', 'unexpected-character', 2],
    ['{a,}', 'unexpected-character', 3],
    ['[a|b,c]', 'unexpected-character', 4],
    ['Variable', 'unexpected-character', 0],
    ['a b', 'text-after-term', 2],
    ["'abc", 'unexpected-end', 4],
    ['"abc\\', 'unexpected-end', 5],
    [String.raw`"\xg"`, 'bad-escape', 2],
    [String.raw`"\x{110000}"`, 'bad-escape', 2],
    ['16#ff', 'bad-number', 0],
    ['1e5', 'bad-number', 0],
    ['1.0e999', 'bad-number', 0],
    ['-', 'bad-number', 0],
    ['9'.repeat(1001), 'bad-number', 0],
    ['<<256>>', 'not-a-byte', 2],
    [String.raw`<<"\x{100}">>`, 'not-a-byte', 2],
    ['<<1:3>>', 'unsupported', 3],
    ['<<"a"/utf16>>', 'unsupported', 5],
    ['<0.123.0>', 'unsupported', 0],
    ['#Ref<0.1.2.3>', 'unsupported', 0],
    ['#{a => }', 'unexpected-character', 7],
    ['#{a}', 'unexpected-character', 3],
    ['['.repeat(1000), 'too-deep', 129],
  ]
  for (const [text, reason, at] of malformed) {
    assert.deepEqual(parseErlangTerm(text), { ok: false, error: { reason, at } }, text)
  }
  assert.equal(parseErlangTerm('{{a}}', { maxDepth: 1 }).ok, false)
  assert.equal(parseErlangTerm('{{a}}', { maxDepth: 2 }).ok, true)
})

test('keeps the bytes of binaries', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.equal(plain(parse(formatErlangTerm(binary(bytes)))), plain(binary(bytes)))
    }),
  )
})

test('never throws on any text', () => {
  const unit = fc.constantFrom(...Array.from('{}[]<>|,."\'\\/#=~:% aZ09ux-é\n'))
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit }), fc.string({ unit: 'binary' })), (text) => {
      parseErlangTerm(text)
    }),
    { numRuns: 5000 },
  )
})

test('has no text for a float that Erlang cannot have', () => {
  assert.throws(() => formatErlangTerm(float(Infinity)), RangeError)
})
