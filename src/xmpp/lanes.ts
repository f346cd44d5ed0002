/** Above this many waiting the source of more is asked to wait, too. */
const highWater = 100
/** Above this many, more is refused. */
const maxWaiting = 1000

interface Lane<T> {
  readonly waiting: T[]
  /** Settles when fewer than `highWater` wait. */
  readonly eased: Promise<void>
  readonly ease: () => void
}

/**
 * Runs jobs in order for each key. A job that is done at once, as nearly all are, costs a look-up; only while one takes
 * time do others of the same key wait. Bounded: see `run`.
 */
export class Lanes<K, T extends object> {
  readonly #job: (item: T) => Promise<void> | undefined
  readonly #failed: (item: T, error: unknown) => void
  readonly #lanes = new Map<K, Lane<T>>()

  constructor(
    job: (item: T) => Promise<void> | undefined,
    failed: (item: T, error: unknown) => void,
  ) {
    this.#job = job
    this.#failed = failed
  }

  isBusy(key: K): boolean {
    return this.#lanes.has(key)
  }

  /** A promise: the source has to wait for it before it brings more. `full`: the item was not taken. */
  run(key: K, item: T): Promise<void> | undefined | 'full' {
    const lane = this.#lanes.get(key)
    if (lane !== undefined) {
      if (lane.waiting.length >= maxWaiting) return 'full'
      lane.waiting.push(item)
      return lane.waiting.length >= highWater ? lane.eased : undefined
    }
    const done = this.#start(item)
    if (done === undefined) return undefined
    const { promise, resolve } = Promise.withResolvers<void>()
    const started: Lane<T> = { waiting: [], eased: promise, ease: resolve }
    this.#lanes.set(key, started)
    void this.#goOn(key, started, done)
    return undefined
  }

  #start(item: T): Promise<void> | undefined {
    try {
      return this.#job(item)?.catch((error: unknown) => this.#failed(item, error))
    } catch (error) {
      this.#failed(item, error)
      return undefined
    }
  }

  async #goOn(key: K, lane: Lane<T>, first: Promise<void>): Promise<void> {
    await first
    for (let item = lane.waiting.shift(); item !== undefined; item = lane.waiting.shift()) {
      await this.#start(item)
    }
    this.#lanes.delete(key)
    lane.ease()
  }
}
