import type { Clock, Timer } from '../core/clock.ts'
import type { Jid } from './jid/jid.ts'
import type { Iq } from './stanza/stanza.ts'

interface Pending {
  readonly from: Jid
  readonly to: Jid
  readonly timer: Timer
  readonly resolve: (answer: Iq | undefined) => void
}

/** Requests that this server has sent and that are not answered yet. Each ends by its time limit at the latest. */
export class PendingRequests {
  readonly #clock: Clock
  readonly #byId = new Map<string, Pending>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(iq: Iq, timeoutMs: number): Promise<Iq | undefined> {
    const id = iq.id ?? ''
    if (this.#byId.has(id)) throw new Error(`A request with the id "${id}" is pending already`)
    return new Promise((resolve) => {
      const timer = this.#clock.after(timeoutMs, () => {
        this.#byId.delete(id)
        resolve(undefined)
      })
      this.#byId.set(id, { from: iq.from, to: iq.to, timer, resolve })
    })
  }

  /** Whether the response was waited for. Only who was asked can answer, whatever the id (RFC 6120 §8.1.2). */
  settle(response: Iq): boolean {
    if (this.#byId.size === 0 || response.id === undefined) return false
    const pending = this.#byId.get(response.id)
    if (pending === undefined || pending.to !== response.from || pending.from !== response.to) {
      return false
    }
    this.#byId.delete(response.id)
    pending.timer.cancel()
    pending.resolve(response)
    return true
  }
}
