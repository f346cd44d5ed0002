import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { authOptions, TestAccounts } from '../../test/support/accounts.ts'
import { bare, hostName } from '../../test/support/sasl.ts'
import {
  accountRegistered,
  accountRemoved,
  banNamespace,
  passwordChanged,
  signInAllowed,
  signInDenialText,
  signInTried,
} from '../core/account.ts'
import type { AuthAttempt } from '../core/account.ts'
import { err, ok } from '../util/result.ts'

const juliet = bare('juliet@localhost')
const nobody = bare('nobody@localhost')
const elsewhere = bare('juliet@example.net')
const attempt: AuthAttempt = { protocol: 'mqtt', ip: '192.0.2.1' }

describe('accounts', () => {
  test('can be registered once, and then sign in', async () => {
    await using accounts = await TestAccounts.open()
    const { directory } = accounts
    const registered: string[] = []
    accounts.hooks.on(accountRegistered, (account) => void registered.push(account), 'test')
    assert.equal(await directory.exists(juliet), false)
    assert.deepEqual(await directory.register(juliet, 'rose'), ok(undefined))
    assert.deepEqual(await directory.register(juliet, 'thorn'), err('exists'))
    assert.deepEqual(registered, [juliet])
    assert.equal(await directory.exists(juliet), true)
    assert.deepEqual(await directory.checkPassword(juliet, 'rose', attempt), ok(undefined))
    const wrong = await directory.checkPassword(juliet, 'thorn', attempt)
    assert.deepEqual(wrong, err('not-authorized'))
    for (const hash of ['sha1', 'sha256', 'sha512'] as const) {
      assert.equal(await accounts.scram(hash, 'juliet', 'rose'), 'success')
      assert.equal(await accounts.scram(hash, 'juliet', 'thorn'), 'not-authorized')
    }
  })

  test('of one name are registered at the same time only once', async () => {
    await using accounts = await TestAccounts.open()
    const passwords = ['a', 'b', 'c', 'd']
    const results = await Promise.all(
      passwords.map((password) => accounts.directory.register(juliet, password)),
    )
    assert.equal(results.filter((result) => result.ok).length, 1)
    const winner = passwords[results.findIndex((result) => result.ok)] ?? ''
    assert.equal(await accounts.scram('sha256', 'juliet', winner), 'success')
  })

  test('are refused with passwords and names that cannot be', async () => {
    await using accounts = await TestAccounts.open()
    const { directory } = accounts
    assert.deepEqual(await directory.register(juliet, ''), err('invalid-password'))
    assert.deepEqual(await directory.register(juliet, 'a\u0007b'), err('invalid-password'))
    assert.deepEqual(await directory.register(juliet, 'x'.repeat(20_000)), err('invalid-password'))
    assert.deepEqual(await directory.register(elsewhere, 'rose'), err('invalid-jid'))
    assert.deepEqual(await directory.register(hostName('localhost'), 'rose'), err('invalid-jid'))
    // RFC 7622 §3.3.1: Nodeprep lets symbols through, the IdentifierClass does not.
    assert.deepEqual(await directory.register(bare('a☃b@localhost'), 'rose'), err('invalid-jid'))
    assert.equal(await directory.count(accounts.host), 0)
  })

  test('take passwords in any of the forms that SASLprep makes one', async () => {
    await using accounts = await TestAccounts.open()
    await accounts.directory.register(juliet, 'I\u00ADX \u2168 \u{1F339}')
    const same = 'IX IX \u{1F339}'
    assert.ok((await accounts.directory.checkPassword(juliet, same, attempt)).ok)
    assert.equal(await accounts.scram('sha1', 'juliet', same), 'success')
  })

  test('are listed and counted by host', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, host } = accounts
    for (const name of ['romeo', 'juliet', 'bill']) {
      await directory.register(bare(`${name}@localhost`), 'x')
    }
    assert.deepEqual(await directory.list(host), ['bill', 'juliet', 'romeo'])
    assert.equal(await directory.count(host), 3)
  })

  test('get another password, and the one before is worth nothing from then on', async () => {
    await using accounts = await TestAccounts.open()
    const { directory } = accounts
    const changed: string[] = []
    accounts.hooks.on(passwordChanged, (account) => void changed.push(account), 'test')
    await directory.register(juliet, 'rose')
    assert.ok((await directory.checkPassword(juliet, 'rose', attempt)).ok)
    assert.deepEqual(await directory.setPassword(juliet, 'thorn'), ok(undefined))
    assert.deepEqual(changed, [juliet])
    const before = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(before, err('not-authorized'))
    assert.ok((await directory.checkPassword(juliet, 'thorn', attempt)).ok)
    assert.equal(await accounts.scram('sha256', 'juliet', 'rose'), 'not-authorized')
    assert.equal(await accounts.scram('sha256', 'juliet', 'thorn'), 'success')
    assert.deepEqual(await directory.setPassword(juliet, ''), err('invalid-password'))
    assert.deepEqual(await directory.setPassword(nobody, 'x'), err('not-found'))
  })

  test('are removed with their sessions, after which modules clean up', async () => {
    await using accounts = await TestAccounts.open()
    const { directory } = accounts
    const removed: string[] = []
    accounts.hooks.on(
      accountRemoved,
      async (account) => {
        await Promise.resolve()
        removed.push(account)
      },
      'test',
    )
    await directory.register(juliet, 'rose')
    assert.ok((await directory.checkPassword(juliet, 'rose', attempt)).ok)
    const session = accounts.openSession('juliet@localhost/balcony')
    assert.deepEqual(await directory.remove(juliet), ok(undefined))
    assert.deepEqual(removed, [juliet])
    assert.deepEqual(session.kicks, ['account-removed: Account removed'])
    assert.equal(await directory.exists(juliet), false)
    const after = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(after, err('not-authorized'))
    assert.deepEqual(await directory.remove(juliet), err('not-found'))
    assert.deepEqual(await accounts.rows('juliet'), [])
  })

  test('of hosts that are not served do not exist', async () => {
    await using accounts = await TestAccounts.open()
    const { directory } = accounts
    assert.equal(await directory.exists(elsewhere), false)
    const checked = await directory.checkPassword(elsewhere, 'rose', attempt)
    assert.deepEqual(checked, err('not-authorized'))
    assert.deepEqual(await directory.setPassword(elsewhere, 'x'), err('invalid-jid'))
    assert.deepEqual(await directory.remove(elsewhere), err('invalid-jid'))
    assert.deepEqual(await directory.admit(elsewhere), err('not-authorized'))
    assert.equal((await directory.scramKeys(elsewhere, 'sha1')).isReal, false)
  })
})

