export interface BoundedQueueLimits {
  readonly maxItems: number
  /** Of the sizes given at `push`; without it only items are counted. */
  readonly maxBytes?: number
}

const firstCapacity = 8
/** An array that grew beyond this is given back once the queue is empty. */
const keptCapacity = 64

/**
 * First in, first out, bounded by count and by bytes. What happens when it is full is up to who
 * fills it: `push` only says so. An empty queue that was never used holds no memory but its own.
 */
export class BoundedQueue<T> {
  readonly #maxItems: number
  readonly #maxBytes: number
  /** A ring whose length is a power of two; `#sizes` runs beside it. */
  #items: (T | undefined)[] = []
  #sizes: number[] = []
  #head = 0
  #length = 0
  #bytes = 0

  constructor({ maxItems, maxBytes = Infinity }: BoundedQueueLimits) {
    this.#maxItems = maxItems
    this.#maxBytes = maxBytes
  }

  get length(): number {
    return this.#length
  }

  /** The sum of the sizes of what is queued. */
  get bytes(): number {
    return this.#bytes
  }

  /** Would an item of that size be refused now? */
  isFull(bytes = 0): boolean {
    return this.#length >= this.#maxItems || this.#bytes + bytes > this.#maxBytes
  }

  /**
   * Appends an item, or returns false and leaves the queue as it is if that would exceed a limit.
   */
  push(item: T, bytes = 0): boolean {
    if (this.isFull(bytes)) return false
    if (this.#length === this.#items.length) this.#grow()
    const index = (this.#head + this.#length) & (this.#items.length - 1)
    this.#items[index] = item
    this.#sizes[index] = bytes
    this.#length++
    this.#bytes += bytes
    return true
  }

  /** The oldest item, which stays; undefined if the queue is empty. */
  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head]
  }

  /** Takes the oldest item; undefined if the queue is empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head] = undefined
    this.#bytes -= this.#sizes[this.#head] ?? 0
    this.#head = (this.#head + 1) & (this.#items.length - 1)
    this.#length--
    if (this.#length === 0 && this.#items.length > keptCapacity) this.clear()
    return item
  }

  clear(): void {
    this.#items = []
    this.#sizes = []
    this.#head = 0
    this.#length = 0
    this.#bytes = 0
  }

  /** From the oldest to the newest, which stay. The queue must not change meanwhile. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let i = 0; i < this.#length; i++) {
      // Within the length every slot holds an item, which may itself be undefined.
      yield this.#items[(this.#head + i) & (this.#items.length - 1)] as T
    }
  }

  #grow(): void {
    const capacity = Math.max(firstCapacity, this.#items.length * 2)
    const items: (T | undefined)[] = []
    const sizes: number[] = []
    for (let i = 0; i < capacity; i++) {
      const from = (this.#head + i) & (this.#items.length - 1)
      items.push(i < this.#length ? this.#items[from] : undefined)
      sizes.push(i < this.#length ? (this.#sizes[from] ?? 0) : 0)
    }
    this.#items = items
    this.#sizes = sizes
    this.#head = 0
  }
}
