import { readNamed } from './acl-types.ts'
import { oneOfType } from './container-types.ts'
import { optional, option, recordType, required } from './option.ts'
import { reservedShapers } from './rule-types.ts'
import { integerType } from './scalar-types.ts'
import { invalid } from './type.ts'
import type { Type } from './type.ts'

/** Bytes per second, and how many may come at once after a pause. */
export interface Rate {
  readonly rate: number
  readonly burst: number
}

const rateType = oneOfType([
  integerType({ min: 1, orInfinity: true }),
  recordType({
    rate: option(integerType({ min: 1 }), required, 'Bytes per second.'),
    burst_size: option(integerType({ min: 1 }), optional, 'Bytes that may come at once; as rate.'),
  }),
])

/** The value of `shaper`. */
export const shapersType: Type<ReadonlyMap<string, Rate>> = {
  name: 'a map (a name: bytes per second)',
  takes: ['map'],
  appends: 'map',
  parse: (node, ctx) =>
    readNamed(node, reservedShapers, ctx, (value, valueCtx) => {
      const parsed = rateType.parse(value, valueCtx)
      if (parsed === invalid) return invalid
      if (typeof parsed === 'number') return { rate: parsed, burst: parsed }
      return { rate: parsed.rate, burst: parsed.burst_size ?? parsed.rate }
    }),
  schema: () => ({ type: 'object', additionalProperties: rateType.schema() }),
}
