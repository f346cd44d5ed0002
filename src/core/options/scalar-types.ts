import { infinityWords, parseDuration } from '../../util/duration.ts'
import { parseSize } from '../../util/size.ts'
import { isNothing } from './node.ts'
import { anyOf, invalid, scalarType } from './type.ts'
import type { DurationUnit } from '../../util/duration.ts'
import type { Type } from './type.ts'

/** ejabberd has three words for it. */
export function isInfinity(text: string): boolean {
  return infinityWords.has(text)
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
  const schema = limits.orInfinity ? { anyOf: [number, { enum: [...infinityWords] }] } : number
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

export interface DurationLimits {
  /** What a number without a unit counts, and the shortest duration there can be. */
  readonly unit?: DurationUnit
  readonly orInfinity?: boolean
  readonly orZero?: boolean
}

/** `5`, `32 seconds`, `2 days`: a number of milliseconds, or `Infinity`. */
export function durationType(limits: DurationLimits = {}): Type<number> {
  const unit = limits.unit ?? 'second'
  const allowInfinity = limits.orInfinity ?? false
  const others = [...(limits.orZero ? ['0'] : []), ...(allowInfinity ? ['infinity'] : [])]
  const name = anyOf([`a duration ("5 minutes"; ${unit}s without a unit)`, ...others])
  const schema = {
    anyOf: [
      { type: 'integer', minimum: limits.orZero ? 0 : 1 },
      { type: 'string', pattern: '^\\+?\\d+ *[a-zA-Z]*$' },
      ...(allowInfinity ? [{ enum: [...infinityWords] }] : []),
    ],
  }
  return scalarType(name, schema, (text, node, ctx) => {
    if (limits.orZero && text === '0') return 0
    const parsed = parseDuration(text, { unit, allowInfinity })
    if (parsed.ok) return parsed.value
    if (parsed.error === 'unknown-unit') {
      const units = anyOf(['ms', 'seconds', 'minutes', 'hours', 'days'])
      ctx.report(node.at, `unknown unit of time in ${ctx.show(node)}, use ${units}`)
      return invalid
    }
    if (parsed.error !== 'too-short') return undefined
    ctx.report(node.at, `${ctx.show(node)} is too short, the least is one ${unit}`)
    return invalid
  })
}

/** `262144`, `64KiB`, `10 MB`: a number of bytes, or `Infinity`. */
export function sizeType(
  limits: { readonly min?: number; readonly orInfinity?: boolean } = {},
): Type<number> {
  const min = limits.min ?? 1
  const allowInfinity = limits.orInfinity ?? false
  const name = `a size in bytes ("64KiB")${allowInfinity ? ' or infinity' : ''}`
  const schema = {
    anyOf: [
      { type: 'integer', minimum: min },
      { type: 'string', pattern: '^\\d+ *[a-zA-Z]*$' },
      ...(allowInfinity ? [{ enum: [...infinityWords] }] : []),
    ],
  }
  return scalarType(name, schema, (text) => {
    const parsed = parseSize(text, { allowInfinity, allowZero: min <= 0 })
    return parsed.ok && parsed.value >= min ? parsed.value : undefined
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
