import assert from 'node:assert/strict'
import type { Clock } from '../../src/core/clock.ts'
import { hosts } from '../../src/core/shared.ts'
import type { Bridges } from '../../src/modules/mqtt-bridge/bridges.ts'
import type { BridgeStatus } from '../../src/mqtt/bridge/bridge.ts'
import type { Broker } from '../../src/mqtt/broker.ts'
import { brokersOf } from '../../src/mqtt/brokers.ts'
import { parseTopicFilter } from '../../src/mqtt/topic.ts'
import { MqttClient } from './mqtt-client.ts'
import type { ConnectOptions } from './mqtt-client.ts'
import { TestServer } from './server.ts'

type Values = Readonly<Record<string, unknown>>

export interface SiteOptions {
  /** Of `mod_mqtt_bridge`, by URL; none unless given. */
  readonly servers?: Readonly<Record<string, Values>>
  /** Further options of `mod_mqtt_bridge`. */
  readonly bridge?: Values
  /** Of `mod_mqtt`. */
  readonly mqtt?: Values
  /** Top-level options. */
  readonly config?: Values
  /** More listeners than the one of MQTT over TCP. */
  readonly listen?: readonly Values[]
  /** Of that one; a port of the kernel unless given. */
  readonly port?: number
  /** Of another one that has stopped: what that one kept. */
  readonly dataDir?: string
  readonly clock?: Clock
}

/** Who may sign in, each with the password `secret`. */
const users = ['juliet', 'site']

/** A Linnet in this process with a broker, and with bridges to others. */
export class BridgeSite implements AsyncDisposable {
  readonly server: TestServer
  readonly #clients: MqttClient[] = []

  private constructor(server: TestServer) {
    this.server = server
  }

  static async start(options: SiteOptions = {}): Promise<BridgeSite> {
    const { servers, bridge, mqtt = {}, listen = [], dataDir, clock, port = 0 } = options
    const server = await TestServer.start({
      config: {
        listen: [{ port, ip: '127.0.0.1', module: 'mod_mqtt' }, ...listen],
        modules: {
          mod_mqtt: mqtt,
          ...(servers !== undefined && { mod_mqtt_bridge: { servers, ...bridge } }),
        },
        ...options.config,
      },
      ...(dataDir !== undefined && { dataDir }),
      ...(clock !== undefined && { clock }),
    })
    const there = await server.ok('registered_users', 'localhost')
    for (const user of users) {
      if (!there.includes(user)) await server.ok('register', user, 'localhost', 'secret')
    }
    return new BridgeSite(server)
  }

  get port(): number {
    return this.server.port('mod_mqtt')
  }

  get broker(): Broker {
    return brokersOf(this.server.server.services).find('localhost') ?? assert.fail('no broker')
  }

  get status(): readonly BridgeStatus[] {
    const { modules } = this.server.server.services.get(hosts).get('localhost')
    return modules.find<Bridges>('mod_mqtt_bridge')?.status ?? []
  }

  /** Resolves when the only bridge is up. */
  async up(): Promise<void> {
    await this.#is('up', '1')
  }

  /** Resolves when the only bridge is not up. */
  async down(): Promise<void> {
    await this.#is('down', '0')
  }

  /** A client that is connected here; it goes with the site. */
  async client(options: ConnectOptions = {}): Promise<MqttClient> {
    const client = await MqttClient.connect(this.port)
    this.#clients.push(client)
    await client.login({ clientId: `client-${this.#clients.length}`, ...options })
    return client
  }

  /** A client that is subscribed to this; flags of messages come as they were published. */
  async listener(filter = '#', options: ConnectOptions = {}): Promise<MqttClient> {
    const client = await this.client(options)
    await client.subscribe(filter, { retainAsPublished: true })
    return client
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.drop()
    await this.server[Symbol.asyncDispose]()
  }

  async #is(state: 'up' | 'down', payload: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const filter = parseTopicFilter('$SYS/broker/connection/+/state')
    assert.ok(filter.ok)
    const stop = this.broker.subscribe(filter.value, (message) => {
      if (Buffer.from(message.payload).toString() === payload) resolve()
    })
    const [bridge] = this.status
    assert.ok(bridge !== undefined)
    if ((bridge.state === 'up') === (state === 'up')) resolve()
    await promise
    stop()
  }
}

/** How to sign in at another site. */
export const signIn = { username: 'site@localhost', password: 'secret' } as const
