import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jid } from '../../src/xmpp/jid/jid.ts'
import { XmppServer } from '../support/xmpp-server.ts'

const sasl = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`

test('answers the head of a stream with its own and with features (RFC 6120 §4.3)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  client.open({ from: 'juliet@localhost', 'xml:lang': 'de' })
  const { attrs } = await client.head()
  assert.equal(attrs['from'], 'localhost')
  assert.equal(attrs['to'], 'juliet@localhost')
  assert.equal(attrs['version'], '1.0')
  assert.equal(attrs['xml:lang'], 'de')
  assert.match(attrs['id'] ?? '', /^.{10,}$/)
  await client.receives(
    `<stream:features><mechanisms ${sasl}><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>`,
  )
})

// shows: option language
test('speaks the configured language where the client names none', async () => {
  await using server = await XmppServer.start({ config: { language: 'fr' } })
  await using client = await server.connect()
  client.open()
  assert.equal((await client.head()).attrs['xml:lang'], 'fr')
})

test('offers binding, and the session of old clients as optional, after signing in', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  const features = await client.authenticates('juliet')
  assert.deepEqual(
    features.elements().map(({ name, ns }) => `${name} ${ns}`),
    ['bind urn:ietf:params:xml:ns:xmpp-bind', 'session urn:ietf:params:xml:ns:xmpp-session'],
  )
  assert.ok(features.elements()[1]?.child('optional'))
})

const badHeads = [
  {
    name: 'another content namespace',
    head: { xmlns: 'jabber:server' },
    error: 'invalid-namespace',
  },
  { name: 'no content namespace', head: { xmlns: undefined }, error: 'invalid-namespace' },
  { name: 'a later major version', head: { version: '2.0' }, error: 'unsupported-version' },
  { name: 'a version that is none', head: { version: 'one' }, error: 'unsupported-version' },
  {
    name: 'a language longer than 35 bytes',
    head: { 'xml:lang': 'x'.repeat(36) },
    error: 'policy-violation',
  },
  { name: 'no "to"', head: { to: undefined }, error: 'improper-addressing' },
  { name: 'a "to" with a user', head: { to: 'a@localhost' }, error: 'improper-addressing' },
  { name: 'a "to" with a resource', head: { to: 'localhost/x' }, error: 'improper-addressing' },
  { name: 'a "to" that is no JID', head: { to: '@@' }, error: 'improper-addressing' },
  { name: 'a host that is not served', head: { to: 'example.org' }, error: 'host-unknown' },
  { name: 'a user of another domain', head: { from: 'juliet@example.org' }, error: 'invalid-from' },
  { name: 'a "from" that is no JID', head: { from: '@' }, error: 'invalid-from' },
]

for (const { name, head, error } of badHeads) {
  test(`ends a stream whose head has ${name} with ${error} (RFC 6120 §4.9.3)`, async () => {
    await using server = await XmppServer.start()
    await using client = await server.connect()
    client.open(head)
    // RFC 6120 §4.9.1.2: the error stands in a stream of ours.
    assert.equal((await client.head()).attrs['from'], 'localhost')
    await client.isClosed(error)
  })
}

test('takes a head without version for an old client of the default host, without features', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  client.open({ version: undefined, to: undefined })
  const { attrs } = await client.head()
  assert.equal(attrs['from'], 'localhost')
  assert.equal(attrs['version'], undefined)
  client.send('</stream:stream>')
  await client.isClosed()
})

test('takes another minor version as its own (RFC 6120 §4.7.5)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  client.open({ version: '1.3' })
  assert.equal((await client.head()).attrs['version'], '1.0')
  await client.next('features')
})

// shows: option hosts
test('serves each host under its own name', async () => {
  await using server = await XmppServer.start({ hosts: ['localhost', 'example.org'] })
  server.accounts.add('juliet@example.org')
  await using client = await server.connect('example.org')
  await client.login('juliet', { resource: 'r' })
  assert.equal(client.jid, 'juliet@example.org/r')
})

test('closes in order when the client does (RFC 6120 §4.4)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.login('juliet')
  client.send('</stream:stream>')
  await client.isClosed()
  assert.equal(server.router.sessions.count, 0)
})

test("ends the stream without an error of its own after the client's (RFC 6120 §4.9.1.1)", async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.login('juliet')
  client.send(
    `<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
  )
  await client.isClosed()
})

const badXml = [
  {
    name: 'XML that is not well-formed',
    text: '<message><body></message>',
    error: 'not-well-formed',
  },
  { name: 'an end tag too many', text: '</message>', error: 'not-well-formed' },
  { name: 'a comment', text: '<!-- hello -->', error: 'restricted-xml' },
  { name: 'a processing instruction', text: '<?php echo 1 ?>', error: 'restricted-xml' },
  {
    name: 'an unknown entity',
    text: '<message><body>&lol;</body></message>',
    error: 'restricted-xml',
  },
  { name: 'a prefix that is not declared', text: '<x:message/>', error: 'bad-namespace-prefix' },
  { name: 'text between stanzas', text: 'hello', error: 'bad-format' },
  {
    name: 'a stanza of another namespace',
    text: `<message xmlns='jabber:server'/>`,
    error: 'invalid-namespace',
  },
  { name: 'an element that is no stanza', text: '<query/>', error: 'unsupported-stanza-type' },
  {
    name: 'an element of an unknown namespace',
    text: `<r xmlns='urn:example:x'/>`,
    error: 'unsupported-stanza-type',
  },
]

