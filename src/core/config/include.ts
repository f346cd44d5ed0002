import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { reasonOf } from '../options/file-types.ts'
import { isNothing } from '../options/node.ts'
import { problemAt } from '../options/problem.ts'
import { definedMacros } from './macros.ts'
import { Substitution } from '../options/substitute.ts'
import { parseYaml } from './yaml.ts'
import type { ConfigNode, MapEntry, MapNode, Place } from '../options/node.ts'
import type { Problem } from '../options/problem.ts'

/** Far more than anybody needs, and enough to stop a file that would fill the memory. */
const maxFileBytes = 16 * 1024 * 1024
const maxFiles = 1000

/** Reads a configuration with everything it includes. */
export class FileReader {
  readonly problems: Problem[] = []
  /** Every file that was read, in order. */
  readonly sources: string[] = []
  readonly #environment: ReadonlyMap<string, ConfigNode>
  readonly #keywords: ReadonlyMap<string, ConfigNode>

  /** Macros of the environment and keywords (`HOME`) may stand in the names of files. */
  constructor(
    environment: ReadonlyMap<string, ConfigNode>,
    keywords: ReadonlyMap<string, ConfigNode>,
  ) {
    this.#environment = environment
    this.#keywords = keywords
  }

  /** The tree of a file; `wanted` is where another one asks for it. */
  async read(
    path: string,
    name: string,
    wanted?: Place,
    including: readonly string[] = [],
  ): Promise<MapNode | undefined> {
    if (including.includes(path)) {
      this.#report(wanted, 'include_config_file', `"${path}" includes itself`)
      return undefined
    }
    if (this.sources.length >= maxFiles) {
      this.#report(wanted, 'include_config_file', `more than ${maxFiles} files`)
      return undefined
    }
    this.sources.push(path)
    try {
      const bytes = await readFile(path)
      if (bytes.length > maxFileBytes) {
        this.#fail(name, wanted, 'the file is too large for a configuration')
        return undefined
      }
      return await this.parse(bytes.toString('utf8'), name, path, including)
    } catch (cause) {
      this.#fail(name, wanted, `cannot read "${path}": ${reasonOf(cause)}`)
      return undefined
    }
  }

