/**
 * A map bounded by two generations: what nobody asks for while `generationSize` other entries
 * arrive is forgotten. Cheaper than keeping an order of use, and as good for names that come back
 * all the time.
 */
export class GenerationCache<V> {
  readonly #generationSize: number
  #young = new Map<string, V>()
  #old = new Map<string, V>()

  constructor(generationSize: number) {
    this.#generationSize = generationSize
  }

  get(key: string): V | undefined {
    const found = this.#young.get(key)
    if (found !== undefined) return found
    const aged = this.#old.get(key)
    if (aged !== undefined) this.set(key, aged)
    return aged
  }

  /** The key is kept: pass none that is a slice of something large. */
  set(key: string, value: V): void {
    if (this.#young.size >= this.#generationSize) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }

  /**
   * How many values are kept, at most twice `generationSize`. One that was asked for again may
   * count twice.
   */
  get size(): number {
    return this.#young.size + this.#old.size
  }
}
