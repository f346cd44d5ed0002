import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Folder } from '../support/process.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const config = {
  listen: [
    { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' },
    { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' },
  ],
  modules: { mod_mqtt: {}, mod_last: {}, mod_roster: {}, mod_offline: {} },
}

async function start(more: Readonly<Record<string, unknown>> = {}): Promise<TestServer> {
  const server = await TestServer.start({ config: { ...config, ...more } })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  return server
}

interface Both extends AsyncDisposable {
  readonly xmpp: XmppClient
  readonly mqtt: MqttClient
}

/** One account, signed in by both protocols. */
async function signIn(server: TestServer, password = 'secret', host = 'localhost'): Promise<Both> {
  const xmpp = await XmppClient.connect(server.port('ejabberd_c2s'), host)
  await xmpp.login('juliet', { password })
  const mqtt = await MqttClient.connect(server.port('mod_mqtt'))
  await mqtt.login({ userName: `juliet@${host}`, password })
  return {
    xmpp,
    mqtt,
    async [Symbol.asyncDispose]() {
      mqtt.drop()
      await xmpp.vanish()
    },
  }
}

async function isRefused(server: TestServer, password: string, host = 'localhost'): Promise<void> {
  await using mqtt = await MqttClient.connect(server.port('mod_mqtt'))
  mqtt.sendConnect({ userName: `juliet@${host}`, password })
  const { reasonCode } = await mqtt.receive('connack')
  assert.ok(reasonCode >= 0x80, 'MQTT lets it in')
  await using xmpp = await XmppClient.connect(server.port('ejabberd_c2s'), host)
  await xmpp.opens()
  await assert.rejects(xmpp.signsIn('juliet', password), { message: /^<failure / })
}

function sessionsEnd(
  { xmpp, mqtt }: Both,
  reasonCode: number,
  condition: string,
): Promise<unknown> {
  const mqttEnds = mqtt.receive('disconnect').then((packet) => {
    assert.equal(packet.reasonCode, reasonCode)
    return mqtt.closed()
  })
  return Promise.all([mqttEnds, xmpp.isClosed(condition)])
}

// shows: command kick_user
// shows: command connected_users
test('kick_user ends the XMPP and MQTT sessions of an account, which may come back', async () => {
  await using server = await start()
  await using both = await signIn(server)
  assert.match(await server.ok('connected_users'), /^juliet@localhost\//)
  assert.equal((await server.ok('kick_user', 'juliet', 'localhost')).includes('2'), true)
  // MQTT5 3.14.2: 0x98, administrative action
  await sessionsEnd(both, 0x98, 'policy-violation')
  await using again = await signIn(server)
  await again.mqtt.hearsNothing()
})

// shows: command ban_account
// shows: command unban_account
test('ban_account ends both sessions and lets neither protocol in, until unban_account', async () => {
  await using server = await start()
  await using both = await signIn(server)
  await server.ok('ban_account', 'juliet', 'localhost', 'spam')
  await sessionsEnd(both, 0x98, 'policy-violation')
  await isRefused(server, 'secret')
  await server.ok('unban_account', 'juliet', 'localhost')
  await using again = await signIn(server)
  await again.mqtt.hearsNothing()
})

// shows: command unregister
test('unregister ends both sessions, and the account is gone for both', async () => {
  await using server = await start()
  await using both = await signIn(server)
  await server.ok('unregister', 'juliet', 'localhost')
  await sessionsEnd(both, 0x98, 'not-authorized')
  await isRefused(server, 'secret')
  assert.doesNotMatch(await server.ok('registered_users', 'localhost'), /juliet/)
})

// shows: command change_password
// shows: command check_password
test('change_password counts for the next sign-in by either protocol', async () => {
  await using server = await start()
  await using both = await signIn(server)
  await server.ok('change_password', 'juliet', 'localhost', 'changed')
  await isRefused(server, 'secret')
  await using again = await signIn(server, 'changed')
  await again.mqtt.hearsNothing()
  await server.ok('check_password', 'juliet', 'localhost', 'changed')
  assert.equal((await server.run('check_password', 'juliet', 'localhost', 'secret')).exit, 1)
  await both.xmpp.vanish()
})

// shows: option default_db
// shows: option sql_type
// shows: option sql_database
// shows: option auth_method
test('with default_db sql accounts, rosters and MQTT state are kept in the database that is named', async () => {
  using folder = new Folder()
  const file = folder.join('ejabberd.sqlite')
  const sql = { default_db: 'sql', sql_type: 'sqlite', sql_database: file, auth_method: 'sql' }
  const dataDir = folder.path
  {
    await using server = await TestServer.start({ config: { ...config, ...sql }, dataDir })
    await server.ok('register', 'juliet', 'localhost', 'secret')
    await using both = await signIn(server)
    await both.mqtt.publish('kept', 'value', { qos: 1, retain: true })
  }
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    assert.deepEqual(
      database
        .prepare('select distinct username from users')
        .all()
        .map((row) => row['username']),
      ['juliet'],
    )
    assert.equal(database.prepare('select count(*) as n from mqtt_pub').get()?.['n'], 1)
  } finally {
    database.close()
  }
  await using server = await TestServer.start({ config: { ...config, ...sql }, dataDir })
  await using both = await signIn(server)
  await both.mqtt.subscribe('kept')
  assert.equal((await both.mqtt.receiveMessage()).text, 'value')
})

// shows: option host_config
// shows: option append_host_config
test('host_config gives each host options, modules and rules of its own', async () => {
  await using server = await start({
    hosts: ['localhost', 'guests.example', 'things.example'],
    host_config: {
      'guests.example': { auth_method: ['anonymous'] },
      'things.example': {
        modules: { mod_mqtt: { access_publish: { 'secret/#': [{ deny: 'all' }] } } },
      },
    },
    append_host_config: { 'guests.example': { modules: { mod_time: {} } } },
  })
  await server.ok('register', 'juliet', 'things.example', 'secret')
  await using juliet = await signIn(server)
  await using guest = await XmppClient.connect(server.port('ejabberd_c2s'), 'guests.example')
  await guest.opens()
  guest.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'>=</auth>")
  await guest.next('success')
  await guest.opens()
  await guest.binds()
  const askTime = async (client: XmppClient, host: string): Promise<string | undefined> => {
    client.send(`<iq type='get' id='t' to='${host}'><time xmlns='urn:xmpp:time'/></iq>`)
    return (await client.next('iq')).attr('type')
  }
  assert.equal(await askTime(guest, 'guests.example'), 'result')
  assert.equal(await askTime(juliet.xmpp, 'localhost'), 'error')
  assert.equal(await juliet.mqtt.publish('secret/door', 'x', { qos: 1 }), 0x10)
  await using thing = await signIn(server, 'secret', 'things.example')
  assert.equal(await thing.mqtt.publish('secret/door', 'x', { qos: 1 }), 0x87)
})

test('the same user name on two hosts is two accounts', async () => {
  await using server = await start({ hosts: ['localhost', 'two.example'] })
  await isRefused(server, 'secret', 'two.example')
  await server.ok('register', 'juliet', 'two.example', 'other')
  await isRefused(server, 'secret', 'two.example')
  await using first = await signIn(server)
  await using second = await signIn(server, 'other', 'two.example')
  await first.mqtt.subscribe('t')
  await second.mqtt.publish('t', 'x')
  await second.mqtt.hearsNothing()
  await first.mqtt.hearsNothing()
  await server.ok('kick_user', 'juliet', 'two.example')
  await sessionsEnd(second, 0x98, 'policy-violation')
  await first.mqtt.hearsNothing()
  await first.xmpp.receivesNothing()
})
