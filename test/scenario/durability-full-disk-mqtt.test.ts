import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { callServer } from '../../src/admin/control-socket.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { serverConfig } from '../crash/rounds.ts'
import { ServerProcess } from '../crash/server-process.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import type { ConnectOptions } from '../support/mqtt-client.ts'

const prlimit = '/usr/bin/prlimit'
const skip = !existsSync(prlimit) && `${prlimit} (Debian package util-linux) is not installed`

const account = { userName: 'user@localhost', password: 'secret' }
const properties = { sessionExpiryInterval: 200 }
const lasting = (clientId: string): ConnectOptions => ({
  ...account,
  clientId,
  cleanStart: false,
  properties,
})

async function login(server: ServerProcess, options: ConnectOptions): Promise<MqttClient> {
  const client = await MqttClient.connect(server.port(1))
  await client.login(options)
  return client
}

/** Something of each kind that has to be stored; the reason code of each. */
async function askForAll(device: MqttClient, name: string): Promise<readonly number[]> {
  return [
    await device.publish(`kept/${name}-1`, name, { qos: 1 }),
    await device.publish(`kept/${name}-2`, name, { qos: 2 }),
    await device.publish('state', name, { qos: 1, retain: true }),
    await device.publish('state', name, { qos: 2, retain: true }),
    await device.subscribe(`own/${name}`, { qos: 1 }),
  ]
}

test(
  'a full disk refuses what MQTT clients want kept, and takes it when there is space',
  { skip },
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'linnet-full-mqtt-'))
    try {
      const settings = { dataDir, config: serverConfig }
      {
        await using server = await ServerProcess.start(settings)
        const limit = (bytes: string): void => {
          execFileSync(prlimit, ['--pid', `${server.pid}`, `--fsize=${bytes}:unlimited`])
        }
        await callServer(dataDir, { words: ['register', 'user', 'localhost', 'secret'] })
        await using away = await login(server, lasting('away'))
        assert.equal(await away.subscribe('kept/#', { qos: 2 }), 2)
        await away.disconnect()
        await using watcher = await login(server, { ...account, clientId: 'watcher' })
        await watcher.subscribe('live', { qos: 0 })
        await using device = await login(server, lasting('device'))
        for (const code of await askForAll(device, 'before')) assert.ok(code < 0x80)
        // Not a byte more than the log of the database has now.
        limit(`${(await stat(join(dataDir, 'linnet.sqlite-wal'))).size}`)
        // As often as somebody tries.
        for (let attempt = 0; attempt < 3; attempt++) {
          for (const code of await askForAll(device, 'refused')) {
            assert.equal(code, ReasonCode.implementationSpecificError)
          }
        }
        await using newcomer = await MqttClient.connect(server.port(1))
        newcomer.sendConnect(lasting('newcomer'))
        const { reasonCode } = await newcomer.receive('connack')
        assert.equal(reasonCode, ReasonCode.serverUnavailable)
        // What nobody has to keep goes on.
        await device.publish('live', 'x')
        assert.equal((await watcher.receiveMessage()).text, 'x')
        limit('unlimited')
        for (const code of await askForAll(device, 'after')) assert.ok(code < 0x80)
        await server.kill()
      }
      await using server = await ServerProcess.start(settings)
      await using away = await login(server, lasting('away'))
      const found: string[] = []
      for (let left = 4; left > 0; left--) found.push((await away.receiveMessage()).topic)
      assert.deepEqual(found, ['kept/before-1', 'kept/before-2', 'kept/after-1', 'kept/after-2'])
      await away.hearsNothing()
      await using device = await login(server, lasting('device'))
      await device.publish('own/before', 'x', { qos: 1 })
      assert.equal((await device.receiveMessage()).topic, 'own/before')
      await device.publish('own/refused', 'x', { qos: 1 })
      await device.subscribe('state')
      assert.equal((await device.receiveMessage()).text, 'after')
      await device.hearsNothing()
      assert.equal(await server.stop(), 0)
    } finally {
      await rm(dataDir, { recursive: true })
    }
  },
)
