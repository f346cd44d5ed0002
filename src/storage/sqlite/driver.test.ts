import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { systemClock } from '../../core/clock.ts'
import { Logs, silentLog } from '../../core/log.ts'
import type { HostStore } from '../../core/store.ts'
import { failed, written } from '../expect.ts'
import type { SqliteStoreSettings } from '../open.ts'
import { openStore, planStore } from '../open.ts'
import { SqlStore } from '../store.ts'
import { SqliteDriver } from './driver.ts'
import { setAside } from './file.ts'
import type { StartWorker } from './thread.ts'
import { startWorker } from './thread.ts'

const clock = systemClock()
const tools = { log: silentLog, clock }
let dir = ''
let files = 0

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'linnet-sqlite-'))
})
after(() => rm(dir, { recursive: true }))

const settings = (): SqliteStoreSettings => ({
  type: 'sqlite',
  file: join(dir, `${++files}.sqlite`),
  multihost: true,
})

const insert = (host: HostStore, username: string, state = '') =>
  host.write(host.table('last').insert({ username, seconds: '0', state }))

const readAll = (host: HostStore) =>
  host.read(host.table('last').select().select('username').orderBy('username'))

/** A log whose lines can be read. */
function recordLog() {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  return { lines, log: new Logs({ level: 'info', destination }).for('storage') }
}

describe('storage thread', () => {
  test('fails what is under way when it dies, and comes back', async () => {
    const { lines, log } = recordLog()
    let starts = 0
    // Opens like any other, and dies of the first commit.
    const mortal = `
      const { parentPort } = require('node:worker_threads')
      parentPort.postMessage({ id: 0, ok: true, changes: [] })
      parentPort.on('message', () => process.exit(3))`
    const start: StartWorker = (workerSettings) =>
      workerSettings.write && ++starts === 2
        ? new Worker(mortal, { eval: true })
        : startWorker(workerSettings)
    const { file } = settings()
    const options = { file, poolSize: 2, synchronous: 'full' } as const
    const limits = { maxOperations: 100, maxBytes: 1e6, maxReads: 100 }
    const open = async () =>
      SqlStore.open(
        await SqliteDriver.open(options, log, start),
        {
          ...limits,
          multihost: true,
          updateSchema: true,
          ackBeforeCommit: false,
          backupBeforeChange: async () => '',
        },
        log,
      )
    await (await open()).close()

    await using store = await open()
    const host = store.forHost('localhost')
    const lost = [insert(host, 'a'), insert(host, 'b')]
    for (const ticket of lost) assert.equal((await failed(ticket)).code, 'unavailable')
    assert.match(lines.join(''), /storage thread ended with work under way/)
    await written(insert(host, 'c'))
    assert.deepEqual(await readAll(host), [{ username: 'c' }])
  })
})

