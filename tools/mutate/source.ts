import type { Mutation } from './mutation.ts'
import { mutationsOf } from './mutation.ts'
import type { Node, Range } from './syntax.ts'
import { contains, declaredName, isMember, isNode, isStatement, isText } from './syntax.ts'
import { nodesIn, parse, rangeOf } from './syntax.ts'

/** A file of the server: which of its parts enforce something, and how they can be taken out. */
export class Source {
  readonly text: string
  readonly #nodes: readonly Node[]
  readonly #comments: readonly Range[]
  readonly #mutations: readonly Mutation[]

  private constructor(text: string, program: Node) {
    this.text = text
    this.#nodes = nodesIn(program)
    this.#comments = nodesIn(program['comments']).map(rangeOf)
    this.#mutations = this.#nodes.flatMap((node) => mutationsOf(node, text))
  }

  static async parse(text: string): Promise<Source> {
    return new Source(text, await parse(text))
  }

  /** Where something is declared; of what is not, the statements around a text or below a comment with it. */
  rangesOf(place: string): readonly Range[] {
    const declared = this.#nodes.filter((node) => declaredName(node) === place)
    const functions = declared.filter(({ type }) => !/^(?:Property|PropertyDef)/.test(type))
    if (declared.length > 0) return (functions.length > 0 ? functions : declared).map(rangeOf)
    const ranges: Range[] = []
    for (let at = this.text.indexOf(place); at >= 0; at = this.text.indexOf(place, at + 1)) {
      const comment = this.#comments.find(({ start, end }) => start <= at && at < end)
      const statement = comment === undefined ? this.#around(at) : this.#below(comment)
      if (statement !== undefined) ranges.push(this.#withItsCondition(statement))
    }
    return ranges
  }

  /** Everything that can be taken out of a range. */
  mutationsIn(range: Range): readonly Mutation[] {
    return this.#mutations.filter((mutation) => contains(range, mutation))
  }

  /** What can be taken out there where a comment or a text in a range cites something. */
  citedMutationsIn(range: Range, isCitation: (text: string) => boolean): readonly Mutation[] {
    const cites = (part: Range): boolean =>
      contains(range, part) && isCitation(this.text.slice(part.start, part.end))
    const statements = [
      ...this.#comments.filter(cites).map((comment) => this.#below(comment)),
      ...this.#nodes
        .filter((node) => isText(node) && cites(rangeOf(node)))
        .map((node) => this.#around(node.range[0])),
    ]
    const found = statements
      .filter((statement) => statement !== undefined)
      .flatMap((statement) => this.#mutationsAt(statement))
      .filter((mutation) => contains(range, mutation))
    // A comment and a text may cite the same for one statement.
    return [...new Map(found.map((mutation) => [JSON.stringify(mutation), mutation])).values()]
  }

  lineOf(offset: number): number {
    return this.text.slice(0, offset).split('\n').length
  }

  /** The smallest statement around an offset. */
  #around(at: number): Range | undefined {
    return this.#nodes
      .filter((node) => isStatement(node) && contains(rangeOf(node), { start: at, end: at + 1 }))
      .map(rangeOf)
      .sort((a, b) => a.end - a.start - (b.end - b.start))
      .at(0)
  }

  /** Of a statement, or, where that only names a value, of the one behind it that uses it. */
  #mutationsAt(statement: Range): readonly Mutation[] {
    const own = this.mutationsIn(this.#withItsCondition(statement))
    if (own.length > 0) return own
    const next = this.#below(statement)
    return next === undefined ? [] : this.mutationsIn(next)
  }

  /** The statement or member that begins behind a comment or another statement, as a whole. */
  #below({ end }: Range): Range | undefined {
    const next = this.#nodes
      .filter((node) => isStatement(node) || isMember(node))
      .map(rangeOf)
      .filter(({ start }) => start >= end)
    const first = Math.min(...next.map(({ start }) => start))
    return next
      .filter(({ start }) => start === first)
      .sort((a, b) => b.end - a.end)
      .at(0)
  }

  /** A statement that an `if` begins with is taken out by its condition, too. */
  #withItsCondition(statement: Range): Range {
    const owner = this.#nodes.find((node) => {
      const { consequent } = node
      if (node.type !== 'IfStatement' || !isNode(consequent)) return false
      const { body } = consequent
      const first = Array.isArray(body) ? body.find(isNode) : consequent
      return first !== undefined && first.range[0] === statement.start
    })
    return owner === undefined ? statement : { start: owner.range[0], end: statement.end }
  }
}
