/**
 * How many of a client's stanzas are done with: refused, answered, handed on, or, what has to last, committed. Stanzas are
 * numbered in the order in which they came, and what counts is the longest row of them from the first on, since that is
 * all that XEP-0198 §4 can acknowledge.
 */
export class HandledStanzas {
  #received = 0
  /** Numbers of those that something is still being done for, the lowest first. */
  readonly #open = new Set<number>()
  #settled: PromiseWithResolvers<void> | undefined

  /** Every stanza that came, refused ones included. */
  get received(): number {
    return this.#received
  }

  get handled(): number {
    for (const lowest of this.#open) return lowest - 1
    return this.#received
  }

  /** Counts one that has just come; it is done with unless `open` says otherwise. */
  count(): void {
    this.#received++
  }

  /** Leaves the last one open; to be called once the function that comes back is. */
  open(): () => void {
    const number = this.#received
    this.#open.add(number)
    return () => {
      this.#open.delete(number)
      if (this.#open.size > 0) return
      this.#settled?.resolve()
      this.#settled = undefined
    }
  }

  /** Undefined when nothing is open, else settles as soon as that is so. */
  settled(): Promise<void> | undefined {
    if (this.#open.size === 0) return undefined
    this.#settled ??= Promise.withResolvers()
    return this.#settled.promise
  }
}
