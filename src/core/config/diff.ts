import { Place } from '../options/node.ts'
import type { Config, ListenerConfig, ModuleConfig } from './config.ts'

export interface ModuleChanges {
  readonly added: readonly ModuleConfig[]
  readonly removed: readonly ModuleConfig[]
  readonly changed: readonly ModuleConfig[]
}

/** What a reload has to do: everything not named here stays as it is. */
export interface ConfigDiff {
  readonly hosts: { readonly added: readonly string[]; readonly removed: readonly string[] }
  /** Names of top-level options whose value changed. */
  readonly options: readonly string[]
  /** The same for hosts that are in both configurations and have any such option. */
  readonly hostOptions: ReadonlyMap<string, readonly string[]>
  readonly listeners: {
    readonly added: readonly ListenerConfig[]
    readonly removed: readonly ListenerConfig[]
    /** Same port and address, other settings. */
    readonly changed: readonly ListenerConfig[]
  }
  /** For hosts that are in both configurations, where anything changed. */
  readonly modules: ReadonlyMap<string, ModuleChanges>
}

export function diffConfig(old: Config, next: Config): ConfigDiff {
  const kept = next.hosts.filter((host) => old.hosts.includes(host))
  const hostOptions = kept.map((host): [string, readonly string[]] => [
    host,
    changedNames(old.forHost(host), next.forHost(host)),
  ])
  const modules = kept.map((host): [string, ModuleChanges] => [
    host,
    diffModules(old.modules(host), next.modules(host)),
  ])
  return {
    hosts: {
      added: next.hosts.filter((host) => !old.hosts.includes(host)),
      removed: old.hosts.filter((host) => !next.hosts.includes(host)),
    },
    options: changedNames(old.global, next.global),
    hostOptions: new Map(hostOptions.filter(([, names]) => names.length > 0)),
    listeners: diffListeners(old.listeners, next.listeners),
    modules: new Map(
      modules.filter(
        ([, { added, removed, changed }]) => added.length + removed.length + changed.length > 0,
      ),
    ),
  }
}

function diffModules(
  old: ReadonlyMap<string, ModuleConfig>,
  next: ReadonlyMap<string, ModuleConfig>,
): ModuleChanges {
  return {
    added: [...next.values()].filter(({ name }) => !old.has(name)),
    removed: [...old.values()].filter(({ name }) => !next.has(name)),
    changed: [...next.values()].filter(({ name, options }) => {
      const before = old.get(name)
      return before !== undefined && !sameValue(before.options.values, options.values)
    }),
  }
}

function diffListeners(
  old: readonly ListenerConfig[],
  next: readonly ListenerConfig[],
): ConfigDiff['listeners'] {
  const before = new Map(old.map((listener) => [listener.id, listener]))
  const after = new Set(next.map(({ id }) => id))
  return {
    added: next.filter(({ id }) => !before.has(id)),
    removed: old.filter(({ id }) => !after.has(id)),
    changed: next.filter((listener) => {
      const other = before.get(listener.id)
      if (other === undefined) return false
      return (
        other.module !== listener.module ||
        !sameValue(other.common, listener.common) ||
        !sameValue(other.options.values, listener.options.values)
      )
    }),
  }
}

function changedNames(old: object, next: object): readonly string[] {
  const before = new Map<string, unknown>(Object.entries(old))
  return Object.entries(next)
    .filter(([name, value]) => !sameValue(before.get(name), value))
    .map(([name]) => name)
}

/** Deep equality of option values. Places do not count: a rule that only moved down the file is the same rule. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Place && b instanceof Place) return true
  if (a instanceof RegExp || b instanceof RegExp) {
    return (
      a instanceof RegExp && b instanceof RegExp && a.source === b.source && a.flags === b.flags
    )
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => sameValue(item, b[index]))
    )
  }
  // The order of a map's entries matters: topic filters and rules are tried in order.
  if (a instanceof Map || b instanceof Map) {
    return a instanceof Map && b instanceof Map && sameValue([...a], [...b])
  }
  const entries = Object.entries(a)
  const others = new Map<string, unknown>(Object.entries(b))
  return (
    entries.length === others.size &&
    entries.every(([key, value]) => others.has(key) && sameValue(value, others.get(key)))
  )
}
