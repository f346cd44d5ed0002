// What reading and writing stanzas costs, beside other parsers: `node bench/micro/xml.ts`.
// Figures are the best of several rounds, as anything else on the machine only adds to them.

import { SaxesParser } from 'saxes'
import type { Element } from '../../src/xmpp/xml/element.ts'
import { StanzaTemplate, writeElement } from '../../src/xmpp/xml/write.ts'
import { StreamParser } from '../../src/xmpp/xml/stream-parser.ts'

const stanzas = 20_000
const chunkBytes = 4096
const rounds = 9

const streamHead =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"

/** Numbers that look random and are the same in each run. */
function* randomNumbers(): Generator<number, never> {
  let state = 0x2545f491
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    yield state
  }
}

const random = randomNumbers()
const pick = <T>(from: readonly [T, ...T[]]): T =>
  from[random.next().value % from.length] ?? from[0]
const id = (): string => random.next().value.toString(36).padStart(8, 'x') + random.next().value

const people = ['romeo', 'juliet', 'mercutio', 'benvolio', 'nurse', 'tybalt'] as const
const jid = (): string => `${pick(people)}@example.org/${pick(['phone', 'Gajim.4XK2', 'dino'])}`
const bodies = [
  'Wherefore art thou, Romeo?',
  'Neither, fair saint, if either thee dislike.',
  'I will be there at nine o&apos;clock &amp; bring the letters; wait for me at the garden wall.',
  'Что в имени? Роза пахнет розой',
  'I have night’s cloak to hide me from their eyes; and but thou love me, let them find me here: my life were better ended by their hate, than death prorogued, wanting of thy love.',
  'See you tomorrow 👍',
  'It was the lark, the herald of the morn, no nightingale: look, love, what envious streaks do lace the severing clouds',
] as const

function chat(): string {
  const message = id()
  return (
    `<message type="chat" to="${jid()}" from="${jid()}" id="${message}"><body>${pick(bodies)}</body>` +
    `<active xmlns="http://jabber.org/protocol/chatstates"/><request xmlns="urn:xmpp:receipts"/>` +
    `<markable xmlns="urn:xmpp:chat-markers:0"/><origin-id xmlns="urn:xmpp:sid:0" id="${message}"/></message>`
  )
}

function presence(): string {
  return (
    `<presence to="${jid()}" from="${jid()}"><show>away</show><status>${pick(bodies)}</status><priority>5</priority>` +
    `<c xmlns="http://jabber.org/protocol/caps" hash="sha-1" node="https://gajim.org" ver="${id()}="/></presence>`
  )
}

function disco(): string {
  const features = [
    'jabber:iq:version',
    'urn:xmpp:ping',
    'urn:xmpp:mam:2',
    'urn:xmpp:carbons:2',
    'jabber:iq:last',
    'urn:xmpp:time',
    'http://jabber.org/protocol/muc',
    'http://jabber.org/protocol/caps',
  ]
  return (
    `<iq type="result" to="${jid()}" from="${jid()}" id="${id()}"><query xmlns="http://jabber.org/protocol/disco#info">` +
    '<identity category="client" type="phone" name="Conversations"/>' +
    features.map((feature) => `<feature var="${feature}"/>`).join('') +
    '</query></iq>'
  )
}

function mam(): string {
  return (
    `<message to="${jid()}" from="romeo@example.org"><result xmlns="urn:xmpp:mam:2" queryid="${id()}" id="${id()}">` +
    '<forwarded xmlns="urn:xmpp:forward:0"><delay xmlns="urn:xmpp:delay" stamp="2026-07-10T23:08:25Z"/>' +
    `<message xmlns="jabber:client" to="${jid()}" from="${jid()}" type="chat" id="${id()}"><body>${pick(bodies)}</body>` +
    '</message></forwarded></result></message>'
  )
}

function groupchat(): string {
  return (
    `<message type="groupchat" from="verona@conference.example.org/${pick(people)}" to="${jid()}" id="${id()}">` +
    `<body>${pick(bodies)}</body><stanza-id xmlns="urn:xmpp:sid:0" by="verona@conference.example.org" id="${id()}"/>` +
    '<occupant-id xmlns="urn:xmpp:occupant-id:0" id="dd72603deec90a38ba552f7c68cbcc61bca202cd"/></message>'
  )
}

