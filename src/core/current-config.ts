import type { Config } from './config/config.ts'
import { defineHook } from './hooks.ts'
import { defineService } from './service.ts'

/** The configuration in force; ask again each time, a reload replaces it. */
export interface CurrentConfig {
  readonly value: Config
}

export const currentConfig = defineService<CurrentConfig>('core.config')

/** After a reload, with the configuration before: whoever keeps something derived from options works it out anew. */
export const configReloaded = defineHook<[before: Config, now: Config]>('core.config.reloaded')

/** A virtual host came up (all its modules run) or is about to go. */
export const hostStarted = defineHook<[host: string]>('core.host.started')
export const hostStopping = defineHook<[host: string]>('core.host.stopping')
