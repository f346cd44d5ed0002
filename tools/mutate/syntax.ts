import type { ParserOptions } from 'prettier'
import { parsers } from 'prettier/plugins/typescript'

/** A part of a text, from an offset to the one behind its end. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** A node of the syntax tree (ESTree). */
export interface Node {
  readonly type: string
  readonly range: readonly [start: number, end: number]
  readonly [name: string]: unknown
}

/** Parses TypeScript with the parser that formats it. Throws on a text that is none. */
export async function parse(text: string): Promise<Node> {
  // The parser looks at nothing but the file's name.
  const options = { filepath: 'source.ts' } as ParserOptions
  const program: unknown = await parsers.typescript.parse(text, options)
  if (!isNode(program)) throw new Error('Cannot read what the parser returned')
  return program
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'range' in value
}

/** A node and all below it; of a list, those of each. Comments are not below what they stand in. */
export function nodesIn(value: unknown): readonly Node[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn)
  if (!isNode(value)) return []
  const parts = Object.entries(value)
    .filter(([name]) => name !== 'comments' && name !== 'tokens')
    .flatMap(([, part]) => nodesIn(part))
  return [value, ...parts]
}

export function rangeOf({ range }: Node): Range {
  return { start: range[0], end: range[1] }
}

export function contains(outer: Range, inner: Range): boolean {
  return outer.start <= inner.start && inner.end <= outer.end
}

export function isText({ type, value }: Node): boolean {
  return type === 'TemplateLiteral' || (type === 'Literal' && typeof value === 'string')
}

export function isStatement({ type }: Node): boolean {
  if (type === 'BlockStatement') return false
  return type.endsWith('Statement') || type.endsWith('Declaration')
}

const members = new Set(['MethodDefinition', 'PropertyDefinition', 'Property'])

export function isMember({ type }: Node): boolean {
  return members.has(type)
}

/** The name of what a node declares. */
export function declaredName(node: Node): string | undefined {
  if (node.type !== 'VariableDeclarator' && !isStatement(node) && !isMember(node)) return undefined
  // `{ text }` mentions what is declared elsewhere.
  if (node['shorthand'] === true) return undefined
  const own = node['id'] ?? node['key']
  return isNode(own) && typeof own['name'] === 'string' ? own['name'] : undefined
}
