/** Minutes over which averages are taken, by the names that mosquitto gives them. */
const spans = [
  ['1min', 1],
  ['5min', 5],
  ['15min', 15],
] as const

/**
 * How fast a counter rises, per minute, as an average of the last one, five and fifteen minutes in which older times weigh
 * less and less: what mosquitto publishes below `$SYS/broker/load`.
 */
export class Load {
  readonly #read: () => number
  readonly #averages: number[] = spans.map(() => 0)
  #last: number

  constructor(read: () => number) {
    this.#read = read
    this.#last = read()
  }

  /** To be called at each interval; it lasted so many seconds. */
  update(seconds: number): void {
    const value = this.#read()
    const perMinute = ((value - this.#last) * 60) / seconds
    this.#last = value
    spans.forEach(([, minutes], i) => {
      const weight = Math.exp(-seconds / 60 / minutes)
      this.#averages[i] = perMinute + weight * ((this.#averages[i] ?? 0) - perMinute)
    })
  }

  /** `1min` and its average, and so on. */
  averages(): readonly (readonly [span: string, perMinute: number])[] {
    return spans.map(([span], i) => [span, this.#averages[i] ?? 0])
  }
}
