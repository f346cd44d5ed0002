import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { SaxesParser } from 'saxes'
import { xml } from '../../src/xmpp/xml/element.ts'
import type { Element } from '../../src/xmpp/xml/element.ts'
import { isContentNs } from '../../src/xmpp/xml/namespaces.ts'
import { parseElement } from '../../src/xmpp/xml/parse-element.ts'
import { StreamParser } from '../../src/xmpp/xml/stream-parser.ts'
import { toXml } from '../../src/xmpp/xml/write.ts'

// Mutated XML goes to our parser and to saxes. They must agree on what is well-formed, but for what
// RFC 6120 §11.1 forbids, and on the tree. Run one seed again with FUZZ_SEED, more with FUZZ_ROUNDS.

const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31))
const rounds = Number(process.env['FUZZ_ROUNDS'] ?? 12_000)

let state = seed
/** A whole number from 0 up to `below`. */
function random(below: number): number {
  state = (state + 0x6d2b79f5) | 0
  let mixed = Math.imul(state ^ (state >>> 15), state | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below
}

function pick<T>(from: readonly T[]): T {
  const picked = from[random(from.length)]
  if (picked === undefined) throw new Error('Nothing to pick from')
  return picked
}

const corpus = [
  "<message xmlns='jabber:client' to='a@b' type=\"chat\" id='1'><body>Hé &amp; &#x1F600; 😀</body></message>",
  "<iq type='get'><query xmlns='urn:q' xml:lang='en'><item a='1' b=\"2\"/>\r\n<item a='&lt;\t'/></query></iq>",
  "<p:a xmlns:p='urn:p' p:b='1' b='2' xmlns='urn:d'><p:c xmlns:p='urn:q'><d/><p:e q:f='' xmlns:q='urn:r'/></p:c><c/></p:a>",
  '<a><![CDATA[<x>&y;]] ]>]]>]]&gt;<b>1</b>2<b>3</b ></a\n>',
  "<message xmlns='jabber:client'><x xmlns='urn:f'><message xmlns='jabber:client'><body xmlns='jabber:client'/></message></x></message>",
  "<m xmlns='jabber:server' xmlns:c='jabber:client'><c:body>x</c:body><n xmlns=''><o/></n><xml:p/></m>",
  "<?xml version='1.0' encoding='utf-8'?>\n<ключ имя='é' é·='2'>\u{10000}\ud7ff\ue000</ключ>\n",
  "<presence\tfrom = 'x'\r\n to\n=\t'y'><show>dnd</show><priority>5</priority></presence>",
] as const

// prettier-ignore
const tokens = [
  ...Array.from('<>&;\'"=/!?[]-:#x1 \t\r\n\0\x1b\x7f\x85é·😀\u2028\ufeff\ufffd\ufffe\uffff'),
  '</', '/>', '<a>', '</a>', '<b/>', "<p:b/>", " a='1'", " b=\"2\"", " xmlns='urn:x'", " xmlns=''",
  " xmlns='jabber:client'", " xmlns='jabber:server'", " xmlns:p='urn:p'", " xmlns:p='jabber:client'",
  " xmlns:p=''", " xmlns:q='urn:p'", " p:a='1'", " q:a='2'", " xml:lang='en'", " xmlns:xml='urn:x'",
  " xmlns:xml='http://www.w3.org/XML/1998/namespace'", " xmlns:p='http://www.w3.org/XML/1998/namespace'",
  " xmlns='http://www.w3.org/XML/1998/namespace'", " xmlns='http://www.w3.org/2000/xmlns/'",
  " xmlns:xmlns='http://www.w3.org/2000/xmlns/'", '&amp;', '&lt;', '&nbsp;', '&#0;', '&#65;', '&#xD800;',
  '&#x10FFFF;', '&#x110000;', '&#xfffe;', ']]>', '<![CDATA[', '<![CDATA[x]]>', '<!--', '-->', '<!-- c -->',
  '<?p i?>', '<?xml version="1.0"?>', '<!DOCTYPE a>', 'xmlns', 'xmlns:', 'p:', ':p', '\r\n',
]

function mutate(original: Buffer): Buffer {
  let bytes = original
  for (let count = random(4); count >= 0; count--) {
    const at = random(bytes.length + 1)
    const to = Math.min(bytes.length, at + random(random(3) === 0 ? 40 : 4))
    const other = Buffer.from(pick(corpus))
    const from = random(other.length)
    const inserted = pick([
      Buffer.alloc(0),
      Buffer.from(pick(tokens)),
      Buffer.from(pick(tokens)),
      Buffer.from([random(256)]),
      bytes.subarray(at, to),
      other.subarray(from, from + random(60)),
    ])
    const rest = random(2) === 0 ? at : to
    bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(rest)])
  }
  return bytes
}

