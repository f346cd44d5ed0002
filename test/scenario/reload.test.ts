import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { Folder, ServerProcess, run } from '../support/process.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const c2s = { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' }
const mqtt = { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }
const config = {
  hosts: ['localhost'],
  listen: [c2s, mqtt],
  acl: { blocked: { user: 'romeo@localhost' } },
  modules: { mod_mqtt: {}, mod_disco: {} },
}
const discoNs = 'http://jabber.org/protocol/disco#info'

async function start(more: Readonly<Record<string, unknown>> = {}): Promise<TestServer> {
  const server = await TestServer.start({ config: { ...config, ...more } })
  for (const name of ['juliet', 'romeo']) await server.ok('register', name, 'localhost', 'secret')
  return server
}

async function xmppClient(server: TestServer, name = 'juliet'): Promise<XmppClient> {
  const client = await XmppClient.connect(server.port('ejabberd_c2s'))
  await client.login(name)
  return client
}

async function mqttClient(server: TestServer, name = 'juliet'): Promise<MqttClient> {
  const client = await MqttClient.connect(server.port('mod_mqtt'))
  await client.login({ userName: `${name}@localhost`, clientId: name })
  return client
}

/** The condition of the error that answers a request of the server's disco, or `result`. */
async function askDisco(client: XmppClient): Promise<string> {
  client.send(`<iq type='get' id='d' to='localhost'><query xmlns='${discoNs}'/></iq>`)
  const answer = await client.next('iq')
  const error = answer.elements().find(({ name }) => name === 'error')
  return error?.elements()[0]?.name ?? answer.attr('type') ?? ''
}

// shows: command reload_config
test('SIGHUP and reload_config put a changed file into force, and nobody is disconnected', async () => {
  using folder = new Folder()
  const file = folder.join('linnet.yml')
  const write = (more: object): void => writeFileSync(file, JSON.stringify({ ...config, ...more }))
  write({ loglevel: 'info' })
  await using server = await ServerProcess.start(folder.join('data'), file)
  await server.ok('register', 'juliet', 'localhost', 'secret')
  await using xmpp = await XmppClient.connect(server.port(0))
  await xmpp.login('juliet')
  await using sensor = await MqttClient.connect(server.port(1))
  await sensor.login({ userName: 'juliet@localhost' })
  await sensor.subscribe('a')

  write({ loglevel: 'warning' })
  server.signal('SIGHUP')
  // Commands are served by the process that has got the signal; reloads stand in line.
  assert.match(await server.ok('get_loglevel'), /info|warning/)
  await server.ok('reload_config')
  assert.equal((await server.ok('get_loglevel')).trim(), 'warning')
  assert.equal(await askDisco(xmpp), 'result')

  write({ loglevel: 'error', modules: { mod_mqtt: {} } })
  await server.ok('reload_config')
  assert.equal((await server.ok('get_loglevel')).trim(), 'error')
  assert.equal(await askDisco(xmpp), 'service-unavailable')
  await sensor.publish('a', 'still here')
  assert.equal((await sensor.receiveMessage()).text, 'still here')

  writeFileSync(file, 'hosts: [localhost]\nloglevle: debug\n')
  const refused = await server.tell('reload_config')
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /linnet\.yml:2:1: .*loglevle/)
  assert.equal((await server.ok('get_loglevel')).trim(), 'error')
  await xmpp.receivesNothing()
  await sensor.hearsNothing()
})

// shows: option access_rules
// shows: option acl
// shows: listener ejabberd_c2s.access
// shows: option mod_mqtt.access_publish
test('changed access rules count for clients that are there and for those to come', async () => {
  await using server = await start()
  await using sensor = await mqttClient(server, 'romeo')
  assert.equal(await sensor.publish('home/door', 'open', { qos: 1 }), 0x10)
  await using romeo = await xmppClient(server, 'romeo')
  const rules = { c2s: [{ deny: 'blocked' }, { allow: 'all' }] }
  const changed = await server.reload({
    access_rules: rules,
    listen: [{ ...c2s, access: 'c2s' }, mqtt],
    modules: { mod_mqtt: { access_publish: { 'home/#': [{ deny: 'blocked' }] } }, mod_disco: {} },
  })
  assert.equal(changed, undefined)
  // MQTT5 4.12: not authorized
  assert.equal(await sensor.publish('home/door', 'open', { qos: 1 }), 0x87)
  assert.equal(await askDisco(romeo), 'result')
  await using again = await XmppClient.connect(server.port('ejabberd_c2s'))
  await again.opens()
  await again.authenticates('romeo')
  again.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
  assert.equal((await again.next('iq')).attr('type'), 'error')
  await using juliet = await xmppClient(server)
  assert.equal(await askDisco(juliet), 'result')
  // The rule's own content changes, and the option that names it stays.
  await server.reload({ acl: { blocked: { user: 'nobody@localhost' } } })
  assert.equal(await sensor.publish('home/door', 'open', { qos: 1 }), 0x87)
  await using third = await xmppClient(server, 'romeo')
  assert.equal(await askDisco(third), 'result')
})

