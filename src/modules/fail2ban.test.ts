import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TestAccounts } from '../../test/support/accounts.ts'
import { bare, hostName } from '../../test/support/sasl.ts'
import { Access } from '../core/access.ts'
import { signInAllowed, signInDenialText, signInTried } from '../core/account.ts'
import type { AuthAttempt } from '../core/account.ts'
import { TestClock } from '../core/clock.ts'
import { CommandRegistry } from '../core/command.ts'
import type { Config } from '../core/config/config.ts'
import { loadConfig } from '../core/config/load.ts'
import { createSchema } from '../core/config/schema.ts'
import { Hooks } from '../core/hooks.ts'
import { Logs, silentLog } from '../core/log.ts'
import { Metrics } from '../core/metrics.ts'
import { ModuleHost } from '../core/module-host.ts'
import { Services } from '../core/service.ts'
import { access } from '../core/shared.ts'
import { parseCidr } from '../util/cidr.ts'
import { fail2ban, FailureTable } from './fail2ban.ts'

const juliet = bare('juliet@localhost')
const from = (ip: string | undefined): AuthAttempt => ({ protocol: 'mqtt', ip })

async function configure(options: Readonly<Record<string, unknown>>): Promise<Config> {
  const schema = createSchema({ modules: [['mod_fail2ban', fail2ban.options]] })
  const { config, problems } = await loadConfig(
    {
      options: {
        hosts: ['localhost', 'example.net'],
        acl: { safe: { ip: '198.51.100.0/24' } },
        access_rules: { safe: { allow: 'safe' } },
        modules: { mod_fail2ban: options },
      },
    },
    schema,
    { version: '1.0.0' },
  )
  assert.ok(config !== undefined, JSON.stringify(problems))
  return config
}

/** The module running on two hosts of one server. */
class Running implements AsyncDisposable {
  readonly clock: TestClock
  readonly commands = new CommandRegistry()
  readonly services = new Services()
  readonly hooks = { localhost: new Hooks(silentLog), 'example.net': new Hooks(silentLog) }
  readonly #accounts: TestAccounts
  readonly #hosts: ModuleHost[] = []

  private constructor(accounts: TestAccounts) {
    this.#accounts = accounts
    this.clock = accounts.clock
  }

  static async start(options: Readonly<Record<string, unknown>> = {}): Promise<Running> {
    const config = await configure(options)
    const running = new Running(await TestAccounts.open())
    const { clock, commands, services } = running
    services.provide(access, new Access(config))
    for (const name of ['localhost', 'example.net'] as const) {
      const host = new ModuleHost(
        {
          host: hostName(name),
          hooks: running.hooks[name],
          storeFor: () => running.#accounts.store,
          clock,
          logs: new Logs({ level: 'none' }),
          metrics: new Metrics(),
          commands,
          services,
          extensions: [],
        },
        new Map([[fail2ban.name, fail2ban]]),
      )
      await host.apply(config.modules(name))
      running.#hosts.push(host)
    }
    return running
  }

  fail(ip: string | undefined, times = 1, host: keyof typeof this.hooks = 'localhost'): void {
    for (let i = 0; i < times; i++) this.hooks[host].emit(signInTried, from(ip), juliet, false)
  }

  isDenied(ip: string | undefined, host: keyof typeof this.hooks = 'localhost'): boolean {
    return this.hooks[host].decide(signInAllowed, from(ip), undefined) === 'deny'
  }

  unban(address: string): unknown {
    const { services } = this
    const context = {
      caller: { from: 'ejabberd_ctl' },
      services,
      service: services.get.bind(services),
    }
    return this.commands.find('unban_ip')?.run([address], context)
  }

