import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { MqttClient } from '../support/mqtt-client.ts'
import { Folder, ServerProcess } from '../support/process.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const defaultConfig = new URL('../../config/default.yml', import.meta.url)

/** The shipped configuration, on ports that are free. */
function shipped(folder: Folder): string {
  const file = folder.join('linnet.yml')
  const text = readFileSync(defaultConfig, 'utf8')
  writeFileSync(file, text.replace(/- port: \d+\n {4}ip: "::"/g, '- port: 0\n    ip: "127.0.0.1"'))
  return file
}

function write(folder: Folder, config: Readonly<Record<string, unknown>>): string {
  const file = folder.join('linnet.yml')
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ hosts: ['localhost'], ...config }, undefined, 1))
  return file
}

// shows: listener ejabberd_c2s.tls
// shows: listener mod_mqtt.tls
// shows: handler linnet_metrics
// shows: handler linnet_health
// shows: command register
// shows: command stop
test('serves everything that the shipped configuration names, from an empty folder', async () => {
  using folder = new Folder()
  const data = folder.join('data')
  await using server = await ServerProcess.start(data, shipped(folder))
  await server.ok('register', 'juliet', 'localhost', 'secret')
  assert.match(await server.ok('registered_users', 'localhost'), /juliet/)

  await using xmpp = await XmppClient.connect(server.port(0))
  await xmpp.opens()
  xmpp.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
  await xmpp.next('proceed')
  await xmpp.startTls()
  await xmpp.login('juliet')
  await using direct = await XmppClient.connectTls(server.port(1))
  await direct.login('juliet')
  const account = { userName: 'juliet@localhost', clientId: 'one' }
  await using mqtt = await MqttClient.connect(server.port(2))
  await mqtt.login(account)
  await using secure = await MqttClient.connect(server.port(3), { rejectUnauthorized: false })
  await secure.login({ ...account, clientId: 'two' })
  await mqtt.subscribe('kitchen/+')
  await secure.publish('kitchen/light', 'on', { qos: 1 })
  assert.equal((await mqtt.receiveMessage()).text, 'on')

  const http = `http://127.0.0.1:${server.port(4)}`
  assert.equal((await fetch(`${http}/healthz`)).status, 200)
  assert.deepEqual(await (await fetch(`${http}/readyz`)).json(), { status: 'ready' })
  const figures = await (await fetch(`${http}/metrics`)).text()
  assert.match(figures, /^linnet_xmpp_sessions 2$/m)
  assert.equal((await fetch(`${http}/nowhere`)).status, 404)

  await server.ok('stop')
  const ended = await server.ended()
  assert.equal(ended.status, 0)
  assert.equal(ended.stderr.includes('"level":"error"'), false, ended.stderr)
})

test('makes its data directory, certificate and database once, readable by nobody else', async () => {
  using folder = new Folder()
  const data = folder.join('deep', 'data')
  const file = write(folder, {
    listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt', tls: true }],
    modules: { mod_mqtt: {} },
  })
  const files = ['certs/self-signed.pem', 'linnet.sqlite']
  const fingerprints: string[] = []
  for (let start = 1; start <= 2; start++) {
    await using server = await ServerProcess.start(data, file)
    fingerprints.push(readFileSync(folder.join('deep/data', 'certs/self-signed.pem'), 'utf8'))
    for (const name of files) {
      assert.equal(statSync(folder.join('deep/data', name)).mode & 0o077, 0, name)
    }
    server.signal('SIGTERM')
    assert.equal((await server.ended()).status, 0)
  }
  assert.equal(statSync(data).mode & 0o777, 0o700)
  assert.equal(fingerprints[0], fingerprints[1])
})

test('refuses to start twice on one data directory, and leaves the first one alone', async () => {
  using folder = new Folder()
  const data = folder.join('data')
  const file = write(folder, {})
  await using first = await ServerProcess.start(data, file)
  await using second = ServerProcess.launch(data, file)
  const ended = await second.ended()
  assert.equal(ended.status, 1)
  assert.match(
    ended.stderr,
    /^linnet: Another server is running with the data directory ".*data"$/m,
  )
  assert.match(await first.ok('status'), /started/)
})

test('starts where a server was killed', async () => {
  using folder = new Folder()
  const data = folder.join('data')
  const file = write(folder, {})
  await using first = await ServerProcess.start(data, file)
  await first.ok('register', 'juliet', 'localhost', 'secret')
  first.signal('SIGKILL')
  await first.ended()
  assert.ok(existsSync(folder.join('data', 'control.sock')))
  await using second = await ServerProcess.start(data, file)
  assert.match(await second.ok('registered_users', 'localhost'), /juliet/)
})

test('puts a broken database aside, says so, and starts with a new one', async () => {
  using folder = new Folder()
  const data = folder.join('data')
  const file = write(folder, {})
  {
    await using server = await ServerProcess.start(data, file)
    server.signal('SIGTERM')
    await server.ended()
  }
  const broken = 'This is no database, whatever its name says. '.repeat(200)
  writeFileSync(folder.join('data', 'linnet.sqlite'), broken)
  await using server = await ServerProcess.start(data, file)
  assert.match(server.stderr, /"level":"error".*The database is broken: it was put aside/)
  const aside = readdirSync(data).find((name) => name.startsWith('linnet.sqlite.broken-'))
  assert.equal(readFileSync(folder.join('data', aside ?? ''), 'utf8'), broken)
  await server.ok('register', 'juliet', 'localhost', 'secret')
})

test('a port that is taken ends the start with a clear error, and nothing is left open', async () => {
  using folder = new Folder()
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo // of a TCP server
  const listen = [
    { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' },
    { port, ip: '127.0.0.1', module: 'mod_mqtt' },
  ]
  const file = write(folder, { listen, modules: { mod_mqtt: {} } })
  await using server = ServerProcess.launch(folder.join('data'), file)
  const ended = await server.ended()
  taken.close()
  assert.equal(ended.status, 1)
  assert.match(
    ended.stderr,
    new RegExp(`^linnet: Cannot listen on "127.0.0.1:${port}" \\(mod_mqtt\\): .*in use`, 'm'),
  )
  assert.doesNotMatch(ended.stdout, /is ready/)
  assert.ok(!existsSync(folder.join('data', 'control.sock')))
})

test('an invalid configuration, log file or data directory ends the start with a sentence', async () => {
  using folder = new Folder()
  const bad = folder.join('bad.yml')
  writeFileSync(bad, 'hosts: [localhost]\nloglevel: loud\n')
  const good = write(folder, {})
  const starts = [
    { config: bad, data: folder.join('data'), says: /bad\.yml:2:11: .*loud/ },
    { config: good, data: good, says: /^linnet: .*linnet\.yml/m },
  ]
  for (const { config, data, says } of starts) {
    await using server = ServerProcess.launch(data, config)
    const { status, stderr } = await server.ended()
    assert.equal(status, 1)
    assert.match(stderr, says)
    assert.doesNotMatch(stderr, /^\s+at /m, 'no stack')
  }
  const env = { LINNET_LOG_PATH: folder.join('no', 'such', 'folder.log') }
  await using server = ServerProcess.launch(folder.join('data'), good, { env })
  const { status, stderr } = await server.ended()
  assert.equal(status, 1)
  assert.match(stderr, /^linnet: .*folder\.log/m)
})

test('says at the start what the configuration asks for and it cannot do', async () => {
  using folder = new Folder()
  const file = write(folder, { modules: { mod_sic: {} } })
  await using server = await ServerProcess.start(folder.join('data'), file)
  assert.match(server.stderr, /warning: .*mod_sic/)
})
