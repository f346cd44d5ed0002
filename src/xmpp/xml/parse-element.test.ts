import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Element } from './element.ts'
import type { XmlCondition } from './errors.ts'
import { parseElement } from './parse-element.ts'
import { StreamParser } from './stream-parser.ts'

type Plain = readonly [name: string, attrs: object, ...children: (Plain | string)[]]

function plain(element: Element): Plain {
  const children = element.children.map((node) => (typeof node === 'string' ? node : plain(node)))
  return [`{${element.ns}}${element.name}`, { ...element.attrs }, ...children]
}

/** What a stream parser makes of `<s xmlns='d'>` + xml, fed in pieces of `size` bytes. */
function stream(xml: Uint8Array, size: number): Plain[] | XmlCondition {
  const stanzas: Plain[] = []
  let failure: XmlCondition | undefined
  const parser = new StreamParser({
    handler: {
      streamOpen: () => undefined,
      streamClose: () => undefined,
      stanza: (element) => void stanzas.push(plain(element)),
      error: (condition) => {
        assert.equal(failure, undefined, 'one error only')
        failure = condition
      },
    },
  })
  parser.push(Buffer.from("<s xmlns='d'>"))
  for (let at = 0; at < xml.length; at += size) parser.push(xml.subarray(at, at + size))
  return failure ?? stanzas
}

const xmlNs = 'http://www.w3.org/XML/1998/namespace'
const xmlnsNs = 'http://www.w3.org/2000/xmlns/'

