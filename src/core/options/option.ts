import { reportRepeats } from './container-types.ts'
import { ParseContext } from './context.ts'
import { isNothing, nodeOf } from './node.ts'
import { formatProblem } from './problem.ts'
import { Substitution } from './substitute.ts'
import { didYouMean } from './suggest.ts'
import { invalid } from './type.ts'
import type { ConfigNode } from './node.ts'
import type { Invalid, JsonSchema, Type } from './type.ts'

/** The option has to be set. */
export const required: unique symbol = Symbol('required')
/** The option may be left out and has no value then. */
export const optional: unique symbol = Symbol('optional')

/** Looks up a top-level option, on the host at hand where it differs by host. */
export type LookUp = (name: string) => unknown

/** What defaults depend on. */
export interface Scope {
  readonly lookUp: LookUp
  /** Puts values in place of keywords, `@HOST@` above all; absent where there are none. */
  readonly substitute?: (node: ConfigNode) => ConfigNode
}

const noScope: Scope = { lookUp: () => undefined }

/** A default that is worked out from other options. `R` is in the form in which it would be written. */
export class Computed<out R> {
  readonly compute: (lookUp: LookUp) => R
  /** What the docs say. */
  readonly text: string

  constructor(compute: (lookUp: LookUp) => R, text: string) {
    this.compute = compute
    this.text = text
  }
}

/** A default that is the value of a top-level option. */
export class FromTop {
  readonly name: string
  /** Taken when that value is none that this option can have (`redis` where there is only memory). */
  readonly otherwise: string | undefined

  constructor(name: string, otherwise: string | undefined) {
    this.name = name
    this.otherwise = otherwise
  }
}

/** `flag(from('use_cache'), ...)`: the default is the top-level option's value. */
export function from(name: string, otherwise?: string): FromTop {
  return new FromTop(name, otherwise)
}

/** A default worked out by a function, described for the docs. */
export function computed<R>(compute: (lookUp: LookUp) => R, text: string): Computed<R> {
  return new Computed(compute, text)
}

/** What may stand where a default is asked for; `R` is the written form of the option's type. */
export type Default<R> =
  R | typeof required | typeof optional | FromTop | Computed<R> | Computed<R | undefined>

/** The type of an option's value: `undefined` belongs to it if the default may be missing. */
export type Valued<T, D> = D extends typeof optional
  ? T | undefined
  : D extends Computed<infer R>
    ? undefined extends R
      ? T | undefined
      : T
    : T

/** Where an option stands: `accepted` has no effect here on purpose, `not-yet` only lacks its code. */
export type Status = 'works' | 'accepted' | 'not-yet'

/** One option, declared once: checking, defaults, docs and the JSON Schema come from it. */
export interface Option<out T> {
  readonly type: Type<T>
  readonly default: unknown
  readonly help: string
  readonly status: Status
  /** Why an accepted option has no effect. */
  readonly reason: string | undefined
  /** Not shown in logs, dumps and messages. */
  readonly secret: boolean
}

export type OptionMap = Readonly<Record<string, Option<unknown>>>

/** The values of a map of options, under the same names. */
export type ValuesOf<M extends OptionMap> = {
  readonly [K in keyof M]: M[K] extends Option<infer T> ? T : never
}

/** Declares an option of any type; the constructors in `core/options.ts` are shorter for most. */
export function option<T, const D extends Default<unknown>>(
  type: Type<T>,
  fallback: D,
  help: string,
): Option<Valued<T, D>> {
  // Whether undefined is among the values depends on the default alone, which the type computes.
  const typed = type as unknown as Type<Valued<T, D>>
  return { type: typed, default: fallback, help, status: 'works', reason: undefined, secret: false }
}

/** A value that nobody may see: hidden in dumps, logs and messages. */
export function secret<T>(option: Option<T>): Option<T> {
  return { ...option, secret: true }
}

/** An option that ejabberd has and that does nothing here yet: setting it gives a warning. */
export function notYet<T>(option: Option<T>): Option<T>
export function notYet<T>(type: Type<T>, help: string): Option<T | undefined>
export function notYet<T>(subject: Option<T> | Type<T>, help = ''): Option<T | undefined> {
  const declared = 'parse' in subject ? option(subject, optional, help) : subject
  return { ...declared, status: 'not-yet' }
}

/** An option that ejabberd has and that means nothing here, on purpose: setting it gives a notice. */
export function accepted<T>(option: Option<T>, reason: string): Option<T> {
  return { ...option, status: 'accepted', reason }
}

