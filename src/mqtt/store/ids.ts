/** 2020-01-01: numbers stay exact (below 2^53) until 2089. */
const epochMs = 1_577_836_800_000
const perMs = 4096

/**
 * Numbers that rise with time and never repeat, not even after a restart: sessions, messages and rows of the journal are
 * named by them, so that what an old journal says about an ended session is never taken for a new one's.
 */
export class IdSource {
  readonly #now: () => number
  #last = 0

  constructor(now: () => number) {
    this.#now = now
  }

  next(): number {
    this.#last = Math.max(this.#last + 1, (this.#now() - epochMs) * perMs)
    return this.#last
  }

  /** Makes sure that what follows is larger: the clock may have been set back. */
  skip(id: number): void {
    if (id > this.#last) this.#last = id
  }
}