// XML = Extensible Markup Language 1.0, fifth edition; NS = Namespaces in XML 1.0, third edition.
const wellFormed: readonly { name: string; xml: string; tree: Plain }[] = [
  { name: 'empty element', xml: '<a/>', tree: ['{d}a', {}] },
  { name: 'start and end tag', xml: '<a></a>', tree: ['{d}a', {}] },
  { name: 'white space in tags (XML §3.1)', xml: '<a\t\r\n ></a \n\t\r>', tree: ['{d}a', {}] },
  {
    name: 'white space around = (XML §2.3, Eq)',
    xml: `<a b =\n'1' c\t= "2"\r\n/>`,
    tree: ['{d}a', { b: '1', c: '2' }],
  },
  {
    name: 'the other quote in a value',
    xml: `<a b='"' c="'"/>`,
    tree: ['{d}a', { b: '"', c: "'" }],
  },
  { name: 'empty value', xml: `<a b='' c=""/>`, tree: ['{d}a', { b: '', c: '' }] },
  {
    name: '> in a value (XML §2.3, AttValue)',
    xml: `<a b='>/]]>'/>`,
    tree: ['{d}a', { b: '>/]]>' }],
  },
  { name: 'text', xml: '<a> b\tc\nd </a>', tree: ['{d}a', {}, ' b\tc\nd '] },
  {
    name: '> and ] in text',
    xml: '<a>a > b ] c ]] d ]>e</a>',
    tree: ['{d}a', {}, 'a > b ] c ]] d ]>e'],
  },
  {
    name: 'predefined entities (XML §4.6)',
    xml: `<a b='&lt;&gt;&amp;&apos;&quot;'>&lt;&gt;&amp;&apos;&quot;</a>`,
    tree: ['{d}a', { b: `<>&'"` }, `<>&'"`],
  },
  {
    name: 'character references (XML §4.1)',
    xml: `<a b='&#65;&#x42;&#x000063;'>&#9;&#xa;&#xD;&#x1F600;&#x10ffff;&#xd7ff;&#xe000;&#xfffd;</a>`,
    tree: ['{d}a', { b: 'ABc' }, '\t\n\r\u{1F600}\u{10ffff}\ud7ff\ue000\ufffd'],
  },
  { name: 'escaped only once', xml: '<a>&amp;lt;&#38;lt;</a>', tree: ['{d}a', {}, '&lt;&lt;'] },
  { name: 'escaped ]]>', xml: '<a>]]&gt;</a>', tree: ['{d}a', {}, ']]>'] },
  {
    name: 'line ends (XML §2.11)',
    xml: '<a>1\r\n2\r3\n4\r\r\n5</a>',
    tree: ['{d}a', {}, '1\n2\n3\n4\n\n5'],
  },
  {
    name: 'white space in values (XML §3.3.3)',
    xml: `<a b='1\t2\n3\r\n4\r5&#xA;6&#9;7'/>`,
    tree: ['{d}a', { b: '1 2 3 4 5\n6\t7' }],
  },
  {
    name: 'CDATA (XML §2.7)',
    xml: '<a>x<![CDATA[<b>&lt;]] ]> ]]]]><![CDATA[>\r\n]]>y</a>',
    tree: ['{d}a', {}, 'x<b>&lt;]] ]> ]]>\ny'],
  },
  { name: 'empty CDATA', xml: '<a><![CDATA[]]></a>', tree: ['{d}a', {}] },
  { name: '> after CDATA', xml: '<a><![CDATA[]]]]>></a>', tree: ['{d}a', {}, ']]>'] },
  {
    name: 'UTF-8 of all lengths',
    xml: "<a b='é€😀'>é€😀</a>",
    tree: ['{d}a', { b: 'é€😀' }, 'é€😀'],
  },
  {
    name: 'characters at the limits (XML §2.2)',
    xml: '<a>\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\u{10000}\u{1fffe}\u{10ffff}</a>',
    tree: ['{d}a', {}, '\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\u{10000}\u{1fffe}\u{10ffff}'],
  },
  {
    name: 'names (XML §2.3)',
    xml: `<_a-b.c1><é·́/><名前 ключ='1'/><\u{10000}/></_a-b.c1>`,
    tree: ['{d}_a-b.c1', {}, ['{d}é·́', {}], ['{d}名前', { ключ: '1' }], ['{d}\u{10000}', {}]],
  },
  {
    name: 'text between elements',
    xml: '<a>1<b>2</b>3<c/>4</a>',
    tree: ['{d}a', {}, '1', ['{d}b', {}, '2'], '3', ['{d}c', {}], '4'],
  },
  {
    name: 'elements of one name inside one another',
    xml: '<a><a><a/></a><a/></a>',
    tree: ['{d}a', {}, ['{d}a', {}, ['{d}a', {}]], ['{d}a', {}]],
  },
  {
    name: 'default namespace (NS §6.2)',
    xml: "<a><b xmlns='x'><c/><d xmlns=''><e/></d></b><f/></a>",
    tree: ['{d}a', {}, ['{x}b', {}, ['{x}c', {}], ['{}d', {}, ['{}e', {}]]], ['{d}f', {}]],
  },
  {
    name: 'default namespace with a reference',
    xml: "<a xmlns='x&amp;y'><b xmlns='&#122;'/></a>",
    tree: ['{x&y}a', {}, ['{z}b', {}]],
  },
  {
    name: 'prefixes (NS §6.1)',
    xml: "<p:a xmlns:p='x'><p:b xmlns:p='y'><p:c/></p:b><p:d/><e/></p:a>",
    tree: ['{x}a', {}, ['{y}b', {}, ['{y}c', {}]], ['{x}d', {}], ['{d}e', {}]],
  },
  {
    name: 'prefix declared after its use in the tag',
    xml: "<p:a p:b='1' xmlns:p='x'/>",
    tree: ['{x}a', { '{x}b': '1' }],
  },
  {
    name: 'attributes have no default namespace (NS §6.2)',
    xml: "<a b='1' p:b='2' xmlns='x' xmlns:p='x'/>",
    tree: ['{x}a', { b: '1', '{x}b': '2' }],
  },
  {
    name: 'the prefix xml (NS §3)',
    xml: `<a xml:lang='en'><b xml:space='preserve' xml:lang=''/><xml:c xmlns:xml='${xmlNs}'/></a>`,
    tree: [
      '{d}a',
      { 'xml:lang': 'en' },
      ['{d}b', { 'xml:space': 'preserve', 'xml:lang': '' }],
      [`{${xmlNs}}c`, {}],
    ],
  },
  {
    name: 'an element with the prefix xml outermost',
    xml: '<xml:a><b/></xml:a>',
    tree: [`{${xmlNs}}a`, {}, ['{d}b', {}]],
  },
  {
    name: 'names that look like declarations',
    xml: "<xmlns xmln='1' xmlnsx='2' xml='3'/>",
    tree: ['{d}xmlns', { xmln: '1', xmlnsx: '2', xml: '3' }],
  },
  {
    name: 'names of object properties',
    xml: "<a __proto__='1' constructor='2'><toString/></a>",
    tree: [
      '{d}a',
      Object.fromEntries([
        ['__proto__', '1'],
        ['constructor', '2'],
      ]),
      ['{d}toString', {}],
    ],
  },
]

