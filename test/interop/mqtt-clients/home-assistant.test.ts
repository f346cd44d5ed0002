import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { freePort } from '../../support/ejabberd.ts'
import { FieldServer } from '../../support/field-server.ts'
import { HomeAssistant } from '../../support/home-assistant.ts'
import type { Entities } from '../../support/home-assistant.ts'
import { JsClient } from '../../support/mqtt-js.ts'
import { noPaho } from '../../support/paho.ts'
import { Folder } from '../../support/process.ts'

const options = { skip: noPaho }

/** The one ACL that Home Assistant needs, for an account of its own. */
const rules = {
  acl: { home: { user: ['nurse', 'juliet'] } },
  access_rules: { home: { allow: 'home' } },
}

const mqtt = {
  access_publish: { 'homeassistant/#': 'home', 'devices/#': 'home' },
  access_subscribe: { 'homeassistant/#': 'home', 'devices/#': 'home' },
}

/** A plug as devices with discovery are: all of it retained, the will too. */
class Plug implements AsyncDisposable {
  readonly name: string
  readonly js: JsClient
  #state = 'OFF'

  private constructor(name: string, js: JsClient) {
    this.name = name
    this.js = js
  }

  static async start(server: FieldServer, name: string, protocolVersion: 4 | 5): Promise<Plug> {
    const availability = `devices/${name}/availability`
    const js = await JsClient.connect(server, {
      clientId: `plug-${name}`,
      protocolVersion,
      will: { topic: availability, payload: Buffer.from('offline'), qos: 1, retain: true },
    })
    const plug = new Plug(name, js)
    js.client.on('message', (topic, payload) => {
      if (topic === `devices/${name}/set`) plug.#state = payload.toString()
      if (topic === 'homeassistant/status' && payload.toString() !== 'online') return
      // Its power may fail meanwhile.
      plug.announce().catch(() => undefined)
    })
    await js.client.subscribeAsync([`devices/${name}/set`, 'homeassistant/status'], { qos: 1 })
    await plug.announce()
    return plug
  }

