import type { Message } from './message.ts'

/** What all messages weigh that wait in any session of a broker, each counted once however many sessions wait for it. */
export class Ledger {
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  hold(message: Message | undefined): void {
    if (message === undefined) return
    if (message.holders === 0) this.#bytes += message.weight
    message.holders += 1
  }

  release(message: Message | undefined): void {
    if (message === undefined) return
    message.holders -= 1
    if (message.holders === 0) this.#bytes -= message.weight
  }
}
