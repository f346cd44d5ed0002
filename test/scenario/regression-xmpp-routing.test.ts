import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stanzaBlocked } from '../../src/xmpp/hooks.ts'
import { jid } from '../../src/xmpp/jid/jid.ts'
import { createIq } from '../../src/xmpp/stanza/stanza.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import { XmppServer } from '../support/xmpp-server.ts'

const stanzas = `xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`

test('answers a request with an error when nobody can tell whether the account exists', async () => {
  await using server = await XmppServer.start()
  await using romeo = await server.login('romeo')
  server.accounts.exists = () => Promise.reject(new Error('The database does not answer'))
  romeo.send(`<iq type='get' id='1' to='juliet@localhost'><x xmlns='urn:example:x'/></iq>`)
  await romeo.receives(
    `<iq type='error' id='1'>{any}<error type='cancel' code='500'><internal-server-error ${stanzas}/></error></iq>`,
  )
  // Nor does one that no stream waits for take the process down.
  const iq = createIq(
    'get',
    { from: jid(romeo.jid), to: jid('juliet@localhost') },
    xml('x', 'urn:example:x'),
  )
  server.router.route(iq)
  await romeo.receives(
    `<iq type='error' id='${iq.id}'>{any}<error type='cancel' code='500'><internal-server-error ${stanzas}/></error></iq>`,
  )
})

test('survives an answer that fails when it is asked for twice', async () => {
  await using server = await XmppServer.start()
  await using romeo = await server.login('romeo')
  await using juliet = await server.login('juliet', { isAvailable: true })
  server
    .hooks()
    .on(
      stanzaBlocked,
      (_stanza, _account, direction) =>
        direction === 'out' ? Promise.reject(new Error('The list cannot be read')) : undefined,
      'test',
    )
  romeo.send(`<message to='juliet@localhost' id='1'><body>hi</body></message>`)
  // It fails closed: as if it were blocked.
  await romeo.receives(
    `<message type='error' id='1'>{any}<error type='modify' code='406'><not-acceptable ${stanzas}/>{any}</error></message>`,
  )
  await juliet.receivesNothing()
})

test('delivers a stanza that is larger than what may wait for a client', async () => {
  await using server = await XmppServer.start()
  await using romeo = await server.login('romeo')
  await using juliet = await server.login('juliet', { resource: 'r' })
  const body = 'x'.repeat(9 * 1024 * 1024)
  romeo.send(`<message to='juliet@localhost/r'><body>${body}</body></message>`)
  assert.equal((await juliet.next('message')).childText('body')?.length, body.length)
  await juliet.receivesNothing()
})