// shows: option modules
// shows: module mod_time
// shows: option mod_disco.server_info
test('modules come, change and go with the configuration', async () => {
  await using server = await start({ modules: { mod_mqtt: {}, mod_disco: {} } })
  await using juliet = await xmppClient(server)
  const ask = async (ns: string, name: string): Promise<string> => {
    juliet.send(`<iq type='get' id='q' to='localhost'><${name} xmlns='${ns}'/></iq>`)
    return (await juliet.next('iq')).attr('type') ?? ''
  }
  assert.equal(await ask('urn:xmpp:time', 'time'), 'error')
  await server.reload({ modules: { mod_mqtt: {}, mod_disco: {}, mod_time: {} } })
  assert.equal(await ask('urn:xmpp:time', 'time'), 'result')
  const serverInfo = [{ modules: 'all', name: 'abuse-addresses', urls: ['mailto:a@b.example'] }]
  await server.reload({
    modules: { mod_mqtt: { max_queue: 7 }, mod_disco: { server_info: serverInfo } },
  })
  assert.equal(await ask('urn:xmpp:time', 'time'), 'error')
  juliet.send(`<iq type='get' id='q' to='localhost'><query xmlns='${discoNs}'/></iq>`)
  const info = await juliet.next('iq')
  assert.ok(
    JSON.stringify(
      info
        .elements()[0]
        ?.elements()
        .map((e) => e.name),
    ).includes('"x"'),
  )
})

// shows: option listen
// shows: listener *.port
test('listeners open, close and change with the configuration; their connections live on', async () => {
  await using server = await start()
  await using juliet = await xmppClient(server)
  await using sensor = await mqttClient(server)
  const before = server.port('ejabberd_c2s')
  const third = { port: 0, ip: '127.0.0.2', module: 'mod_mqtt' }
  assert.equal(await server.reload({ listen: [c2s, mqtt, third] }), undefined)
  assert.equal(server.port('ejabberd_c2s'), before, 'What stays the same is left alone')
  assert.equal(server.listener('mod_mqtt', 1).address.ip, '127.0.0.2')
  const gone = server.port('mod_mqtt')
  assert.equal(await server.reload({ listen: [c2s] }), undefined)
  await assert.rejects(MqttClient.connect(gone), /ECONNREFUSED/)
  await sensor.hearsNothing()
  await server.reload({ listen: [{ ...c2s, tls: true }] })
  await using secure = await XmppClient.connectTls(server.port('ejabberd_c2s'))
  await secure.login('romeo')
  assert.equal(await askDisco(juliet), 'result')
})

test('a port that cannot be opened at a reload is told, and the rest of the reload takes place', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo // of a TCP server
  await using server = await start()
  const failed = await server.reload({ listen: [c2s, { ...mqtt, port }], loglevel: 'info' })
  assert.match(failed ?? '', new RegExp(`Cannot listen on "127.0.0.1:${port}"`))
  assert.equal((await server.ok('get_loglevel')).trim(), 'info')
  assert.deepEqual(server.server.reasons, [failed])
  taken.close()
  await once(taken, 'close')
  assert.equal(await server.reload({}), undefined)
  assert.equal(server.port('mod_mqtt'), port)
  assert.deepEqual(server.server.reasons, [])
})

// shows: option hosts
// shows: command registered_vhosts
test('hosts come and go; clients of a host that goes are told, others are not touched', async () => {
  await using server = await start()
  await using juliet = await xmppClient(server)
  await server.reload({ hosts: ['localhost', 'two.example'] })
  assert.deepEqual((await server.ok('registered_vhosts')).split(/\s+/).filter(Boolean), [
    'localhost',
    'two.example',
  ])
  await server.ok('register', 'nurse', 'two.example', 'secret')
  await using nurse = await XmppClient.connect(server.port('ejabberd_c2s'), 'two.example')
  await nurse.login('nurse')
  await using sensor = await MqttClient.connect(server.port('mod_mqtt'))
  await sensor.login({ userName: 'nurse@two.example' })

  await server.reload({ hosts: ['localhost'] })
  // RFC 6120 §4.9.3.6
  await nurse.isClosed('host-gone')
  assert.ok((await sensor.receive('disconnect')).reasonCode >= 0x80)
  await sensor.closed()
  assert.equal(await askDisco(juliet), 'result')
  await using late = await XmppClient.connect(server.port('ejabberd_c2s'), 'two.example')
  late.open()
  await late.head()
  await late.isClosed('host-unknown')
  await using refused = await MqttClient.connect(server.port('mod_mqtt'))
  refused.sendConnect({ userName: 'nurse@two.example' })
  assert.ok((await refused.receive('connack')).reasonCode >= 0x80)

  // What was stored is there again when the host is.
  await server.reload({ hosts: ['localhost', 'two.example'] })
  assert.match(await server.ok('registered_users', 'two.example'), /nurse/)
})

