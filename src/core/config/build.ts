import { reportRepeats } from '../options/container-types.ts'
import { ParseContext } from '../options/context.ts'
import { entryOf, isNothing } from '../options/node.ts'
import { defaultOf, parseOption, reportStatus } from '../options/option.ts'
import { domainType } from '../options/net-types.ts'
import { Substitution } from '../options/substitute.ts'
import { didYouMean } from '../options/suggest.ts'
import { invalid } from '../options/type.ts'
import { Config } from './config.ts'
import { joinNodes } from './include.ts'
import { readListeners } from './listeners.ts'
import { ModuleReader } from './modules.ts'
import { checkRules } from './rules-check.ts'
import { globalOptions, hostOptions, structuralOptions, topLevelOptions } from './toplevel.ts'
import type { HostName } from '../../xmpp/jid/jid.ts'
import type { ConfigNode, MapEntry, MapNode } from '../options/node.ts'
import type { LookUp, Option, Scope } from '../options/option.ts'
import type { Problem } from '../options/problem.ts'
import type { ModuleConfig } from './config.ts'
import type { HostRules } from './rules-check.ts'
import type { ConfigSchema } from './schema.ts'
import type { GlobalValues, HostValues } from './toplevel.ts'
import type { ModulesPart } from './modules.ts'

export interface BuildSettings {
  readonly schema: ConfigSchema
  readonly version: string
  /** Keywords that exist everywhere: `HOME`, `CONFIG_PATH` and so on. */
  readonly keywords: ReadonlyMap<string, ConfigNode>
  readonly directory: string
  readonly checkFiles: boolean
  readonly sources: readonly string[]
}

const declaredOptions: Readonly<Record<string, Option<unknown>>> = topLevelOptions
const isStructural = (name: string): boolean => structuralOptions.some((option) => option === name)
/** Options that are read before keywords are known. */
const withoutKeywords = new Set(['hosts', 'loglevel', 'version'])

/** Checks a tree as a whole and makes a configuration of it, unless something in it is wrong. */
export function buildConfig(
  root: MapNode,
  settings: BuildSettings,
): { readonly config: Config | undefined; readonly problems: readonly Problem[] } {
  const builder = new Builder(root, settings)
  const config = builder.build()
  return { config, problems: builder.problems }
}

/** What was written for one host. */
interface HostPart {
  readonly written: Map<string, unknown>
  readonly modules: readonly ModulesPart[]
  readonly keywords: readonly ConfigNode[]
}

class Builder {
  readonly #root: MapNode
  readonly #settings: BuildSettings
  readonly #written = new Map<string, unknown>()
  readonly #hosts: readonly HostName[]
  readonly #ctx: ParseContext
  /** For top-level options and listeners. */
  readonly #keywords: Substitution
  readonly #globalKeywords: ReadonlyMap<string, ConfigNode>

