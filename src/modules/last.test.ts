import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ModuleServer } from '../../test/support/module-server.ts'
import { last } from './last.ts'
import { roster } from './roster/roster.ts'

const query = `<query xmlns='jabber:iq:last'/>`
const start = (): Promise<ModuleServer> =>
  ModuleServer.start([last, roster], { mod_last: {}, mod_roster: {} })

const refusal = (condition: string): string =>
  `<iq type='error' id='l'>{any}<error type='{any}' code='{any}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`

const befriend = (server: ModuleServer, subscription: string): Promise<unknown> =>
  server.run('add_rosteritem', 'juliet', 'localhost', 'romeo', 'localhost', '', [], subscription)

// shows: module mod_last
test('tells subscribers when an account was last there, and what it said (XEP-0012 §3)', async () => {
  await using server = await start()
  await befriend(server, 'from')
  await using romeo = await server.login('romeo')
  const ask = (to = 'juliet@localhost'): void =>
    romeo.send(`<iq type='get' id='l' to='${to}'>${query}</iq>`)
  ask()
  await romeo.receives(refusal('service-unavailable'))
  const juliet = await server.login('juliet', { isAvailable: true })
  ask()
  await romeo.receives(`<iq type='result' id='l'><query xmlns='jabber:iq:last' seconds='0'/></iq>`)
  juliet.send(`<presence type='unavailable'><status>Heading home</status></presence>`)
  await juliet.receivesNothing()
  juliet.send('</stream:stream>')
  await juliet.isClosed()
  server.xmpp.clock.advance(903_000)
  ask()
  await romeo.receives(
    `<iq type='result' id='l'><query xmlns='jabber:iq:last' seconds='903'>Heading home</query></iq>`,
  )
  const store = server.store()
  const row = await store.first(store.table('last').select().selectAll('last'))
  assert.deepEqual(
    { ...row },
    { username: 'juliet', server_host: 'localhost', seconds: '1767225600', state: 'Heading home' },
  )
  await server.xmpp.removeAccount('juliet@localhost')
  assert.equal(await store.first(store.table('last').select().select('state')), undefined)
})

test('tells nobody else, neither of the account nor of a resource (XEP-0012 §6)', async () => {
  await using server = await start()
  await befriend(server, 'to')
  await using romeo = await server.login('romeo')
  await using juliet = await server.login('juliet')
  romeo.send(`<iq type='get' id='l' to='juliet@localhost'>${query}</iq>`)
  await romeo.receives(refusal('forbidden'))
  romeo.send(`<iq type='get' id='l' to='${juliet.jid}'>${query}</iq>`)
  await romeo.receives(refusal('service-unavailable'))
  await juliet.receivesNothing()
  await befriend(server, 'both')
  romeo.send(`<iq type='get' id='l' to='${juliet.jid}'>${query}</iq>`)
  await juliet.receives(`<iq type='get' id='l' from='${romeo.jid}'>${query}</iq>`)
  juliet.send(`<iq type='get' id='l'>${query}</iq>`)
  await juliet.receives(`<iq type='result' id='l'>{any}</iq>`)
})

test('tells everybody how long the server has been up (XEP-0012 §5)', async () => {
  await using server = await start()
  server.uptimeMs = 123_456
  await using romeo = await server.login('romeo')
  romeo.send(`<iq type='get' id='l' to='localhost'>${query}</iq>`)
  await romeo.receives(
    `<iq type='result' id='l'><query xmlns='jabber:iq:last' seconds='123'/></iq>`,
  )
})

test('commands print and set it as ejabberdctl does', async () => {
  await using server = await start()
  const { clock } = server.xmpp
  clock.advance(250)
  const account = ['juliet', 'localhost'] as const
  assert.deepEqual(await server.run('get_last', ...account), [
    '2026-01-01T00:00:00.250Z',
    'NOT FOUND',
  ])
  await server.register('juliet@localhost')
  assert.deepEqual(await server.run('get_last', ...account), [
    '2026-01-01T00:00:00Z',
    "Registered but didn't login",
  ])
  assert.equal(await server.run('set_last', ...account, 1_500_045_311, 'GoSleeping'), 0)
  assert.deepEqual(await server.run('get_last', ...account), ['2017-07-14T15:15:11Z', 'GoSleeping'])
  await using _ = await server.login('juliet')
  assert.deepEqual(await server.run('get_last', ...account), ['2026-01-01T00:00:00.250Z', 'ONLINE'])
})
