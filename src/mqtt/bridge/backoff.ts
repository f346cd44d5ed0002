/** How long to wait before the next attempt to connect: twice as long each time, up to a limit, and never just that long. */
export class Backoff {
  readonly #minMs: number
  readonly #maxMs: number
  /** 0 to 1. */
  readonly #random: () => number
  #failures = 0

  constructor(minMs: number, maxMs: number, random: () => number = Math.random) {
    this.#minMs = minMs
    this.#maxMs = Math.max(minMs, maxMs)
    this.#random = random
  }

  /** Attempts that failed one after the other. */
  get failures(): number {
    return this.#failures
  }

  /** Counts a failure; milliseconds. */
  next(): number {
    // Beyond that the numbers would overflow; the limit was reached long before.
    const doublings = Math.min(this.#failures, 30)
    this.#failures += 1
    const delayMs = Math.min(this.#minMs * 2 ** doublings, this.#maxMs)
    // Many bridges that lost the same broker must not come back at the same moment.
    return Math.round(delayMs * (0.5 + this.#random() / 2))
  }

  succeeded(): void {
    this.#failures = 0
  }
}
