import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { accountRegistered, accountRemoved } from '../core/account.ts'
import type { ScramHash, ScramKeys, SignInPolicy } from '../core/account.ts'
import type { Access } from '../core/access.ts'
import { subjectOf } from '../core/access.ts'
import { cachesCleared } from '../core/caches.ts'
import type { Clock } from '../core/clock.ts'
import type { Hooks } from '../core/hooks.ts'
import type { Log } from '../core/log.ts'
import { sessionClosed, sessionOpened } from '../core/sessions.ts'
import type { SessionRegistry } from '../core/sessions.ts'
import type { HostStore } from '../core/store.ts'
import type { HostName, Localpart } from '../xmpp/jid/jid.ts'
import { makeJid } from '../xmpp/jid/jid.ts'
import { AnonymousBackend } from './anonymous.ts'
import { cacheOf, policyOf, storedForms } from './auth-options.ts'
import type { AuthMethod, AuthOptions } from './auth-options.ts'
import type { Backend, Verdict } from './backend.ts'
import { BackendError } from './backend.ts'
import { Bans } from './bans.ts'
import type { Derivations } from './derivations.ts'
import { madeUpKeys } from './derivations.ts'
import { ExternalBackend } from './external.ts'
import { InternalBackend } from './internal.ts'
import { JwtBackend, readJwtKey } from './jwt.ts'
import type { JwtKey } from './jwt.ts'
import { ProgramPool } from './program-pool.ts'
import { readSecret } from './secret.ts'
import { UsersTable } from './users-table.ts'

/** What the accounts of one host stand on. */
export interface HostParts {
  readonly host: HostName
  readonly hooks: Hooks
  /** The database of `mnesia` or `sql`; without a type the one where accounts live. */
  storeFor(dbType?: string): HostStore
}

/** What the accounts of all hosts share. */
export interface AuthTools {
  readonly clock: Clock
  readonly log: Log
  readonly access: Access
  readonly sessions: SessionRegistry
  readonly derivations: Derivations
}

/** The backends of one host's `auth_method`, asked in order, with one configuration. A reload makes a new one. */
export class HostAccounts {
  readonly host: HostName
  readonly hooks: Hooks
  readonly options: AuthOptions
  readonly store: HostStore
  readonly bans: Bans
  readonly policy: SignInPolicy
  readonly #log: Log
  readonly #backends: readonly Backend[]
  readonly #internal: readonly InternalBackend[]
  readonly #anonymous: AnonymousBackend | undefined
  readonly #isTokenOnly: (local: Localpart) => boolean
  /** For made-up keys where no database has a secret. */
  readonly #secret = randomBytes(32)
  readonly #undo: readonly (() => void)[]

