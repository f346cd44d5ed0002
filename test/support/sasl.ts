import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import type { ScramHash, ScramKeys, SignIns } from '../../src/core/account.ts'
import type { SaslContext, SaslStep } from '../../src/auth/sasl/mechanism.ts'
import { localAccount } from '../../src/auth/sasl/account-name.ts'
import type { Offer } from '../../src/auth/sasl/offer.ts'
import { ok } from '../../src/util/result.ts'
import { isBare, isDomain, jid } from '../../src/xmpp/jid/jid.ts'
import type { BareJid, HostName } from '../../src/xmpp/jid/jid.ts'

export function bare(text: string): BareJid {
  const parsed = jid(text)
  if (!isBare(parsed)) throw new TypeError(`Not a bare JID: ${text}`)
  return parsed
}

export function hostName(text: string): HostName {
  const parsed = jid(text)
  if (!isDomain(parsed)) throw new TypeError(`Not a host name: ${text}`)
  return parsed
}

/** Keys for a password, derived here once more and on purpose apart from the code under test. */
export function keysFor(
  hash: ScramHash,
  password: string,
  salt: Uint8Array,
  iterations = 4096,
): ScramKeys {
  const size = createHash(hash).digest().length
  const salted = pbkdf2Sync(password, salt, iterations, size, hash)
  const clientKey = createHmac(hash, salted).update('Client Key').digest()
  return {
    hash,
    salt,
    iterations,
    storedKey: createHash(hash).update(clientKey).digest(),
    serverKey: createHmac(hash, salted).update('Server Key').digest(),
  }
}

/** What the mechanisms asked and told. */
export interface Told {
  readonly account: BareJid | undefined
  readonly isSuccess: boolean
}

export type SaslTestContext = SaslContext & { readonly told: Told[] }

/** A context whose only account is `user@localhost`; parts are replaced as a test needs. */
export function saslContext(
  changes: Partial<SaslContext> & { signIns?: SignIns } = {},
  signIns: Partial<SignIns> = {},
): SaslTestContext {
  const host = hostName('localhost')
  const told: Told[] = []
  const offer: Offer = {
    mechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'ANONYMOUS'],
    channelBindings: [],
    protectsFromDowngrade: false,
  }
  return {
    host,
    attempt: { protocol: 'xmpp', ip: '192.0.2.1' },
    accounts: {
      async scramKeys(_account, hash) {
        return { ...keysFor(hash, 'pencil', Buffer.from('salt')), isReal: true }
      },
    },
    signIns: {
      policy: () => ({
        scram: ['sha1', 'sha256', 'sha512'],
        checksPasswords: true,
        allowsGuests: true,
        hiddenInSasl1: [],
      }),
      mayTry: async () => ok(undefined),
      tried: (_host, account, _attempt, isSuccess) => void told.push({ account, isSuccess }),
      verifyPassword: async (account, password) =>
        account === bare('user@localhost') && password === 'pencil'
          ? ok(undefined)
          : { ok: false, error: 'not-authorized' },
      admit: async () => ok(undefined),
      admitGuest: () => bare('guest@localhost'),
      ...signIns,
    },
    offer,
    accountOf: localAccount(host),
    channelBindings: new Map(),
    certificateAddresses: [],
    told,
    ...changes,
  }
}

/** The bytes of a challenge; throws on any other step. */
export function challengeOf(step: SaslStep): Buffer {
  if (step.kind !== 'challenge') throw new Error(`No challenge but ${JSON.stringify(step)}`)
  return Buffer.from(step.data)
}
