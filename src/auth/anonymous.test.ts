import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { authOptions, TestAccounts } from '../../test/support/accounts.ts'
import { bare } from '../../test/support/sasl.ts'
import { accountRegistered, accountRemoved } from '../core/account.ts'
import type { AuthAttempt } from '../core/account.ts'
import { err, ok } from '../util/result.ts'

const guest = bare('guest@localhost')
const attempt: AuthAttempt = { protocol: 'xmpp', ip: undefined }

function watch(accounts: TestAccounts): string[] {
  const events: string[] = []
  accounts.hooks.on(accountRegistered, (account) => void events.push(`+${account}`), 'test')
  accounts.hooks.on(accountRemoved, (account) => void events.push(`-${account}`), 'test')
  return events
}

describe('guests by SASL ANONYMOUS', () => {
  // shows: option auth_method
  test('get names that nobody has, and leave nothing behind', async () => {
    await using accounts = await TestAccounts.open({ auth_method: 'anonymous' })
    const { directory, host } = accounts
    const events = watch(accounts)
    const one = directory.admitGuest(host)
    const other = directory.admitGuest(host)
    assert.ok(one !== undefined && other !== undefined && one !== other)
    assert.equal(await directory.exists(one), false)
    const first = accounts.openSession(`${one}/a`)
    const second = accounts.openSession(`${one}/b`)
    assert.equal(await directory.exists(one), true)
    assert.equal(await directory.count(host), 1)
    accounts.closeSession(first)
    assert.deepEqual(events, [`+${one}`])
    accounts.closeSession(second)
    assert.deepEqual(events, [`+${one}`, `-${one}`])
    assert.equal(await directory.exists(one), false)
  })

  test('are not taken where there is no such method, nor with login_anon', async () => {
    await using internal = await TestAccounts.open()
    assert.equal(internal.directory.admitGuest(internal.host), undefined)
    const options = { auth_method: 'anonymous', anonymous_protocol: 'login_anon' }
    await using login = await TestAccounts.open(options)
    assert.equal(login.directory.admitGuest(login.host), undefined)
  })

  test('do not sign in with passwords', async () => {
    await using accounts = await TestAccounts.open({ auth_method: 'anonymous' })
    const checked = await accounts.directory.checkPassword(guest, 'x', attempt)
    assert.deepEqual(checked, err('not-authorized'))
  })

  test('stay guests over a reload', async () => {
    await using accounts = await TestAccounts.open({ auth_method: 'anonymous' })
    const { directory, host } = accounts
    const events = watch(accounts)
    const one = directory.admitGuest(host)
    const session = accounts.openSession(`${one}/a`)
    const options = authOptions({ auth_method: 'anonymous', anonymous_protocol: 'both' })
    await directory.reloadHost(host, options)
    accounts.closeSession(session)
    assert.deepEqual(events, [`+${one}`, `-${one}`])
  })

  test('that never come free their place, so that others can', async () => {
    await using accounts = await TestAccounts.open({ auth_method: 'anonymous' })
    const { directory, host } = accounts
    for (let i = 0; i < 10_000; i++) assert.ok(directory.admitGuest(host) !== undefined)
    assert.equal(directory.admitGuest(host), undefined)
    accounts.clock.advance(6 * 60_000)
    assert.ok(directory.admitGuest(host) !== undefined)
  })
})

describe('guests by login_anon', () => {
  const options = { auth_method: ['mnesia', 'anonymous'], anonymous_protocol: 'login_anon' }

  // shows: option anonymous_protocol
  test('take any name that is free, with any password', async () => {
    await using accounts = await TestAccounts.open(options)
    const { directory } = accounts
    assert.deepEqual(await directory.checkPassword(guest, 'x', attempt), ok(undefined))
    // One at a time, unless allow_multiple_connections.
    assert.deepEqual(await directory.checkPassword(guest, 'y', attempt), err('not-authorized'))
    const session = accounts.openSession('guest@localhost/a')
    assert.deepEqual(await directory.checkPassword(guest, 'y', attempt), err('not-authorized'))
    accounts.closeSession(session)
    assert.deepEqual(await directory.checkPassword(guest, 'y', attempt), ok(undefined))
  })

  // shows: option allow_multiple_connections
  test('may come several times with allow_multiple_connections', async () => {
    await using accounts = await TestAccounts.open({ ...options, allow_multiple_connections: true })
    for (const password of ['x', 'y']) {
      assert.ok((await accounts.directory.checkPassword(guest, password, attempt)).ok)
      accounts.openSession(`guest@localhost/${password}`)
    }
  })

  test('never take the name of an account', async () => {
    await using accounts = await TestAccounts.open(options)
    await accounts.directory.register(guest, 'rose')
    const checked = await accounts.directory.checkPassword(guest, 'x', attempt)
    assert.deepEqual(checked, err('not-authorized'))
    assert.ok((await accounts.directory.checkPassword(guest, 'rose', attempt)).ok)
  })

  test('sessions of accounts are no guests', async () => {
    await using accounts = await TestAccounts.open(options)
    await accounts.directory.register(guest, 'rose')
    const events = watch(accounts)
    accounts.closeSession(accounts.openSession('guest@localhost/a'))
    assert.deepEqual(events, [])
    assert.equal(await accounts.directory.exists(guest), true)
  })
})
