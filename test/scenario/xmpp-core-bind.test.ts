import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import { XmppServer } from '../support/xmpp-server.ts'

const bindNs = `xmlns='urn:ietf:params:xml:ns:xmpp-bind'`
const stanzas = `xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`
const juliet = bareJid(jid('juliet@localhost'))

function bind(resource: string): string {
  return `<iq type='set' id='b'><bind ${bindNs}><resource>${resource}</resource></bind></iq>`
}

test('binds the resource that a client asks for, prepared (RFC 6120 §7.7)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  await client.authenticates('Juliet')
  // Resourceprep maps U+00AA to "a" (RFC 3491, RFC 6122 §2.4).
  assert.equal(await client.binds('b\u00aalcony'), 'juliet@localhost/balcony')
  const [session] = server.registry.forAccount(juliet)
  assert.equal(session?.connection, 'c2s')
  assert.equal(session.ip, '127.0.0.1')
  assert.equal(session.connectedAt, server.clock.now())
})

test('makes up a resource where none is asked for (RFC 6120 §7.6)', async () => {
  await using server = await XmppServer.start()
  await using one = await server.login('juliet')
  await using two = await server.login('juliet')
  assert.match(one.jid, /^juliet@localhost\/.{10,}$/)
  assert.notEqual(one.jid, two.jid)
})

test('answers a resource that is none with bad-request (RFC 6120 §7.7.2.1)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.connect()
  await client.opens()
  await client.authenticates('juliet')
  client.send(bind('x'.repeat(1024)))
  await client.receives(
    `<iq type='error' id='b'>{any}<error type='modify' code='400'><bad-request ${stanzas}/></error></iq>`,
  )
  await client.binds('ok')
})

for (const policy of ['acceptnew', 'closeold']) {
  test(`ends the session that has the resource already (${policy})`, async () => {
    await using server = await XmppServer.start({ config: { resource_conflict: policy } })
    await using old = await server.login('juliet', { resource: 'r' })
    await using young = await server.login('juliet', { resource: 'r' })
    await old.isClosed('conflict')
    await young.receivesNothing()
    assert.equal(server.router.sessions.count, 1)
  })
}

// shows: option resource_conflict
test('refuses a resource that is taken (closenew, RFC 6120 §7.7.2.2)', async () => {
  await using server = await XmppServer.start({ config: { resource_conflict: 'closenew' } })
  await using old = await server.login('juliet', { resource: 'r' })
  await using young = await server.connect()
  await young.opens()
  await young.authenticates('juliet')
  young.send(bind('r'))
  await young.receives(
    `<iq type='error' id='b'>{any}<error type='cancel' code='409'><conflict ${stanzas}/></error></iq>`,
  )
  await young.binds('other')
  await old.receivesNothing()
})

test('makes up a resource instead of one that is taken (setresource)', async () => {
  await using server = await XmppServer.start({ config: { resource_conflict: 'setresource' } })
  await using old = await server.login('juliet', { resource: 'r' })
  await using young = await server.login('juliet', { resource: 'r' })
  assert.notEqual(young.jid, old.jid)
  await old.receivesNothing()
})

// shows: option acl
// shows: option access_rules
// shows: listener ejabberd_c2s.access
test('asks the access rule of the listener, with user and address (listener option access)', async () => {
  await using server = await XmppServer.start({
    listener: { access: 'c2s' },
    config: {
      acl: { blocked: { user: 'romeo' }, near: { ip: '127.0.0.0/8' } },
      access_rules: { c2s: [{ deny: 'blocked' }, { allow: 'near' }] },
    },
  })
  await using client = await server.connect()
  await client.opens()
  await client.authenticates('romeo')
  client.send(bind('r'))
  await client.receives(
    `<iq type='error' id='b'>{any}<error type='cancel' code='405'><not-allowed ${stanzas}/></error></iq>`,
  )
  await using other = await server.login('juliet')
  await other.receivesNothing()
})

test('a refused session does not end the one that has the resource', async () => {
  await using server = await XmppServer.start({
    listener: { access: 'c2s' },
    config: { acl: {}, access_rules: { c2s: [{ allow: { resource: 'good' } }] } },
  })
  await using good = await server.login('juliet', { resource: 'good' })
  await using client = await server.connect()
  await client.opens()
  await client.authenticates('juliet')
  client.send(bind('bad'))
  await client.next('iq')
  await good.receivesNothing()
})

test('ends the oldest session above max_user_sessions', async () => {
  await using server = await XmppServer.start({
    config: { shaper_rules: { max_user_sessions: 2 } },
  })
  await using one = await server.login('juliet', { resource: '1' })
  await using two = await server.login('juliet', { resource: '2' })
  await using three = await server.login('juliet', { resource: '3' })
  await one.isClosed('conflict')
  await two.receivesNothing()
  await three.receivesNothing()
  assert.deepEqual(
    server.registry.forAccount(juliet).map((session) => session.jid),
    ['juliet@localhost/2', 'juliet@localhost/3'],
  )
})

test('answers the session request of old clients from the host (RFC 3921 §3)', async () => {
  await using server = await XmppServer.start()
  await using client = await server.login('juliet')
  const session = `<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>`
  client.send(`<iq type='set' id='s1'>${session}</iq>`)
  await client.receives(`<iq type='result' id='s1' from='localhost'/>`)
  client.send(`<iq type='set' id='s2' to='localhost'>${session}</iq>`)
  await client.receives(`<iq type='result' id='s2' from='localhost'/>`)
})

test('binds only once on a stream', async () => {
  await using server = await XmppServer.start()
  await using client = await server.login('juliet', { resource: 'one' })
  client.send(bind('two'))
  await client.receives(
    `<iq type='error' id='b'>{any}<error type='cancel' code='503'><service-unavailable ${stanzas}/></error></iq>`,
  )
  assert.equal(server.router.sessions.count, 1)
})

for (const [cause, condition] of [
  ['kicked', 'policy-violation'],
  ['banned', 'policy-violation'],
  ['replaced', 'conflict'],
] as const) {
  test(`tells a client that is ${cause} with ${condition} and the reason`, async () => {
    await using server = await XmppServer.start()
    await using client = await server.login('juliet')
    server.registry.forAccount(juliet)[0]?.kick('Because', cause)
    await client.receives(
      `<stream:error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Because</text></stream:error>`,
    )
    await client.isClosed()
    assert.equal(server.registry.count(server.config.hosts[0] ?? assert.fail(), 'xmpp'), 0)
  })
}

test('ends the sessions of an account that is removed with not-authorized', async () => {
  await using server = await XmppServer.start()
  await using one = await server.login('juliet')
  await using two = await server.login('juliet')
  await using other = await server.login('romeo')
  await server.removeAccount('juliet@localhost')
  await one.isClosed('not-authorized')
  await two.isClosed('not-authorized')
  await other.receivesNothing()
})
