import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from './limits.ts'
import { StreamParser } from './stream-parser.ts'
import type { StreamHead, StreamParserOptions } from './stream-parser.ts'
import { toXml } from './write.ts'

const head = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

interface Recording {
  readonly parser: StreamParser
  /** What happened, in order: `open`, stanzas as XML, `close`, or `error: …`. */
  readonly events: string[]
  readonly heads: StreamHead[]
  push(xml: string | Uint8Array): Uint8Array | undefined
}

function record(
  options: Omit<StreamParserOptions, 'handler'> = {},
  onStanza: (parser: StreamParser, xml: string) => void = () => undefined,
): Recording {
  const events: string[] = []
  const heads: StreamHead[] = []
  const parser: StreamParser = new StreamParser({
    ...options,
    handler: {
      streamOpen(head) {
        events.push('open')
        heads.push(head)
      },
      stanza(element) {
        const xml = toXml(element, 'jabber:client')
        events.push(xml)
        onStanza(parser, xml)
      },
      streamClose: () => void events.push('close'),
      error: (condition) => void events.push(`error: ${condition}`),
    },
  })
  return { parser, events, heads, push: (xml) => parser.push(Buffer.from(xml)) }
}

/** Pushes in pieces of each size in turn, and expects the same events every time. */
function expectEvents(
  xml: string | Buffer,
  expected: readonly string[],
  options: Omit<StreamParserOptions, 'handler'> = {},
): void {
  const bytes = Buffer.from(xml)
  for (const size of [bytes.length, 1, 2, 3, 5, 64]) {
    const { parser, events } = record(options)
    for (let at = 0; at < bytes.length; at += size) {
      const chunk = Buffer.from(bytes.subarray(at, at + size))
      assert.equal(parser.push(chunk), undefined)
      // Nobody may keep views of a buffer that the next read overwrites.
      chunk.fill(0xff)
    }
    assert.deepEqual(events, expected, `in pieces of ${size}`)
  }
}

test('reads a stream from its declaration to its end (RFC 6120 §4)', () => {
  expectEvents(
    `<?xml version='1.0'?>${head}<iq id='1'/> \n\t\r<message><body>é</body></message></stream:stream >\n`,
    ['open', "<iq id='1'/>", '<message><body>é</body></message>', 'close'],
  )
})

test('tells what the stream head says', () => {
  const { heads, push } = record()
  push(
    `<?xml version="1.0" encoding="UTF-8" standalone='yes' ?>\n<stream:stream to='montague.example' version='1.0' ` +
      `xml:lang='it' xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'\n>`,
  )
  assert.equal(heads.length, 1)
  const [only] = heads
  assert.equal(only?.name, 'stream')
  assert.equal(only?.ns, 'http://etherx.jabber.org/streams')
  assert.equal(only?.contentNs, 'jabber:server')
  assert.deepEqual({ ...only?.attrs }, { to: 'montague.example', version: '1.0', 'xml:lang': 'it' })
  assert.deepEqual(
    [...(only?.prefixes ?? [])],
    [
      ['db', 'jabber:server:dialback'],
      ['stream', 'http://etherx.jabber.org/streams'],
    ],
  )
})

test('stanzas inherit namespaces, prefixes and language of the stream head', () => {
  const handler = {
    streamOpen: () => undefined,
    streamClose: () => assert.fail('closed'),
    error: (condition: string) => assert.fail(condition),
  }
  let seen = 0
  const parser = new StreamParser({
    handler: {
      ...handler,
      stanza(element) {
        seen++
        assert.equal(element.lang, seen === 1 ? 'it' : 'en')
        assert.equal(element.child('body')?.lang, seen === 1 ? 'it' : 'en')
        assert.ok(element.is('message', 'jabber:client'))
        assert.ok(element.child('x', 'urn:x')?.is('x', 'urn:x'))
      },
    },
  })
  parser.push(Buffer.from("<s xmlns='jabber:client' xmlns:p='urn:x' xml:lang='it'>"))
  parser.push(Buffer.from('<message><body/><p:x/></message>'))
  parser.push(Buffer.from("<message xml:lang='en'><body/><p:x/></message>"))
  assert.equal(seen, 2)
})

