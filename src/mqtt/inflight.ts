import type { Delivery } from './delivery.ts'
import type { Ledger } from './ledger.ts'

const maxPacketId = 65_535

/**
 * What was sent to a session with QoS 1 or 2 and is not done, in the order of sending, by packet identifier. Belongs to the
 * session: it outlives the connection.
 */
export class Inflight {
  readonly #deliveries = new Map<number, Delivery>()
  #last = 0
  #bytes = 0
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  get size(): number {
    return this.#deliveries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(packetId: number): Delivery | undefined {
    return this.#deliveries.get(packetId)
  }

  /** Gives the delivery a packet identifier that is not in use (MQTT5 2.2.1-4, 4.3.2-1, 4.3.3-1) and keeps it. There must be one. */
  add(delivery: Delivery): void {
    let packetId = this.#last
    do packetId = packetId === maxPacketId ? 1 : packetId + 1
    while (this.#deliveries.has(packetId))
    delivery.packetId = packetId
    this.restore(delivery)
  }

  /** Keeps a delivery that has its packet identifier already. */
  restore(delivery: Delivery): void {
    this.#last = delivery.packetId
    this.#deliveries.set(delivery.packetId, delivery)
    this.#ledger.hold(delivery.message)
    this.#ledger.inflight += 1
    this.#bytes += delivery.weight
  }

  /** The client has the message; its identifier stays in use until PUBCOMP. */
  release(delivery: Delivery): void {
    this.#bytes -= delivery.weight
    this.#ledger.release(delivery.message)
    delivery.message = undefined
  }

  delete(delivery: Delivery): void {
    if (!this.#deliveries.delete(delivery.packetId)) return
    this.#ledger.inflight -= 1
    this.#ledger.release(delivery.message)
    this.#bytes -= delivery.weight
  }

  clear(): void {
    for (const { message } of this.#deliveries.values()) this.#ledger.release(message)
    this.#ledger.inflight -= this.#deliveries.size
    this.#deliveries.clear()
    this.#bytes = 0
  }

  values(): Iterable<Delivery> {
    return this.#deliveries.values()
  }
}