// shows: option certfiles
test('a renewed certificate is shown to new connections, and old ones live on', async () => {
  using folder = new Folder()
  const file = folder.join('cert.pem')
  const renew = (): string => {
    const { certificate, key } = makeCertificate({ name: 'localhost', dns: ['localhost'] })
    writeFileSync(file, certificate + key)
    return certificate
  }
  renew()
  const listen = [
    { ...c2s, tls: true },
    { ...mqtt, tls: true },
  ]
  await using server = await start({ certfiles: [file], listen })
  await using before = await XmppClient.connectTls(server.port('ejabberd_c2s'))
  await before.login('juliet')
  const first = before.tls?.getPeerCertificate().fingerprint256
  const renewed = renew()
  assert.equal(await server.reload({}), undefined)
  await using after = await XmppClient.connectTls(server.port('ejabberd_c2s'), {
    ca: renewed,
    rejectUnauthorized: true,
  })
  await after.login('juliet')
  assert.notEqual(after.tls?.getPeerCertificate().fingerprint256, first)
  assert.equal(await askDisco(before), 'result')
  // Half a renewal takes nothing away.
  writeFileSync(file, 'no certificate any more')
  assert.match((await server.reload({})) ?? '', /those of before are kept/)
  assert.deepEqual(server.server.reasons, [], 'The server is ready all the same')
  await using still = await XmppClient.connectTls(server.port('ejabberd_c2s'), {
    ca: renewed,
    rejectUnauthorized: true,
  })
  await still.login('juliet')
})

test('a configuration that is refused changes nothing, and says everything that is wrong with it', async () => {
  await using server = await start({ loglevel: 'info' })
  const refused = await server.run('reload_config')
  assert.equal(refused.exit, 0)
  const text = await server.reload({ loglevel: 'debug', modules: { mod_ping: { no_such: 1 } } })
  assert.match(text ?? '', /no_such/)
  const { exit, output } = await server.run('reload_config')
  assert.equal(exit, 1)
  assert.match(output, /no_such/)
  assert.equal((await server.ok('get_loglevel')).trim(), 'info')
  await using juliet = await xmppClient(server)
  assert.equal(await askDisco(juliet), 'result')
})

test('reloads that are asked for at once come one after the other, the last file counts', async () => {
  await using server = await start()
  const hosts = (n: number): string[] => ['localhost', ...(n % 2 === 0 ? ['even.example'] : [])]
  const reloads = [1, 2, 3, 4, 5, 6].map((n) => server.reload({ hosts: hosts(n) }))
  assert.deepEqual(new Set(await Promise.all(reloads)), new Set([undefined]))
  assert.match(await server.ok('registered_vhosts'), /even\.example/)
  // A stop in the middle of a reload waits for it.
  const reloading = server.reload({ hosts: ['localhost'] })
  server.server.stop()
  await reloading
  assert.equal(await server.server.ended, true)
  assert.equal(await server.server.reload(), 'The server is not running')
})

test('a module that cannot start at a reload is told, and tried again by the next one', async () => {
  using folder = new Folder()
  await using server = await start()
  // A folder is no database.
  const sql = { sql_type: 'sqlite', sql_database: folder.path }
  const failed = await server.reload({
    ...sql,
    modules: { ...config.modules, mod_last: { db_type: 'sql' } },
  })
  assert.match(failed ?? '', /Cannot open|unable to open|database/i)
  await using juliet = await xmppClient(server)
  assert.equal(await askDisco(juliet), 'result')
  assert.equal(await server.reload({ sql_database: folder.join('good.sqlite') }), undefined)
  assert.match(await server.ok('get_last', 'romeo', 'localhost'), /Registered|NOT|ONLINE|\d/)
})

test('accounts may move to SQL at a reload, for who signs in from then on', async () => {
  using folder = new Folder()
  await using server = await start()
  await using juliet = await xmppClient(server)
  const file = folder.join('ejabberd.sqlite')
  const moved = { auth_method: ['sql'], sql_type: 'sqlite', sql_database: file }
  assert.equal(await server.reload(moved), undefined)
  assert.equal((await server.ok('registered_users', 'localhost')).trim(), '')
  await server.ok('register', 'nurse', 'localhost', 'secret')
  await using nurse = await xmppClient(server, 'nurse')
  assert.equal(await askDisco(nurse), 'result')
  assert.equal(await askDisco(juliet), 'result')
  const other = { sql_database: folder.join('other.sqlite') }
  assert.equal(await server.reload(other), undefined)
  assert.ok(server.log.some((line) => /sql_database.*take effect at the next start/.test(line)))
  assert.match(await server.ok('registered_users', 'localhost'), /nurse/)
})

test('check-config and reload_config agree on what is wrong', async () => {
  using folder = new Folder()
  const file = folder.join('linnet.yml')
  writeFileSync(file, 'hosts: [localhost]\n')
  await using server = await ServerProcess.start(folder.join('data'), file)
  writeFileSync(file, 'hosts: [localhost]\nlisten:\n  - port: 1\n    modul: mod_mqtt\n')
  const check = await run(['check-config', '--config', file])
  const reload = await server.tell('reload_config')
  assert.deepEqual([check.status, reload.status], [1, 1])
  const first = check.stderr.split('\n')[0] ?? ''
  assert.ok(reload.stderr.includes(first), `${reload.stderr}\nhas not\n${first}`)
})