const malformed: readonly { name: string; xml: string | Buffer; condition: XmlCondition }[] = [
  { name: 'comment (RFC 6120 §11.1)', xml: '<a><!-- b --></a>', condition: 'restricted-xml' },
  {
    name: 'processing instruction (RFC 6120 §11.1)',
    xml: '<a><?b c?></a>',
    condition: 'restricted-xml',
  },
  {
    name: 'XML declaration inside',
    xml: "<a><?xml version='1.0'?></a>",
    condition: 'restricted-xml',
  },
  { name: 'DOCTYPE inside', xml: '<a><!DOCTYPE b></a>', condition: 'restricted-xml' },
  { name: 'entity reference (RFC 6120 §11.1)', xml: '<a>&nbsp;</a>', condition: 'restricted-xml' },
  { name: 'entity reference in a value', xml: "<a b='&nbsp;'/>", condition: 'restricted-xml' },
  {
    name: 'entity whose name is nearly predefined',
    xml: '<a>&LT;</a>',
    condition: 'restricted-xml',
  },
  {
    name: 'entity whose name begins as a predefined one',
    xml: '<a>&ltx;</a>',
    condition: 'restricted-xml',
  },
  { name: 'mismatched end tag', xml: '<a><b></a></b>', condition: 'not-well-formed' },
  { name: 'end tag that is longer', xml: '<a></ab>', condition: 'not-well-formed' },
  { name: 'end tag that is shorter', xml: '<ab></a>', condition: 'not-well-formed' },
  { name: 'end tag of another case', xml: '<a></A>', condition: 'not-well-formed' },
  {
    name: 'end tag of the same namespace but another prefix',
    xml: "<p:a xmlns:p='x' xmlns:q='x'></q:a>",
    condition: 'not-well-formed',
  },
  { name: 'end tag with an attribute', xml: "<a></a b='1'>", condition: 'not-well-formed' },
  { name: 'white space before a name', xml: '<a>< b/></a>', condition: 'not-well-formed' },
  { name: 'white space before an end name', xml: '<a></ a>', condition: 'not-well-formed' },
  { name: 'empty tag', xml: '<a><></a>', condition: 'not-well-formed' },
  { name: 'name that begins with a digit', xml: '<a><1/></a>', condition: 'not-well-formed' },
  { name: 'name that begins with a minus', xml: '<a><-b/></a>', condition: 'not-well-formed' },
  { name: 'name that begins with ·', xml: '<a><·b/></a>', condition: 'not-well-formed' },
  {
    name: 'name with a character that names do not have',
    xml: '<a><b×c/></a>',
    condition: 'not-well-formed',
  },
  {
    name: 'name with an emoji in the wrong plane',
    xml: '<a><b\u{F0000}/></a>',
    condition: 'not-well-formed',
  },
  {
    name: 'name that begins with a colon (NS §7)',
    xml: '<a><:b/></a>',
    condition: 'not-well-formed',
  },
  {
    name: 'name that ends with a colon',
    xml: "<a xmlns:b='x'><b:/></a>",
    condition: 'not-well-formed',
  },
  {
    name: 'name with two colons',
    xml: "<a xmlns:b='x'><b:c:d/></a>",
    condition: 'not-well-formed',
  },
  {
    name: 'local name that begins with a digit',
    xml: "<a xmlns:b='x'><b:1/></a>",
    condition: 'not-well-formed',
  },
  { name: 'attribute name with a slash', xml: "<a b/c='1'/>", condition: 'not-well-formed' },
  {
    name: 'attribute name that begins with a digit',
    xml: "<a 1='1'/>",
    condition: 'not-well-formed',
  },
  { name: 'attribute without value', xml: '<a b></a>', condition: 'not-well-formed' },
  { name: 'attribute without quotes', xml: '<message a=1/>', condition: 'not-well-formed' },
  { name: 'attributes without space', xml: "<a b='1'c='2'/>", condition: 'not-well-formed' },
  { name: 'attribute given twice', xml: "<a b='1' c='2' b='1'/>", condition: 'not-well-formed' },
  {
    name: 'attribute of an inner element given twice',
    xml: "<a b='1'><c b='1' b='2'/></a>",
    condition: 'not-well-formed',
  },
  {
    name: 'attribute given twice by its expanded name (NS §6.3)',
    xml: "<a xmlns:p='x' xmlns:q='x' p:b='1' q:b='2'/>",
    condition: 'not-well-formed',
  },
  {
    name: 'prefix declared twice',
    xml: "<a xmlns:p='x' xmlns:p='x'/>",
    condition: 'not-well-formed',
  },
  {
    name: 'default namespace declared twice',
    xml: "<a xmlns='x' xmlns='y'/>",
    condition: 'not-well-formed',
  },
  { name: '< in a value', xml: "<a b='<'/>", condition: 'not-well-formed' },
  { name: '& in a value', xml: "<a b='a&b'/>", condition: 'not-well-formed' },
  { name: '& in text', xml: '<a>a & b</a>', condition: 'not-well-formed' },
  { name: '&; in text', xml: '<a>&;</a>', condition: 'not-well-formed' },
  { name: 'reference without semicolon', xml: '<a>&amp</a>', condition: 'not-well-formed' },
  { name: '& at the end of a value', xml: "<a b='&'/>", condition: 'not-well-formed' },
  { name: 'character reference without digits', xml: '<a>&#;</a>', condition: 'not-well-formed' },
  {
    name: 'hexadecimal reference without digits',
    xml: '<a>&#x;</a>',
    condition: 'not-well-formed',
  },
  { name: 'character reference with letters', xml: '<a>&#6a;</a>', condition: 'not-well-formed' },
  {
    name: 'hexadecimal reference with capital X',
    xml: '<a>&#X41;</a>',
    condition: 'not-well-formed',
  },
  { name: 'reference to NUL', xml: '<a>&#0;</a>', condition: 'not-well-formed' },
  { name: 'reference to a control character', xml: '<a>&#x1b;</a>', condition: 'not-well-formed' },
  { name: 'reference to a surrogate', xml: '<a>&#xD800;</a>', condition: 'not-well-formed' },
  {
    name: 'reference to a pair of surrogates',
    xml: '<a>&#xD83D;&#xDE00;</a>',
    condition: 'not-well-formed',
  },
  { name: 'reference to U+FFFE', xml: '<a>&#xFFFE;</a>', condition: 'not-well-formed' },
  { name: 'reference past Unicode', xml: '<a>&#x110000;</a>', condition: 'not-well-formed' },
  {
    name: 'reference past all numbers',
    xml: `<a>&#${'9'.repeat(400)};</a>`,
    condition: 'not-well-formed',
  },
  { name: ']]> in text (XML §2.4)', xml: '<a>]]></a>', condition: 'not-well-formed' },
  { name: ']]]> in text', xml: '<a>x]]]></a>', condition: 'not-well-formed' },
  { name: 'CDATA in lower case', xml: '<a><![cdata[x]]></a>', condition: 'not-well-formed' },
  { name: 'CDATA with a space', xml: '<a><![CDATA [x]]></a>', condition: 'not-well-formed' },
  { name: 'conditional section', xml: '<a><![IGNORE[x]]></a>', condition: 'not-well-formed' },
  { name: 'element declaration', xml: '<a><!ELEMENT b EMPTY></a>', condition: 'not-well-formed' },
  { name: 'slash inside a tag', xml: '<a / b></a>', condition: 'not-well-formed' },
  { name: 'tag inside a tag', xml: '<a <b/>></a>', condition: 'not-well-formed' },
  { name: 'NUL in text', xml: '<a>\0</a>', condition: 'not-well-formed' },
  { name: 'control character in text', xml: '<a>\x1b[0m</a>', condition: 'not-well-formed' },
  { name: 'control character in a value', xml: "<a b='\x0c'/>", condition: 'not-well-formed' },
  {
    name: 'control character in CDATA',
    xml: '<a><![CDATA[\x08]]></a>',
    condition: 'not-well-formed',
  },
  { name: 'control character in a name', xml: '<a\x01/>', condition: 'not-well-formed' },
  { name: 'U+FFFE in text (XML §2.2)', xml: '<a>\ufffe</a>', condition: 'not-well-formed' },
  { name: 'U+FFFF in a value', xml: "<a b='\uffff'/>", condition: 'not-well-formed' },
  { name: 'U+FFFF in CDATA', xml: '<a><![CDATA[\uffff]]></a>', condition: 'not-well-formed' },
  { name: 'U+FFFF in a name', xml: '<a\uffff/>', condition: 'not-well-formed' },
  { name: 'unbound prefix of an element', xml: '<a><p:b/></a>', condition: 'bad-namespace-prefix' },
  {
    name: 'unbound prefix of the outermost element',
    xml: '<p:a/>',
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'unbound prefix of an attribute',
    xml: "<a p:b='1'/>",
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'prefix out of scope',
    xml: "<a><b xmlns:p='x'/><p:c/></a>",
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'prefix out of scope after an end tag',
    xml: "<a><b xmlns:p='x'></b><p:c/></a>",
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'xmlns as a prefix of an element (NS §3)',
    xml: '<xmlns:a/>',
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'prefix xml bound elsewhere (NS §3)',
    xml: "<a xmlns:xml='x'/>",
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'prefix xmlns declared',
    xml: `<a xmlns:xmlns='${xmlnsNs}'/>`,
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'other prefix for the namespace of xml',
    xml: `<a xmlns:p='${xmlNs}'/>`,
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'other prefix for the namespace of xmlns',
    xml: `<a xmlns:p='${xmlnsNs}'/>`,
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'namespace of xml as default',
    xml: `<a xmlns='${xmlNs}'/>`,
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'namespace of xmlns as default inside',
    xml: `<a><b xmlns='${xmlnsNs}'/></a>`,
    condition: 'bad-namespace-prefix',
  },
  {
    name: 'namespace of xml as default, disguised',
    xml: `<a><b xmlns='${xmlNs.replace('X', '&#88;')}'/></a>`,
    condition: 'bad-namespace-prefix',
  },
  { name: 'prefix undeclared (NS §5)', xml: "<a xmlns:p=''/>", condition: 'bad-namespace-prefix' },
  {
    name: 'stray continuation byte',
    xml: Buffer.from('<a>\x80</a>', 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'Latin-1',
    xml: Buffer.from('<a>caf\xe9</a>', 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'Latin-1 in a value',
    xml: Buffer.from("<a b='\xe9'/>", 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'Latin-1 in a name',
    xml: Buffer.from('<caf\xe9/>', 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'overlong slash',
    xml: Buffer.from('<a>\xc0\xaf</a>', 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'overlong three bytes',
    xml: Buffer.from('<a>\xe0\x9f\xbf</a>', 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'overlong four bytes',
    xml: Buffer.from('<a>\xf0\x8f\xbf\xbf</a>', 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'surrogate in UTF-8',
    xml: Buffer.from('<a>\xed\xa0\x80</a>', 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'past Unicode in UTF-8',
    xml: Buffer.from('<a>\xf4\x90\x80\x80</a>', 'latin1'),
    condition: 'unsupported-encoding',
  },
  {
    name: 'sequence that breaks off',
    xml: Buffer.from('<a>\xe2\x82</a>', 'latin1'),
    condition: 'unsupported-encoding',
  },
]

for (const { name, xml, tree } of wellFormed) {
  test(`reads ${name}`, () => {
    const document = parseElement(xml, { defaultNs: 'd' })
    assert.ok(document.ok, JSON.stringify(document))
    assert.deepEqual(plain(document.value), tree)
    const bytes = Buffer.from(xml)
    for (const size of [bytes.length, 1, 2, 3, 7]) assert.deepEqual(stream(bytes, size), [tree])
  })
}

for (const { name, xml, condition } of malformed) {
  test(`refuses ${name}: ${condition}`, () => {
    const document = parseElement(xml)
    assert.equal(document.ok ? 'accepted' : document.error.condition, condition)
    const bytes = Buffer.from(xml)
    for (const size of [bytes.length, 1, 2, 3, 7]) assert.equal(stream(bytes, size), condition)
  })
}

const documents: readonly { name: string; xml: string; outcome: XmlCondition | 'ok' }[] = [
  { name: 'white space around it', xml: ' \r\n<a/>\t\n', outcome: 'ok' },
  {
    name: 'an XML declaration',
    xml: "<?xml version='1.0' encoding='utf-8'?>\n<a/>",
    outcome: 'ok',
  },
  {
    name: 'a declaration after white space',
    xml: " <?xml version='1.0'?><a/>",
    outcome: 'restricted-xml',
  },
  {
    name: 'two declarations',
    xml: "<?xml version='1.0'?><?xml version='1.0'?><a/>",
    outcome: 'restricted-xml',
  },
  { name: 'a DOCTYPE', xml: '<!DOCTYPE a><a/>', outcome: 'restricted-xml' },
  { name: 'a comment before', xml: '<!-- b --><a/>', outcome: 'restricted-xml' },
  { name: 'a comment after', xml: '<a/> <!-- b -->', outcome: 'restricted-xml' },
  { name: 'a processing instruction after', xml: '<a/><?b?>', outcome: 'restricted-xml' },
  { name: 'two elements', xml: '<a/><b/>', outcome: 'not-well-formed' },
  { name: 'text before', xml: 'a<a/>', outcome: 'not-well-formed' },
  { name: 'text after', xml: '<a/>a', outcome: 'not-well-formed' },
  { name: 'nothing', xml: '', outcome: 'not-well-formed' },
  { name: 'white space only', xml: ' \n', outcome: 'not-well-formed' },
  { name: 'an end tag', xml: '</a>', outcome: 'not-well-formed' },
  { name: 'a start tag only', xml: '<a>', outcome: 'not-well-formed' },
  { name: 'half a tag', xml: '<a b=', outcome: 'not-well-formed' },
  { name: 'a lone surrogate', xml: '<a>\ud800</a>', outcome: 'not-well-formed' },
]

for (const { name, xml, outcome } of documents) {
  test(`a document with ${name}: ${outcome}`, () => {
    const document = parseElement(xml)
    assert.equal(document.ok ? 'ok' : document.error.condition, outcome)
  })
}

test('takes prefixes and the default namespace from its surroundings', () => {
  const prefixes = new Map([['stream', 'urn:s']])
  const document = parseElement('<stream:error><b/></stream:error>', { defaultNs: 'd', prefixes })
  assert.ok(document.ok)
  assert.deepEqual(plain(document.value), ['{urn:s}error', {}, ['{d}b', {}]])
})

test('keeps to limits that it is given', () => {
  const limits = {
    maxStanzaBytes: 10,
    maxDepth: 9,
    maxElements: 9,
    maxAttributes: 9,
    maxNameBytes: 9,
    maxAttributeBytes: 9,
  }
  assert.ok(parseElement('<a>123</a>', { limits }).ok)
  const longer = parseElement('<a>1234</a>', { limits })
  assert.equal(longer.ok ? 'accepted' : longer.error.condition, 'policy-violation')
})
