import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { authOptions, TestAccounts } from '../../test/support/accounts.ts'
import type { UserRow } from '../../test/support/accounts.ts'
import { bare, keysFor } from '../../test/support/sasl.ts'
import type { AuthAttempt, ScramHash } from '../core/account.ts'
import { err } from '../util/result.ts'
import { policyOf } from './auth-options.ts'

const juliet = bare('juliet@localhost')
const nobody = bare('nobody@localhost')
const attempt: AuthAttempt = { protocol: 'xmpp', ip: undefined }
const salt = Buffer.from('0123456789abcdef')
const types: Record<ScramHash, number> = { sha1: 2, sha256: 3, sha512: 4 }

/** A row as ejabberd writes it. */
function scramRow(hash: ScramHash, password: string, iterations = 4096): Omit<UserRow, 'type'> {
  const keys = keysFor(hash, password, salt, iterations)
  return {
    password: Buffer.from(keys.storedKey).toString('base64'),
    serverkey: Buffer.from(keys.serverKey).toString('base64'),
    salt: salt.toString('base64'),
    iterationcount: iterations,
  }
}

const plainRow = (password: string): Omit<UserRow, 'type'> => ({
  password,
  serverkey: '',
  salt: '',
  iterationcount: 0,
})

async function insert(accounts: TestAccounts, row: UserRow, username = 'juliet'): Promise<void> {
  const outcome = await accounts.store.write(
    accounts.store.table('users').insert({ username, ...row }),
  ).settled
  assert.ok(outcome.ok)
}

/** Replaces the table by that of ejabberd 23.01 in the single-host form, one row an account. */
function makeOldTable(file: string): void {
  const database = new DatabaseSync(file)
  database.exec(`CREATE TABLE users (username text PRIMARY KEY, password text NOT NULL,
    serverkey text NOT NULL DEFAULT '', salt text NOT NULL DEFAULT '',
    iterationcount integer NOT NULL DEFAULT 0,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)`)
  database.close()
}

const openOld = (written: Readonly<Record<string, unknown>> = {}) =>
  TestAccounts.open(written, { multihost: false, prepare: makeOldTable })

describe('passwords are stored', () => {
  const cases = [
    { options: {}, types: [2, 3, 4] },
    { options: { auth_password_format: 'plain' }, types: [1] },
    { options: { auth_password_format: 'scram' }, types: [2] },
    { options: { auth_password_format: 'scram', auth_scram_hash: 'sha512' }, types: [4] },
    { options: { auth_stored_password_types: ['plain', 'scram_sha256'] }, types: [1, 3] },
    // What is more, as in ejabberd, this option overrides the other two.
    {
      options: { auth_stored_password_types: ['scram_sha1'], auth_password_format: 'plain' },
      types: [2],
    },
  ]
  for (const { options, types: expected } of cases) {
    // shows: option auth_password_format
    // shows: option auth_scram_hash
    // shows: option auth_stored_password_types
    test(`as types ${expected.join()} with ${JSON.stringify(options)}`, async () => {
      await using accounts = await TestAccounts.open(options)
      await accounts.directory.register(juliet, 'rose')
      const rows = await accounts.rows('juliet')
      assert.deepEqual(
        rows.map(({ type }) => type),
        expected,
      )
      assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
      for (const row of rows) {
        if (row.type === 1) assert.deepEqual(row, { type: 1, ...plainRow('rose') })
        else {
          assert.equal(Buffer.from(row.salt, 'base64').length, 16)
          assert.equal(row.iterationcount, 4096)
        }
      }
    })
  }

  test('under a salt of their own for each account and form', async () => {
    await using accounts = await TestAccounts.open()
    await accounts.directory.register(juliet, 'rose')
    await accounts.directory.register(nobody, 'rose')
    const rows = [...(await accounts.rows('juliet')), ...(await accounts.rows('nobody'))]
    assert.equal(new Set(rows.map((row) => row.salt)).size, 6)
  })

  test('in the older layout as its one row, which ejabberd 23.01 reads', async () => {
    const hashes = { sha: 'sha1', sha256: 'sha256', sha512: 'sha512' } as const
    for (const [option, hash] of Object.entries(hashes)) {
      await using accounts = await openOld({ auth_scram_hash: option })
      await accounts.directory.register(juliet, 'rose')
      const [row, ...more] = await accounts.rows('juliet')
      assert.deepEqual(more, [])
      const expected = keysFor(hash, 'rose', Buffer.from(row?.salt ?? '', 'base64'))
      const key = Buffer.from(expected.storedKey).toString('base64')
      assert.equal(row?.password, hash === 'sha1' ? key : `${hash}:${key}`)
      assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
      assert.equal(await accounts.scram(hash, 'juliet', 'rose'), 'success')
      assert.ok((await accounts.directory.setPassword(juliet, 'thorn')).ok)
      assert.equal(await accounts.scram(hash, 'juliet', 'thorn'), 'success')
      assert.equal((await accounts.rows('juliet')).length, 1)
    }
  })
})