test('hands stanzas over in one namespace, whatever the stream', () => {
  const seen: string[] = []
  const parser = new StreamParser({
    contentNs: 'jabber:client',
    handler: {
      streamOpen: () => undefined,
      streamClose: () => undefined,
      error: (condition) => assert.fail(condition),
      stanza: (element) => void seen.push(`${element.ns} ${toXml(element, 'jabber:client')}`),
    },
  })
  parser.push(Buffer.from(head.replace('jabber:client', 'jabber:server')))
  parser.push(Buffer.from("<message><body>1</body><x xmlns='urn:x'/></message>"))
  parser.push(
    Buffer.from("<message xmlns='jabber:server'><body xmlns='jabber:server'>2</body></message>"),
  )
  parser.push(Buffer.from("<stream:error><a xmlns='urn:a'/></stream:error>"))
  // Not the stream's own namespace: whoever handles the stream shall see it (RFC 6120 §4.9.3.10).
  parser.push(Buffer.from("<message xmlns='jabber:component:accept'/>"))
  assert.deepEqual(seen, [
    "jabber:client <message><body>1</body><x xmlns='urn:x'/></message>",
    'jabber:client <message><body>2</body></message>',
    "http://etherx.jabber.org/streams <stream:error><a xmlns='urn:a'/></stream:error>",
    'jabber:component:accept <message/>',
  ])
})

test('does not rename namespaces that are none of stanzas', () => {
  const elements: string[] = []
  const parser = new StreamParser({
    contentNs: 'jabber:client',
    handler: {
      streamOpen: () => undefined,
      streamClose: () => undefined,
      error: (condition) => assert.fail(condition),
      stanza: (element) => void elements.push(element.ns),
    },
  })
  parser.push(Buffer.from("<s xmlns='urn:x'><message/>"))
  assert.deepEqual(elements, ['urn:x'])
})

const failures: readonly { name: string; xml: string | Buffer; events: readonly string[] }[] = [
  { name: 'text before the stream', xml: `x${head}`, events: ['error: not-well-formed'] },
  {
    name: 'a byte order mark (RFC 6120 §11.6)',
    xml: `\ufeff${head}`,
    events: ['error: not-well-formed'],
  },
  {
    name: 'UTF-16',
    xml: Buffer.from(`\ufeff${head}`, 'utf16le'),
    events: ['error: unsupported-encoding'],
  },
  { name: 'TLS', xml: Buffer.from([0x16, 0x03, 0x01]), events: ['error: not-well-formed'] },
  { name: 'an end tag before the stream', xml: '</stream>', events: ['error: not-well-formed'] },
  { name: 'a DOCTYPE', xml: `<!DOCTYPE a []>${head}`, events: ['error: restricted-xml'] },
  { name: 'a comment before the stream', xml: `<!---->${head}`, events: ['error: restricted-xml'] },
  { name: 'a processing instruction', xml: `<?php?>${head}`, events: ['error: restricted-xml'] },
  {
    name: 'a stylesheet',
    xml: `<?xml-stylesheet href='x'?>${head}`,
    events: ['error: restricted-xml'],
  },
  {
    name: 'a declaration with a space that XML does not know',
    xml: `<?xml version='1.0'\x0bencoding='UTF-8'?>${head}`,
    events: ['error: not-well-formed'],
  },
  {
    name: 'a declaration without version',
    xml: `<?xml encoding='UTF-8'?>${head}`,
    events: ['error: not-well-formed'],
  },
  {
    name: 'another encoding (RFC 6120 §11.6)',
    xml: `<?xml version='1.0' encoding='ISO-8859-1'?>${head}`,
    events: ['error: unsupported-encoding'],
  },
  {
    name: 'a second declaration',
    xml: `${head}<?xml version='1.0'?>`,
    events: ['open', 'error: restricted-xml'],
  },
  {
    name: 'text between stanzas',
    xml: `${head}<a/> b`,
    events: ['open', '<a/>', 'error: bad-format'],
  },
  {
    name: 'a reference between stanzas',
    xml: `${head}&#32;`,
    events: ['open', 'error: bad-format'],
  },
  {
    name: 'CDATA between stanzas',
    xml: `${head}<![CDATA[ ]]>`,
    events: ['open', 'error: bad-format'],
  },
  {
    name: 'a comment between stanzas',
    xml: `${head}<!-- -->`,
    events: ['open', 'error: restricted-xml'],
  },
  {
    name: 'Latin-1 between stanzas',
    xml: Buffer.from(`${head}\xfc`, 'latin1'),
    events: ['open', 'error: unsupported-encoding'],
  },
  {
    name: 'the end of another stream',
    xml: `${head}</stream>`,
    events: ['open', 'error: not-well-formed'],
  },
  {
    name: 'an end tag with a stanza inside',
    xml: `${head}</stream:stream<a/>`,
    events: ['open', 'error: not-well-formed'],
  },
  {
    name: 'a stanza after an error',
    xml: `${head}<a></b><c/>`,
    events: ['open', 'error: not-well-formed'],
  },
  {
    name: 'anything after the end',
    xml: `${head}</stream:stream><a/>x`,
    events: ['open', 'close'],
  },
  {
    name: 'a stream that is empty at once',
    xml: "<s xmlns='jabber:client'/><a/>",
    events: ['open', 'close'],
  },
  {
    name: 'a stream head with an unbound prefix',
    xml: '<stream:stream>',
    events: ['error: bad-namespace-prefix'],
  },
]

