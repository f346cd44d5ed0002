import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bystander, Intruder, MiB, Target } from './hostile-target.ts'

const streamHead = `<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

/** So much is sent, unless the server ends the connection before. */
const plenty = 128 * MiB

function* repeat(text: string): Generator<string> {
  const piece = text.repeat(Math.ceil(65_536 / text.length))
  for (let sent = 0; sent < plenty; sent += piece.length) yield piece
}

/** Text that counts up, so that no two names are the same. */
function* count(text: (number: number) => string): Generator<string> {
  for (let sent = 0, number = 0; sent < plenty;) {
    let piece = ''
    while (piece.length < 65_536) piece += text(number++)
    sent += piece.length
    yield piece
  }
}

interface Attack {
  readonly name: string
  readonly port: 'xmpp' | 'mqtt' | 'http'
  readonly first: string | Uint8Array
  readonly rest: () => Iterable<string | Uint8Array>
  /** What the server says before it ends the connection. */
  readonly answer?: RegExp
}

/** Remaining Length 268 435 455, the most there can be (MQTT5 1.5.5). */
const huge = [0xff, 0xff, 0xff, 0x7f]
const nothing = (): Iterable<string> => []

const attacks: readonly Attack[] = [
  {
    name: 'entities that multiply',
    port: 'xmpp',
    first: `<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]>`,
    rest: () => repeat('&b;'),
    answer: /<restricted-xml/,
  },
  {
    name: 'a stream head without end',
    port: 'xmpp',
    first: streamHead.slice(0, -1),
    rest: () => count((number) => ` a${number}='x'`),
    answer: /<policy-violation/,
  },
  {
    name: 'an attribute without end',
    port: 'xmpp',
    first: `${streamHead}<auth a='`,
    rest: () => repeat('x'),
    answer: /<policy-violation/,
  },
  {
    name: 'elements in elements in elements',
    port: 'xmpp',
    first: streamHead,
    rest: () => repeat('<a>'),
    answer: /<policy-violation/,
  },
  {
    name: 'a name without end',
    port: 'xmpp',
    first: `${streamHead}<`,
    rest: () => repeat('a'),
    answer: /<policy-violation/,
  },
  {
    name: 'a text without end',
    port: 'xmpp',
    first: `${streamHead}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>`,
    rest: () => repeat('QUFB'),
    answer: /<policy-violation/,
  },
  {
    name: 'a comment without end',
    port: 'xmpp',
    first: `${streamHead}<!--`,
    rest: () => repeat('no '),
    answer: /<restricted-xml/,
  },
  {
    name: 'stanzas without signing in',
    port: 'xmpp',
    first: streamHead,
    rest: () => repeat(`<message to='a@localhost'><body>x</body></message>`),
    answer: /<not-authorized/,
  },
  {
    name: 'a CONNECT that says it is huge',
    port: 'mqtt',
    first: new Uint8Array([0x10, ...huge]),
    rest: () => repeat('\0'),
  },
  { name: 'a length without end', port: 'mqtt', first: '\x10', rest: () => repeat('\xff') },
  { name: 'a PUBLISH first', port: 'mqtt', first: new Uint8Array([0x30, ...huge]), rest: nothing },
  {
    name: 'headers without end',
    port: 'http',
    first: 'GET / HTTP/1.1\r\n',
    rest: () => count((number) => `X-${number}: x\r\n`),
    answer: /^HTTP\/1\.1 4\d\d /,
  },
  {
    name: 'one header without end',
    port: 'http',
    first: 'GET / HTTP/1.1\r\nX: ',
    rest: () => repeat('x'),
    answer: /^HTTP\/1\.1 4\d\d /,
  },
  {
    name: 'a target without end',
    port: 'http',
    first: 'GET /',
    rest: () => repeat('x'),
    answer: /^HTTP\/1\.1 4\d\d /,
  },
]

test('input without end', async (t) => {
  await using target = await Target.start()
  const bystander = await Bystander.start(target)
  for (const { name, port, first, rest, answer } of attacks) {
    await t.test(name, async () => {
      const intruder = new Intruder(target.port(port), first)
      const growth = await target.growthDuring(async () => {
        await intruder.pour(rest())
        await intruder.closed
      })
      // The HTTP port does not wait for the rest of what it refuses: the reset may overtake the answer.
      if (answer !== undefined && !(port === 'http' && intruder.received === '')) {
        assert.match(intruder.received, answer)
      }
      assert.ok(intruder.socket.bytesWritten < plenty, 'It was allowed to go on')
      assert.ok(growth < 32 * MiB, `${growth}`)
    })
  }
  await t.test('a PUBLISH of a client that says it is huge', async () => {
    const client = await target.mqtt('a', 'huge')
    const growth = await target.growthDuring(async () => {
      client.sendBytes(new Uint8Array([0x30, ...huge, 0, 1, 0x61]))
      await client.closed
    })
    // MQTT5 3.2.2-15: Packet too large.
    assert.equal(client.disconnectReason, 0x95)
    assert.ok(growth < 32 * MiB, `${growth}`)
  })
  await t.test('PUBLISH packets that are only begun', async () => {
    const growth = await target.growthDuring(async () => {
      const clients = await Promise.all(
        Array.from({ length: 100 }, (_, index) => target.mqtt('a', `begun-${index}`)),
      )
      // A million bytes announced by each, and one sent.
      for (const client of clients) client.sendBytes(new Uint8Array([0x30, 0xc0, 0x84, 0x3d, 0]))
      await bystander.goesOn(50)
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()))
    })
    assert.ok(growth < 32 * MiB, `${growth}`)
  })
  await t.test('a stanza without end from somebody who has signed in', async () => {
    const client = await target.xmpp('a')
    const growth = await target.growthDuring(async () => {
      client.sendText(`<message to='b@localhost'><body>`)
      for (const piece of repeat('<a/>')) {
        if (client.isClosed) break
        client.sendText(piece)
        await bystander.goesOn(1)
      }
    })
    assert.equal((await client.next())?.elements()[0]?.name, 'policy-violation')
    assert.ok(growth < 32 * MiB, `${growth}`)
  })
  t.diagnostic(await bystander.stop())
})