describe('rows of ejabberd are understood', () => {
  for (const hash of ['sha1', 'sha256', 'sha512'] as const) {
    test(`SCRAM keys of ${hash}, with another count of iterations`, async () => {
      await using accounts = await TestAccounts.open()
      await insert(accounts, { type: types[hash], ...scramRow(hash, 'rose', 10_000) })
      assert.equal(await accounts.scram(hash, 'juliet', 'rose'), 'success')
      assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
    })

    test(`SCRAM keys of ${hash} in a row of before there were types`, async () => {
      await using accounts = await TestAccounts.open()
      const row = scramRow(hash, 'rose')
      const password = hash === 'sha1' ? row.password : `${hash}:${row.password}`
      await insert(accounts, { type: 0, ...row, password })
      assert.equal(await accounts.scram(hash, 'juliet', 'rose'), 'success')
      assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
    })

    test(`SCRAM keys of ${hash} in the older layout`, async () => {
      await using accounts = await openOld()
      const { password, ...row } = scramRow(hash, 'rose')
      const prefixed = hash === 'sha1' ? password : `${hash}:${password}`
      const key = { username: 'juliet' }
      const query = accounts.store
        .table('users')
        .upsert({ key, set: { ...row, password: prefixed } })
      assert.ok((await accounts.store.write(query).settled).ok)
      assert.equal(await accounts.scram(hash, 'juliet', 'rose'), 'success')
      assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
    })
  }

  for (const type of [0, 1]) {
    test(`a plain password of type ${type}, by PLAIN and by every SCRAM`, async () => {
      await using accounts = await TestAccounts.open({ auth_password_format: 'plain' })
      await insert(accounts, { type, ...plainRow('rose') })
      for (const hash of ['sha1', 'sha256', 'sha512'] as const) {
        assert.equal(await accounts.scram(hash, 'juliet', 'rose'), 'success')
        assert.equal(await accounts.scram(hash, 'juliet', 'thorn'), 'not-authorized')
      }
      assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
      const wrong = await accounts.directory.checkPassword(juliet, 'Rose', attempt)
      assert.deepEqual(wrong, err('not-authorized'))
    })
  }

  test('a row that makes no sense lets nobody in, not even without a password', async () => {
    const good = scramRow('sha256', 'rose')
    const bad: readonly UserRow[] = [
      { type: 3, ...good, iterationcount: 0 },
      { type: 3, ...good, iterationcount: 10_000_000 },
      { type: 3, ...good, password: 'AAAA' },
      { type: 3, ...good, serverkey: '***' },
      { type: 3, ...good, salt: '' },
      { type: 9, ...good },
      { type: 3, ...plainRow('rose') },
    ]
    for (const row of bad) {
      await using accounts = await TestAccounts.open()
      await insert(accounts, row)
      for (const password of ['rose', '', 'AAAA']) {
        const checked = await accounts.directory.checkPassword(juliet, password, attempt)
        assert.deepEqual(checked, err('not-authorized'))
      }
      assert.equal(await accounts.scram('sha256', 'juliet', 'rose'), 'not-authorized')
      // The name is taken all the same.
      assert.deepEqual(await accounts.directory.register(juliet, 'x'), err('exists'))
    }
  })
})

