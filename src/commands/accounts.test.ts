import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TestAccounts } from '../../test/support/accounts.ts'
import { bare } from '../../test/support/sasl.ts'
import { signInTried } from '../core/account.ts'
import type { CommandValue } from '../core/command.ts'
import { CommandError, CommandRegistry } from '../core/command.ts'
import { Services } from '../core/service.ts'
import { clock, hosts } from '../core/shared.ts'
import type { Host } from '../core/shared.ts'
import { sessionRegistry } from '../core/sessions.ts'
import { banCommands } from './accounts-bans.ts'
import { accountCommands } from './accounts.ts'

/** Runs commands over accounts of the host `localhost`. */
class Shell implements AsyncDisposable {
  readonly accounts: TestAccounts
  readonly #services = new Services()
  readonly #commands = new CommandRegistry()

  private constructor(accounts: TestAccounts) {
    this.accounts = accounts
    for (const command of [...accountCommands, ...banCommands]) this.#commands.add(command)
    accounts.directory.provide(this.#services)
    this.#services.provide(clock, accounts.clock)
    this.#services.provide(sessionRegistry, accounts.sessions)
    // Commands only ask whether a host is served.
    const host = { name: 'localhost' } as unknown as Host
    this.#services.provide(hosts, {
      names: ['localhost'],
      find: (name) => (name === 'localhost' ? host : undefined),
      get: () => host,
    })
  }

  static async open(written: Readonly<Record<string, unknown>> = {}): Promise<Shell> {
    return new Shell(await TestAccounts.open(written))
  }

  /** The result, or the failure as `code/number: message`. */
  async run(name: string, ...args: readonly string[]): Promise<CommandValue> {
    const version = /^(.*)\/v(\d+)$/.exec(name)
    const command = this.#commands.find(version?.[1] ?? name, Number(version?.[2] ?? Infinity))
    assert.ok(command !== undefined, name)
    assert.equal(command.args.length, args.length)
    const services = this.#services
    try {
      return await command.run(args, {
        caller: { from: 'ejabberd_ctl' },
        services,
        service: services.get.bind(services),
      })
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      return `${error.code}/${error.number}: ${error.message}`
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.accounts[Symbol.asyncDispose]()
  }
}

test('accounts are registered, listed and removed in the words of ejabberd', async () => {
  await using shell = await Shell.open()
  const rows: readonly [readonly [string, ...string[]], CommandValue][] = [
    [['register', 'user1', 'localhost', 'pw'], 'User user1@localhost successfully registered'],
    [
      ['register', 'user1', 'localhost', 'pw'],
      'conflict/10090: User user1@localhost already registered',
    ],
    [['register', 'user1', 'nohost', 'pw'], 'cannot_register/10001: Unknown virtual host'],
    [
      ['register', 'a@b', 'localhost', 'pw'],
      "cannot_register/10001: Can't register user a@b@localhost at node linnet@localhost: Malformed username",
    ],
    [
      ['register', 'bob', 'localhost', ''],
      "cannot_register/10001: Can't register user bob@localhost at node linnet@localhost: The password contains unacceptable characters",
    ],
    [['register', 'Adam', 'LOCALHOST', 'pw'], 'User Adam@LOCALHOST successfully registered'],
    [
      ['registered_users', 'localhost'],
      ['adam', 'user1'],
    ],
    [['registered_users', 'nohost'], 'error/0: Unknown virtual host'],
    [['check_account', 'USER1', 'localhost'], 0],
    [['check_account', 'user9', 'localhost'], 'false'],
    [['check_account', 'user1', 'nohost'], 'false'],
    [['check_account', 'a b', 'localhost'], 'false'],
    [['unregister', 'user1', 'localhost'], ''],
    [['unregister', 'user1', 'localhost'], ''],
    [['unregister', 'user1', 'nohost'], 'error/0: Unknown virtual host'],
    [['registered_users', 'localhost'], ['adam']],
  ]
  for (const [[name, ...args], expected] of rows) {
    assert.deepEqual(await shell.run(name, ...args), expected, `${name} ${args.join(' ')}`)
  }
})

test('passwords are checked and changed, which is no attempt to sign in', async () => {
  await using shell = await Shell.open()
  const told: unknown[] = []
  shell.accounts.hooks.on(signInTried, (...args) => void told.push(args), 'test')
  await shell.run('register', 'user1', 'localhost', 'pw')
  assert.equal(await shell.run('check_password', 'user1', 'localhost', 'pw'), 0)
  assert.equal(await shell.run('check_password', 'user1', 'localhost', 'x'), 'false')
  assert.equal(await shell.run('check_password', 'a b', 'localhost', 'x'), 'false')
  assert.equal(await shell.run('change_password', 'user1', 'localhost', 'n2'), 0)
  assert.equal(await shell.run('check_password', 'user1', 'localhost', 'pw'), 'false')
  assert.equal(await shell.run('check_password', 'user1', 'localhost', 'n2'), 0)
  const missing = await shell.run('change_password', 'user9', 'localhost', 'x')
  assert.equal(missing, 'not_found/0: unknown_user')
  const empty = await shell.run('change_password', 'user1', 'localhost', '')
  assert.equal(empty, 'error/0: invalid_password')
  assert.deepEqual(told, [])
})

