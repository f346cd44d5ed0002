import type { Access } from './access.ts'
import type { ApiPermissions } from './api-permissions.ts'
import type { Clock } from './clock.ts'
import type { CommandRegistry } from './command.ts'
import type { Hooks } from './hooks.ts'
import type { Logs } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { ModuleHost } from './module-host.ts'
import { defineService } from './service.ts'
import type { Shapers } from './shaper.ts'
import type { HostStore } from './store.ts'
import type { TlsContexts } from './transport.ts'

/*
 * Tokens of what the core itself shares; accounts, sessions and the configuration have theirs beside their contracts.
 * Objects behind them stay the same over a reload: they change within.
 */
export const access = defineService<Access>('core.access')
export const apiPermissions = defineService<ApiPermissions>('core.api-permissions')
export const shapers = defineService<Shapers>('core.shapers')
export const commandRegistry = defineService<CommandRegistry>('core.commands')
export const logs = defineService<Logs>('core.logs')
export const metrics = defineService<Metrics>('core.metrics')
export const clock = defineService<Clock>('core.clock')
export const certificates = defineService<TlsContexts>('core.certificates')

/** A virtual host that is being served. */
export interface Host {
  readonly name: string
  readonly hooks: Hooks
  readonly modules: ModuleHost
  /** `mnesia`/`internal` = the embedded database; `sql` = that of the `sql_*` options. Without a type: where accounts live. */
  storeFor(dbType?: string): HostStore
}

/** The hosts as they are served now. */
export interface Hosts {
  find(name: string): Host | undefined
  /** Throws for a host that is not served. */
  get(name: string): Host
  readonly names: readonly string[]
}

export const hosts = defineService<Hosts>('core.hosts')

/** What an operator asks of the process itself. */
export interface ServerControl {
  readonly version: string
  /** Milliseconds since the server was up. */
  readonly uptimeMs: number
  /** `starting`, `started`, `stopping`. */
  readonly state: 'starting' | 'started' | 'stopping'
  /** Reads the configuration again; what is wrong with it, or undefined when it is in force. */
  reload(): Promise<string | undefined>
  /** Opens the log file anew, after another program has moved it. Nothing without a log file. */
  reopenLog(): void
  /** Puts the log file aside and begins a new one. Nothing without a log file. */
  rotateLog(): void
  /** Begins an orderly stop and returns at once. */
  stop(): void
}

export const serverControl = defineService<ServerControl>('core.server')
