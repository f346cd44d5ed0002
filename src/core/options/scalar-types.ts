import { isNothing } from './node.ts'
import { anyOf, invalid, scalarType } from './type.ts'
import type { Type } from './type.ts'

/** All three words mean the same in ejabberd. */
export const infinityWords = ['infinity', 'infinite', 'unlimited'] as const

export function isInfinity(text: string): boolean {
  return text === 'infinity' || text === 'infinite' || text === 'unlimited'
}

const truthWords = new Map<string, boolean>([
  ...['true', 'yes', 'on', 'y'].map((word): [string, boolean] => [word, true]),
  ...['false', 'no', 'off', 'n'].map((word): [string, boolean] => [word, false]),
])

export const flagType: Type<boolean> = scalarType('true or false', { type: 'boolean' }, (text) =>
  truthWords.get(text.toLowerCase()),
)

export interface IntegerLimits {
  readonly min?: number
  readonly max?: number
  /** `infinity` is accepted too and read as `Infinity`. */
  readonly orInfinity?: boolean
}

export function integerType(limits: IntegerLimits = {}): Type<number> {
  const { min, max } = limits
  const name = `an integer${rangeText(min, max)}${limits.orInfinity ? ' or infinity' : ''}`
  const number = {
    type: 'integer',
    ...(min === undefined ? {} : { minimum: min }),
    ...(max === undefined ? {} : { maximum: max }),
  }
  const schema = limits.orInfinity ? { anyOf: [number, { enum: infinityWords }] } : number
  return scalarType(name, schema, (text, node) => {
    if (limits.orInfinity && isInfinity(text)) return Infinity
    // A quoted number is text, as in ejabberd.
    if (!node.plain || !/^[-+]?\d+$/.test(text)) return undefined
    const value = Number(text)
    const fits =
      Number.isSafeInteger(value) && value >= (min ?? -Infinity) && value <= (max ?? Infinity)
    return fits ? value : undefined
  })
}

