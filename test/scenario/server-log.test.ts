import assert from 'node:assert/strict'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { MqttClient } from '../support/mqtt-client.ts'
import { Folder, ServerProcess } from '../support/process.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const clients = {
  listen: [
    { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' },
    { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s', tls: true },
    { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' },
    {
      port: 0,
      ip: '127.0.0.1',
      module: 'ejabberd_http',
      request_handlers: { '/mqtt': 'mod_mqtt' },
    },
  ],
  modules: { mod_mqtt: {}, mod_ping: {} },
}

/** Signs in and fails to, by every way, with passwords that occur nowhere else. */
async function signInEveryWay(
  server: TestServer,
  passwords: readonly [string, string],
): Promise<void> {
  const [right, wrong] = passwords
  await server.ok('register', 'juliet', 'localhost', right)
  await server.run('register', 'juliet', 'localhost', right)
  const sasl = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`
  for (const password of passwords) {
    await using mqtt = await MqttClient.connect(server.port('mod_mqtt'))
    mqtt.sendConnect({ userName: 'juliet@localhost', password })
    assert.equal((await mqtt.receive('connack')).reasonCode === 0, password === right)
    await using xmpp = await XmppClient.connectTls(server.port('ejabberd_c2s', 1))
    await xmpp.opens()
    const message = Buffer.from(`\0juliet\0${password}`).toString('base64')
    xmpp.send(`<auth ${sasl} mechanism='PLAIN'>${message}</auth>`)
    await xmpp.next(password === right ? 'success' : 'failure')
    const authorization = Buffer.from(`juliet@localhost:${password}`).toString('base64')
    const url = `http://127.0.0.1:${server.port('ejabberd_http')}/mqtt`
    await (await fetch(url, { headers: { authorization: `Basic ${authorization}` } })).text()
  }
  await using scram = await XmppClient.connect(server.port('ejabberd_c2s'))
  await scram.login('juliet', { password: right })
  await server.run('check_password', 'juliet', 'localhost', wrong)
  await server.ok('change_password', 'juliet', 'localhost', `${right}2`)
}

test('no password is ever logged, not even at the level debug', async () => {
  const passwords = ['Correct-Horse-7319', 'Wrong-Staple-5521'] as const
  await using server = await TestServer.start({ config: clients })
  await signInEveryWay(server, passwords)
  const log = server.log.join('')
  assert.match(log, /Sign-in failed/)
  for (const password of passwords) {
    for (const form of [password, Buffer.from(password).toString('base64').slice(0, 20)]) {
      assert.ok(!log.includes(form), log.slice(log.indexOf(form) - 300, log.indexOf(form) + 50))
    }
    assert.ok(!log.includes(Buffer.from(`\0juliet\0${password}`).toString('base64')))
  }
})

// shows: option hide_sensitive_log_data
test('hide_sensitive_log_data keeps the addresses of clients out of the log', async () => {
  for (const isHidden of [false, true]) {
    await using server = await TestServer.start({
      config: { ...clients, hide_sensitive_log_data: isHidden },
    })
    const before = server.log.length
    await signInEveryWay(server, ['secret-1', 'secret-2'])
    const lines = server.log.slice(before)
    assert.ok(lines.some((line) => line.includes('Sign-in failed')))
    assert.equal(
      lines.some((line) => line.includes('"ip":"127.0.0.1"')),
      !isHidden,
    )
    if (!isHidden) continue
    assert.deepEqual(
      lines.filter((line) => line.includes('127.0.0.1')),
      [],
    )
  }
})

// shows: option loglevel
// shows: command set_loglevel
// shows: command get_loglevel
test('loglevel decides what is logged, from the start, after a reload and by a command', async () => {
  await using server = await TestServer.start({ config: { ...clients, loglevel: 'warning' } })
  const levels = (): string[] => [
    ...new Set(server.log.map((line) => String(JSON.parse(line).level))),
  ]
  assert.ok(!levels().includes('info'))
  assert.equal((await server.ok('get_loglevel')).trim(), 'warning')
  await server.reload({ loglevel: 'info' })
  assert.equal((await server.ok('get_loglevel')).trim(), 'info')
  assert.ok(levels().includes('info'))
  await server.ok('set_loglevel', 'none')
  const before = server.log.length
  await server.run('set_loglevel', 'deafening')
  await server.reload({ hosts: ['localhost', 'other.example'] })
  assert.equal(server.log.length, before)
  await server.ok('set_loglevel', '5')
  assert.equal((await server.ok('get_loglevel')).trim(), 'debug')
})

// shows: option log_modules_fully
test('log_modules_fully logs some parts at debug whatever the level is', async () => {
  const config = { ...clients, loglevel: 'error', log_modules_fully: ['listener'] }
  await using server = await TestServer.start({ config })
  const modules = new Set(server.log.map((line) => String(JSON.parse(line).module)))
  assert.deepEqual([...modules], ['listener'])
})

test('LINNET_LOG_PATH names a file for the log, LINNET_LOG_FORMAT how it is written', async () => {
  using folder = new Folder()
  const config = folder.join('linnet.yml')
  writeFileSync(config, JSON.stringify({ hosts: ['localhost'] }))
  const path = folder.join('linnet.log')
  const env = { LINNET_LOG_PATH: path, LINNET_LOG_FORMAT: 'text' }
  await using server = await ServerProcess.start(folder.join('data'), config, { env })
  assert.match(
    readFileSync(path, 'utf8'),
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \[info\] server: Server started /m,
  )
  assert.equal(server.stderr, '')
})

// shows: command reopen_log
// shows: command rotate_log
test('the log is opened anew by SIGHUP and reopen_log, and put aside by rotate_log', async () => {
  using folder = new Folder()
  const config = folder.join('linnet.yml')
  writeFileSync(config, JSON.stringify({ hosts: ['localhost'], log_rotate_count: 2 }))
  const path = folder.join('linnet.log')
  const env = { LINNET_LOG_PATH: path }
  await using server = await ServerProcess.start(folder.join('data'), config, { env })
  renameSync(path, folder.join('moved-1'))
  server.signal('SIGHUP')
  // The command is served by the process that got the signal before, and reloads stand in line.
  await server.ok('reload_config')
  assert.match(readFileSync(path, 'utf8'), /Configuration reloaded/)
  renameSync(path, folder.join('moved-2'))
  await server.ok('reopen_log')
  assert.equal(readFileSync(path, 'utf8'), '')
  await server.ok('reload_config')
  await server.ok('rotate_log')
  assert.equal(readFileSync(path, 'utf8'), '')
  assert.match(readFileSync(`${path}.0`, 'utf8'), /Configuration reloaded/)
  await server.ok('rotate_log')
  await server.ok('rotate_log')
  assert.deepEqual(
    [0, 1, 2].map((n) => existsSync(`${path}.${n}`)),
    [true, true, false],
  )
})

// shows: option log_rotate_size
// shows: option log_rotate_count
test('the log is rotated when it reaches its size', async () => {
  using folder = new Folder()
  const config = folder.join('linnet.yml')
  const options = { hosts: ['localhost'], log_rotate_size: 2000, log_rotate_count: 3 }
  writeFileSync(config, JSON.stringify(options))
  const path = folder.join('linnet.log')
  const env = { LINNET_LOG_PATH: path }
  await using server = await ServerProcess.start(folder.join('data'), config, { env })
  for (let i = 0; i < 3 && !existsSync(`${path}.0`); i++) await server.ok('set_loglevel', 'debug')
  for (let i = 0; i < 30 && !existsSync(`${path}.0`); i++) await server.ok('reload_config')
  assert.ok(readFileSync(`${path}.0`).length <= 2000)
  assert.ok(readFileSync(path).length <= 2000)
})