interface Tree {
  readonly name: string
  readonly attrs: Record<string, string>
  readonly children: (Tree | string)[]
}

function treeOf(element: Element): Tree {
  return {
    name: `{${element.ns}}${element.name}`,
    attrs: { ...element.attrs },
    children: element.children.map((node) => (typeof node === 'string' ? node : treeOf(node))),
  }
}

/** What saxes says: the tree; that it met what RFC 6120 §11.1 forbids; or what is wrong. */
function oracle(text: string, prefixes: Record<string, string>): Tree | 'restricted' | Error {
  const top: Tree = { name: '', attrs: {}, children: [] }
  const open = [top]
  let restricted = false
  let error: Error | undefined
  const parser = new SaxesParser({
    xmlns: true,
    additionalNamespaces: prefixes,
    defaultXMLVersion: '1.0',
    forceXMLVersion: true,
  })
  const addText = (text: string): void => {
    const siblings = open.at(-1)?.children ?? []
    const last = siblings.at(-1)
    if (typeof last === 'string') siblings[siblings.length - 1] = last + text
    else if (text !== '') siblings.push(text)
  }
  parser.on('error', (thrown) => void (error ??= thrown))
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('comment', () => void (restricted = true))
  parser.on('processinginstruction', () => void (restricted = true))
  parser.on('doctype', () => void (restricted = true))
  parser.on('opentag', (tag) => {
    const element: Tree = { name: `{${tag.uri}}${tag.local}`, attrs: {}, children: [] }
    for (const { name, prefix, local, uri, value } of Object.values(tag.attributes)) {
      if (name === 'xmlns' || prefix === 'xmlns') continue
      const key = prefix === '' ? name : prefix === 'xml' ? name : `{${uri}}${local}`
      Object.defineProperty(element.attrs, key, { value, enumerable: true })
    }
    open.at(-1)?.children.push(element)
    open.push(element)
  })
  parser.on('closetag', () => void open.pop())
  parser.write(text).close()
  if (error !== undefined) return error
  if (restricted) return 'restricted'
  return top.children.find((node) => typeof node !== 'string') ?? new Error('No element')
}

/**
 * Where saxes errs: it skips a byte order mark (RFC 6120 §11.6), trims namespaces, and lets local
 * names begin with any name character (Namespaces in XML §3).
 */
const beyondOracle =
  /^\ufeff|xmlns[^\s=]*\s*=\s*(?:"(?:\s[^"]*|[^"]*\s)"|'(?:\s[^']*|[^']*\s)')|:[^\sA-Z_a-z/]/

function sorted(tree: Tree): Tree {
  const attrs = Object.entries(tree.attrs).sort(([a], [b]) => (a < b ? -1 : 1))
  const children = tree.children.map((node) => (typeof node === 'string' ? node : sorted(node)))
  return { name: tree.name, attrs: Object.fromEntries(attrs), children }
}

/** The events of a stream in which `stanzas` stand, cut into pieces of at most `most` bytes. */
function stream(stanzas: Buffer, most: number): string[] {
  const events: string[] = []
  const parser = new StreamParser({
    handler: {
      streamOpen: (head) => void events.push(`open ${head.name} ${head.contentNs}`),
      stanza: (element) => void events.push(JSON.stringify(sorted(treeOf(element)))),
      streamClose: () => void events.push('close'),
      error: (condition, detail) => void events.push(`${condition}: ${detail}`),
    },
  })
  const bytes = Buffer.concat([
    Buffer.from("<s xmlns='urn:s' xmlns:p='urn:p'>"),
    stanzas,
    Buffer.from('</s>'),
  ])
  for (let at = 0; at < bytes.length;) {
    const piece = Buffer.from(bytes.subarray(at, at + 1 + random(most)))
    at += piece.length
    parser.push(piece)
    piece.fill(0xff)
  }
  return events
}

function reread(text: string, defaultNs: string): Element {
  const result = parseElement(text, { defaultNs })
  assert.ok(result.ok, `${JSON.stringify(result)}: ${text}`)
  return result.value
}

function withoutContentNs(tree: Tree): Tree {
  const [, ns = '', name = ''] = /^\{(.*)\}(.*)$/s.exec(tree.name) ?? []
  const children = tree.children.map((node) =>
    typeof node === 'string' ? node : withoutContentNs(node),
  )
  return { ...tree, name: isContentNs(ns) ? `content ${name}` : tree.name, children }
}

