/** Something that gathers output during a turn of the event loop. Its `flush` does nothing when there is nothing. */
export interface Flushable {
  flush(): void
}

/** From so many reads in a turn on, waiting for its end merges more than it delays. */
const busyReads = 4
/** In quiet times one read in so many is followed by a look at how many others its turn had. */
const probeEvery = 16
/** So many turns with few reads one after another end a busy time. */
const calmTurns = 8

/**
 * Decides when gathered output leaves. A write costs several microseconds of kernel time whatever its size, so that one
 * after all reads of a turn saves much when there are many; when there are few, waiting would only cost a round of the loop.
 *
 * - quiet: at the end of the current callback (`process.nextTick`), that is, after each read;
 * - busy: after all callbacks of the turn (`setImmediate`).
 *
 * Turns are not announced to JavaScript. A `setImmediate` runs when one has ended; in busy times there is one anyway, in quiet
 * times one is spent on every 16th read.
 */
export class Flusher {
  #dirty: Flushable[] = []
  #isScheduled = false
  #isBusy = false
  #reads = 0
  #untilProbe = probeEvery
  #calm = 0
  readonly #flushNow = (): void => this.#flush()
  readonly #endTurn = (): void => this.#turnEnded()
  readonly #endProbe = (): void => this.#probeEnded()

  /** Whether output waits for the end of the turn. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** To be called at the start of each read. */
  countRead(): void {
    this.#reads++
    if (this.#isBusy || --this.#untilProbe > 0) return
    this.#untilProbe = Infinity
    this.#reads = 1
    setImmediate(this.#endProbe)
  }

  /** Has it flushed soon; the caller sees to it that it is in the list once. */
  add(item: Flushable): void {
    this.#dirty.push(item)
    if (this.#isScheduled) return
    this.#isScheduled = true
    if (this.#isBusy) setImmediate(this.#endTurn)
    else process.nextTick(this.#flushNow)
  }

  #probeEnded(): void {
    this.#untilProbe = probeEvery
    this.#isBusy = this.#reads >= busyReads
    this.#calm = 0
    this.#reads = 0
  }

  #turnEnded(): void {
    this.#calm = this.#reads >= busyReads ? 0 : this.#calm + 1
    this.#reads = 0
    if (this.#calm >= calmTurns) this.#isBusy = false
    this.#flush()
  }

  #flush(): void {
    const dirty = this.#dirty
    // What becomes dirty meanwhile (a drained connection that is fed again) goes into the next round.
    this.#dirty = []
    this.#isScheduled = false
    for (const item of dirty) item.flush()
  }
}

/** The one of this process: a turn is a turn for all connections. */
export const flusher: Flusher = new Flusher()
