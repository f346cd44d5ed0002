import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accountRegistered } from '../../src/core/account.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { Command, CommandContext, CommandValue } from '../../src/core/command.ts'
import { CommandRegistry } from '../../src/core/command.ts'
import type { Config } from '../../src/core/config/config.ts'
import { loadConfig } from '../../src/core/config/load.ts'
import { createSchema } from '../../src/core/config/schema.ts'
import { silentLog } from '../../src/core/log.ts'
import { ModuleHost } from '../../src/core/module-host.ts'
import type { ModuleDefinition } from '../../src/core/module.ts'
import { formatProblem } from '../../src/core/options/problem.ts'
import { commandRegistry, hosts, logs, serverControl } from '../../src/core/shared.ts'
import type { Host, ServerControl } from '../../src/core/shared.ts'
import type { HostStore, Store } from '../../src/core/store.ts'
import { openStore } from '../../src/storage/open.ts'
import type { StoreSettings } from '../../src/storage/open.ts'
import { bareJid, jid, parseHostName } from '../../src/xmpp/jid/jid.ts'
import type { BareJid, HostName } from '../../src/xmpp/jid/jid.ts'
import type { XmppClient } from './xmpp-client.ts'
import { XmppServer } from './xmpp-server.ts'
import type { LoginOptions } from './xmpp-client.ts'

export type ModuleOptions = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export interface ModuleServerOptions {
  readonly hosts?: readonly string[]
  /** Top-level options. */
  readonly config?: Readonly<Record<string, unknown>>
  /** A SQLite file of its own unless given. */
  readonly database?: StoreSettings
}

/**
 * An `XmppServer` on which modules run, over a SQLite database of its own: for tests of what modules do with clients. The names of
 * modules are those of the configuration.
 */
export class ModuleServer implements AsyncDisposable {
  readonly xmpp: XmppServer
  readonly commands = new CommandRegistry()
  uptimeMs = 0
  /** What modules see of the server as a whole. */
  state: ServerControl['state'] = 'started'
  readonly #definitions: ReadonlyMap<string, ModuleDefinition>
  readonly #config: Readonly<Record<string, unknown>>
  readonly #store: Store
  readonly #directory: string
  readonly #hosts = new Map<string, Host>()

  private constructor(
    xmpp: XmppServer,
    definitions: readonly ModuleDefinition[],
    config: Readonly<Record<string, unknown>>,
    store: Store,
    directory: string,
  ) {
    this.xmpp = xmpp
    this.#definitions = new Map(definitions.map((module) => [module.name, module]))
    this.#config = config
    this.#store = store
    this.#directory = directory
    const { services } = xmpp
    services.provide(commandRegistry, this.commands)
    services.provide(hosts, {
      find: (name) => this.#hosts.get(name),
      get: (name) => this.host(name),
      names: xmpp.config.hosts,
    })
    services.provide(serverControl, this.#control())
    for (const name of xmpp.config.hosts) this.#addHost(name)
  }

  static async start(
    definitions: readonly ModuleDefinition[],
    modules: ModuleOptions,
    { hosts: names = ['localhost'], config = {}, database }: ModuleServerOptions = {},
  ): Promise<ModuleServer> {
    const directory = await mkdtemp(join(tmpdir(), 'linnet-modules-'))
    const file = join(directory, 'linnet.sqlite')
    const tools = { log: silentLog, clock: systemClock() }
    const store = await openStore(database ?? { type: 'sqlite', file, multihost: true }, tools)
    const xmpp = await XmppServer.start({ hosts: names, config })
    const all = { ...config, hosts: names }
    const server = new ModuleServer(xmpp, definitions, all, store, directory)
    await server.apply(modules)
    return server
  }

  /** Runs these modules with these options, as at the start or after a reload. */
  async apply(modules: ModuleOptions): Promise<void> {
    const config = await this.#load(modules)
    for (const [name, host] of this.#hosts) {
      const wanted = config.modules(name)
      const running = host.modules.running
      await host.modules.apply(wanted)
      for (const [module, settings] of wanted) {
        if (running.includes(module)) await host.modules.reload(settings)
      }
    }
  }

  host(name = 'localhost'): Host {
    return this.#hosts.get(name) ?? assert.fail(`No host ${name}`)
  }

  store(name = 'localhost'): HostStore {
    return this.#store.forHost(name)
  }

  account(name: string, host = 'localhost'): BareJid {
    return bareJid(jid(`${name}@${host}`))
  }

  login(userName: string, options: LoginOptions = {}): Promise<XmppClient> {
    return this.xmpp.login(userName, options)
  }

  /** A new account, which the modules hear of. */
  async register(account: string): Promise<void> {
    this.xmpp.accounts.add(account)
    const bare = bareJid(jid(account))
    await this.xmpp.hooks(hostOf(account)).emitAndWait(accountRegistered, bare)
  }

  /** Runs a command as the shell would; its arguments are values already. */
  async run(name: string, ...args: readonly CommandValue[]): Promise<CommandValue> {
    const command: Command | undefined = this.commands.find(name)
    assert.ok(command !== undefined, `No command ${name}`)
    const { services } = this.xmpp
    const context: CommandContext = {
      caller: { from: 'ejabberd_ctl' },
      services,
      service: (token) => services.get(token),
    }
    return command.run(args, context)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.xmpp[Symbol.asyncDispose]()
    for (const host of this.#hosts.values()) await host.modules.stopAll()
    await this.#store.close()
    await rm(this.#directory, { recursive: true, force: true })
  }

  #addHost(name: HostName): void {
    const { services, clock, metrics, xmpp } = this.xmpp
    const hooks = this.xmpp.hooks(name)
    const store = this.#store.forHost(name)
    const modules = new ModuleHost(
      {
        host: name,
        hooks,
        storeFor: () => store,
        clock,
        logs: services.get(logs),
        metrics,
        commands: this.commands,
        services,
        extensions: [xmpp.context],
      },
      this.#definitions,
    )
    this.#hosts.set(name, { name, hooks, modules, storeFor: () => store })
  }

  async #load(modules: ModuleOptions): Promise<Config> {
    const schema = createSchema({
      modules: [...this.#definitions.values()].map(({ name, options }) => [name, options]),
    })
    const environment = { version: '0.0.0', variables: {}, checkFiles: false }
    const options = { ...this.#config, modules }
    const { config, problems } = await loadConfig({ options }, schema, environment)
    if (config === undefined) assert.fail(problems.map(formatProblem).join('\n'))
    return config
  }

  #control(): ServerControl {
    const uptimeMs = (): number => this.uptimeMs
    const state = (): ServerControl['state'] => this.state
    return {
      version: '0.0.0',
      get state() {
        return state()
      },
      get uptimeMs() {
        return uptimeMs()
      },
      reload: () => Promise.resolve(undefined),
      reopenLog: () => undefined,
      rotateLog: () => undefined,
      stop: () => undefined,
    }
  }
}

function hostOf(account: string): string {
  const host = parseHostName(account.slice(account.indexOf('@') + 1))
  return host.ok ? host.value : assert.fail(account)
}