describe('the hooks of sign-in', () => {
  test('hear of each attempt', async () => {
    await using accounts = await TestAccounts.open()
    const told: unknown[] = []
    accounts.hooks.on(signInTried, (...args) => void told.push(args), 'test')
    await accounts.directory.register(juliet, 'rose')
    await accounts.directory.checkPassword(juliet, 'rose', attempt)
    await accounts.directory.checkPassword(nobody, 'rose', attempt)
    assert.deepEqual(told, [
      [attempt, juliet, true],
      [attempt, nobody, false],
    ])
  })

  test('turn attempts away before the password is looked at', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, hooks } = accounts
    const told: unknown[] = []
    hooks.on(signInTried, (...args) => void told.push(args), 'test')
    hooks.on(signInAllowed, ({ ip }) => (ip === attempt.ip ? 'deny' : undefined), 'test')
    hooks.on(signInDenialText, () => 'Come back later', 'test')
    await directory.register(juliet, 'rose')
    const derivations = directory.derivations.count
    const denied = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(denied, err('not-authorized'))
    assert.equal(directory.derivations.count, derivations)
    assert.deepEqual(told, [])
    const asked = await directory.mayTry(accounts.host, undefined, attempt)
    assert.deepEqual(asked, err('Come back later'))
    const other = { ...attempt, ip: '192.0.2.2' }
    assert.ok((await directory.checkPassword(juliet, 'rose', other)).ok)
  })

  test('let nobody in when a handler throws', async () => {
    await using accounts = await TestAccounts.open()
    const fail = (): never => {
      throw new Error('out of order')
    }
    accounts.hooks.on(signInAllowed, fail, 'test')
    await accounts.directory.register(juliet, 'rose')
    const checked = await accounts.directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(checked, err('not-authorized'))
  })
})

