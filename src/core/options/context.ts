import { describeNode } from './node.ts'
import { problemAt } from './problem.ts'
import type { ConfigNode, Place } from './node.ts'
import type { Problem, Severity } from './problem.ts'

/** A rule that an option names, so that names of rules that do not exist can be told. */
export interface RuleReference {
  readonly kind: 'access' | 'shaper'
  readonly name: string
  readonly at: Place
  readonly path: string
}

export interface ParseSettings {
  /** Host names served, which a service's own host name must not equal. */
  readonly hosts?: ReadonlySet<string>
  /** Relative paths of files start here; the current directory by default, as in ejabberd. */
  readonly directory?: string
  /** Whether files named by options have to exist; false only where the files are elsewhere. */
  readonly checkFiles?: boolean
}

interface Shared {
  readonly settings: ParseSettings
  readonly problems: Problem[]
  readonly secrets: Set<Place>
  readonly references: RuleReference[]
}

/** What a type needs while it reads a node: the path so far, and where to put what it finds wrong. */
export class ParseContext {
  readonly path: string
  readonly #shared: Shared
  /** Whether the value is secret, so that messages do not quote it. */
  readonly #hidden: boolean

  private constructor(shared: Shared, path: string, hidden: boolean) {
    this.#shared = shared
    this.path = path
    this.#hidden = hidden
  }

  static create(settings: ParseSettings = {}, path = ''): ParseContext {
    return new ParseContext(
      { settings, problems: [], secrets: new Set(), references: [] },
      path,
      false,
    )
  }

  get settings(): ParseSettings {
    return this.#shared.settings
  }

  get problems(): readonly Problem[] {
    return this.#shared.problems
  }

  /** Places whose values must not be shown to anybody. */
  get secrets(): ReadonlySet<Place> {
    return this.#shared.secrets
  }

  get references(): readonly RuleReference[] {
    return this.#shared.references
  }

  /** The context of a value below this one: an option of a map or an item of a list. */
  at(key: string | number): ParseContext {
    return new ParseContext(this.#shared, joinPath(this.path, key), this.#hidden)
  }

  /** The context of a secret value, which is remembered as such and not quoted in messages. */
  hidden(place: Place): ParseContext {
    this.#shared.secrets.add(place)
    return new ParseContext(this.#shared, this.path, true)
  }

  /** A context for an attempt: what it finds is kept apart until `accept` is called with it. */
  attempt(): ParseContext {
    const { settings } = this.#shared
    const shared = { settings, problems: [], secrets: new Set<Place>(), references: [] }
    return new ParseContext(shared, this.path, this.#hidden)
  }

  accept(attempt: ParseContext): void {
    this.#shared.problems.push(...attempt.problems)
    this.#shared.references.push(...attempt.references)
    for (const place of attempt.secrets) this.#shared.secrets.add(place)
  }

  report(place: Place, message: string, severity: Severity = 'error'): void {
    this.#shared.problems.push(problemAt(place, this.path, message, severity))
  }

  /** Takes over what was found elsewhere. */
  add(problems: readonly Problem[]): void {
    this.#shared.problems.push(...problems)
  }

  /** Reports something about another path than this one. */
  reportAt(path: string, place: Place, message: string, severity: Severity): void {
    this.#shared.problems.push(problemAt(place, path, message, severity))
  }

  /** Reports `expected a, got b` for a node of the wrong kind. */
  expected(what: string, node: ConfigNode): void {
    this.report(node.at, `expected ${what}, got ${this.show(node)}`)
  }

  /** A value for a message: not the value itself when it is secret. */
  show(node: ConfigNode): string {
    return this.#hidden && node.kind === 'scalar' ? 'another value (not shown)' : describeNode(node)
  }

  refer(kind: 'access' | 'shaper', name: string, at: Place): void {
    this.#shared.references.push({ kind, name, at, path: this.path })
  }
}

/** `modules.mod_ping`, `listen[0]`, `host_config["example.org"]` */
export function joinPath(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`
  if (/^[\w-]+$/.test(key)) return path === '' ? key : `${path}.${key}`
  return `${path}[${JSON.stringify(key)}]`
}
