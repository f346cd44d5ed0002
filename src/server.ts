import { resolve } from 'node:path'
import { Access } from './core/access.ts'
import { ApiPermissions } from './core/api-permissions.ts'
import type { Clock } from './core/clock.ts'
import { systemClock } from './core/clock.ts'
import { CommandRegistry } from './core/command.ts'
import { formatProblems } from './core/config/check.ts'
import type { Config } from './core/config/config.ts'
import { diffConfig } from './core/config/diff.ts'
import type { ConfigDiff } from './core/config/diff.ts'
import type { ConfigSource } from './core/config/load.ts'
import { loadConfig } from './core/config/load.ts'
import { configReloaded, currentConfig } from './core/current-config.ts'
import { Hooks } from './core/hooks.ts'
import type { Log, LogOptions } from './core/log.ts'
import { Logs } from './core/log.ts'
import { Metrics } from './core/metrics.ts'
import type { Problem } from './core/options/problem.ts'
import { Services } from './core/service.ts'
import { SessionRegistry, sessionRegistry } from './core/sessions.ts'
import * as shared from './core/shared.ts'
import type { ServerControl } from './core/shared.ts'
import { Shapers } from './core/shaper.ts'
import { AccountDirectory } from './auth/accounts.ts'
import { authOptionsOf } from './auth/auth-options.ts'
import { ControlSocket } from './admin/control-socket.ts'
import type { ControlAnswer, ControlRequest } from './admin/control-socket.ts'
import { runControl } from './admin/control.ts'
import { commands } from './commands/index.ts'
import { readiness } from './http/health.ts'
import { modules } from './modules/index.ts'
import { Databases } from './server/databases.ts'
import { builtInConfig } from './server/config-source.ts'
import { LogFile } from './server/log-file.ts'
import type { LogFileOptions } from './server/log-file.ts'
import { Network } from './server/network.ts'
import { Protocols } from './server/protocols.ts'
import { configSchema } from './server/schema.ts'
import { VirtualHost } from './server/virtual-host.ts'
import { VirtualHosts } from './server/virtual-hosts.ts'
import { version } from './server/version.ts'
import { Stores } from './storage/stores.ts'
import type { HostName } from './xmpp/jid/jid.ts'

export interface ServerSettings {
  readonly source: ConfigSource
  /** Must exist. Databases, certificates and the control socket live there. */
  readonly dataDir: string
  readonly clock?: Clock
  readonly log?: Pick<LogOptions, 'destination' | 'format'>
  /** A file for the log, rotated by `log_rotate_*`; without it, lines go to standard error. */
  readonly logPath?: string
  /** Environment for macros; the process's own by default. */
  readonly variables?: Readonly<Record<string, string | undefined>>
}

/** The configuration is refused; everything that is wrong with it is in `problems`. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(formatProblems(problems))
    this.problems = problems
  }
}

/** Reads the configuration and puts the parts together; `start` opens databases and ports. Rejects with a `ConfigError`. */
export async function createServer(settings: ServerSettings): Promise<LinnetServer> {
  const { config, problems } = await loadConfig(settings.source, configSchema(), {
    version,
    databasePath: settings.dataDir,
    ...(settings.variables === undefined ? {} : { variables: settings.variables }),
  })
  if (config === undefined) throw new ConfigError(problems)
  return new LinnetServer(settings, config, problems)
}

