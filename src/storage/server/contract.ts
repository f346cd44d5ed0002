import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TestClock } from '../../core/clock.ts'
import { silentLog } from '../../core/log.ts'
import { failed, written } from '../expect.ts'
import type { ServerStoreSettings } from '../open.ts'
import { openStore } from '../open.ts'

/** A server of the test's own (`test/support/databases.ts`). */
interface MortalServer extends AsyncDisposable {
  createDatabase(): Promise<Pick<ServerStoreSettings, 'server' | 'username' | 'database'>>
  kill(): Promise<void>
  start(): Promise<void>
}

/** What a database on a server adds to the store's contract: the server may go away and come back. */
export function testServerLoss(target: {
  readonly name: string
  readonly skip: string | false
  readonly type: ServerStoreSettings['type']
  readonly start: () => Promise<MortalServer>
}): void {
  describe(`store over ${target.name} whose server goes away`, { skip: target.skip }, () => {
    test('fails writes while it is gone, tries again after sql_start_interval, loses nothing', async () => {
      const clock = new TestClock()
      await using server = await target.start()
      const database = await server.createDatabase()
      await using store = await openStore(
        { type: target.type, ...database, multihost: true, startIntervalMs: 30_000 },
        { log: silentLog, clock },
      )
      const host = store.forHost('localhost')
      const insert = (username: string) =>
        host.write(host.table('last').insert({ username, seconds: '0', state: '' }))
      const readAll = async () => {
        const rows = await host.read(
          host.table('last').select().select('username').orderBy('username'),
        )
        return rows.map(({ username }) => username)
      }
      await written(insert('a'))
      assert.deepEqual(await readAll(), ['a'])

      await server.kill()
      assert.equal((await failed(insert('b'))).code, 'unavailable')
      assert.equal((await failed(insert('c'))).code, 'unavailable')
      await assert.rejects(readAll(), { code: 'unavailable' })
      await assert.rejects(
        host.transaction(async () => 1),
        { code: 'unavailable' },
      )

      await server.start()
      // Not yet: a server that has just come back is not overrun by everybody at once.
      assert.equal((await failed(insert('d'))).code, 'unavailable')
      clock.advance(30_000)
      await written(insert('e'))
      assert.deepEqual(await readAll(), ['a', 'e'])
    })

    test('that cannot be reached at all is an error that says so', async () => {
      const settings = { type: target.type, server: 'unix:/nonexistent/socket', multihost: true }
      await assert.rejects(openStore(settings, { log: silentLog, clock: new TestClock() }), {
        name: 'StorageError',
        code: 'unavailable',
        message: /Cannot connect to the database: .*nonexistent/,
      })
    })

    test('without prepared statements does the same', async () => {
      await using server = await target.start()
      await using store = await openStore(
        {
          type: target.type,
          ...(await server.createDatabase()),
          multihost: false,
          preparedStatements: false,
          poolSize: 1,
        },
        { log: silentLog, clock: new TestClock() },
      )
      const host = store.forHost('localhost')
      const state = `'"\\ $1 ? 𝄞`
      await written(host.write(host.table('last').insert({ username: 'a', seconds: '0', state })))
      const row = await host.first(host.table('last').select().select('state').limit(1))
      assert.deepEqual(row, { state })
    })
  })
}
