/** A configuration text's name and where its lines start, so that any value can be traced back to its place. */
export class SourceFile {
  readonly name: string
  readonly #text: string
  #lineStarts: readonly number[] | undefined

  constructor(name: string, text: string) {
    this.name = name
    this.#text = text
  }

  /** Line and column (both from 1) of an offset in UTF-16 units. */
  position(offset: number): { line: number; column: number } {
    const starts = (this.#lineStarts ??= lineStarts(this.#text))
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
  }
}

function lineStarts(text: string): readonly number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

/** Where a key or a value stands. There is one object for each place, so its identity names the place. */
export class Place {
  readonly file: SourceFile
  readonly offset: number

  constructor(file: SourceFile, offset: number) {
    this.file = file
    this.offset = offset
  }

  get line(): number {
    return this.file.position(this.offset).line
  }

  get column(): number {
    return this.file.position(this.offset).column
  }

  /** `linnet.yml:12:5` */
  toString(): string {
    const { line, column } = this.file.position(this.offset)
    return `${this.file.name}:${line}:${column}`
  }
}

/**
 * A value as it was written, before any type was applied to it: YAML's own ideas of types are not
 * used, because ejabberd's differ (`yes` is a boolean, `010` may be a password).
 */
export type ConfigNode = ScalarNode | ListNode | MapNode

export interface ScalarNode {
  readonly kind: 'scalar'
  readonly text: string
  /** Written without quotes, so it may be a number or nothing at all. */
  readonly plain: boolean
  readonly at: Place
}

export interface ListNode {
  readonly kind: 'list'
  readonly items: readonly ConfigNode[]
  readonly at: Place
}

/** Keys may repeat here: ejabberd allows it in rule lists, and every other type refuses it. */
export interface MapNode {
  readonly kind: 'map'
  readonly entries: readonly MapEntry[]
  readonly at: Place
}

export interface MapEntry {
  readonly key: string
  readonly keyAt: Place
  readonly value: ConfigNode
}

/** Whether nothing was written: `key:`, `key: ~` or `key: null`. */
export function isNothing(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.plain && /^(?:~|null)?$/.test(node.text)
}

/** The value written for a key; the first one if it is repeated. */
export function entryOf(node: MapNode, key: string): MapEntry | undefined {
  return node.entries.find((entry) => entry.key === key)
}

/** What a message says was found: `the list`, `nothing`, `"abc"`. */
export function describeNode(node: ConfigNode): string {
  if (node.kind !== 'scalar') return node.kind === 'list' ? 'a list' : 'a map'
  if (isNothing(node)) return 'nothing'
  const shown = node.text.length > 60 ? `${node.text.slice(0, 57)}...` : node.text
  return node.plain && /^[-+]?\d+$/.test(shown) ? shown : JSON.stringify(shown)
}

/** Whether two nodes say the same, wherever they stand. */
export function sameNode(a: ConfigNode, b: ConfigNode): boolean {
  if (a === b) return true
  if (a.kind === 'scalar') return b.kind === 'scalar' && a.text === b.text && a.plain === b.plain
  if (a.kind === 'list') {
    return (
      b.kind === 'list' &&
      a.items.length === b.items.length &&
      a.items.every((item, index) => {
        const other = b.items[index]
        return other !== undefined && sameNode(item, other)
      })
    )
  }
  return (
    b.kind === 'map' &&
    a.entries.length === b.entries.length &&
    a.entries.every((entry, index) => {
      const other = b.entries[index]
      return other !== undefined && entry.key === other.key && sameNode(entry.value, other.value)
    })
  )
}

const nowhere = new Place(new SourceFile('(built in)', ''), 0)

/** A node for a value given in code: defaults, and configurations that tests build as objects. */
export function nodeOf(value: unknown, origin: Place = nowhere): ConfigNode {
  const at = new Place(origin.file, origin.offset)
  if (Array.isArray(value)) {
    return { kind: 'list', items: value.map((item) => nodeOf(item, origin)), at }
  }
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]): [string, unknown] => [String(key), item])
    return mapNode(entries, at)
  }
  if (typeof value === 'object' && value !== null) return mapNode(Object.entries(value), at)
  if (value === undefined || value === null) return { kind: 'scalar', text: '', plain: true, at }
  if (typeof value === 'string') return { kind: 'scalar', text: value, plain: false, at }
  if (value === Infinity) return { kind: 'scalar', text: 'infinity', plain: true, at }
  return { kind: 'scalar', text: JSON.stringify(value) ?? '', plain: true, at }
}

function mapNode(written: readonly [string, unknown][], at: Place): MapNode {
  const entries = written
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ({ key, keyAt: at, value: nodeOf(value, at) }))
  return { kind: 'map', entries, at }
}