const kinds = [chat, chat, chat, chat, chat, presence, disco, mam, groupchat, groupchat] as const
const corpus = Array.from({ length: stanzas }, (_, index) =>
  index % 25 === 24 ? `<a xmlns='urn:xmpp:sm:3' h='${index}'/>` : pick(kinds)(),
)
const wire = Buffer.from(streamHead + corpus.join(''))
const chunks: Buffer[] = []
for (let at = 0; at < wire.length; at += chunkBytes) chunks.push(wire.subarray(at, at + chunkBytes))
const text = wire.toString()

function measure(what: string, round: () => number): void {
  let best = Infinity
  for (let index = 0; index < rounds; index++) {
    const began = process.hrtime.bigint()
    const seen = round()
    const microseconds = Number(process.hrtime.bigint() - began) / 1000
    if (seen !== stanzas) throw new Error(`${what}: ${seen} stanzas instead of ${stanzas}`)
    best = Math.min(best, microseconds)
  }
  const megabytes = wire.length / best
  console.log(
    `${what.padEnd(44)}${(best / stanzas).toFixed(2).padStart(7)} µs/stanza${megabytes.toFixed(0).padStart(6)} MB/s`,
  )
}

function parse(each: (element: Element) => void): number {
  let seen = 0
  const parser = new StreamParser({
    handler: {
      streamOpen: () => undefined,
      streamClose: () => undefined,
      error: (condition, detail) => {
        throw new Error(`${condition}: ${detail}`)
      },
      stanza: (element) => {
        seen++
        each(element)
      },
    },
  })
  for (const chunk of chunks) parser.push(chunk)
  return seen
}

function size(element: Element): number {
  let nodes = 1
  for (const child of element.children) nodes += typeof child === 'string' ? 1 : size(child)
  return nodes
}

function saxes(): number {
  let depth = 0
  let seen = 0
  const parser = new SaxesParser({ xmlns: true })
  parser.on('opentag', () => depth++)
  parser.on('closetag', () => {
    if (--depth === 1) seen++
  })
  parser.on('text', () => undefined)
  parser.on('attribute', () => undefined)
  const length = chunkBytes
  for (let at = 0; at < text.length; at += length) parser.write(text.slice(at, at + length))
  return seen
}

console.log(
  `${stanzas} stanzas, ${(wire.length / stanzas).toFixed(0)} bytes on average, chunks of ${chunkBytes} bytes`,
)
console.log(`Node ${process.versions.node}`)
measure('StreamParser: checked, head read', () => parse(() => undefined))
measure('StreamParser: whole tree', () => parse((element) => void size(element)))

const elements: Element[] = []
parse((element) => void elements.push(element))
let bytes = 0
measure('write: new `from`, sliced body', () => {
  for (const element of elements) {
    bytes += writeElement(
      element.withAttrs({ from: 'romeo@example.org/phone' }),
      'jabber:client',
    ).length
  }
  return elements.length
})
measure('write: to jabber:server', () => {
  for (const element of elements) bytes += writeElement(element, 'jabber:server').length
  return elements.length
})
measure('write: new body from the tree', () => {
  for (const element of elements) {
    bytes += writeElement(
      element.without((child) => child.name === 'active'),
      'jabber:client',
    ).length
  }
  return elements.length
})
const [first] = elements
if (first === undefined) throw new Error('No stanza')
const template = new StanzaTemplate(first, 'jabber:client')
measure('write: one copy of a StanzaTemplate', () => {
  for (let copy = 0; copy < stanzas; copy++) bytes += template.for('romeo@example.org/phone').length
  return stanzas
})
if (bytes === 0) throw new Error('Nothing was written')

measure('saxes: events', saxes)

// ltx is no dependency of ours, but @xmpp/client may have brought it along.
interface Ltx {
  readonly Parser: new () => LtxParser
}
interface LtxParser {
  on(event: 'tree', listener: (tree: { readonly children: readonly unknown[] }) => void): void
  write(text: string): void
  end(text: string): void
}

async function importLtx(): Promise<Ltx | undefined> {
  try {
    // In a variable, so that the types need not be installed either.
    const name = 'ltx'
    return (await import(name)) as Ltx
  } catch {
    return undefined
  }
}

const ltx = await importLtx()
if (ltx === undefined) console.log('ltx: not installed')
else {
  measure('ltx: tree', () => {
    let seen = 0
    const parser = new ltx.Parser()
    parser.on('tree', (tree) => (seen = tree.children.length))
    for (let at = 0; at < text.length; at += chunkBytes)
      parser.write(text.slice(at, at + chunkBytes))
    parser.end('</stream:stream>')
    return seen
  })
}
