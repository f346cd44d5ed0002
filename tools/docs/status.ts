import type { Evidence } from './evidence.ts'
import { EvidenceIndex } from './evidence.ts'
import { mqtt3 } from './mqtt-statements/mqtt3.ts'
import { mqtt31 } from './mqtt-statements/mqtt31.ts'
import { mqtt5 } from './mqtt-statements/mqtt5.ts'
import type { Own } from './own.ts'

/**
 * How something of ejabberd's stands here. `works`: a test shows it. `built`: declared and used, but no test shows it yet.
 * `accepted`: taken without effect, on purpose. `not yet`: unknown here, or declared as missing.
 */
export type Standing =
  | { readonly kind: 'works'; readonly file: string }
  | { readonly kind: 'built' }
  | { readonly kind: 'accepted'; readonly reason: string }
  | { readonly kind: 'not yet' }

export const standings = ['works', 'built', 'accepted', 'not yet'] as const

const missing: Standing = { kind: 'not yet' }

interface Declared {
  readonly name: string
  readonly status: 'works' | 'accepted' | 'not-yet'
  readonly reason: string | undefined
}

/** Judges by what is declared in the code and by what tests say that they show. */
export class Judge {
  readonly #own: Own
  readonly #evidence: EvidenceIndex
  readonly #topLevel: ReadonlyMap<string, Declared>

  constructor(own: Own, evidence: readonly Evidence[]) {
    this.#own = own
    this.#evidence = new EvidenceIndex(evidence)
    this.#topLevel = byName(own.areas.flatMap(({ global, host }) => [...global, ...host]))
  }

  option(name: string): Standing {
    return this.#declared(this.#topLevel.get(name), this.#evidence.find('option', name))
  }

  module(name: string): Standing {
    const own = this.#own.modules.find((candidate) => candidate.name === name)
    if (own === undefined) return missing
    const names = own.options.map((option) => `${name}.${option.name}`)
    const file =
      this.#evidence.find('module', name) ??
      names.map((option) => this.#evidence.find('option', option)).find((found) => found)
    return shownOrBuilt(file)
  }

  moduleOption(module: string, option: string): Standing {
    const own = this.#own.modules.find(({ name }) => name === module)
    const declared = own?.options.find(({ name }) => name === option)
    return this.#declared(declared, this.#evidence.find('option', `${module}.${option}`))
  }

  listener(name: string): Standing {
    const own = this.#own.listeners.find((candidate) => candidate.name === name)
    if (own === undefined) return missing
    const names = own.options.map((option) => option.name)
    return shownOrBuilt(
      names.map((option) => this.#evidence.find('listener', `${name}.${option}`)).find(Boolean) ??
        this.#evidence.find('module', name),
    )
  }

  listenerOption(listener: string, option: string): Standing {
    const declared = this.#listenerOptions(listener).find(({ name }) => name === option)
    const file =
      this.#evidence.find('listener', `${listener}.${option}`) ??
      this.#evidence.find('listener', `*.${option}`)
    return this.#declared(declared, file)
  }

  handler(name: string): Standing {
    if (!this.#own.handlers.includes(name)) return missing
    return shownOrBuilt(this.#evidence.find('handler', name))
  }

  command(name: string): Standing {
    const { commands, shellCommands } = this.#own
    const isHere = shellCommands.includes(name) || commands.some((own) => own.name === name)
    if (!isHere) return missing
    return shownOrBuilt(this.#evidence.find('command', name))
  }

  #listenerOptions(listener: string): readonly Declared[] {
    if (listener === 'common') return this.#own.commonListenerOptions
    return this.#own.listeners.find(({ name }) => name === listener)?.options ?? []
  }

  #declared(declared: Declared | undefined, file: string | undefined): Standing {
    if (declared === undefined || declared.status === 'not-yet') return missing
    if (declared.status === 'accepted') {
      return { kind: 'accepted', reason: declared.reason ?? '' }
    }
    return shownOrBuilt(file)
  }
}

function shownOrBuilt(file: string | undefined): Standing {
  return file === undefined ? { kind: 'built' } : { kind: 'works', file }
}

function byName(all: readonly Declared[]): ReadonlyMap<string, Declared> {
  return new Map(all.map((declared) => [declared.name, declared]))
}

/** What tests say that they show, but nobody has: a name that is mistyped, or gone. */
export function unknownEvidence(own: Own, evidence: readonly Evidence[]): readonly string[] {
  const known = new Set<string>([
    ...own.areas.flatMap(({ global, host }) =>
      [...global, ...host].map(({ name }) => `option ${name}`),
    ),
    ...own.modules.flatMap(({ name, options }) => [
      `module ${name}`,
      ...options.map((option) => `option ${name}.${option.name}`),
    ]),
    ...own.commonListenerOptions.map(({ name }) => `listener *.${name}`),
    ...own.listeners.flatMap(({ name, options }) => [
      `module ${name}`,
      ...options.flatMap((option) => [
        `listener ${name}.${option.name}`,
        `listener *.${option.name}`,
      ]),
      ...own.commonListenerOptions.map((option) => `listener ${name}.${option.name}`),
    ]),
    ...own.handlers.map((name) => `handler ${name}`),
    ...[...own.commands.map(({ name }) => name), ...own.shellCommands].map(
      (name) => `command ${name}`,
    ),
    ...mqtt31.map(({ id }) => `MQTT31 ${id}`),
    ...mqtt3.map(({ id }) => `MQTT3 ${id}`),
    ...mqtt5.map(({ id }) => `MQTT5 ${id}`),
  ])
  return evidence
    .filter(({ kind, name }) => !known.has(`${kind} ${name}`))
    .map(({ kind, name, file, line }) => `${file}:${line}: there is no ${kind} "${name}"`)
}
