import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  noMariadb,
  noPostgres,
  startMariadb,
  startPostgres,
} from '../../../test/support/databases.ts'
import type { TestDatabaseServer } from '../../../test/support/databases.ts'
import { ModuleServer } from '../../../test/support/module-server.ts'
import type { ModuleOptions, ModuleServerOptions } from '../../../test/support/module-server.ts'
import type { XmppClient } from '../../../test/support/xmpp-client.ts'
import { offline } from '../offline/offline.ts'
import { roster } from '../roster/roster.ts'
import { mam } from './mam.ts'

const ns = `xmlns='urn:xmpp:mam:2'`
const rsm = `xmlns='http://jabber.org/protocol/rsm'`
const errorNs = `xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`

const start = (
  options: ModuleOptions[string] = { default: 'always' },
  more: ModuleServerOptions = {},
): Promise<ModuleServer> =>
  ModuleServer.start(
    [mam, offline, roster],
    { mod_mam: options, mod_offline: {}, mod_roster: {} },
    more,
  )

const form = (fields: Readonly<Record<string, string | readonly string[]>>): string => {
  const all = Object.entries({ FORM_TYPE: 'urn:xmpp:mam:2', ...fields }).map(([name, value]) => {
    const values = typeof value === 'string' ? [value] : value
    return `<field var='${name}'>${values.map((one) => `<value>${one}</value>`).join('')}</field>`
  })
  return `<x xmlns='jabber:x:data' type='submit'>${all.join('')}</x>`
}

interface Page {
  readonly ids: readonly string[]
  readonly bodies: readonly string[]
  readonly isComplete: boolean
  readonly count: string | undefined
  readonly first: string | undefined
  readonly last: string | undefined
}

/** Asks for a page of the own archive. */
async function asks(client: XmppClient, content = ''): Promise<Page> {
  client.send(`<iq type='set' id='q'><query ${ns} queryid='x'>${content}</query></iq>`)
  const ids: string[] = []
  const bodies: string[] = []
  for (;;) {
    const element = await client.next()
    if (element.name === 'message') {
      const result = element.child('result', 'urn:xmpp:mam:2') ?? assert.fail(element.name)
      assert.equal(result.attr('queryid'), 'x')
      const forward = result.child('forwarded', 'urn:xmpp:forward:0')
      assert.ok(forward !== undefined)
      assert.ok(forward.child('delay', 'urn:xmpp:delay'))
      ids.push(result.attr('id') ?? '')
      bodies.push(forward.child('message', 'jabber:client')?.childText('body') ?? '')
      continue
    }
    assert.equal(element.attr('type'), 'result', element.text())
    const fin = element.child('fin', 'urn:xmpp:mam:2') ?? assert.fail()
    const set = fin.child('set', 'http://jabber.org/protocol/rsm') ?? assert.fail()
    return {
      ids,
      bodies,
      isComplete: fin.attr('complete') === 'true',
      count: set.childText('count'),
      first: set.childText('first'),
      last: set.childText('last'),
    }
  }
}

const chat = (to: string, body: string, extra = ''): string =>
  `<message to='${to}' type='chat'><body>${body}</body>${extra}</message>`

/** Romeo and Juliet, who have said these things to each other by turns, Romeo first. */
async function conversation(
  server: ModuleServer,
  ...bodies: readonly string[]
): Promise<{ romeo: XmppClient; juliet: XmppClient }> {
  const juliet = await server.login('juliet', { isAvailable: true })
  const romeo = await server.login('romeo', { isAvailable: true })
  for (const [index, body] of bodies.entries()) {
    const [from, to] = index % 2 === 0 ? [romeo, juliet] : [juliet, romeo]
    from.send(chat(to.jid, body))
    const message = await to.next('message')
    assert.equal(message.childText('body'), body)
    server.xmpp.clock.advance(1000)
  }
  return { romeo, juliet }
}

