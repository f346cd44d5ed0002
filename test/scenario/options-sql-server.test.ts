import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { Client } from 'pg'
import { noPostgres, startPostgres } from '../support/databases.ts'
import type { TestDatabase, TestDatabaseServer } from '../support/databases.ts'
import { TestClock, TestServer } from '../support/server.ts'

suite('on PostgreSQL', { skip: noPostgres }, () => {
  let postgres: TestDatabaseServer
  before(async () => {
    postgres = await startPostgres()
  })
  after(() => postgres[Symbol.asyncDispose]())

  function optionsOf({ server, username, database }: TestDatabase): Record<string, unknown> {
    return {
      default_db: 'sql',
      sql_type: 'pgsql',
      sql_server: server,
      sql_username: username,
      sql_database: database,
    }
  }

  /** A connection of our own, beside those of the server. */
  async function visitorOf({ server, username, database }: TestDatabase): Promise<Client> {
    const host = dirname(server.slice('unix:'.length))
    const client = new Client({ host, user: username, database })
    await client.connect()
    return client
  }

  // shows: option sql_query_timeout
  test('a query that takes longer than sql_query_timeout is given up', async () => {
    const database = await postgres.createDatabase()
    const config = { ...optionsOf(database), sql_query_timeout: '1 s', auth_use_cache: false }
    await using server = await TestServer.start({ config })
    await server.ok('register', 'juliet', 'localhost', 'secret')
    const visitor = await visitorOf(database)
    await visitor.query('BEGIN; LOCK TABLE users')
    const { exit } = await server.run('register', 'romeo', 'localhost', 'secret')
    assert.notEqual(exit, 0)
    await visitor.query('ROLLBACK')
    await visitor.end()
  })

  // shows: option sql_pool_size
  test('no more connections than sql_pool_size are made', async () => {
    const database = await postgres.createDatabase()
    const visitor = await visitorOf(database)
    const counter = await visitorOf(database)
    const connections = async (): Promise<number> => {
      const { rows } = await counter.query<{ count: string }>(
        `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'linnet' AND datname = $1`,
        [database.database],
      )
      return Number(rows[0]?.count)
    }
    for (const sql_pool_size of [2, 4]) {
      const config = { ...optionsOf(database), sql_pool_size, auth_use_cache: false }
      await using server = await TestServer.start({ config })
      await visitor.query('BEGIN; LOCK TABLE users')
      // More questions than connections; none is answered before the lock is gone.
      const answers = Array.from({ length: 8 }, (_, n) =>
        server.run('check_account', `user${n}`, 'localhost'),
      )
      while ((await connections()) < sql_pool_size) await counter.query('SELECT 1')
      for (let round = 0; round < 20; round++) {
        assert.equal(await connections(), sql_pool_size)
      }
      await visitor.query('ROLLBACK')
      await Promise.all(answers)
    }
    await visitor.end()
    await counter.end()
  })

  // shows: option update_sql_schema_timeout
  test('a start waits for tables no longer than update_sql_schema_timeout', async () => {
    const database = await postgres.createDatabase()
    const visitor = await visitorOf(database)
    // As another server that makes tables at the same time does.
    await visitor.query('SELECT pg_advisory_lock($1)', [0x6c696e6e])
    const config = { ...optionsOf(database), update_sql_schema_timeout: '1 s' }
    await assert.rejects(TestServer.start({ config }), /timeout/i)
    await visitor.end()
    await using server = await TestServer.start({ config })
    await server.ok('register', 'juliet', 'localhost', 'secret')
  })

  // shows: option sql_keepalive_interval
  test('idle connections are used every sql_keepalive_interval', async () => {
    const database = await postgres.createDatabase()
    const visitor = await visitorOf(database)
    const uses = async (): Promise<string> => {
      const { rows } = await visitor.query<{ uses: string }>(
        `SELECT string_agg(query_start::text, ' ' ORDER BY pid) AS uses FROM pg_stat_activity
         WHERE application_name = 'linnet' AND datname = $1`,
        [database.database],
      )
      return rows[0]?.uses ?? ''
    }
    for (const interval of ['10 s', undefined]) {
      const clock = new TestClock()
      const option = interval === undefined ? {} : { sql_keepalive_interval: interval }
      const config = { ...optionsOf(database), ...option }
      await using server = await TestServer.start({ config, clock })
      await server.ok(
        'register',
        interval === undefined ? 'juliet' : 'romeo',
        'localhost',
        'secret',
      )
      const before = await uses()
      clock.advance(10_000)
      if (interval === undefined) assert.equal(await uses(), before)
      else while ((await uses()) === before) assert.notEqual(before, '')
    }
    await visitor.end()
  })

  // shows: option sql_start_interval
  test('a database that was gone is tried again after sql_start_interval', async () => {
    const clock = new TestClock()
    const config = { ...optionsOf(await postgres.createDatabase()), sql_start_interval: '10 s' }
    await using server = await TestServer.start({ config, clock })
    const register = async (name: string): Promise<number> =>
      (await server.run('register', name, 'localhost', 'secret')).exit
    assert.equal(await register('one'), 0)
    await postgres.kill()
    assert.notEqual(await register('two'), 0)
    await postgres.start()
    clock.advance(9000)
    assert.notEqual(await register('three'), 0)
    clock.advance(1000)
    assert.equal(await register('four'), 0)
  })
})
