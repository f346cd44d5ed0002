import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decodeExternalTerm, encodeExternalTerm } from './erlang-external.ts'
import { atom, binary, float, integer, list, map, string, tuple } from './erlang-term.ts'
import type { ErlangTerm } from './erlang-term.ts'
import { formatErlangTerm, parseErlangTerm } from './erlang-term-text.ts'

/**
 * Terms of every kind, as Erlang would have them (no empty strings, no improper list without
 * items).
 */
const anyTerm: fc.Arbitrary<ErlangTerm> = fc.letrec<{ term: ErlangTerm }>((tie) => ({
  term: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.string({ unit: 'binary', maxLength: 20 }).map(atom),
    fc.bigInt().map(integer),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(float),
    fc.uint8Array().map(binary),
    fc.string().map(binary),
    fc.string({ unit: 'binary', minLength: 1 }).map(string),
    fc.array(tie('term')).map((items) => tuple(...items)),
    fc.array(tie('term')).map(list),
    fc
      .tuple(fc.array(tie('term'), { minLength: 1 }), fc.string().map(atom))
      .map(([items, tail]): ErlangTerm => ({ kind: 'list', items, tail })),
    fc
      .uniqueArray(fc.tuple(tie('term'), tie('term')), {
        selector: ([key]) => formatErlangTerm(key),
      })
      .map(map),
  ),
})).term

test('reads back a term that it printed, in ASCII', () => {
  fc.assert(
    fc.property(anyTerm, (term) => {
      const text = formatErlangTerm(term)
      assert.match(text, /^[\x20-\x7e]*$/)
      const parsed = parseErlangTerm(text)
      assert.equal(parsed.ok ? formatErlangTerm(parsed.value) : parsed.error, text)
    }),
  )
})

test('reads back a term that it encoded', () => {
  fc.assert(
    fc.property(anyTerm, fc.boolean(), (term, compress) => {
      const decoded = decodeExternalTerm(encodeExternalTerm(term, { compress }))
      assert.equal(
        decoded.ok ? formatErlangTerm(decoded.value) : decoded.error,
        formatErlangTerm(term),
      )
    }),
  )
})
