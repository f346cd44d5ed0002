import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import type { ConnectOptions } from '../support/mqtt-client.ts'
import { TestClock, TestServer } from '../support/server.ts'
import type { TestServerOptions } from '../support/server.ts'
import { MqttServer } from '../support/mqtt-broker.ts'

async function start(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await TestServer.start({
    ...options,
    config: {
      listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }],
      modules: { mod_mqtt: {} },
      ...options.config,
    },
  })
  for (const user of ['juliet', 'romeo']) {
    const { exit, output } = await server.run('register', user, 'localhost', 'secret')
    assert.ok(exit === 0 || output.includes('already registered'), output)
  }
  return server
}

function connect(server: TestServer): Promise<MqttClient> {
  return MqttClient.connect(server.port('mod_mqtt'))
}

/** The reason code of CONNACK, and its words. */
async function tried(
  server: TestServer,
  options: ConnectOptions = {},
): Promise<readonly [number, string]> {
  await using client = await connect(server)
  client.sendConnect(options)
  const { reasonCode, properties } = await client.receive('connack')
  return [reasonCode, properties.reasonString ?? '']
}

suite('mqtt_ban', () => {
  // shows: command mqtt_ban
  // shows: command mqtt_unban
  test('keeps a client identifier out, and ends its connection', async () => {
    await using server = await start()
    await using lamp = await connect(server)
    const options = {
      clientId: 'lamp',
      cleanStart: false,
      properties: { sessionExpiryInterval: 100 },
    }
    await lamp.login(options)
    await using other = await connect(server)
    await other.login({ clientId: 'other' })
    const words = ['mqtt_ban', 'localhost', 'client', 'lamp', '0', 'Too chatty']
    assert.equal(await server.ok(...words), 'Banned; connections ended: 1\n')
    const { reasonCode, properties } = await lamp.receive('disconnect')
    // "Banned" may stand in CONNACK only (MQTT5 2.4).
    assert.equal(reasonCode, ReasonCode.administrativeAction)
    assert.equal(properties.reasonString, 'Too chatty')
    await lamp.closed()
    await other.hearsNothing()
    assert.deepEqual(await tried(server, options), [ReasonCode.banned, 'Too chatty'])
    // Whoever uses it.
    const romeo = { ...options, userName: 'romeo' }
    assert.deepEqual(await tried(server, romeo), [ReasonCode.banned, 'Too chatty'])
    assert.deepEqual(await tried(server, { clientId: 'Lamp' }), [0, ''])
    assert.equal(await server.ok('mqtt_unban', 'localhost', 'client', 'lamp'), '')
    await using back = await connect(server)
    assert.equal((await back.login(options)).sessionPresent, true)
  })

  test('keeps an account out of MQTT, and says so only to its owner', async () => {
    await using server = await start()
    await using client = await connect(server)
    await client.login({ clientId: 'a' })
    const words = ['mqtt_ban', 'localhost', 'account', 'Juliet@LOCALHOST', '0', '']
    assert.equal(await server.ok(...words), 'Banned; connections ended: 1\n')
    const { properties } = await client.receive('disconnect')
    assert.equal(properties.reasonString, 'Banned')
    assert.deepEqual(await tried(server), [ReasonCode.banned, 'Banned'])
    const [wrong] = await tried(server, { password: 'wrong' })
    assert.equal(wrong, ReasonCode.badUserNameOrPassword)
    assert.deepEqual(await tried(server, { userName: 'romeo' }), [0, ''])
    await server.ok('mqtt_unban', 'localhost', 'account', 'juliet')
    assert.deepEqual(await tried(server), [0, ''])
  })

  test('keeps addresses and networks out before anybody looks at a password', async () => {
    await using server = await start()
    await using client = await connect(server)
    await client.login({ version: 4 })
    const words = ['mqtt_ban', 'localhost', 'address', '127.0.0.77/8', '0', 'Elsewhere']
    assert.equal(await server.ok(...words), 'Banned; connections ended: 1\n')
    await client.closed()
    assert.deepEqual(await tried(server, { password: 'wrong' }), [ReasonCode.banned, 'Elsewhere'])
    await using old = await connect(server)
    old.sendConnect({ version: 4 })
    // MQTT 3 has no word for it but "not authorized" (MQTT3 3.2.2.3).
    assert.equal((await old.receive('connack')).reasonCode, ReasonCode.notAuthorized)
    assert.equal(await server.ok('mqtt_unban', 'localhost', 'address', '127.0.0.0/8'), '')
    await server.ok('mqtt_ban', 'localhost', 'address', '192.0.2.0/24', '0', '')
    await server.ok('mqtt_ban', 'localhost', 'address', '2001:db8::/32', '0', '')
    assert.deepEqual(await tried(server), [0, ''])
  })

  // shows: command mqtt_list_bans
  test('is listed, outlasts a restart, and ends by itself', async (t) => {
    const clock = new TestClock()
    const dataDir = mkdtempSync(join(tmpdir(), 'linnet-bans-'))
    t.after(() => rmSync(dataDir, { recursive: true, force: true }))
    const first = await start({ clock, dataDir })
    await first.ok('mqtt_ban', 'localhost', 'client', 'lamp', '60', 'A minute')
    await first.ok('mqtt_ban', 'localhost', 'client', 'x'.repeat(1000), '0', '')
    await first.ok('mqtt_ban', 'localhost', 'account', 'romeo', '0', 'Words "of" mine\nand more')
    await first.ok('mqtt_ban', 'localhost', 'address', '::ffff:192.0.2.1', '3600', '')
    await first.ok('mqtt_ban', 'localhost', 'account', 'romeo', '0', 'Other words')
    const list = await first.ok('mqtt_list_bans', 'localhost')
    assert.deepEqual(list.replace(/\n$/, '').split('\n'), [
      'account\tromeo@localhost\t2026-01-01T00:00:00.000Z\t\tOther words',
      'address\t192.0.2.1\t2026-01-01T00:00:00.000Z\t2026-01-01T01:00:00.000Z\t',
      'client\tlamp\t2026-01-01T00:00:00.000Z\t2026-01-01T00:01:00.000Z\tA minute',
      `client\t${'x'.repeat(1000)}\t2026-01-01T00:00:00.000Z\t\t`,
    ])
    await first[Symbol.asyncDispose]()
    await using second = await start({ clock, dataDir })
    assert.equal(await second.ok('mqtt_list_bans', 'localhost'), list)
    assert.deepEqual(await tried(second, { clientId: 'lamp' }), [ReasonCode.banned, 'A minute'])
    const [romeo] = await tried(second, { userName: 'romeo' })
    assert.equal(romeo, ReasonCode.banned)
    clock.advance(60_000)
    assert.deepEqual(await tried(second, { clientId: 'lamp' }), [0, ''])
    assert.ok(!(await second.ok('mqtt_list_bans', 'localhost')).includes('lamp'))
    const { exit } = await second.run('mqtt_unban', 'localhost', 'client', 'lamp')
    assert.notEqual(exit, 0)
  })

  test('names what is wrong', async () => {
    await using server = await start()
    for (const [words, error] of [
      [['mqtt_ban', 'elsewhere', 'client', 'a', '0', ''], 'Unknown virtual host'],
      [['mqtt_ban', 'localhost', 'planet', 'a', '0', ''], 'account, client or address'],
      [['mqtt_ban', 'localhost', 'client', 'a\u0007', '0', ''], 'is no client identifier'],
      [['mqtt_ban', 'localhost', 'address', '300.1.1.1', '0', ''], 'is no address or network'],
      [['mqtt_ban', 'localhost', 'account', 'a@elsewhere', '0', ''], 'is no account of localhost'],
      [['mqtt_ban', 'localhost', 'account', '', '0', ''], 'is no account of localhost'],
      [['mqtt_ban', 'localhost', 'client', 'a', '-1', ''], 'must not be negative'],
      [['mqtt_unban', 'localhost', 'client', 'a'], 'not_banned'],
    ] as const) {
      const { exit, output } = await server.run(...words)
      assert.notEqual(exit, 0, words.join(' '))
      assert.ok(output.includes(error), output)
    }
    assert.equal(await server.ok('mqtt_list_bans', 'localhost'), '')
  })
})

