import type { BareJid, HostName } from '../xmpp/jid/jid.ts'
import type { Result } from '../util/result.ts'
import { defineDecision, defineFilter, defineHook } from './hooks.ts'
import { defineService } from './service.ts'

/** The hash functions of the SCRAM family (RFC 5802, RFC 7677). */
export type ScramHash = 'sha1' | 'sha256' | 'sha512'

/** What the server keeps instead of a password (RFC 5802 §3). */
export interface ScramKeys {
  readonly hash: ScramHash
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
  readonly salt: Uint8Array
  readonly iterations: number
}

export type AccountError =
  | 'exists'
  | 'not-found'
  | 'not-allowed' // the backend cannot do this (LDAP, JWT) or a rule forbids it
  | 'invalid-jid'
  | 'invalid-password'
  | 'unavailable' // the backend does not answer: never taken for "wrong password" in logs, refused all the same

/** How somebody tries to get in, for rules and for counting failures. */
export interface AuthAttempt {
  readonly protocol: 'xmpp' | 'mqtt' | 'http'
  readonly ip: string | undefined
}

/**
 * The accounts of all hosts, whatever backends (`auth_method`) stand behind. An account is a bare JID; an MQTT user
 * name `user@host` is the same one.
 */
export interface Accounts {
  exists(account: BareJid): Promise<boolean>
  /** Constant time for an unknown account too. A banned account has no password that is right. */
  checkPassword(
    account: BareJid,
    password: string,
    attempt: AuthAttempt,
  ): Promise<Result<void, SignInError>>
  /** Keys for a SCRAM exchange; for an unknown account made-up ones that stay the same (no telling them apart). */
  scramKeys(account: BareJid, hash: ScramHash): Promise<ScramKeys & { readonly isReal: boolean }>
  register(account: BareJid, password: string): Promise<Result<void, AccountError>>
  setPassword(account: BareJid, password: string): Promise<Result<void, AccountError>>
  /** Removes the account and, by the hook, everything that modules keep for it. */
  remove(account: BareJid): Promise<Result<void, AccountError>>
  /** Local parts, sorted. */
  list(host: HostName): Promise<readonly string[]>
  count(host: HostName): Promise<number>
}

export const accounts = defineService<Accounts>('core.accounts')

/** Why an account that may exist is not let in. */
export type SignInError = 'not-authorized' | 'unavailable' | 'account-disabled'

/** The forms in which ejabberd and we store passwords, in the words of `auth_stored_password_types`. */
export type PasswordForm = 'plain' | 'scram_sha1' | 'scram_sha256' | 'scram_sha512'

/** What a host's backends can check: what mechanisms are offered depends on it. */
export interface SignInPolicy {
  /** Hashes for which `scramKeys` has keys. */
  readonly scram: readonly ScramHash[]
  /** Whether any backend can check a password (PLAIN). */
  readonly checksPasswords: boolean
  /** Whether SASL ANONYMOUS makes guests. */
  readonly allowsGuests: boolean
  /** `auth_password_types_hidden_in_sasl1` */
  readonly hiddenInSasl1: readonly PasswordForm[]
}

/** The parts of signing in, for protocols that do it in steps (SASL). `Accounts.checkPassword` is all of them in one. */
export interface SignIns {
  policy(host: HostName): SignInPolicy
  /**
   * Whether an attempt may be made at all (`signInAllowed`); the error is a sentence for the client, or ''. Ask at the start
   * of a stream (without an account), before each attempt, and after a failed one to end the connection of a banned address.
   */
  mayTry(
    host: HostName,
    account: BareJid | undefined,
    attempt: AuthAttempt,
  ): Promise<Result<void, string>>
  /** Tells how an attempt ended (`signInTried`). */
  tried(
    host: HostName,
    account: BareJid | undefined,
    attempt: AuthAttempt,
    isSuccess: boolean,
  ): void
  /** Like `checkPassword`, without asking and telling the hooks. */
  verifyPassword(account: BareJid, password: string): Promise<Result<void, SignInError>>
  /** For who proved to be the account by other means (SCRAM, a certificate): it exists and is not banned. */
  admit(account: BareJid): Promise<Result<void, SignInError>>
  /** A new guest for SASL ANONYMOUS; undefined where the host takes none. Its data goes when its last session ends. */
  admitGuest(host: HostName): BareJid | undefined
}

export const signIns = defineService<SignIns>('core.sign-ins')

/** What is recorded of a ban, in ejabberd's words; dates are XEP-0082 texts. */
export interface BanDetails {
  readonly reason: string
  readonly bandate: string
  readonly lastdate: string
  readonly lastreason: string
}

/** What operators do with accounts besides what `Accounts` has. */
export interface AccountAdministration {
  /** Refuses every sign-in from now on and ends the sessions. The password stays. */
  ban(
    account: BareJid,
    reason: string,
  ): Promise<Result<void, 'not-found' | 'banned-already' | 'unavailable'>>
  unban(account: BareJid): Promise<Result<void, 'not-found' | 'not-banned' | 'unavailable'>>
  banDetails(account: BareJid): Promise<BanDetails | undefined>
  /** Sorted. */
  listBanned(host: HostName): Promise<readonly BareJid[]>
  /** The password, where it is stored as it is. */
  plainPassword(
    account: BareJid,
  ): Promise<Result<string, 'not-found' | 'not-plain' | 'unavailable'>>
  /** Replaces passwords that are stored as they are by SCRAM keys; returns of how many accounts. */
  convertToScram(host: HostName): Promise<number>
}

export const accountAdministration = defineService<AccountAdministration>(
  'core.account-administration',
)

/** Where a ban is recorded in private storage (XEP-0049), as ejabberd does: clients must neither read nor write it. */
export const banNamespace = 'jabber:ejabberd:banned'

/** After an account has been stored. */
export const accountRegistered = defineHook<[account: BareJid]>('core.account.registered')

/** After an account is gone: modules delete what they keep for it, sessions end. Awaited by `remove`. */
export const accountRemoved = defineHook<[account: BareJid]>('core.account.removed')

/** After a ban has been stored and the sessions have been ended: sign-ins under way end, too. */
export const accountBanned = defineHook<[account: BareJid, reason: string]>('core.account.banned')

/** After the password changed. */
export const passwordChanged = defineHook<[account: BareJid]>('core.account.password-changed')

/** Before a sign-in is tried: `deny` turns the attempt away without looking at the password (`mod_fail2ban`, bans). */
export const signInAllowed = defineDecision<
  'deny',
  [attempt: AuthAttempt, account: BareJid | undefined]
>('core.account.sign-in-allowed', 'deny')

/** What a client is told that `signInAllowed` turned away: the first handler that knows puts a sentence in place of ''. */
export const signInDenialText = defineFilter<string, [attempt: AuthAttempt]>(
  'core.account.sign-in-denial-text',
)

/** After each attempt to sign in. */
export const signInTried = defineHook<
  [attempt: AuthAttempt, account: BareJid | undefined, isSuccess: boolean]
>('core.account.sign-in-tried')
