import { completeOptions } from '../options/option.ts'
import { dumpConfig } from './dump.ts'
import type { HostName } from '../../xmpp/jid/jid.ts'
import type { MapNode, Place } from '../options/node.ts'
import type { OptionMap, Scope, ValuesOf, Written } from '../options/option.ts'
import type { ListenerValues } from './listener-options.ts'
import type { GlobalValues, HostValues } from './toplevel.ts'

/** The options of one module or listener. Whoever declared them gets them with their types. */
export class ParsedOptions {
  /** By name, for those who only look: comparisons, the admin page. */
  readonly values: Readonly<Record<string, unknown>>
  /** Names of the options that were written, the others have their defaults. */
  readonly written: ReadonlySet<string>
  readonly #map: OptionMap

  constructor(map: OptionMap, written: Written, scope: Scope) {
    this.#map = map
    this.values = completeOptions(map, written, scope)
    this.written = new Set(written.keys())
  }

  /** The values with their types; the map has to be the one that they were read with. */
  as<M extends OptionMap>(map: M): ValuesOf<M> {
    if (map !== this.#map) throw new TypeError('These options were declared by another map')
    return this.values as ValuesOf<M> // they were completed from this very map
  }
}

export interface ModuleConfig {
  readonly name: string
  readonly options: ParsedOptions
  readonly at: Place
}

export interface ListenerConfig {
  /** Port (or path), address and transport: what makes two listeners the same one. */
  readonly id: string
  readonly module: string
  /** What all listeners have. */
  readonly common: ListenerValues
  /** What listeners of this module have. */
  readonly options: ParsedOptions
  readonly at: Place
}

export interface ConfigParts {
  readonly hosts: readonly HostName[]
  readonly global: GlobalValues
  readonly hostValues: ReadonlyMap<string, HostValues>
  readonly modules: ReadonlyMap<string, ReadonlyMap<string, ModuleConfig>>
  readonly listeners: readonly ListenerConfig[]
  readonly sources: readonly string[]
  readonly root: MapNode
  readonly secrets: ReadonlySet<Place>
}

/** A configuration that was checked as a whole. It never changes; a reload makes a new one. */
export class Config {
  readonly hosts: readonly HostName[]
  /** Values of options outside any host. */
  readonly global: GlobalValues
  readonly listeners: readonly ListenerConfig[]
  /** The files that it was read from. */
  readonly sources: readonly string[]
  readonly #parts: ConfigParts

  constructor(parts: ConfigParts) {
    this.hosts = parts.hosts
    this.global = parts.global
    this.listeners = parts.listeners
    this.sources = parts.sources
    this.#parts = parts
  }

  /** Values of options on a host; throws for a host that is not served. */
  forHost(host: string): HostValues {
    return this.#onHost(this.#parts.hostValues, host)
  }

  /** The modules that run on a host, by name; throws for a host that is not served. */
  modules(host: string): ReadonlyMap<string, ModuleConfig> {
    return this.#onHost(this.#parts.modules, host)
  }

  /** The configuration in effect as YAML: files, macros and old names resolved, secrets hidden. */
  effective(): string {
    return dumpConfig(this.#parts.root, this.#parts.secrets)
  }

  #onHost<T>(values: ReadonlyMap<string, T>, host: string): T {
    const value = values.get(host)
    if (value === undefined) throw new Error(`The host "${host}" is not served`)
    return value
  }
}
