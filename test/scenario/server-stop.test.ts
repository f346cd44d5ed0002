import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { MqttClient } from '../support/mqtt-client.ts'
import { Folder, ServerProcess, run } from '../support/process.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const config = {
  hosts: ['localhost'],
  listen: [
    { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' },
    { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' },
  ],
  modules: { mod_mqtt: {}, mod_offline: {} },
}

async function start(folder: Folder): Promise<ServerProcess> {
  const file = folder.join('linnet.yml')
  writeFileSync(file, JSON.stringify(config))
  const server = await ServerProcess.start(folder.join('data'), file)
  await server.ok('register', 'juliet', 'localhost', 'secret')
  return server
}

const juliet = { userName: 'juliet@localhost' }

test('SIGTERM tells XMPP and MQTT clients, keeps what was acknowledged, and exits with 0', async () => {
  using folder = new Folder()
  await using server = await start(folder)
  await using xmpp = await XmppClient.connect(server.port(0))
  await xmpp.login('juliet')
  await using mqtt = await MqttClient.connect(server.port(1))
  await mqtt.login(juliet)
  await using old = await MqttClient.connect(server.port(1))
  await old.login({ ...juliet, clientId: 'old', version: 4 })
  // 0x10: nobody has subscribed to it.
  assert.equal(await mqtt.publish('kept', 'value', { qos: 1, retain: true }), 0x10)

  server.signal('SIGTERM')
  await xmpp.isClosed('system-shutdown')
  // MQTT5 3.14.2: 0x8B, server shutting down; MQTT 3.1.1 has no such packet.
  assert.equal((await mqtt.receive('disconnect')).reasonCode, 0x8b)
  await mqtt.closed()
  await old.closed()
  const ended = await server.ended()
  assert.equal(ended.status, 0)
  assert.match(ended.stderr, /"msg":"Server has stopped"/)
  assert.ok(!existsSync(folder.join('data', 'control.sock')))

  await using again = await ServerProcess.start(folder.join('data'), folder.join('linnet.yml'))
  await using after = await MqttClient.connect(again.port(1))
  await after.login(juliet)
  await after.subscribe('kept')
  assert.equal((await after.receiveMessage()).text, 'value')
})

test('SIGINT stops as SIGTERM does', async () => {
  using folder = new Folder()
  await using server = await start(folder)
  server.signal('SIGINT')
  assert.equal((await server.ended()).status, 0)
})

test('a second signal ends the server at once, whoever does not take his goodbye', async () => {
  using folder = new Folder()
  await using server = await start(folder)
  // Connected, and deaf: it never reads and never closes, so the drain has to wait for it.
  const deaf = connect({ port: server.port(0), host: '127.0.0.1', allowHalfOpen: true })
  deaf.on('error', () => undefined)
  await once(deaf, 'connect')
  deaf.pause()
  server.signal('SIGTERM')
  await server.says(/"msg":"Server is stopping"/, 'stderr')
  server.signal('SIGTERM')
  const ended = await server.ended()
  deaf.destroy()
  assert.equal(ended.status, 1)
  assert.doesNotMatch(ended.stderr, /Server has stopped/)
})

// shows: command stop
test('the command stop gets its answer, and the server goes', async () => {
  using folder = new Folder()
  await using server = await start(folder)
  assert.deepEqual(await server.tell('stop'), { status: 0, stdout: '', stderr: '' })
  assert.equal((await server.ended()).status, 0)
  const late = await run(['--data', server.dataDir, 'status'])
  assert.equal(late.status, 3)
})

test('a signal before the server is up ends it cleanly', async () => {
  using folder = new Folder()
  const file = folder.join('linnet.yml')
  writeFileSync(file, JSON.stringify(config))
  await using server = ServerProcess.launch(folder.join('data'), file)
  await server.says(/"msg":"Listening"/, 'stderr')
  server.signal('SIGTERM')
  assert.equal((await server.ended()).status, 0)
})

test('stops while clients are connecting', async () => {
  await using server = await TestServer.start({ config })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  const [xmppPort, mqttPort] = [server.port('ejabberd_c2s'), server.port('mod_mqtt')]
  const sockets = Array.from({ length: 40 }, (_, i) => {
    const socket = connect({ port: i % 2 === 0 ? xmppPort : mqttPort, host: '127.0.0.1' })
    socket.on('error', () => undefined).resume()
    return { socket, closed: new Promise<void>((resolve) => socket.once('close', resolve)) }
  })
  await once(sockets[0]?.socket ?? assert.fail(), 'connect')
  // Some of them are accepted, some wait, some say half a word.
  for (const { socket } of sockets) socket.write('<?xml')
  server.server.stop()
  assert.equal(await server.server.ended, true)
  await Promise.all(sockets.map(({ closed }) => closed))
})

test('stops while it starts, and nothing is left open', async () => {
  const { server, dataDir, created } = await createOnly()
  const started = server.start()
  server.stop()
  await assert.rejects(started, /stopped while it started/)
  assert.equal(await server.ended, true)
  assert.deepEqual(server.network.open, [])
  assert.ok(!existsSync(`${dataDir}/control.sock`))
  created[Symbol.dispose]()
})

async function createOnly(): Promise<{
  server: TestServer['server']
  dataDir: string
  created: Folder
}> {
  const created = new Folder()
  const { createServer } = await import('../../src/server.ts')
  const server = await createServer({
    source: { options: config },
    dataDir: created.path,
    log: { destination: { write: () => undefined } },
  })
  return { server, dataDir: created.path, created }
}
