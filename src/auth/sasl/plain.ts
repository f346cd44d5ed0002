import { isOwnAuthzid } from './account-name.ts'
import { failure } from './mechanism.ts'
import type { Mechanism, SaslContext, SaslStep } from './mechanism.ts'
import { decodeUtf8 } from './utf8.ts'

/** PLAIN (RFC 4616). Whether it is safe on this connection was decided when it was offered. */
export class Plain implements Mechanism {
  readonly #context: SaslContext

  constructor(context: SaslContext) {
    this.#context = context
  }

  async start(initialResponse: Uint8Array | undefined): Promise<SaslStep> {
    if (initialResponse === undefined) return { kind: 'challenge', data: new Uint8Array() }
    return this.next(initialResponse)
  }

  async next(response: Uint8Array): Promise<SaslStep> {
    // RFC 4616 §2: [authzid] NUL authcid NUL passwd; no part may hold a NUL itself.
    const parts = decodeUtf8(response)?.split('\0') ?? []
    const [authzid, userName, password] = parts
    if (parts.length !== 3 || !userName || authzid === undefined || password === undefined) {
      return failure('malformed-request')
    }
    const account = this.#context.accountOf(userName)
    if (account === undefined) return failure('not-authorized')
    if (!isOwnAuthzid(authzid, account)) return failure('invalid-authzid', account)
    const verified = await this.#context.signIns.verifyPassword(account, password)
    if (verified.ok) return { kind: 'success', account, data: undefined, isGuest: false }
    const { error } = verified
    return failure(error === 'unavailable' ? 'temporary-auth-failure' : error, account)
  }
}