/** The one place where all parts meet. */
export class LinnetServer implements ServerControl, AsyncDisposable {
  readonly version = version
  readonly services = new Services()
  readonly problems: readonly Problem[]
  readonly log: Log
  /** Resolves when the server has stopped, with whether every part of it could be closed. */
  readonly ended: Promise<boolean>
  #state: ServerControl['state'] = 'starting'
  #startedAt: number
  readonly #current: { value: Config }
  #control: ControlSocket | undefined
  /** Settles when the start has succeeded or failed. */
  #starting: Promise<void> = Promise.resolve()
  #reloading: Promise<string | undefined> = Promise.resolve(undefined)
  /** What the last start or reload could not bring about, for `readyz`. */
  #failures: readonly string[] = []
  #resolveEnded: (isClean: boolean) => void = () => undefined
  readonly #settings: ServerSettings
  readonly #clock: Clock
  readonly #logs: Logs
  readonly #logFile: LogFile | undefined
  readonly #hooks: Hooks
  readonly #metrics = new Metrics()
  readonly #commands = new CommandRegistry()
  readonly #sessions = new SessionRegistry()
  readonly #access: Access
  readonly #shapers: Shapers
  readonly #permissions: ApiPermissions
  readonly #stores: Stores
  readonly #databases: Databases
  readonly #accounts: AccountDirectory
  readonly #hosts = new VirtualHosts()
  readonly #protocols: Protocols
  readonly #network: Network

