import type { Localpart } from '../xmpp/jid/jid.ts'
import type { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.ts'
import type { Backend, Verdict } from './backend.ts'
import type { ProgramPool } from './program-pool.ts'
import { createCache, VerifiedPasswords } from './verified-passwords.ts'
import type { CacheSettings } from './verified-passwords.ts'

const nothing = new Uint8Array()

/** Accounts that a program of the administrator keeps (`auth_method: external`, `extauth_program`). */
export class ExternalBackend implements Backend {
  readonly name = 'external'
  readonly isExternal = true
  readonly #host: string
  readonly #pool: ProgramPool
  readonly #verified: VerifiedPasswords | undefined
  readonly #known: LRUCache<string, { readonly exists: boolean }> | undefined
  readonly #cachesMissed: boolean

  constructor(
    host: string,
    pool: ProgramPool,
    cache: CacheSettings | undefined,
    cachesMissed: boolean,
    clock: Clock,
  ) {
    this.#host = host
    this.#pool = pool
    this.#cachesMissed = cachesMissed
    if (cache !== undefined) {
      this.#verified = new VerifiedPasswords(cache, clock)
      this.#known = createCache(cache, clock)
    }
  }

  clearCache(): void {
    this.#verified?.clear()
    this.#known?.clear()
  }

  async exists(local: Localpart): Promise<boolean> {
    const known = this.#known?.get(local)
    if (known !== undefined) return known.exists
    const generation = this.#verified?.generation
    const exists = await this.#pool.ask(['isuser', local, this.#host], true)
    if (generation === this.#verified?.generation && (exists || this.#cachesMissed)) {
      this.#known?.set(local, { exists })
    }
    return exists
  }

  async verify(local: Localpart, password: string): Promise<Verdict> {
    if (password === '') return 'wrong'
    // A password that was right stays so for the life of the entry; a different one is asked about.
    if (this.#verified?.isRight(local, password, nothing) === true) return 'right'
    const generation = this.#verified?.generation ?? 0
    if (!(await this.#pool.ask(['auth', local, this.#host, password], true))) return 'wrong'
    this.#verified?.remember(local, password, nothing, generation)
    return 'right'
  }

  async register(local: Localpart, password: string): Promise<'ok' | 'refused'> {
    const isDone = await this.#changing(local, ['tryregister', local, this.#host, password])
    return isDone ? 'ok' : 'refused'
  }

  async setPassword(local: Localpart, password: string): Promise<'ok' | 'refused'> {
    const isDone = await this.#changing(local, ['setpass', local, this.#host, password])
    return isDone ? 'ok' : 'refused'
  }

  remove(local: Localpart): Promise<boolean> {
    return this.#changing(local, ['removeuser', local, this.#host])
  }

  close(): Promise<void> {
    return this.#pool.close()
  }

  async #changing(local: Localpart, question: readonly string[]): Promise<boolean> {
    try {
      return await this.#pool.ask(question, false)
    } finally {
      this.#verified?.forget(local)
      this.#known?.delete(local)
    }
  }
}