for (const { name, xml, events } of failures) {
  test(`${name}: ${events.at(-1) ?? ''}`, () => expectEvents(xml, events))
}

const limits = {
  maxStanzaBytes: 100,
  maxDepth: 3,
  maxElements: 4,
  maxAttributes: 3,
  maxNameBytes: 10,
  maxAttributeBytes: 20,
}
const opened = "<s xmlns='jabber:client'>"
const full = `<a>${'x'.repeat(93)}</a>`
const limited: readonly { name: string; xml: string; accepted: boolean }[] = [
  { name: 'maxStanzaBytes', xml: full, accepted: true },
  { name: 'maxStanzaBytes', xml: full.replace('x', 'xx'), accepted: false },
  { name: 'maxStanzaBytes of each stanza', xml: full + full + full, accepted: true },
  { name: 'maxStanzaBytes, even if it never ends', xml: `<a>${'x'.repeat(500)}`, accepted: false },
  {
    name: 'maxStanzaBytes, in an end tag of the stream',
    xml: `</s${' '.repeat(500)}>`,
    accepted: false,
  },
  { name: 'maxDepth', xml: '<a><b><c/><c></c></b></a>', accepted: true },
  { name: 'maxDepth', xml: '<a><b><c><d/></c></b></a>', accepted: false },
  { name: 'maxElements', xml: '<a><b/><b/><b/></a><a><b/><b/><b/></a>', accepted: true },
  { name: 'maxElements', xml: '<a><b/><b/><b/><b/></a>', accepted: false },
  { name: 'maxAttributes', xml: "<a b='' c='' d=''><e b='' c='' d=''/></a>", accepted: true },
  { name: 'maxAttributes', xml: "<a b='' c='' d='' e=''/>", accepted: false },
  { name: 'maxNameBytes', xml: "<a234567890 b234567890=''/>", accepted: true },
  { name: 'maxNameBytes, of an element', xml: '<a2345678901/>', accepted: false },
  { name: 'maxNameBytes, of an attribute', xml: "<a b2345678901=''/>", accepted: false },
  { name: 'maxAttributeBytes', xml: `<a b='${'x'.repeat(20)}'/>`, accepted: true },
  { name: 'maxAttributeBytes', xml: `<a b='${'x'.repeat(21)}'/>`, accepted: false },
]

for (const { name, xml, accepted } of limited) {
  test(`${accepted ? 'allows all of' : 'refuses more than'} ${name}`, () => {
    const bytes = Buffer.from(opened + xml)
    for (const size of [bytes.length, 1, 7]) {
      const { parser, events } = record({ limits })
      for (let at = 0; at < bytes.length; at += size) {
        parser.push(bytes.subarray(at, at + size))
        assert.ok(parser.pendingBytes <= limits.maxStanzaBytes)
      }
      assert.equal(events.at(-1) === 'error: policy-violation', !accepted, events.join())
    }
  })
}

