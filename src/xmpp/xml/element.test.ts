import assert from 'node:assert/strict'
import { test } from 'node:test'
import { xml } from './element.ts'
import type { Element } from './element.ts'
import { parseElement } from './parse-element.ts'
import { toXml } from './write.ts'

function parse(text: string): Element {
  const result = parseElement(text, { defaultNs: 'jabber:client' })
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

const message = (): Element =>
  parse(
    "<message to='romeo@example.net' type='chat'>a<body>one</body>b" +
      "<x xmlns='urn:x'>two</x><x xmlns='urn:y'/><body>three</body></message>",
  )

test('finds children by name and namespace', () => {
  const element = message()
  assert.equal(element.child('body')?.text(), 'one')
  assert.equal(element.child('x'), undefined, 'the namespace is the parent’s unless given')
  assert.equal(element.child('x', 'urn:y')?.ns, 'urn:y')
  assert.equal(element.child('x', '*')?.ns, 'urn:x')
  assert.equal(element.childText('body'), 'one')
  assert.equal(element.childText('x', 'urn:x'), 'two')
  assert.equal(element.childText('x', 'urn:y'), '')
  assert.equal(element.childText('subject'), undefined)
  assert.deepEqual(
    element.childrenNamed('body').map((child) => child.text()),
    ['one', 'three'],
  )
  assert.equal(element.childrenNamed('x', '*').length, 2)
  assert.equal(element.elements().length, 4)
  assert.equal(element.text(), 'ab')
  assert.ok(element.is('message', 'jabber:client'))
  assert.ok(!element.is('message', 'jabber:server'))
})

test('tells attributes', () => {
  const element = message()
  assert.equal(element.attr('to'), 'romeo@example.net')
  assert.equal(element.attr('from'), undefined)
  assert.equal(element.attr('toString'), undefined)
  assert.deepEqual({ ...element.attrs }, { to: 'romeo@example.net', type: 'chat' })
  assert.equal(element.attrs, element.attrs)
})

test('builds elements, leaving out what is undefined', () => {
  const element = xml(
    'iq',
    'jabber:client',
    { id: '1', to: undefined, 'xml:lang': 'en' },
    undefined,
    xml('query', 'urn:q', undefined, 'text', ''),
    '',
  )
  assert.deepEqual({ ...element.attrs }, { id: '1', 'xml:lang': 'en' })
  assert.equal(element.lang, 'en')
  assert.deepEqual(element.child('query', 'urn:q')?.children, ['text'])
  assert.equal(element.children.length, 1)
})

test('builds no element or attribute whose name XML forbids', () => {
  for (const name of ['', 'a b', '1', 'a:b', 'a>', 'a\u{F0000}']) {
    assert.throws(() => xml(name, ''), RangeError)
    assert.throws(() => xml('a', '', { [name]: '' }), RangeError)
  }
  assert.throws(() => xml('a', '', { xmlns: 'b' }), RangeError)
  assert.throws(() => xml('a', '', { 'b:c': 'd' }), RangeError)
  assert.throws(() => message().withAttrs({ 'b c': 'd' }), RangeError)
  assert.equal(xml('é.1', '', { ü: '', '{urn:x}b': '' }).attr('{urn:x}b'), '')
})

test('changes answer new elements and leave the old one alone', () => {
  const element = message()
  const before = toXml(element)
  const changed = element.withAttrs({ to: undefined, type: 'normal', from: 'juliet@example.com' })
  assert.deepEqual({ ...changed.attrs }, { type: 'normal', from: 'juliet@example.com' })
  assert.equal(changed.childText('body'), 'one')
  const appended = changed.append(xml('delay', 'urn:xmpp:delay'), undefined).append('c')
  assert.equal(appended.children.length, 8)
  assert.equal(appended.text(), 'abc')
  assert.equal(appended.elements().at(-1)?.name, 'delay')
  const pruned = appended.without((child) => child.name === 'body' || child.name === 'delay')
  assert.deepEqual(
    pruned.elements().map((child) => child.ns),
    ['urn:x', 'urn:y'],
  )
  assert.deepEqual(element.withChildren(xml('a', 'b')).elements().length, 1)
  assert.equal(element.withChildren().children.length, 0)
  assert.equal(toXml(element), before)
})

test('without answers the same element if nothing goes', () => {
  const element = message()
  assert.equal(
    element.without((child) => child.name === 'subject'),
    element,
  )
})

test('copies share the tree of the original', () => {
  const element = message()
  const copy = element.withAttrs({ to: 'a@b' })
  assert.equal(copy.child('body'), element.child('body'))
})

test('inherits the language (RFC 6120 §8.1.5)', () => {
  const element = parse("<a xml:lang='it'><b><c xml:lang=''/></b><d xml:lang='en'><e/></d></a>")
  const b = element.child('b')
  const d = element.child('d')
  assert.equal(element.lang, 'it')
  assert.equal(b?.lang, 'it')
  assert.equal(b?.child('c')?.lang, '')
  assert.equal(d?.lang, 'en')
  assert.equal(d?.child('e')?.lang, 'en')
  assert.equal(xml('a', '').lang, undefined)
})

test('a short piece of a large stanza is the text that it should be', () => {
  const long = 'x'.repeat(5000)
  const text = `${long}é&amp;`
  const element = parse(
    `<a b='a value of some length'><c>${text}</c><d>a text of some length</d></a>`,
  )
  assert.equal(element.attr('b'), 'a value of some length')
  assert.equal(element.childText('c'), `${long}é&`)
  assert.equal(element.childText('d'), 'a text of some length')
})

test('no tree is made before somebody asks', () => {
  const element = message()
  toXml(element.withAttrs({ to: 'a@b' }).append(xml('a', 'b')), 'jabber:server')
  assert.equal(element.slice?.tree, undefined)
  assert.equal(element.children.length, 6)
  assert.notEqual(element.slice?.tree, undefined)
})
