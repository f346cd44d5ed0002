import { defineHook } from './hooks.ts'

/**
 * An operator changed the database by other means, and asks that what is kept of it in memory to save reading is forgotten
 * (`clear_cache`). What cannot be read anew is no such thing.
 */
export const cachesCleared = defineHook<[]>('core.caches.cleared')
