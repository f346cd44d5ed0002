import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hosts } from '../../src/core/shared.ts'
import type { HostStore } from '../../src/core/store.ts'
import { TestServer } from '../support/server.ts'

const modules = { mod_mqtt: {}, mod_offline: {}, mod_roster: {} }

function storeOf({ server }: TestServer): HostStore {
  return server.services.get(hosts).get('localhost').storeFor()
}

// shows: command clear_cache
test('clear_cache makes the server see what others changed in the database', async () => {
  await using server = await TestServer.start({ config: { modules } })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  await server.ok('check_password', 'juliet', 'localhost', 'secret')
  await server.ok('add_rosteritem', 'juliet', 'localhost', 'romeo', 'localhost', 'R', '', 'both')
  assert.equal(await server.ok('get_roster_count', 'juliet', 'localhost'), '1\n')
  const store = storeOf(server)
  for (const table of ['users', 'rosterusers'] as const) {
    const outcome = await store.write(store.table(table).delete().where('username', '=', 'juliet'))
      .settled
    assert.ok(outcome.ok)
  }
  // Nobody told the server.
  await server.ok('check_password', 'juliet', 'localhost', 'secret')
  assert.equal(await server.ok('get_roster_count', 'juliet', 'localhost'), '1\n')
  assert.equal(await server.ok('clear_cache'), '')
  const { exit } = await server.run('check_password', 'juliet', 'localhost', 'secret')
  assert.equal(exit, 1)
  assert.equal(await server.ok('get_roster_count', 'juliet', 'localhost'), '0\n')
})
