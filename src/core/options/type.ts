import type { ParseContext } from './context.ts'
import type { ConfigNode, ScalarNode } from './node.ts'

export type JsonSchema = { readonly [key: string]: unknown }

/** What `parse` returns after it has reported why. */
export const invalid: unique symbol = Symbol('invalid')
export type Invalid = typeof invalid

/** A kind of value that an option can have: how it is read, and how it is described. */
export interface Type<out T> {
  /** In the words of the docs and of messages: `a duration`, `a list of host names`. */
  readonly name: string
  /** Which kinds of nodes can be meant as this type at all. */
  readonly takes: readonly ConfigNode['kind'][]
  /** Lists and maps can be extended by `append_host_config`, nothing else can. */
  readonly appends?: 'list' | 'map'
  parse(node: ConfigNode, ctx: ParseContext): T | Invalid
  schema(): JsonSchema
  /** Whether a value taken over from another option fits this type; absent: every one does. */
  accepts?(value: unknown): boolean
}

/** A type that is written as a single value; `read` returns `undefined` when the text does not fit. */
export function scalarType<T>(
  name: string,
  schema: JsonSchema,
  read: (text: string, node: ScalarNode, ctx: ParseContext) => T | Invalid | undefined,
): Type<T> {
  return {
    name,
    takes: ['scalar'],
    parse(node, ctx) {
      const value = node.kind === 'scalar' ? read(node.text, node, ctx) : undefined
      if (value !== undefined) return value
      ctx.expected(name, node)
      return invalid
    },
    schema: () => schema,
  }
}

/** `a`, `a or b`, `a, b or c` */
export function anyOf(words: readonly string[]): string {
  if (words.length < 2) return words.join('')
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`
}