/** What is written for the options of a map, parsed; options that are not written are absent. */
export type Written = ReadonlyMap<string, unknown>

/**
 * Reads the options written in a node and reports everything wrong with them. `undefined` means that there
 * was an error; what could be read is lost then, because the configuration is refused as a whole.
 */
export function readOptions(
  map: OptionMap,
  node: ConfigNode,
  ctx: ParseContext,
): Written | undefined {
  const written = new Map<string, unknown>()
  if (node.kind !== 'map') {
    // `mod_ping:` with nothing after it is how people ask for a module with its defaults.
    if (isNothing(node)) return checkRequired(map, written, node, ctx) ? written : undefined
    ctx.expected('a map of options', node)
    return undefined
  }
  let failed = !reportRepeats(node.entries, ctx)
  for (const { key, keyAt, value } of node.entries) {
    const declared = Object.hasOwn(map, key) ? map[key] : undefined
    if (declared === undefined) {
      ctx.report(keyAt, `unknown option "${key}"${didYouMean(key, Object.keys(map))}`)
      failed = true
      continue
    }
    reportStatus(key, declared, value, ctx)
    const parsed = parseOption(declared, value, ctx.at(key))
    if (parsed === invalid) failed = true
    else written.set(key, parsed)
  }
  const complete = checkRequired(map, written, node, ctx)
  return failed || !complete ? undefined : written
}

/** Reads one option's value, which is remembered as secret if the option is. */
export function parseOption<T>(
  declared: Option<T>,
  node: ConfigNode,
  ctx: ParseContext,
): T | Invalid {
  return declared.type.parse(node, declared.secret ? ctx.hidden(node.at) : ctx)
}

export function reportStatus(
  key: string,
  declared: Option<unknown>,
  node: ConfigNode,
  ctx: ParseContext,
): void {
  if (declared.status === 'not-yet') {
    ctx.report(node.at, `the option "${key}" is not supported yet and has no effect`, 'warning')
  } else if (declared.status === 'accepted') {
    ctx.report(
      node.at,
      `the option "${key}" has no effect here: ${declared.reason ?? ''}`,
      'notice',
    )
  }
}

function checkRequired(
  map: OptionMap,
  written: Written,
  node: ConfigNode,
  ctx: ParseContext,
): boolean {
  let complete = true
  for (const [key, { default: fallback }] of Object.entries(map)) {
    if (fallback !== required || written.has(key)) continue
    // An option that is there but wrong was reported already.
    if (node.kind === 'map' && node.entries.some((entry) => entry.key === key)) continue
    ctx.report(node.at, `the option "${key}" is required`)
    complete = false
  }
  return complete
}

const parsedDefaults = new WeakMap<Option<unknown>, unknown>()

/** The value of an option that is not written. */
export function defaultOf(declared: Option<unknown>, scope: Scope): unknown {
  const fallback = declared.default
  if (fallback === optional || fallback === required) return undefined
  if (fallback instanceof FromTop) {
    const value = scope.lookUp(fallback.name)
    const fits = value !== undefined && declared.type.accepts?.(value) !== false
    if (fits || fallback.otherwise === undefined) return value
    return parseBuiltIn(declared, nodeOf(fallback.otherwise))
  }
  if (fallback instanceof Computed) {
    const value = fallback.compute(scope.lookUp)
    return value === undefined ? undefined : parseBuiltIn(declared, nodeOf(value))
  }
  if (scope.substitute !== undefined && typeof fallback === 'object') {
    const node = nodeOf(fallback)
    const substituted = scope.substitute(node)
    if (substituted !== node) return parseBuiltIn(declared, substituted)
  } else if (
    scope.substitute !== undefined &&
    typeof fallback === 'string' &&
    fallback.includes('@')
  ) {
    return parseBuiltIn(declared, scope.substitute(nodeOf(fallback)))
  }
  if (!parsedDefaults.has(declared)) {
    parsedDefaults.set(declared, parseBuiltIn(declared, nodeOf(fallback)))
  }
  return parsedDefaults.get(declared)
}

function parseBuiltIn(declared: Option<unknown>, node: ConfigNode): unknown {
  const ctx = ParseContext.create()
  const value = declared.type.parse(node, ctx)
  if (value !== invalid) return value
  const why = ctx.problems.map(formatProblem).join('; ')
  throw new TypeError(`The default of the option "${declared.help}" is invalid: ${why}`)
}

