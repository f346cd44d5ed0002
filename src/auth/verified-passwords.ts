import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.ts'
import { equalBytes } from './password.ts'

export interface CacheSettings {
  readonly size: number
  readonly lifeTimeMs: number
}

/** However large an administrator wants it. */
const maxEntries = 100_000

/** What `auth_cache_size` and `auth_cache_life_time` make of a cache. */
export function createCache<V extends object>(
  settings: CacheSettings,
  clock: Clock,
): LRUCache<string, V> {
  const max = Math.min(settings.size, maxEntries)
  if (!Number.isFinite(settings.lifeTimeMs)) return new LRUCache({ max })
  return new LRUCache({
    max,
    ttl: Math.max(1, Math.ceil(settings.lifeTimeMs)),
    ttlResolution: 0,
    // An entry from the instant 0 would count as one without a time.
    perf: { now: () => clock.monotonic() + 1 },
  })
}

/**
 * Remembers which password was right, so that clients that come back (MQTT devices above all) cost no key derivation. Holds
 * digests under a key that is never written anywhere, over the password together with what it was checked against: when
 * that has changed, the entry is worth nothing.
 */
export class VerifiedPasswords {
  readonly #key = randomBytes(32)
  readonly #entries: LRUCache<string, Buffer>
  /** Rises with each `forget`, so that a check that began before it is not remembered after it. */
  #generation = 0

  constructor(settings: CacheSettings, clock: Clock) {
    this.#entries = createCache(settings, clock)
  }

  get generation(): number {
    return this.#generation
  }

  isRight(local: string, password: string, against: Uint8Array): boolean {
    const entry = this.#entries.get(local)
    return entry !== undefined && equalBytes(entry, this.#digest(local, password, against))
  }

  /** `generation` is the one of before the check. */
  remember(local: string, password: string, against: Uint8Array, generation: number): void {
    if (generation !== this.#generation) return
    this.#entries.set(local, this.#digest(local, password, against))
  }

  clear(): void {
    this.#generation++
    this.#entries.clear()
  }

  forget(local: string): void {
    this.#generation++
    this.#entries.delete(local)
  }

  #digest(local: string, password: string, against: Uint8Array): Buffer {
    const lengths = Buffer.alloc(8)
    lengths.writeUInt32BE(Buffer.byteLength(local), 0)
    lengths.writeUInt32BE(against.length, 4)
    return createHmac('sha256', this.#key)
      .update(lengths)
      .update(local)
      .update(against)
      .update(password)
      .digest()
  }
}
