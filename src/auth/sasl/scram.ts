import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { ScramHash, ScramKeys } from '../../core/account.ts'
import type { BareJid } from '../../xmpp/jid/jid.ts'
import { isOwnAuthzid } from './account-name.ts'
import { failure } from './mechanism.ts'
import type { Mechanism, SaslContext, SaslStep } from './mechanism.ts'
import { downgradeHash, offersPlus } from './offer.ts'
import { parseClientFinal, parseClientFirst } from './scram-message.ts'
import type { ClientFirst, Gs2Flag } from './scram-message.ts'

type State =
  | { readonly kind: 'initial' }
  | { readonly kind: 'challenged'; readonly challenge: Challenge }
  | { readonly kind: 'over' }

interface Challenge {
  readonly account: BareJid
  readonly keys: ScramKeys & { readonly isReal: boolean }
  readonly first: ClientFirst
  readonly nonce: string
  readonly serverFirst: string
}

/**
 * SCRAM (RFC 5802, RFC 7677; channel bindings of RFC 5929 and RFC 9266), the server's side. Whoever does not know the
 * password hears the same for an unknown account, a banned one and a wrong password, at the same step.
 */
export class Scram implements Mechanism {
  readonly #hash: ScramHash
  readonly #isPlus: boolean
  readonly #context: SaslContext
  #state: State = { kind: 'initial' }

  constructor(hash: ScramHash, isPlus: boolean, context: SaslContext) {
    this.#hash = hash
    this.#isPlus = isPlus
    this.#context = context
  }

  async start(initialResponse: Uint8Array | undefined): Promise<SaslStep> {
    // RFC 4422 §5: the client speaks first, so that without an initial response it is asked by an empty challenge.
    if (initialResponse === undefined) return { kind: 'challenge', data: new Uint8Array() }
    return this.next(initialResponse)
  }

  async next(response: Uint8Array): Promise<SaslStep> {
    const state = this.#state
    this.#state = { kind: 'over' }
    switch (state.kind) {
      case 'initial':
        return this.#challenge(response)
      case 'challenged':
        return this.#verify(response, state.challenge)
      case 'over':
        return failure('malformed-request')
    }
  }

  async #challenge(bytes: Uint8Array): Promise<SaslStep> {
    const parsed = parseClientFirst(bytes)
    if (!parsed.ok) return failure('malformed-request', undefined, textOf[parsed.error])
    const first = parsed.value
    const account = this.#context.accountOf(first.userName)
    if (account === undefined) return failure('not-authorized')
    if (!this.#acceptsFlag(first.flag)) {
      return failure('not-authorized', account, 'Invalid channel binding')
    }
    if (!isOwnAuthzid(first.authzid, account)) return failure('invalid-authzid', account)
    const keys = await this.#context.accounts.scramKeys(account, this.#hash)
    const nonce = first.nonce + (this.#context.nonce ?? randomNonce)()
    let serverFirst = `r=${nonce},s=${Buffer.from(keys.salt).toString('base64')},i=${keys.iterations}`
    const { offer } = this.#context
    if (offer.protectsFromDowngrade) serverFirst += `,h=${downgradeHash(offer, this.#hash)}`
    this.#state = { kind: 'challenged', challenge: { account, keys, first, nonce, serverFirst } }
    return { kind: 'challenge', data: Buffer.from(serverFirst) }
  }

  async #verify(bytes: Uint8Array, challenge: Challenge): Promise<SaslStep> {
    const { account, keys, first, nonce, serverFirst } = challenge
    const parsed = parseClientFinal(bytes)
    if (!parsed.ok) return failure('malformed-request', account, textOf[parsed.error])
    const final = parsed.value
    if (final.nonce !== nonce) return failure('not-authorized', account, 'Nonce mismatch')
    const binding = this.#expectedBinding(first)
    if (binding === undefined || !final.channelBinding.equals(binding)) {
      return failure('not-authorized', account, 'Invalid channel binding')
    }
    const message = `${first.bare},${serverFirst},${final.withoutProof}`
    const isProven = this.#isProof(final.proof, keys, message)
    if (!isProven || !keys.isReal) return failure('not-authorized', account)
    const admitted = await this.#context.signIns.admit(account)
    if (!admitted.ok) {
      return failure(
        admitted.error === 'unavailable' ? 'temporary-auth-failure' : admitted.error,
        account,
      )
    }
    const signature = createHmac(this.#hash, keys.serverKey).update(message).digest('base64')
    return { kind: 'success', account, data: Buffer.from(`v=${signature}`), isGuest: false }
  }

  /** RFC 5802 §6. */
  #acceptsFlag(flag: Gs2Flag): boolean {
    switch (flag.kind) {
      case 'binds':
        return this.#isPlus && this.#context.channelBindings.has(flag.type)
      case 'cannot':
        return !this.#isPlus
      case 'thinks-server-cannot':
        // We can, and said so: somebody took the -PLUS mechanisms out of the list on its way.
        return !this.#isPlus && !offersPlus(this.#context.offer.mechanisms)
    }
  }

  /** What the attribute `c` has to hold: the header, and with it the channel's data (RFC 5802 §5.1). */
  #expectedBinding(first: ClientFirst): Buffer | undefined {
    const header = Buffer.from(first.header)
    if (first.flag.kind !== 'binds') return header
    const data = this.#context.channelBindings.get(first.flag.type)
    return data === undefined ? undefined : Buffer.concat([header, data])
  }

  /** RFC 5802 §3. */
  #isProof(proof: Uint8Array, keys: ScramKeys, message: string): boolean {
    const signature = createHmac(this.#hash, keys.storedKey).update(message).digest()
    if (proof.length !== signature.length) return false
    const clientKey = signature.map((byte, i) => byte ^ (proof[i] ?? 0))
    const storedKey = createHash(this.#hash).update(clientKey).digest()
    return storedKey.length === keys.storedKey.length && timingSafeEqual(storedKey, keys.storedKey)
  }
}

const textOf = {
  malformed: 'Response decoding failed',
  'mandatory-extension': 'Unsupported extension',
} as const

/** 144 bits; base64 has no comma. */
function randomNonce(): string {
  return randomBytes(18).toString('base64')
}
