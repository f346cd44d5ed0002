import type { Node, Range } from './syntax.ts'
import { isNode, rangeOf } from './syntax.ts'

/** One thing taken out of a text: a part of it is replaced. */
export interface Mutation extends Range {
  readonly replacement: string
  /** What is done, for the report. */
  readonly what: string
}

/** The ways to take a node of a text out. */
export function mutationsOf(node: Node, text: string): readonly Mutation[] {
  const range = rangeOf(node)
  const { test, argument, operator } = node
  switch (node.type) {
    case 'IfStatement':
      if (!isNode(test) || isGuard(node)) return []
      return [{ ...rangeOf(test), replacement: 'false', what: 'the condition never holds' }]
    case 'ExpressionStatement':
      return [{ ...range, replacement: 'void 0', what: 'the statement is gone' }]
    case 'ThrowStatement':
      return [{ ...range, replacement: 'void 0', what: 'nothing is thrown' }]
    case 'ReturnStatement': {
      if (!isNode(argument) || typeof argument['value'] !== 'boolean') return []
      const replacement = String(!argument['value'])
      return [{ ...rangeOf(argument), replacement, what: `returns ${replacement}` }]
    }
    case 'ConditionalExpression':
      return [...replacedBy(node, 'consequent', text), ...replacedBy(node, 'alternate', text)]
    case 'LogicalExpression':
      return operator === '??' ? [] : replacedBy(node, 'left', text)
    default:
      return []
  }
}

export function apply(text: string, { start, end, replacement }: Mutation): string {
  return text.slice(0, start) + replacement + text.slice(end)
}

/** Of the whole only one part is left. */
function replacedBy(node: Node, part: string, text: string): readonly Mutation[] {
  const kept = node[part]
  if (!isNode(kept)) return []
  return [
    { ...rangeOf(node), replacement: `(${text.slice(...kept.range)})`, what: `only the ${part}` },
  ]
}

/** `if (x === undefined) return` tells types apart, and enforces nothing. */
function isGuard({ test, consequent }: Node): boolean {
  const isReturn =
    isNode(consequent) && consequent.type === 'ReturnStatement' && !isNode(consequent['argument'])
  return isReturn && comparesWithUndefined(test)
}

function comparesWithUndefined(test: unknown): boolean {
  if (!isNode(test)) return false
  const { left, right } = test
  if (test.type === 'LogicalExpression') {
    return comparesWithUndefined(left) && comparesWithUndefined(right)
  }
  return test.type === 'BinaryExpression' && isNode(right) && right['name'] === 'undefined'
}
