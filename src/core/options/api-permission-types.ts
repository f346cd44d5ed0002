import { aclItemNames, elementsOf, readAclItem, readNamed } from './acl-types.ts'
import { isNothing } from './node.ts'
import { accessType } from './rule-types.ts'
import { textType } from './scalar-types.ts'
import { listType } from './container-types.ts'
import { didYouMean } from './suggest.ts'
import { anyOf, invalid } from './type.ts'
import type { AclItem } from './acl-types.ts'
import type { ParseContext } from './context.ts'
import type { ConfigNode } from './node.ts'
import type { AccessRule } from './rule-types.ts'
import type { Invalid, Type } from './type.ts'

/** Where a call can come in, by the names that `from` knows. */
export const frontEnds = [
  'ejabberd_ctl',
  'ejabberd_web_admin',
  'ejabberd_xmlrpc',
  'mod_adhoc_api',
  'mod_cron',
  'mod_http_api',
] as const
export type FrontEnd = (typeof frontEnds)[number]

/** One way to be among the callers of a group. */
export type CallerTest =
  | { readonly kind: 'acl'; readonly item: AclItem }
  | { readonly kind: 'access'; readonly rule: AccessRule }
  /** Callers with a token that holds one of the scopes, and whom one of the inner items admits. */
  | {
      readonly kind: 'oauth'
      readonly scopes: readonly string[]
      readonly inner: readonly Exclude<CallerTest, { kind: 'oauth' }>[]
    }

export type CommandPattern =
  { readonly kind: 'name'; readonly name: string } | { readonly kind: 'tag'; readonly tag: string }

/** One entry of `api_permissions`. */
export interface ApiGroup {
  readonly name: string
  /** Empty: any front end. */
  readonly frontEnds: readonly FrontEnd[]
  /** Tags of listeners; empty: any listener. */
  readonly tags: readonly string[]
  readonly who: readonly CallerTest[]
  readonly allowed: 'all' | readonly CommandPattern[]
  readonly refused: readonly CommandPattern[]
}

/** The value of `api_permissions`, in the order in which it is written. */
export const apiPermissionsType: Type<readonly ApiGroup[]> = {
  name: 'a map (a name: a map with from, who, what)',
  takes: ['map'],
  appends: 'map',
  parse(node, ctx) {
    const groups = readNamed(node, [], ctx, readGroup)
    return groups === invalid ? invalid : [...groups].map(([name, group]) => ({ ...group, name }))
  },
  schema: () => ({
    type: 'object',
    additionalProperties: {
      type: 'object',
      additionalProperties: false,
      properties: { from: {}, who: {}, what: {} },
    },
  }),
}

const groupKeys = ['from', 'who', 'what']

function readGroup(node: ConfigNode, ctx: ParseContext): Omit<ApiGroup, 'name'> | Invalid {
  if (node.kind !== 'map') {
    ctx.expected('a map with from, who and what', node)
    return invalid
  }
  let from: From | Invalid = { frontEnds: [], tags: [] }
  let who: readonly CallerTest[] | Invalid = []
  let what: What | Invalid = { allowed: [], refused: [] }
  let failed = false
  const seen = new Set<string>()
  for (const { key, keyAt, value } of node.entries) {
    if (seen.has(key)) ctx.report(keyAt, `"${key}" is set twice`)
    if (!groupKeys.includes(key)) {
      ctx.report(keyAt, `unknown option "${key}"${didYouMean(key, groupKeys)}`)
    }
    if (seen.has(key) || !groupKeys.includes(key)) failed = true
    seen.add(key)
    if (key === 'from') from = readFrom(value, ctx.at(key))
    if (key === 'who') who = readCallers(value, ctx.at(key), true)
    if (key === 'what') what = readWhat(value, ctx.at(key))
  }
  if (failed || from === invalid || who === invalid || what === invalid) return invalid
  return { ...from, who, ...what }
}

type From = Pick<ApiGroup, 'frontEnds' | 'tags'>

function readFrom(node: ConfigNode, ctx: ParseContext): From | Invalid {
  const modules: FrontEnd[] = []
  const tags: string[] = []
  let failed = false
  for (const { key, value, at } of elementsOf(node)) {
    const frontEnd = frontEnds.find((name) => name === key)
    if (key === 'tag' && value?.kind === 'scalar') tags.push(value.text)
    else if (value === undefined && frontEnd !== undefined) modules.push(frontEnd)
    else {
      const hint = didYouMean(key, frontEnds)
      ctx.report(at, `expected ${anyOf([...frontEnds, '"tag: ..."'])}, got "${key}"${hint}`)
      failed = true
    }
  }
  return failed ? invalid : { frontEnds: modules, tags }
}

