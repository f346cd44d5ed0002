import type { Access, AccessScope, Subject } from './access.ts'
import type { ShaperEntry, ShaperRule, ShaperValue } from './options/rule-types.ts'
import type { Rate } from './options/shaper-types.ts'

/** The part of the configuration that limits depend on. */
export interface ShaperConfig {
  readonly hosts: readonly string[]
  readonly global: ShaperTables & { readonly shaper: ReadonlyMap<string, Rate> }
  forHost(host: string): ShaperTables
}

export interface ShaperTables {
  readonly shaper_rules: ReadonlyMap<string, readonly ShaperEntry[]>
}

const noEntries: readonly ShaperEntry[] = []

/** Works out which limit holds for whom. */
export class Shapers {
  readonly #access: Access
  #config: ShaperConfig
  #hosts: ReadonlySet<string>

  constructor(config: ShaperConfig, access: Access) {
    this.#access = access
    this.#config = config
    this.#hosts = new Set(config.hosts)
  }

  reload(config: ShaperConfig): void {
    this.#config = config
    this.#hosts = new Set(config.hosts)
  }

  /** The rate at which a subject may send; `undefined` means without limit. */
  rate(rule: ShaperRule, subject: Subject, scope: AccessScope): Rate | undefined {
    const value = this.#evaluate(rule, subject, scope)
    if (value === 'none' || value === Infinity) return undefined
    // A plain number is as good as a shaper of that rate.
    return typeof value === 'number' ? { rate: value, burst: value } : finite(value)
  }

  /** The number that a rule gives for a subject; `otherwise` if it gives none. Infinity is a number. */
  limit(rule: ShaperRule, subject: Subject, scope: AccessScope, otherwise: number): number {
    const value = this.#evaluate(rule, subject, scope)
    if (value === 'none') return otherwise
    return typeof value === 'number' ? value : value.rate
  }

  /** The number of a rule that is known by its name alone: `max_user_sessions`. */
  namedLimit(name: string, subject: Subject, scope: AccessScope, otherwise: number): number {
    return this.limit({ kind: 'named', name }, subject, scope, otherwise)
  }

  #evaluate(rule: ShaperRule, subject: Subject, scope: AccessScope): number | 'none' | Rate {
    if (rule.kind === 'none') return 'none'
    if (rule.kind === 'infinity') return Infinity
    const entries = rule.kind === 'inline' ? rule.entries : this.#entriesOf(rule.name, scope)
    for (const { value, condition } of entries) {
      const resolved = this.#resolve(value)
      if (resolved === undefined) continue
      if (this.#access.matchesAll(condition, subject, scope)) return resolved
    }
    return 'none'
  }

  /** `undefined` for a shaper that does not exist: the entry is left out, the warning was given at load. */
  #resolve(value: ShaperValue): number | 'none' | Rate | undefined {
    return typeof value === 'object' ? this.#config.global.shaper.get(value.shaper) : value
  }

  #entriesOf(name: string, scope: AccessScope): readonly ShaperEntry[] {
    const tables =
      typeof scope === 'string'
        ? this.#hosts.has(scope)
          ? this.#config.forHost(scope)
          : undefined
        : this.#config.global
    return tables?.shaper_rules.get(name) ?? noEntries
  }
}

function finite(rate: Rate): Rate | undefined {
  return rate.rate === Infinity ? undefined : rate
}

/**
 * Lets bytes through at a steady rate, with a burst after a pause. Nothing is held back here: whoever reads is told
 * how long to pause.
 */
export class TokenBucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #last: number

  /** `nowMs` is on a clock that never goes back. */
  constructor(rate: Rate, nowMs: number) {
    this.#perMs = rate.rate / 1000
    this.#burst = rate.burst
    this.#tokens = rate.burst
    this.#last = nowMs
  }

  /** Counts bytes that were read; returns for how many milliseconds reading has to pause, 0 for not at all. */
  take(bytes: number, nowMs: number): number {
    const passed = Math.max(0, nowMs - this.#last)
    this.#last = nowMs
    this.#tokens = Math.min(this.#burst, this.#tokens + passed * this.#perMs) - bytes
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens / this.#perMs)
  }
}
