import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkNewLocalpart } from './precis.ts'

test('lets new names be identifiers (RFC 7622 §3.3)', () => {
  const rows: readonly [string, string][] = [
    ['juliet', 'juliet'],
    ['Juliet', 'juliet'],
    ['ｊｕｌｉｅｔ', 'juliet'],
    ['foo\\20bar', 'foo\\20bar'],
    ['first.last+tag', 'first.last+tag'],
    ['fußball', 'fussball'],
    ['π', 'π'],
    ['Σ', 'σ'],
    ['ジュリエット', 'ジュリエット'],
    ['l·l', 'l·l'],
    ['カ・ナ', 'カ・ナ'],
    ['א׳', 'א׳'],
  ]
  for (const [text, value] of rows) {
    assert.deepEqual(checkNewLocalpart(text), { ok: true, value }, text)
  }
})

test('refuses what other servers would not take', () => {
  const rows = [
    'henryⅣ',
    '♚',
    'ﬁn',
    'a\u00ADb',
    'a\u200Db',
    'ᄀᄀ',
    'a·b',
    'a・b',
    'ב·ב',
    'אـא',
    '€',
  ]
  for (const text of rows) {
    assert.deepEqual(checkNewLocalpart(text), { ok: false, error: 'disallowed-character' }, text)
  }
})

test('refuses what is no localpart at all', () => {
  assert.deepEqual(checkNewLocalpart(''), { ok: false, error: 'empty-localpart' })
  assert.deepEqual(checkNewLocalpart('a b'), { ok: false, error: 'malformed-localpart' })
  assert.deepEqual(checkNewLocalpart('x'.repeat(1024)), { ok: false, error: 'localpart-too-long' })
})

test('does not mix the two kinds of Arabic digits (RFC 5892 appendix A.8)', () => {
  assert.equal(checkNewLocalpart('א٣א').ok, true)
  assert.deepEqual(checkNewLocalpart('א٣۳א'), { ok: false, error: 'disallowed-character' })
})
