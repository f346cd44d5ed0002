import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noMariadb, noPostgres, startMariadb, startPostgres } from '../../test/support/databases.ts'
import { keysFor } from '../../test/support/sasl.ts'
import { systemClock } from '../core/clock.ts'
import { silentLog } from '../core/log.ts'
import { openStore } from '../storage/open.ts'
import { prepLocalpart } from '../xmpp/jid/jid.ts'
import type { Localpart } from '../xmpp/jid/jid.ts'
import { Bans } from './bans.ts'
import { readSecret } from './secret.ts'
import type { StoredPassword } from './stored-password.ts'
import { UsersTable } from './users-table.ts'

function local(text: string): Localpart {
  const prepared = prepLocalpart(text)
  assert.ok(prepared.ok)
  return prepared.value
}

const scram: StoredPassword = {
  kind: 'scram',
  keys: keysFor('sha256', 'rose', Buffer.from('0123456789abcdef')),
}
const plain: StoredPassword = { kind: 'plain', password: 'röse' }
const details = { reason: 'Spam', bandate: 'now', lastdate: 'then', lastreason: '' }

const databases = [
  { name: 'PostgreSQL', type: 'pgsql', skip: noPostgres, start: startPostgres },
  { name: 'MariaDB', type: 'mysql', skip: noMariadb, start: startMariadb },
] as const

for (const { name, type, skip, start } of databases) {
  test(`accounts and bans are kept in ${name}`, { skip }, async () => {
    await using server = await start()
    for (const multihost of [true, false]) {
      const tools = { log: silentLog, clock: systemClock() }
      const settings = { type, ...(await server.createDatabase()), multihost }
      await using store = await openStore(settings, tools)
      const host = store.forHost('localhost')
      const users = new UsersTable(host, silentLog)
      const juliet = local('juliet')

      assert.equal(await users.create(juliet, [scram, plain]), 'ok')
      assert.equal(await users.create(juliet, [plain]), 'exists')
      const forms = (await users.read(juliet)) ?? []
      assert.deepEqual(forms.map(({ kind }) => kind).sort(), ['plain', 'scram'])
      assert.deepEqual(await users.list(), ['juliet'])
      assert.equal(await users.count(), 1)
      assert.equal(await users.hasPlain(), true)
      assert.equal(await users.exchange(juliet, [scram], [scram]), false)
      assert.equal(await users.exchange(juliet, forms, [scram]), true)
      assert.deepEqual((await users.read(juliet))?.length, 1)
      assert.equal(await users.hasPlain(), false)
      assert.equal(await users.replace(local('romeo'), [plain]), 'not-found')
      assert.equal(await users.replace(juliet, [plain]), 'ok')
      assert.deepEqual(await users.read(juliet), [plain])

      const bans = new Bans(host, silentLog, systemClock(), { size: 10, lifeTimeMs: Infinity })
      assert.equal(await bans.isBanned(juliet), false)
      assert.equal(await bans.add(juliet, details), true)
      assert.equal(await bans.add(juliet, details), false)
      assert.equal(await bans.isBanned(juliet), true)
      assert.deepEqual(await bans.find(juliet), details)
      assert.deepEqual(await bans.list(), ['juliet'])
      assert.equal(await bans.remove(juliet), true)
      assert.equal(await bans.remove(juliet), false)

      const secret = await readSecret(host, 'test')
      assert.equal(secret.length, 32)
      assert.deepEqual(await readSecret(store.forHost('example.net'), 'test'), secret)

      assert.equal(await users.remove(juliet), true)
      assert.equal(await users.remove(juliet), false)
      assert.equal(await users.read(juliet), undefined)
    }
  })
}