describe('check_password_hash', () => {
  // printf n2 | md5sum
  const md5 = 'A6BBC91AE73DD21C0533F735470A9CD0'

  test('compares hashes in capitals, where passwords are stored as they are', async () => {
    await using shell = await Shell.open({ auth_password_format: 'plain' })
    await shell.run('register', 'user1', 'localhost', 'n2')
    const check = (...args: string[]) =>
      shell.run('check_password_hash', 'user1', 'localhost', ...args)
    assert.equal(await check(md5, 'md5'), 0)
    assert.equal(await check(md5.toLowerCase(), 'md5'), 'false')
    assert.equal(await check('ABC', 'sha256'), 'false')
    assert.equal(await check(md5, 'foo'), 'error/0: unkown_hash_method')
    const missing = await shell.run('check_password_hash', 'user9', 'localhost', md5, 'md5')
    assert.equal(missing, 'false')
  })

  test('cannot work on keys', async () => {
    await using shell = await Shell.open()
    await shell.run('register', 'user1', 'localhost', 'n2')
    const result = await shell.run('check_password_hash', 'user1', 'localhost', md5, 'md5')
    assert.equal(result, 'error/0: passwords_scrammed_command_cannot_work')
  })

  test('can, and cannot any more after convert_to_scram', async () => {
    await using shell = await Shell.open({ auth_password_format: 'plain' })
    await shell.run('register', 'user1', 'localhost', 'n2')
    assert.equal(await shell.run('convert_to_scram', 'localhost'), 0)
    const result = await shell.run('check_password_hash', 'user1', 'localhost', md5, 'md5')
    assert.equal(result, 'error/0: passwords_scrammed_command_cannot_work')
    assert.equal(await shell.run('check_password', 'user1', 'localhost', 'n2'), 0)
    const unknown = await shell.run('convert_to_scram', 'nohost')
    assert.equal(unknown, 'error/0: Unknown virtual host')
  })
})

describe('bans', () => {
  test('of version 2 are recorded, shown, listed and lifted', async () => {
    await using shell = await Shell.open()
    await shell.run('register', 'user1', 'localhost', 'pw')
    const session = shell.accounts.openSession('user1@localhost/a')
    assert.equal(await shell.run('ban_account', 'user1', 'localhost', 'Spam'), 0)
    assert.deepEqual(session.kicks, ['banned: Spam'])
    assert.equal(await shell.run('check_password', 'user1', 'localhost', 'pw'), 'false')
    assert.deepEqual(await shell.run('get_ban_details', 'user1', 'localhost'), [
      ['reason', 'Spam'],
      ['bandate', '2026-01-01T00:00:00.000Z'],
      ['lastdate', '2026-01-01T00:00:00.000Z'],
      ['lastreason', 'ONLINE'],
    ])
    assert.deepEqual(await shell.run('list_banned', 'localhost'), ['user1@localhost'])
    assert.deepEqual(await shell.run('list_banned', 'all'), ['user1@localhost'])
    assert.equal(await shell.run('count_banned', 'all'), 1)
    assert.equal(await shell.run('count_banned', 'nohost'), 'error/0: Unknown virtual host')
    const again = await shell.run('ban_account', 'user1', 'localhost', 'Spam')
    assert.equal(again, 'account_was_already_banned')
    assert.equal(await shell.run('unban_account', 'user1', 'localhost'), 0)
    assert.equal(await shell.run('check_password', 'user1', 'localhost', 'pw'), 0)
    assert.deepEqual(await shell.run('get_ban_details', 'user1', 'localhost'), [])
    assert.equal(await shell.run('count_banned', 'localhost'), 0)
    const unbanned = await shell.run('unban_account', 'user1', 'localhost')
    assert.equal(unbanned, 'account_was_not_banned')
    for (const args of [
      ['user9', 'localhost'],
      ['a b', 'localhost'],
    ]) {
      assert.equal(await shell.run('ban_account', ...args, 'x'), 'account_does_not_exist')
      assert.equal(await shell.run('unban_account', ...args), 'account_does_not_exist')
      assert.deepEqual(await shell.run('get_ban_details', ...args), [])
    }
  })

  for (const text of ['Spam', 'שלום abc\u0007', 'x'.repeat(20_000)]) {
    test(`of version 0 set a password that nobody knows, for ${JSON.stringify(text.slice(0, 12))}`, async () => {
      await using shell = await Shell.open({ auth_password_format: 'plain' })
      await shell.run('register', 'user1', 'localhost', 'pw')
      const session = shell.accounts.openSession('user1@localhost/a')
      assert.equal(await shell.run('ban_account/v0', 'user1', 'localhost', text), 0)
      assert.deepEqual(session.kicks, [`banned: ${text}`])
      assert.equal(await shell.run('check_password', 'user1', 'localhost', 'pw'), 'false')
      const [row] = await shell.accounts.rows('user1')
      assert.match(row?.password ?? '', /^BANNED_ACCOUNT--20260101T00:00:00--[\w-]{20}--/)
      const account = bare('user1@localhost')
      assert.equal(await shell.accounts.directory.banDetails(account), undefined)
      const missing = await shell.run('ban_account/v0', 'user9', 'localhost', text)
      assert.equal(missing, 'not_found/0: unknown_user')
    })
  }
})
