import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { callServer } from '../../src/admin/control-socket.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import { MqttClient } from '../crash/mqtt-client.ts'
import { serverConfig } from '../crash/rounds.ts'
import { ServerProcess } from '../crash/server-process.ts'
import { XmppClient } from '../crash/xmpp-client.ts'

const prlimit = '/usr/bin/prlimit'
const skip = !existsSync(prlimit) && `${prlimit} (Debian package util-linux) is not installed`

const rosterNs = 'jabber:iq:roster'

/** What can be asked of the server, each with the answer whether it was done. */
async function ask(server: ServerProcess, dataDir: string, name: string) {
  const credentials = { userName: 'user@localhost', password: 'secret' }
  const registered = await callServer(dataDir, { words: ['register', name, 'localhost', 'x'] })
  const client = await XmppClient.connect({
    port: server.port(0),
    user: 'user',
    password: 'secret',
  })
  const item = xml('item', rosterNs, { jid: `${name}@localhost`, name })
  const changed = await client.request('set', xml('query', rosterNs, {}, item))
  await client.end()
  const device = await MqttClient.connect({
    port: server.port(1),
    clientIdentifier: 'device',
    ...credentials,
  })
  const message = {
    topic: `kept/${name}`,
    payload: Buffer.from(name),
    qos: 1,
    retain: true,
  } as const
  const published = await device.publish(message)
  await device.end()
  return {
    registration: registered?.exit === 0,
    roster: changed?.attr('type') === 'result',
    retained: published === 'acknowledged',
  }
}

/** What is there. */
async function look(server: ServerProcess, dataDir: string) {
  const accounts = await callServer(dataDir, { words: ['registered_users', 'localhost'] })
  const client = await XmppClient.connect({
    port: server.port(0),
    user: 'user',
    password: 'secret',
  })
  const answer = await client.request('get', xml('query', rosterNs))
  const items = answer?.child('query', rosterNs)?.childrenNamed('item') ?? []
  await client.end()
  const topics: string[] = []
  const options = { userName: 'user@localhost', password: 'secret', clientIdentifier: 'looking' }
  const device = await MqttClient.connect({ port: server.port(1), ...options })
  device.onPublish = ({ topic }) => topics.push(topic)
  await device.subscribe('kept/#', 1)
  await device.ping()
  await device.end()
  return {
    accounts: (accounts?.output ?? '').trim().split('\n'),
    contacts: items.map((item) => item.attr('name') ?? '').sort(),
    topics: topics.sort(),
  }
}

test('nothing is acknowledged that a full disk does not take', { skip }, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'linnet-full-'))
  try {
    const settings = { dataDir, config: serverConfig }
    const all = { registration: true, roster: true, retained: true }
    const none = { registration: false, roster: false, retained: false }
    {
      await using server = await ServerProcess.start(settings)
      const limit = (bytes: string): void => {
        execFileSync(prlimit, ['--pid', `${server.pid}`, `--fsize=${bytes}:unlimited`])
      }
      await callServer(dataDir, { words: ['register', 'user', 'localhost', 'secret'] })
      assert.deepEqual(await ask(server, dataDir, 'before'), all)
      // Not a byte more than the log of the database has now.
      limit(`${(await stat(join(dataDir, 'linnet.sqlite-wal'))).size}`)
      assert.deepEqual(await ask(server, dataDir, 'refused'), none)
      limit('unlimited')
      assert.deepEqual(await ask(server, dataDir, 'after'), all)
      await server.kill()
    }
    await using server = await ServerProcess.start(settings)
    assert.deepEqual(await look(server, dataDir), {
      accounts: ['after', 'before', 'user'],
      contacts: ['after', 'before'],
      topics: ['kept/after', 'kept/before'],
    })
    assert.equal(await server.stop(), 0)
  } finally {
    await rm(dataDir, { recursive: true })
  }
})
