import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Access } from '../../src/core/access.ts'
import { accountRemoved, accounts, signIns } from '../../src/core/account.ts'
import { systemClock, TestClock } from '../../src/core/clock.ts'
import { CommandRegistry } from '../../src/core/command.ts'
import type { Config } from '../../src/core/config/config.ts'
import { loadConfig } from '../../src/core/config/load.ts'
import { createSchema } from '../../src/core/config/schema.ts'
import { configReloaded, currentConfig } from '../../src/core/current-config.ts'
import { Hooks } from '../../src/core/hooks.ts'
import type { StreamAcceptor } from '../../src/core/listener.ts'
import { Logs, silentLog } from '../../src/core/log.ts'
import { Metrics } from '../../src/core/metrics.ts'
import { ModuleHost } from '../../src/core/module-host.ts'
import { addressOf } from '../../src/core/net/address.ts'
import { TcpTransport, transportSettings } from '../../src/core/net/tcp-transport.ts'
import { handshake, SocketTlsInfo, wrapServerTls } from '../../src/core/net/tls-socket.ts'
import { formatProblem } from '../../src/core/options/problem.ts'
import { Services } from '../../src/core/service.ts'
import { SessionRegistry, sessionRegistry } from '../../src/core/sessions.ts'
import { access, clock, hosts, logs, metrics, shapers } from '../../src/core/shared.ts'
import { serverControl } from '../../src/core/shared.ts'
import type { Host } from '../../src/core/shared.ts'
import { Shapers } from '../../src/core/shaper.ts'
import type { HostStore, Store } from '../../src/core/store.ts'
import type { TlsServerSettings, Transport } from '../../src/core/transport.ts'
import { mqtt } from '../../src/modules/mqtt.ts'
import type { Broker } from '../../src/mqtt/broker.ts'
import { brokersOf } from '../../src/mqtt/brokers.ts'
import { mqttListener } from '../../src/mqtt/listener.ts'
import type { StoreSettings } from '../../src/storage/open.ts'
import { openStore } from '../../src/storage/open.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import { MemoryAccounts } from './memory-accounts.ts'
import { MqttClient } from './mqtt-client.ts'
import type { ConnectOptions } from './mqtt-client.ts'

export interface MqttServerOptions {
  readonly hosts?: readonly string[]
  /** Hosts without `mod_mqtt`. */
  readonly without?: readonly string[]
  /** Of `mod_mqtt`. */
  readonly module?: Readonly<Record<string, unknown>>
  /** Of the listener. */
  readonly listener?: Readonly<Record<string, unknown>>
  /** Top-level options. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Of another server that has stopped; a database of its own otherwise. */
  readonly file?: string
  /** Another database than SQLite's. */
  readonly database?: StoreSettings
  readonly clock?: TestClock
  readonly tls?: TlsServerSettings
  readonly sendTimeoutMs?: number
  /** Changes the database that the broker gets. */
  readonly wrapStore?: (store: HostStore) => HostStore
}

const schema = createSchema({
  modules: [['mod_mqtt', mqtt.options]],
  listeners: [['mod_mqtt', mqttListener.options]],
})

/**
 * `mod_mqtt` with a listener over SQLite, without the rest of the server. Accounts `juliet` and `romeo` exist on each host,
 * with the password `secret`.
 */
export class MqttServer implements AsyncDisposable {
  readonly clock: TestClock
  readonly accounts = new MemoryAccounts()
  readonly services = new Services()
  readonly registry = new SessionRegistry()
  readonly metrics = new Metrics()
  readonly commands = new CommandRegistry()
  /** What was logged, a line each. */
  readonly logged: string[] = []
  readonly file: string
  readonly store: Store
  readonly config: Config
  readonly #options: MqttServerOptions
  readonly #access: Access
  readonly #logs: Logs
  readonly #hosts = new Map<string, Host>()
  readonly #sockets = new Set<Socket>()
  readonly #directory: string | undefined
  #isClosed = false
  #server: Server
  #acceptor: StreamAcceptor
  #current: Config

  private constructor(
    config: Config,
    options: MqttServerOptions,
    store: Store,
    file: string,
    directory: string | undefined,
  ) {
    this.config = config
    this.#current = config
    this.#options = options
    this.clock = options.clock ?? new TestClock()
    this.store = store
    this.file = file
    this.#directory = directory
    const destination = { write: (line: string) => void this.logged.push(line) }
    this.#logs = new Logs({ level: 'debug', destination })
    this.#access = new Access(config)
    const current = (): Config => this.#current
    this.services.provide(clock, this.clock)
    this.services.provide(logs, this.#logs)
    this.services.provide(metrics, this.metrics)
    this.services.provide(accounts, this.accounts)
    this.services.provide(signIns, this.accounts)
    this.services.provide(sessionRegistry, this.registry)
    this.services.provide(access, this.#access)
    this.services.provide(serverControl, {
      version: '1.2.3',
      state: 'started',
      uptimeMs: 0,
      reload: () => Promise.resolve(undefined),
      reopenLog: () => undefined,
      rotateLog: () => undefined,
      stop: () => undefined,
    })
    this.services.provide(shapers, new Shapers(config, this.#access))
    this.services.provide(currentConfig, {
      get value() {
        return current()
      },
    })
    this.services.provide(hosts, {
      find: (name) => this.#hosts.get(name),
      get: (name) => this.#host(name),
      names: config.hosts,
    })
    for (const host of config.hosts) {
      for (const name of ['juliet', 'romeo']) this.accounts.add(`${name}@${host}`)
    }
    const listener = config.listeners[0] ?? assert.fail('There is no listener')
    this.#acceptor = mqttListener.open({
      options: listener.options.as(mqttListener.options),
      address: { ip: '127.0.0.1', port: 0 },
      log: this.#logs.for('mod_mqtt'),
      clock: this.clock,
      metrics: this.metrics,
      services: this.services,
      tls: options.tls,
    })
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      void this.#accept(socket)
    })
  }

