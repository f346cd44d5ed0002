import { randomBytes } from 'node:crypto'
import type { LRUCache } from 'lru-cache'
import type { PasswordForm, ScramHash, ScramKeys } from '../core/account.ts'
import type { Clock } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import type { Localpart } from '../xmpp/jid/jid.ts'
import type { Backend, Verdict } from './backend.ts'
import type { Derivations } from './derivations.ts'
import { defaultIterations, madeUpKeys, saltBytes } from './derivations.ts'
import { equalBytes, equalTexts, prepPassword } from './password.ts'
import { formHashes, formOf } from './stored-password.ts'
import type { ScramPassword, StoredPassword } from './stored-password.ts'
import type { UsersTable } from './users-table.ts'
import { createCache, VerifiedPasswords } from './verified-passwords.ts'
import type { CacheSettings } from './verified-passwords.ts'

export interface InternalSettings {
  /** In which forms passwords are stored from now on; in a table with one row an account, the first. */
  readonly forms: readonly PasswordForm[]
  /** Undefined: nothing is cached (`auth_use_cache`). */
  readonly cache: CacheSettings | undefined
  /** `auth_cache_missed` */
  readonly cachesMissed: boolean
}

export interface InternalParts {
  readonly name: string
  readonly host: string
  readonly table: UsersTable
  readonly derivations: Derivations
  /** Of the database: made-up salts follow from it. */
  readonly secret: Uint8Array
  readonly clock: Clock
  readonly log: Log
}

type Forms = readonly StoredPassword[]

/** Which form a password is checked against: any would do, one is enough. */
const preference: readonly ScramHash[] = ['sha256', 'sha512', 'sha1']

/**
 * Accounts in the table `users` (`auth_method: mnesia`, `internal` or `sql`). Every check of a password that the cache does
 * not answer costs exactly one key derivation, whether there is such an account or not and however it is stored.
 */
export class InternalBackend implements Backend {
  readonly name: string
  readonly isExternal = false
  readonly #parts: InternalParts
  readonly #settings: InternalSettings
  readonly #verified: VerifiedPasswords | undefined
  readonly #rows: LRUCache<string, { readonly forms: Forms | undefined }> | undefined
  /** Rises with each write, so that rows read before it are not cached after it. */
  #writes = 0
  /** Whether keys may have to be derived for a SCRAM exchange: then they are for everybody. */
  #hasPlain: boolean
  readonly #upgrades = new Map<Localpart, Promise<void>>()

  private constructor(parts: InternalParts, settings: InternalSettings, hasPlain: boolean) {
    this.name = parts.name
    this.#parts = parts
    this.#settings = settings
    this.#hasPlain = hasPlain || settings.forms.includes('plain')
    if (settings.cache !== undefined) {
      this.#verified = new VerifiedPasswords(settings.cache, parts.clock)
      this.#rows = createCache(settings.cache, parts.clock)
    }
  }

  static async open(parts: InternalParts, settings: InternalSettings): Promise<InternalBackend> {
    return new InternalBackend(parts, settings, await parts.table.hasPlain())
  }

  clearCache(): void {
    // What is being read right now is not kept either.
    this.#writes++
    this.#verified?.clear()
    this.#rows?.clear()
  }

