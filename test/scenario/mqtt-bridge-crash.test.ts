import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Broker } from '../../src/mqtt/broker.ts'
import { BridgeSite } from '../support/bridge-site.ts'
import { Cable } from '../support/cable.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { Folder, ServerProcess } from '../support/process.ts'

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 300 } } as const

/** A Linnet in a process of its own, with a bridge, that can be killed and started again. */
class Site implements AsyncDisposable {
  readonly #folder = new Folder()
  readonly #config: string
  #process: ServerProcess | undefined

  constructor(scheme: string, port: number, mqtt: Readonly<Record<string, unknown>> = {}) {
    this.#config = this.#folder.join('linnet.yml')
    const server = {
      name: 'hub',
      authentication: { username: 'site@localhost', password: 'secret' },
      topics: ['up/# out 2', 'down/# in 2'],
    }
    const config = {
      hosts: ['localhost'],
      listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }],
      modules: {
        mod_mqtt: mqtt,
        mod_mqtt_bridge: { servers: { [`${scheme}://127.0.0.1:${port}`]: server } },
      },
    }
    // JSON is YAML.
    writeFileSync(this.#config, JSON.stringify(config))
  }

  async start(): Promise<void> {
    this.#process = await ServerProcess.start(this.#folder.join('data'), this.#config)
  }

  async register(): Promise<void> {
    await this.#running.ok('register', 'juliet', 'localhost', 'secret')
  }

  async client(options: Parameters<MqttClient['login']>[0] = {}): Promise<MqttClient> {
    const client = await MqttClient.connect(this.#running.port(0))
    await client.login(options)
    return client
  }

  /** What the bridge is about: `up`, `waiting`, …, and how many messages wait or are in flight. */
  async status(): Promise<{ state: string; left: number }> {
    const [, , , state = '', , queued, inflight] = (
      await this.#running.ok('mqtt_bridge_status')
    ).split('\t')
    return { state, left: Number(queued) + Number(inflight) }
  }

  async kill(): Promise<void> {
    this.#running.signal('SIGKILL')
    await this.#running.ended()
    this.#process = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]()
    this.#folder[Symbol.dispose]()
  }

  get #running(): ServerProcess {
    return this.#process ?? assert.fail('It does not run')
  }
}

/** Messages that wait for somebody who is away. */
function waiting(broker: Broker, client: string): number {
  for (const { jid, queued, inflight } of broker.listSessions()) {
    if (jid.endsWith(`/${client}`)) return queued + inflight
  }
  return 0
}

async function subscribeAndLeave(client: MqttClient, filter: string): Promise<void> {
  await client.subscribe(filter)
  await client.disconnect()
}

async function collect(client: MqttClient, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) texts.push((await client.receiveMessage()).text)
  await client.hearsNothing()
  return texts
}

for (const scheme of ['mqtt', 'mqtt5']) {
  test(`messages that wait for a bridge survive kill -9 (${scheme})`, async () => {
    await using hub = await BridgeSite.start()
    await using cable = await Cable.lay(hub.port)
    cable.cut()
    await using site = new Site(scheme, cable.port)
    await site.start()
    await site.register()
    const listener = await hub.listener('up/#')
    await using here = await site.client()
    const expected: string[] = []
    for (let i = 0; i < 60; i++) {
      await here.publish('up/x', `${i}`, { qos: i % 2 === 0 ? 1 : 2 })
      expected.push(`${i}`)
    }
    assert.equal((await site.status()).left, 60)
    await site.kill()
    cable.mend()
    await site.start()
    assert.deepEqual(await collect(listener, expected.length), expected)
  })

  test(`without a database they do not (${scheme}): a control`, async () => {
    await using hub = await BridgeSite.start()
    await using cable = await Cable.lay(hub.port)
    cable.cut()
    await using site = new Site(scheme, cable.port, { db_type: 'ram' })
    await site.start()
    await site.register()
    await using here = await site.client()
    await here.publish('up/x', 'lost', { qos: 1 })
    assert.equal((await site.status()).left, 1)
    await site.kill()
    await site.start()
    assert.equal((await site.status()).left, 0)
  })

  test(`QoS 2 over a bridge stays exactly once over kill -9 (${scheme})`, async () => {
    // A few at a time, so that each crash comes in the middle.
    const window = { max_inflight: 8, receive_maximum: 8 }
    await using hub = await BridgeSite.start({ mqtt: window })
    await using cable = await Cable.lay(hub.port)
    await using site = new Site(scheme, cable.port, window)
    await site.start()
    await site.register()
    // From now on the hub keeps what is for the bridge.
    while ((await site.status()).state !== 'up') await new Promise(setImmediate)
    await subscribeAndLeave(await hub.client({ clientId: 'away', ...lasting }), 'up/#')
    await subscribeAndLeave(await site.client({ clientId: 'away', ...lasting }), 'down/#')
    cable.cut()
    const count = 400
    const prober = await hub.client()
    await using here = await site.client()
    const expected: string[] = []
    for (let i = 0; i < count; i++) {
      await here.publish('up/x', `${i}`, { qos: 2 })
      await prober.publish('down/x', `${i}`, { qos: 2 })
      expected.push(`${i}`)
    }
    cable.mend()
    for (let round = 1; round <= 3; round++) {
      const there = waiting(hub.broker, 'away')
      while (waiting(hub.broker, 'away') < there + 40) await prober.hearsNothing()
      await site.kill()
      assert.ok(waiting(hub.broker, 'away') < count, 'Too late')
      await site.start()
    }
    while (waiting(hub.broker, 'away') < count) await prober.hearsNothing()
    while ((await site.status()).left > 0) await prober.hearsNothing()
    const up = await hub.client({ clientId: 'away', ...lasting })
    assert.deepEqual(await collect(up, count), expected)
    await using down = await site.client({ clientId: 'away', ...lasting })
    assert.deepEqual(await collect(down, count), expected)
  })
}
