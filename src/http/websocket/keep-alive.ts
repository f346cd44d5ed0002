import type { Clock, Timer } from '../../core/clock.ts'

/** A connection that has to be looked after from time to time. */
export interface KeptAlive {
  /** The list that it stands in; for `KeepAlive` alone. */
  keepAliveTick: number
  /** Does what is due and says when to come again, in the milliseconds of `now`; `Infinity` = never. */
  keepAlive(nowMs: number): number
}

const tickMs = 1000

/**
 * Looks after idle connections without a timer for each: they stand in lists by the second in which something is due for
 * them, and only those whose second has come are looked at.
 */
export class KeepAlive {
  /** Monotonic time, up to a second old, so that asking on each read costs nothing. */
  nowMs: number
  readonly #clock: Clock
  readonly #due = new Map<number, Set<KeptAlive>>()
  #tick: number
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.nowMs = clock.monotonic()
    this.#tick = tickOf(this.nowMs)
  }

  /** Comes to the connection at that time, and not at the one said before. */
  schedule(connection: KeptAlive, dueMs: number): void {
    this.remove(connection)
    if (dueMs === Infinity) return
    if (this.#timer === undefined) {
      this.nowMs = this.#clock.monotonic()
      this.#tick = tickOf(this.nowMs)
      this.#timer = this.#clock.every(tickMs, () => this.#advance())
    }
    const tick = Math.max(this.#tick + 1, Math.ceil(dueMs / tickMs))
    connection.keepAliveTick = tick
    const list = this.#due.get(tick)
    if (list === undefined) this.#due.set(tick, new Set([connection]))
    else list.add(connection)
  }

  remove(connection: KeptAlive): void {
    const list = this.#due.get(connection.keepAliveTick)
    if (list === undefined || !list.delete(connection) || list.size > 0) return
    this.#due.delete(connection.keepAliveTick)
    if (this.#due.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #advance(): void {
    this.nowMs = this.#clock.monotonic()
    const target = tickOf(this.nowMs)
    while (this.#tick < target && this.#due.size > 0) {
      const list = this.#due.get(++this.#tick)
      if (list === undefined) continue
      for (const connection of [...list]) {
        // What was done for one may have ended another.
        if (!list.has(connection)) continue
        this.schedule(connection, connection.keepAlive(this.nowMs))
      }
    }
    this.#tick = target
  }
}

function tickOf(ms: number): number {
  return Math.floor(ms / tickMs)
}

const byClock = new WeakMap<Clock, KeepAlive>()

/** The one that goes by this clock. */
export function keepAliveOf(clock: Clock): KeepAlive {
  let keepAlive = byClock.get(clock)
  if (keepAlive === undefined) {
    keepAlive = new KeepAlive(clock)
    byClock.set(clock, keepAlive)
  }
  return keepAlive
}
