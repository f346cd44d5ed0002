import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.ts'
import { duration, flag, from, integer } from '../core/options.ts'
import type { ValuesOf } from '../core/options.ts'

/** What every module has that keeps in memory what it read from the database. */
export const cacheOptions = {
  use_cache: flag(
    from('use_cache'),
    'Whether what was read from the database is kept in memory for a while.',
  ),
  cache_size: integer({ min: 1, orInfinity: true }, from('cache_size'), 'Entries in the cache.'),
  cache_life_time: duration(from('cache_life_time'), 'How long an entry is kept.', {
    orInfinity: true,
  }),
} as const

export type CacheValues = ValuesOf<typeof cacheOptions>

/** However large an administrator wants it. */
const maxEntries = 100_000

/** The cache that these options ask for; undefined for none. */
export function createCache<K extends string, V extends object | number>(
  { use_cache, cache_size, cache_life_time }: CacheValues,
  clock: Clock,
): LRUCache<K, V> | undefined {
  if (!use_cache) return undefined
  const max = Math.min(cache_size, maxEntries)
  if (!Number.isFinite(cache_life_time)) return new LRUCache({ max })
  return new LRUCache({
    max,
    ttl: Math.max(1, Math.ceil(cache_life_time)),
    ttlResolution: 0,
    perf: { now: () => clock.monotonic() },
  })
}
