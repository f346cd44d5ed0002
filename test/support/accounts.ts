import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AccountDirectory } from '../../src/auth/accounts.ts'
import { SaslExchange } from '../../src/auth/sasl/exchange.ts'
import type { ScramHash } from '../../src/core/account.ts'
import type { AuthOptions } from '../../src/auth/auth-options.ts'
import { Access } from '../../src/core/access.ts'
import type { AccessTables } from '../../src/core/access.ts'
import { TestClock } from '../../src/core/clock.ts'
import { auth } from '../../src/core/config/toplevel/auth.ts'
import { Hooks } from '../../src/core/hooks.ts'
import { silentLog } from '../../src/core/log.ts'
import { Metrics } from '../../src/core/metrics.ts'
import { valuesOf } from '../../src/core/options.ts'
import { sessionClosed, sessionOpened, SessionRegistry } from '../../src/core/sessions.ts'
import type { ClientSession } from '../../src/core/sessions.ts'
import type { HostStore, Store } from '../../src/core/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { isFull, jid } from '../../src/xmpp/jid/jid.ts'
import type { HostName } from '../../src/xmpp/jid/jid.ts'
import { challengeOf, hostName, saslContext } from './sasl.ts'
import { ScramClient } from './scram-client.ts'

const top = {
  default_db: 'mnesia',
  use_cache: true,
  cache_size: 1000,
  cache_life_time: 3_600_000,
  cache_missed: true,
}

/** The options of a host as a configuration with these would give them. */
export function authOptions(written: Readonly<Record<string, unknown>> = {}): AuthOptions {
  return valuesOf({ ...auth.host, ...auth.global }, written, { top })
}

export interface UserRow {
  readonly type: number
  readonly password: string
  readonly serverkey: string
  readonly salt: string
  readonly iterationcount: number
}

const mechanismOf = {
  sha1: 'SCRAM-SHA-1',
  sha256: 'SCRAM-SHA-256',
  sha512: 'SCRAM-SHA-512',
} as const

const noTables: AccessTables = { acl: new Map(), access_rules: new Map() }

/** Accounts of the host `localhost` over a database of their own. */
export class TestAccounts implements AsyncDisposable {
  readonly host: HostName = hostName('localhost')
  readonly clock = new TestClock()
  readonly hooks = new Hooks(silentLog)
  readonly sessions = new SessionRegistry()
  readonly access = new Access({
    hosts: ['localhost'],
    global: noTables,
    forHost: () => noTables,
  })
  readonly directory: AccountDirectory
  readonly store: HostStore
  readonly file: string
  readonly options: AuthOptions
  readonly #database: Store
  readonly #dir: string

  private constructor(database: Store, dir: string, file: string, options: AuthOptions) {
    this.options = options
    this.#database = database
    this.#dir = dir
    this.file = file
    this.store = database.forHost('localhost')
    this.directory = new AccountDirectory({
      clock: this.clock,
      log: silentLog,
      access: this.access,
      sessions: this.sessions,
      metrics: new Metrics(),
    })
  }

  /** `prepare` may fill the file before it is opened, as an ejabberd of long ago would have. */
  static async open(
    written: Readonly<Record<string, unknown>> = {},
    settings: { readonly multihost?: boolean; prepare?(file: string): void } = {},
  ): Promise<TestAccounts> {
    const options = authOptions(written)
    const dir = await mkdtemp(join(tmpdir(), 'linnet-accounts-'))
    const file = join(dir, 'accounts.sqlite')
    settings.prepare?.(file)
    const { multihost = true } = settings
    const clock = new TestClock()
    const database = await openStore({ type: 'sqlite', file, multihost }, { log: silentLog, clock })
    const opened = new TestAccounts(database, dir, file, options)
    await opened.directory.addHost(
      { host: opened.host, hooks: opened.hooks, storeFor: () => opened.store },
      options,
    )
    return opened
  }

  /** What the table `users` holds of an account. */
  rows(username: string): Promise<readonly UserRow[]> {
    const columns = ['password', 'serverkey', 'salt', 'iterationcount'] as const
    const query = this.store.table('users').select().where('username', '=', username)
    if (this.store.hasColumn('users', 'type')) {
      return this.store.read(query.select(['type', ...columns]).orderBy('type'))
    }
    return this.store.read(query.select(columns).select(({ lit }) => lit(-1).as('type')))
  }

  /** Signs in by SCRAM; the condition when that fails. */
  async scram(hash: ScramHash, userName: string, password: string): Promise<string> {
    const mechanism = mechanismOf[hash]
    const offer = { mechanisms: [mechanism], channelBindings: [], protectsFromDowngrade: true }
    const { directory } = this
    const context = saslContext({ accounts: directory, signIns: directory, offer })
    const client = new ScramClient({ hash, userName, password })
    const exchange = new SaslExchange(mechanism, context, silentLog)
    const first = await exchange.start(client.first())
    const last = await exchange.next(client.final(challengeOf(first)))
    return last.kind === 'failure' ? last.condition : last.kind
  }

  /** A session that is in the registry and notes why it is kicked. */
  openSession(address: string): ClientSession & { readonly kicks: string[] } {
    const parsed = jid(address)
    if (!isFull(parsed)) throw new TypeError(`Not a full JID: ${address}`)
    const kicks: string[] = []
    const session: ClientSession & { readonly kicks: string[] } = {
      jid: parsed,
      protocol: 'xmpp',
      connection: 'c2s_tls',
      ip: '192.0.2.1',
      port: 5222,
      connectedAt: this.clock.now(),
      kick: (reason, cause) => void kicks.push(`${cause}: ${reason}`),
      kicks,
    }
    this.sessions.add(session)
    this.hooks.emit(sessionOpened, session)
    return session
  }

  closeSession(session: ClientSession): void {
    this.sessions.remove(session)
    this.hooks.emit(sessionClosed, session)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.directory.close()
    await this.#database.close()
    await rm(this.#dir, { recursive: true })
  }
}
