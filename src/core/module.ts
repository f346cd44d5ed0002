import type { HostName } from '../xmpp/jid/jid.ts'
import type { Clock, Timer } from './clock.ts'
import type { Command } from './command.ts'
import type { AnyHook, HandlerOf } from './hooks.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { OptionMap, ValuesOf } from './options.ts'
import type { Services, ServiceToken } from './service.ts'
import type { HostStore } from './store.ts'

/**
 * All that a module may touch, for one virtual host. Whatever is registered through it (hooks, handlers, commands, timers) is
 * undone when the module stops. Protocols add their own verbs (`handleIq`, `advertise`, …) by augmenting this interface
 * and registering a `ContextExtension`.
 */
export interface ModuleContext<Options = unknown> {
  readonly host: HostName
  /** The module's key, `mod_ping`. */
  readonly name: string
  /** As they stand now: after a reload `reload(options)` is called and this property has the new values. */
  readonly options: Options
  readonly log: Log
  readonly clock: Clock
  readonly metrics: Metrics
  readonly services: Services
  /** This host's database. */
  readonly store: HostStore
  /** Adds a handler for events of this host (see Hooks for priorities). */
  on<H extends AnyHook>(hook: H, handler: HandlerOf<H>, priority?: number): void
  command(command: Command): void
  after(ms: number, fn: () => void): Timer
  every(ms: number, fn: () => void): Timer
  /** For work nobody waits for: a rejection is logged. */
  background(promise: Promise<unknown>): void
  /** What the module named in `requires` returned from `start`. */
  use<T>(module: string): T
  /** A shared object of the server; throws when there is none. */
  service<T>(token: ServiceToken<T>): T
  /** Something of your own to undo at stop; run in reverse order. */
  onStop(undo: () => void | Promise<void>): void
}

export interface ModuleDefinition<Options extends OptionMap = OptionMap, Api = unknown> {
  /** ejabberd's key under `modules:`. */
  readonly name: string
  /** `XEP-0199 2.0.1`, `RFC 6121`. */
  readonly specs?: readonly string[]
  readonly options: Options
  /** Modules that must run on the same host; they start before this one. */
  readonly requires?: readonly string[]
  /** What it returns is what `ctx.use` gives to others. */
  start(context: ModuleContext<ValuesOf<Options>>): Api | Promise<Api>
  /** Takes changed options over without losing state; without it a change stops and starts the module. */
  reload?(
    context: ModuleContext<ValuesOf<Options>>,
    before: ValuesOf<Options>,
  ): void | Promise<void>
}

export function defineModule<const Options extends OptionMap, Api>(
  definition: ModuleDefinition<Options, Api>,
): ModuleDefinition<Options, Api> {
  return definition
}

/** Adds a protocol's verbs to each context that is made; `undo` collects what has to be undone at the module's stop. */
export type ContextExtension = (
  context: ModuleContext,
  undo: (fn: () => void | Promise<void>) => void,
) => void
