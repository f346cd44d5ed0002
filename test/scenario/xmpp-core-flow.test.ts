import assert from 'node:assert/strict'
import { test } from 'node:test'
import { elementReceived, stanzaQueued, streamLost } from '../../src/xmpp/hooks.ts'
import { jid } from '../../src/xmpp/jid/jid.ts'
import { createMessage } from '../../src/xmpp/stanza/stanza.ts'
import { result } from '../../src/xmpp/stanza/stanza-error.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import { XmppServer } from '../support/xmpp-server.ts'

/** Lets sockets be read and written, until something has come of it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => void setImmediate(resolve))
}

// shows: listener ejabberd_c2s.max_fsm_queue
test('closes a client that does not read, above max_fsm_queue stanzas, and nobody else', async () => {
  await using server = await XmppServer.start({ listener: { max_fsm_queue: 100 } })
  await using frozen = await server.login('juliet', { resource: 'frozen' })
  await using romeo = await server.login('romeo')
  const session = server.router.sessions.find(jid(frozen.jid)) ?? assert.fail()
  frozen.freeze()
  const body = 'x'.repeat(10_000)
  let sent = 0
  while (!session.isEnded) {
    romeo.send(
      `<message to='${frozen.jid}' type='headline'><body>${body}</body></message>`.repeat(10),
    )
    sent += 10
    await romeo.receivesNothing()
    assert.ok(sent < 10_000, 'It is still there')
  }
  assert.ok(server.logged.some((line) => line.includes('does not read')))
  romeo.send(`<message to='${frozen.jid}' type='chat' id='late'/>`)
  await until(() => server.router.sessions.count === 1)
  assert.equal((await romeo.next('message')).attr('id'), 'late')
})

test('holds no more than 8 MiB for a client that does not read, however few the stanzas', async () => {
  await using server = await XmppServer.start()
  await using frozen = await server.login('juliet')
  const session = server.router.sessions.find(jid(frozen.jid)) ?? assert.fail()
  frozen.freeze()
  const body = xml('body', 'jabber:client', {}, 'x'.repeat(200_000))
  const message = createMessage('chat', { from: jid('romeo@localhost'), to: session.jid }, body)
  let delivered = 0
  while (!session.isEnded && delivered < 1000) {
    session.deliver(message)
    delivered++
    await new Promise((resolve) => void setImmediate(resolve))
  }
  // What the kernel takes of a loopback connection comes on top.
  assert.ok(delivered * 200_000 < 64 * 1024 * 1024, `${delivered} were taken`)
})

test('reads no more requests of a client that does not read the answers', async () => {
  await using server = await XmppServer.start()
  let asked = 0
  const answer = xml('a', 'urn:example:a', {}, 'x'.repeat(100_000))
  server.router.hosts[0]?.tables.account.addIqHandler('get', 'urn:example:a', 'q', (iq) => {
    asked++
    return result(iq, answer)
  })
  await using juliet = await server.login('juliet')
  juliet.freeze()
  const count = 500
  juliet.send(`<iq type='get' id='1'><q xmlns='urn:example:a'/></iq>`.repeat(count))
  await using romeo = await server.login('romeo')
  for (let turn = 0; turn < 20; turn++) await romeo.receivesNothing()
  assert.ok(asked > 0 && asked < count, `${asked} of ${count} were answered`)
  assert.equal(server.router.sessions.count, 2)
  juliet.thaw()
  for (let i = 0; i < count; i++) await juliet.next('iq')
  assert.equal(asked, count)
})

// shows: option shaper
// shows: option shaper_rules
// shows: listener ejabberd_c2s.shaper
test('reads from a client as fast as its shaper allows, and no faster', async () => {
  await using server = await XmppServer.start({
    listener: { shaper: 'slow' },
    config: {
      shaper: { slow: { rate: 1000, burst_size: 4000 } },
      shaper_rules: { slow: 'slow' },
    },
  })
  await using juliet = await server.login('juliet', { isAvailable: true })
  const handled = server.router.sessions.find(jid(juliet.jid))?.countHandled() ?? assert.fail()
  server.clock.advance(60_000)
  juliet.send(`<message to='${juliet.jid}' id='1'><body>${'x'.repeat(6000)}</body></message>`)
  await juliet.receives(`<message id='1'><body>{any}</body></message>`)
  juliet.send(`<message to='${juliet.jid}' id='2'/>`)
  await using romeo = await server.login('romeo')
  await romeo.receivesNothing()
  assert.equal(handled.received, 1)
  server.clock.advance(1000)
  await romeo.receivesNothing()
  assert.equal(handled.received, 1)
  server.clock.advance(3000)
  await juliet.receives(`<message id='2'/>`)
})

test('a session can outlive its stream, if somebody wants it to (XEP-0198)', async () => {
  await using server = await XmppServer.start()
  const hooks = server.hooks()
  const kept: (string | undefined)[] = []
  hooks.on(streamLost, () => 'keep', 'test')
  hooks.on(
    stanzaQueued,
    (stanza, session) => {
      if (session.stream === undefined) kept.push(stanza.id)
    },
    'test',
  )
  await using juliet = await server.login('juliet', { resource: 'r', isAvailable: true })
  const session = server.router.sessions.find(jid(juliet.jid)) ?? assert.fail()
  await using romeo = await server.login('romeo')
  await juliet.vanish()
  await until(() => session.stream === undefined)
  romeo.send(`<message to='juliet@localhost' type='chat' id='1'/>`)
  await romeo.receivesNothing()
  assert.deepEqual(kept, ['1'])
  assert.equal(session.connection, 'c2s')
  session.close('policy-violation')
  assert.equal(server.router.sessions.find(jid(juliet.jid)), undefined)
})

test('a stream can carry on a session that lost its own (XEP-0198 §5)', async () => {
  await using server = await XmppServer.start()
  server.hooks().on(
    elementReceived,
    (stream, element) => {
      const session = server.router.sessions.find(jid(element.text()))
      if (session === undefined) return undefined
      stream.adopt(session)
      return 'handled'
    },
    'test',
  )
  await using old = await server.login('juliet', { resource: 'r', isAvailable: true })
  await using young = await server.connect()
  await young.opens()
  await young.authenticates('juliet')
  young.send(`<resume xmlns='urn:example:sm'>${old.jid}</resume>`)
  await old.isClosed('conflict')
  assert.equal(server.router.sessions.count, 1)
  young.send(`<message to='${old.jid}' id='1'/>`)
  await young.receives(`<message id='1' from='${old.jid}'/>`)
})
