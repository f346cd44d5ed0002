import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../core/clock.ts'
import { silentLog } from '../core/log.ts'
import { ejabberdSqliteFile, embeddedSettings, Stores } from './stores.ts'

const tools = { log: silentLog, clock: systemClock() }
let dir = ''

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'linnet-stores-'))
})
after(() => rm(dir, { recursive: true }))

test('hosts with equal settings share a database, which closes with the last of them', async () => {
  await using stores = new Stores(tools)
  const [a, b] = await Promise.all([
    stores.open('a.example', embeddedSettings(dir)),
    stores.open('b.example', embeddedSettings(dir)),
  ])
  assert.equal(a.database, b.database)
  assert.equal(stores.size, 1)
  await stores.release('a.example', embeddedSettings(dir))
  await b.read(b.table('users').count())
  await stores.release('b.example', embeddedSettings(dir))
  assert.equal(stores.size, 0)
  const outcome = await b.write(b.table('users').delete()).settled
  assert.equal(!outcome.ok && outcome.error.code, 'closed')
})

test('without server_host each host has a file of its own, as in ejabberd', async () => {
  await using stores = new Stores(tools)
  const open = (host: string) =>
    stores.open(host, { type: 'sqlite', file: ejabberdSqliteFile(dir, host), multihost: false })
  const a = await open('a.example')
  const b = await open('b.example')
  assert.equal(stores.size, 2)
  await a.write(a.table('users').insert({ username: 'juliet', type: 1, password: 'p' })).settled
  assert.deepEqual(await a.first(a.table('users').count()), { count: 1 })
  assert.deepEqual(await b.first(b.table('users').count()), { count: 0 })
})

test('a database that could not be opened may be asked for again', async () => {
  await using stores = new Stores(tools)
  const settings = { type: 'sqlite', file: '/dev/null/x.sqlite', multihost: true } as const
  await assert.rejects(stores.open('a.example', settings), { code: 'unavailable' })
  assert.equal(stores.size, 0)
  await assert.rejects(stores.open('a.example', settings), { code: 'unavailable' })
})