type PlainTest = Exclude<CallerTest, { kind: 'oauth' }>

function readCallers(
  node: ConfigNode,
  ctx: ParseContext,
  mayBeToken: true,
): readonly CallerTest[] | Invalid
function readCallers(
  node: ConfigNode,
  ctx: ParseContext,
  mayBeToken: false,
): readonly PlainTest[] | Invalid
function readCallers(
  node: ConfigNode,
  ctx: ParseContext,
  mayBeToken: boolean,
): readonly CallerTest[] | Invalid {
  const callers: CallerTest[] = []
  let failed = false
  for (const { key, value, at } of elementsOf(node)) {
    let read: readonly CallerTest[] | Invalid
    if (value === undefined) {
      read = [{ kind: 'acl', item: { kind: 'acl', name: key, text: key, at } }]
    } else if (key === 'acl') {
      read = readAclNames(value, ctx.at(key))
    } else if (key === 'access') {
      const rule = accessType.parse(value, ctx.at(key))
      read = rule === invalid ? invalid : [{ kind: 'access', rule }]
    } else if (key === 'oauth' && mayBeToken) {
      read = readToken(value, ctx.at(key))
    } else if (aclItemNames.includes(key)) {
      const items = readAclItem(key, value, at, ctx)
      read = items === invalid ? invalid : items.map((item) => ({ kind: 'acl', item }))
    } else {
      const known = ['acl', 'access', ...(mayBeToken ? ['oauth'] : []), ...aclItemNames]
      ctx.report(at, `unknown way to name callers "${key}"${didYouMean(key, known)}`)
      read = invalid
    }
    if (read === invalid) failed = true
    else callers.push(...read)
  }
  return failed ? invalid : callers
}

function readAclNames(node: ConfigNode, ctx: ParseContext): readonly PlainTest[] | Invalid {
  const callers: PlainTest[] = []
  for (const name of node.kind === 'list' ? node.items : [node]) {
    if (name.kind !== 'scalar' || isNothing(name)) {
      ctx.expected('the name of an ACL', name)
      return invalid
    }
    callers.push({
      kind: 'acl',
      item: { kind: 'acl', name: name.text, text: name.text, at: name.at },
    })
  }
  return callers
}

const scopesType = listType(textType({ nonEmpty: true }), { nonEmpty: true })

function readToken(node: ConfigNode, ctx: ParseContext): readonly CallerTest[] | Invalid {
  const maps = node.kind === 'list' ? node.items : [node]
  const entries = maps.flatMap((map) => (map.kind === 'map' ? map.entries : []))
  const scope = entries.find((entry) => entry.key === 'scope')
  if (scope === undefined) {
    ctx.report(node.at, 'the option "scope" is required')
    return invalid
  }
  const scopes = scopesType.parse(scope.value, ctx.at('scope'))
  const rest = {
    kind: 'map',
    entries: entries.filter((entry) => entry !== scope),
    at: node.at,
  } as const
  const names = maps.filter((item) => item.kind !== 'map')
  const inner = readCallers({ kind: 'list', items: [rest, ...names], at: node.at }, ctx, false)
  return scopes === invalid || inner === invalid ? invalid : [{ kind: 'oauth', scopes, inner }]
}

type What = Pick<ApiGroup, 'allowed' | 'refused'>

/** Positive patterns minus negative ones; `"!*"` takes everything away, wherever it stands. */
function readWhat(node: ConfigNode, ctx: ParseContext): What | Invalid {
  const allowed: CommandPattern[] = []
  const refused: CommandPattern[] = []
  let all = false
  let none = false
  let failed = false
  for (const item of node.kind === 'list' ? node.items : [node]) {
    const text = item.kind === 'scalar' ? item.text : ''
    const negative = text.startsWith('!')
    const pattern = readPattern(negative ? text.slice(1) : text)
    if (pattern === undefined) {
      ctx.expected('the name of a command, "[tag:NAME]" or "*", perhaps with "!" before it', item)
      failed = true
    } else if (pattern === 'all') {
      if (negative) none = true
      else all = true
    } else if (negative) refused.push(pattern)
    else allowed.push(pattern)
  }
  if (failed) return invalid
  if (none) return { allowed: [], refused: [] }
  return { allowed: all ? 'all' : allowed, refused }
}

function readPattern(text: string): CommandPattern | 'all' | undefined {
  if (text === '*') return 'all'
  const tag = /^\[tag:([a-z0-9_-]+)\]$/.exec(text)?.[1]
  if (tag !== undefined) return { kind: 'tag', tag }
  return /^[a-z0-9_-]+$/.test(text) ? { kind: 'name', name: text } : undefined
}
