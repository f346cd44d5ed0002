import { anyOf, invalid } from './type.ts'
import type { ParseContext } from './context.ts'
import type { ConfigNode, MapEntry } from './node.ts'
import type { Invalid, Type } from './type.ts'

export interface ListLimits {
  readonly nonEmpty?: boolean
  /** The same value twice is an error. */
  readonly unique?: boolean
}

/** A list; a single value counts as a list of one, as in ejabberd. */
export function listType<T>(of: Type<T>, limits: ListLimits = {}): Type<readonly T[]> {
  const name = `a list (each ${of.name})`
  return {
    name,
    takes: [...new Set<ConfigNode['kind']>(['list', ...of.takes])],
    appends: 'list',
    parse(node, ctx) {
      if (node.kind !== 'list') {
        if (!of.takes.includes(node.kind)) {
          ctx.expected(name, node)
          return invalid
        }
        const only = of.parse(node, ctx)
        return only === invalid ? invalid : [only]
      }
      if (limits.nonEmpty && node.items.length === 0) {
        ctx.report(node.at, 'the list must not be empty')
        return invalid
      }
      return parseItems(node.items, of, limits, ctx)
    },
    schema() {
      const items = of.schema()
      const list = {
        type: 'array',
        items,
        ...(limits.nonEmpty ? { minItems: 1 } : {}),
        ...(limits.unique ? { uniqueItems: true } : {}),
      }
      return { anyOf: [list, items] }
    },
  }
}

function parseItems<T>(
  items: readonly ConfigNode[],
  of: Type<T>,
  limits: ListLimits,
  ctx: ParseContext,
): readonly T[] | Invalid {
  const values: T[] = []
  const seen = new Set<T>()
  let failed = false
  for (const [index, item] of items.entries()) {
    const itemCtx = ctx.at(index)
    const value = of.parse(item, itemCtx)
    if (value === invalid) {
      failed = true
    } else if (limits.unique && seen.has(value)) {
      itemCtx.report(item.at, `${ctx.show(item)} is listed twice`)
      failed = true
    } else {
      seen.add(value)
      values.push(value)
    }
  }
  return failed ? invalid : values
}

/** A map whose keys are free; it keeps the order in which they were written. */
export function mapType<K, V>(
  key: Type<K>,
  value: Type<V>,
  limits: { readonly nonEmpty?: boolean } = {},
): Type<ReadonlyMap<K, V>> {
  const name = `a map (${key.name}: ${value.name})`
  return {
    name,
    takes: ['map'],
    appends: 'map',
    parse(node, ctx) {
      if (node.kind !== 'map') {
        ctx.expected('a map', node)
        return invalid
      }
      if (limits.nonEmpty && node.entries.length === 0) {
        ctx.report(node.at, 'the map must not be empty')
        return invalid
      }
      const values = new Map<K, V>()
      let failed = !reportRepeats(node.entries, ctx)
      for (const entry of node.entries) {
        const parsedKey = key.parse(keyNode(entry), ctx)
        const parsedValue = value.parse(entry.value, ctx.at(entry.key))
        if (parsedKey === invalid || parsedValue === invalid) failed = true
        else values.set(parsedKey, parsedValue)
      }
      return failed ? invalid : values
    },
    schema: () => ({ type: 'object', additionalProperties: value.schema() }),
  }
}

function keyNode(entry: MapEntry): ConfigNode {
  return { kind: 'scalar', text: entry.key, plain: true, at: entry.keyAt }
}

/** Reports keys that are written more than once; false if there is any. */
export function reportRepeats(entries: readonly MapEntry[], ctx: ParseContext): boolean {
  const first = new Map<string, MapEntry>()
  let unique = true
  for (const entry of entries) {
    const earlier = first.get(entry.key)
    if (earlier === undefined) {
      first.set(entry.key, entry)
      continue
    }
    unique = false
    ctx.report(entry.keyAt, `"${entry.key}" is set twice, first at ${earlier.keyAt.toString()}`)
  }
  return unique
}

/** Any of several types: the first that accepts the value. */
export function oneOfType<const T extends readonly Type<unknown>[]>(
  types: T,
): Type<T[number] extends Type<infer V> ? V : never>
export function oneOfType(types: readonly Type<unknown>[]): Type<unknown> {
  const name = anyOf(types.map((type) => type.name))
  return {
    name,
    takes: [...new Set(types.flatMap((type) => type.takes))],
    parse(node, ctx) {
      const candidates = types.filter((type) => type.takes.includes(node.kind))
      for (const candidate of candidates) {
        // The only candidate may speak for itself: it knows best what is wrong inside.
        const attempt = candidates.length === 1 ? ctx : ctx.attempt()
        const value = candidate.parse(node, attempt)
        if (value === invalid && attempt !== ctx) continue
        if (attempt !== ctx) ctx.accept(attempt)
        return value
      }
      ctx.expected(name, node)
      return invalid
    },
    schema: () => ({ anyOf: types.map((type) => type.schema()) }),
  }
}

/** Whatever was written, checked for repeated keys only. */
export const anyType: Type<ConfigNode> = {
  name: 'any value',
  takes: ['scalar', 'list', 'map'],
  parse: (node, ctx) => (hasNoRepeats(node, ctx) ? node : invalid),
  schema: () => ({}),
}

function hasNoRepeats(node: ConfigNode, ctx: ParseContext): boolean {
  if (node.kind === 'scalar') return true
  if (node.kind === 'list') {
    return node.items.map((item, index) => hasNoRepeats(item, ctx.at(index))).every(Boolean)
  }
  const nested = node.entries.map((entry) => hasNoRepeats(entry.value, ctx.at(entry.key)))
  return reportRepeats(node.entries, ctx) && nested.every(Boolean)
}

/** A type whose values are turned into something handier once they are read. */
export function changedType<A, B>(type: Type<A>, change: (value: A) => B): Type<B> {
  return {
    name: type.name,
    takes: type.takes,
    ...(type.appends === undefined ? {} : { appends: type.appends }),
    parse(node, ctx) {
      const value = type.parse(node, ctx)
      return value === invalid ? invalid : change(value)
    },
    schema: () => type.schema(),
  }
}
