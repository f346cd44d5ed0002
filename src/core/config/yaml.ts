import { isAlias, isMap, isPair, isScalar, isSeq, parseDocument } from 'yaml'
import { Place, SourceFile } from '../options/node.ts'
import { problemAt } from '../options/problem.ts'
import type { ConfigNode, MapEntry } from '../options/node.ts'
import type { Problem } from '../options/problem.ts'

/** Deeper than any configuration goes, and far from exhausting the stack. */
const maxDepth = 64
/** How many nodes aliases may add: enough for honest use, too few for a bomb. */
const maxAliasedNodes = 50_000
const maxProblems = 20

export interface ParsedYaml {
  /** Absent if there were problems, or if the text holds nothing. */
  readonly root: ConfigNode | undefined
  readonly problems: readonly Problem[]
}

/** Reads a YAML text as it stands: values stay text, keys may repeat, and every node knows its place. */
export function parseYaml(text: string, name: string): ParsedYaml {
  const file = new SourceFile(name, text)
  const converter = new Converter(file)
  try {
    const document = parseDocument(text, {
      // Only strings, lists and maps: what a value means is for the option's type to say.
      schema: 'failsafe',
      uniqueKeys: false,
      prettyErrors: false,
    })
    for (const { pos, message } of [...document.errors, ...document.warnings].slice(
      0,
      maxProblems,
    )) {
      converter.report(
        pos[0],
        message.replace(/^./, (first) => first.toLowerCase()),
      )
    }
    if (converter.problems.length > 0) return { root: undefined, problems: converter.problems }
    const root = document.contents === null ? undefined : converter.convert(document.contents, 0)
    return {
      root: converter.problems.length === 0 ? root : undefined,
      problems: converter.problems,
    }
  } catch (cause) {
    // The library reports what it finds; whatever it throws is a text that it cannot cope with.
    converter.report(
      0,
      `cannot be read as YAML: ${cause instanceof Error ? cause.message : String(cause)}`,
    )
    return { root: undefined, problems: converter.problems }
  }
}

class Converter {
  readonly problems: Problem[] = []
  readonly #file: SourceFile
  readonly #anchors = new Map<string, { readonly node: ConfigNode; readonly size: number }>()
  #size = 0
  #aliased = 0

  constructor(file: SourceFile) {
    this.#file = file
  }

  report(offset: number, message: string): void {
    if (this.problems.length >= maxProblems) return
    this.problems.push(problemAt(new Place(this.#file, offset), '', message, 'error'))
  }

  convert(source: unknown, depth: number): ConfigNode {
    const at = new Place(this.#file, offsetOf(source))
    const sizeBefore = this.#size++
    if (depth > maxDepth) {
      this.report(at.offset, `nested more than ${maxDepth} levels deep`)
      return { kind: 'scalar', text: '', plain: true, at }
    }
    if (isAlias(source)) return this.#resolve(source.source, at)
    const node = this.#convertValue(source, at, depth)
    if ((isScalar(source) || isMap(source) || isSeq(source)) && source.anchor !== undefined) {
      this.#anchors.set(source.anchor, { node, size: this.#size - sizeBefore })
    }
    return node
  }

  #convertValue(source: unknown, at: Place, depth: number): ConfigNode {
    if (isSeq(source)) {
      return { kind: 'list', items: source.items.map((item) => this.convert(item, depth + 1)), at }
    }
    if (isMap(source)) {
      const entries: MapEntry[] = []
      for (const pair of source.items) {
        if (!isPair(pair)) continue
        const keyAt = new Place(this.#file, offsetOf(pair.key) || at.offset)
        if (!isScalar(pair.key)) this.report(keyAt.offset, 'a key has to be a single value')
        const key = isScalar(pair.key) ? textOf(pair.key.value) : ''
        entries.push({ key, keyAt, value: this.#convertEntry(pair.value, keyAt, depth) })
      }
      return { kind: 'map', entries, at }
    }
    if (!isScalar(source)) return { kind: 'scalar', text: '', plain: true, at }
    return { kind: 'scalar', text: textOf(source.value), plain: source.type === 'PLAIN', at }
  }

  /** `{key}` has no value node at all; its place is that of the key. */
  #convertEntry(value: unknown, keyAt: Place, depth: number): ConfigNode {
    if (value === null || value === undefined)
      return { kind: 'scalar', text: '', plain: true, at: keyAt }
    return this.convert(value, depth + 1)
  }

  #resolve(name: string, at: Place): ConfigNode {
    const anchor = this.#anchors.get(name)
    if (anchor === undefined)
      this.report(at.offset, `there is no anchor "&${name}" before this alias`)
    this.#aliased += anchor?.size ?? 0
    this.#size += anchor?.size ?? 0
    if (this.#aliased > maxAliasedNodes) this.report(at.offset, 'aliases expand to too many values')
    if (anchor === undefined || this.#aliased > maxAliasedNodes) {
      return { kind: 'scalar', text: '', plain: true, at }
    }
    return anchor.node
  }
}

function offsetOf(source: unknown): number {
  if (!isScalar(source) && !isMap(source) && !isSeq(source) && !isAlias(source)) return 0
  return source.range?.[0] ?? 0
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
