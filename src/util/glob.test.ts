import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { compileGlob } from './glob.ts'

function matches(pattern: string, text: string): boolean {
  const glob = compileGlob(pattern)
  assert.ok(glob.ok, pattern)
  return glob.value(text)
}

test('matches whole texts', () => {
  const rows: readonly (readonly [pattern: string, matching: string[], others: string[]])[] = [
    ['', [''], ['a']],
    ['abc', ['abc'], ['ab', 'abcd', 'xabc', 'ABC']],
    ['*', ['', 'anything', 'a\nb'], []],
    ['**a**', ['a', 'xax'], ['', 'x']],
    ['a*', ['a', 'ab'], ['', 'ba']],
    ['*.example.com', ['a.example.com', '.example.com'], ['example.com', 'a.example.com.']],
    ['a*b*c', ['abc', 'axbxc', 'abbcbc'], ['ab', 'acb', 'abcx']],
    ['?', ['a', '😀'], ['', 'ab']],
    ['a?c', ['abc', 'a?c'], ['ac', 'abbc']],
    ['[a-c]', ['a', 'b', 'c'], ['d', '-', '']],
    ['[!a-c]', ['d', '!'], ['a', '']],
    ['[^a]', ['^', 'a'], ['b']],
    ['[^]', ['^'], ['a', ']']],
    ['[]a]', [']', 'a'], ['[', 'b']],
    ['[!]a]', ['b', '!'], [']', 'a']],
    ['[a-]', ['a', '-'], ['b']],
    ['[-a]', ['a', '-'], ['b']],
    ['[a-cx-z]1', ['a1', 'y1'], ['m1']],
    ['[à-é]', ['â'], ['a']],
    ['a.b+(c)|$\\', ['a.b+(c)|$\\'], ['aXb+(c)|$\\']],
    [']', [']'], []],
  ]
  for (const [pattern, matching, others] of rows) {
    for (const text of matching) assert.equal(matches(pattern, text), true, `${pattern} ${text}`)
    for (const text of others) assert.equal(matches(pattern, text), false, `${pattern} ${text}`)
  }
})

test('refuses malformed patterns', () => {
  for (const pattern of ['[', '[a', '[]', '[!]', '[!', 'a[b', '[^a']) {
    assert.deepEqual(compileGlob(pattern), { ok: false, error: 'unterminated-set' }, pattern)
  }
  assert.deepEqual(compileGlob('[z-a]'), { ok: false, error: 'empty-range' })
})

test('does not take long for a pattern that makes backtracking regular expressions hang', () => {
  assert.equal(matches(`${'*a'.repeat(50)}*b`, 'a'.repeat(5000)), false)
})

test('agrees with a regular expression', () => {
  const character = fc.constantFrom('a', 'b', 'c')
  const token = fc.oneof(character, fc.constantFrom('*', '?', '[ab]', '[!a]', '[b-c]'))
  fc.assert(
    fc.property(
      fc.array(token, { maxLength: 8 }),
      fc.string({ unit: character, maxLength: 12 }),
      (tokens, text) => {
        const pattern = tokens.join('')
        const expression = pattern.replaceAll('[!', '[^').replaceAll('?', '.').replaceAll('*', '.*')
        assert.equal(matches(pattern, text), new RegExp(`^${expression}$`).test(text), pattern)
      },
    ),
    { numRuns: 1000 },
  )
})
