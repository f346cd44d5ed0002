import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { saslprep as saslprepOracle } from '@mongodb-js/saslprep'
import * as fc from 'fast-check'
import { nameprep, nodeprep, resourceprep, saslprep } from './stringprep.ts'

const vectors = new URL('../../../test/vectors/jid/prep.txt', import.meta.url)

function fromHex(codePoints: string): string {
  if (codePoints === '-') return ''
  return String.fromCodePoint(...codePoints.split('.').map((hex) => parseInt(hex, 16)))
}

function toHex(text: string): string {
  return Array.from(text, (character) =>
    character.codePointAt(0)?.toString(16).toUpperCase().padStart(1),
  ).join('.')
}

test('prepares as other implementations of RFC 3454 and Unicode 3.2 do', () => {
  const lines = readFileSync(vectors, 'utf8').trim().split('\n').slice(1)
  assert.ok(lines.length > 1000)
  for (const line of lines) {
    const [input = '', ...expected] = line.split(' ')
    const actual = [nodeprep, nameprep, resourceprep].map((profile) => {
      const prepared = profile(fromHex(input))
      if (!prepared.ok) return '!'
      return prepared.value === '' ? '-' : toHex(prepared.value)
    })
    assert.deepEqual(actual, expected, line)
  }
})

test('says why a string cannot be prepared', () => {
  assert.deepEqual(nodeprep('a b'), { ok: false, error: 'prohibited' })
  assert.deepEqual(nodeprep('\u{E000}'), { ok: false, error: 'prohibited' })
  assert.deepEqual(nodeprep('\u{D800}'), { ok: false, error: 'prohibited' })
  assert.deepEqual(nodeprep('\u{1F600}'), { ok: false, error: 'unassigned' })
  // Unicode 5.2 decomposes it to "0.", Unicode 3.2 did not know it.
  assert.deepEqual(resourceprep('\u{1F100}'), { ok: false, error: 'unassigned' })
  assert.deepEqual(nodeprep('\u05D01'), { ok: false, error: 'bidirectional' })
})

test('looks at each label for the bidirectional rule of a domain', () => {
  assert.deepEqual(nameprep('אב.example'), { ok: true, value: 'אב.example' })
  assert.deepEqual(nameprep('אa.example'), { ok: false, error: 'bidirectional' })
  // Accepted as ejabberd does: the whole starts and ends right to left.
  assert.deepEqual(nameprep('א1.ב'), { ok: true, value: 'א1.ב' })
})

test('prepares passwords (RFC 4013 §3)', () => {
  const rows: readonly [string, ReturnType<typeof saslprep>][] = [
    ['I\u00ADX', { ok: true, value: 'IX' }],
    ['user', { ok: true, value: 'user' }],
    ['USER', { ok: true, value: 'USER' }],
    ['\u00AA', { ok: true, value: 'a' }],
    ['\u2168', { ok: true, value: 'IX' }],
    ['\u0007', { ok: false, error: 'prohibited' }],
    ['\u0627\u0031', { ok: false, error: 'bidirectional' }],
    ['a\u00A0b', { ok: true, value: 'a b' }],
    ['\u{1F600}', { ok: false, error: 'unassigned' }],
  ]
  for (const [input, expected] of rows) assert.deepEqual(saslprep(input), expected, toHex(input))
  assert.deepEqual(saslprep('\u{1F600}', { allowUnassigned: true }), {
    ok: true,
    value: '\u{1F600}',
  })
})

/** Characters that mapping, normalisation and checks treat in different ways, next to any. */
const text = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
    fc.constantFrom(...Array.from('aZ @/.ßİΣςſΐ㏆ﬁⅣＡ｡۝אب١한각ㄱ')),
    fc.constantFrom('\u00AD', '\u200B', '\u200D', '\uFE0F', '\u0345', '\u0307', '\u0327', '\u3000'),
    fc.constantFrom('\u1100', '\u1161', '\u11A8', '\u0340', '\u{2F868}', '\u{1D400}', '\uD800'),
  ),
})

test('never throws, and leaves alone what it has prepared', () => {
  fc.assert(
    fc.property(
      text,
      fc.constantFrom(nodeprep, nameprep, resourceprep, saslprep),
      (input, prep) => {
        const once = prep(input)
        if (once.ok) assert.deepEqual(prep(once.value), once)
      },
    ),
    { numRuns: 2000 },
  )
})

test('agrees with an independent SASLprep', () => {
  fc.assert(
    fc.property(text, fc.boolean(), (input, allowUnassigned) => {
      // The five mappings of Unicode Corrigendum 4 are the runtime's there, Unicode 3.2's here.
      fc.pre(!/[\u{2F868}\u{2F874}\u{2F91F}\u{2F95F}\u{2F9BF}]/u.test(input))
      const actual = saslprep(input, { allowUnassigned })
      // It throws on what becomes nothing.
      fc.pre(!actual.ok || actual.value !== '')
      // It normalises by today's Unicode before it looks for what Unicode 3.2 did not know.
      fc.pre(actual.ok || actual.error !== 'unassigned' || input.normalize('NFKC') === input)
      let expected: string | undefined
      try {
        expected = saslprepOracle(input, { allowUnassigned })
      } catch {
        expected = undefined
      }
      assert.equal(actual.ok ? actual.value : undefined, expected)
    }),
    { numRuns: 2000 },
  )
})
