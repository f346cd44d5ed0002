import type { Rate } from '../core/options/shaper-types.ts'
import { TokenBucket } from '../core/shaper.ts'
import type { Connection } from './connection.ts'
import { stop } from './stop.ts'
import type { Rates } from './limits.ts'

/** Slows one client down: what is too fast stays in the network. */
export class RateLimit {
  readonly #connection: Connection
  readonly #bytes: TokenBucket | undefined
  readonly #messages: TokenBucket | undefined
  #restsUntilMs = 0
  #isResting = false

  private constructor(connection: Connection, { bytes, messages }: Rates) {
    this.#connection = connection
    const nowMs = connection.profile.brokers.clock.monotonic()
    const bucket = (rate: Rate | undefined): TokenBucket | undefined =>
      rate === undefined ? undefined : new TokenBucket(rate, nowMs)
    this.#bytes = bucket(bytes)
    this.#messages = bucket(messages)
  }

  static create(connection: Connection, rates: Rates): RateLimit | undefined {
    const isLimited = rates.bytes !== undefined || rates.messages !== undefined
    return isLimited ? new RateLimit(connection, rates) : undefined
  }

  countBytes(bytes: number): void {
    if (this.#bytes !== undefined) this.#rest(this.#bytes.take(bytes, this.#nowMs()))
  }

  countMessage(): void {
    if (this.#messages !== undefined) this.#rest(this.#messages.take(1, this.#nowMs()))
  }

  #rest(pauseMs: number): void {
    if (pauseMs <= 0) return
    this.#restsUntilMs = Math.max(this.#restsUntilMs, this.#nowMs() + pauseMs)
    if (this.#isResting) return
    this.#isResting = true
    this.#connection.pauseReading(stop.rate)
    this.#awake(pauseMs)
  }

  #awake(pauseMs: number): void {
    this.#connection.profile.brokers.clock.after(pauseMs, () => {
      const leftMs = this.#restsUntilMs - this.#nowMs()
      if (leftMs > 0) {
        this.#awake(leftMs)
        return
      }
      this.#isResting = false
      this.#connection.resumeReading(stop.rate)
    })
  }

  #nowMs(): number {
    return this.#connection.profile.brokers.clock.monotonic()
  }
}