test('ban_account holds for MQTT: connections and sessions end, nobody gets in', async () => {
  await using server = await start()
  await using client = await connect(server)
  const options = { cleanStart: false, properties: { sessionExpiryInterval: 100 } }
  await client.login(options)
  await server.ok('ban_account', 'juliet', 'localhost', 'Enough')
  assert.equal((await client.receive('disconnect')).reasonCode, ReasonCode.administrativeAction)
  await client.closed()
  assert.equal((await tried(server))[0], ReasonCode.banned)
  await using old = await connect(server)
  old.sendConnect({ version: 4 })
  assert.equal((await old.receive('connack')).reasonCode, ReasonCode.notAuthorized)
  await server.ok('unban_account', 'juliet', 'localhost')
  await using back = await connect(server)
  assert.equal((await back.login(options)).sessionPresent, false)
})

test('mod_fail2ban keeps addresses out whose MQTT sign-ins fail', async () => {
  const clock = new TestClock()
  await using server = await start({
    clock,
    config: {
      listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }],
      modules: {
        mod_mqtt: {},
        mod_fail2ban: { c2s_max_auth_failures: 3, c2s_auth_ban_lifetime: '1 minute' },
      },
    },
  })
  for (const options of [{ password: 'wrong' }, { userName: 'nobody' }, { password: undefined }]) {
    const [reason] = await tried(server, options)
    assert.equal(reason, ReasonCode.badUserNameOrPassword)
  }
  const [reason, words] = await tried(server)
  assert.equal(reason, ReasonCode.banned)
  assert.match(
    words,
    /^Too many \(3\) failed authentications from this IP address \(127\.0\.0\.1\)/,
  )
  clock.advance(60_000)
  assert.deepEqual(await tried(server), [0, ''])
})

