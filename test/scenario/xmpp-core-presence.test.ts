import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  initialPresence,
  presenceChanged,
  presenceUnavailable,
  subscriptionReceived,
  subscriptionSent,
} from '../../src/xmpp/hooks.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import { XmppServer } from '../support/xmpp-server.ts'

test('shows presence to all available resources of the account (RFC 6121 §4.2.2)', async () => {
  await using server = await XmppServer.start()
  await using one = await server.login('juliet', { resource: 'one' })
  await using two = await server.login('juliet', { resource: 'two' })
  await using hidden = await server.login('juliet', { resource: 'hidden' })
  one.send('<presence><show>away</show></presence>')
  await one.receives(`<presence from='juliet@localhost/one'><show>away</show></presence>`)
  await two.receivesNothing()
  two.send('<presence/>')
  await two.receivesAll(
    `<presence from='juliet@localhost/two'/>`,
    `<presence from='juliet@localhost/one' to='juliet@localhost/two'><show>away</show></presence>`,
  )
  await one.receives(`<presence from='juliet@localhost/two'/>`)
  one.send('<presence/>')
  await one.receives(`<presence from='juliet@localhost/one'/>`)
  await two.receives(`<presence from='juliet@localhost/one'/>`)
  one.send(`<presence type='unavailable'><status>bye</status></presence>`)
  await two.receives(
    `<presence type='unavailable' from='juliet@localhost/one'><status>bye</status></presence>`,
  )
  await one.receivesNothing()
  await hidden.receivesNothing()
})

test('tells the other resources of a session that ends without a word (RFC 6121 §4.5.2)', async () => {
  await using server = await XmppServer.start()
  await using one = await server.login('juliet', { resource: 'one', isAvailable: true })
  await using two = await server.login('juliet', { resource: 'two' })
  two.send('<presence/>')
  await two.receivesAll(
    `<presence from='juliet@localhost/two'/>`,
    `<presence from='juliet@localhost/one'/>`,
  )
  await one.vanish()
  await two.receives(`<presence type='unavailable' from='juliet@localhost/one'/>`)
})

test('runs the hooks of presence once each, in order', async () => {
  await using server = await XmppServer.start()
  const told: string[] = []
  const hooks = server.hooks()
  hooks.on(initialPresence, () => void told.push('initial'), 'test')
  hooks.on(
    presenceChanged,
    (session, presence, before) => {
      told.push(`changed ${presence.id ?? ''} after ${before?.id ?? 'none'}`)
      assert.equal(session.available, presence)
    },
    'test',
  )
  hooks.on(
    presenceUnavailable,
    (session, presence) => {
      told.push(`unavailable ${presence.id ?? 'by the end'}`)
      assert.equal(session.available, undefined)
    },
    'test',
  )
  await using juliet = await server.login('juliet')
  // Before it was available there is nothing to take back.
  juliet.send(`<presence type='unavailable' id='0'/><presence id='1'/><presence id='2'/>`)
  juliet.send(`<presence type='unavailable' id='3'/><presence type='unavailable' id='4'/>`)
  juliet.send(`<presence id='5' to='juliet@localhost'/></stream:stream>`)
  for (const id of ['1', '2', '5']) await juliet.receives(`<presence id='${id}'/>`)
  await juliet.isClosed()
  assert.deepEqual(told, [
    'initial',
    'changed 1 after none',
    'changed 2 after 1',
    'unavailable 3',
    'initial',
    'changed 5 after none',
    'unavailable by the end',
  ])
})

test('knows show, status and priority of a session', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet')
  const session = server.router.sessions.find(jid(juliet.jid)) ?? assert.fail()
  assert.equal(session.priority, undefined)
  assert.equal(session.presence, undefined)
  for (const [priority, expected] of [
    ['<priority>7</priority>', 7],
    ['<priority>-1</priority>', -1],
    ['<priority>+3</priority>', 3],
    ['<priority>999</priority>', 127],
    ['<priority>high</priority>', 0],
    ['', 0],
  ] as const) {
    juliet.send(`<presence><show>dnd</show><status>busy</status>${priority}</presence>`)
    await juliet.next('presence')
    assert.equal(session.priority, expected)
  }
  assert.deepEqual(session.presence, { show: 'dnd', status: 'busy' })
})

