import type { CommandValue, Field } from '../../core/command.ts'
import { CommandError } from '../../core/command.ts'

const maxLimit = 10_000

/** What every list takes: what comes after the last entry of the page before (empty: from the beginning), and how much of it. */
export const pageArguments: readonly Field[] = [
  { name: 'after', type: 'binary' },
  { name: 'limit', type: 'integer' },
]

interface Entry<T> {
  readonly key: string
  readonly item: T
}

/**
 * One page of a list that is in no order itself: those entries whose keys come next. Pages follow one another by key, so that
 * nothing is listed twice or left out, whatever comes and goes meanwhile.
 */
export class Page<T> {
  readonly #after: string
  readonly #limit: number
  /** Somewhat more than the page, in no order. */
  readonly #entries: Entry<T>[] = []
  /** Keys from here on are too far away. */
  #end: string | undefined

  constructor(after: CommandValue | undefined, limit: CommandValue | undefined) {
    this.#after = String(after)
    this.#limit = Number(limit)
    if (this.#limit < 1 || this.#limit > maxLimit) {
      throw new CommandError('error', `The limit must be from 1 to ${maxLimit}`)
    }
  }

  offer(key: string, item: T): void {
    if (key <= this.#after || (this.#end !== undefined && key >= this.#end)) return
    this.#entries.push({ key, item })
    if (this.#entries.length >= this.#limit * 2) this.#cut()
  }

  /** In the order of the keys. */
  items(): readonly T[] {
    this.#cut()
    return this.#entries.map(({ item }) => item)
  }

  #cut(): void {
    this.#entries.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    if (this.#entries.length < this.#limit) return
    this.#entries.length = this.#limit
    this.#end = this.#entries.at(-1)?.key
  }
}
