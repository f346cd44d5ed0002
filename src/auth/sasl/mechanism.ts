import type { Accounts, AuthAttempt, ScramHash, SignIns } from '../../core/account.ts'
import type { BareJid, HostName } from '../../xmpp/jid/jid.ts'
import type { Offer } from './offer.ts'

/** Why an exchange failed (RFC 6120 §6.5). */
export type SaslCondition =
  | 'aborted'
  | 'account-disabled'
  | 'credentials-expired'
  | 'encryption-required'
  | 'incorrect-encoding'
  | 'invalid-authzid'
  | 'invalid-mechanism'
  | 'malformed-request'
  | 'mechanism-too-weak'
  | 'not-authorized'
  | 'temporary-auth-failure'

export interface SaslFailure {
  readonly kind: 'failure'
  readonly condition: SaslCondition
  /** For the client; '' = none. Never says more than the condition about whether an account exists. */
  readonly text: string
  /** Whom the client claimed to be, once that is known; for logs and counting. */
  readonly account: BareJid | undefined
}

export interface SaslSuccess {
  readonly kind: 'success'
  readonly account: BareJid
  /** Additional data with success (RFC 4422 §3.6): SCRAM's server signature. */
  readonly data: Uint8Array | undefined
  readonly isGuest: boolean
}

export type SaslStep =
  { readonly kind: 'challenge'; readonly data: Uint8Array } | SaslFailure | SaslSuccess

/**
 * One exchange of one mechanism, the server's side of it: a state machine without sockets and encodings. Both functions
 * may be called in turn until a success or failure came back.
 */
export interface Mechanism {
  /** `undefined` when the client sent no initial response; an empty one is empty bytes. */
  start(initialResponse: Uint8Array | undefined): Promise<SaslStep>
  next(response: Uint8Array): Promise<SaslStep>
}

/** What an exchange needs to know of its connection. */
export interface SaslContext {
  readonly host: HostName
  readonly attempt: AuthAttempt
  readonly accounts: Pick<Accounts, 'scramKeys'>
  readonly signIns: SignIns
  readonly offer: Offer
  /** The account that a user name means; undefined when it cannot be one. See `localAccount` and `jidAccount`. */
  readonly accountOf: (userName: string) => BareJid | undefined
  /** The connection's channel bindings by type (`channelBindingsOf`). */
  readonly channelBindings: ReadonlyMap<string, Uint8Array>
  /** The addresses in a client certificate that was verified (`xmppAddresses`); none otherwise. */
  readonly certificateAddresses: readonly string[]
  /** The server's part of a nonce, printable without commas; random unless a test says otherwise. */
  readonly nonce?: () => string
}

export function failure(condition: SaslCondition, account?: BareJid, text = ''): SaslFailure {
  return { kind: 'failure', condition, text, account }
}

export const scramMechanisms = [
  { base: 'SCRAM-SHA-512', hash: 'sha512', form: 'scram_sha512' },
  { base: 'SCRAM-SHA-256', hash: 'sha256', form: 'scram_sha256' },
  { base: 'SCRAM-SHA-1', hash: 'sha1', form: 'scram_sha1' },
] as const satisfies readonly { base: string; hash: ScramHash; form: string }[]

type ScramBase = (typeof scramMechanisms)[number]['base']

export type MechanismName = ScramBase | `${ScramBase}-PLUS` | 'EXTERNAL' | 'PLAIN' | 'ANONYMOUS'