function checkWriting(element: Element): void {
  const tree = sorted(treeOf(element))
  const same = (written: string, contextNs: string): void =>
    assert.deepEqual(sorted(treeOf(reread(written, contextNs))), tree, written)
  same(toXml(element, ''), '')
  same(toXml(element, 'urn:other'), 'urn:other')
  same(toXml(element.withAttrs({ a: element.attr('a') }), element.ns), element.ns)
  same(toXml(element.withChildren(...element.children), 'urn:p'), 'urn:p')
  const wrapped = xml('w', 'urn:w', {}, element)
  const [inner] = reread(toXml(wrapped, 'urn:d'), 'urn:d').elements()
  assert.ok(inner)
  assert.deepEqual(sorted(treeOf(inner)), tree)
  const moved = reread(
    toXml(xml('w', 'jabber:client', {}, ...element.children, xml('z', 'urn:w')), ''),
    '',
  )
  assert.deepEqual(sorted(treeOf(moved)).children.slice(0, -1), tree.children)
  const translated = reread(toXml(element, 'jabber:component:accept'), 'jabber:component:accept')
  assert.deepEqual(withoutContentNs(sorted(treeOf(translated))), withoutContentNs(tree))
}

test('agrees with saxes on mutated documents, and writes what it reads', (t) => {
  t.diagnostic(`seed ${seed}`)
  let accepted = 0
  for (let round = 0; round < rounds; round++) {
    const bytes = mutate(Buffer.from(pick(corpus)))
    const result = parseElement(bytes)
    const what = `FUZZ_SEED=${seed}, round ${round}: ${JSON.stringify(bytes.toString('latin1'))}`
    if (!isUtf8(bytes)) {
      assert.ok(!result.ok, `Accepted, ${what}`)
      continue
    }
    if (beyondOracle.test(bytes.toString())) continue
    const expected = oracle(bytes.toString(), {})
    if (result.ok) {
      accepted++
      if (expected === 'restricted' || expected instanceof Error) {
        assert.fail(`Accepted, but ${String(expected)}, ${what}`)
      }
      assert.deepEqual(sorted(treeOf(result.value)), sorted(expected), what)
      checkWriting(result.value)
    } else if (result.error.detail !== 'Encoding other than UTF-8') {
      assert.ok(
        expected === 'restricted' || expected instanceof Error,
        `Refused for ${JSON.stringify(result.error)}, ${what}`,
      )
    }
  }
  assert.ok(accepted > rounds / 20, `Only ${accepted} of ${rounds} were accepted`)
})

test('reads mutated streams the same however they are cut, and as saxes does', (t) => {
  t.diagnostic(`seed ${seed}`)
  let accepted = 0
  for (let round = 0; round < rounds / 2; round++) {
    const stanzas = Array.from({ length: 1 + random(3) }, () => Buffer.from(pick(corpus)))
    const bytes = mutate(Buffer.concat(stanzas))
    const what = `FUZZ_SEED=${seed}, round ${round}: ${JSON.stringify(bytes.toString('latin1'))}`
    const events = stream(bytes, 10_000)
    assert.deepEqual(stream(bytes, 1), events, what)
    assert.deepEqual(stream(bytes, 20), events, what)
    const last = events.at(-1) ?? ''
    if (!isUtf8(bytes)) {
      assert.notEqual(last, 'close', what)
      continue
    }
    if (beyondOracle.test(bytes.toString())) continue
    const text = `<s xmlns='urn:s' xmlns:p='urn:p'>${bytes.toString()}</s>`
    const expected = oracle(text, {})
    if (last === 'close') {
      if (expected === 'restricted' || expected instanceof Error) {
        // What comes behind the end of a stream is not looked at.
        assert.ok(bytes.includes('</s>'), `Accepted, but ${String(expected)}, ${what}`)
        continue
      }
      accepted++
      const trees = expected.children.filter((node) => typeof node !== 'string')
      assert.deepEqual(
        events.slice(1, -1),
        trees.map((tree) => JSON.stringify(sorted(tree))),
        what,
      )
    } else if (!last.startsWith('bad-format')) {
      assert.ok(
        expected === 'restricted' || expected instanceof Error,
        `Refused for ${last}, ${what}`,
      )
    }
  }
  assert.ok(accepted > rounds / 80, `Only ${accepted} of ${rounds / 2} were accepted`)
})