test('limits may change between stanzas', () => {
  const { parser, events, push } = record({ limits })
  push(opened)
  push(full)
  parser.limits = { ...defaultLimits, maxStanzaBytes: 1000 }
  push(`<a>${'x'.repeat(900)}</a>`)
  assert.equal(events.length, 3)
  assert.ok(events.every((event) => !event.startsWith('error')))
})

test('holds nothing between stanzas', () => {
  const { parser, push } = record()
  push(`${opened}<a>`)
  assert.equal(parser.pendingBytes, 3)
  push('</a> ')
  assert.equal(parser.pendingBytes, 0)
})

test('gives back what follows a stanza after which the handler pauses (RFC 6120 §5.4.2.3)', () => {
  const bytes = Buffer.from(`${opened}<starttls/>\x16\x03\x01TLS`)
  for (let cut = 1; cut <= bytes.length; cut++) {
    const { parser, events } = record({}, (parser) => parser.pause())
    const rest = [bytes.subarray(0, cut), bytes.subarray(cut)].map(
      (piece) => parser.push(piece) ?? Buffer.alloc(0),
    )
    assert.equal(Buffer.concat(rest).toString('latin1'), '\x16\x03\x01TLS')
    assert.deepEqual(events, ['open', '<starttls/>'])
  }
})

test('reads on after a pause', () => {
  const { parser, events, push } = record({}, (parser, xml) => {
    if (xml === '<a/>') parser.pause()
  })
  const rest = push(`${opened}<a/><b/>`)
  assert.equal(Buffer.from(rest ?? []).toString(), '<b/>')
  assert.deepEqual(events, ['open', '<a/>'])
  parser.resume()
  assert.equal(parser.push(rest ?? Buffer.alloc(0)), undefined)
  assert.deepEqual(events, ['open', '<a/>', '<b/>'])
})

test('starts anew after a reset, in the middle of the bytes too (RFC 6120 §4.3.3)', () => {
  const xml = `${head}<auth/>\n<?xml version='1.0'?><s xmlns='jabber:client'><iq/></s>`
  const bytes = Buffer.from(xml)
  for (const size of [bytes.length, 1, 5]) {
    const { parser, events } = record({}, (parser, xml) => {
      if (xml === '<auth/>') parser.reset()
    })
    for (let at = 0; at < bytes.length; at += size) parser.push(bytes.subarray(at, at + size))
    assert.deepEqual(events, ['open', '<auth/>', 'open', '<iq/>', 'close'])
  }
})

test('a reset drops half a stanza and the prefixes of the old stream', () => {
  const { parser, events, push } = record()
  push(`${head}<a>`)
  parser.reset()
  assert.equal(parser.pendingBytes, 0)
  push(`${opened}<b/><stream:c/>`)
  assert.deepEqual(events, ['open', 'open', '<b/>', 'error: bad-namespace-prefix'])
})

test('parsers in the middle of stanzas do not disturb one another', () => {
  const recordings = Array.from({ length: 40 }, () => record())
  const xml = (index: number): string =>
    `${opened}<message id='${index}'><body>${'abc'.repeat(index * 20)}</body></message>`
  const pieces = recordings.map((_, index) => Buffer.from(xml(index)))
  for (let at = 0; at < 3000; at += 7) {
    for (const [index, { parser }] of recordings.entries()) {
      parser.push(pieces[index]?.subarray(at, at + 7) ?? Buffer.alloc(0))
    }
  }
  for (const [index, { events }] of recordings.entries()) {
    assert.deepEqual(events, ['open', xml(index).slice(opened.length)])
  }
})

test('a handler that throws leaves the parser fit for a reset', () => {
  const { parser, events, push } = record({}, (_, xml) => {
    if (xml === '<a/>') throw new Error('handler')
  })
  assert.throws(() => push(`${opened}<a/>`), /handler/)
  parser.reset()
  push(`${opened}<b/>`)
  assert.deepEqual(events, ['open', '<a/>', 'open', '<b/>'])
})
