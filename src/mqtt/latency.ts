import { flusher } from '../core/net/flusher.ts'
import type { Histogram } from '../core/metrics.ts'

/** About so many messages a second are measured, however many there are. */
const samplesPerTick = 128

/**
 * How long messages take through the broker: from the moment a PUBLISH is taken out of what was read until the packet for a
 * subscriber was given to the kernel, waiting in the session's queue and for commits included. Reading a clock for each
 * message would cost a tenth of what a message costs, so only every nth one is measured; n follows the load, from every message on a quiet
 * broker to about 128 a second on a busy one.
 */
export class LatencySampler {
  /** Messages until the next one is measured: whoever takes a message counts it down, and at 0 calls `begin`. */
  countdown = 1
  /** The message that is being taken right now, if it is measured. */
  current: Sample | undefined = undefined
  readonly #histogram: Histogram
  readonly #monotonic: () => number
  /** Every so many messages one is measured. */
  #interval = 1
  /** In this tick, with one interval. */
  #taken = 0
  /** Messages in this tick, as far as they are known. */
  #seen = 0
  #sent: Sample[] = []
  readonly #flushed = (): void => this.#observe()

  constructor(histogram: Histogram, monotonic: () => number) {
    this.#histogram = histogram
    this.#monotonic = monotonic
  }

  /** The next message that is handed in is measured. */
  begin(): void {
    this.#seen += this.#interval
    this.#taken += 1
    if (this.#taken === samplesPerTick) {
      // More than in the last tick: no need to wait for the next one.
      this.#taken = 0
      this.#interval *= 2
    }
    // It is handed in once more.
    this.countdown = this.#interval + 1
    this.current = new Sample(this, this.#monotonic())
  }

  end(): void {
    this.current = undefined
  }

  /** Once a second. */
  tick(): void {
    this.#interval = Math.max(1, Math.ceil(this.#seen / samplesPerTick))
    this.#seen = 0
    this.#taken = 0
    this.countdown = Math.min(this.countdown, this.#interval)
  }

  /** For samples: the message stands in a connection's output, and leaves when this turn's output does. */
  sent(sample: Sample): void {
    this.#sent.push(sample)
    if (this.#sent.length > 1) return
    // The flusher has set its own course for the same moment already, and so comes before.
    if (flusher.isBusy) setImmediate(this.#flushed)
    else process.nextTick(this.#flushed)
  }

  #observe(): void {
    const now = this.#monotonic()
    const sent = this.#sent
    this.#sent = []
    for (const sample of sent) {
      sample.isLeaving = false
      this.#histogram.observe((now - sample.startMs) / 1000)
    }
  }
}

/** A message that is measured. */
export class Sample {
  readonly startMs: number
  /** It was sent in this turn: subscribers that get it at the same time count once. */
  isLeaving = false
  readonly #sampler: LatencySampler

  constructor(sampler: LatencySampler, startMs: number) {
    this.#sampler = sampler
    this.startMs = startMs
  }

  /** A PUBLISH with the message was given to a connection. */
  sent(): void {
    if (this.isLeaving) return
    this.isLeaving = true
    this.#sampler.sent(this)
  }
}
