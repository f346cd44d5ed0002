import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ModuleServer } from '../../../test/support/module-server.ts'
import type { ModuleOptions } from '../../../test/support/module-server.ts'
import { jid } from '../../xmpp/jid/jid.ts'
import { silentLog } from '../../core/log.ts'
import { roster } from './roster.ts'
import { RosterTable } from './roster-table.ts'
import { newItem } from './item.ts'
import type { RosterItem } from './item.ts'

const start = (options: ModuleOptions[string] = {}): Promise<ModuleServer> =>
  ModuleServer.start([roster], { mod_roster: options })

const row = {
  username: 'juliet',
  nick: '',
  subscription: 'N',
  approved: false,
  ask: 'N',
  askmessage: '',
  server: 'N',
  subscribe: '',
  type: 'item',
}

test('reads all letters that ejabberd writes, and leaves out what cannot be', async () => {
  await using server = await start()
  const store = server.store()
  const letters: readonly (readonly [string, string, string])[] = [
    ['N', 'N', 'none'],
    ['N', 'O', 'none+out'],
    ['N', 'S', 'none+out'],
    ['N', 'I', 'none+in'],
    ['N', 'B', 'none+out+in'],
    ['N', 'U', 'none'],
    ['T', 'N', 'to'],
    ['T', 'I', 'to+in'],
    ['T', 'B', 'to+in'],
    ['F', 'N', 'from'],
    ['F', 'O', 'from+out'],
    ['F', 'I', 'from'],
    ['B', 'N', 'both'],
    ['B', 'O', 'both'],
  ]
  const rows = letters.map(([subscription, ask], index) => {
    return { ...row, jid: `c${index}@example.org`, subscription, ask }
  })
  const broken = [
    { ...row, jid: '@', subscription: 'B' },
    { ...row, jid: 'x@example.org', subscription: '?' },
  ]
  await store.write(store.table('rosterusers').insert([...rows, ...broken])).settled
  const items = await new RosterTable(store, silentLog).read('juliet')
  assert.deepEqual(
    letters.map((_, index) => items.get(jid(`c${index}@example.org`))?.state),
    letters.map(([, , state]) => state),
  )
  assert.equal(items.size, letters.length)
})

test('reads back what it wrote', async () => {
  await using server = await start()
  const store = server.store()
  const table = new RosterTable(store, silentLog)
  const states = ['none', 'none+out', 'none+in', 'none+out+in', 'to', 'to+in', 'from', 'both']
  const items = states.flatMap((state, index): RosterItem[] => {
    const contact = jid(`c${index}@example.org`)
    const item = { ...newItem(contact), state: state as RosterItem['state'], isListed: true } // from the list above
    return [
      item,
      {
        ...item,
        jid: jid(`d${index}@example.org/r`),
        name: `"D" 'ñ'`,
        groups: ['B', 'A'],
        isApproved: true,
        requestText: 'Hail',
      },
    ]
  })
  const stranger = { ...newItem(jid('stranger@example.org')), state: 'none+in' as const }
  await store.transaction(async (tx) => {
    for (const item of [...items, stranger]) await table.write(tx, 'juliet', item)
  })
  const found = await table.read('juliet')
  assert.equal(found.size, items.length + 1)
  for (const item of [...items, stranger]) assert.deepEqual(found.get(item.jid), item)
  assert.equal((await table.read('romeo')).size, 0)
})

test('does not lose what somebody else changed in the same row', async () => {
  await using server = await start()
  await using juliet = await server.login('juliet')
  const query = `<query xmlns='jabber:iq:roster'>`
  const set = (name: string): void =>
    juliet.send(
      `<iq type='set' id='${name}'>${query}<item jid='romeo@localhost' name='${name}'/></query></iq>`,
    )
  set('one')
  await juliet.receives(`<iq type='result' id='one'/>`)
  // As another node or ejabberd itself would, behind the back of what is in memory.
  const store = server.store()
  const change = store.table('rosterusers').update({ subscription: 'B' })
  await store.write(change.where('jid', '=', 'romeo@localhost')).settled
  set('two')
  await juliet.receives(`<iq type='result' id='two'/>`)
  const saved = store.table('rosterusers').select().select(['nick', 'subscription'])
  assert.deepEqual({ ...(await store.first(saved)) }, { nick: 'two', subscription: 'B' })
})

test('changes of one roster at the same time all count', async () => {
  await using server = await start()
  const names = Array.from({ length: 20 }, (_, index) => `c${index}`)
  await Promise.all(
    names.map((name) =>
      server.run('add_rosteritem', 'juliet', 'localhost', name, 'localhost', name, [name], 'both'),
    ),
  )
  assert.equal(await server.run('get_roster_count', 'juliet', 'localhost'), 20)
})

test('commands list, add and delete items as ejabberdctl does', async () => {
  await using server = await start()
  const owner = ['juliet', 'localhost'] as const
  const contact = ['romeo', 'localhost'] as const
  assert.deepEqual(await server.run('get_roster', ...owner), [])
  assert.equal(await server.run('add_rosteritem', ...owner, ...contact, 'R', ['A', 'B'], 'both'), 0)
  assert.deepEqual(await server.run('get_roster', ...owner), [
    ['romeo@localhost', 'R', 'both', 'undefined', ['A', 'B']],
  ])
  assert.equal(await server.run('delete_rosteritem', ...owner, ...contact), 0)
  assert.equal(await server.run('delete_rosteritem', ...owner, ...contact), 0)
  assert.equal(await server.run('get_roster_count', ...owner), 0)
  await assert.rejects(
    server.run('add_rosteritem', ...owner, ...contact, 'R', [], 'sideways'),
    /none of none, from, to and both/,
  )
  await assert.rejects(server.run('get_roster', 'juliet', 'elsewhere'), /not served/)
  await using romeo = await server.login('romeo')
  romeo.send(`<presence type='subscribe' to='juliet@localhost'/>`)
  await romeo.receivesNothing()
  assert.deepEqual(await server.run('get_roster', ...contact), [
    ['juliet@localhost', '', 'none', 'subscribe', []],
  ])
})

test('tells a client when the database cannot be written', async () => {
  await using server = await start()
  await using juliet = await server.login('juliet', { isAvailable: true })
  const query = `<query xmlns='jabber:iq:roster'>`
  juliet.send(`<iq type='set' id='1'>${query}<item jid='a@b'/></query></iq>`)
  await juliet.receives(`<iq type='result' id='1'/>`)
  await server.store().database.close()
  juliet.send(`<iq type='set' id='2'>${query}<item jid='c@d'/></query></iq>`)
  await juliet.receives(
    `<iq type='error' id='2'>{any}<error type='cancel' code='500'>{any}</error></iq>`,
  )
  juliet.send(`<presence type='subscribe' to='romeo@localhost' id='3'/>`)
  await juliet.receives(
    `<presence type='error' id='3'>{any}<error type='cancel' code='500'>{any}</error></presence>`,
  )
})