function rangeText(min: number | undefined, max: number | undefined): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`
  if (max !== undefined) return ` up to ${max}`
  if (min === undefined) return ''
  return min === 1 ? ' above 0' : ` from ${min}`
}

const unitMs = { ms: 1, second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const
export type DurationUnit = keyof typeof unitMs

const unitWords: Readonly<Record<DurationUnit, readonly string[]>> = {
  ms: ['ms', 'msec', 'msecs', 'millisec', 'millisecs', 'millisecond', 'milliseconds'],
  second: ['s', 'sec', 'secs', 'second', 'seconds'],
  minute: ['m', 'min', 'mins', 'minute', 'minutes'],
  hour: ['h', 'hour', 'hours'],
  day: ['d', 'day', 'days'],
}

export interface DurationLimits {
  /** What a number without a unit counts, and the shortest duration there can be. */
  readonly unit?: DurationUnit
  readonly orInfinity?: boolean
  readonly orZero?: boolean
}

/** `5`, `32 seconds`, `2 days`: a number of milliseconds, or `Infinity`. */
export function durationType(limits: DurationLimits = {}): Type<number> {
  const unit = limits.unit ?? 'second'
  const others = [...(limits.orZero ? ['0'] : []), ...(limits.orInfinity ? ['infinity'] : [])]
  const name = anyOf([`a duration ("5 minutes"; ${plural(unit)} without a unit)`, ...others])
  const schema = {
    anyOf: [
      { type: 'integer', minimum: limits.orZero ? 0 : 1 },
      { type: 'string', pattern: `^\\d+ *(${Object.values(unitWords).flat().join('|')})?$` },
      ...(limits.orInfinity ? [{ enum: infinityWords }] : []),
    ],
  }
  return scalarType(name, schema, (text, node, ctx) => {
    if (limits.orInfinity && isInfinity(text)) return Infinity
    const match = /^\+?(\d+) *([a-zA-Z]*)$/.exec(text.trim())
    if (match === null) return undefined
    const count = Number(match[1])
    const written = match[2] ?? ''
    const factor = written === '' ? unitMs[unit] : unitFactor(written)
    if (factor === undefined) {
      const known = Object.values(unitWords).map((words) => words[0] ?? '')
      ctx.report(node.at, `unknown unit of time "${written}", use ${anyOf(known)}`)
      return invalid
    }
    const value = count * factor
    if (!Number.isSafeInteger(value)) return undefined
    if (value === 0) return limits.orZero ? 0 : undefined
    if (value >= unitMs[unit]) return value
    ctx.report(node.at, `${ctx.show(node)} is too short, the least is one ${unit}`)
    return invalid
  })
}

function plural(unit: DurationUnit): string {
  return unit === 'ms' ? 'milliseconds' : `${unit}s`
}

function unitFactor(written: string): number | undefined {
  const word = written.toLowerCase()
  if (unitWords.ms.includes(word)) return unitMs.ms
  if (unitWords.second.includes(word)) return unitMs.second
  if (unitWords.minute.includes(word)) return unitMs.minute
  if (unitWords.hour.includes(word)) return unitMs.hour
  return unitWords.day.includes(word) ? unitMs.day : undefined
}

const sizeFactors = new Map([
  ['', 1],
  ['b', 1],
  ['k', 1024],
  ['kib', 1024],
  ['kb', 1000],
  ['m', 1024 ** 2],
  ['mib', 1024 ** 2],
  ['mb', 1000 ** 2],
  ['g', 1024 ** 3],
  ['gib', 1024 ** 3],
  ['gb', 1000 ** 3],
])

/** `262144`, `64KiB`, `10 MB`: a number of bytes, or `Infinity`. */
export function sizeType(
  limits: { readonly min?: number; readonly orInfinity?: boolean } = {},
): Type<number> {
  const min = limits.min ?? 1
  const name = `a size in bytes ("64KiB")${limits.orInfinity ? ' or infinity' : ''}`
  const schema = {
    anyOf: [
      { type: 'integer', minimum: min },
      { type: 'string', pattern: '^\\d+ *([kKmMgG]?[iI]?[bB]?)$' },
      ...(limits.orInfinity ? [{ enum: infinityWords }] : []),
    ],
  }
  return scalarType(name, schema, (text) => {
    if (limits.orInfinity && isInfinity(text)) return Infinity
    const match = /^(\d+) *([a-zA-Z]*)$/.exec(text.trim())
    const factor = match === null ? undefined : sizeFactors.get((match[2] ?? '').toLowerCase())
    if (match === null || factor === undefined) return undefined
    const value = Number(match[1]) * factor
    return Number.isSafeInteger(value) && value >= min ? value : undefined
  })
}

export interface TextLimits {
  readonly nonEmpty?: boolean
  readonly pattern?: RegExp
  /** What the docs and messages call it: `a language tag`. */
  readonly name?: string
}

export function textType(limits: TextLimits = {}): Type<string> {
  const name = limits.name ?? (limits.nonEmpty ? 'text that is not empty' : 'text')
  const schema = {
    // Numbers may stand without quotes where a text is expected: passwords, versions.
    type: ['string', 'number'],
    ...(limits.nonEmpty ? { minLength: 1 } : {}),
    ...(limits.pattern === undefined ? {} : { pattern: limits.pattern.source }),
  }
  return scalarType(name, schema, (text, node) => {
    if (isNothing(node) || (limits.nonEmpty && text === '')) return undefined
    return limits.pattern === undefined || limits.pattern.test(text) ? text : undefined
  })
}

/** BCP 47 in outline, which is all that matters for choosing a translation. */
export const languageType: Type<string> = textType({
  name: 'a language tag',
  pattern: /^[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*$/,
})

/** One of several words; those of `notYet` are accepted with a warning that nothing supports them yet. */
export function choiceType<const C extends string>(
  choices: readonly C[],
  notYet: readonly NoInfer<C>[] = [],
): Type<C> {
  const find = (text: unknown): C | undefined => choices.find((choice) => choice === text)
  const type = scalarType(anyOf(choices), { enum: choices }, (text, node, ctx) => {
    const found = find(text)
    if (found !== undefined && notYet.includes(found)) {
      ctx.report(node.at, `the value "${found}" is not supported yet and has no effect`, 'warning')
    }
    return found
  })
  return { ...type, accepts: (value) => find(value) !== undefined }
}
