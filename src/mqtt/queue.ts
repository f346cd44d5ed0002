import type { Delivery } from './delivery.ts'
import type { Ledger } from './ledger.ts'

/** Used-up places at the front before the rest moves up. */
const maxGap = 64

/** What waits to be sent to one session, oldest first. Limits are the session's affair. */
export class OutgoingQueue {
  #items: (Delivery | undefined)[] = []
  #head = 0
  #bytes = 0
  #qos0 = 0
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  get length(): number {
    return this.#items.length - this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many are of QoS 0. */
  get qos0(): number {
    return this.#qos0
  }

  push(delivery: Delivery): void {
    this.#items.push(delivery)
    this.#ledger.hold(delivery.message)
    this.#ledger.queued += 1
    this.#bytes += delivery.weight
    if (delivery.qos === 0) this.#qos0 += 1
  }

  peek(): Delivery | undefined {
    return this.#items[this.#head]
  }

  shift(): Delivery | undefined {
    const delivery = this.#items[this.#head]
    if (delivery === undefined) return undefined
    this.#items[this.#head++] = undefined
    this.#ledger.release(delivery.message)
    this.#ledger.queued -= 1
    this.#bytes -= delivery.weight
    if (delivery.qos === 0) this.#qos0 -= 1
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    } else if (this.#head > maxGap && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return delivery
  }

  /** Throws away all that is of QoS 0 and says how many that were. */
  dropQoS0(): number {
    const dropped = this.#qos0
    if (dropped > 0) this.#keep(({ qos }) => qos > 0)
    return dropped
  }

  /** Throws away all whose publishers were told that it was not taken. */
  dropRefused(): void {
    for (const { isRefused } of this)
      if (isRefused) return this.#keep((delivery) => !delivery.isRefused)
  }

  #keep(isKept: (delivery: Delivery) => boolean): void {
    const kept = [...this].filter(isKept)
    this.clear()
    for (const delivery of kept) this.push(delivery)
  }

  clear(): void {
    for (const { message } of this) this.#ledger.release(message)
    this.#ledger.queued -= this.length
    this.#items = []
    this.#head = 0
    this.#bytes = 0
    this.#qos0 = 0
  }

  *[Symbol.iterator](): Generator<Delivery, void, undefined> {
    for (let i = this.#head; i < this.#items.length; i++) {
      const delivery = this.#items[i]
      if (delivery !== undefined) yield delivery
    }
  }
}
