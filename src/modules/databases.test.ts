import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { noMariadb, noPostgres, startMariadb, startPostgres } from '../../test/support/databases.ts'
import type { TestDatabaseServer } from '../../test/support/databases.ts'
import { ModuleServer } from '../../test/support/module-server.ts'
import { stanzaRouted } from '../xmpp/hooks.ts'
import { last } from './last.ts'
import { offline } from './offline/offline.ts'
import { roster } from './roster/roster.ts'

const targets = [
  { name: 'PostgreSQL', type: 'pgsql', skip: noPostgres, startServer: startPostgres },
  { name: 'MariaDB', type: 'mysql', skip: noMariadb, startServer: startMariadb },
] as const

const query = `xmlns='jabber:iq:roster'`

/** What the modules keep, in the other databases than SQLite and in both forms of ejabberd's schema. */
for (const { name, type, skip, startServer } of targets) {
  describe(`modules over ${name}`, { skip }, () => {
    let database: TestDatabaseServer
    before(async () => {
      database = await startServer()
    })
    after(() => database[Symbol.asyncDispose]())

    for (const multihost of [true, false]) {
      test(`keep rosters, messages and last activity ${multihost ? 'with' : 'without'} server_host`, async () => {
        const settings = { type, ...(await database.createDatabase()), multihost }
        await using server = await ModuleServer.start(
          [last, offline, roster],
          {
            mod_last: {},
            mod_offline: {},
            mod_roster: { use_cache: false, store_current_id: true },
          },
          { database: settings },
        )
        const romeo = await server.login('romeo', { isAvailable: true })
        romeo.send(`<iq type='get' id='get'><query ${query}/></iq>`)
        await romeo.receives(`<iq type='result' id='get'><query ${query}/></iq>`)
        romeo.send(
          `<iq type='set' id='set'><query ${query}><item jid='juliet@localhost' name='J ✓ &apos;"\\'><group>A</group><group>B</group></item></query></iq>`,
        )
        const item = (attrs: string): string =>
          `<iq type='set'><query ${query}><item jid='juliet@localhost' name='J ✓ &apos;"\\' ${attrs}><group>A</group><group>B</group></item></query></iq>`
        await romeo.receives(item(`subscription='none'`))
        await romeo.receives(`<iq type='result' id='set'/>`)
        romeo.send(
          `<presence type='subscribe' to='juliet@localhost'><status>Hail ✓</status><x xmlns='urn:example:x'/></presence>`,
        )
        await romeo.receives(item(`subscription='none' ask='subscribe'`))
        const stored = Promise.withResolvers<void>()
        let left = 2
        server.xmpp.hooks().on(
          stanzaRouted,
          (_stanza, outcome) => {
            if (outcome === 'stored' && --left === 0) stored.resolve()
          },
          'test',
        )
        for (const body of ['one', 'two 😀']) {
          romeo.send(`<message to='juliet@localhost' type='chat'><body>${body}</body></message>`)
        }
        await stored.promise
        romeo.send(`<presence type='unavailable'><status>Bye</status></presence>`)
        await romeo.receivesNothing()
        await romeo.vanish()

        await using juliet = await server.login('juliet')
        juliet.send('<presence/>')
        const delay = `<delay xmlns='urn:xmpp:delay' from='{any}' stamp='{any}'>{any}</delay>`
        await juliet.receivesAll(
          `<presence from='${juliet.jid}'/>`,
          `<presence type='subscribe' from='romeo@localhost'><status>Hail ✓</status><x xmlns='urn:example:x'/></presence>`,
          `<message type='chat'><body>one</body>${delay}</message>`,
          `<message type='chat'><body>two 😀</body>${delay}</message>`,
        )
        assert.equal(await server.run('get_offline_count', 'juliet', 'localhost'), 0)
        juliet.send(`<presence type='subscribed' to='romeo@localhost'/>`)
        await juliet.receivesNothing()
        assert.deepEqual(await server.run('get_roster', 'juliet', 'localhost'), [
          ['romeo@localhost', '', 'from', 'undefined', []],
        ])
        assert.deepEqual(await server.run('get_last', 'romeo', 'localhost'), [
          '2026-01-01T00:00:00Z',
          'Bye',
        ])
        await server.xmpp.removeAccount('romeo@localhost')
        const store = server.store()
        for (const table of ['rosterusers', 'rostergroups', 'roster_version'] as const) {
          const rows = store.table(table).select().select('username')
          const left = await store.read(rows.where('username', '=', 'romeo'))
          assert.deepEqual(left, [], table)
        }
      })
    }
  })
}
