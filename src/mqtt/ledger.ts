import type { Message } from './message.ts'

/** What all messages weigh that wait in any session of a broker, each counted once however many sessions wait for it. */
export class Ledger {
  /** Messages in queues and in flight, counted once for each session. */
  queued = 0
  inflight = 0
  #bytes = 0
  #messages = 0

  get bytes(): number {
    return this.#bytes
  }

  get messages(): number {
    return this.#messages
  }

  hold(message: Message | undefined): void {
    if (message === undefined) return
    if (message.holders === 0) {
      this.#bytes += message.weight
      this.#messages += 1
    }
    message.holders += 1
  }

  release(message: Message | undefined): void {
    if (message === undefined) return
    message.holders -= 1
    if (message.holders > 0) return
    this.#bytes -= message.weight
    this.#messages -= 1
  }
}
