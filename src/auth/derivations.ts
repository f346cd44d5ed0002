import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'
import type { ScramHash, ScramKeys } from '../core/account.ts'
import type { Counter, Metrics } from '../core/metrics.ts'
import { BackendError } from './backend.ts'

const pbkdf2Later = promisify(pbkdf2)

/** RFC 5802 §5.1 asks for at least as many; ejabberd takes as many. */
export const defaultIterations = 4096
/** A row that asks for more is not worth the seconds: it is refused. */
export const maxIterations = 1_000_000
export const saltBytes = 16
export const hashBytes: Record<ScramHash, number> = { sha1: 20, sha256: 32, sha512: 64 }

/** The thread pool has four threads for files and names too: half of it is enough for passwords. */
const maxRunning = 2
const maxWaiting = 2000

/**
 * Derives SCRAM keys from passwords in the thread pool (RFC 5802 §3, RFC 8018 §5.2), a few at a time; more than a bounded
 * number waiting are refused, so that guessing cannot pile up work.
 */
export class Derivations {
  readonly #counter: Counter
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(metrics: Metrics) {
    this.#counter = metrics.counter(
      'linnet_password_derivations_total',
      'Passwords that were put through PBKDF2',
    )
    metrics.gauge(
      'linnet_password_derivations_waiting',
      'Passwords that wait for PBKDF2',
      () => this.#waiting.length,
    )
  }

  /** How many were made so far. */
  get count(): number {
    return this.#counter.value
  }

  /** Rejects with a `BackendError` when too many wait. */
  async derive(
    password: string,
    { hash, salt, iterations }: Pick<ScramKeys, 'hash' | 'salt' | 'iterations'>,
  ): Promise<ScramKeys> {
    if (this.#running < maxRunning) this.#running++
    else await this.#turn()
    try {
      this.#counter.add()
      const salted = await pbkdf2Later(password, salt, iterations, hashBytes[hash], hash)
      const clientKey = createHmac(hash, salted).update('Client Key').digest()
      return {
        hash,
        salt,
        iterations,
        storedKey: createHash(hash).update(clientKey).digest(),
        serverKey: createHmac(hash, salted).update('Server Key').digest(),
      }
    } finally {
      // The place goes to the next in line, or is given up.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }

  async #turn(): Promise<void> {
    if (this.#waiting.length >= maxWaiting) {
      throw new BackendError('Too many passwords wait to be checked')
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}

/** Keys that no password leads to, the same each time: what is shown for an account that does not exist. */
export function madeUpKeys(secret: Uint8Array, account: string, hash: ScramHash): ScramKeys {
  const make = (purpose: string): Buffer =>
    createHmac('sha512', secret).update(`${purpose}\0${hash}\0${account}`).digest()
  return {
    hash,
    salt: make('salt').subarray(0, saltBytes),
    iterations: defaultIterations,
    storedKey: make('stored key').subarray(0, hashBytes[hash]),
    serverKey: make('server key').subarray(0, hashBytes[hash]),
  }
}
