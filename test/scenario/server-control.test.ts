import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { callServer } from '../../src/admin/control-socket.ts'
import { Folder, run } from '../support/process.ts'
import { TestServer } from '../support/server.ts'

test('only who runs the server may use its control socket', async () => {
  await using server = await TestServer.start()
  const mode = statSync(`${server.dataDir}/control.sock`).mode
  assert.equal(mode & 0o777, 0o600)
})

test('a data directory with a name too long for a socket gets one elsewhere, which commands find', async () => {
  using folder = new Folder()
  const dataDir = folder.join('d'.repeat(120))
  mkdirSync(dataDir)
  await using server = await TestServer.start({ dataDir })
  const path = readFileSync(`${dataDir}/control.path`, 'utf8').trim()
  assert.ok(path.length < 108)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(dirname(path)).mode & 0o777, 0o700)
  const { status, stdout } = await run(['--data', dataDir, 'status'])
  assert.equal(status, 0)
  assert.match(stdout, /started/)
  await server[Symbol.asyncDispose]()
  assert.ok(!existsSync(path))
  assert.ok(!existsSync(`${dataDir}/control.path`))
})

test('an unknown command is refused, with what may have been meant', async () => {
  await using server = await TestServer.start()
  const { status, stdout, stderr } = await run(['--data', server.dataDir, 'registr', 'x'])
  assert.equal(status, 1)
  assert.equal(stdout, '')
  assert.equal(stderr, "Error: unknown command 'registr'. Did you mean 'register'?\n")
})

test('missing arguments are answered with the help of the command', async () => {
  await using server = await TestServer.start()
  const { status, stderr } = await run(['--data', server.dataDir, 'register', 'juliet'])
  assert.equal(status, 2)
  assert.match(stderr, /Command Name: register/)
})

// shows: option api_permissions
test('with --auth a command is called by that account, as far as api_permissions let it', async () => {
  await using server = await TestServer.start({
    config: {
      acl: { admin: { user: 'admin@localhost' } },
      access_rules: { configure: { allow: 'admin' } },
      api_permissions: {
        'console commands': {
          from: 'ejabberd_ctl',
          who: { access: { allow: 'admin' } },
          what: ['status', 'registered_users'],
        },
      },
    },
  })
  const direct = { words: [] as string[] }
  const call = (words: string[], auth?: readonly [string, string, string]) =>
    callServer(server.dataDir, { ...direct, words, ...(auth === undefined ? {} : { auth }) })
  // Set up from within, since the console itself may do next to nothing here.
  const { accounts } = await import('../../src/core/account.ts')
  const { bareJid, jid } = await import('../../src/xmpp/jid/jid.ts')
  for (const name of ['admin', 'juliet']) {
    const account = bareJid(jid(`${name}@localhost`))
    await server.server.services.get(accounts).register(account, 'secret')
  }
  const admin = ['admin', 'localhost', 'secret'] as const
  assert.equal((await call(['registered_users', 'localhost'], admin))?.exit, 0)
  assert.deepEqual(await call(['stop'], admin), {
    exit: 1,
    output: 'Error: access_rules_unauthorized\n',
  })
  assert.deepEqual(await call(['status'], ['juliet', 'localhost', 'secret']), {
    exit: 1,
    output: 'Error: access_rules_unauthorized\n',
  })
  assert.deepEqual(await call(['status'], ['admin', 'localhost', 'guess']), {
    exit: 1,
    output: 'Error: invalid_account_data\n',
  })
})