describe('the archive (XEP-0313)', () => {
  // shows: module mod_mam
  // shows: option mod_mam.default
  test('has what an account sent and got, with the id that the message came with (§5)', async () => {
    await using server = await start()
    await using juliet = await server.login('juliet', { isAvailable: true })
    await using romeo = await server.login('romeo', { isAvailable: true })
    romeo.send(
      chat(
        juliet.jid,
        'one',
        `<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@localhost' id='forged'/>`,
      ),
    )
    const message = await juliet.next('message')
    // XEP-0359 §5: what was forged is gone.
    const ids = message.childrenNamed('stanza-id', 'urn:xmpp:sid:0')
    assert.deepEqual(
      ids.map((id) => id.attr('by')),
      ['juliet@localhost'],
    )
    juliet.send(chat(romeo.jid, 'two'))
    await romeo.next('message')
    const page = await asks(juliet)
    assert.deepEqual(page.bodies, ['one', 'two'])
    assert.equal(page.ids[0], ids[0]?.attr('id'))
    assert.equal(page.isComplete, true)
    assert.deepEqual((await asks(romeo)).bodies, ['one', 'two'])
    await using nurse = await server.login('nurse')
    assert.deepEqual((await asks(nurse)).bodies, [])
  })

  test('is told to nobody else (§9)', async () => {
    await using server = await start()
    const { romeo, juliet } = await conversation(server, 'secret')
    await using _r = romeo
    await using _j = juliet
    romeo.send(`<iq type='set' id='q' to='juliet@localhost'><query ${ns}/></iq>`)
    await romeo.receives(
      `<iq type='error' id='q' from='juliet@localhost'><query ${ns}/><error type='auth' code='403'><forbidden ${errorNs}/></error></iq>`,
    )
  })

  test('goes page by page in both directions (§4.3, XEP-0059 §2)', async () => {
    await using server = await start()
    const { romeo, juliet } = await conversation(server, '1', '2', '3', '4', '5')
    await using _r = romeo
    await using _j = juliet
    const page = (set: string): Promise<Page> => asks(juliet, `<set ${rsm}>${set}</set>`)
    const first = await page('<max>2</max>')
    assert.deepEqual([first.bodies, first.isComplete, first.count], [['1', '2'], false, '5'])
    const second = await page(`<max>2</max><after>${first.last}</after>`)
    assert.deepEqual([second.bodies, second.isComplete], [['3', '4'], false])
    const third = await page(`<max>2</max><after>${second.last}</after>`)
    assert.deepEqual([third.bodies, third.isComplete], [['5'], true])
    const last = await page('<max>2</max><before/>')
    assert.deepEqual([last.bodies, last.isComplete], [['4', '5'], false])
    const earlier = await page(`<max>3</max><before>${last.first}</before>`)
    assert.deepEqual([earlier.bodies, earlier.isComplete], [['1', '2', '3'], true])
    const counted = await page('<max>0</max>')
    assert.deepEqual([counted.bodies, counted.count, counted.first], [[], '5', undefined])
    const flipped = await asks(juliet, `<set ${rsm}><max>2</max></set><flip-page/>`)
    assert.deepEqual(flipped.bodies, ['2', '1'])
    juliet.send(
      `<iq type='set' id='q'><query ${ns}><set ${rsm}><after>1</after></set></query></iq>`,
    )
    await juliet.receives(
      `<iq type='error' id='q'>{any}<error type='cancel' code='404'><item-not-found ${errorNs}/></error></iq>`,
    )
  })

  test('is searched by time, by address, by id and by text (§4.1, XEP-0431)', async () => {
    await using server = await start()
    const { romeo, juliet } = await conversation(server, 'O Romeo', '100% true', 'Farewell')
    await using _r = romeo
    await using _j = juliet
    await using nurse = await server.login('nurse')
    nurse.send(chat('juliet@localhost', 'Madam'))
    await juliet.next('message')
    const all = await asks(juliet)
    const [one = '', two = '', three = ''] = all.ids
    const find = async (fields: Readonly<Record<string, string | readonly string[]>>) =>
      (await asks(juliet, form(fields))).bodies
    assert.deepEqual(await find({ with: 'nurse@localhost' }), ['Madam'])
    assert.deepEqual(await find({ with: romeo.jid }), ['O Romeo', '100% true', 'Farewell'])
    assert.deepEqual(await find({ withtext: 'ROMEO' }), ['O Romeo'])
    assert.deepEqual(await find({ '{urn:xmpp:fulltext:0}fulltext': '0%' }), ['100% true'])
    assert.deepEqual(await find({ 'after-id': one, 'before-id': three }), ['100% true'])
    assert.deepEqual(await find({ ids: [one, three] }), ['O Romeo', 'Farewell'])
    const stamp = new Date(Number(two) / 1000).toISOString()
    assert.deepEqual(await find({ start: stamp, end: stamp }), ['100% true'])
    juliet.send(`<iq type='get' id='m'><metadata ${ns}/></iq>`)
    const metadata = (await juliet.next('iq')).child('metadata', 'urn:xmpp:mam:2')
    assert.equal(metadata?.child('start')?.attr('id'), one)
    assert.equal(metadata?.child('end')?.attr('id'), all.ids.at(-1))
  })

  test('refuses queries that it does not understand (§4.1.1)', async () => {
    await using server = await start()
    await using juliet = await server.login('juliet')
    juliet.send(`<iq type='get' id='f'><query ${ns}/></iq>`)
    const fields = (await juliet.next('iq'))
      .child('query', 'urn:xmpp:mam:2')
      ?.child('x', 'jabber:x:data')
      ?.childrenNamed('field')
    assert.equal(fields?.length, 9)
    for (const content of [
      form({ colour: 'blue' }),
      form({ start: 'yesterday' }),
      form({ with: '@' }),
      form({ FORM_TYPE: 'urn:xmpp:mam:1' }),
      `<set ${rsm}><max>many</max></set>`,
    ]) {
      juliet.send(`<iq type='set' id='q'><query ${ns}>${content}</query></iq>`)
      await juliet.receives(
        `<iq type='error' id='q'>{any}<error type='modify' code='400'><bad-request ${errorNs}/>{any}</error></iq>`,
      )
    }
    for (const ids of [['1'], ['x']]) {
      juliet.send(`<iq type='set' id='q'><query ${ns}>${form({ ids })}</query></iq>`)
      await juliet.receives(
        `<iq type='error' id='q'>{any}<error type='cancel' code='404'><item-not-found ${errorNs}/></error></iq>`,
      )
    }
  })

  test('leaves out what has nothing to read, or is not to be kept (XEP-0334 §4)', async () => {
    await using server = await start()
    await using juliet = await server.login('juliet', { isAvailable: true })
    await using romeo = await server.login('romeo')
    const to = `to='${juliet.jid}'`
    for (const message of [
      `<message ${to} type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
      `<message ${to} type='headline'><body>news</body></message>`,
      `<message ${to} type='chat'><body>psst</body><no-store xmlns='urn:xmpp:hints'/></message>`,
    ]) {
      romeo.send(message)
      const received = await juliet.next('message')
      assert.equal(received.child('stanza-id', 'urn:xmpp:sid:0'), undefined)
    }
    romeo.send(`<message ${to} type='chat'><store xmlns='urn:xmpp:hints'/></message>`)
    await juliet.next('message')
    assert.equal((await asks(juliet)).ids.length, 1)
  })

  test('has messages for who is away once, whether they are handed out later or not', async () => {
    await using server = await start()
    await server.register('juliet@localhost')
    await using romeo = await server.login('romeo')
    romeo.send(chat('juliet@localhost', 'later'))
    await romeo.receivesNothing()
    await using juliet = await server.login('juliet')
    juliet.send('<presence/>')
    await juliet.next('presence')
    const message = await juliet.next('message')
    const page = await asks(juliet)
    assert.deepEqual(page.bodies, ['later'])
    assert.equal(message.child('stanza-id', 'urn:xmpp:sid:0')?.attr('id'), page.ids[0])
  })
})

describe('archiving preferences (XEP-0441)', () => {
  const prefs = (policy: string, always = '', never = ''): string =>
    `<prefs ${ns} default='${policy}'><always>${always}</always><never>${never}</never></prefs>`

  test('are asked for and set', async () => {
    await using server = await start({})
    await using juliet = await server.login('juliet')
    juliet.send(`<iq type='get' id='p'><prefs ${ns}/></iq>`)
    await juliet.receives(`<iq type='result' id='p'>${prefs('never')}</iq>`)
    const wanted = prefs('roster', '<jid>romeo@localhost</jid>', '<jid>paris@localhost/x</jid>')
    juliet.send(`<iq type='set' id='p'>${wanted}</iq>`)
    await juliet.receives(`<iq type='result' id='p'>${wanted}</iq>`)
    juliet.send(`<iq type='set' id='p'>${prefs('sometimes')}</iq>`)
    await juliet.receives(
      `<iq type='error' id='p'>{any}<error type='modify' code='400'><bad-request ${errorNs}/></error></iq>`,
    )
    const store = server.store()
    const row = await store.first(store.table('archive_prefs').select().selectAll())
    // As ejabberd writes it.
    assert.equal(row?.always, '[{<<"romeo">>,<<"localhost">>,<<>>}]')
    assert.equal(row.def, 'roster')
  })

  // shows: option mod_mam.access_preferences
  test('are set by those only who may', async () => {
    await using server = await start({ access_preferences: 'none' })
    await using juliet = await server.login('juliet')
    juliet.send(`<iq type='set' id='p'>${prefs('always')}</iq>`)
    await juliet.receives(
      `<iq type='error' id='p'>{any}<error type='auth' code='403'><forbidden ${errorNs}/>{any}</error></iq>`,
    )
  })

  test('decide by address what is archived, from the database too', async () => {
    await using server = await start({ use_cache: false })
    await using juliet = await server.login('juliet', { isAvailable: true })
    juliet.send(`<iq type='set' id='p'>${prefs('roster', '<jid>nurse@localhost</jid>')}</iq>`)
    await juliet.receives(`<iq type='result' id='p'>{any}</iq>`)
    juliet.send(
      `<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@localhost' name='R'/></query></iq>`,
    )
    await juliet.receives(`<iq type='result' id='r'/>`)
    await server.register('paris@localhost')
    for (const name of ['romeo', 'nurse', 'paris']) {
      await using client = await server.login(name)
      client.send(chat(juliet.jid, name))
      await juliet.next('message')
    }
    assert.deepEqual((await asks(juliet)).bodies, ['romeo', 'nurse'])
  })

  // shows: option mod_mam.request_activates_archiving
  test('are made by the first request, if that is wanted', async () => {
    await using server = await start({ default: 'always', request_activates_archiving: true })
    const { romeo, juliet } = await conversation(server, 'before')
    await using _r = romeo
    await using _j = juliet
    assert.deepEqual((await asks(juliet)).bodies, [])
    romeo.send(chat(juliet.jid, 'after'))
    await juliet.next('message')
    assert.deepEqual((await asks(juliet)).bodies, ['after'])
  })
})

// shows: command get_mam_count
// shows: command remove_mam_for_user
// shows: command remove_mam_for_user_with_peer
// shows: command delete_old_mam_messages
test('commands count and remove what is archived', async () => {
  await using server = await start()
  const { romeo, juliet } = await conversation(server, '1', '2', '3')
  await using _r = romeo
  await using _j = juliet
  await using nurse = await server.login('nurse')
  nurse.send(chat(juliet.jid, '4'))
  await juliet.next('message')
  const count = (name: string): Promise<unknown> => server.run('get_mam_count', name, 'localhost')
  assert.equal(await count('juliet'), 4)
  await server.run('remove_mam_for_user_with_peer', 'juliet', 'localhost', 'romeo@localhost')
  assert.equal(await count('juliet'), 1)
  await server.run('remove_mam_for_user', 'juliet', 'localhost')
  assert.equal(await count('juliet'), 0)
  await server.run('delete_old_mam_messages', 'chat', 1)
  assert.equal(await count('romeo'), 3)
  server.xmpp.clock.advance(2 * 86_400_000)
  await server.run('delete_old_mam_messages', 'groupchat', 1)
  assert.equal(await count('romeo'), 3)
  await server.run('delete_old_mam_messages', 'all', 1)
  assert.equal(await count('romeo'), 0)
})

for (const { name, type, skip, startServer } of [
  { name: 'PostgreSQL', type: 'pgsql', skip: noPostgres, startServer: startPostgres },
  { name: 'MariaDB', type: 'mysql', skip: noMariadb, startServer: startMariadb },
] as const) {
  describe(`the archive over ${name}`, { skip }, () => {
    let database: TestDatabaseServer
    before(async () => {
      database = await startServer()
    })
    after(() => database[Symbol.asyncDispose]())

    for (const multihost of [true, false]) {
      // shows: option mod_mam.db_type
      test(`is kept and searched ${multihost ? 'with' : 'without'} server_host`, async () => {
        const settings = { type, ...(await database.createDatabase()), multihost }
        await using server = await start({ default: 'always' }, { database: settings })
        const { romeo, juliet } = await conversation(server, 'one 😀', `two '\\`, '50% off')
        await using _r = romeo
        await using _j = juliet
        assert.deepEqual((await asks(juliet)).bodies, ['one 😀', `two '\\`, '50% off'])
        assert.deepEqual((await asks(juliet, form({ withtext: '0%' }))).bodies, ['50% off'])
        const last = await asks(juliet, `<set ${rsm}><max>1</max><before/></set>`)
        assert.deepEqual([last.bodies, last.isComplete, last.count], [['50% off'], false, '3'])
        assert.equal(await server.run('get_mam_count', 'romeo', 'localhost'), 3)
      })
    }
  })
}
