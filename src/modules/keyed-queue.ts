/** Runs jobs of one key in the order in which they came, those of different keys side by side. */
export class KeyedQueue<K> {
  readonly #last = new Map<K, Promise<void>>()

  isBusy(key: K): boolean {
    return this.#last.has(key)
  }

  run<T>(key: K, job: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const done = before === undefined ? job() : before.then(job)
    const ended = done.then(
      () => undefined,
      () => undefined, // whoever gave the job hears of its failure
    )
    this.#last.set(key, ended)
    void ended.then(() => {
      if (this.#last.get(key) === ended) this.#last.delete(key)
    })
    return done
  }
}
