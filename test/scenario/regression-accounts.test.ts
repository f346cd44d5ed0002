import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountRegistered, accountRemoved, accounts, signIns } from '../../src/core/account.ts'
import type { Accounts } from '../../src/core/account.ts'
import type { Hooks } from '../../src/core/hooks.ts'
import { sessionRegistry } from '../../src/core/sessions.ts'
import { hosts } from '../../src/core/shared.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import { TestAccounts } from '../support/accounts.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const config = {
  listen: [{ port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' }],
  modules: { mod_offline: {}, mod_roster: {} },
  shaper_rules: { max_user_offline_messages: 100 },
}
const juliet = bareJid(jid('juliet@localhost'))

async function start(): Promise<TestServer> {
  const server = await TestServer.start({ config })
  for (const name of ['juliet', 'romeo']) await server.ok('register', name, 'localhost', 'secret')
  return server
}

function hooksOf(server: TestServer): Hooks {
  return server.server.services.get(hosts).get('localhost').hooks
}

function accountsOf(server: TestServer): Accounts {
  return server.server.services.get(accounts)
}

/** A client that has signed in, and has no resource yet. */
async function signedIn(server: TestServer, name = 'juliet'): Promise<XmppClient> {
  const client = await XmppClient.connect(server.port('ejabberd_c2s'))
  await client.opens()
  await client.authenticates(name)
  return client
}

test('a ban ends the stream of who has signed in and not bound a resource yet', async () => {
  await using server = await start()
  await using client = await signedIn(server)
  await using other = await signedIn(server, 'romeo')
  await server.ok('ban_account', 'juliet', 'localhost', 'no')
  await client.isClosed('policy-violation')
  await other.binds()
})

test('so does the removal of the account', async () => {
  await using server = await start()
  await using client = await signedIn(server)
  await server.ok('unregister', 'juliet', 'localhost')
  await client.isClosed('not-authorized')
})

test('and a change of the password', async () => {
  await using server = await start()
  await using client = await signedIn(server)
  await server.ok('change_password', 'juliet', 'localhost', 'other')
  await client.isClosed('not-authorized')
})

test('who gets a name that is being removed keeps what comes afterwards', async () => {
  await using server = await start()
  const events: string[] = []
  const { promise: isReleased, resolve: release } = Promise.withResolvers<void>()
  hooksOf(server).on(
    accountRemoved,
    async () => {
      events.push('removing')
      await isReleased
      events.push('removed')
    },
    'test',
  )
  hooksOf(server).on(accountRegistered, () => events.push('registered'), 'test')
  const directory = accountsOf(server)
  const removal = directory.remove(juliet)
  const registration = directory.register(juliet, 'another')
  release()
  assert.ok((await removal).ok)
  assert.ok((await registration).ok)
  assert.deepEqual(events, ['removing', 'removed', 'registered'])
})

test('only one of several registrations at once succeeds', async () => {
  await using server = await start()
  const nurse = bareJid(jid('nurse@localhost'))
  const directory = accountsOf(server)
  const outcomes = await Promise.all(['a', 'b', 'c'].map((word) => directory.register(nurse, word)))
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error)),
    ['ok', 'exists', 'exists'],
  )
  const verifier = server.server.services.get(signIns)
  const checks = await Promise.all(['a', 'b'].map((word) => verifier.verifyPassword(nurse, word)))
  assert.deepEqual(
    checks.map(({ ok }) => ok),
    [true, false],
  )
})

test('a removal that leaves something behind is no success, and can be repeated', async () => {
  await using server = await start()
  let attempts = 0
  hooksOf(server).on(
    accountRemoved,
    () => (++attempts === 1 ? Promise.reject(new Error('The database is busy')) : undefined),
    'test',
  )
  const { exit } = await server.run('unregister', 'juliet', 'localhost')
  assert.notEqual(exit, 0)
  await server.ok('unregister', 'juliet', 'localhost')
  assert.equal(attempts, 2)
})

test('many large messages that were kept do not keep their reader out', async () => {
  await using server = await start()
  await using romeo = await signedIn(server, 'romeo')
  await romeo.binds()
  const body = 'x'.repeat(1024 * 1024)
  for (let i = 0; i < 12; i++) {
    romeo.send(`<message type='chat' to='juliet@localhost'><body>${i}${body}</body></message>`)
  }
  romeo.send(`<iq type='get' id='behind' to='juliet@localhost'><x xmlns='urn:example:x'/></iq>`)
  assert.equal((await romeo.next('iq')).attr('id'), 'behind')
  await using reader = await signedIn(server)
  await reader.binds()
  reader.send('<presence/>')
  await reader.next('presence')
  for (let i = 0; i < 12; i++) {
    const message = await reader.next('message')
    assert.equal(message.childText('body')?.length, body.length + String(i).length)
  }
  await reader.receivesNothing()
})

for (const turnOut of ['remove', 'ban'] as const) {
  test(`a password that is being checked lets nobody in after a ${turnOut}`, async () => {
    await using opened = await TestAccounts.open({ auth_use_cache: false })
    const { directory } = opened
    await directory.register(juliet, 'secret')
    const { derivations } = directory
    const derive = derivations.derive.bind(derivations)
    const { promise: isOpen, resolve: open } = Promise.withResolvers<void>()
    const { promise: isAsked, resolve: asked } = Promise.withResolvers<void>()
    derivations.derive = async (...args) => {
      asked()
      await isOpen
      return derive(...args)
    }
    const check = directory.verifyPassword(juliet, 'secret')
    await isAsked
    if (turnOut === 'remove') assert.ok((await directory.remove(juliet)).ok)
    else assert.ok((await directory.ban(juliet, 'no')).ok)
    open()
    const outcome = await check
    assert.equal(outcome.ok, false)
  })
}

test('a client that hangs holds back no more than a little of what comes for it', async () => {
  await using server = await start()
  await using romeo = await signedIn(server, 'romeo')
  await romeo.binds()
  const message = `<message type='chat' to='juliet@localhost'><body>${'x'.repeat(1024 * 1024)}</body></message>`
  const isBehind = async (id: string): Promise<void> => {
    romeo.send(`<iq type='get' id='${id}'><x xmlns='urn:example:x'/></iq>`)
    while ((await romeo.next()).attr('id') !== id);
  }
  for (let i = 0; i < 20; i++) romeo.send(message)
  await isBehind('kept')
  await using reader = await signedIn(server)
  await reader.binds()
  reader.freeze()
  reader.send('<presence/>')
  const sessions = server.server.services.get(sessionRegistry)
  while (sessions.forAccount(juliet).some(({ priority }) => priority === undefined))
    await isBehind('waiting')
  // It goes into the queue of the stream, which is bounded, and ends it.
  while (sessions.forAccount(juliet).length > 0) {
    romeo.send(message)
    await isBehind('sent')
  }
})
