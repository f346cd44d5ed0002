import assert from 'node:assert/strict'
import { test } from 'node:test'
import { streamFeatures, elementReceived } from '../../src/xmpp/hooks.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import { XmppServer } from '../support/xmpp-server.ts'

const sasl = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`

const failures = [
  {
    name: 'an unknown mechanism',
    text: `<auth ${sasl} mechanism='X-NONE'/>`,
    error: 'invalid-mechanism',
  },
  {
    name: 'PLAIN without TLS',
    text: `<auth ${sasl} mechanism='PLAIN'>AGEAYg==</auth>`,
    error: 'invalid-mechanism',
  },
  { name: 'no mechanism', text: `<auth ${sasl}/>`, error: 'malformed-request' },
  {
    name: 'what is no base64',
    text: `<auth ${sasl} mechanism='SCRAM-SHA-1'>a-b</auth>`,
    error: 'incorrect-encoding',
  },
  {
    name: 'a response out of turn',
    text: `<response ${sasl}>AA==</response>`,
    error: 'malformed-request',
  },
  { name: 'an abort', text: `<abort ${sasl}/>`, error: 'aborted' },
  {
    name: 'an empty message of SCRAM',
    text: `<auth ${sasl} mechanism='SCRAM-SHA-1'>=</auth>`,
    error: 'malformed-request',
  },
]

for (const { name, text, error } of failures) {
  test(`answers ${name} with ${error}, and lets the client try again (RFC 6120 §6.5)`, async () => {
    await using server = await XmppServer.start()
    await using client = await server.connect()
    await client.opens()
    client.send(text)
    const failure = await client.next('failure')
    assert.equal(failure.elements()[0]?.name, error)
    await client.authenticates('juliet')
  })
}

test('a wrong password is not-authorized', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  await assert.rejects(client.authenticates('juliet', 'wrong'), /not-authorized/)
  await client.authenticates('juliet')
})

test('a second <auth/> ends the attempt before it (RFC 6120 §6.4.2)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  const begin = `<auth ${sasl} mechanism='SCRAM-SHA-1'>biwsbj1qdWxpZXQscj1hYmM=</auth>`
  client.send(begin)
  await client.next('challenge')
  client.send(begin)
  await client.receives(`<failure ${sasl}><malformed-request/></failure>`)
  client.send(`<response ${sasl}>AA==</response>`)
  await client.receives(`<failure ${sasl}><malformed-request/></failure>`)
})

test('an attempt can be given up (RFC 6120 §6.4.4)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  client.send(`<auth ${sasl} mechanism='SCRAM-SHA-1'>biwsbj1qdWxpZXQscj1hYmM=</auth>`)
  await client.next('challenge')
  client.send(`<abort ${sasl}/>`)
  await client.receives(`<failure ${sasl}><aborted/></failure>`)
  await client.authenticates('juliet')
})

test('ends the stream after five failures (RFC 6120 §6.4.5)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  for (let attempt = 1; attempt <= 5; attempt++) {
    client.send(`<auth ${sasl} mechanism='X-NONE'/>`)
    await client.receives(`<failure ${sasl}><invalid-mechanism/></failure>`)
  }
  await client.isClosed('policy-violation')
})

test('nobody signs in twice on one stream', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  await client.authenticates('juliet')
  client.send(`<auth ${sasl} mechanism='SCRAM-SHA-1'>biwsbj1yb21lbyxyPWFiYw==</auth>`)
  await client.isClosed('unsupported-stanza-type')
  await using bound = await server.login('juliet')
  bound.send(`<auth ${sasl} mechanism='SCRAM-SHA-1'>biwsbj1yb21lbyxyPWFiYw==</auth>`)
  await bound.isClosed('unsupported-stanza-type')
})

test('nobody goes to another host once signed in', async () => {
  await using server = await XmppServer.start({ hosts: ['localhost', 'example.org'] })
  await using client = await server.connect()
  await client.opens()
  await client.signsIn('juliet')
  client.open({ to: 'example.org' })
  await client.head()
  await client.isClosed('host-unknown')
})

test('turns a banned address away before it can try (mod_fail2ban)', async () => {
  await using server = await XmppServer.start()
  server.accounts.denial = 'Too many failed attempts from this address'
  await using client = await server.connect()
  client.open()
  await client.head()
  await client.receives(
    `<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Too many failed attempts from this address</text></stream:error>`,
  )
  await client.isClosed()
})

test('ends the stream of an address that a failure got banned', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  server.accounts.denial = 'Too many'
  client.send(`<auth ${sasl} mechanism='X-NONE'/>`)
  await client.receives(`<failure ${sasl}><invalid-mechanism/></failure>`)
  await client.isClosed('policy-violation')
})

test('takes what a client sends together, in order (RFC 6120 §6.4.6)', async () => {
  await using server = await XmppServer.start({ listener: { tls: false } })
  await using client = await server.connect()
  client.open()
  client.send(
    `<auth ${sasl} mechanism='X-NONE'/><auth ${sasl} mechanism='SCRAM-SHA-1'>biwsbj1qdWxpZXQscj1hYmM=</auth>`,
  )
  await client.head()
  await client.next('features')
  await client.receives(`<failure ${sasl}><invalid-mechanism/></failure>`)
  await client.next('challenge')
})

for (const [name, text] of [
  ['a message', `<message to='romeo@localhost'><body>hi</body></message>`],
  ['presence', '<presence/>'],
  ['a request', `<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>`],
]) {
  test(`ends the stream of who sends ${name} without signing in, with not-authorized (RFC 6120 §4.9.3.12)`, async () => {
    await using server = await XmppServer.start()
    await using client = await server.connect()
    await client.opens()
    client.send(text ?? '')
    await client.isClosed('not-authorized')
  })

  test(`ends the stream of who sends ${name} before binding, with not-authorized (RFC 6120 §7.1)`, async () => {
    await using server = await XmppServer.start()
    await using client = await server.connect()
    await client.opens()
    await client.authenticates('juliet')
    client.send(text ?? '')
    await client.isClosed('not-authorized')
  })
}

test('modules add features and take elements before and after signing in', async () => {
  await using server = await XmppServer.start()
  const hooks = server.hooks()
  hooks.on(
    streamFeatures,
    (features, stream) => [...features, xml(`x-${stream.phase}`, 'urn:example:x')],
    'test',
  )
  hooks.on(
    elementReceived,
    (stream, element) => {
      if (element.ns !== 'urn:example:x') return undefined
      stream.sendElement(xml(`seen-${stream.phase}`, 'urn:example:x', { account: stream.account }))
      return element.name === 'late' ? Promise.resolve('handled' as const) : 'handled'
    },
    'test',
  )
  await using client = await server.connect()
  assert.ok((await client.opens()).child('x-anonymous', 'urn:example:x'))
  client.send(`<late xmlns='urn:example:x'/>`)
  await client.receives(`<seen-anonymous xmlns='urn:example:x'/>`)
  const features = await client.authenticates('juliet')
  assert.ok(features.child('x-authenticated', 'urn:example:x'))
  client.send(`<now xmlns='urn:example:x'/>`)
  await client.receives(`<seen-authenticated xmlns='urn:example:x' account='juliet@localhost'/>`)
  await client.binds()
  client.send(`<now xmlns='urn:example:x'/>`)
  await client.receives(`<seen-bound xmlns='urn:example:x' account='juliet@localhost'/>`)
})
