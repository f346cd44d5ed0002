import type { Stanza } from '../../xmpp/stanza/stanza.ts'

/** Numbers of stanzas are counted modulo 2^32 (XEP-0198 §4). */
const modulus = 2 ** 32

export function countOnWire(count: number): number {
  return count % modulus
}

/** A stanza that was sent, or would have been, and that the client has not acknowledged. */
export interface Sent {
  readonly stanza: Stanza
  /** When it was sent first: milliseconds since 1970. */
  readonly sentAt: number
  /** Its row in the database, if it is kept there. */
  readonly row: number | undefined
}

/** What a client got and has not acknowledged, in order (XEP-0198 §4). */
export class Unacknowledged {
  #sent = 0
  #queue: Sent[] = []

  /** How many were sent since stream management was enabled. */
  get sent(): number {
    return this.#sent
  }

  get length(): number {
    return this.#queue.length
  }

  add(sent: Sent): void {
    this.#sent++
    this.#queue.push(sent)
  }

  /** The client has `h` (as on the wire); answers what that acknowledges, undefined when so many were never sent. */
  acknowledge(h: number): readonly Sent[] | undefined {
    const before = this.#sent - this.#queue.length
    const count = (h - countOnWire(before) + modulus) % modulus
    return count > this.#queue.length ? undefined : this.#queue.splice(0, count)
  }

  all(): readonly Sent[] {
    return this.#queue
  }

  takeAll(): readonly Sent[] {
    return this.#queue.splice(0)
  }
}