  private constructor(
    parts: HostParts,
    options: AuthOptions,
    tools: AuthTools,
    backends: readonly Backend[],
  ) {
    this.host = parts.host
    this.hooks = parts.hooks
    this.options = options
    this.store = parts.storeFor()
    this.bans = new Bans(this.store, tools.log, tools.clock, cacheOf(options))
    this.#log = tools.log
    this.#backends = backends
    this.#internal = backends.filter((backend) => backend instanceof InternalBackend)
    const anonymous = backends.find((backend) => backend instanceof AnonymousBackend)
    this.#anonymous = anonymous
    const methods = backends.map(({ name }) => name)
    this.policy = policyOf(
      options,
      options.auth_method.filter((method) => methods.includes(method)),
      this.store.hasColumn('users', 'type'),
    )
    const checksTokens = methods.includes('jwt')
    this.#isTokenOnly = (local) =>
      checksTokens &&
      tools.access.isAllowed(
        options.jwt_auth_only_rule,
        subjectOf(makeJid(local, parts.host, '')),
        parts.host,
      )
    const undo = [this.hooks.on(cachesCleared, () => this.#clearCaches(), 'auth')]
    if (anonymous !== undefined) {
      undo.push(
        this.hooks.on(sessionOpened, (session) => anonymous.sessionOpened(session), 'auth'),
        this.hooks.on(sessionClosed, (session) => anonymous.sessionClosed(session), 'auth'),
      )
    }
    this.#undo = undo
  }

  #clearCaches(): void {
    this.bans.clearCache()
    for (const backend of this.#backends) backend.clearCache?.()
  }

  /** `before` is what the host had until now: its guests stay. Rejects when a database does not answer. */
  static async open(
    parts: HostParts,
    options: AuthOptions,
    tools: AuthTools,
    before?: HostAccounts,
  ): Promise<HostAccounts> {
    const backends: Backend[] = []
    const others = (): readonly Backend[] => backends.filter(({ name }) => name !== 'anonymous')
    const existsElsewhere = async (local: Localpart): Promise<boolean> => {
      for (const backend of others()) if (await backend.exists(local)) return true
      return false
    }
    const guests = before === undefined ? undefined : before.#anonymous
    for (const method of new Set(options.auth_method)) {
      const backend =
        method === 'anonymous'
          ? openAnonymous(parts, options, tools, existsElsewhere, guests)
          : await openBackend(method, parts, options, tools)
      if (backend !== undefined) backends.push(backend)
    }
    if (backends.length === 0) {
      tools.log.error(
        { host: parts.host, auth_method: options.auth_method },
        'Nobody can sign in on this host: none of its auth_method is supported yet',
      )
    }
    return new HostAccounts(parts, options, tools, backends)
  }

  /** True, false, or the failure of a backend that might have known. */
  async exists(local: Localpart): Promise<boolean> {
    let failed: BackendError | undefined
    for (const backend of this.#backends) {
      const found = await this.#try(backend, () => backend.exists(local))
      if (found === true) return true
      if (found instanceof BackendError) failed = found
    }
    if (failed !== undefined) throw failed
    const mayBeMissing = this.#backends.some(({ isExternal }) => isExternal)
    if (!mayBeMissing || !this.options.auth_external_user_exists_check) return false
    const last = this.store.table('last').select().select('username').where('username', '=', local)
    return (await this.store.first(last)) !== undefined
  }

  async verify(local: Localpart, password: string): Promise<'right' | 'wrong' | 'unavailable'> {
    let outcome: 'wrong' | 'unavailable' = this.#backends.length === 0 ? 'unavailable' : 'wrong'
    for (const backend of this.#backends) {
      const verdict = await this.#try<Verdict>(backend, () => backend.verify(local, password))
      if (verdict === 'right') return 'right'
      if (verdict === 'stop') return 'wrong'
      if (verdict instanceof BackendError) outcome = 'unavailable'
    }
    return outcome
  }

  async scramKeys(
    local: Localpart,
    hash: ScramHash,
  ): Promise<ScramKeys & { readonly isReal: boolean }> {
    let keys: (ScramKeys & { readonly isReal: boolean }) | undefined
    for (const backend of this.#internal) {
      const found = await backend.scramKeys(local, hash)
      if (found.isReal) return { ...found, isReal: !this.#isTokenOnly(local) }
      keys ??= found
    }
    const account = `${local}@${this.host}`
    return keys ?? { ...madeUpKeys(this.#secret, account, hash), isReal: false }
  }

  async register(local: Localpart, password: string): Promise<'ok' | 'exists' | 'refused'> {
    if (await this.exists(local)) return 'exists'
    for (const backend of this.#backends) {
      const outcome = await backend.register?.(local, password)
      if (outcome === 'ok' || outcome === 'exists') return outcome
    }
    return 'refused'
  }

  async setPassword(local: Localpart, password: string): Promise<'ok' | 'not-found' | 'refused'> {
    let outcome: 'not-found' | 'refused' = 'refused'
    for (const backend of this.#backends) {
      const done = await backend.setPassword?.(local, password)
      if (done === 'ok') return 'ok'
      if (done === 'not-found') outcome = 'not-found'
    }
    return outcome
  }

  /** `refused`: there may be such an account, but no backend that can remove any. */
  async remove(local: Localpart): Promise<'ok' | 'not-found' | 'refused'> {
    let outcome: 'ok' | 'not-found' | 'refused' = 'refused'
    for (const backend of this.#backends) {
      if (backend.remove === undefined) continue
      if (await backend.remove(local)) outcome = 'ok'
      else if (outcome === 'refused') outcome = 'not-found'
    }
    return outcome
  }

  async list(): Promise<readonly string[]> {
    const lists: (readonly string[])[] = []
    for (const backend of this.#backends) lists.push((await backend.list?.()) ?? [])
    return [...new Set(lists.flat())].sort()
  }

  async count(): Promise<number> {
    let sum = 0
    for (const backend of this.#backends) sum += (await backend.count?.()) ?? 0
    return sum
  }

  admitGuest() {
    return this.#anonymous?.admitNew()
  }

  async plainPassword(local: Localpart): Promise<{ password: string } | 'not-found' | 'not-plain'> {
    for (const backend of this.#internal) {
      const found = await backend.plainPassword(local)
      if (found !== 'not-found') return found
    }
    return 'not-found'
  }

  async convertToScram(hashes: readonly ScramHash[]): Promise<number> {
    let converted = 0
    for (const backend of this.#internal) {
      for (const name of await backend.list()) {
        // They stand in the table as they were prepared when the account was made.
        if (await backend.convertToScram(name as Localpart, hashes)) converted++
      }
    }
    return converted
  }

  /** Resolves when nothing of it is under way. */
  async close(): Promise<void> {
    for (const undo of this.#undo) undo()
    for (const backend of this.#backends) await backend.close?.()
  }

  async #try<T>(backend: Backend, ask: () => Promise<T>): Promise<T | BackendError> {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof BackendError)) throw error
      this.#log.error(
        { err: error, host: this.host, method: backend.name },
        'A method of sign-in does not answer',
      )
      return error
    }
  }
}

async function openBackend(
  method: Exclude<AuthMethod, 'anonymous'>,
  parts: HostParts,
  options: AuthOptions,
  tools: AuthTools,
): Promise<Backend | undefined> {
  const { clock, log } = tools
  const { host } = parts
  switch (method) {
    case 'mnesia':
    case 'sql': {
      const store = parts.storeFor(method)
      const table = new UsersTable(store, log)
      const secret = await readSecret(store, 'made-up keys')
      return InternalBackend.open(
        { name: method, host, table, secret, derivations: tools.derivations, clock, log },
        {
          forms: storedForms(options, table.hasTypes),
          cache: cacheOf(options),
          cachesMissed: options.auth_cache_missed,
        },
      )
    }
    case 'external': {
      const program = options.extauth_program
      if (program === undefined) {
        log.error({ host }, 'auth_method is "external", but extauth_program is not set')
        return undefined
      }
      const size = options.extauth_pool_size ?? availableParallelism()
      const pool = new ProgramPool({ program, size }, clock, log)
      return new ExternalBackend(host, pool, cacheOf(options), options.auth_cache_missed, clock)
    }
    case 'jwt':
      return new JwtBackend(
        host,
        await openKey(options.jwt_key, host, log),
        {
          jidField: options.jwt_jid_field,
          isTokenOnly: (account) =>
            tools.access.isAllowed(options.jwt_auth_only_rule, subjectOf(account), host),
        },
        clock,
        (account) => tools.sessions.forAccount(account).length > 0,
      )
    case 'ldap':
    case 'pam':
      log.error({ host, method }, 'This auth_method is not supported yet: it lets nobody in')
      return undefined
  }
}

async function openKey(
  file: string | undefined,
  host: string,
  log: Log,
): Promise<JwtKey | undefined> {
  if (file === undefined) {
    log.error({ host }, 'auth_method is "jwt", but jwt_key is not set: every token is refused')
    return undefined
  }
  try {
    const key = await readJwtKey(file)
    if (key.isShort) log.warn({ host, file }, 'The jwt_key is shorter than 32 bytes')
    return key
  } catch (error) {
    log.error({ err: error, host, file }, 'Cannot use jwt_key: every token is refused')
    return undefined
  }
}

function openAnonymous(
  parts: HostParts,
  options: AuthOptions,
  tools: AuthTools,
  existsElsewhere: (local: Localpart) => Promise<boolean>,
  before: AnonymousBackend | undefined,
): AnonymousBackend {
  return new AnonymousBackend(
    {
      host: parts.host,
      sessions: tools.sessions,
      clock: tools.clock,
      existsElsewhere,
      arrived: (guest) => parts.hooks.emit(accountRegistered, guest),
      left: (guest) => parts.hooks.emit(accountRemoved, guest),
    },
    {
      protocol: options.anonymous_protocol,
      allowsSeveral: options.allow_multiple_connections,
    },
    before,
  )
}
