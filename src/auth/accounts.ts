import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import {
  accountAdministration,
  accountBanned,
  accountRegistered,
  accountRemoved,
  accounts,
  passwordChanged,
  signInAllowed,
  signInDenialText,
  signIns,
  signInTried,
} from '../core/account.ts'
import type {
  AccountAdministration,
  AccountError,
  Accounts,
  AuthAttempt,
  BanDetails,
  ScramHash,
  ScramKeys,
  SignInError,
  SignInPolicy,
  SignIns,
} from '../core/account.ts'
import { drop } from '../core/hooks.ts'
import type { Metrics } from '../core/metrics.ts'
import type { Services } from '../core/service.ts'
import { StorageError } from '../core/store.ts'
import type { Result } from '../util/result.ts'
import { err, ok } from '../util/result.ts'
import { domainpart, localpart, makeJid, prepLocalpart } from '../xmpp/jid/jid.ts'
import type { BareJid, HostName, Localpart } from '../xmpp/jid/jid.ts'
import { checkNewLocalpart } from '../xmpp/jid/precis.ts'
import { configuredScram, scramHashes, storedForms } from './auth-options.ts'
import type { AuthOptions } from './auth-options.ts'
import { BackendError } from './backend.ts'
import { Derivations, madeUpKeys } from './derivations.ts'
import { HostAccounts } from './host-accounts.ts'
import type { AuthTools, HostParts } from './host-accounts.ts'
import { prepPassword } from './password.ts'

export type AccountTools = Omit<AuthTools, 'derivations'> & { readonly metrics: Metrics }

/** The account of a local host. */
interface Place {
  readonly host: HostAccounts
  readonly local: Localpart
}

/** The accounts of all hosts; one object for the life of the server, hosts come and go in it. */
export class AccountDirectory implements Accounts, SignIns, AccountAdministration, AsyncDisposable {
  readonly derivations: Derivations
  readonly #tools: AuthTools
  readonly #metrics: Metrics
  /** For made-up keys of accounts at hosts that are not served. */
  readonly #secret = randomBytes(32)
  /** Rises when somebody is turned out. */
  #revocations = 0
  /** The last job for each account that is being made or removed. */
  readonly #turns = new Map<BareJid, Promise<void>>()
  readonly #hosts = new Map<string, { readonly parts: HostParts; accounts: HostAccounts }>()

  constructor({ metrics, ...tools }: AccountTools) {
    this.derivations = new Derivations(metrics)
    this.#metrics = metrics
    this.#tools = { ...tools, derivations: this.derivations }
  }

  /** Makes it the server's. */
  provide(services: Services): void {
    services.provide(accounts, this)
    services.provide(signIns, this)
    services.provide(accountAdministration, this)
  }

  /** Rejects when the host's database does not answer. */
  async addHost(parts: HostParts, options: AuthOptions): Promise<void> {
    const opened = await HostAccounts.open(parts, options, this.#tools)
    this.#hosts.set(parts.host, { parts, accounts: opened })
  }

  /** Takes changed options over; sign-ins under way end as they began. */
  async reloadHost(host: HostName, options: AuthOptions): Promise<void> {
    const entry = this.#hosts.get(host)
    if (entry === undefined) throw new Error(`The host "${host}" has no accounts to reload`)
    const before = entry.accounts
    // The key file may have changed behind its unchanged name.
    const hasFiles = options.auth_method.includes('jwt')
    if (!hasFiles && isDeepStrictEqual(before.options, options)) return
    entry.accounts = await HostAccounts.open(entry.parts, options, this.#tools, before)
    await before.close()
  }

  async removeHost(host: HostName): Promise<void> {
    const entry = this.#hosts.get(host)
    this.#hosts.delete(host)
    await entry?.accounts.close()
  }

  async close(): Promise<void> {
    for (const entry of this.#hosts.values()) await entry.accounts.close()
    this.#hosts.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Rejects with a `BackendError` when nobody says yes and somebody does not answer. */
  async exists(account: BareJid): Promise<boolean> {
    const place = this.#find(account)
    return place !== undefined && (await place.host.exists(place.local))
  }

  async checkPassword(
    account: BareJid,
    password: string,
    attempt: AuthAttempt,
  ): Promise<Result<void, SignInError>> {
    const host = domainpart(account)
    const allowed = await this.mayTry(host, account, attempt)
    if (!allowed.ok) return err('not-authorized')
    const verified = await this.verifyPassword(account, password)
    if (verified.ok || verified.error !== 'unavailable') {
      this.tried(host, account, attempt, verified.ok)
    }
    return verified
  }

  verifyPassword(account: BareJid, password: string): Promise<Result<void, SignInError>> {
    return this.#lasting(async () => {
      const place = this.#find(account)
      if (place === undefined) return err('not-authorized')
      const outcome = await place.host.verify(place.local, password)
      if (outcome === 'unavailable') return err('unavailable')
      if (outcome === 'wrong') return err('not-authorized')
      // Only who knows the password is told that the account is banned.
      return this.#notBanned(place)
    })
  }

  admit(account: BareJid): Promise<Result<void, SignInError>> {
    return this.#lasting(async () => {
      const place = this.#find(account)
      if (place === undefined) return err('not-authorized')
      const exists = await this.#answered(() => place.host.exists(place.local))
      if (exists === undefined) return err('unavailable')
      return exists ? this.#notBanned(place) : err('not-authorized')
    })
  }