  async announce(): Promise<void> {
    const { name } = this
    const config = {
      name,
      unique_id: name,
      state_topic: `devices/${name}/state`,
      command_topic: `devices/${name}/set`,
      availability_topic: `devices/${name}/availability`,
      device: { identifiers: [name], name },
    }
    const kept = { qos: 1, retain: true } as const
    const { client } = this.js
    await Promise.all([
      client.publishAsync(`homeassistant/switch/${name}/config`, JSON.stringify(config), kept),
      client.publishAsync(`devices/${name}/availability`, 'online', kept),
      client.publishAsync(`devices/${name}/state`, this.#state, kept),
    ])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.js[Symbol.asyncDispose]()
  }
}

const is =
  (name: string, ...wanted: readonly (string | null)[]) =>
  (entities: Entities): boolean =>
    JSON.stringify(entities[name]) === JSON.stringify(wanted)

for (const [way, version] of [
  ['mqtt', 4],
  ['mqtts', 5],
  ['wss', 5],
] as const) {
  suite(`Home Assistant over ${way}, level ${version}`, options, () => {
    test('discovers devices, old and new, and lives with their comings and goings', async () => {
      await using server = await FieldServer.start({ config: rules, mqtt })
      const open = (): HomeAssistant => new HomeAssistant(server, { way, version, user: 'nurse' })
      await using old = await Plug.start(server, 'old', version)
      await using home = open()
      await home.shows(is('switch/old', 'OFF', 'online'))
      assert.equal((await home.event('subscribed'))['refused'], 0)
      await home.born()
      // One that comes later.
      await using fresh = await Plug.start(server, 'fresh', version)
      await home.shows(is('switch/fresh', 'OFF', 'online'))
      home.command('devices/fresh/set', 'ON')
      await home.shows(is('switch/fresh', 'ON', 'online'))
      // Its power fails.
      fresh.js.drop()
      await home.shows(is('switch/fresh', 'ON', 'offline'))
      // Home Assistant itself ends without a word, and is there again.
      await using watcher = await JsClient.connect(server, { clientId: 'watcher' })
      await watcher.client.subscribeAsync('homeassistant/status')
      await home.kill()
      assert.deepEqual(await watcher.inbox.take(1), ['homeassistant/status=offline 0'])
      await using again = open()
      await again.shows(
        (entities) =>
          is('switch/old', 'OFF', 'online')(entities) &&
          is('switch/fresh', 'ON', 'offline')(entities),
      )
      await again.born()
      assert.deepEqual(await watcher.inbox.take(1), ['homeassistant/status=online 0'])
      // A device is removed by an empty retained message.
      const empty = { qos: 1, retain: true } as const
      await watcher.client.publishAsync('homeassistant/switch/fresh/config', '', empty)
      await again.shows((entities) => !('switch/fresh' in entities))
      assert.equal(old.js.client.connected, true)
    })
  })
}

/** Devices of a large house, all of whose messages are retained. */
async function furnish(server: FieldServer, count: number): Promise<void> {
  await using bridge = await JsClient.connect(server, { clientId: 'bridge' })
  const kept = { qos: 1, retain: true } as const
  const sent: Promise<unknown>[] = []
  for (let i = 0; i < count; i++) {
    const config = {
      unique_id: `sensor${i}`,
      state_topic: `devices/room${i % 20}/sensor${i}`,
      availability_topic: 'devices/bridge/state',
      device: { identifiers: [`room${i % 20}`], manufacturer: 'x'.repeat(i === 7 ? 65_536 : 200) },
    }
    const topic = `homeassistant/sensor/room${i % 20}/sensor${i}/config`
    sent.push(bridge.client.publishAsync(topic, JSON.stringify(config), kept))
    sent.push(bridge.client.publishAsync(config.state_topic, `${i}`, kept))
  }
  sent.push(bridge.client.publishAsync('devices/bridge/state', 'online', kept))
  // By the device and its parts, as newer ones say it.
  const device = {
    availability_topic: 'devices/bridge/state',
    device: { identifiers: ['station'] },
    components: {
      wind: { platform: 'sensor', state_topic: 'devices/station/wind' },
      rain: { platform: 'sensor', state_topic: 'devices/station/rain' },
    },
  }
  sent.push(
    bridge.client.publishAsync('homeassistant/device/station/config', JSON.stringify(device), kept),
    bridge.client.publishAsync('devices/station/wind', '12', kept),
    bridge.client.publishAsync('devices/station/rain', '0', kept),
  )
  await Promise.all(sent)
}

function isFurnished(entities: Entities, count: number): boolean {
  for (let i = 0; i < count; i++) {
    if (!is(`sensor/room${i % 20}/sensor${i}`, `${i}`, 'online')(entities)) return false
  }
  return (
    is('device/station/wind', '12', 'online')(entities) &&
    is('device/station/rain', '0', 'online')(entities)
  )
}

test(
  'Home Assistant finds all of a large house, also when the server was started again',
  options,
  async () => {
    using data = new Folder()
    const port = await freePort()
    const count = 300
    let server = await FieldServer.start({ dataDir: data.path, port })
    try {
      await furnish(server, count)
      await using home = new HomeAssistant(server, { version: 5 })
      await home.shows((entities) => isFurnished(entities, count))
      await home.born()
      await server[Symbol.asyncDispose]()
      server = await FieldServer.start({ dataDir: data.path, port })
      await home.event('connect')
      await home.event('connect')
      await home.born()
      // What it had is still so, and what changes arrives.
      await using bridge = await JsClient.connect(server, { clientId: 'bridge' })
      await bridge.client.publishAsync('devices/room3/sensor3', '33', { qos: 1, retain: true })
      await home.shows(is('sensor/room3/sensor3', '33', 'online'))
    } finally {
      await server[Symbol.asyncDispose]()
    }
  },
)