describe('missing forms are added when the password is seen', () => {
  test('to a plain one, which stays for ejabberd', async () => {
    await using accounts = await TestAccounts.open()
    await insert(accounts, { type: 1, ...plainRow('rose') })
    assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
    await accounts.directory.reloadHost(accounts.host, authOptions({ auth_use_cache: false }))
    assert.deepEqual(
      (await accounts.rows('juliet')).map(({ type }) => type),
      [1, 2, 3, 4],
    )
    assert.equal(await accounts.scram('sha512', 'juliet', 'rose'), 'success')
  })

  test('to one from before there were types, which gets its type', async () => {
    await using accounts = await TestAccounts.open()
    await insert(accounts, { type: 0, ...scramRow('sha1', 'rose') })
    assert.ok((await accounts.directory.checkPassword(juliet, 'rose', attempt)).ok)
    await accounts.directory.removeHost(accounts.host)
    const rows = await accounts.rows('juliet')
    assert.deepEqual(
      rows.map(({ type }) => type),
      [2, 3, 4],
    )
    assert.deepEqual(rows[0], { type: 2, ...scramRow('sha1', 'rose') })
  })

  test('but not when it was wrong, nor where there is room for one', async () => {
    await using accounts = await TestAccounts.open()
    await insert(accounts, { type: 1, ...plainRow('rose') })
    await accounts.directory.checkPassword(juliet, 'thorn', attempt)
    await accounts.directory.removeHost(accounts.host)
    assert.deepEqual(
      (await accounts.rows('juliet')).map(({ type }) => type),
      [1],
    )
    await using old = await openOld()
    const query = { key: { username: 'juliet' }, set: plainRow('rose') }
    await old.store.write(old.store.table('users').upsert(query)).settled
    assert.ok((await old.directory.checkPassword(juliet, 'rose', attempt)).ok)
    await old.directory.removeHost(old.host)
    assert.deepEqual(await old.rows('juliet'), [{ type: -1, ...plainRow('rose') }])
  })

  test('convert_to_scram takes the plain ones away', async () => {
    await using accounts = await TestAccounts.open()
    await insert(accounts, { type: 1, ...plainRow('rose') })
    await insert(accounts, { type: 3, ...scramRow('sha256', 'moon') }, 'romeo')
    assert.equal(await accounts.directory.convertToScram(accounts.host), 1)
    assert.deepEqual(
      (await accounts.rows('juliet')).map(({ type }) => type),
      [2, 3, 4],
    )
    assert.deepEqual(
      (await accounts.rows('romeo')).map(({ type }) => type),
      [3],
    )
    assert.equal(await accounts.scram('sha1', 'juliet', 'rose'), 'success')
    assert.equal(await accounts.directory.convertToScram(accounts.host), 0)
  })

  test('convert_to_scram works in the older layout', async () => {
    await using accounts = await openOld({ auth_password_format: 'plain' })
    await accounts.directory.register(juliet, 'rose')
    assert.equal(await accounts.directory.convertToScram(accounts.host), 1)
    assert.equal((await accounts.rows('juliet'))[0]?.iterationcount, 4096)
    assert.equal(await accounts.scram('sha1', 'juliet', 'rose'), 'success')
  })
})

describe('who guesses learns nothing of what accounts there are', () => {
  const setups = {
    'keys are stored': {},
    'passwords are stored as they are': { auth_password_format: 'plain' },
  }
  for (const [name, options] of Object.entries(setups)) {
    test(`by the work that a password costs, where ${name}`, async () => {
      await using accounts = await TestAccounts.open(options)
      const { directory } = accounts
      await directory.register(juliet, 'rose')
      const cost = async (work: () => Promise<unknown>): Promise<number> => {
        const before = directory.derivations.count
        await work()
        return directory.derivations.count - before
      }
      for (const account of [juliet, nobody]) {
        assert.equal(await cost(() => directory.checkPassword(account, 'wrong', attempt)), 1)
      }
      const known = await cost(() => directory.scramKeys(juliet, 'sha256'))
      assert.equal(await cost(() => directory.scramKeys(nobody, 'sha256')), known)
    })
  }

  test('by the salt, which stays the same for a name that nobody has', async () => {
    await using accounts = await TestAccounts.open()
    const { directory, host } = accounts
    const keys = await directory.scramKeys(nobody, 'sha256')
    assert.equal(keys.isReal, false)
    assert.equal(keys.salt.length, 16)
    assert.equal(keys.iterations, 4096)
    assert.equal(keys.storedKey.length, 32)
    assert.deepEqual(await directory.scramKeys(nobody, 'sha256'), keys)
    // After a restart as well: it follows from a secret in the database.
    await directory.removeHost(host)
    const parts = { host, hooks: accounts.hooks, storeFor: () => accounts.store }
    await directory.addHost(parts, authOptions())
    assert.deepEqual(await directory.scramKeys(nobody, 'sha256'), keys)
    const other = await directory.scramKeys(bare('none@localhost'), 'sha256')
    assert.notDeepEqual(other.salt, keys.salt)
  })
})

