import type { ConfigNode, MapNode, Place } from '../options/node.ts'

const hidden = '"(hidden)"'
/** Keys of secrets where no declaration says so: in the options of modules that are not built yet. */
const secretKey = /(?:^|_)(?:password|passwd|secret|token|credentials?)$/i

/** Writes a tree as YAML, with the values at secret places hidden. */
export function dumpConfig(root: MapNode, secrets: ReadonlySet<Place>): string {
  const dump = new Dump(secrets, keywordsIn(root, secrets))
  dump.map(root, 0)
  return `${dump.lines.join('\n')}\n`
}

class Dump {
  readonly lines: string[] = []
  readonly #secrets: ReadonlySet<Place>
  readonly #secretKeywords: ReadonlySet<string>

  constructor(secrets: ReadonlySet<Place>, secretKeywords: ReadonlySet<string>) {
    this.#secrets = secrets
    this.#secretKeywords = secretKeywords
  }

  map(node: MapNode, depth: number, inKeywords = false): void {
    for (const { key, value } of node.entries) {
      const isSecret =
        this.#secrets.has(value.at) ||
        (value.kind === 'scalar' && secretKey.test(key)) ||
        (inKeywords && this.#secretKeywords.has(key))
      const start = `${'  '.repeat(depth)}${keyText(key)}:`
      if (isSecret) this.lines.push(`${start} ${hidden}`)
      else this.#value(start, value, depth, key === 'define_keyword')
    }
  }

  #value(start: string, node: ConfigNode, depth: number, inKeywords: boolean): void {
    if (node.kind === 'scalar') {
      this.lines.push(
        `${start} ${this.#secrets.has(node.at) ? hidden : scalarText(node.text, node.plain)}`,
      )
    } else if (node.kind === 'map') {
      this.lines.push(node.entries.length === 0 ? `${start} {}` : start)
      this.map(node, depth + 1, inKeywords)
    } else {
      this.lines.push(node.items.length === 0 ? `${start} []` : start)
      const indent = '  '.repeat(depth + 1)
      for (const item of node.items) this.#value(`${indent}-`, item, depth + 1, false)
    }
  }
}

function keyText(key: string): string {
  return /^[A-Za-z0-9_/][\w./-]*$/.test(key) ? key : JSON.stringify(key)
}

/** Quoted unless it reads the same without quotes. */
function scalarText(text: string, plain: boolean): string {
  if (text === '') return plain ? '' : '""'
  const isWord = /^[A-Za-z0-9_/][\w./-]*(?: [\w./-]+)*$/.test(text)
  // A quoted number, null or truth value would become something else without its quotes.
  return isWord && (plain || !/^(?:\d+|null|true|false|yes|no|on|off|y|n)$/i.test(text))
    ? text
    : JSON.stringify(text)
}

/** The keywords that secret values consist of, which must not be shown where they are defined either. */
function keywordsIn(root: ConfigNode, secrets: ReadonlySet<Place>): ReadonlySet<string> {
  const names = new Set<string>()
  const visit = (node: ConfigNode, isSecret: boolean): void => {
    const within = isSecret || secrets.has(node.at)
    if (node.kind === 'list') for (const item of node.items) visit(item, within)
    else if (node.kind === 'map') for (const { value } of node.entries) visit(value, within)
    else if (within) {
      names.add(node.text)
      for (const [, name] of node.text.matchAll(/@(\w+)@/g)) if (name !== undefined) names.add(name)
    }
  }
  visit(root, false)
  return names
}