test('directed presence reaches whom it names, and the end follows it (RFC 6121 §4.6)', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet', { resource: 'r', isAvailable: true })
  await using romeo = await server.login('romeo', { isAvailable: true })
  await using nurse = await server.login('nurse', { isAvailable: true })
  juliet.send(
    `<presence to='${romeo.jid}'/><presence to='nurse@localhost'><show>chat</show></presence>`,
  )
  await romeo.receives(`<presence from='juliet@localhost/r' to='${romeo.jid}'/>`)
  await nurse.receives(
    `<presence from='juliet@localhost/r' to='nurse@localhost'><show>chat</show></presence>`,
  )
  // A broadcast is not for them.
  juliet.send('<presence><show>away</show></presence>')
  await juliet.next('presence')
  juliet.send(`<presence to='nurse@localhost' type='unavailable'/>`)
  await nurse.receives(`<presence type='unavailable' from='juliet@localhost/r'/>`)
  juliet.send(`<presence type='unavailable'/>`)
  await juliet.receivesNothing()
  await romeo.receives(`<presence type='unavailable' from='juliet@localhost/r' to='${romeo.jid}'/>`)
  await nurse.receivesNothing()
  juliet.send('</stream:stream>')
  await juliet.isClosed()
  await romeo.receivesNothing()
})

test('who got directed presence hears of the end of a session that never was available', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet', { resource: 'r' })
  await using romeo = await server.login('romeo', { isAvailable: true })
  juliet.send(`<presence to='${romeo.jid}'/>`)
  await romeo.receives(`<presence from='juliet@localhost/r'/>`)
  await juliet.vanish()
  await romeo.receives(`<presence type='unavailable' from='juliet@localhost/r'/>`)
})

test('who left before is not told (RFC 6121 §4.6.1)', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet', { isAvailable: true })
  await using romeo = await server.login('romeo', { isAvailable: true })
  juliet.send(`<presence to='${romeo.jid}'/>`)
  await romeo.next('presence')
  romeo.send(`<presence to='${juliet.jid}' type='unavailable'/>`)
  await juliet.receives(`<presence type='unavailable'/>`)
  juliet.send(`<presence type='unavailable'/>`)
  await juliet.receivesNothing()
  await romeo.receivesNothing()
})

test('who was told by the roster is not told again (RFC 6121 §4.6.3)', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet', { isAvailable: true })
  await using romeo = await server.login('romeo', { isAvailable: true })
  const account = bareJid(jid('romeo@localhost'))
  server.hooks().on(
    presenceUnavailable,
    (session, presence) => {
      server.router.broadcast(presence, [account], session)
      session.directed.delete(account)
    },
    'test',
  )
  juliet.send(`<presence to='romeo@localhost'/><presence type='unavailable'/>`)
  await juliet.receivesNothing()
  await romeo.receives('<presence/>')
  await romeo.receives(`<presence type='unavailable' to='romeo@localhost'/>`)
  await romeo.receivesNothing()
})

test('subscriptions go out from and to bare addresses, past whoever keeps the roster (RFC 6121 §3.1.2)', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet')
  await using romeo = await server.login('romeo', { isAvailable: true })
  juliet.send(`<presence type='subscribe' to='romeo@localhost/garden' id='1'/>`)
  await romeo.receives(
    `<presence type='subscribe' from='juliet@localhost' to='romeo@localhost' id='1'/>`,
  )
  const kept: string[] = []
  server.hooks().on(
    subscriptionSent,
    (presence, session) => {
      kept.push(`${presence.type} ${presence.from} ${presence.to} ${session.jid}`)
      return presence.type === 'unsubscribe' ? 'handled' : undefined
    },
    'test',
  )
  server.hooks().on(
    subscriptionReceived,
    (presence) => {
      kept.push(`received ${presence.type}`)
      return 'handled'
    },
    'test',
  )
  juliet.send(`<presence type='unsubscribe' to='romeo@localhost/garden'/>`)
  juliet.send(`<presence type='subscribed' to='romeo@localhost'/>`)
  await juliet.receivesNothing()
  await romeo.receivesNothing()
  assert.deepEqual(kept, [
    `unsubscribe juliet@localhost romeo@localhost ${juliet.jid}`,
    `subscribed juliet@localhost romeo@localhost ${juliet.jid}`,
    'received subscribed',
  ])
})
