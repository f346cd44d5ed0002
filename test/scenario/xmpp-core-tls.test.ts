import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:tls'
import { test } from 'node:test'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import type { Element } from '../../src/xmpp/xml/element.ts'
import { XmppClient } from '../support/xmpp-client.ts'
import { XmppServer } from '../support/xmpp-server.ts'

const tlsNs = `xmlns='urn:ietf:params:xml:ns:xmpp-tls'`
const sasl = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`

// shows: listener ejabberd_c2s.starttls
test('goes over to TLS and offers the mechanisms that need it (RFC 6120 §5.4)', async () => {
  await using server = await XmppServer.start({ listener: { starttls: true } })
  await using client = await server.connect()
  const features = await client.opens()
  assert.ok(features.child('starttls', 'urn:ietf:params:xml:ns:xmpp-tls'))
  assert.equal(features.child('starttls', '*')?.child('required'), undefined)
  assert.ok(!mechanisms(features).includes('PLAIN'))
  client.send(`<starttls ${tlsNs}/>`)
  await client.receives(`<proceed ${tlsNs}/>`)
  await client.startTls()
  const secured = await client.opens()
  assert.equal(secured.child('starttls', '*'), undefined)
  assert.ok(mechanisms(secured).includes('PLAIN'))
  assert.ok(mechanisms(secured).includes('SCRAM-SHA-1-PLUS'))
  assert.deepEqual(
    secured
      .child('sasl-channel-binding', 'urn:xmpp:sasl-cb:0')
      ?.elements()
      .map((element) => element.attr('type')),
    ['tls-exporter', 'tls-server-end-point'],
  )
  await client.authenticates('juliet')
  await client.binds('balcony')
  assert.equal(
    server.registry.forAccount(bareJid(jid('juliet@localhost')))[0]?.connection,
    'c2s_tls',
  )
})

// shows: listener ejabberd_c2s.starttls_required
test('offers nothing but TLS where it is required (RFC 6120 §5.3.1)', async () => {
  await using server = await XmppServer.start({ listener: { starttls_required: true } })
  await using client = await server.connect()
  client.open()
  await client.head()
  await client.receives(
    `<stream:features><starttls ${tlsNs}><required/></starttls></stream:features>`,
  )
  client.send(`<auth ${sasl} mechanism='PLAIN'>AGp1bGlldABzZWNyZXQ=</auth>`)
  await client.receives(`<failure ${sasl}><encryption-required/></failure>`)
  client.send(`<starttls ${tlsNs}/>`)
  await client.receives(`<proceed ${tlsNs}/>`)
  await client.startTls()
  await client.opens()
  await client.authenticates('juliet')
})

test('refuses what was sent in the clear behind the request for TLS (RFC 6120 §5.4.3.1)', async () => {
  await using server = await XmppServer.start({ listener: { starttls: true } })
  await using client = await server.connect()
  await client.opens()
  client.send(`<starttls ${tlsNs}/><auth ${sasl} mechanism='PLAIN'>AGp1bGlldABzZWNyZXQ=</auth>`)
  await client.isClosed('policy-violation')
})

test('overlooks white space behind the request for TLS', async () => {
  await using server = await XmppServer.start({ listener: { starttls: true } })
  await using client = await server.connect()
  await client.opens()
  client.send(`<starttls ${tlsNs}/>\n`)
  await client.receives(`<proceed ${tlsNs}/>`)
  await client.startTls()
  await client.opens()
})

test('refuses TLS that was not offered (RFC 6120 §5.4.2.2)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  client.send(`<starttls ${tlsNs}/>`)
  await client.receives(`<failure ${tlsNs}/>`)
  await client.isClosed()
})

test('refuses TLS a second time and after signing in', async () => {
  await using server = await XmppServer.start({ listener: { starttls: true } })
  await using client = await server.connect()
  await client.opens()
  client.send(`<starttls ${tlsNs}/>`)
  await client.receives(`<proceed ${tlsNs}/>`)
  await client.startTls()
  await client.opens()
  client.send(`<starttls ${tlsNs}/>`)
  await client.receives(`<failure ${tlsNs}/>`)
  await client.isClosed()
  await using other = await server.login('juliet')
  other.send(`<starttls ${tlsNs}/>`)
  await other.isClosed('unsupported-stanza-type')
})

test('offers no TLS without a certificate, and demands it all the same', async () => {
  await using server = await XmppServer.start({
    listener: { starttls_required: true },
    hasCertificates: false,
  })
  await using client = await server.connect()
  client.open()
  await client.head()
  await client.receives('<stream:features/>')
  client.send(`<auth ${sasl} mechanism='SCRAM-SHA-1'>biwsbj1hLHI9Yg==</auth>`)
  await client.receives(`<failure ${sasl}><encryption-required/></failure>`)
})

test('shows the certificate of the host that the stream is for, without SNI too', async () => {
  await using server = await XmppServer.start({
    hosts: ['localhost', 'example.org'],
    listener: { starttls: true },
  })
  await using client = await server.connect('example.org')
  await client.opens()
  client.send(`<starttls ${tlsNs}/>`)
  await client.receives(`<proceed ${tlsNs}/>`)
  await client.startTls({ servername: '' })
  assert.equal(client.tls?.getPeerCertificate().subject.CN, 'example.org')
})

test('speaks TLS from the first byte, as xmpp-client (XEP-0368)', async () => {
  await using server = await XmppServer.start({ listener: { tls: true } })
  await using client = await XmppClient.connectTls(server.port)
  assert.equal(client.tls?.alpnProtocol, 'xmpp-client')
  const features = await client.opens()
  assert.equal(features.child('starttls', '*'), undefined)
  await client.authenticates('juliet')
  await client.binds()
})

test('talks to nobody who wants another protocol (RFC 7301 §3.2)', async () => {
  await using server = await XmppServer.start({ listener: { tls: true } })
  const socket = connect({
    port: server.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  })
  const [error] = await once(socket, 'error')
  assert.match(String(error), /no application protocol|handshake failure|ECONNRESET/i)
})

// shows: listener ejabberd_c2s.tls_verify
test('lets in by a certificate that an authority vouches for (XEP-0178 §2)', async () => {
  const authority = makeCertificate({ name: 'Authority', isAuthority: true })
  await using server = await XmppServer.start({
    listener: { tls: true, tls_verify: true },
    authority,
  })
  const own = makeCertificate({ name: 'juliet', xmpp: ['juliet@localhost'], issuer: authority })
  await using client = await XmppClient.connectTls(server.port, {
    cert: own.certificate,
    key: own.key,
  })
  assert.ok(mechanisms(await client.opens()).includes('EXTERNAL'))
  client.send(`<auth ${sasl} mechanism='EXTERNAL'>=</auth>`)
  await client.receives(`<success ${sasl}/>`)
  await client.opens()
  assert.match(await client.binds(), /^juliet@localhost\//)
})

test('does not offer EXTERNAL for a certificate that nobody vouches for, or without address', async () => {
  const authority = makeCertificate({ name: 'Authority', isAuthority: true })
  await using server = await XmppServer.start({
    listener: { tls: true, tls_verify: true },
    authority,
  })
  for (const own of [
    makeCertificate({ name: 'juliet', xmpp: ['juliet@localhost'] }),
    makeCertificate({ name: 'juliet', issuer: authority }),
  ]) {
    await using client = await XmppClient.connectTls(server.port, {
      cert: own.certificate,
      key: own.key,
    })
    assert.ok(!mechanisms(await client.opens()).includes('EXTERNAL'))
    client.send(`<auth ${sasl} mechanism='EXTERNAL'>=</auth>`)
    await client.receives(`<failure ${sasl}><invalid-mechanism/></failure>`)
  }
})

function mechanisms(features: Element): readonly string[] {
  const list = features.child('mechanisms', 'urn:ietf:params:xml:ns:xmpp-sasl')
  return list?.elements().map((element) => element.text()) ?? []
}
