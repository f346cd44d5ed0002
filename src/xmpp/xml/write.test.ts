import assert from 'node:assert/strict'
import { test } from 'node:test'
import { xml } from './element.ts'
import type { Element } from './element.ts'
import { parseElement } from './parse-element.ts'
import { StreamParser } from './stream-parser.ts'
import { StanzaTemplate, toXml, writeElement } from './write.ts'

function parse(text: string, defaultNs = 'jabber:client'): Element {
  const result = parseElement(text, { defaultNs })
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

/** The only stanza on a stream with this head. */
function stanzaOf(head: string, text: string, contentNs?: string): Element {
  const stanzas: Element[] = []
  const parser = new StreamParser({
    ...(contentNs === undefined ? {} : { contentNs }),
    handler: {
      streamOpen: () => undefined,
      streamClose: () => undefined,
      error: (condition, detail) => assert.fail(`${condition}: ${detail}`),
      stanza: (element) => void stanzas.push(element),
    },
  })
  parser.push(Buffer.from(head + text))
  const [only] = stanzas
  assert.ok(only)
  return only
}

// Odd forms, which only a copy of the bytes can keep.
const body = `<body  >a &#65; "é" \r\n<![CDATA[<]]></body ><x xmlns = "urn:x" a='"'></x>`

const written: readonly { name: string; element: () => Element; contextNs: string; xml: string }[] =
  [
    {
      name: 'copies an unchanged stanza for the same namespace',
      element: () => parse(`<message  id = "1">${body}</message>`),
      contextNs: 'jabber:client',
      xml: `<message  id = "1">${body}</message>`,
    },
    {
      name: 'writes a new start tag around a copied body',
      element: () => parse(`<message  id = "1">${body}</message>`).withAttrs({ to: "<'é'>" }),
      contextNs: 'jabber:client',
      xml: `<message id='1' to='&lt;&apos;é&apos;&gt;'>${body}</message>`,
    },
    {
      name: 'takes a stanza over into another stream (RFC 6120 §4.8.3)',
      element: () => parse(`<message>${body}</message>`),
      contextNs: 'jabber:server',
      xml: `<message>${body}</message>`,
    },
    {
      name: 'takes a stanza over that names its namespace',
      element: () => parse(`<message xmlns='jabber:client'>${body}</message>`),
      contextNs: 'jabber:component:accept',
      xml: `<message>${body}</message>`,
    },
    {
      name: 'takes children over that name the namespace anew',
      element: () =>
        parse(
          "<message><body xmlns='jabber:client'>a</body><x xmlns='urn:x' ><y  /></x></message>",
        ),
      contextNs: 'jabber:server',
      xml: "<message><body>a</body><x xmlns='urn:x' ><y  /></x></message>",
    },
    {
      name: 'takes children over that name the namespace in disguise',
      element: () => parse("<message><body xmlns='jabber&#58;client'>a</body></message>"),
      contextNs: 'jabber:server',
      xml: '<message><body>a</body></message>',
    },
    {
      name: 'takes children over that have a prefix for the namespace',
      element: () => parse("<message xmlns:c='jabber:client'><c:body>a</c:body></message>"),
      contextNs: 'jabber:server',
      xml: '<message><body>a</body></message>',
    },
    {
      name: 'leaves a forwarded stanza in its namespace (XEP-0297)',
      element: () =>
        parse(
          "<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' ><body>a</body></message></forwarded></message>",
        ),
      contextNs: 'jabber:server',
      xml: "<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' ><body>a</body></message></forwarded></message>",
    },
    {
      name: 'declares the namespace of a stanza in a document of its own',
      element: () => parse(`<message>${body}</message>`),
      contextNs: '',
      xml: `<message xmlns='jabber:client'>${body}</message>`,
    },
    {
      name: 'declares the namespace of a stanza that goes into another element',
      element: () =>
        xml('forwarded', 'urn:xmpp:forward:0', {}, parse(`<message>${body}</message>`)),
      contextNs: 'jabber:client',
      xml: `<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>${body}</message></forwarded>`,
    },
    {
      name: 'copies a child into another place',
      element: () => xml('b', 'urn:b', {}, ...parse(`<message>${body}</message>`).elements()),
      contextNs: '',
      xml: `<b xmlns='urn:b'><body xmlns='jabber:client'>a &#65; "é" \r\n<![CDATA[<]]></body><x xmlns = "urn:x" a='"'></x></b>`,
    },
    {
      name: 'copies a child that inherits the namespace of its parent',
      element: () =>
        parse("<query xmlns='urn:q'><item  ><a/></item></query>").child('item') ?? xml('none', ''),
      contextNs: 'jabber:client',
      xml: "<item xmlns='urn:q'><a/></item>",
    },
    {
      name: 'appends to a copied body',
      element: () =>
        parse(`<message>${body}</message>`).append(
          xml('delay', 'urn:xmpp:delay', { stamp: 'now' }),
          '<',
        ),
      contextNs: 'jabber:client',
      xml: `<message>${body}<delay xmlns='urn:xmpp:delay' stamp='now'/>&lt;</message>`,
    },
    {
      name: 'appends to an empty stanza',
      element: () => parse('<message/>').append(xml('body', 'jabber:client', {}, 'a')),
      contextNs: 'jabber:server',
      xml: '<message><body>a</body></message>',
    },
    {
      name: 'copies the siblings of a removed child',
      element: () => parse(`<message>${body}</message>`).without((child) => child.name === 'body'),
      contextNs: 'jabber:client',
      xml: `<message><x xmlns = "urn:x" a='"'></x></message>`,
    },
    {
      name: 'declares prefixes that the body needs',
      element: () =>
        parse("<message xmlns:p='urn:p' xmlns:unused='urn:u'><p:a p:b='1'/></message>").withAttrs({
          id: '1',
        }),
      contextNs: 'jabber:client',
      xml: "<message id='1' xmlns:p='urn:p'><p:a p:b='1'/></message>",
    },
    {
      name: 'declares prefixes of the stream that the body needs',
      element: () =>
        stanzaOf(
          "<s xmlns='jabber:client' xmlns:p='urn:p&amp;'>",
          "<message><a xmlns='urn:a'><p:b/></a></message>",
        ),
      contextNs: 'jabber:client',
      xml: "<message xmlns:p='urn:p&amp;'><a xmlns='urn:a'><p:b/></a></message>",
    },
    {
      name: 'declares prefixes that a subtree needs',
      element: () =>
        parse(
          "<message xmlns:p='urn:p'><a xmlns='urn:a' ><b><p:c/></b></a><d  xmlns='urn:d'/></message>",
        )
          .without((child) => child.name === 'none')
          .withChildren(
            ...parse(
              "<message xmlns:p='urn:p'><a xmlns='urn:a' ><b><p:c/></b></a><d  xmlns='urn:d'/></message>",
            ).children,
          ),
      contextNs: 'jabber:client',
      xml: "<message><a xmlns='urn:a' xmlns:p='urn:p'><b><p:c/></b></a><d  xmlns='urn:d'/></message>",
    },
    {
      name: 'copies a subtree that declares its prefixes itself',
      element: () =>
        xml(
          'a',
          'urn:a',
          {},
          ...parse("<m xmlns:p='urn:p'><x xmlns='urn:x'  ><p:y xmlns:p='urn:q'  /></x></m>")
            .children,
        ),
      contextNs: '',
      xml: "<a xmlns='urn:a'><x xmlns='urn:x'  ><p:y xmlns:p='urn:q'  /></x></a>",
    },
    {
      name: 'writes elements with a prefix without it',
      element: () => parse("<p:a xmlns:p='urn:p' xmlns='urn:d'><b/><p:c/>d</p:a>"),
      contextNs: '',
      xml: "<a xmlns='urn:p'><b xmlns='urn:d'/><c/>d</a>",
    },
    {
      name: 'gives attributes of a namespace a prefix',
      element: () =>
        parse("<a xmlns:a0='urn:x' a0:b='1' c='2'><a0:d/></a>", '').withAttrs({ c: '3' }),
      contextNs: '',
      xml: "<a xmlns:a0_='urn:x' a0_:b='1' c='3' xmlns:a0='urn:x'><a0:d/></a>",
    },
    {
      name: 'writes stream elements with the prefix of the stream (RFC 6120 §4.8.5)',
      element: () =>
        xml(
          'features',
          'http://etherx.jabber.org/streams',
          {},
          xml('bind', 'urn:ietf:params:xml:ns:xmpp-bind'),
        ),
      contextNs: 'jabber:client',
      xml: "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
    },
    {
      name: 'declares the prefix of the stream where there is no stream (RFC 7395 §3.3)',
      element: () => xml('features', 'http://etherx.jabber.org/streams', { a: '1' }),
      contextNs: '',
      xml: "<stream:features xmlns:stream='http://etherx.jabber.org/streams' a='1'/>",
    },
    {
      name: 'writes dialback with its prefix (XEP-0220)',
      element: () => xml('result', 'jabber:server:dialback', { to: 'a' }, 'key'),
      contextNs: 'jabber:server',
      xml: "<db:result xmlns:db='jabber:server:dialback' to='a'>key</db:result>",
    },
    {
      name: 'reads and writes dialback',
      element: () =>
        stanzaOf(
          "<s xmlns='jabber:server' xmlns:db='jabber:server:dialback'>",
          "<db:result to='a'>k&amp;y</db:result>",
        ),
      contextNs: 'jabber:server',
      xml: "<db:result xmlns:db='jabber:server:dialback' to='a'>k&amp;y</db:result>",
    },
    {
      name: 'writes no namespace inside of one',
      element: () => xml('a', 'urn:a', {}, xml('b', '', {}, xml('c', ''))),
      contextNs: 'urn:a',
      xml: "<a><b xmlns=''><c/></b></a>",
    },
    {
      name: 'escapes text and values',
      element: () => xml('a', '', { b: `<>&'"\t\n\rü` }, `<>&'"\t\n\rü]]>😀`),
      contextNs: '',
      xml: `<a b='&lt;&gt;&amp;&apos;&quot;&#x9;&#xA;&#xD;ü'>&lt;&gt;&amp;'"\t\n&#xD;ü]]&gt;😀</a>`,
    },
    {
      name: 'writes what XML forbids as U+FFFD',
      element: () => xml('a', '', { b: '\0\ufffe' }, '\x1b\uffff\ud800x'),
      contextNs: '',
      xml: "<a b='\ufffd\ufffd'>\ufffd\ufffd\ufffdx</a>",
    },
    {
      name: 'writes names beyond ASCII',
      element: () => xml('é', 'urn:é', { ü: 'ö' }, 'a'),
      contextNs: '',
      xml: "<é xmlns='urn:é' ü='ö'>a</é>",
    },
    {
      name: 'brings a stanza from a server stream to clients',
      element: () =>
        stanzaOf("<s xmlns='jabber:server'>", `<message>${body}</message>`, 'jabber:client'),
      contextNs: 'jabber:client',
      xml: `<message>${body}</message>`,
    },
    {
      name: 'brings a stanza to clients that names the namespace of servers',
      element: () =>
        stanzaOf(
          "<s xmlns='jabber:server'>",
          "<message xmlns='jabber:server' id='1'><body xmlns='jabber:server' xml:lang='en'>a<b/></body><c  xmlns='d'/></message>",
          'jabber:client',
        ),
      contextNs: '',
      xml: "<message xmlns='jabber:client' id='1'><body xml:lang='en'>a<b/></body><c  xmlns='d'/></message>",
    },
    {
      name: 'brings a stanza to clients that has a prefix for the namespace of servers',
      element: () =>
        stanzaOf(
          "<s xmlns='jabber:server' xmlns:j='jabber:server'>",
          "<j:message><body>a</body><j:body>b</j:body><c xmlns='d'><j:e/></c></j:message>",
          'jabber:client',
        ),
      contextNs: '',
      xml: "<message xmlns='jabber:client'><body>a</body><body>b</body><c xmlns='d' xmlns:j='jabber:server'><j:e/></c></message>",
    },
  ]

for (const { name, element, contextNs, xml: expected } of written) {
  test(name, () => {
    assert.equal(toXml(element(), contextNs), expected)
    assert.equal(writeElement(element(), contextNs).toString(), expected)
    // The tree says the same, whether it was asked for before or not.
    const asked = element()
    assert.ok(asked.children.length >= 0)
    assert.equal(toXml(asked, contextNs), expected)
  })
}

test('takes the stanza out of a forwarded one as if it had come alone', () => {
  const forwarded = parse(
    "<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body xmlns='jabber:client'>a</body></message></forwarded></message>",
  )
  const inner = forwarded.child('forwarded', '*')?.child('message', 'jabber:client')
  assert.ok(inner)
  assert.equal(toXml(inner, 'jabber:server'), '<message><body>a</body></message>')
})

test('a template writes one stanza for many (as toXml would)', () => {
  const stanza = parse(`<presence to='room@example.org' id='1' from='é@x'>${body}</presence>`)
  const template = new StanzaTemplate(stanza, 'jabber:server')
  for (const to of ['a@b', "ö@'&", 'long'.repeat(500)]) {
    const copy = parse(template.for(to).toString(), 'jabber:client')
    assert.deepEqual({ ...copy.attrs }, { to, id: '1', from: 'é@x' })
    assert.equal(
      template.for(to).toString(),
      toXml(
        parse(`<presence>${body}</presence>`).withAttrs({ to, id: '1', from: 'é@x' }),
        'jabber:server',
      ),
    )
  }
})

test('a template may leave the id open too', () => {
  const template = new StanzaTemplate(
    xml('iq', 'jabber:client', { id: '1', type: 'set' }),
    '',
    'to+id',
  )
  assert.equal(
    template.for('a', 'b').toString(),
    "<iq to='a' id='b' xmlns='jabber:client' type='set'/>",
  )
  assert.equal(template.for('a').toString(), "<iq to='a' xmlns='jabber:client' type='set'/>")
})