/** The written values together with the defaults of all others. */
export function completeOptions<M extends OptionMap>(
  map: M,
  written: Written,
  scope: Scope,
): ValuesOf<M> {
  const values: Record<string, unknown> = {}
  for (const [key, declared] of Object.entries(map)) {
    values[key] = written.has(key) ? written.get(key) : defaultOf(declared, scope)
  }
  // Each value was made by the type of the option of that name.
  return values as ValuesOf<M>
}

/** Reads a map of options; `undefined` if there was an error, which the context then holds. */
export function parseOptions<M extends OptionMap>(
  map: M,
  node: ConfigNode,
  ctx: ParseContext,
  scope: Scope = noScope,
): ValuesOf<M> | undefined {
  const written = readOptions(map, node, ctx)
  return written === undefined ? undefined : completeOptions(map, written, scope)
}

/**
 * The values of options given in code, as tests and embedders do: `valuesOf(map, { ping_interval: '5s' })`. The
 * host fills in `@HOST@`, and `top` holds the values of top-level options that defaults come from.
 * Throws a TypeError that lists what is wrong.
 */
export function valuesOf<M extends OptionMap>(
  map: M,
  written: Readonly<Record<string, unknown>> = {},
  given: { readonly host?: string; readonly top?: Readonly<Record<string, unknown>> } = {},
): ValuesOf<M> {
  const keywords = given.host === undefined ? {} : { HOST: given.host }
  const substitution = new Substitution(nodesOf(keywords), { quoted: false })
  const scope: Scope = {
    lookUp: (name) => given.top?.[name],
    substitute: (node) => substitution.apply(node),
  }
  const ctx = ParseContext.create()
  const values = parseOptions(map, substitution.apply(nodeOf(written)), ctx, scope)
  if (values !== undefined) return values
  throw new TypeError(ctx.problems.map(formatProblem).join('\n'))
}

function nodesOf(values: Readonly<Record<string, string>>): ReadonlyMap<string, ConfigNode> {
  return new Map(Object.entries(values).map(([name, value]) => [name, nodeOf(value)]))
}

/** A map with fixed keys, each of them an option. */
export function recordType<M extends OptionMap>(options: M): Type<ValuesOf<M>> {
  return {
    name: `a map with ${Object.keys(options).join(', ')}`,
    takes: ['map'],
    parse(node, ctx) {
      if (node.kind !== 'map') {
        ctx.expected(this.name, node)
        return invalid
      }
      return parseOptions(options, node, ctx) ?? invalid
    },
    schema: () => jsonSchemaOf(options),
  }
}

/** The JSON Schema of an object with these options. */
export function jsonSchemaOf(map: OptionMap): JsonSchema {
  const properties: Record<string, JsonSchema> = {}
  const needed: string[] = []
  for (const [key, declared] of Object.entries(map)) {
    const fallback = declared.default
    const isPlain =
      typeof fallback !== 'symbol' && !(fallback instanceof FromTop || fallback instanceof Computed)
    properties[key] = {
      ...declared.type.schema(),
      description: `${declared.help}${statusText(declared)}`,
      ...(isPlain ? { default: fallback } : {}),
    }
    if (fallback === required) needed.push(key)
  }
  return {
    type: 'object',
    properties,
    additionalProperties: false,
    ...(needed.length === 0 ? {} : { required: needed }),
  }
}

function statusText(declared: Option<unknown>): string {
  if (declared.status === 'works') return ''
  return declared.status === 'not-yet'
    ? ' (Not supported yet.)'
    : ` (No effect: ${declared.reason ?? ''}.)`
}

export interface OptionDescription {
  readonly name: string
  readonly type: string
  readonly default: string
  readonly help: string
  readonly status: Status
  readonly reason: string | undefined
}

/** The rows of an option table in the docs. */
export function describe(map: OptionMap): readonly OptionDescription[] {
  return Object.entries(map).map(([name, { type, default: fallback, help, status, reason }]) => ({
    name,
    type: type.name,
    default: describeDefault(fallback),
    help,
    status,
    reason,
  }))
}

function describeDefault(fallback: unknown): string {
  if (fallback === required) return 'required'
  if (fallback === optional) return 'not set'
  if (fallback instanceof FromTop) return `the top-level option ${fallback.name}`
  if (fallback instanceof Computed) return fallback.text
  if (fallback === Infinity) return 'infinity'
  return typeof fallback === 'string' ? fallback : JSON.stringify(fallback)
}