  /** The tree of a text; `path` is the file that it is in, or would be in. */
  async parse(
    text: string,
    name: string,
    path: string,
    including: readonly string[] = [],
  ): Promise<MapNode | undefined> {
    if (/^\s*(?:%|\{\s*\w+\s*,)/.test(text)) {
      const advice =
        'this is the old format of Erlang terms, convert it by "ejabberdctl convert_to_yaml"'
      this.problems.push({
        severity: 'error',
        file: name,
        line: 1,
        column: 1,
        path: '',
        message: advice,
      })
      return undefined
    }
    const { root, problems } = parseYaml(text.replace(/^\uFEFF/, ''), name)
    this.problems.push(...problems)
    if (root === undefined || isNothing(root)) return undefined
    if (root.kind !== 'map') {
      this.problems.push(problemAt(root.at, '', 'expected a map of options at the top', 'error'))
      return undefined
    }
    this.#refuseRepeats(root)
    return this.#include(root, path, [...including, path])
  }

  /** Puts the options of included files in the place of the `include_config_file` that names them. */
  async #include(root: MapNode, path: string, including: readonly string[]): Promise<MapNode> {
    if (!root.entries.some(({ key }) => key === 'include_config_file')) return root
    const macros = new Substitution(definedMacros(root, this.#environment, []), { quoted: true })
    const keywords = new Substitution(this.#keywords, { quoted: false })
    let merged: readonly MapEntry[] = []
    for (const entry of root.entries) {
      if (entry.key !== 'include_config_file') {
        merged = this.#join(merged, entry)
        continue
      }
      for (const wanted of this.#wantedFiles(keywords.apply(macros.apply(entry.value)))) {
        const file = resolve(dirname(path), wanted.file)
        const included = await this.read(file, file, wanted.at, including)
        for (const option of included?.entries ?? []) {
          if (wanted.accepts(option.key)) merged = this.#join(merged, option)
        }
      }
    }
    return { ...root, entries: merged }
  }

  #wantedFiles(node: ConfigNode): readonly Wanted[] {
    if (node.kind === 'list') return node.items.flatMap((item) => this.#wantedFiles(item))
    if (node.kind === 'scalar') {
      if (node.text !== '') return [{ file: node.text, at: node.at, accepts: () => true }]
      this.#report(node.at, 'include_config_file', 'expected the name of a file')
      return []
    }
    return node.entries.flatMap((entry) => {
      const accepts = this.#filterOf(entry.value)
      return accepts === undefined ? [] : [{ file: entry.key, at: entry.keyAt, accepts }]
    })
  }

  #filterOf(node: ConfigNode): ((option: string) => boolean) | undefined {
    if (isNothing(node)) return () => true
    const names = new Map<string, ReadonlySet<string>>()
    let failed = node.kind !== 'map'
    if (failed) this.#report(node.at, 'include_config_file', 'expected allow_only or disallow')
    for (const { key, keyAt, value } of node.kind === 'map' ? node.entries : []) {
      const items = value.kind === 'list' ? value.items : [value]
      const texts = items.flatMap((item) => (item.kind === 'scalar' ? [item.text] : []))
      if (key !== 'allow_only' && key !== 'disallow') {
        this.#report(keyAt, 'include_config_file', `expected allow_only or disallow, got "${key}"`)
      } else if (names.has(key)) {
        this.#report(keyAt, 'include_config_file', `"${key}" is set twice`)
      } else if (texts.length !== items.length) {
        this.#report(value.at, 'include_config_file', 'expected names of options')
      } else {
        names.set(key, new Set(texts))
        continue
      }
      failed = true
    }
    const only = names.get('allow_only')
    const not = names.get('disallow')
    if (failed) return undefined
    return (option) => (only === undefined || only.has(option)) && not?.has(option) !== true
  }

  /**
   * Adds an option to those that other files have set. Lists and maps grow, as in ejabberd; a single value must
   * not be set twice.
   */
  #join(entries: readonly MapEntry[], added: MapEntry): readonly MapEntry[] {
    const index = entries.findIndex(({ key }) => key === added.key)
    const earlier = entries[index]
    if (earlier === undefined) return [...entries, added]
    const value = joinNodes(earlier.value, added.value)
    if (value !== undefined) return entries.with(index, { ...earlier, value })
    const message = `"${added.key}" is set twice, first at ${earlier.keyAt.toString()}`
    this.#report(added.keyAt, '', message)
    return entries
  }

  #refuseRepeats(root: MapNode): void {
    const seen = new Map<string, MapEntry>()
    for (const entry of root.entries) {
      const earlier = seen.get(entry.key)
      seen.set(entry.key, entry)
      if (earlier === undefined) continue
      const message = `"${entry.key}" is set twice, first at ${earlier.keyAt.toString()}`
      this.#report(entry.keyAt, '', message)
    }
  }

  #report(place: Place | undefined, path: string, message: string): void {
    if (place !== undefined) this.problems.push(problemAt(place, path, message, 'error'))
  }

  #fail(name: string, wanted: Place | undefined, message: string): void {
    if (wanted !== undefined) this.#report(wanted, 'include_config_file', message)
    else
      this.problems.push({ severity: 'error', file: name, line: 1, column: 1, path: '', message })
  }
}

interface Wanted {
  readonly file: string
  readonly at: Place
  accepts(option: string): boolean
}

/** Two lists or two maps one after the other; `undefined` for anything else. */
export function joinNodes(first: ConfigNode, second: ConfigNode): ConfigNode | undefined {
  if (first.kind === 'list' && second.kind === 'list') {
    return { ...first, items: [...first.items, ...second.items] }
  }
  if (first.kind === 'map' && second.kind === 'map') {
    return { ...first, entries: [...first.entries, ...second.entries] }
  }
  return undefined
}
