import { problemAt } from './problem.ts'
import type { ConfigNode, ScalarNode } from './node.ts'
import type { Problem } from './problem.ts'

/** How many values the names may expand to: enough for honest use, too few for a bomb. */
const maxExpandedNodes = 50_000
const maxTextLength = 65_536

/**
 * Puts values in place of names: `NAME` as a whole value (which may be a list or a map), and `@NAME@` inside text.
 * Serves macros, which apply to the whole tree, and keywords, which apply to the values of options.
 */
export class Substitution {
  readonly problems: Problem[] = []
  readonly #values: ReadonlyMap<string, ConfigNode>
  /** Macros are matched in quotes, too; keywords are not, because their names are everyday words (`HOST`). */
  readonly #quoted: boolean
  readonly #expanded = new Map<string, ConfigNode>()
  #nodes = 0

  constructor(values: ReadonlyMap<string, ConfigNode>, options: { readonly quoted: boolean }) {
    this.#values = values
    this.#quoted = options.quoted
  }

  /** The same node, when there is nothing to replace in it. */
  apply(node: ConfigNode): ConfigNode {
    return this.#values.size === 0 ? node : this.#apply(node, [])
  }

  #apply(node: ConfigNode, path: readonly string[]): ConfigNode {
    if (node.kind === 'list') {
      const items = node.items.map((item) => this.#apply(item, path))
      return items.every((item, index) => item === node.items[index]) ? node : { ...node, items }
    }
    if (node.kind === 'map') {
      const entries = node.entries.map((entry) => {
        const value = this.#apply(entry.value, path)
        return value === entry.value ? entry : { ...entry, value }
      })
      return entries.every((entry, index) => entry === node.entries[index])
        ? node
        : { ...node, entries }
    }
    return this.#applyToText(node, path)
  }

  #applyToText(node: ScalarNode, path: readonly string[]): ConfigNode {
    const whole = this.#wholeName(node)
    if (whole !== undefined) {
      const value = this.#expand(whole, node, path)
      if (value === undefined) return node
      this.#nodes += sizeOf(value)
      if (this.#nodes > maxExpandedNodes) return this.#fail(node, 'names expand to too many values')
      // What is wrong with a value is told at the place of use, where its option stands.
      return value.kind === 'scalar' ? { ...value, at: node.at } : value
    }
    if (!node.text.includes('@')) return node
    let length = node.text.length
    const text = node.text.replace(/@(\w+)@/g, (written, name: string) => {
      if (!this.#values.has(name) || length > maxTextLength) return written
      const value = this.#expand(name, node, path)
      if (value === undefined) return written
      if (value.kind === 'scalar') {
        length += value.text.length
        return value.text
      }
      this.#fail(
        node,
        `"${written}" stands for ${value.kind === 'list' ? 'a list' : 'a map'}, not for text`,
      )
      return written
    })
    if (text === node.text) return node
    if (length > maxTextLength) return this.#fail(node, 'names expand to too long a text')
    return { ...node, text }
  }

  /** The name that a text consists of, if it is one: `NAME` or `@NAME@`. */
  #wholeName({ text, plain }: ScalarNode): string | undefined {
    const mayBeBare = this.#quoted || (plain && text === text.toUpperCase())
    if (mayBeBare && this.#values.has(text)) return text
    const name = /^@(\w+)@$/.exec(text)?.[1]
    return name !== undefined && this.#values.has(name) ? name : undefined
  }

  /** The value of a name, with the names inside it replaced. */
  #expand(name: string, user: ScalarNode, path: readonly string[]): ConfigNode | undefined {
    const known = this.#expanded.get(name)
    if (known !== undefined) return known
    const value = this.#values.get(name)
    if (value === undefined) return undefined
    if (path.includes(name)) {
      this.#fail(user, `"${name}" is defined by itself: ${[...path, name].join(', ')}`)
      return undefined
    }
    const expanded = this.#apply(value, [...path, name])
    this.#expanded.set(name, expanded)
    return expanded
  }

  #fail(node: ScalarNode, message: string): ScalarNode {
    const problem = problemAt(node.at, '', message, 'error')
    if (!this.problems.some((other) => other.message === message)) this.problems.push(problem)
    return node
  }
}

const sizes = new WeakMap<ConfigNode, number>()

/** Nodes are shared where a name is used twice, so that sizes have to be remembered to be counted quickly. */
function sizeOf(node: ConfigNode): number {
  const known = sizes.get(node)
  if (known !== undefined) return known
  let size = 1
  if (node.kind === 'list') for (const item of node.items) size += sizeOf(item)
  if (node.kind === 'map') for (const { value } of node.entries) size += sizeOf(value)
  sizes.set(node, size)
  return size
}
