import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const listen = [{ port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s', starttls: true }]

test('the whole server signs clients in, carries messages, lists and kicks sessions, and says goodbye', async () => {
  await using server = await TestServer.start({ config: { listen } })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  await server.ok('register', 'romeo', 'localhost', 'secret')
  await using juliet = await XmppClient.connect(server.port('ejabberd_c2s'))
  await juliet.opens()
  juliet.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
  await juliet.next('proceed')
  await juliet.startTls()
  await juliet.opens()
  await juliet.authenticates('juliet')
  await juliet.binds('balcony')
  await using romeo = await XmppClient.connect(server.port('ejabberd_c2s'))
  await romeo.login('romeo', { resource: 'garden', isAvailable: true })
  juliet.send(`<message to='romeo@localhost' type='chat'><body>hi</body></message>`)
  await romeo.receives(
    `<message from='juliet@localhost/balcony' type='chat'><body>hi</body></message>`,
  )
  const connected = await server.ok('connected_users')
  assert.deepEqual(connected.trim().split('\n').sort(), [
    'juliet@localhost/balcony',
    'romeo@localhost/garden',
  ])
  await server.ok('kick_session', 'juliet', 'localhost', 'balcony', 'Enough')
  await juliet.next('error')
  await juliet.isClosed()
  server.server.stop()
  await romeo.isClosed('system-shutdown')
})

test('removing an account ends its sessions, and the account cannot sign in again', async () => {
  await using server = await TestServer.start({ config: { listen } })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  await using juliet = await XmppClient.connect(server.port('ejabberd_c2s'))
  await juliet.login('juliet')
  await server.ok('unregister', 'juliet', 'localhost')
  await juliet.isClosed('not-authorized')
  await using again = await XmppClient.connect(server.port('ejabberd_c2s'))
  await again.opens()
  await assert.rejects(again.authenticates('juliet'), /not-authorized/)
})
