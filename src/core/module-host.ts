import type { HostName } from '../xmpp/jid/jid.ts'
import type { Clock } from './clock.ts'
import type { CommandRegistry } from './command.ts'
import type { ModuleConfig } from './config/config.ts'
import type { Hooks } from './hooks.ts'
import type { Logs } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { ContextExtension, ModuleContext, ModuleDefinition } from './module.ts'
import type { Services } from './service.ts'
import type { HostStore } from './store.ts'

/** What the modules of one host share. */
export interface HostParts {
  readonly host: HostName
  readonly hooks: Hooks
  /** The database of that `db_type`; without one where accounts live. */
  storeFor(dbType?: string): HostStore
  readonly clock: Clock
  readonly logs: Logs
  readonly metrics: Metrics
  readonly commands: CommandRegistry
  readonly services: Services
  readonly extensions: readonly ContextExtension[]
}

interface Running {
  readonly definition: ModuleDefinition
  readonly context: { -readonly [K in keyof ModuleContext]: ModuleContext[K] }
  readonly undo: (() => void | Promise<void>)[]
  api: unknown
}

/** Starts, reloads and stops the modules of one virtual host, those that others require first. */
export class ModuleHost {
  readonly #parts: HostParts
  readonly #definitions: ReadonlyMap<string, ModuleDefinition>
  /** In the order in which they started. */
  readonly #running = new Map<string, Running>()

  constructor(parts: HostParts, definitions: ReadonlyMap<string, ModuleDefinition>) {
    this.#parts = parts
    this.#definitions = definitions
  }

  get running(): readonly string[] {
    return [...this.#running.keys()]
  }

  isRunning(name: string): boolean {
    return this.#running.has(name)
  }

  /** What a module returned from `start`; undefined when it is not running. */
  find<T>(name: string): T | undefined {
    return this.#running.get(name)?.api as T | undefined // the caller names the type that goes with the name
  }

  /**
   * Makes the running modules those of `wanted`: stops what is gone, reloads what changed, starts what is new. Throws when a
   * module cannot start; what had started before stays.
   */
  async apply(wanted: ReadonlyMap<string, ModuleConfig>): Promise<void> {
    const order = this.#sort(wanted)
    const isKept = (name: string): boolean => wanted.has(name)
    for (const name of [...this.#running.keys()].reverse()) {
      if (!isKept(name)) await this.stop(name)
    }
    for (const config of order) {
      const running = this.#running.get(config.name)
      if (running === undefined) await this.#start(config)
    }
  }

  /** Hands changed options to a running module, or stops and starts it (with those that require it) if it cannot take them. */
  async reload(config: ModuleConfig): Promise<void> {
    const running = this.#running.get(config.name)
    if (running === undefined) return
    const { definition, context } = running
    if (definition.reload === undefined) {
      const dependents = this.#dependents(config.name)
      for (const name of [...dependents].reverse()) await this.stop(name)
      const configs = dependents.map((name) => this.#configs.get(name))
      this.#configs.set(config.name, config)
      for (const other of configs) {
        if (other !== undefined) await this.#start(other.name === config.name ? config : other)
      }
      return
    }
    const before = context.options
    context.options = config.options.as(definition.options)
    this.#configs.set(config.name, config)
    await definition.reload(context as never, before as never) // both are values of this definition's options
  }

  async stop(name: string): Promise<void> {
    const running = this.#running.get(name)
    if (running === undefined) return
    this.#running.delete(name)
    for (const undo of running.undo.reverse()) {
      try {
        await undo()
      } catch (error) {
        running.context.log.error({ err: error }, 'Module failed to stop cleanly')
      }
    }
  }

  async stopAll(): Promise<void> {
    for (const name of [...this.#running.keys()].reverse()) await this.stop(name)
  }

  readonly #configs = new Map<string, ModuleConfig>()

  async #start(config: ModuleConfig): Promise<void> {
    const definition = this.#definitions.get(config.name)
    if (definition === undefined) return // the configuration has warned that it is not built
    this.#configs.set(config.name, config)
    const undo: Running['undo'] = []
    const context = this.#createContext(definition, config, undo)
    const running: Running = { definition, context, undo, api: undefined }
    this.#running.set(config.name, running)
    try {
      running.api = await definition.start(context as never) // values of this definition's options
    } catch (error) {
      await this.stop(config.name)
      throw new Error(
        `Cannot start ${config.name} on ${this.#parts.host} (${config.at.toString()}): ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      )
    }
  }

  #createContext(
    definition: ModuleDefinition,
    config: ModuleConfig,
    undo: Running['undo'],
  ): Running['context'] {
    const { host, hooks, clock, logs, metrics, commands, services } = this.#parts
    const dbType = config.options.values['db_type']
    const store = this.#parts.storeFor(typeof dbType === 'string' ? dbType : undefined)
    const log = logs.for(definition.name)
    const base = {
      host,
      name: definition.name,
      options: config.options.as(definition.options) as unknown,
      log,
      clock,
      metrics,
      services,
      store,
      on: (hook, handler, priority) => {
        undo.push(hooks.on(hook, handler, definition.name, priority))
      },
      command: (command) => {
        undo.push(commands.add(command))
      },
      after: (ms, fn) => {
        const timer = clock.after(ms, fn)
        undo.push(() => timer.cancel())
        return timer
      },
      every: (ms, fn) => {
        const timer = clock.every(ms, fn)
        undo.push(() => timer.cancel())
        return timer
      },
      background: (promise) => {
        promise.catch((error) => log.error({ err: error }, 'Background work failed'))
      },
      use: (name) => {
        const other = this.#running.get(name)
        if (other === undefined || !(definition.requires ?? []).includes(name)) {
          throw new Error(`${definition.name} uses ${name}, which it does not require`)
        }
        return other.api as never // the caller names the type that goes with the module's name
      },
      service: (token) => services.get(token),
      onStop: (fn) => {
        undo.push(fn)
      },
    } satisfies Partial<ModuleContext>
    // Protocols' verbs come from the extensions; the compiler cannot see that all are there.
    const context = base as unknown as Running['context']
    for (const extend of this.#parts.extensions) extend(context, (fn) => undo.push(fn))
    return context
  }

  /** Those that need `name`, itself first, in starting order. */
  #dependents(name: string): readonly string[] {
    const found = new Set([name])
    for (const [other, { definition }] of this.#running) {
      if ((definition.requires ?? []).some((needed) => found.has(needed))) found.add(other)
    }
    return [...this.#running.keys()].filter((other) => found.has(other))
  }

  #sort(wanted: ReadonlyMap<string, ModuleConfig>): readonly ModuleConfig[] {
    const order: ModuleConfig[] = []
    const state = new Map<string, 'visiting' | 'done'>()
    const visit = (config: ModuleConfig, by?: string): void => {
      if (state.get(config.name) === 'done') return
      if (state.get(config.name) === 'visiting') {
        throw new Error(`Modules ${by ?? ''} and ${config.name} require each other`)
      }
      state.set(config.name, 'visiting')
      for (const needed of this.#definitions.get(config.name)?.requires ?? []) {
        const other = wanted.get(needed)
        if (other === undefined) {
          throw new Error(
            `${config.at.toString()}: ${config.name} on ${this.#parts.host} needs ${needed}, which is not under "modules:"`,
          )
        }
        visit(other, config.name)
      }
      state.set(config.name, 'done')
      order.push(config)
    }
    for (const config of wanted.values()) visit(config)
    return order
  }
}
