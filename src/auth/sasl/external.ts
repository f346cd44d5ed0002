import { domainpart, isBare, localpart, parseJid } from '../../xmpp/jid/jid.ts'
import type { BareJid } from '../../xmpp/jid/jid.ts'
import { failure } from './mechanism.ts'
import type { Mechanism, SaslContext, SaslStep } from './mechanism.ts'
import { decodeUtf8 } from './utf8.ts'

/** EXTERNAL (RFC 4422 appendix A) by a client certificate that was verified (XEP-0178 §2). */
export class External implements Mechanism {
  readonly #context: SaslContext

  constructor(context: SaslContext) {
    this.#context = context
  }

  async start(initialResponse: Uint8Array | undefined): Promise<SaslStep> {
    if (initialResponse === undefined) return { kind: 'challenge', data: new Uint8Array() }
    return this.next(initialResponse)
  }

  async next(response: Uint8Array): Promise<SaslStep> {
    const authzid = decodeUtf8(response)
    if (authzid === undefined) return failure('malformed-request')
    const accounts = this.#accounts()
    const account = authzid === '' ? onlyOne(accounts) : this.#wanted(authzid, accounts)
    // XEP-0178 §2.2 steps 9 and 10: an identity that the certificate does not hold, or none chosen of several.
    if (account === undefined) {
      return failure(accounts.length === 0 ? 'not-authorized' : 'invalid-authzid')
    }
    const admitted = await this.#context.signIns.admit(account)
    if (admitted.ok) return { kind: 'success', account, data: undefined, isGuest: false }
    const { error } = admitted
    return failure(error === 'unavailable' ? 'temporary-auth-failure' : error, account)
  }

  /** The accounts of this host that the certificate was made for. */
  #accounts(): readonly BareJid[] {
    const accounts = this.#context.certificateAddresses.flatMap((address) => {
      const jid = parseJid(address)
      if (!jid.ok || !isBare(jid.value) || localpart(jid.value) === '') return []
      return domainpart(jid.value) === this.#context.host ? [jid.value] : []
    })
    return [...new Set(accounts)]
  }

  #wanted(authzid: string, accounts: readonly BareJid[]): BareJid | undefined {
    const jid = parseJid(authzid)
    return jid.ok ? accounts.find((account) => account === jid.value) : undefined
  }
}

function onlyOne<T>(items: readonly T[]): T | undefined {
  return items.length === 1 ? items[0] : undefined
}