describe('a ban', () => {
  test('refuses every way in, ends sessions, and can be lifted', async () => {
    await using accounts = await TestAccounts.open()
    const { directory } = accounts
    await directory.register(juliet, 'rose')
    assert.ok((await directory.checkPassword(juliet, 'rose', attempt)).ok)
    const session = accounts.openSession('juliet@localhost/balcony')
    assert.deepEqual(await directory.ban(juliet, 'Spam & <more>\u0007'), ok(undefined))
    assert.deepEqual(session.kicks, ['banned: Spam & <more>\u0007'])
    // The password is in the cache of verified ones: that must not help.
    const right = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(right, err('account-disabled'))
    const wrong = await directory.checkPassword(juliet, 'x', attempt)
    assert.deepEqual(wrong, err('not-authorized'))
    assert.equal(await accounts.scram('sha512', 'juliet', 'rose'), 'account-disabled')
    assert.equal(await accounts.scram('sha512', 'juliet', 'x'), 'not-authorized')
    assert.deepEqual(await directory.admit(juliet), err('account-disabled'))
    assert.deepEqual(await directory.banDetails(juliet), {
      reason: 'Spam & <more> ',
      bandate: '2026-01-01T00:00:00.000Z',
      lastdate: '2026-01-01T00:00:00.000Z',
      lastreason: 'ONLINE',
    })
    assert.deepEqual(await directory.listBanned(accounts.host), [juliet])
    assert.deepEqual(await directory.ban(juliet, 'again'), err('banned-already'))
    assert.deepEqual(await directory.unban(juliet), ok(undefined))
    assert.ok((await directory.checkPassword(juliet, 'rose', attempt)).ok)
    assert.equal(await directory.banDetails(juliet), undefined)
    assert.deepEqual(await directory.unban(juliet), err('not-banned'))
  })

  test('is looked up once for an account that is cached', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, store } = accounts
    await directory.register(juliet, 'rose')
    assert.ok((await directory.checkPassword(juliet, 'rose', attempt)).ok)
    const { reads } = store.database.counters
    assert.ok((await directory.checkPassword(juliet, 'rose', attempt)).ok)
    assert.equal(store.database.counters.reads, reads)
    await directory.ban(juliet, 'Spam')
    const refused = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(refused, err('account-disabled'))
  })

  test('is looked up each time where nothing is cached', async () => {
    await using accounts = await TestAccounts.open({ auth_use_cache: false })
    const { directory, store } = accounts
    await directory.register(juliet, 'rose')
    assert.ok((await directory.checkPassword(juliet, 'rose', attempt)).ok)
    const data = `<banned xmlns='${banNamespace}'><bandate>2024-04-22T09:16:47Z</bandate></banned>`
    const row = { username: 'juliet', namespace: banNamespace, data }
    await store.write(store.table('private_storage').insert(row)).settled
    const refused = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(refused, err('account-disabled'))
  })

  test('needs an account', async () => {
    await using accounts = await TestAccounts.open()
    assert.deepEqual(await accounts.directory.ban(nobody, ''), err('not-found'))
    assert.deepEqual(await accounts.directory.unban(nobody), err('not-found'))
    assert.deepEqual(await accounts.directory.ban(elsewhere, ''), err('not-found'))
  })

  test('that ejabberd recorded holds', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, store } = accounts
    await directory.register(juliet, 'rose')
    const data =
      `<banned xmlns='${banNamespace}'><reason>Spamming other users</reason>` +
      `<lastdate>2024-04-22T08:39:12Z</lastdate><lastreason>Connection reset by peer</lastreason>` +
      `<bandate>2024-04-22T09:16:47.975312Z</bandate><hash>g20AAAAg</hash></banned>`
    const table = store.table('private_storage')
    await store.write(table.insert({ username: 'juliet', namespace: banNamespace, data })).settled
    const checked = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(checked, err('account-disabled'))
    assert.deepEqual(await directory.banDetails(juliet), {
      reason: 'Spamming other users',
      bandate: '2024-04-22T09:16:47.975312Z',
      lastdate: '2024-04-22T08:39:12Z',
      lastreason: 'Connection reset by peer',
    })
  })

  test('whose record cannot be read holds', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, store } = accounts
    await directory.register(juliet, 'rose')
    const row = { username: 'juliet', namespace: banNamespace, data: '<banned' }
    await store.write(store.table('private_storage').insert(row)).settled
    const checked = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(checked, err('account-disabled'))
  })

  test('tells when the account was last seen', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, store } = accounts
    await directory.register(juliet, 'rose')
    const last = { username: 'juliet', seconds: '1713775152', state: 'Good night' }
    await store.write(store.table('last').insert(last)).settled
    await directory.ban(juliet, 'Spam')
    const details = await directory.banDetails(juliet)
    assert.equal(details?.lastdate, '2024-04-22T08:39:12Z')
    assert.equal(details.lastreason, 'Good night')
  })

  test('does not pass to who gets the name next', async () => {
    await using accounts = await TestAccounts.open()
    const { directory } = accounts
    await directory.register(juliet, 'rose')
    await directory.ban(juliet, 'Spam')
    await directory.remove(juliet)
    await directory.register(juliet, 'thorn')
    assert.ok((await directory.checkPassword(juliet, 'thorn', attempt)).ok)
  })
})

