import {
  contributedModules,
  ejabberdHandlers,
  ejabberdListeners,
  ejabberdModules,
} from './ejabberd-names.ts'
import type { OptionMap } from '../options.ts'

/** What this build of the server knows: the configuration may name nothing else. */
export interface ConfigSchema {
  readonly modules: ReadonlyMap<string, OptionMap>
  readonly listeners: ReadonlyMap<string, OptionMap>
  /** What may stand in `request_handlers`. */
  readonly handlers: ReadonlySet<string>
  /** What ejabberd has besides: naming it gives a warning rather than an error. */
  readonly notBuilt: {
    readonly modules: ReadonlySet<string>
    readonly listeners: ReadonlySet<string>
    readonly handlers: ReadonlySet<string>
  }
}

export interface KnownParts {
  readonly modules?: Iterable<readonly [string, OptionMap]>
  readonly listeners?: Iterable<readonly [string, OptionMap]>
  readonly handlers?: Iterable<string>
}

/** A schema of these parts, in which everything else that ejabberd has counts as not built yet. */
export function createSchema(known: KnownParts): ConfigSchema {
  const modules = new Map(known.modules ?? [])
  const listeners = new Map(known.listeners ?? [])
  const handlers = new Set(known.handlers ?? [])
  return {
    modules,
    listeners,
    handlers,
    notBuilt: {
      modules: without([...ejabberdModules, ...contributedModules], modules),
      listeners: without(ejabberdListeners, listeners),
      handlers: without(ejabberdHandlers, handlers),
    },
  }
}

function without(
  names: readonly string[],
  known: { has(name: string): boolean },
): ReadonlySet<string> {
  return new Set(names.filter((name) => !known.has(name)))
}