  async reload(options: Readonly<Record<string, unknown>>): Promise<void> {
    const module = (await configure(options)).modules('localhost').get(fail2ban.name)
    assert.ok(module !== undefined)
    for (const host of this.#hosts) await host.reload(module)
  }

  async stop(): Promise<void> {
    for (const host of this.#hosts) await host.stopAll()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#accounts[Symbol.asyncDispose]()
  }
}

describe('mod_fail2ban', () => {
  // shows: module mod_fail2ban
  test('bans an address after 20 failures, for an hour', async () => {
    await using running = await Running.start()
    running.fail('192.0.2.1', 19)
    assert.equal(running.isDenied('192.0.2.1'), false)
    running.fail('192.0.2.1')
    assert.equal(running.isDenied('192.0.2.1'), true)
    assert.equal(running.isDenied('192.0.2.2'), false)
    running.clock.advance(3_599_999)
    assert.equal(running.isDenied('192.0.2.1'), true)
    running.clock.advance(1)
    assert.equal(running.isDenied('192.0.2.1'), false)
    running.fail('192.0.2.1')
    assert.equal(running.isDenied('192.0.2.1'), false)
  })

  // shows: option mod_fail2ban.c2s_max_auth_failures
  // shows: option mod_fail2ban.c2s_auth_ban_lifetime
  test('takes the number and the time from its options, changed ones after a reload', async () => {
    const options = { c2s_max_auth_failures: 2, c2s_auth_ban_lifetime: '1 minute' }
    await using running = await Running.start(options)
    running.fail('192.0.2.1', 2)
    assert.equal(running.isDenied('192.0.2.1'), true)
    running.clock.advance(60_000)
    assert.equal(running.isDenied('192.0.2.1'), false)
    await running.reload({ c2s_max_auth_failures: 3 })
    running.fail('192.0.2.1', 2)
    assert.equal(running.isDenied('192.0.2.1'), false)
    running.fail('192.0.2.1')
    assert.equal(running.isDenied('192.0.2.1'), true)
  })

  test('forgets failures at a success', async () => {
    await using running = await Running.start({ c2s_max_auth_failures: 2 })
    running.fail('192.0.2.1')
    running.hooks.localhost.emit(signInTried, from('192.0.2.1'), juliet, true)
    running.fail('192.0.2.1')
    assert.equal(running.isDenied('192.0.2.1'), false)
  })

  test('counts over all hosts, and in every spelling of an address', async () => {
    await using running = await Running.start({ c2s_max_auth_failures: 3 })
    running.fail('2001:db8::1')
    running.fail('2001:DB8:0:0::1', 1, 'example.net')
    running.fail('2001:db8:0:0:0:0:0:1')
    assert.equal(running.isDenied('2001:db8::1', 'example.net'), true)
    running.fail('::ffff:192.0.2.1', 3)
    assert.equal(running.isDenied('192.0.2.1'), true)
  })

  // shows: option mod_fail2ban.access
  test('leaves addresses alone for which its access rule allows', async () => {
    await using running = await Running.start({ access: 'safe', c2s_max_auth_failures: 1 })
    running.fail('198.51.100.7', 5)
    assert.equal(running.isDenied('198.51.100.7'), false)
    running.fail('198.51.101.7')
    assert.equal(running.isDenied('198.51.101.7'), true)
  })

  test('leaves attempts alone that have no address', async () => {
    await using running = await Running.start({ c2s_max_auth_failures: 1 })
    for (const ip of [undefined, '']) {
      running.fail(ip, 5)
      assert.equal(running.isDenied(ip), false)
    }
  })

  test('says for how long, in the words of ejabberd', async () => {
    await using running = await Running.start({ c2s_max_auth_failures: 2 })
    running.fail('192.0.2.1', 2)
    const text = running.hooks.localhost.apply(signInDenialText, '', from('192.0.2.1'))
    assert.equal(
      text,
      'Too many (2) failed authentications from this IP address (192.0.2.1). ' +
        'The address will be unblocked at 01:00:00 01.01.2026 UTC',
    )
    assert.equal(running.hooks.localhost.apply(signInDenialText, '', from('192.0.2.2')), '')
  })

  test('unban_ip lifts bans of an address or a network', async () => {
    await using running = await Running.start({ c2s_max_auth_failures: 1 })
    for (const ip of ['192.0.2.1', '192.0.2.2', '192.0.3.1', '2001:db8::1']) running.fail(ip)
    assert.equal(running.unban('192.0.2.1'), 1)
    assert.equal(running.isDenied('192.0.2.1'), false)
    assert.equal(running.isDenied('192.0.2.2'), true)
    assert.equal(running.unban('::FFFF:192.0.2.2/128'), 1)
    assert.equal(running.unban('192.0.0.0/16'), 1)
    assert.equal(running.unban('2001:db8::/32'), 1)
    assert.equal(running.unban('192.0.2.1'), 0)
    assert.equal(running.unban('192.0.2'), -1)
  })

  test('bans nobody any more once it has stopped', async () => {
    await using running = await Running.start({ c2s_max_auth_failures: 1 })
    running.fail('192.0.2.1')
    await running.stop()
    assert.equal(running.isDenied('192.0.2.1'), false)
    assert.equal(running.commands.find('unban_ip'), undefined)
  })

  test('turns away a sign-in over Accounts, whatever the password', async () => {
    await using accounts = await TestAccounts.open()
    await using running = await Running.start({ c2s_max_auth_failures: 2 })
    const { directory } = accounts
    const parts = {
      host: hostName('localhost'),
      hooks: running.hooks.localhost,
      storeFor: () => accounts.store,
    }
    const { options } = accounts
    await directory.removeHost(accounts.host)
    await directory.addHost(parts, options)
    await directory.register(juliet, 'rose')
    for (let i = 0; i < 2; i++) await directory.checkPassword(juliet, 'x', from('192.0.2.1'))
    const banned = await directory.checkPassword(juliet, 'rose', from('192.0.2.1'))
    assert.equal(banned.ok, false)
    assert.ok((await directory.checkPassword(juliet, 'rose', from('192.0.2.2'))).ok)
  })
})

test('the table of failures has a bound, and bans stay longest', () => {
  const clock = new TestClock()
  const table = new FailureTable(clock)
  const limits = { lifetimeMs: 60_000, max: 2 }
  table.add('192.0.2.1', limits)
  table.add('192.0.2.1', limits)
  for (let i = 0; i < 100_010; i++) table.add(`2001:db8::${i.toString(16)}`, limits)
  assert.equal(table.size, 100_000)
  assert.ok(table.banOf('192.0.2.1') !== undefined)
  clock.advance(60_000)
  table.sweep()
  assert.equal(table.size, 0)
  const everything = parseCidr('::/0')
  assert.ok(everything.ok)
  assert.equal(table.forget(everything.value), 0)
})