describe('the cache of passwords', () => {
  const cost = async (accounts: TestAccounts, password: string): Promise<number> => {
    const before = accounts.directory.derivations.count
    await accounts.directory.checkPassword(juliet, password, attempt)
    return accounts.directory.derivations.count - before
  }

  test('spares the work for one that was right, not for a wrong one', async () => {
    await using accounts = await TestAccounts.open()
    await accounts.directory.register(juliet, 'rose')
    assert.equal(await cost(accounts, 'rose'), 1)
    assert.equal(await cost(accounts, 'rose'), 0)
    assert.equal(await cost(accounts, 'thorn'), 1)
    assert.equal(await cost(accounts, 'thorn'), 1)
    assert.equal(await cost(accounts, 'rose'), 0)
  })

  test('is worth nothing for keys that somebody else changed in the database', async () => {
    await using accounts = await TestAccounts.open({ auth_cache_life_time: '1 minute' })
    await accounts.directory.register(juliet, 'rose')
    assert.equal(await cost(accounts, 'rose'), 1)
    const { store } = accounts
    await store.write([
      store.table('users').delete().where('username', '=', 'juliet'),
      store.table('users').insert({ username: 'juliet', type: 3, ...scramRow('sha256', 'moon') }),
    ]).settled
    accounts.clock.advance(61_000)
    const checked = await accounts.directory.checkPassword(juliet, 'rose', attempt)
    assert.deepEqual(checked, err('not-authorized'))
    assert.ok((await accounts.directory.checkPassword(juliet, 'moon', attempt)).ok)
  })

  // shows: option auth_cache_life_time
  // shows: option auth_cache_size
  test('forgets after its life time, and by its size', async () => {
    const options = { auth_cache_life_time: '1 minute', auth_cache_size: 2 }
    await using accounts = await TestAccounts.open(options)
    const { directory } = accounts
    await directory.register(juliet, 'rose')
    assert.equal(await cost(accounts, 'rose'), 1)
    accounts.clock.advance(61_000)
    assert.equal(await cost(accounts, 'rose'), 1)
    for (const name of ['romeo', 'bill']) {
      await directory.register(bare(`${name}@localhost`), 'x')
      await directory.checkPassword(bare(`${name}@localhost`), 'x', attempt)
    }
    assert.equal(await cost(accounts, 'rose'), 1)
  })

  // shows: option auth_use_cache
  test('can be switched off', async () => {
    await using accounts = await TestAccounts.open({ auth_use_cache: false })
    await accounts.directory.register(juliet, 'rose')
    assert.equal(await cost(accounts, 'rose'), 1)
    assert.equal(await cost(accounts, 'rose'), 1)
  })

  // shows: option auth_cache_missed
  test('an account that is made elsewhere is seen at once if missing ones are not cached', async () => {
    for (const [isCached, seen] of [
      [true, false],
      [false, true],
    ] as const) {
      await using accounts = await TestAccounts.open({ auth_cache_missed: isCached })
      assert.equal(await accounts.directory.exists(juliet), false)
      await insert(accounts, { type: 3, ...scramRow('sha256', 'rose') })
      assert.equal(await accounts.directory.exists(juliet), seen)
    }
  })
})

test('offers what every account can do', () => {
  const policy = (written: Readonly<Record<string, unknown>>, hasTypes = true) => {
    const options = authOptions(written)
    return policyOf(options, options.auth_method, hasTypes)
  }
  const all: readonly ScramHash[] = ['sha1', 'sha256', 'sha512']
  assert.deepEqual(policy({}).scram, all)
  assert.deepEqual(policy({ auth_password_format: 'plain' }).scram, all)
  assert.deepEqual(policy({ auth_password_format: 'scram' }).scram, ['sha1'])
  assert.deepEqual(policy({ auth_stored_password_types: ['scram_sha512'] }).scram, ['sha512'])
  assert.deepEqual(policy({}, false).scram, ['sha1'])
  assert.deepEqual(policy({ auth_scram_hash: 'sha256' }, false).scram, ['sha256'])
  assert.deepEqual(policy({ auth_method: ['mnesia', 'external'] }).scram, [])
  assert.deepEqual(policy({ auth_method: 'jwt' }).scram, [])
  assert.equal(policy({ auth_method: 'jwt' }).checksPasswords, true)
  const guests = policy({ auth_method: 'anonymous' })
  assert.deepEqual([guests.checksPasswords, guests.allowsGuests], [false, true])
  const login = policy({ auth_method: 'anonymous', anonymous_protocol: 'login_anon' })
  assert.deepEqual([login.checksPasswords, login.allowsGuests], [true, false])
})
