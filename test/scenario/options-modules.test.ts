import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, suite, test } from 'node:test'
import type { Hooks } from '../../src/core/hooks.ts'
import { hosts } from '../../src/core/shared.ts'
import { offline } from '../../src/modules/offline/offline.ts'
import { roster } from '../../src/modules/roster/roster.ts'
import { stanzaRouted } from '../../src/xmpp/hooks.ts'
import { ModuleServer } from '../support/module-server.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

type Values = Readonly<Record<string, unknown>>

let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'linnet-options-modules-'))
})
after(() => rmSync(dir, { recursive: true }))

/** Resolves when that many messages have ended in one way or another. */
function routed(hooks: Hooks, messages: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = messages
  hooks.on(
    stanzaRouted,
    ({ kind, type }) => {
      if (kind === 'message' && type !== 'error' && --left === 0) resolve()
    },
    'test',
  )
  return promise
}

/** What happens between reading something and reading it again. */
type Meanwhile = 'nothing' | 'a minute' | 'others are read'

/** Whether a change in the database is seen when a roster is read again. */
async function seesRoster(
  options: Values,
  config: Values,
  meanwhile: Meanwhile = 'nothing',
): Promise<boolean> {
  await using server = await ModuleServer.start([roster], { mod_roster: options }, { config })
  server.xmpp.clock.advance(1000)
  const store = server.store()
  const read = async (name: string): Promise<unknown> => server.run('get_roster', name, 'localhost')
  await server.run('add_rosteritem', 'juliet', 'localhost', 'romeo', 'localhost', 'R', [], 'both')
  await server.run('add_rosteritem', 'nurse', 'localhost', 'romeo', 'localhost', 'R', [], 'both')
  const first = await read('juliet')
  await store.write(store.table('rosterusers').update({ nick: 'Changed' })).settled
  if (meanwhile === 'a minute') server.xmpp.clock.advance(60_000)
  if (meanwhile === 'others are read') await read('nurse')
  return JSON.stringify(await read('juliet')) !== JSON.stringify(first)
}

/** Whether somebody's first contact, made behind the server's back, is seen. */
async function seesFirstContact(options: Values, config: Values): Promise<boolean> {
  await using server = await ModuleServer.start([roster], { mod_roster: options }, { config })
  const read = () => server.run('get_roster_count', 'juliet', 'localhost')
  assert.equal(await read(), 0)
  const row = { nick: '', subscription: 'B', approved: false, ask: 'N', askmessage: '' }
  const who = {
    username: 'juliet',
    jid: 'romeo@localhost',
    server: 'N',
    subscribe: '',
    type: 'item',
  }
  const store = server.store()
  await store.write(store.table('rosterusers').insert({ ...row, ...who })).settled
  return (await read()) === 1
}

/** Whether a message that was stored behind the server's back counts. */
async function seesMessage(
  options: Values,
  config: Values,
  meanwhile: Meanwhile = 'nothing',
): Promise<boolean> {
  await using server = await ModuleServer.start([offline], { mod_offline: options }, { config })
  server.xmpp.clock.advance(1000)
  const count = (name: string) => server.run('get_offline_count', name, 'localhost')
  assert.equal(await count('juliet'), 0)
  const store = server.store()
  const xml = `<message xmlns='jabber:client' from='a@b' to='juliet@localhost'/>`
  await store.write(store.table('spool').insert({ username: 'juliet', xml })).settled
  if (meanwhile === 'a minute') server.xmpp.clock.advance(60_000)
  if (meanwhile === 'others are read') await count('nurse')
  return (await count('juliet')) === 1
}

suite('caches', () => {
  for (const [name, sees] of [
    ['roster', seesRoster],
    ['offline', seesMessage],
  ] as const) {
    const both = async (option: Values, meanwhile: Meanwhile): Promise<readonly boolean[]> => [
      await sees(option, {}, meanwhile),
      await sees({}, option, meanwhile),
    ]

    // shows: option use_cache
    // shows: option mod_roster.use_cache
    // shows: option mod_offline.use_cache
    test(`use_cache of the module or at the top switches them off (${name})`, async () => {
      assert.deepEqual(await both({}, 'nothing'), [false, false])
      assert.deepEqual(await both({ use_cache: false }, 'nothing'), [true, true])
    })

    // shows: option cache_life_time
    // shows: option mod_roster.cache_life_time
    // shows: option mod_offline.cache_life_time
    test(`cache_life_time of the module or at the top makes them forget (${name})`, async () => {
      assert.deepEqual(await both({}, 'a minute'), [false, false])
      assert.deepEqual(await both({ cache_life_time: '30s' }, 'a minute'), [true, true])
    })

    // shows: option cache_size
    // shows: option mod_roster.cache_size
    // shows: option mod_offline.cache_size
    test(`cache_size of the module or at the top bounds them (${name})`, async () => {
      assert.deepEqual(await both({}, 'others are read'), [false, false])
      assert.deepEqual(await both({ cache_size: 1 }, 'others are read'), [true, true])
    })
  }

  // shows: option cache_missed
  // shows: option mod_roster.cache_missed
  test('cache_missed keeps that there was nothing, or not', async () => {
    assert.equal(await seesFirstContact({}, {}), false)
    assert.equal(await seesFirstContact({ cache_missed: false }, {}), true)
    assert.equal(await seesFirstContact({}, { cache_missed: false }), true)
  })
})