  async scramKeys(
    account: BareJid,
    hash: ScramHash,
  ): Promise<ScramKeys & { readonly isReal: boolean }> {
    const place = this.#find(account)
    if (place === undefined) return { ...madeUpKeys(this.#secret, account, hash), isReal: false }
    return place.host.scramKeys(place.local, hash)
  }

  policy(host: HostName): SignInPolicy {
    return this.#host(host).policy
  }

  async mayTry(
    host: HostName,
    account: BareJid | undefined,
    attempt: AuthAttempt,
  ): Promise<Result<void, string>> {
    const hooks = this.#hosts.get(host)?.accounts.hooks
    if (hooks === undefined) return err('')
    const answer = await hooks.decideLater(signInAllowed, attempt, account)
    if (answer !== 'deny') return ok(undefined)
    const text = hooks.apply(signInDenialText, '', attempt)
    return err(text === drop ? '' : text)
  }

  tried(
    host: HostName,
    account: BareJid | undefined,
    attempt: AuthAttempt,
    isSuccess: boolean,
  ): void {
    const { protocol, ip } = attempt
    const result = isSuccess ? 'success' : 'failure'
    this.#metrics
      .counter('linnet_sign_ins_total', 'Attempts to sign in', { protocol, result })
      .add()
    if (!isSuccess) this.#tools.log.info({ host, account, protocol, ip }, 'Sign-in failed')
    // Over MQTT an account may be of another host than the one that its user name goes to by default.
    const own = account === undefined ? undefined : this.#hosts.get(domainpart(account))
    const served = own ?? this.#hosts.get(host)
    served?.accounts.hooks.emit(signInTried, attempt, account, isSuccess)
  }

  admitGuest(host: HostName): BareJid | undefined {
    return this.#hosts.get(host)?.accounts.admitGuest()
  }

  register(account: BareJid, password: string): Promise<Result<void, AccountError>> {
    return this.#inTurn(account, () => this.#register(account, password))
  }

  async setPassword(account: BareJid, password: string): Promise<Result<void, AccountError>> {
    const place = this.#find(account)
    if (place === undefined) return err('invalid-jid')
    if (prepPassword(password) === undefined) return err('invalid-password')
    const outcome = await this.#answered(() => place.host.setPassword(place.local, password))
    if (outcome === undefined) return err('unavailable')
    if (outcome === 'not-found') return err('not-found')
    if (outcome === 'refused') return err('not-allowed')
    place.host.hooks.emit(passwordChanged, account)
    return ok(undefined)
  }

  remove(account: BareJid): Promise<Result<void, AccountError>> {
    return this.#inTurn(account, () => this.#remove(account))
  }

  list(host: HostName): Promise<readonly string[]> {
    return this.#host(host).list()
  }

  count(host: HostName): Promise<number> {
    return this.#host(host).count()
  }

  async ban(
    account: BareJid,
    reason: string,
  ): Promise<Result<void, 'not-found' | 'banned-already' | 'unavailable'>> {
    const place = this.#find(account)
    if (place === undefined) return err('not-found')
    const outcome = await this.#answered(async () => {
      if (!(await place.host.exists(place.local))) return 'not-found'
      const details = { reason, bandate: this.#now(), ...(await this.#lastSeen(place, account)) }
      return (await place.host.bans.add(place.local, details)) ? 'ok' : 'banned-already'
    })
    if (outcome === undefined) return err('unavailable')
    if (outcome !== 'ok') return err(outcome)
    this.#kick(account, reason, 'banned')
    place.host.hooks.emit(accountBanned, account, reason)
    return ok(undefined)
  }

  async unban(account: BareJid): Promise<Result<void, 'not-found' | 'not-banned' | 'unavailable'>> {
    const place = this.#find(account)
    if (place === undefined) return err('not-found')
    const outcome = await this.#answered(async () => {
      if (!(await place.host.exists(place.local))) return 'not-found'
      return (await place.host.bans.remove(place.local)) ? 'ok' : 'not-banned'
    })
    if (outcome === undefined) return err('unavailable')
    return outcome === 'ok' ? ok(undefined) : err(outcome)
  }

  async banDetails(account: BareJid): Promise<BanDetails | undefined> {
    const place = this.#find(account)
    return place?.host.bans.find(place.local)
  }

  async listBanned(host: HostName): Promise<readonly BareJid[]> {
    const names = await this.#host(host).bans.list()
    const banned = names.flatMap((name) => {
      const local = prepLocalpart(name)
      return local.ok ? [makeJid(local.value, host, '')] : []
    })
    return banned.sort()
  }

  async plainPassword(
    account: BareJid,
  ): Promise<Result<string, 'not-found' | 'not-plain' | 'unavailable'>> {
    const place = this.#find(account)
    if (place === undefined) return err('not-found')
    const found = await this.#answered(() => place.host.plainPassword(place.local))
    if (found === undefined) return err('unavailable')
    return typeof found === 'string' ? err(found) : ok(found.password)
  }

  async convertToScram(host: HostName): Promise<number> {
    const { options, store } = this.#host(host)
    const forms = storedForms(options, store.hasColumn('users', 'type'))
    const wanted = forms.filter((form) => form !== 'plain')
    return this.#host(host).convertToScram(
      scramHashes(wanted.length > 0 ? wanted : [configuredScram(options)]),
    )
  }

  async #register(account: BareJid, password: string): Promise<Result<void, AccountError>> {
    const place = this.#find(account)
    // Names that exist follow RFC 6122; new ones must do with RFC 7622 as well.
    if (place === undefined || !checkNewLocalpart(place.local).ok) return err('invalid-jid')
    if (prepPassword(password) === undefined) return err('invalid-password')
    const outcome = await this.#answered(() => place.host.register(place.local, password))
    if (outcome === undefined) return err('unavailable')
    if (outcome === 'exists') return err('exists')
    if (outcome === 'refused') return err('not-allowed')
    place.host.hooks.emit(accountRegistered, account)
    return ok(undefined)
  }

  /** What an attempt that was cut short left behind goes, too: whoever gets the name next must not find it. */
  async #remove(account: BareJid): Promise<Result<void, AccountError>> {
    const place = this.#find(account)
    if (place === undefined) return err('invalid-jid')
    const outcome = await this.#answered(async () => {
      const removed = await place.host.remove(place.local)
      if (removed === 'refused') return removed
      // Another backend may know it.
      if (removed === 'not-found' && (await place.host.exists(place.local))) return 'refused'
      this.#kick(account, 'Account removed', 'account-removed')
      // Who gets the name next is not banned.
      await place.host.bans.remove(place.local)
      return removed
    })
    if (outcome === undefined) return err('unavailable')
    if (outcome === 'refused') return err('not-allowed')
    if (!(await place.host.hooks.emitAndWait(accountRemoved, account))) return err('unavailable')
    return outcome === 'ok' ? ok(undefined) : err('not-found')
  }

  /** One after the other for each account: who gets a name while the account before is being removed begins afterwards. */
  async #inTurn<T>(account: BareJid, job: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(account)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#turns.set(account, promise)
    try {
      await before
      return await job()
    } finally {
      if (this.#turns.get(account) === promise) this.#turns.delete(account)
      resolve()
    }
  }

  #host(host: HostName): HostAccounts {
    const entry = this.#hosts.get(host)
    if (entry === undefined) throw new Error(`The host "${host}" is not served`)
    return entry.accounts
  }

  /** Undefined for what is no account of a host that is served. */
  #find(account: BareJid): Place | undefined {
    const entry = this.#hosts.get(domainpart(account))
    const local = localpart(account)
    return entry === undefined || local === '' ? undefined : { host: entry.accounts, local }
  }

  async #notBanned(place: Place): Promise<Result<void, SignInError>> {
    const isBanned = await this.#answered(() => place.host.bans.isBanned(place.local))
    if (isBanned === undefined) return err('unavailable')
    return isBanned ? err('account-disabled') : ok(undefined)
  }

  /** `undefined` when a backend or a database is out of order, which is logged. */
  async #answered<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof BackendError || error instanceof StorageError)) throw error
      this.#tools.log.error({ err: error }, 'Accounts are out of order')
      return undefined
    }
  }

  /** Asks again when somebody was turned out meanwhile: it may have been the one who is about to come in. */
  async #lasting(
    check: () => Promise<Result<void, SignInError>>,
  ): Promise<Result<void, SignInError>> {
    for (;;) {
      const before = this.#revocations
      const outcome = await check()
      if (!outcome.ok || before === this.#revocations) return outcome
    }
  }

  #kick(account: BareJid, reason: string, cause: 'account-removed' | 'banned'): void {
    this.#revocations++
    for (const session of this.#tools.sessions.forAccount(account)) session.kick(reason, cause)
  }

  /** In ejabberd's words. */
  async #lastSeen(
    place: Place,
    account: BareJid,
  ): Promise<Pick<BanDetails, 'lastdate' | 'lastreason'>> {
    if (this.#tools.sessions.forAccount(account).length > 0) {
      return { lastdate: this.#now(), lastreason: 'ONLINE' }
    }
    const last = await place.host.store.first(
      place.host.store
        .table('last')
        .select()
        .select(['seconds', 'state'])
        .where('username', '=', place.local),
    )
    const seconds = Number(last?.seconds)
    if (last === undefined || !Number.isSafeInteger(seconds)) {
      return { lastdate: this.#now(), lastreason: 'NOT FOUND' }
    }
    const lastdate = new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
    return { lastdate, lastreason: last.state }
  }

  /** XEP-0082 §3.2. */
  #now(): string {
    return new Date(this.#tools.clock.now()).toISOString()
  }
}
