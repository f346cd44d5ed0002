import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  bareJid,
  domainpart,
  isBare,
  isDomain,
  isFull,
  jid,
  localpart,
  makeJid,
  parseHostName,
  parseJid,
  parseJidParts,
  prepDomain,
  prepLocalpart,
  prepResource,
  resourcepart,
  withResource,
} from './jid.ts'

function readLines(name: string): string[] {
  const file = new URL(`../../../test/vectors/jid/${name}`, import.meta.url)
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
}

test('accepts valid JIDs', () => {
  for (const line of readLines('valid.txt')) assert.equal(parseJid(line).ok, true, line)
})

test('refuses what is no JID, and says which part is at fault', () => {
  for (const line of readLines('invalid.txt')) {
    const [text = '', error] = line.split('\t')
    assert.deepEqual(parseJid(text), { ok: false, error }, line)
  }
  assert.deepEqual(parseJid(''), { ok: false, error: 'empty-domainpart' })
  assert.deepEqual(parseJid('a\0@b'), { ok: false, error: 'malformed-localpart' })
  assert.deepEqual(parseJid('a@b\0'), { ok: false, error: 'malformed-domainpart' })
  assert.deepEqual(parseJid('a@b/\n'), { ok: false, error: 'malformed-resourcepart' })
  assert.deepEqual(parseJid('\u00AD@b'), { ok: false, error: 'empty-localpart' })
  assert.deepEqual(parseJid('a@\u00AD'), { ok: false, error: 'empty-domainpart' })
  assert.deepEqual(parseJid('a@b/\u00AD'), { ok: false, error: 'empty-resourcepart' })
})

test('gives equal JIDs one form', () => {
  for (const line of readLines('equal.txt')) {
    const [one = '', other = ''] = line.split('\t')
    assert.equal(jid(one), jid(other), line)
  }
  assert.notEqual(jid('a@b/c'), jid('a@b/C'))
})

test('splits and rejoins a JID', () => {
  const rows = [
    ['juliet@capulet.example/balcony', 'juliet', 'capulet.example', 'balcony'],
    ['juliet@capulet.example', 'juliet', 'capulet.example', ''],
    ['capulet.example/a@b/c', '', 'capulet.example', 'a@b/c'],
    ['capulet.example', '', 'capulet.example', ''],
  ] as const
  for (const [text, local, domain, resource] of rows) {
    const parsed = jid(text)
    assert.deepEqual(
      [localpart(parsed), domainpart(parsed), resourcepart(parsed)],
      [local, domain, resource],
    )
    assert.equal(makeJid(localpart(parsed), domainpart(parsed), resourcepart(parsed)), text)
    assert.deepEqual(parseJidParts(local, domain, resource), { ok: true, value: text })
    assert.equal(bareJid(parsed), local === '' ? domain : `${local}@${domain}`)
    assert.equal(isFull(parsed), resource !== '')
    assert.equal(isBare(parsed), resource === '')
    assert.equal(isDomain(parsed), local === '' && resource === '')
  }
  const resource = prepResource('balcony')
  assert.ok(resource.ok)
  assert.equal(withResource(bareJid(jid('a@b/c')), resource.value), 'a@b/balcony')
})

test('prepares parts on their own', () => {
  assert.deepEqual(prepLocalpart('Juliet'), { ok: true, value: 'juliet' })
  assert.deepEqual(prepLocalpart('a@b'), { ok: false, error: 'malformed-localpart' })
  assert.deepEqual(prepLocalpart(''), { ok: false, error: 'empty-localpart' })
  assert.deepEqual(prepDomain('Example.com.'), { ok: true, value: 'example.com' })
  assert.deepEqual(prepDomain('a@b'), { ok: false, error: 'malformed-domainpart' })
  assert.deepEqual(prepResource('a/@ B'), { ok: true, value: 'a/@ B' })
  assert.deepEqual(parseJidParts('a/b', 'c', ''), { ok: false, error: 'malformed-localpart' })
  assert.deepEqual(parseJidParts('a', 'b/c', ''), { ok: false, error: 'malformed-domainpart' })
})

test('limits each part to 1023 bytes (RFC 6122 §2.1)', () => {
  const most = 'x'.repeat(1023)
  const wide = 'é'.repeat(511)
  assert.equal(parseJid(`${most}@${most}/${most}`).ok, true)
  assert.equal(parseJid(`${wide}x@${wide}x/${wide}x`).ok, true)
  for (const long of [`${most}x`, `${wide}xx`, '가'.repeat(342)]) {
    assert.deepEqual(parseJid(`${long}@b/c`), { ok: false, error: 'localpart-too-long' })
    assert.deepEqual(parseJid(`a@${long}/c`), { ok: false, error: 'domainpart-too-long' })
    assert.deepEqual(parseJid(`a@b/${long}`), { ok: false, error: 'resourcepart-too-long' })
  }
  // Preparation may make it longer: U+FDFA becomes 18 characters of 33 bytes.
  assert.deepEqual(parseJid(`a@b/${'\uFDFA'.repeat(40)}`), {
    ok: false,
    error: 'resourcepart-too-long',
  })
})

test('reads A-labels of configured host names as the Unicode that JIDs use', () => {
  const rows = [
    ['Example.com.', 'example.com'],
    ['xn--bcher-kva.example', 'bücher.example'],
    ['Bücher.example', 'bücher.example'],
    // Nothing that is typed as "faß" arrives as such, so the name stays what it is on the wire.
    ['xn--fa-hia.de', 'xn--fa-hia.de'],
    ['xn--.example', 'xn--.example'],
  ] as const
  for (const [text, host] of rows) assert.deepEqual(parseHostName(text), { ok: true, value: host })
  assert.deepEqual(parseHostName('a b'), { ok: false, error: 'malformed-domainpart' })
})

test('forgets prepared JIDs without changing its answers', () => {
  const texts = Array.from({ length: 25_000 }, (_, i) => `User${i}@example.com`)
  for (const text of [...texts, ...texts.slice(0, 10)]) assert.equal(jid(text), text.toLowerCase())
})

test('throws on a constant that is no JID', () => {
  assert.throws(() => jid('a@'), /Cannot read "a@" as a JID: empty-domainpart/)
})

test('never throws, and leaves alone what it has parsed', () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom(...Array.from('ab1@/.:[]-_ ZßİⅣ＠／．。\u00ADאé')),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
  })
  fc.assert(
    fc.property(text, (input) => {
      const once = parseJid(input)
      if (!once.ok) return
      const { value } = once
      assert.deepEqual(parseJid(value), once)
      assert.deepEqual(
        parseJidParts(localpart(value), domainpart(value), resourcepart(value)),
        once,
      )
    }),
    { numRuns: 5000 },
  )
})