for (const { name, text, error } of badXml) {
  test(`ends the stream of a session that sends ${name} with ${error} (RFC 6120 §4.9.3)`, async () => {
    await using server = await XmppServer.start()
    await using client = await server.connect()
    await client.login('juliet')
    client.send(text)
    await client.isClosed(error)
    assert.equal(server.router.sessions.count, 0)
  })
}

test('ends a stream that begins with a document type, and expands nothing (RFC 6120 §11.1)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  client.send(
    `<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>`,
  )
  await client.head()
  await client.isClosed('restricted-xml')
})

test('ends a stream that begins with something else than XML', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  client.send('GET / HTTP/1.1\r\n\r\n')
  await client.head()
  await client.isClosed('not-well-formed')
})

// shows: listener ejabberd_c2s.pre_auth_max_stanza_size
test('limits a stanza before signing in more than afterwards', async () => {
  await using server = await XmppServer.start({ listener: { pre_auth_max_stanza_size: 1000 } })
  await using stranger = await server.connect()
  await stranger.opens()
  stranger.send(`<auth ${sasl} mechanism='PLAIN'>${'A'.repeat(1100)}</auth>`)
  await stranger.isClosed('policy-violation')
  await using client = await server.login('juliet')
  client.send(`<message to='${client.jid}'><body>${'A'.repeat(1100)}</body></message>`)
  assert.equal((await client.next('message')).childText('body')?.length, 1100)
})

// shows: listener ejabberd_c2s.pre_auth_max_stanza_elements
test('limits the elements of a stanza before signing in', async () => {
  await using server = await XmppServer.start({ listener: { pre_auth_max_stanza_elements: 4 } })
  await using client = await server.connect()
  await client.opens()
  client.send(`<auth ${sasl} mechanism='PLAIN'><a/><a/><a/><a/></auth>`)
  await client.isClosed('policy-violation')
})

// shows: listener ejabberd_c2s.max_stanza_size
// shows: listener ejabberd_c2s.max_stanza_elements
test('limits size and elements of a stanza (stanza bomb)', async () => {
  await using server = await XmppServer.start({
    listener: { max_stanza_size: 2000, max_stanza_elements: 10 },
  })
  await using large = await server.login('juliet', { resource: 'large' })
  large.send(`<message><body>${'A'.repeat(2000)}`)
  await large.isClosed('policy-violation')
  await using many = await server.login('juliet', { resource: 'many' })
  many.send(`<message>${'<a/>'.repeat(10)}</message>`)
  await many.isClosed('policy-violation')
})

test('does not follow elements nested without end', async () => {
  await using server = await XmppServer.start()
  await using client = await server.login('juliet')
  client.send(`<message>${'<a>'.repeat(1000)}`)
  await client.isClosed('policy-violation')
})

test('has a limit where the configuration says "infinity"', async () => {
  await using server = await XmppServer.start({
    listener: { max_stanza_elements: 'infinity' },
  })
  await using client = await server.login('juliet')
  client.send(`<message>${'<a/>'.repeat(100_000)}</message>`)
  await client.isClosed('policy-violation')
})

// shows: option negotiation_timeout
test('ends a stream that is not set up in time (negotiation_timeout)', async () => {
  await using server = await XmppServer.start({ config: { negotiation_timeout: '30s' } })
  await using silent = await server.connect()
  await using slow = await server.connect()
  await slow.opens()
  await slow.authenticates('juliet')
  server.clock.advance(30_000)
  await silent.head()
  await silent.isClosed('connection-timeout')
  await slow.isClosed('connection-timeout')
})

test('gives a session that is set up all the time in the world', async () => {
  await using server = await XmppServer.start()
  await using client = await server.login('juliet')
  server.clock.advance(3_600_000)
  await client.receivesNothing()
})

test('takes white space between stanzas as a sign of life (RFC 6120 §4.6.1)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.login('juliet')
  client.send(' \n\t ')
  await client.receivesNothing()
})

test('tells everybody when the server stops (RFC 6120 §4.9.3.20)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.login('juliet')
  await using newcomer = await server.connect()
  await newcomer.opens()
  server.xmpp.shutDown()
  await client.isClosed('system-shutdown')
  await newcomer.isClosed('system-shutdown')
})

test('ends the streams of a host that goes, and of no other', async () => {
  await using server = await XmppServer.start({ hosts: ['localhost', 'example.org'] })
  server.accounts.add('nurse@example.org')
  await using juliet = await server.login('juliet')
  await using nurse = await server.connect('example.org')
  await nurse.login('nurse')
  server.removeHost('example.org')
  await nurse.isClosed('host-gone')
  await juliet.receivesNothing()
})

test('a handler that fails ends one stream, with internal-server-error', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet')
  await using romeo = await server.login('romeo')
  const session = server.router.sessions.find(jid(romeo.jid))
  assert.ok(session !== undefined)
  Object.defineProperty(session, 'lastHeardMs', {
    set() {
      throw new Error('broken on purpose')
    },
  })
  romeo.send('<presence/>')
  await romeo.isClosed('internal-server-error')
  await juliet.receivesNothing()
  assert.ok(server.logged.some((line) => line.includes('broken on purpose')))
})