describe('SQLite file', () => {
  test('is readable by its owner only', async () => {
    const options = settings()
    await (await openStore(options, tools)).close()
    assert.equal((await stat(options.file)).mode & 0o777, 0o600)
  })

  test('that is no database is told from others, and can be set aside', async () => {
    const options = settings()
    await writeFile(options.file, 'This is not a database. '.repeat(400))
    await assert.rejects(openStore(options, tools), { name: 'StorageError', code: 'corrupt' })
    const broken = await setAside(options.file, Date.UTC(2026, 10, 21, 10, 20, 30))
    assert.equal(basename(broken), `${basename(options.file)}.broken-20261121T102030Z`)
    assert.match(readFileSync(broken, 'utf8'), /^This is not a database/)
    await (await openStore(options, tools)).close()
  })

  test('that was left in haste and is damaged is found out', async () => {
    const options = settings()
    {
      await using store = await openStore(options, tools)
      const host = store.forHost('localhost')
      for (let i = 0; i < 500; i++) insert(host, `user${i}`, 'x'.repeat(200))
    }
    const file = await open(options.file, 'r+')
    const { size } = await file.stat()
    // Pages of the table that grew last.
    await file.write(Buffer.alloc(16_384, 0x55), 0, 16_384, size - 65_536)
    await file.close()
    await (await openStore(options, tools)).close()
    await writeFile(`${options.file}-wal`, 'left behind')
    await assert.rejects(openStore(options, tools), { code: 'corrupt' })
  })

  test('that is full fails the write, keeps what is there and works again', async () => {
    const options = settings()
    await (await openStore(options, tools)).close()
    const pages = (await stat(options.file)).size / 4096
    await using store = await openStore({ ...options, maxPages: pages + 4 }, tools)
    const host = store.forHost('localhost')
    await written(insert(host, 'small'))
    assert.equal((await failed(insert(host, 'large', 'x'.repeat(100_000)))).code, 'full')
    const mixed = [insert(host, 'a'), insert(host, 'b', 'x'.repeat(100_000)), insert(host, 'c')]
    const outcomes = await Promise.all(mixed.map(({ settled }) => settled))
    assert.equal(outcomes[1]?.ok, false)
    const names = (await readAll(host)).map(({ username }) => username)
    for (const [i, name] of ['a', 'b', 'c'].entries()) {
      assert.equal(names.includes(name), outcomes[i]?.ok)
    }
    assert.ok(names.includes('small'))
    await written(insert(host, 'later'))
  })

  test('locked by another process makes writes fail with unavailable', async () => {
    const options = settings()
    await (await openStore(options, tools)).close()
    const driver = await SqliteDriver.open(
      { file: options.file, poolSize: 2, synchronous: 'full', busyTimeoutMs: 20 },
      silentLog,
    )
    using other = new DatabaseSync(options.file)
    other.exec('BEGIN IMMEDIATE')
    const operation = { statements: [{ sql: 'DELETE FROM last', values: [] }] }
    await assert.rejects(driver.commit([operation]), { code: 'unavailable' })
    other.exec('ROLLBACK')
    await driver.commit([operation])
    await driver.close()
  })

  test('is copied while it is written to', async () => {
    const options = settings()
    await using store = await openStore(options, tools)
    const host = store.forHost('localhost')
    for (let i = 0; i < 100; i++) insert(host, `user${i}`)
    await store.flush()
    const copying = store.backup(`${options.file}.backup`)
    for (let i = 0; i < 100; i++) insert(host, `later${i}`)
    await copying
    await assert.rejects(store.backup(`${options.file}.backup`), { code: 'other' })
    await using copy = await openStore({ ...options, file: `${options.file}.backup` }, tools)
    const there = copy.forHost('localhost')
    const users = await readAll(there)
    assert.ok(users.filter(({ username }) => username.startsWith('user')).length === 100)
    assert.equal((await stat(`${options.file}.backup`)).mode & 0o777, 0o600)
    const left = await readdir(dir)
    assert.deepEqual(
      left.filter((name) => name.endsWith('.partial')),
      [],
    )
  })

  test('is copied before its tables are changed', async () => {
    const options = settings()
    {
      await using store = await openStore(options, tools)
      await store.migrate('mod_a', [{ version: 1, title: 'nothing yet' }])
      await written(insert(store.forHost('localhost'), 'juliet'))
    }
    const { lines, log } = recordLog()
    await using store = await openStore(options, { log, clock })
    const forget = () => ['DELETE FROM last']
    await store.migrate('mod_a', [
      { version: 1, title: 'nothing yet' },
      { version: 2, title: 'forget all', sql: forget },
    ])
    assert.deepEqual(await readAll(store.forHost('localhost')), [])
    const path = /"([^"]*before-upgrade[^"]*)"/.exec(lines.join('').replaceAll('\\"', '"'))?.[1]
    assert.ok(path)
    await using copy = await openStore({ ...options, file: path }, tools)
    assert.deepEqual(await readAll(copy.forHost('localhost')), [{ username: 'juliet' }])
  })
})

test('test hooks warn', async () => {
  const { lines, log } = recordLog()
  const options = { ...settings(), unsafeAckBeforeCommit: true, synchronous: 'off' } as const
  await using store = await openStore(options, { log, clock })
  assert.match(lines.join(''), /BEFORE they are durable/)
  assert.match(lines.join(''), /NOT written to the disk/)
  await written(insert(store.forHost('localhost'), 'a'))
})

describe('database made by ejabberd of Debian', () => {
  for (const [name, multihost] of [
    ['lite.sql', false],
    ['lite.new.sql', true],
  ] as const) {
    const script = join('/usr/share/ejabberd/sql', name)
    const skip = !existsSync(script) && `${script} (Debian package ejabberd) is not installed`
    test(
      `${name} is opened, added to, and still takes what ejabberd writes`,
      { skip },
      async () => {
        const options = { ...settings(), multihost }
        const sh = multihost ? ['server_host, ', "'localhost', "] : ['', '']
        const insertUser = (username: string) =>
          `INSERT OR REPLACE INTO users(${sh[0]}username, password, serverkey, salt, iterationcount) VALUES (${sh[1]}'${username}', 'p', '', '', 0)`
        {
          using made = new DatabaseSync(options.file)
          made.exec(readFileSync(script, 'utf8'))
          made.exec(insertUser('juliet'))
        }
        const plan = await planStore(options, tools)
        assert.equal(plan.mismatch, undefined)
        const altered = plan.statements.filter((text) => text.startsWith('ALTER'))
        assert.deepEqual(altered.map((text) => text.slice(0, 48)).toSorted(), [
          'ALTER TABLE "archive" ADD COLUMN "origin_id" tex',
          'ALTER TABLE "rosterusers" ADD COLUMN "approved" ',
        ])
        {
          await using store = await openStore(options, tools)
          const host = store.forHost('localhost')
          assert.equal(host.hasColumn('users', 'type'), false)
          assert.deepEqual(await host.read(host.table('users').select().select('username')), [
            { username: 'juliet' },
          ])
        }
        using back = new DatabaseSync(options.file)
        back.exec(insertUser('romeo'))
        back.exec(insertUser('juliet'))
        back.exec(
          `INSERT INTO rosterusers(${sh[0]}username, jid, nick, subscription, ask, askmessage, server, subscribe, type) VALUES (${sh[1]}'juliet', 'a@b', '', 'B', 'N', '', 'N', '', 'item')`,
        )
        assert.deepEqual({ ...back.prepare('SELECT count(*) AS n FROM users').get() }, { n: 2 })
      },
    )
  }
})