  constructor(root: MapNode, settings: BuildSettings) {
    this.#root = root
    this.#settings = settings
    const { directory, checkFiles } = settings
    const hosts = new Set<string>()
    this.#ctx = ParseContext.create({ hosts, directory, checkFiles })
    this.#hosts = this.#readHosts()
    for (const host of this.#hosts) hosts.add(host)
    this.#globalKeywords = new Map([...settings.keywords, ...this.#definedKeywords(root)])
    this.#keywords = new Substitution(this.#globalKeywords, { quoted: false })
  }

  get problems(): readonly Problem[] {
    return [...this.#ctx.problems, ...this.#keywords.problems]
  }

  build(): Config | undefined {
    this.#readTop()
    const parts = this.#readHostConfigs()
    const lookUp = this.#lookUpIn(this.#written)
    const global = this.#valuesOf(topLevelOptions, lookUp)
    const scope: Scope = { lookUp, substitute: (node) => this.#keywords.apply(node) }
    const listen = entryOf(this.#root, 'listen')
    const listenCtx = this.#ctx.at('listen')
    const listeners =
      listen === undefined
        ? []
        : readListeners(this.#keywords.apply(listen.value), this.#settings.schema, listenCtx, scope)

    // Those of modules come after these and are looked up on their own host.
    const topReferences = [...this.#ctx.references]
    const hostValues = new Map<string, HostValues>()
    const modules = new Map<string, ReadonlyMap<string, ModuleConfig>>()
    const rules: HostRules[] = []
    const reader = new ModuleReader(this.#settings.schema)
    const common = this.#valuesOf(hostOptions, lookUp) as HostValues // each by its own option
    for (const host of this.#hosts) {
      const part = parts.get(host)
      const lookUpHere = part === undefined ? lookUp : this.#lookUpIn(part.written, lookUp)
      const values =
        part === undefined ? common : (this.#valuesOf(hostOptions, lookUpHere) as HostValues)
      hostValues.set(host, values)
      const keywords = this.#hostKeywords(host, part)
      const scopeHere: Scope = { lookUp: lookUpHere, substitute: (node) => keywords.apply(node) }
      const read = reader.read(part?.modules ?? this.#topModules(), keywords, scopeHere)
      modules.set(host, read.modules)
      rules.push({ host, values, references: read.references, modules: read.modules })
      this.#ctx.add(keywords.problems)
    }
    const values = global as GlobalValues // each by its own option
    checkRules(values, rules, topReferences, this.#ctx)
    if (this.problems.some(({ severity }) => severity === 'error')) return undefined
    return new Config({
      hosts: this.#hosts,
      global: values,
      hostValues,
      modules,
      listeners,
      sources: this.#settings.sources,
      root: this.#root,
      secrets: this.#ctx.secrets,
    })
  }

  #readHosts(): readonly HostName[] {
    const entry = entryOf(this.#root, 'hosts')
    if (entry === undefined) {
      this.#ctx.report(this.#root.at, 'the option "hosts" is required')
      return []
    }
    const hosts = parseOption(globalOptions.hosts, entry.value, this.#ctx.at('hosts'))
    if (hosts === invalid) return []
    this.#written.set('hosts', hosts)
    return hosts
  }

  /** Reads the options at the top, apart from those that shape the configuration. */
  #readTop(): void {
    reportRepeats(this.#root.entries, this.#ctx)
    for (const { key, keyAt, value } of this.#root.entries) {
      const declared = Object.hasOwn(declaredOptions, key) ? declaredOptions[key] : undefined
      if (declared === undefined) {
        const hint = didYouMean(key, Object.keys(declaredOptions))
        this.#ctx.report(keyAt, `unknown option "${key}"${hint}`)
      } else if (key !== 'hosts' && !isStructural(key)) {
        const node = withoutKeywords.has(key) ? value : this.#keywords.apply(value)
        this.#readOption(key, declared, node, this.#ctx, this.#written)
      }
    }
  }

  #readOption(
    key: string,
    declared: Option<unknown>,
    node: ConfigNode,
    ctx: ParseContext,
    written: Map<string, unknown>,
  ): void {
    reportStatus(key, declared, node, ctx)
    const value = parseOption(declared, node, ctx.at(key))
    if (value !== invalid) written.set(key, value)
  }

  /** Reads `host_config` and `append_host_config`: what a host has of its own. */
  #readHostConfigs(): ReadonlyMap<string, HostPart> {
    const own = this.#hostMaps('host_config')
    const appended = this.#hostMaps('append_host_config')
    const parts = new Map<string, HostPart>()
    for (const host of new Set([...own.keys(), ...appended.keys()])) {
      parts.set(host, this.#readHost(host, own.get(host), appended.get(host)))
    }
    return parts
  }

  #hostMaps(option: 'host_config' | 'append_host_config'): ReadonlyMap<string, HostMap> {
    const maps = new Map<string, HostMap>()
    const entry = entryOf(this.#root, option)
    if (entry === undefined || isNothing(entry.value)) return maps
    const ctx = this.#ctx.at(option)
    if (entry.value.kind !== 'map') {
      ctx.expected('a map of hosts', entry.value)
      return maps
    }
    for (const { key, keyAt, value } of entry.value.entries) {
      const hostCtx = ctx.at(key)
      const keyNode: ConfigNode = { kind: 'scalar', text: key, plain: true, at: keyAt }
      const host = domainType.parse(keyNode, hostCtx)
      if (host === invalid) continue
      if (!this.#hosts.includes(host)) {
        // When the list of hosts is wrong itself, nothing can be said about these.
        if (!this.#written.has('hosts')) continue
        ctx.report(keyAt, `"${key}" is not one of the hosts served${didYouMean(key, this.#hosts)}`)
      } else if (maps.has(host)) {
        ctx.report(keyAt, `"${key}" is set twice`)
      } else if (value.kind === 'map') {
        reportRepeats(value.entries, hostCtx)
        maps.set(host, { node: value, ctx: hostCtx })
      } else if (!isNothing(value)) {
        hostCtx.expected('a map of options', value)
      }
    }
    return maps
  }

  #readHost(host: string, own: HostMap | undefined, appended: HostMap | undefined): HostPart {
    const written = new Map<string, unknown>()
    for (const { node, ctx } of [own, appended].filter((map) => map !== undefined)) {
      for (const entry of node.entries) this.#checkHostOption(entry, ctx)
    }
    for (const { key, value } of own?.node.entries ?? []) {
      const declared = hostOption(key)
      if (declared === undefined || own === undefined) continue
      this.#readOption(key, declared, this.#keywords.apply(value), own.ctx, written)
    }
    for (const entry of appended?.node.entries ?? []) {
      const declared = hostOption(entry.key)
      if (declared === undefined || appended === undefined) continue
      const value = this.#append(entry, declared, own, host, appended.ctx)
      if (value === undefined) continue
      this.#readOption(entry.key, declared, this.#keywords.apply(value), appended.ctx, written)
    }
    const keywords = [own, appended].flatMap((map) => {
      const entry = map === undefined ? undefined : entryOf(map.node, 'define_keyword')
      return entry === undefined ? [] : [entry.value]
    })
    return { written, modules: this.#hostModules(own, appended), keywords }
  }

  #checkHostOption({ key, keyAt }: MapEntry, ctx: ParseContext): void {
    if (key === 'define_macro') {
      ctx.report(keyAt, 'macros cannot differ by host, these have no effect', 'warning')
    } else if (key === 'include_config_file') {
      ctx.report(keyAt, 'files cannot be included for one host, this has no effect', 'warning')
    } else if (Object.hasOwn(globalOptions, key)) {
      ctx.report(keyAt, `the option "${key}" can only be set for the whole server, not for a host`)
    } else if (!Object.hasOwn(hostOptions, key)) {
      ctx.report(keyAt, `unknown option "${key}"${didYouMean(key, Object.keys(hostOptions))}`)
    }
  }

  /** The value of the host, or else the one at the top, with the appended one after it. */
  #append(
    entry: MapEntry,
    declared: Option<unknown>,
    own: HostMap | undefined,
    host: string,
    ctx: ParseContext,
  ): ConfigNode | undefined {
    const { appends } = declared.type
    const isSuitable = appends === 'list' || (appends === 'map' && entry.value.kind === 'map')
    if (!isSuitable) {
      const message =
        `the option "${entry.key}" is no list or map to which anything can be appended, ` +
        `set it in host_config for "${host}"`
      ctx.report(entry.keyAt, message)
      return undefined
    }
    const base = own === undefined ? undefined : entryOf(own.node, entry.key)
    const before = (base ?? entryOf(this.#root, entry.key))?.value
    if (before === undefined) return entry.value
    if (appends === 'list') return joinNodes(asList(before), asList(entry.value))
    if (before.kind !== 'map' || entry.value.kind !== 'map') return undefined
    // With a name on both sides the later one counts.
    const later = new Set(entry.value.entries.map(({ key }) => key))
    const kept = before.entries.filter(({ key }) => !later.has(key))
    return { ...entry.value, entries: [...kept, ...entry.value.entries] }
  }

  #topModules(): readonly ModulesPart[] {
    const entry = entryOf(this.#root, 'modules')
    return entry === undefined ? [] : [{ node: entry.value, ctx: this.#ctx.at('modules') }]
  }

  #hostModules(own: HostMap | undefined, appended: HostMap | undefined): readonly ModulesPart[] {
    const [replaced, added] = [own, appended].map((map): readonly ModulesPart[] => {
      const entry = map === undefined ? undefined : entryOf(map.node, 'modules')
      if (entry === undefined || map === undefined) return []
      return [{ node: entry.value, ctx: map.ctx.at('modules') }]
    })
    const base = replaced === undefined || replaced.length === 0 ? this.#topModules() : replaced
    return [...base, ...(added ?? [])]
  }

  #definedKeywords(map: MapNode): ReadonlyMap<string, ConfigNode> {
    const value = entryOf(map, 'define_keyword')?.value
    return this.#keywordsIn(value === undefined ? [] : [value])
  }

  #keywordsIn(nodes: readonly ConfigNode[]): ReadonlyMap<string, ConfigNode> {
    const keywords = new Map<string, ConfigNode>()
    for (const node of nodes) {
      if (node.kind !== 'map') {
        this.#ctx.at('define_keyword').expected('a map of names', node)
        continue
      }
      reportRepeats(node.entries, this.#ctx.at('define_keyword'))
      for (const { key, value } of node.entries) keywords.set(key, value)
    }
    return keywords
  }

  #hostKeywords(host: string, part: HostPart | undefined): Substitution {
    const at = this.#root.at
    const ofHost = new Map<string, ConfigNode>([
      ...this.#globalKeywords,
      ['HOST', { kind: 'scalar', text: host, plain: false, at }],
      ['HOST_URL_ENCODE', { kind: 'scalar', text: encodeURIComponent(host), plain: false, at }],
      ...this.#keywordsIn(part?.keywords ?? []),
    ])
    return new Substitution(ofHost, { quoted: false })
  }

  #lookUpIn(written: ReadonlyMap<string, unknown>, outer?: LookUp): LookUp {
    const lookUp: LookUp = (name) => {
      if (name === '@version') return this.#settings.version
      if (written.has(name)) return written.get(name)
      if (outer !== undefined && (this.#written.has(name) || !Object.hasOwn(hostOptions, name))) {
        return outer(name)
      }
      const declared = Object.hasOwn(declaredOptions, name) ? declaredOptions[name] : undefined
      return declared === undefined ? undefined : defaultOf(declared, { lookUp })
    }
    return lookUp
  }

  #valuesOf(map: Readonly<Record<string, Option<unknown>>>, lookUp: LookUp): unknown {
    const values: Record<string, unknown> = {}
    for (const name of Object.keys(map)) if (!isStructural(name)) values[name] = lookUp(name)
    return values
  }
}

interface HostMap {
  readonly node: MapNode
  readonly ctx: ParseContext
}

/** An option that a host may have of its own, apart from those that shape the configuration. */
function hostOption(key: string): Option<unknown> | undefined {
  return Object.hasOwn(hostOptions, key) && !isStructural(key) ? declaredOptions[key] : undefined
}

function asList(node: ConfigNode): ConfigNode {
  return node.kind === 'list' ? node : { kind: 'list', items: [node], at: node.at }
}
