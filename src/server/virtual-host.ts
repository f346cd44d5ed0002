import type { Config } from '../core/config/config.ts'
import type { ModuleChanges } from '../core/config/diff.ts'
import { hostStarted, hostStopping } from '../core/current-config.ts'
import { Hooks } from '../core/hooks.ts'
import { ModuleHost } from '../core/module-host.ts'
import type { HostParts } from '../core/module-host.ts'
import type { ModuleDefinition } from '../core/module.ts'
import type { Host } from '../core/shared.ts'
import type { HostStore } from '../core/store.ts'
import type { HostName } from '../xmpp/jid/jid.ts'
import type { Databases } from './databases.ts'

/** One served host: its hooks, databases and modules. */
export class VirtualHost implements Host {
  readonly name: HostName
  readonly hooks: Hooks
  readonly modules: ModuleHost
  readonly #embedded: HostStore
  #sql: HostStore | undefined
  readonly #databases: Databases
  readonly #default: HostStore

  private constructor(
    name: HostName,
    hooks: Hooks,
    databases: Databases,
    stores: { embedded: HostStore; sql: HostStore | undefined; isSqlDefault: boolean },
    createModules: (host: Pick<HostParts, 'host' | 'hooks' | 'storeFor'>) => ModuleHost,
  ) {
    this.name = name
    this.hooks = hooks
    this.#databases = databases
    this.#embedded = stores.embedded
    this.#sql = stores.sql
    this.#default = stores.isSqlDefault && stores.sql !== undefined ? stores.sql : stores.embedded
    this.modules = createModules({ host: name, hooks, storeFor: (type) => this.storeFor(type) })
  }

  /** Opens the host's databases; starts nothing yet. */
  static async open(
    name: HostName,
    config: Config,
    databases: Databases,
    parts: Omit<HostParts, 'host' | 'hooks' | 'storeFor'> & { readonly serverHooks: Hooks },
    definitions: ReadonlyMap<string, ModuleDefinition>,
  ): Promise<VirtualHost> {
    const values = config.forHost(name)
    const stores = {
      embedded: await databases.embedded(name),
      sql: await databases.sql(name, config),
      isSqlDefault: values.default_db === 'sql' || values.auth_method.includes('sql'),
    }
    const hooks = new Hooks(parts.logs.for('hooks'), parts.serverHooks)
    return new VirtualHost(
      name,
      hooks,
      databases,
      stores,
      (own) => new ModuleHost({ ...parts, ...own }, definitions),
    )
  }

  storeFor(dbType?: string): HostStore {
    if (dbType === 'sql') {
      if (this.#sql === undefined) throw new Error(`"${this.name}" has no SQL database`)
      return this.#sql
    }
    return dbType === undefined ? this.#default : this.#embedded
  }

  async start(config: Config): Promise<void> {
    await this.modules.apply(config.modules(this.name))
    this.hooks.emit(hostStarted, this.name)
  }

  /** Before a reload: accounts or a module may be the first of the host to keep something in SQL. */
  async openDatabases(config: Config): Promise<void> {
    this.#sql ??= await this.#databases.sql(this.name, config)
  }

  /** Stops what is gone, hands changed options over, starts what is new. */
  async reload(config: Config, changes: ModuleChanges | undefined): Promise<void> {
    // Even if nothing changed: a module that could not start the last time is tried again.
    await this.modules.apply(config.modules(this.name))
    for (const changed of changes?.changed ?? []) await this.modules.reload(changed)
  }

  async stop(): Promise<void> {
    this.hooks.emit(hostStopping, this.name)
    await this.modules.stopAll()
  }
}
