import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jid } from '../jid/jid.ts'
import { xml } from '../xml/element.ts'
import { parseElement } from '../xml/parse-element.ts'
import { toXml } from '../xml/write.ts'
import { resultForm } from './data-form.ts'
import { formatDateTime, parseDateTime } from './date-time.ts'
import { delayElement, delayOf } from './delay.ts'

test('reads and writes times (XEP-0082 §3.2)', () => {
  const both: readonly (readonly [string, number])[] = [
    ['1969-07-21T02:56:15Z', -14159025000],
    ['2026-01-01T00:00:00Z', 1767225600000],
    ['2026-01-01T00:00:00.123Z', 1767225600123],
  ]
  for (const [text, ms] of both) {
    assert.equal(parseDateTime(text), ms)
    assert.equal(formatDateTime(ms), text)
  }
  assert.equal(parseDateTime('1969-07-20T21:56:15-05:00'), -14159025000)
  assert.equal(parseDateTime('2026-01-01T00:00:00.123456Z'), 1767225600123)
  for (const text of ['', '2026-01-01', '20260101T00:00:00', '2026-13-01T00:00:00Z', 'now']) {
    assert.equal(parseDateTime(text), undefined, text)
  }
})

test('reads and writes delays (XEP-0203 §4)', () => {
  const from = jid('capulet.com')
  const element = delayElement(from, Date.UTC(2002, 8, 10, 23, 8, 25), 'Offline Storage')
  assert.equal(
    toXml(element),
    `<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'>Offline Storage</delay>`,
  )
  const broken = xml('delay', 'urn:xmpp:delay', { from, stamp: 'yesterday' })
  const other = delayElement(jid('elsewhere'), 5)
  const stanza = xml('message', 'jabber:client', {}, broken, other, element)
  assert.equal(delayOf(stanza)?.stampMs, 5)
  assert.deepEqual(delayOf(stanza, from), {
    stampMs: Date.UTC(2002, 8, 10, 23, 8, 25),
    from,
    reason: 'Offline Storage',
  })
  assert.equal(delayOf(stanza, jid('nobody')), undefined)
})

test('writes forms that tell something (XEP-0004 §3.1, XEP-0128)', () => {
  const form = resultForm('urn:example:form', [{ name: 'a', values: ['1', '2'] }])
  const expected = parseElement(
    `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:example:form</value></field><field var='a'><value>1</value><value>2</value></field></x>`,
  )
  assert.ok(expected.ok)
  assert.equal(toXml(form), toXml(expected.value))
})
