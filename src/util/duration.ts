import { err, ok } from './result.ts'
import type { Result } from './result.ts'

export type DurationUnit = 'millisecond' | 'second' | 'minute' | 'hour' | 'day'

export type DurationError =
  | 'not-a-duration'
  | 'unknown-unit'
  | 'not-positive'
  /** Shorter than one of the option's base unit. */
  | 'too-short'
  | 'too-long'

export interface DurationOptions {
  /** What a bare number counts, and the least that may be written. */
  readonly unit?: DurationUnit
  readonly allowInfinity?: boolean
}

const unitMs: Readonly<Record<DurationUnit, number>> = {
  millisecond: 1,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
}

const unitNames: ReadonlyMap<string, DurationUnit> = new Map([
  ...namesOf('millisecond', 'ms', 'msec', 'msecs', 'millisec', 'millisecs', 'milliseconds'),
  ...namesOf('second', 's', 'sec', 'secs', 'seconds'),
  ...namesOf('minute', 'm', 'min', 'mins', 'minutes'),
  ...namesOf('hour', 'h', 'hours'),
  ...namesOf('day', 'd', 'days'),
])

function namesOf(unit: DurationUnit, ...names: readonly string[]): [string, DurationUnit][] {
  return [unit, ...names].map((name) => [name, unit])
}

export const infinityWords: ReadonlySet<string> = new Set(['infinity', 'infinite', 'unlimited'])

/**
 * Parses a duration of ejabberd's configuration, such as `30`, `'30'`, `'30s'` or `'1 minute'`, to
 * milliseconds, an infinite one to `Infinity`.
 */
export function parseDuration(
  value: string | number,
  { unit = 'second', allowInfinity = false }: DurationOptions = {},
): Result<number, DurationError> {
  if (allowInfinity && infinityWords.has(String(value))) return ok(Infinity)
  const [, digits, suffix = ''] = /^([+-]?\d+)(.*)$/s.exec(String(value)) ?? []
  if (digits === undefined) return err('not-a-duration')
  const name = suffix.trim().toLowerCase()
  const written = name === '' ? unit : unitNames.get(name)
  if (written === undefined) return err('unknown-unit')
  const ms = Number(digits) * unitMs[written]
  if (ms <= 0) return err('not-positive')
  if (ms < unitMs[unit]) return err('too-short')
  return Number.isSafeInteger(ms) ? ok(ms) : err('too-long')
}

/**
 * Writes a duration in the largest unit that holds it exactly, so that `parseDuration` reads it
 * back.
 */
export function formatDuration(ms: number): string {
  if (ms === Infinity) return 'infinity'
  const units: readonly DurationUnit[] = ['day', 'hour', 'minute', 'second']
  const unit = units.find((candidate) => ms !== 0 && ms % unitMs[candidate] === 0) ?? 'millisecond'
  const count = ms / unitMs[unit]
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
