import type { Suback, Subscribe, Subscription, Unsuback, Unsubscribe } from '../packet/packet.ts'
import type { ProtocolVersion } from '../packet/packet-type.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import type { SubscriptionPlan } from './subscriptions.ts'

/** What became of each filter. */
export type Answers = ReadonlyMap<string, ReasonCode>

/** Filters in one packet: some brokers take no more. */
const filtersAtOnce = 64

/** SUBSCRIBE and UNSUBSCRIBE, and the wait for their answers. */
export class Request {
  readonly packets: readonly (Subscribe | Unsubscribe)[]
  readonly answers: Promise<Answers>
  readonly #pending = new Map<number, readonly string[]>()
  readonly #answers = new Map<string, ReasonCode>()
  readonly #done = Promise.withResolvers<Answers>()

  /** `isTaken` tells packet identifiers that messages have. */
  constructor(
    { subscribe, unsubscribe }: SubscriptionPlan,
    version: ProtocolVersion,
    isTaken: (packetId: number) => boolean,
  ) {
    this.answers = this.#done.promise
    // Messages count upwards from 1: these come from the other end. Until they are answered no message goes out.
    let last = 65_536
    const next = (filters: readonly string[]): number => {
      do last -= 1
      while (isTaken(last))
      this.#pending.set(last, filters)
      return last
    }
    this.packets = [
      ...chunks(unsubscribe).map((filters): Unsubscribe => {
        return { kind: 'unsubscribe', packetId: next(filters), filters, properties: {} }
      }),
      ...chunks(subscribe).map((subscriptions): Subscribe => {
        const filters = subscriptions.map(({ filter }) => filter)
        return { kind: 'subscribe', packetId: next(filters), subscriptions, properties: {} }
      }),
    ]
    this.#settle()
  }

  answered({ packetId, reasonCodes }: Suback | Unsuback): void {
    const filters = this.#pending.get(packetId)
    if (filters === undefined) return
    this.#pending.delete(packetId)
    // UNSUBACK says nothing in MQTT 3.
    filters.forEach((filter, i) => this.#answers.set(filter, reasonCodes[i] ?? ReasonCode.success))
    this.#settle()
  }

  abandon(why: string): void {
    this.#done.reject(new Error(why))
  }

  #settle(): void {
    if (this.#pending.size === 0) this.#done.resolve(this.#answers)
  }
}

function chunks<T extends string | Subscription>(items: readonly T[]): readonly (readonly T[])[] {
  const count = Math.ceil(items.length / filtersAtOnce)
  return Array.from({ length: count }, (_, i) =>
    items.slice(i * filtersAtOnce, (i + 1) * filtersAtOnce),
  )
}