describe('methods of sign-in', () => {
  for (const method of ['ldap', 'pam']) {
    test(`${method} is not supported yet and lets nobody in`, async () => {
      await using accounts = await TestAccounts.open({ auth_method: method })
      const { directory, host } = accounts
      const checked = await directory.checkPassword(juliet, 'rose', attempt)
      assert.deepEqual(checked, err('unavailable'))
      assert.deepEqual(await directory.register(juliet, 'rose'), err('not-allowed'))
      assert.deepEqual(await directory.setPassword(juliet, 'rose'), err('not-allowed'))
      const { scram, checksPasswords, allowsGuests } = directory.policy(host)
      assert.deepEqual([scram, checksPasswords, allowsGuests], [[], false, false])
      assert.equal(await accounts.scram('sha256', 'juliet', 'rose'), 'not-authorized')
    })
  }

  test('that are supported work beside those that are not', async () => {
    await using accounts = await TestAccounts.open({ auth_method: ['ldap', 'mnesia'] })
    assert.ok((await accounts.directory.register(juliet, 'rose')).ok)
    assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
  })

  test('a reload takes changed options over and keeps accounts', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, host } = accounts
    await directory.register(juliet, 'rose')
    await directory.reloadHost(host, authOptions({ auth_password_format: 'plain' }))
    await directory.register(bare('romeo@localhost'), 'moon')
    assert.deepEqual(
      (await accounts.rows('romeo')).map(({ password }) => password),
      ['moon'],
    )
    assert.ok((await directory.checkPassword(juliet, 'rose', attempt)).ok)
  })

  test('a host that is gone has no accounts', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, host } = accounts
    await directory.register(juliet, 'rose')
    await directory.removeHost(host)
    const checked = await directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(checked, err('not-authorized'))
    assert.throws(() => directory.policy(host), /not served/)
  })
})
