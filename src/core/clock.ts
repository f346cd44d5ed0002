/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void
}

/** Time and chance, so that tests can hold both. */
export interface Clock {
  /** Milliseconds since 1970, for what people and other servers see. */
  now(): number
  /** Milliseconds that never jump, for measuring how long something took. */
  monotonic(): number
  /** Calls `fn` once after `ms` (rounded up to the clock's tick); `Infinity` never fires. Timers do not keep the process alive. */
  after(ms: number, fn: () => void): Timer
  /** Calls `fn` every `ms` until cancelled. */
  every(ms: number, fn: () => void): Timer
}

const tickMs = 100
const slots = 1024
const never: Timer = { cancel() {} }

class WheelTimer implements Timer {
  fn: (() => void) | undefined
  dueMs: number
  slot: Set<WheelTimer> | undefined
  readonly wheel: TimerWheel

  constructor(wheel: TimerWheel, fn: () => void, dueMs: number) {
    this.wheel = wheel
    this.fn = fn
    this.dueMs = dueMs
  }

  cancel(): void {
    if (this.fn === undefined) return
    this.fn = undefined
    this.wheel.remove(this)
  }
}

/**
 * One wheel for all timers of the process: a connection's time-out costs one small object, not a runtime timer. Times
 * under a second go to `setTimeout`, where a tick of 100 ms would be too coarse.
 */
class TimerWheel {
  readonly #slots: Set<WheelTimer>[] = Array.from({ length: slots }, () => new Set())
  readonly #now: () => number
  #tick: number
  #count = 0
  #driver: NodeJS.Timeout | undefined

  constructor(now: () => number) {
    this.#now = now
    this.#tick = Math.floor(now() / tickMs)
  }

  add(ms: number, fn: () => void): Timer {
    if (this.#count === 0) this.#tick = Math.floor(this.#now() / tickMs)
    const timer = new WheelTimer(this, fn, this.#now() + ms)
    this.#place(timer)
    this.#count++
    this.#driver ??= setInterval(() => this.#advance(), tickMs).unref()
    return timer
  }

  remove(timer: WheelTimer): void {
    timer.slot?.delete(timer)
    timer.slot = undefined
    if (--this.#count > 0) return
    clearInterval(this.#driver)
    this.#driver = undefined
  }

  #place(timer: WheelTimer): void {
    // Later than one turn of the wheel: it comes round, is found not due and is placed again.
    const tick = Math.max(this.#tick + 1, Math.ceil(timer.dueMs / tickMs))
    const slot = this.#slots[Math.min(tick, this.#tick + slots - 1) % slots]
    if (slot === undefined) return
    timer.slot = slot
    slot.add(timer)
  }

  #advance(): void {
    const target = Math.floor(this.#now() / tickMs)
    while (this.#tick < target && this.#count > 0) {
      this.#tick++
      const slot = this.#slots[this.#tick % slots]
      if (slot === undefined || slot.size === 0) continue
      for (const timer of [...slot]) {
        slot.delete(timer)
        timer.slot = undefined
        if (timer.dueMs > this.#tick * tickMs) {
          this.#place(timer)
          continue
        }
        const fn = timer.fn
        timer.cancel()
        fn?.()
      }
    }
  }
}

export function systemClock(): Clock {
  const wheel = new TimerWheel(() => performance.now())
  const after = (ms: number, fn: () => void): Timer => {
    if (ms === Infinity) return never
    if (ms >= 1000) return wheel.add(ms, fn)
    const timer = setTimeout(fn, ms).unref()
    return { cancel: () => clearTimeout(timer) }
  }
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after,
    every(ms, fn) {
      if (ms === Infinity) return never
      const timer = setInterval(fn, ms).unref()
      return { cancel: () => clearInterval(timer) }
    },
  }
}

/** A clock that stands still until a test advances it. */
export class TestClock implements Clock {
  #now: number
  readonly #start: number
  #sequence = 0
  readonly #timers = new Map<number, { dueMs: number; fn: () => void; everyMs?: number }>()

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now
    this.#start = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now - this.#start
  }

  after(ms: number, fn: () => void): Timer {
    return this.#add({ dueMs: this.#now + ms, fn })
  }

  every(ms: number, fn: () => void): Timer {
    return this.#add({ dueMs: this.#now + ms, fn, everyMs: ms })
  }

  /** Moves time on, firing what falls due in order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      let first: [number, { dueMs: number; fn: () => void; everyMs?: number }] | undefined
      for (const entry of this.#timers) {
        if (entry[1].dueMs <= end && (!first || entry[1].dueMs < first[1].dueMs)) first = entry
      }
      if (!first) break
      const [id, timer] = first
      this.#now = Math.max(this.#now, timer.dueMs)
      if (timer.everyMs === undefined) this.#timers.delete(id)
      else timer.dueMs += timer.everyMs
      timer.fn()
    }
    this.#now = end
  }

  #add(timer: { dueMs: number; fn: () => void; everyMs?: number }): Timer {
    if (timer.dueMs === Infinity) return never
    const id = ++this.#sequence
    this.#timers.set(id, timer)
    return { cancel: () => void this.#timers.delete(id) }
  }
}
