import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import * as fc from 'fast-check'
import { decodeExternalTerm, encodeExternalTerm } from './erlang-external.ts'
import { list, readList } from './erlang-term.ts'
import { formatErlangTerm, parseErlangTerm } from './erlang-term-text.ts'

/**
 * Written by Erlang/OTP 25: `io_lib:print/4` (with `+pc latin1`) and `term_to_binary/1` of the same
 * term.
 */
const rows: readonly (readonly [text: string, external: string])[] = [
  ['abc', 'g2QAA2FiYw=='],
  ["'foo bar'", 'g2QAB2ZvbyBiYXI='],
  ["'Foo'", 'g2QAA0Zvbw=='],
  ["''", 'g2QAAA=='],
  ['foo@bar', 'g2QAB2Zvb0BiYXI='],
  ["'after'", 'g2QABWFmdGVy'],
  ["'it\\'s'", 'g2QABGl0J3M='],
  ["'\\n'", 'g2QAAQo='],
  ['é', 'g2QAAek='],
  ['0', 'g2EA'],
  ['255', 'g2H/'],
  ['256', 'g2IAAAEA'],
  ['-1', 'g2L/////'],
  ['-5', 'g2L////7'],
  ['2147483647', 'g2J/////'],
  ['2147483648', 'g24EAAAAAIA='],
  ['-2147483648', 'g2KAAAAA'],
  ['-2147483649', 'g24EAQEAAIA='],
  ['18446744073709551615', 'g24IAP//////////'],
  ['123456789012345678901234567890', 'g24NANIKP07u4HPD9g/pjgE='],
  ['-123456789012345678901234567890', 'g24NAdIKP07u4HPD9g/pjgE='],
  ['1.0', 'g0Y/8AAAAAAAAA=='],
  ['-0.0', 'g0aAAAAAAAAAAA=='],
  ['1.5', 'g0Y/+AAAAAAAAA=='],
  ['0.1', 'g0Y/uZmZmZmZmg=='],
  ['1.0e22', 'g0ZEgPDPBk3Vkg=='],
  ['1.5e-7', 'g0Y+hCH19A2Ddg=='],
  ['-2.5e300', 'g0b+Td1LqgCTAw=='],
  ['5.0e-324', 'g0YAAAAAAAAAAQ=='],
  ['<<>>', 'g20AAAAA'],
  ['<<"abc">>', 'g20AAAADYWJj'],
  ['<<"it\'s \\"so\\"\\\\\\n\\t">>', 'g20AAAAMaXQncyAic28iXAoJ'],
  ['<<"Ã©">>', 'g20AAAACw6k='],
  ['<<195,137>>', 'g20AAAACw4k='],
  ['<<0,1,255>>', 'g20AAAADAAH/'],
  ['<<127>>', 'g20AAAABfw=='],
  ['[]', 'g2o='],
  ['"abc"', 'g2sAA2FiYw=='],
  ['[105,116,39,115,32,34,115,111,34,92,10,9,27,127,0]', 'g2sAD2l0J3MgInNvIlwKCRt/AA=='],
  ['[97,98,0]', 'g2sAA2FiAA=='],
  ['"é"', 'g2sAAek='],
  ['[233,8364]', 'g2wAAAACYeliAAAgrGo='],
  ['[1,2,3]', 'g2sAAwECAw=='],
  ['[a,b]', 'g2wAAAACZAABYWQAAWJq'],
  ['[a|b]', 'g2wAAAABZAABYWQAAWI='],
  ['[1|2]', 'g2wAAAABYQFhAg=='],
  ['{}', 'g2gA'],
  ['{a}', 'g2gBZAABYQ=='],
  ['{a,b,{c,[d]}}', 'g2gDZAABYWQAAWJoAmQAAWNsAAAAAWQAAWRq'],
  ['#{}', 'g3QAAAAA'],
  ['#{a => 1}', 'g3QAAAABZAABYWEB'],
  ['#{{c} => #{},<<"b">> => [2]}', 'g3QAAAACaAFkAAFjdAAAAABtAAAAAWJrAAEC'],
  [
    '[{title,<<"Room">>},{public,true},{max_users,200},{affiliations,[{{<<"u">>,<<"example.com">>,<<>>},{owner,<<>>}}]}]',
    'g2wAAAAEaAJkAAV0aXRsZW0AAAAEUm9vbWgCZAAGcHVibGljZAAEdHJ1ZWgCZAAJbWF4X3VzZXJzYchoAmQADGFmZmlsaWF0aW9uc2wAAAABaAJoA20AAAABdW0AAAALZXhhbXBsZS5jb21tAAAAAGgCZAAFb3duZXJtAAAAAGpq',
  ],
  [
    '[{<<"key">>,<<"value">>},{<<"key">>,<<"other">>}]',
    'g2wAAAACaAJtAAAAA2tleW0AAAAFdmFsdWVoAm0AAAADa2V5bQAAAAVvdGhlcmo=',
  ],
]

test('reads what Erlang writes, printed and external', () => {
  for (const [text, external] of rows) {
    const decoded = decodeExternalTerm(Buffer.from(external, 'base64'))
    const parsed = parseErlangTerm(text, { characters: 'latin1' })
    assert.ok(decoded.ok, text)
    assert.ok(parsed.ok, text)
    assert.equal(formatErlangTerm(decoded.value), formatErlangTerm(parsed.value))
  }
})