suite('the option "access"', () => {
  const listen = [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }]

  // shows: option mod_mqtt.access
  test('lets in accounts, client identifiers and addresses as its rule says', async () => {
    await using server = await start({
      config: {
        listen,
        acl: {
          stolen: { resource: ['lamp', 'old lamp'] },
          guests: { user: 'romeo' },
          here: { ip: '127.0.0.0/8' },
        },
        access_rules: { devices: [{ deny: 'stolen' }, { deny: 'guests' }, { allow: 'here' }] },
        modules: { mod_mqtt: { access: 'devices' } },
      },
    })
    const why = 'The option "access" does not let this client in'
    const denied = [ReasonCode.notAuthorized, why]
    assert.deepEqual(await tried(server, { clientId: 'lamp' }), denied)
    assert.deepEqual(await tried(server, { clientId: 'old lamp' }), denied)
    assert.deepEqual(await tried(server, { userName: 'romeo' }), denied)
    assert.deepEqual(await tried(server, { clientId: 'new lamp' }), [0, ''])
    const [wrong] = await tried(server, { clientId: 'lamp', password: 'wrong' })
    assert.equal(wrong, ReasonCode.badUserNameOrPassword)
    assert.ok(
      server.log.some((line) => line.includes('Denied by access rules') && line.includes('romeo')),
    )
  })

  test('of no such rule lets nobody in', async () => {
    await using server = await MqttServer.start({ module: { access: 'no_such_rule' } })
    await using client = await server.connect()
    client.sendConnect()
    assert.equal((await client.receive('connack')).reasonCode, ReasonCode.notAuthorized)
  })

  test('ends connections that a reload does not allow any more', async () => {
    await using server = await start()
    await using lamp = await connect(server)
    await lamp.login({ clientId: 'lamp' })
    await using old = await connect(server)
    await old.login({ clientId: 'old', version: 4 })
    await using other = await connect(server)
    await other.login({ clientId: 'other' })
    const problem = await server.reload({
      acl: { stolen: { resource: ['lamp', 'old'] } },
      access_rules: { devices: [{ deny: 'stolen' }, { allow: 'all' }] },
      modules: { mod_mqtt: { access: 'devices' } },
    })
    assert.equal(problem, undefined)
    const { reasonCode } = await lamp.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.notAuthorized)
    await lamp.closed()
    await old.closed()
    await other.hearsNothing()
    // A rule of the same name that says something else.
    await server.reload({ acl: { stolen: { resource: 'other' } } })
    assert.equal((await other.receive('disconnect')).reasonCode, ReasonCode.notAuthorized)
    await other.closed()
  })
})
