import type { Log } from '../../core/log.ts'
import { Anonymous } from './anonymous.ts'
import { External } from './external.ts'
import { failure, scramMechanisms } from './mechanism.ts'
import type { Mechanism, MechanismName, SaslContext, SaslStep } from './mechanism.ts'
import { Plain } from './plain.ts'
import { Scram } from './scram.ts'

/** Tokens in PLAIN are the longest messages that make sense. */
const maxMessageBytes = 16 * 1024

/**
 * One attempt to sign in over SASL: runs the mechanism that the client chose, asks before whether it may be tried and tells
 * afterwards how it went (`signInAllowed`, `signInTried`). Never rejects: what breaks is logged and a temporary failure.
 */
export class SaslExchange {
  readonly mechanism: string
  readonly #context: SaslContext
  readonly #log: Log
  readonly #machine: Mechanism | undefined
  #state: 'ready' | 'running' | 'waiting' | 'over' = 'ready'

  /** `mechanism` is what the client asked for, which need not be one that was offered. */
  constructor(mechanism: string, context: SaslContext, log: Log) {
    this.mechanism = mechanism
    this.#context = context
    this.#log = log
    const offered = context.offer.mechanisms.find((name) => name === mechanism)
    this.#machine = offered === undefined ? undefined : createMachine(offered, context)
  }

  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** `undefined` when the client sent no initial response. */
  async start(initialResponse: Uint8Array | undefined): Promise<SaslStep> {
    if (this.#state !== 'ready') return failure('malformed-request')
    const machine = this.#machine
    if (machine === undefined) {
      this.#state = 'over'
      return failure('invalid-mechanism')
    }
    return this.#run(initialResponse, async () => {
      const { signIns, host, attempt } = this.#context
      const allowed = await signIns.mayTry(host, undefined, attempt)
      if (allowed.ok) return machine.start(initialResponse)
      this.#state = 'over'
      return failure('not-authorized', undefined, allowed.error)
    })
  }

  async next(response: Uint8Array): Promise<SaslStep> {
    const machine = this.#machine
    if (this.#state !== 'waiting' || machine === undefined) {
      this.#state = 'over'
      return failure('malformed-request')
    }
    return this.#run(response, () => machine.next(response))
  }

  /** The client gave up (RFC 6120 §6.4.4). */
  abort(): SaslStep {
    this.#state = 'over'
    return failure('aborted')
  }

  async #run(message: Uint8Array | undefined, step: () => Promise<SaslStep>): Promise<SaslStep> {
    this.#state = 'running'
    let result: SaslStep
    if (message !== undefined && message.length > maxMessageBytes) {
      result = failure('malformed-request', undefined, 'Response too long')
    } else {
      result = await step().catch((error: unknown) => {
        this.#log.error({ err: error, mechanism: this.mechanism }, 'Sign-in failed unexpectedly')
        return failure('temporary-auth-failure')
      })
    }
    // Refused by the hook, or aborted while it ran: whatever came of it counts no more.
    if (this.isOver) return result.kind === 'failure' ? result : failure('aborted')
    this.#state = result.kind === 'challenge' ? 'waiting' : 'over'
    this.#tell(result)
    return result
  }

  #tell(result: SaslStep): void {
    if (result.kind === 'challenge') return
    const isSuccess = result.kind === 'success'
    // ejabberd does not count a certificate that does not fit: it cannot be guessed.
    if (!isSuccess && this.mechanism === 'EXTERNAL') return
    if (!isSuccess && result.condition === 'temporary-auth-failure') return
    const { signIns, host, attempt } = this.#context
    signIns.tried(host, result.account, attempt, isSuccess)
  }
}

function createMachine(name: MechanismName, context: SaslContext): Mechanism {
  if (name === 'PLAIN') return new Plain(context)
  if (name === 'ANONYMOUS') return new Anonymous(context)
  if (name === 'EXTERNAL') return new External(context)
  const scram = scramMechanisms.find(({ base }) => name === base || name === `${base}-PLUS`)
  if (scram === undefined) throw new Error(`No mechanism "${name}"`)
  return new Scram(scram.hash, name !== scram.base, context)
}