  async exists(local: Localpart): Promise<boolean> {
    return (await this.#read(local)) !== undefined
  }

  async verify(local: Localpart, password: string): Promise<Verdict> {
    const forms = (await this.#read(local)) ?? []
    const prepared = prepPassword(password)
    if (prepared === undefined) return 'wrong'
    const scram = preferred(forms)
    const plain = forms.find((form) => form.kind === 'plain')
    const against =
      scram?.keys.storedKey ?? Buffer.from(plain === undefined ? '' : `plain:${plain.password}`)
    const generation = this.#verified?.generation ?? 0
    const isKnown = forms.length > 0 && this.#verified?.isRight(local, prepared, against) === true
    if (!isKnown) {
      const like = scram?.keys ?? this.#madeUp(local, preferredHash(this.#settings.forms))
      const derived = await this.#parts.derivations.derive(prepared, like)
      const isRight =
        scram === undefined
          ? plain !== undefined && isPlainPassword(plain.password, password, prepared)
          : equalBytes(derived.storedKey, scram.keys.storedKey)
      if (!isRight) return 'wrong'
      this.#verified?.remember(local, prepared, against, generation)
    }
    this.#upgrade(local, password, forms)
    return 'right'
  }

  /** Keys of an account, or made-up ones that stay the same: who asks cannot tell, by what they are or by the time it takes. */
  async scramKeys(
    local: Localpart,
    hash: ScramHash,
  ): Promise<ScramKeys & { readonly isReal: boolean }> {
    const forms = (await this.#read(local)) ?? []
    const madeUp = this.#madeUp(local, hash)
    const scram = forms.find((form) => form.kind === 'scram' && form.keys.hash === hash)
    const plain = forms.find((form) => form.kind === 'plain')
    const password = plain === undefined ? undefined : prepPassword(plain.password)
    if (plain !== undefined) this.#hasPlain = true
    const derived = this.#hasPlain
      ? await this.#parts.derivations.derive(password ?? 'nobody', madeUp)
      : madeUp
    if (scram?.kind === 'scram') return { ...scram.keys, isReal: true }
    if (password !== undefined) return { ...derived, isReal: true }
    return { ...madeUp, isReal: false }
  }

  async register(local: Localpart, password: string): Promise<'ok' | 'exists'> {
    const forms = await this.#formsFor(password)
    return this.#writing(local, () => this.#parts.table.create(local, forms))
  }

  async setPassword(local: Localpart, password: string): Promise<'ok' | 'not-found'> {
    const forms = await this.#formsFor(password)
    return this.#writing(local, () => this.#parts.table.replace(local, forms))
  }

  async remove(local: Localpart): Promise<boolean> {
    return this.#writing(local, () => this.#parts.table.remove(local))
  }

  list(): Promise<readonly string[]> {
    return this.#parts.table.list()
  }

  count(): Promise<number> {
    return this.#parts.table.count()
  }

  /** The password where it is stored as it is; `not-plain` where only keys are. */
  async plainPassword(local: Localpart): Promise<{ password: string } | 'not-found' | 'not-plain'> {
    const forms = await this.#read(local)
    if (forms === undefined) return 'not-found'
    const plain = forms.find((form) => form.kind === 'plain')
    return plain === undefined ? 'not-plain' : { password: plain.password }
  }

  /** Replaces a password stored as it is by keys of these hashes; whether there was one. */
  async convertToScram(local: Localpart, hashes: readonly ScramHash[]): Promise<boolean> {
    const forms = (await this.#parts.table.read(local)) ?? []
    const plain = forms.find((form) => form.kind === 'plain')
    const prepared = plain === undefined ? undefined : prepPassword(plain.password)
    if (prepared === undefined) return false
    const kept = forms.filter((form) => form.kind === 'scram')
    const missing = hashes.filter((hash) => !kept.some(({ keys }) => keys.hash === hash))
    const made = await this.#derive(
      prepared,
      this.#parts.table.hasTypes ? missing : missing.slice(0, 1),
    )
    return this.#writing(local, () => this.#parts.table.exchange(local, forms, [...kept, ...made]))
  }

  /** Resolves when no upgrade of stored forms is under way. */
  async close(): Promise<void> {
    await Promise.all(this.#upgrades.values())
  }

  async #read(local: Localpart): Promise<Forms | undefined> {
    const cached = this.#rows?.get(local)
    if (cached !== undefined) return cached.forms
    const writes = this.#writes
    const forms = await this.#parts.table.read(local)
    const isWorthIt = forms !== undefined || this.#settings.cachesMissed
    if (isWorthIt && writes === this.#writes) this.#rows?.set(local, { forms })
    return forms
  }

  async #writing<T>(local: Localpart, write: () => Promise<T>): Promise<T> {
    this.#forget(local)
    try {
      return await write()
    } finally {
      // Once more: what was read while the write was under way is as old as what was read before.
      this.#forget(local)
    }
  }

  #forget(local: Localpart): void {
    this.#writes++
    this.#rows?.delete(local)
    this.#verified?.forget(local)
  }

  /** Adds the forms that are wanted and missing, now that the password is known; nobody waits for it. */
  #upgrade(local: Localpart, password: string, forms: Forms): void {
    if (!this.#parts.table.hasTypes || this.#upgrades.has(local)) return
    const missing = this.#settings.forms.filter(
      (form) => form !== 'plain' && !forms.some((stored) => formOf(stored) === form),
    )
    if (missing.length === 0) return
    const upgrade = this.#addForms(local, password, forms, missing)
      .catch((error: unknown) => {
        this.#parts.log.warn(
          { err: error, user: local, host: this.#parts.host },
          'Cannot add forms to a stored password',
        )
      })
      .finally(() => this.#upgrades.delete(local))
    this.#upgrades.set(local, upgrade)
  }

  async #addForms(
    local: Localpart,
    password: string,
    seen: Forms,
    missing: readonly PasswordForm[],
  ): Promise<void> {
    const added = await this.#formsFor(password, missing)
    await this.#writing(local, () => this.#parts.table.exchange(local, seen, [...seen, ...added]))
  }

  async #formsFor(password: string, forms = this.#settings.forms): Promise<Forms> {
    const wanted = this.#parts.table.hasTypes ? forms : forms.slice(0, 1)
    const prepared = prepPassword(password)
    if (prepared === undefined) throw new Error('Passwords are checked before they are stored')
    const hashes = wanted.flatMap((form) => (form === 'plain' ? [] : [formHashes[form]]))
    const made: StoredPassword[] = await this.#derive(prepared, hashes)
    // ejabberd keeps such a password as it was typed.
    if (wanted.includes('plain')) made.push({ kind: 'plain', password })
    return made
  }

  async #derive(prepared: string, hashes: readonly ScramHash[]): Promise<ScramPassword[]> {
    return Promise.all(
      hashes.map(async (hash): Promise<ScramPassword> => {
        const how = { hash, salt: randomBytes(saltBytes), iterations: defaultIterations }
        return { kind: 'scram', keys: await this.#parts.derivations.derive(prepared, how) }
      }),
    )
  }

  #madeUp(local: Localpart, hash: ScramHash): ScramKeys {
    return madeUpKeys(this.#parts.secret, `${local}@${this.#parts.host}`, hash)
  }
}

function preferred(forms: Forms): ScramPassword | undefined {
  for (const hash of preference) {
    for (const form of forms) if (form.kind === 'scram' && form.keys.hash === hash) return form
  }
  return undefined
}

function preferredHash(forms: readonly PasswordForm[]): ScramHash {
  return preference.find((hash) => forms.includes(`scram_${hash}`)) ?? 'sha256'
}

/** ejabberd compares what was typed; clients that prepare passwords send something else. */
function isPlainPassword(stored: string, given: string, prepared: string): boolean {
  const isSame = equalTexts(stored, given)
  return equalTexts(prepPassword(stored) ?? stored, prepared) || isSame
}
