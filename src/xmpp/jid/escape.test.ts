import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { escapeLocalpart, unescapeLocalpart } from './escape.ts'
import { prepLocalpart } from './jid.ts'

// XEP-0106 §4 and §5 (tables 3 and 4), and §3.2.
const rows: readonly [string, string][] = [
  ['space cadet', 'space\\20cadet'],
  ['call me "ishmael"', 'call\\20me\\20\\22ishmael\\22'],
  ['at&t guy', 'at\\26t\\20guy'],
  ["d'artagnan", 'd\\27artagnan'],
  ['/.fanboy', '\\2f.fanboy'],
  ['::foo::', '\\3a\\3afoo\\3a\\3a'],
  ['<foo>', '\\3cfoo\\3e'],
  ['user@host', 'user\\40host'],
  ['c:\\net', 'c\\3a\\net'],
  ['c:\\\\net', 'c\\3a\\\\net'],
  ['c:\\cool stuff', 'c\\3a\\cool\\20stuff'],
  ['c:\\5commas', 'c\\3a\\5c5commas'],
  ['\\3and\\2is\\5@\\', '\\5c3and\\2is\\5\\40\\'],
  ['plain', 'plain'],
  ['', ''],
]

test('escapes and unescapes localparts (XEP-0106)', () => {
  for (const [text, escaped] of rows) {
    assert.deepEqual(escapeLocalpart(text), { ok: true, value: escaped }, text)
    assert.equal(unescapeLocalpart(escaped), text)
  }
})

test('has no escaped form for spaces at the ends, and reads none', () => {
  assert.deepEqual(escapeLocalpart(' a'), { ok: false, error: 'space-at-end' })
  assert.deepEqual(escapeLocalpart('a '), { ok: false, error: 'space-at-end' })
  assert.equal(unescapeLocalpart('\\20a\\20b\\20'), '\\20a b\\20')
})

test('unescapes what it escaped, which is fit for a localpart', () => {
  const text = fc.string({
    unit: fc.constantFrom(...Array.from(' "&\'/:<>@\\0234567cefa')),
    minLength: 1,
  })
  fc.assert(
    fc.property(text, (input) => {
      const escaped = escapeLocalpart(input)
      if (!escaped.ok) return
      assert.equal(unescapeLocalpart(escaped.value), input)
      assert.equal(prepLocalpart(escaped.value).ok, true)
    }),
  )
})