  constructor(settings: ServerSettings, config: Config, problems: readonly Problem[]) {
    this.#settings = settings
    this.#current = { value: config }
    this.problems = problems
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#clock = settings.clock ?? systemClock()
    this.#startedAt = this.#clock.monotonic()
    this.#logFile =
      settings.logPath === undefined
        ? undefined
        : new LogFile({ path: settings.logPath, ...rotationOf(config) })
    this.#logs = new Logs({
      level: config.global.loglevel,
      modulesFully: config.global.log_modules_fully,
      hideAddresses: config.global.hide_sensitive_log_data,
      ...settings.log,
      ...(this.#logFile === undefined ? {} : { destination: this.#logFile }),
    })
    this.log = this.#logs.for('server')
    this.#hooks = new Hooks(this.#logs.for('hooks'))
    this.#access = new Access(config)
    this.#shapers = new Shapers(config, this.#access)
    this.#permissions = new ApiPermissions(config.global.api_permissions, this.#access)
    this.#stores = new Stores({ log: this.#logs.for('storage'), clock: this.#clock })
    this.#databases = new Databases(settings.dataDir, this.#stores, {
      clock: this.#clock,
      log: this.#logs.for('storage'),
    })
    this.#accounts = new AccountDirectory({
      clock: this.#clock,
      log: this.#logs.for('auth'),
      access: this.#access,
      sessions: this.#sessions,
      metrics: this.#metrics,
    })
    this.#provide()
    const parts = {
      services: this.services,
      clock: this.#clock,
      logs: this.#logs,
      metrics: this.#metrics,
    }
    this.#protocols = new Protocols(this.services)
    this.#network = new Network({ ...parts, dataDir: settings.dataDir }, config)
  }

  get config(): Config {
    return this.#current.value
  }

  get state(): ServerControl['state'] {
    return this.#state
  }

  get uptimeMs(): number {
    return this.#clock.monotonic() - this.#startedAt
  }

  /** Whether nobody wrote a configuration, so that the server may set itself up. */
  get isBuiltInConfig(): boolean {
    const { source } = this.#settings
    return 'path' in source && resolve(source.path) === builtInConfig
  }

  /** One line for each open port, for people. */
  get addresses(): readonly string[] {
    return this.#network.describe()
  }

  /** The listeners' real ports, in the order of the configuration. */
  get network(): Network {
    return this.#network
  }

  /** Why clients should not be sent here now; empty when they should. */
  get reasons(): readonly string[] {
    if (this.#state === 'starting') return ['The server is starting']
    if (this.#state === 'stopping') return ['The server is stopping']
    return this.#failures
  }

  /** Opens databases, starts the hosts' modules, then opens the ports. Rejects when anything of that fails; then nothing is left open. */
  async start(): Promise<void> {
    const starting = this.#start()
    this.#starting = starting.catch(() => undefined)
    try {
      await starting
    } catch (error) {
      this.stop()
      await this.ended
      throw error
    }
  }

  /** Reads the configuration again; reloads run one after the other. Resolves with what went wrong, if anything did. */
  reload(): Promise<string | undefined> {
    // A signal that comes during the start means the file as it is then.
    this.#reloading = Promise.all([this.#starting, this.#reloading])
      .then(() => this.#reload())
      .catch((error: unknown) => {
        // Not in the way of the next one.
        this.log.error({ err: error }, 'Cannot reload the configuration')
        return error instanceof Error ? error.message : String(error)
      })
    return this.#reloading
  }

  reopenLog(): void {
    this.#logFile?.reopen()
  }

  rotateLog(): void {
    this.#logFile?.rotate()
  }

  /** Begins an orderly stop: no new connections, the clients are told, what is queued is committed. */
  stop(): void {
    if (this.#state === 'stopping') return
    this.#state = 'stopping'
    void this.#stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop()
    await this.ended
  }

  #provide(): void {
    const { services } = this
    services.provide(shared.access, this.#access)
    services.provide(shared.apiPermissions, this.#permissions)
    services.provide(shared.shapers, this.#shapers)
    services.provide(shared.commandRegistry, this.#commands)
    services.provide(shared.logs, this.#logs)
    services.provide(shared.metrics, this.#metrics)
    services.provide(shared.clock, this.#clock)
    services.provide(shared.hosts, this.#hosts)
    services.provide(shared.serverControl, this)
    services.provide(sessionRegistry, this.#sessions)
    services.provide(currentConfig, this.#current)
    services.provide(readiness, this)
    this.#accounts.provide(services)
    for (const command of commands) this.#commands.add(command)
  }

  async #start(): Promise<void> {
    // First of all, so that two servers never share a data directory.
    this.#control = await ControlSocket.open(
      this.#settings.dataDir,
      (request) => this.#answer(request),
      this.#logs.for('control'),
    )
    for (const host of this.#current.value.hosts) {
      this.#goOn()
      await this.#startHost(host)
    }
    this.#goOn()
    await this.#network.start(this.#current.value)
    this.#goOn()
    this.#state = 'started'
    this.#startedAt = this.#clock.monotonic()
    this.log.info({ hosts: this.#current.value.hosts }, 'Server started')
  }

  #goOn(): void {
    if (this.#state === 'stopping') throw new Error('The server was stopped while it started')
  }

  #answer(request: ControlRequest): ControlAnswer | Promise<ControlAnswer> {
    const [word] = request.words
    if (this.#state === 'starting' && word !== 'status' && word !== 'stop') {
      return { exit: 1, output: 'Error: the server is still starting\n' }
    }
    const parts = { commands: this.#commands, services: this.services }
    return runControl({ ...parts, log: this.#logs.for('control') }, request)
  }

  /** When it fails, nothing of the host is left. */
  async #startHost(name: HostName): Promise<void> {
    try {
      await this.#openHost(name)
    } catch (error) {
      await this.#stopHost(name)
      throw error
    }
  }

  async #openHost(name: HostName): Promise<void> {
    const host = await VirtualHost.open(
      name,
      this.#current.value,
      this.#databases,
      {
        serverHooks: this.#hooks,
        clock: this.#clock,
        logs: this.#logs,
        metrics: this.#metrics,
        commands: this.#commands,
        services: this.services,
        extensions: this.#protocols.extensions,
      },
      new Map(modules.map((definition) => [definition.name, definition])),
    )
    this.#hosts.add(host)
    await this.#accounts.addHost(
      { host: name, hooks: host.hooks, storeFor: (type) => host.storeFor(type) },
      authOptionsOf(this.#current.value.forHost(name), this.#current.value.global),
    )
    this.#protocols.addHost(host)
    await host.start(this.#current.value)
  }

  async #stopHost(name: HostName): Promise<void> {
    const host = this.#hosts.find(name)
    if (host !== undefined) {
      this.#protocols.dismiss(host)
      await host.stop()
      this.#protocols.removeHost(host)
      this.#hosts.remove(name)
    }
    await this.#accounts.removeHost(name)
    await this.#databases.release(name)
  }

  async #reload(): Promise<string | undefined> {
    if (this.#state !== 'started') return 'The server is not running'
    // As other servers do at this signal, for programs that rotate logs.
    this.reopenLog()
    const { config: next, problems } = await loadConfig(this.#settings.source, configSchema(), {
      version,
      databasePath: this.#settings.dataDir,
      ...(this.#settings.variables === undefined ? {} : { variables: this.#settings.variables }),
    })
    if (next === undefined) {
      const text = formatProblems(problems)
      this.log.error(
        { problems: text },
        'The new configuration is refused, the old one stays in force',
      )
      return text
    }
    const before = this.#current.value
    const diff = diffConfig(before, next)
    this.#current.value = next
    this.#access.reload(next)
    this.#shapers.reload(next)
    this.#permissions.reload(next.global.api_permissions)
    if (diff.options.includes('loglevel')) this.#logs.setLevel(next.global.loglevel)
    this.#logs.configure({
      modulesFully: next.global.log_modules_fully,
      hideAddresses: next.global.hide_sensitive_log_data,
    })
    this.#logFile?.configure(rotationOf(next))
    for (const name of before.hosts) {
      if (!next.hosts.includes(name)) await this.#stopHost(name)
    }
    const failed: string[] = []
    this.#warnOfRestart(diff)
    for (const name of next.hosts) {
      try {
        const host = this.#hosts.find(name)
        if (host === undefined) await this.#startHost(name)
        else {
          await host.openDatabases(next)
          await this.#accounts.reloadHost(name, authOptionsOf(next.forHost(name), next.global))
          await host.reload(next, diff.modules.get(name))
        }
      } catch (error) {
        // The rest of the reload is still wanted: one module that cannot start must not keep the others from it.
        failed.push(error instanceof Error ? error.message : String(error))
        this.log.error({ err: error, host: name }, 'Cannot reload host')
      }
    }
    const { ports, certificates } = await this.#network.reload(next)
    failed.push(...ports)
    // Handlers of the server as a whole run after those of each host.
    for (const host of this.#hosts.all) host.hooks.emit(configReloaded, before, next)
    this.log.info({ files: next.sources }, 'Configuration reloaded')
    this.#failures = failed
    const undone = [...failed, ...certificates]
    return undone.length === 0 ? undefined : undone.join('\n')
  }

  /** Where accounts and messages are kept does not change under the sessions that use them. */
  #warnOfRestart(diff: ConfigDiff): void {
    for (const [host, names] of diff.hostOptions) {
      const options = names.filter((name) => /^(sql_|default_db$)/.test(name))
      if (options.length === 0) continue
      this.log.warn({ host, options }, 'Changes of these options take effect at the next start')
    }
  }

  async #stop(): Promise<void> {
    await this.#starting
    await this.#reloading
    this.log.info('Server is stopping')
    let isClean = true
    const step = async (what: string, run: () => void | Promise<void>): Promise<void> => {
      try {
        await run()
      } catch (error) {
        // The other parts have to be closed all the same.
        isClean = false
        this.log.error({ err: error }, `Cannot stop ${what} cleanly`)
      }
    }
    await step('listeners', () => this.#network.closeListeners())
    await step('XMPP', () => this.#protocols.shutDown())
    for (const host of [...this.#hosts.all].reverse()) {
      await step(`host ${host.name}`, () => host.stop())
    }
    // MQTT clients have had their goodbye from the modules; what lingers is cut off.
    await step('connections', () => this.#network.closeConnections())
    await step('accounts', () => this.#accounts[Symbol.asyncDispose]())
    await step('databases', () => this.#stores.close())
    await step('the control socket', () => this.#control?.[Symbol.asyncDispose]())
    this.log.info('Server has stopped')
    this.#logFile?.close()
    this.#resolveEnded(isClean)
  }
}

function rotationOf({ global }: Config): Pick<LogFileOptions, 'maxBytes' | 'keep'> {
  return { maxBytes: global.log_rotate_size, keep: global.log_rotate_count }
}