suite('mod_roster', () => {
  // shows: option mod_roster.store_current_id
  test('keeps the version of a roster in the database with store_current_id', async () => {
    for (const store_current_id of [true, false]) {
      const options = { versioning: true, store_current_id }
      await using server = await ModuleServer.start([roster], { mod_roster: options })
      await server.run('add_rosteritem', 'juliet', 'localhost', 'a', 'localhost', '', [], 'both')
      const store = server.store()
      const rows = store.table('roster_version').select().select('username')
      assert.equal((await store.read(rows)).length, store_current_id ? 1 : 0)
    }
  })
})

suite('mod_offline', () => {
  // shows: option mod_offline.store_empty_body
  test('keeps messages without a body as store_empty_body says', async () => {
    const state = `<active xmlns='http://jabber.org/protocol/chatstates'/>`
    const other = `<x xmlns='urn:example:x'/>`
    for (const [store_empty_body, kept] of [
      ['unless_chat_state', 1],
      [true, 2],
      [false, 0],
    ] as const) {
      await using server = await ModuleServer.start([offline], {
        mod_offline: { store_empty_body },
      })
      await using romeo = await server.login('romeo')
      const ended = routed(server.xmpp.hooks(), 2)
      for (const payload of [state, other]) {
        romeo.send(`<message to='juliet@localhost' type='chat'>${payload}</message>`)
      }
      await ended
      assert.equal(await server.run('get_offline_count', 'juliet', 'localhost'), kept)
    }
  })
})

suite('db_type', () => {
  const countOf = (file: string, table: string): number => {
    if (!existsSync(file)) return 0
    const database = new DatabaseSync(file, { readOnly: true })
    try {
      const exists = database.prepare('SELECT 1 FROM sqlite_master WHERE name = ?').get(table)
      return exists === undefined ? 0 : database.prepare(`SELECT * FROM ${table}`).all().length
    } finally {
      database.close()
    }
  }

  /** What modules keep, in the database of the `sql_*` options. */
  const tables = {
    mod_roster: 'rosterusers',
    mod_offline: 'spool',
    mod_last: 'last',
    mod_mqtt: 'mqtt_pub',
  } as const

  // shows: option mod_roster.db_type
  // shows: option mod_offline.db_type
  // shows: option mod_last.db_type
  // shows: option mod_mqtt.db_type
  test('says in which database a module keeps its data', async () => {
    for (const inSql of Object.keys(tables)) {
      const file = join(dir, `${inSql}.sqlite`)
      const modules = Object.fromEntries(
        Object.keys(tables).map((name) => [name, { db_type: name === inSql ? 'sql' : 'mnesia' }]),
      )
      const listen = ['ejabberd_c2s', 'mod_mqtt'].map((module) => ({
        port: 0,
        ip: '127.0.0.1',
        module,
      }))
      {
        await using server = await TestServer.start({
          config: { listen, modules, sql_type: 'sqlite', sql_database: file },
        })
        await server.ok('register', 'juliet', 'localhost', 'secret')
        await server.ok('register', 'romeo', 'localhost', 'secret')
        await using romeo = await XmppClient.connect(server.port('ejabberd_c2s'))
        await romeo.login('romeo')
        const query = `<query xmlns='jabber:iq:roster'><item jid='juliet@localhost'/></query>`
        romeo.send(`<iq type='set' id='r'>${query}</iq>`)
        await romeo.receives(`<iq type='result' id='r'/>`)
        const ended = routed(server.server.services.get(hosts).get('localhost').hooks, 1)
        romeo.send(`<message to='juliet@localhost' type='chat'><body>hi</body></message>`)
        await ended
        assert.equal((await server.ok('get_offline_count', 'juliet', 'localhost')).trim(), '1')
        await using lamp = await MqttClient.connect(server.port('mod_mqtt'))
        await lamp.login({ userName: 'juliet', password: 'secret' })
        await lamp.publish('a', 'x', { qos: 1, retain: true })
      }
      for (const [name, table] of Object.entries(tables)) {
        assert.equal(countOf(file, table) > 0, name === inSql, `${name} with ${inSql} in SQL`)
      }
    }
  })
})
