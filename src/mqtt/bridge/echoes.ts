import { createHash } from 'node:crypto'

/** Messages that are remembered at most; the oldest go first. */
const maxEchoes = 10_000
/** By then a broker that is connected has sent the message back, if it does at all. */
const lifetimeMs = 60_000

interface Echo {
  count: number
  untilMs: number
}

/**
 * What was sent to a broker that will send it back, because it is subscribed to by the same bridge and the broker knows no No
 * Local: ordinary MQTT 3.1.1. Each message is expected back once, by its topic and payload, and then not taken in again.
 */
export class Echoes {
  readonly #nowMs: () => number
  /** Oldest first. */
  readonly #expected = new Map<string, Echo>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get size(): number {
    return this.#expected.size
  }

  /** `topic` and `payload` as the broker got them. */
  expect(topic: string, payload: Uint8Array): void {
    const key = keyOf(topic, payload)
    const count = this.#find(key)?.count ?? 0
    // Last in order of time.
    this.#expected.delete(key)
    this.#expected.set(key, { count: count + 1, untilMs: this.#nowMs() + lifetimeMs })
    if (this.#expected.size <= maxEchoes) return
    for (const oldest of this.#expected.keys()) {
      this.#expected.delete(oldest)
      return
    }
  }

  /** Whether a message is one that was expected; it is not expected any more then. */
  take(topic: string, payload: Uint8Array): boolean {
    if (this.#expected.size === 0) return false
    const key = keyOf(topic, payload)
    const echo = this.#find(key)
    if (echo === undefined) return false
    echo.count -= 1
    if (echo.count === 0) this.#expected.delete(key)
    return true
  }

  /** The broker is connected again: what it did not send back before may come now. */
  prolong(): void {
    const untilMs = this.#nowMs() + lifetimeMs
    for (const echo of this.#expected.values()) echo.untilMs = Math.max(echo.untilMs, untilMs)
  }

  #find(key: string): Echo | undefined {
    const echo = this.#expected.get(key)
    if (echo === undefined || echo.untilMs > this.#nowMs()) return echo
    this.#expected.delete(key)
    return undefined
  }
}

function keyOf(topic: string, payload: Uint8Array): string {
  return createHash('sha256').update(topic).update('\0').update(payload).digest('base64')
}
