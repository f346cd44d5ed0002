import type { ConfigSchema } from '../core/config/schema.ts'
import { createSchema } from '../core/config/schema.ts'
import { modules } from '../modules/index.ts'
import { listenerModules, requestHandlers } from './protocols.ts'

/** What this build knows, for checking configurations and for the docs. */
export function configSchema(): ConfigSchema {
  return createSchema({
    modules: modules.map(({ name, options }) => [name, options]),
    listeners: listenerModules.map(({ name, options }) => [name, options]),
    handlers: requestHandlers.map(({ name }) => name),
  })
}
