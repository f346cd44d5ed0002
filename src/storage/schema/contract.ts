import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sql } from 'kysely'
import { systemClock } from '../../core/clock.ts'
import { silentLog } from '../../core/log.ts'
import type { HostStore, Migration, Query, Store, TableSpec } from '../../core/store.ts'
import { written } from '../expect.ts'
import type { StoreSettings } from '../open.ts'
import { openStore, planStore } from '../open.ts'
import { createTable } from './ddl.ts'
import {
  blob,
  boolean,
  defineTable,
  index,
  integer,
  key,
  nullable,
  primary,
  text,
} from './define.ts'
import { ejabberdModules } from './ejabberd.ts'

const tools = { log: silentLog, clock: systemClock() }

/** The part of the store's contract that is about tables: made, brought up to date, left alone. */
export function testSchema(fresh: () => Promise<StoreSettings>): void {
  describe('schema', () => {
    let settings: StoreSettings
    let store: Store
    let host: HostStore

    before(async () => {
      settings = await fresh()
      store = await openStore(settings, tools)
      host = store.forHost('capulet.example')
    })
    after(() => store.close())

    const things = defineTable(
      'linnet_contract_things',
      { id: key(), server_host: key(), n: integer(), flag: boolean(), data: nullable(blob()) },
      [primary(['server_host', 'id']), index(['n'])],
    )
    const notes = defineTable('linnet_contract_notes', { note: text() }, [index(['note'])])
    const migrations: Migration[] = [
      { version: 1, title: 'things', tables: [things] },
      {
        version: 2,
        title: 'notes, with a first one',
        tables: [notes],
        sql: () => ["INSERT INTO linnet_contract_notes (note) VALUES ('first')"],
      },
    ]
    const readNotes = () =>
      host.read(sql<{ note: string }>`SELECT note FROM linnet_contract_notes`.compile(host.db))

    test('of ejabberd is complete after opening', async () => {
      const plan = await planStore(settings, tools)
      assert.deepEqual(plan.statements, [])
      assert.deepEqual(plan.notes, [])
      assert.equal(host.hasColumn('users', 'type'), true)
      const versions = await host.read(host.db.selectFrom('schema_version').selectAll())
      assert.equal(versions.find((row) => row.module === 'mod_mam_sql')?.version, 2)
      assert.equal(versions.find((row) => row.module === 'mod_muc_sql')?.version, 1)
    })

    test('in the other form is refused', async () => {
      await assert.rejects(openStore({ ...settings, multihost: !settings.multihost }, tools), {
        code: 'schema',
        message: /sql_schema_multihost must be/,
      })
    })

    test('changes step by step, each step once', async () => {
      const first = migrations.slice(0, 1)
      const planned = await store.migrate('mod_contract', first, { dryRun: true })
      assert.match(planned.join(), /linnet_contract_things/)
      assert.equal(/server_host/.test(planned.join()), settings.multihost)
      await Promise.all([
        host.migrate('mod_contract', first),
        store.forHost('montague.example').migrate('mod_contract', first),
      ])
      // The next version of the program.
      await using later = await openStore(settings, tools)
      await later.migrate('mod_contract', migrations)
      await later.migrate('mod_contract', migrations)
      assert.deepEqual(await later.migrate('mod_contract', migrations, { dryRun: true }), [])
      assert.deepEqual(await readNotes(), [{ note: 'first' }])
      const done = await host.read(
        host.db
          .selectFrom('linnet_migration')
          .select(['version', 'title'])
          .where('owner', '=', 'mod_contract')
          .orderBy('version'),
      )
      assert.deepEqual(done, [
        { version: 1, title: 'things' },
        { version: 2, title: 'notes, with a first one' },
      ])
    })

    test('of an older ejabberd is added to, so that it can still use it', async () => {
      const old = { ...(await fresh()), updateSchema: false }
      {
        await using bare = await openStore(old, tools)
        const form = { dialect: bare.dialect, multihost: bare.multihost }
        const here = bare.forHost('capulet.example')
        const sh = form.multihost
          ? { columns: ', server_host', values: ", 'capulet.example'" }
          : none
        await here.transaction(async (tx) => {
          for (const table of olderTables) {
            for (const text of createTable(table, form)) await tx.write(statement(text))
          }
          await tx.write(
            statement(
              `INSERT INTO users (username, password${sh.columns}) VALUES ('juliet', 'R0m30'${sh.values})`,
            ),
          )
        })
        const plan = await planStore(old, tools)
        assert.match(plan.statements.join('\n'), /ALTER TABLE .archive. ADD COLUMN .origin_id./)
        assert.doesNotMatch(plan.statements.join('\n'), /ALTER TABLE .users./)
      }
      await using upgraded = await openStore({ ...old, updateSchema: true }, tools)
      const here = upgraded.forHost('capulet.example')
      assert.equal(here.hasColumn('users', 'type'), false)
      assert.equal(here.hasColumn('archive', 'origin_id'), true)
      // As the older ejabberd writes: without the columns that it does not know.
      const sh = settings.multihost
        ? { columns: ', server_host', values: ", 'capulet.example'" }
        : none
      await written(
        here.write([
          statement(
            `INSERT INTO rosterusers (username, jid, nick, subscription, ask, askmessage, server, subscribe, type${sh.columns}) VALUES ('juliet', 'a@b', '', 'B', 'N', '', 'N', '', 'item'${sh.values})`,
          ),
          statement(
            `INSERT INTO archive (username, timestamp, peer, bare_peer, xml${sh.columns}) VALUES ('juliet', 1, 'a@b/c', 'a@b', '<message/>'${sh.values})`,
          ),
        ]),
      )
      const item = here.table('rosterusers').select().select('approved')
      assert.deepEqual(await here.read(item), [{ approved: false }])
      // Accounts keep one row each, under the old key.
      const upsert = here
        .table('users')
        .upsert({ key: { username: 'juliet' }, set: { password: 'changed' } })
      await written(here.write(upsert))
      assert.deepEqual(await here.read(here.table('users').select().select('password')), [
        { password: 'changed' },
      ])
      const versions = await here.read(here.db.selectFrom('schema_version').selectAll())
      const version = (module: string) => versions.find((row) => row.module === module)?.version
      assert.deepEqual(
        [version('ejabberd_auth_sql'), version('mod_mam_sql'), version('mod_roster_sql')],
        [1, 2, 2],
      )
      const again = await planStore(old, tools)
      assert.deepEqual(again.statements, [])
      assert.deepEqual(again.notes, [
        'Table "users" is of an older layout without "type", which it keeps',
      ])
    })

    test('stays as it is when update_sql_schema is false', async () => {
      await using strict = await openStore({ ...settings, updateSchema: false }, tools)
      const table = defineTable('linnet_contract_more', { a: text() }, [])
      await assert.rejects(
        strict.migrate('mod_more', [{ version: 1, title: 'more', tables: [table] }]),
        { code: 'schema', message: /CREATE TABLE.*linnet_contract_more/s },
      )
      const empty = { ...(await fresh()), updateSchema: false }
      await using bare = await openStore(empty, tools)
      await assert.rejects(async () => bare.forHost('capulet.example').table('users'), {
        code: 'schema',
        message: 'The database has no table "users"',
      })
    })

    test('rejects wrong numbers and foreign names', async () => {
      await assert.rejects(store.migrate('mod_a', [{ version: 2, title: '' }]), /numbered 1, 2, 3/)
      const foreign = defineTable('users2', { a: text() }, [])
      await assert.rejects(
        store.migrate('mod_b', [{ version: 1, title: '', tables: [foreign] }]),
        /must be named linnet_/,
      )
    })
  })
}

const none = { columns: '', values: '' }

const statement = (text: string): Query => ({ sql: text, parameters: [] })

/** Tables as ejabberd 23.01 made them, by taking away what came later. */
const olderTables: readonly TableSpec[] = ejabberdModules
  .flatMap(({ tables }) => tables)
  .filter(({ name }) => ['users', 'rosterusers', 'archive', 'last'].includes(name))
  .map((table) => {
    const later = { users: 'type', rosterusers: 'approved', archive: 'origin_id' }
    const gone: unknown = Reflect.get(later, table.name)
    const columns = Object.entries(table.columns).filter(([name]) => name !== gone)
    const keys = table.keys.map((key) => ({
      ...key,
      columns: key.columns.filter((name) => name !== gone),
    }))
    return { ...table, columns: Object.fromEntries(columns), keys: keys.slice(0, 1) }
  })
