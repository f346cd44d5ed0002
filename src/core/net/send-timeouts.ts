import type { Clock, Timer } from '../clock.ts'

/** A connection whose peer may stop reading. */
export interface Sender {
  readonly sendTimeoutMs: number
  /** Bytes that the kernel has not taken, of those that it was asked to. */
  readonly unsentBytes: number
  /** Bytes that it has taken so far. */
  readonly sentBytes: number
  sendTimedOut(): void
}

interface Stall {
  sentBytes: number
  sinceMs: number
}

const sweepMs = 1000

/**
 * Closes connections whose peer takes nothing for `send_timeout`. Only those with something unsent are looked at, once a second, so
 * that a connection needs no timer of its own.
 */
export class SendTimeouts {
  readonly #clock: Clock
  readonly #stalled = new Map<Sender, Stall>()
  #sweep: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Keeps an eye on it until it has nothing unsent. */
  watch(sender: Sender): void {
    if (sender.sendTimeoutMs === Infinity || this.#stalled.has(sender)) return
    this.#stalled.set(sender, { sentBytes: sender.sentBytes, sinceMs: this.#clock.monotonic() })
    this.#sweep ??= this.#clock.every(sweepMs, () => this.#look())
  }

  #look(): void {
    const now = this.#clock.monotonic()
    for (const [sender, stall] of this.#stalled) {
      if (sender.unsentBytes === 0) {
        this.#stalled.delete(sender)
      } else if (sender.sentBytes !== stall.sentBytes) {
        stall.sentBytes = sender.sentBytes
        stall.sinceMs = now
      } else if (now - stall.sinceMs >= sender.sendTimeoutMs) {
        this.#stalled.delete(sender)
        sender.sendTimedOut()
      }
    }
    if (this.#stalled.size > 0) return
    this.#sweep?.cancel()
    this.#sweep = undefined
  }
}

const byClock = new WeakMap<Clock, SendTimeouts>()

/** The one that goes by this clock. */
export function sendTimeoutsOf(clock: Clock): SendTimeouts {
  let timeouts = byClock.get(clock)
  if (timeouts === undefined) {
    timeouts = new SendTimeouts(clock)
    byClock.set(clock, timeouts)
  }
  return timeouts
}
