import { anyType } from '../options/container-types.ts'
import { isNothing } from '../options/node.ts'
import { readOptions } from '../options/option.ts'
import { didYouMean } from '../options/suggest.ts'
import { ParsedOptions } from './config.ts'
import type { ParseContext, RuleReference } from '../options/context.ts'
import type { ConfigNode, MapEntry } from '../options/node.ts'
import type { Scope, Written } from '../options/option.ts'
import type { Substitution } from '../options/substitute.ts'
import type { ModuleConfig } from './config.ts'
import type { ConfigSchema } from './schema.ts'

/** Modules written in one place; a host may have some from the top and some of its own. */
export interface ModulesPart {
  readonly node: ConfigNode
  readonly ctx: ParseContext
}

interface ReadModule {
  readonly written: Written | undefined
  readonly references: readonly RuleReference[]
}

/**
 * Reads the modules of hosts. What holds for many hosts is read once: only options with keywords in them
 * (`@HOST@`) differ by host.
 */
export class ModuleReader {
  readonly #schema: ConfigSchema
  /** By module as well, because aliases let two modules share a node. */
  readonly #read = new Map<string, Map<ConfigNode, ReadModule>>()

  constructor(schema: ConfigSchema) {
    this.#schema = schema
  }

  read(
    parts: readonly ModulesPart[],
    keywords: Substitution,
    scope: Scope,
  ): {
    readonly modules: ReadonlyMap<string, ModuleConfig>
    readonly references: readonly RuleReference[]
  } {
    const modules = new Map<string, ModuleConfig>()
    const references: RuleReference[] = []
    const seen = new Map<string, MapEntry>()
    for (const { node, ctx } of parts) {
      if (node.kind !== 'map') {
        if (!isNothing(node)) ctx.expected('a map of modules', node)
        continue
      }
      for (const entry of node.entries) {
        const earlier = seen.get(entry.key)
        seen.set(entry.key, entry)
        if (earlier !== undefined) {
          const message = `"${entry.key}" is set twice, first at ${earlier.keyAt.toString()}`
          ctx.report(entry.keyAt, message)
          continue
        }
        const map = this.#schema.modules.get(entry.key)
        if (map === undefined) {
          this.#reportUnknown(entry, ctx)
          continue
        }
        const read = this.#readOnce(entry, keywords.apply(entry.value), ctx)
        references.push(...read.references)
        if (read.written === undefined) continue
        const options = new ParsedOptions(map, read.written, scope)
        modules.set(entry.key, { name: entry.key, options, at: entry.keyAt })
      }
    }
    return { modules, references }
  }

  #readOnce(entry: MapEntry, node: ConfigNode, ctx: ParseContext): ReadModule {
    const ofModule = this.#read.getOrInsertComputed(
      entry.key,
      () => new Map<ConfigNode, ReadModule>(),
    )
    const known = ofModule.get(node)
    if (known !== undefined) return known
    const map = this.#schema.modules.get(entry.key) ?? {}
    const moduleCtx = ctx.at(entry.key).attempt()
    const written = readOptions(map, node, moduleCtx)
    ctx.accept(moduleCtx)
    const read = { written, references: moduleCtx.references }
    ofModule.set(node, read)
    return read
  }

  #reportUnknown(entry: MapEntry, ctx: ParseContext): void {
    if (this.#schema.notBuilt.modules.has(entry.key)) {
      ctx.report(
        entry.keyAt,
        `the module "${entry.key}" is not supported yet and is left out`,
        'warning',
      )
      anyType.parse(entry.value, ctx.at(entry.key))
      return
    }
    const known = [...this.#schema.modules.keys(), ...this.#schema.notBuilt.modules]
    ctx.report(entry.keyAt, `unknown module "${entry.key}"${didYouMean(entry.key, known)}`)
  }
}