test('writes external terms that Erlang would write', () => {
  for (const [text, external] of rows) {
    const bytes = Buffer.from(external, 'base64')
    const decoded = decodeExternalTerm(bytes)
    assert.ok(decoded.ok, text)
    // Erlang wrote ATOM_EXT (100) up to version 25 where it writes SMALL_ATOM_UTF8_EXT (119) now.
    const encoded = encodeExternalTerm(decoded.value)
    if (!/[a-z'é]/i.test(text.replace(/"[^"]*"|\d+\.\d+e/g, ''))) {
      assert.equal(encoded.toString('base64'), external, text)
    }
    assert.deepEqual(decodeExternalTerm(encoded), decoded, text)
  }
})

test('reads compressed terms and old floats', () => {
  const compressed = 'g1AAAAcOeJzLYWBgSMlgSmFgTkxKzgVyWMsSc0pTR0VGRUZFRkVGRUZFRo5IFgBBt8Wi'
  const decoded = decodeExternalTerm(Buffer.from(compressed, 'base64'))
  assert.ok(decoded.ok)
  assert.equal(readList(decoded.value)?.length, 100)
  assert.equal(formatErlangTerm(readList(decoded.value)?.[99] ?? list([])), '{abc,<<"value">>}')
  assert.ok(encodeExternalTerm(decoded.value, { compress: true }).length < 100)
  assert.deepEqual(
    decodeExternalTerm(encodeExternalTerm(decoded.value, { compress: true })),
    decoded,
  )
  const old = 'g2wAAAACYzEuNTAwMDAwMDAwMDAwMDAwMDAwMDBlKzAwAAAAAABkAANhYmNq'
  const floats = decodeExternalTerm(Buffer.from(old, 'base64'))
  assert.ok(floats.ok)
  assert.equal(formatErlangTerm(floats.value), '[1.5,abc]')
})

/** The header of a compressed term that announces `size` bytes. */
function compress(content: Uint8Array, size: number): Buffer {
  const header = Buffer.from([131, 80, 0, 0, 0, 0])
  header.writeUInt32BE(size, 2)
  return Buffer.concat([header, deflateSync(content)])
}

test('refuses malformed external terms', () => {
  const malformed: readonly (readonly [name: string, bytes: Uint8Array, error: string])[] = [
    ['nothing', Buffer.of(), 'not-external-term'],
    ['another version', Buffer.of(130, 106), 'not-external-term'],
    ['no term', Buffer.of(131), 'truncated'],
    ['an unknown tag', Buffer.of(131, 1), 'malformed'],
    ['a pid', Buffer.of(131, 88, 119, 1, 97, 0), 'unsupported'],
    ['two terms', Buffer.of(131, 106, 106), 'bytes-after-term'],
    ['half an integer', Buffer.of(131, 98, 0, 0), 'truncated'],
    ['a short binary', Buffer.of(131, 109, 0, 0, 0, 2, 1), 'truncated'],
    ['a huge list', Buffer.of(131, 108, 255, 255, 255, 255, 106), 'truncated'],
    ['a huge map', Buffer.of(131, 116, 255, 255, 255, 255, 106), 'truncated'],
    ['a list without a tail', Buffer.of(131, 108, 0, 0, 0, 1, 106), 'truncated'],
    ['a huge integer', Buffer.of(131, 111, 0, 1, 0, 0, 0), 'too-large'],
    ['not a number', Buffer.of(131, 70, 127, 248, 0, 0, 0, 0, 0, 0), 'malformed'],
    ['an odd float', Buffer.concat([Buffer.of(131, 99), Buffer.alloc(31, '1')]), 'malformed'],
    ['deep nesting', Buffer.from(`83${'6801'.repeat(1000)}6a`, 'hex'), 'too-deep'],
    ['a bomb', compress(Buffer.alloc(1 << 21), 1 << 21), 'too-large'],
    ['more than announced', compress(Buffer.alloc(1 << 21), 10), 'malformed'],
    ['less than announced', compress(Buffer.of(106), 2), 'malformed'],
    ['no zlib stream', Buffer.of(131, 80, 0, 0, 0, 1, 1, 2, 3), 'malformed'],
    ['half a header', Buffer.of(131, 80, 0, 0), 'truncated'],
    ['a long one', Buffer.concat([Buffer.of(131), Buffer.alloc(1 << 20)]), 'too-large'],
  ]
  for (const [name, bytes, error] of malformed) {
    assert.deepEqual(decodeExternalTerm(bytes), { ok: false, error }, name)
  }
})

test('never throws on any bytes', () => {
  const tagged = fc.array(fc.constantFrom(0, 1, 2, 97, 99, 104, 106, 107, 108, 109, 110, 116, 119))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), tagged), fc.boolean(), (bytes, packed) => {
      const content = Uint8Array.from(bytes)
      decodeExternalTerm(
        packed ? compress(content, content.length) : Buffer.concat([Buffer.of(131), content]),
      )
    }),
    { numRuns: 2000 },
  )
})
