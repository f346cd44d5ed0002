import type { BareJid, HostName } from '../xmpp/jid/jid.ts'
import type { Result } from '../util/result.ts'
import { defineDecision, defineHook } from './hooks.ts'
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
  ): Promise<Result<void, 'not-authorized' | 'unavailable' | 'account-disabled'>>
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

/** After an account has been stored. */
export const accountRegistered = defineHook<[account: BareJid]>('core.account.registered')

/** After an account is gone: modules delete what they keep for it, sessions end. Awaited by `remove`. */
export const accountRemoved = defineHook<[account: BareJid]>('core.account.removed')

/** After the password changed. */
export const passwordChanged = defineHook<[account: BareJid]>('core.account.password-changed')

/** Before a sign-in is tried: `deny` turns the attempt away without looking at the password (`mod_fail2ban`, bans). */
export const signInAllowed = defineDecision<
  'deny',
  [attempt: AuthAttempt, account: BareJid | undefined]
>('core.account.sign-in-allowed', 'deny')

/** After each attempt to sign in. */
export const signInTried = defineHook<
  [attempt: AuthAttempt, account: BareJid | undefined, isSuccess: boolean]
>('core.account.sign-in-tried')
