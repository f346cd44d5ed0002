/**
 * Counters that hot paths touch with one addition, and gauges that are read only when somebody scrapes. Written out in
 * the Prometheus text format (exposition format 0.0.4).
 */
export class Counter {
  value = 0

  add(n = 1): void {
    this.value += n
  }
}

export class Histogram {
  readonly bounds: readonly number[]
  readonly counts: number[]
  sum = 0
  count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    this.sum += value
    this.count++
    for (let i = 0; i < this.bounds.length; i++) {
      if (value <= (this.bounds[i] ?? Infinity)) {
        this.counts[i] = (this.counts[i] ?? 0) + 1
        break
      }
    }
  }
}

export type Labels = Readonly<Record<string, string>>

interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly series: Map<string, { labels: Labels; source: Counter | Histogram | (() => number) }>
}

export class Metrics {
  readonly #families = new Map<string, Family>()

  /** The counter of that name and labels; the same object on every call, so keep it. Names end in `_total`. */
  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#series(name, 'counter', help, labels, () => new Counter())
  }

  /** A counter that is kept elsewhere, and read when somebody asks; the last function given for the same labels counts. */
  counterOf(name: string, help: string, read: () => number, labels: Labels = {}): void {
    const family = this.#family(name, 'counter', help)
    family.series.set(keyOf(labels), { labels, source: read })
  }

  /** A gauge that is computed when it is read; the last function given for the same labels counts. */
  gauge(name: string, help: string, read: () => number, labels: Labels = {}): void {
    const family = this.#family(name, 'gauge', help)
    family.series.set(keyOf(labels), { labels, source: read })
  }

  /** Upper bounds in the unit of the name (`_seconds`, `_bytes`). */
  histogram(name: string, help: string, bounds: readonly number[], labels: Labels = {}): Histogram {
    return this.#series(name, 'histogram', help, labels, () => new Histogram(bounds))
  }

  /** Removes one series (a module's at its stop). */
  remove(name: string, labels: Labels = {}): void {
    this.#families.get(name)?.series.delete(keyOf(labels))
  }

  render(): string {
    let out = ''
    for (const family of this.#families.values()) {
      if (family.series.size === 0) continue
      out += `# HELP ${family.name} ${family.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`
      out += `# TYPE ${family.name} ${family.type}\n`
      for (const { labels, source } of family.series.values()) {
        if (source instanceof Histogram) out += renderHistogram(family.name, labels, source)
        else {
          const value = source instanceof Counter ? source.value : source()
          out += `${family.name}${renderLabels(labels)} ${value}\n`
        }
      }
    }
    return out
  }

  #family(name: string, type: Family['type'], help: string): Family {
    let family = this.#families.get(name)
    if (family === undefined) {
      family = { name, type, help, series: new Map() }
      this.#families.set(name, family)
    }
    if (family.type !== type) throw new Error(`Metric "${name}" is already a ${family.type}`)
    return family
  }

  #series<T extends Counter | Histogram>(
    name: string,
    type: 'counter' | 'histogram',
    help: string,
    labels: Labels,
    create: () => T,
  ): T {
    const family = this.#family(name, type, help)
    const key = keyOf(labels)
    const found = family.series.get(key)
    if (found !== undefined) return found.source as T // of the family's type, checked in #family
    const source = create()
    family.series.set(key, { labels, source })
    return source
  }
}

function keyOf(labels: Labels): string {
  let key = ''
  for (const name in labels) key += `${name}\u0000${labels[name]}\u0001`
  return key
}

function renderLabels(labels: Labels, extra = ''): string {
  const parts = Object.entries(labels).map(
    ([name, value]) =>
      `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
  )
  if (extra !== '') parts.push(extra)
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function renderHistogram(name: string, labels: Labels, histogram: Histogram): string {
  let out = ''
  let cumulative = 0
  histogram.bounds.forEach((bound, i) => {
    cumulative += histogram.counts[i] ?? 0
    out += `${name}_bucket${renderLabels(labels, `le="${bound}"`)} ${cumulative}\n`
  })
  out += `${name}_bucket${renderLabels(labels, 'le="+Inf"')} ${histogram.count}\n`
  out += `${name}_sum${renderLabels(labels)} ${histogram.sum}\n`
  return `${out}${name}_count${renderLabels(labels)} ${histogram.count}\n`
}
