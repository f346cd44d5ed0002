import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import type { Accounts, ScramHash, ScramKeys, SignIns } from '../../src/core/account.ts'
import { err, ok } from '../../src/util/result.ts'
import { bareJid, domainpart, jid, localpart } from '../../src/xmpp/jid/jid.ts'
import type { BareJid, HostName } from '../../src/xmpp/jid/jid.ts'

const salt = Buffer.from('salt')
/** As few as clients put up with: these passwords are no secrets. */
const iterations = 1

/** Accounts that last as long as the test, for tests of what lies behind signing in. */
export class MemoryAccounts implements Accounts, SignIns {
  readonly passwords = new Map<BareJid, string>()
  /** Told to those who may not even try. */
  denial: string | undefined
  /** Whether PLAIN is offered. */
  checksPasswords = true
  guests = 0

  add(account: string, password = 'secret'): void {
    this.passwords.set(bareJid(jid(account)), password)
  }

  exists(account: BareJid): Promise<boolean> {
    return Promise.resolve(this.passwords.has(account))
  }

  checkPassword(account: BareJid, password: string): ReturnType<Accounts['checkPassword']> {
    return this.verifyPassword(account, password)
  }

  scramKeys(account: BareJid, hash: ScramHash): Promise<ScramKeys & { readonly isReal: boolean }> {
    const password = this.passwords.get(account)
    const size = createHash(hash).digest().length
    const salted = pbkdf2Sync(password ?? '', salt, iterations, size, hash)
    const clientKey = createHmac(hash, salted).update('Client Key').digest()
    const storedKey = createHash(hash).update(clientKey).digest()
    const serverKey = createHmac(hash, salted).update('Server Key').digest()
    const isReal = password !== undefined
    return Promise.resolve({ hash, storedKey, serverKey, salt, iterations, isReal })
  }

  register(account: BareJid, password: string): ReturnType<Accounts['register']> {
    this.passwords.set(account, password)
    return Promise.resolve(ok(undefined))
  }

  setPassword(account: BareJid, password: string): ReturnType<Accounts['setPassword']> {
    return this.register(account, password)
  }

  remove(account: BareJid): ReturnType<Accounts['remove']> {
    this.passwords.delete(account)
    return Promise.resolve(ok(undefined))
  }

  list(host: HostName): Promise<readonly string[]> {
    const accounts = [...this.passwords.keys()].filter((account) => domainpart(account) === host)
    return Promise.resolve(accounts.map(localpart).sort())
  }

  async count(host: HostName): Promise<number> {
    return (await this.list(host)).length
  }

  policy(): ReturnType<SignIns['policy']> {
    return {
      scram: ['sha1', 'sha256'],
      checksPasswords: this.checksPasswords,
      allowsGuests: false,
      hiddenInSasl1: [],
    }
  }

  mayTry(): ReturnType<SignIns['mayTry']> {
    return Promise.resolve(this.denial === undefined ? ok(undefined) : err(this.denial))
  }

  tried(): void {
    // Nobody counts here.
  }

  verifyPassword(account: BareJid, password: string): ReturnType<SignIns['verifyPassword']> {
    const isRight = this.passwords.get(account) === password
    return Promise.resolve(isRight ? ok(undefined) : err('not-authorized'))
  }

  admit(account: BareJid): ReturnType<SignIns['admit']> {
    return Promise.resolve(this.passwords.has(account) ? ok(undefined) : err('not-authorized'))
  }

  admitGuest(): BareJid | undefined {
    return undefined
  }
}