  static async start(options: MqttServerOptions = {}): Promise<MqttServer> {
    const config = await load(options)
    const directory =
      options.file === undefined ? await mkdtemp(join(tmpdir(), 'linnet-mqtt-')) : undefined
    const file = options.file ?? join(directory ?? '', 'linnet.sqlite')
    const tools = { log: silentLog, clock: systemClock() }
    const settings = options.database ?? { type: 'sqlite', file, multihost: true }
    const store = await openStore(settings, tools)
    const server = new MqttServer(config, options, store, file, directory)
    try {
      for (const host of config.hosts) await server.#addHost(host)
      server.#server.listen(0, '127.0.0.1')
      await once(server.#server, 'listening')
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
    return server
  }

  get port(): number {
    // Of a server that listens on TCP.
    return (this.#server.address() as AddressInfo).port
  }

  broker(host = 'localhost'): Broker {
    return brokersOf(this.services).find(host) ?? assert.fail(`There is no broker of ${host}`)
  }

  hooks(host = 'localhost'): Hooks {
    return this.#host(host).hooks
  }

  connect(): Promise<MqttClient> {
    return MqttClient.connect(this.port)
  }

  /** A client that is connected and let in. */
  async login(options: ConnectOptions = {}): Promise<MqttClient> {
    const client = await this.connect()
    await client.login(options)
    return client
  }

  /** Takes other options over, as the configuration's reload would. */
  async reload(options: Pick<MqttServerOptions, 'module' | 'config'>): Promise<void> {
    const before = this.#current
    this.#current = await load({ ...this.#options, ...options })
    this.#access.reload(this.#current)
    for (const [name, host] of this.#hosts) {
      const changed = this.#current.modules(name).get('mod_mqtt')
      if (changed !== undefined) await host.modules.reload(changed)
      host.hooks.emit(configReloaded, before, this.#current)
    }
  }

  async removeAccount(account: string): Promise<void> {
    const bare = bareJid(jid(account))
    await this.accounts.remove(bare)
    await this.hooks(account.slice(account.indexOf('@') + 1)).emitAndWait(accountRemoved, bare)
  }

  /** An ordinary stop; the database stays for the next one. */
  async stop(): Promise<string> {
    await this.#close()
    return this.file
  }

  /** What a crash at this moment would leave on the disk, for another server to start on. */
  async crash(): Promise<string> {
    const copy = `${this.file}-${Date.now()}-${Math.floor(Math.random() * 1e9)}`
    await this.store.backup(copy)
    return copy
  }

  /** The value of a metric's series, or the sum of all that have these labels in front of others. */
  metric(name: string, labels = 'host="localhost"'): number {
    const lines = this.metrics
      .render()
      .split('\n')
      .filter((line) => [',', '}'].some((end) => line.startsWith(`${name}{${labels}${end}`)))
    if (lines.length === 0) assert.fail(`No metric ${name}`)
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true })
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#server.listening) {
      this.#server.close()
      await this.#acceptor.close()
    }
    for (const { modules } of this.#hosts.values()) await modules.stopAll()
    this.#hosts.clear()
    for (const socket of this.#sockets) socket.destroy()
    await this.store.close()
  }

  async #addHost(name: string): Promise<void> {
    const hostName = this.config.hosts.find((host) => host === name) ?? assert.fail(name)
    const hooks = new Hooks(this.#logs.for('hooks'))
    const own = this.store.forHost(name)
    const store = this.#options.wrapStore?.(own) ?? own
    const modules = new ModuleHost(
      {
        host: hostName,
        hooks,
        storeFor: () => store,
        clock: this.clock,
        logs: this.#logs,
        metrics: this.metrics,
        commands: this.commands,
        services: this.services,
        extensions: [],
      },
      new Map([['mod_mqtt', mqtt]]),
    )
    this.#hosts.set(name, { name, hooks, modules, storeFor: () => store })
    if (this.#options.without?.includes(name) === true) return
    await modules.apply(this.config.modules(name))
  }

  #host(name: string): Host {
    return this.#hosts.get(name) ?? assert.fail(`The host "${name}" is not served`)
  }

  async #accept(socket: Socket): Promise<void> {
    const peer = addressOf(socket.remoteAddress, socket.remotePort)
    const settings = transportSettings(this.clock, {
      log: this.#logs.for('net'),
      poison: true,
      ...(this.#options.sendTimeoutMs !== undefined && {
        sendTimeoutMs: this.#options.sendTimeoutMs,
      }),
    })
    let transport: Transport
    if (this.#options.tls === undefined) transport = new TcpTransport(socket, peer, settings)
    else {
      const secure = wrapServerTls(socket, this.#options.tls)
      if (secure === undefined || (await handshake(secure, this.clock, 30_000)) !== undefined) {
        socket.destroy()
        return
      }
      transport = new TcpTransport(secure, peer, settings, new SocketTlsInfo(secure))
    }
    this.#acceptor.accept?.(transport)
  }
}

async function load(options: MqttServerOptions): Promise<Config> {
  const written = {
    hosts: options.hosts ?? ['localhost'],
    listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt', ...options.listener }],
    modules: { mod_mqtt: options.module ?? {} },
    ...options.config,
  }
  const environment = { version: '0.0.0', variables: {}, checkFiles: false }
  const { config, problems } = await loadConfig({ options: written }, schema, environment)
  return config ?? assert.fail(problems.map(formatProblem).join('\n'))
}
