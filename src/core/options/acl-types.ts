import { parseCidr } from '../../util/cidr.ts'
import { reportRepeats } from './container-types.ts'
import { prepareDomain, prepareResource, prepareUser } from './names.ts'
import { isNothing } from './node.ts'
import { globType, regexType } from './pattern-types.ts'
import { didYouMean } from './suggest.ts'
import { invalid } from './type.ts'
import type { Cidr } from '../../util/cidr.ts'
import type { ParseContext } from './context.ts'
import type { ConfigNode, Place } from './node.ts'
import type { Pattern } from './pattern-types.ts'
import type { Invalid, Type } from './type.ts'

/** One thing that an ACL or a condition asks of a caller. `text` is how it was written. */
export type AclItem = AclTest & { readonly text: string; readonly at: Place }

type AclTest =
  | { readonly kind: 'acl'; readonly name: string }
  | { readonly kind: 'ip'; readonly network: Cidr }
  /** Without a server: that user of any host served here. */
  | { readonly kind: 'user'; readonly user: string; readonly server: string | undefined }
  | { readonly kind: 'server'; readonly server: string }
  | { readonly kind: 'resource'; readonly resource: string }
  | {
      readonly kind: 'userPattern'
      readonly user: Pattern
      readonly server: string | undefined
    }
  | { readonly kind: 'serverPattern'; readonly server: Pattern }
  | { readonly kind: 'resourcePattern'; readonly resource: Pattern }
  | { readonly kind: 'nodePattern'; readonly user: Pattern; readonly server: Pattern }
  /** Without a host: the group of the caller's own host. */
  | { readonly kind: 'sharedGroup'; readonly group: string; readonly host: string | undefined }

type ReadItem = (node: ConfigNode, ctx: ParseContext) => readonly AclTest[] | Invalid

const aclTests: Readonly<Record<string, ReadItem>> = {
  user: (node, ctx) =>
    readUsers(
      node,
      ctx,
      (text) => prepareUser(text),
      'a user name',
      (user, server) => ({ kind: 'user', user, server }),
    ),
  server: (node, ctx) =>
    readEach(node, ctx, 'a host name', prepareDomain, (server) => ({ kind: 'server', server })),
  resource: (node, ctx) =>
    readEach(node, ctx, 'a resource', prepareResource, (resource) => ({
      kind: 'resource',
      resource,
    })),
  ip: (node, ctx) =>
    readEach(node, ctx, 'an IP address or network', readNetwork, (network) => ({
      kind: 'ip',
      network,
    })),
  shared_group: (node, ctx) =>
    readUsers(
      node,
      ctx,
      (text) => (text === '' ? undefined : text),
      'the name of a group',
      (group, host) => ({
        kind: 'sharedGroup',
        group,
        host,
      }),
    ),
  ...patternTests('regexp', regexType),
  ...patternTests('glob', globType),
}

function patternTests(suffix: string, type: Type<Pattern>): Record<string, ReadItem> {
  return {
    [`user_${suffix}`]: (node, ctx) =>
      readUsers(node, ctx, patternReader(type), type.name, (user, server) => ({
        kind: 'userPattern',
        user,
        server,
      })),
    [`server_${suffix}`]: (node, ctx) =>
      readEach(node, ctx, type.name, patternReader(type), (server) => ({
        kind: 'serverPattern',
        server,
      })),
    [`resource_${suffix}`]: (node, ctx) =>
      readEach(node, ctx, type.name, patternReader(type), (resource) => ({
        kind: 'resourcePattern',
        resource,
      })),
    [`node_${suffix}`]: (node, ctx) => readNodePatterns(node, ctx, type),
  }
}

function readNetwork(text: string): Cidr | undefined {
  const network = parseCidr(text)
  return network.ok ? network.value : undefined
}

type Read<T> = (text: string, at: Place, ctx: ParseContext) => T | Invalid | undefined

function patternReader(type: Type<Pattern>): Read<Pattern> {
  return (text, at, ctx) => type.parse({ kind: 'scalar', text, plain: false, at }, ctx)
}

/** A value or a list of values. */
function readEach<T>(
  node: ConfigNode,
  ctx: ParseContext,
  what: string,
  read: Read<T>,
  test: (value: T) => AclTest,
): readonly AclTest[] | Invalid {
  const tests: AclTest[] = []
  for (const item of node.kind === 'list' ? node.items : [node]) {
    const value =
      item.kind === 'scalar' && !isNothing(item) ? read(item.text, item.at, ctx) : undefined
    if (value === undefined) ctx.expected(what, item)
    if (value === undefined || value === invalid) return invalid
    tests.push(test(value))
  }
  return tests
}

/** `part`, `part@server`, `{part: server}`, or a list of these. */
function readUsers<T>(
  node: ConfigNode,
  ctx: ParseContext,
  read: Read<T>,
  what: string,
  test: (value: T, server: string | undefined) => AclTest,
): readonly AclTest[] | Invalid {
  const tests: AclTest[] = []
  for (const pair of pairsOf(node, what, ctx) ?? [undefined]) {
    if (pair === undefined) return invalid
    const value = read(pair.left, pair.at, ctx)
    if (value === undefined)
      ctx.report(pair.at, `expected ${what}, got ${JSON.stringify(pair.left)}`)
    const server = pair.right === undefined ? undefined : prepareDomain(pair.right)
    if (pair.right !== undefined && server === undefined) {
      ctx.report(pair.at, `expected a host name, got ${JSON.stringify(pair.right)}`)
      return invalid
    }
    if (value === undefined || value === invalid) return invalid
    tests.push(test(value, server))
  }
  return tests
}

function readNodePatterns(
  node: ConfigNode,
  ctx: ParseContext,
  type: Type<Pattern>,
): readonly AclTest[] | Invalid {
  const tests: AclTest[] = []
  for (const pair of pairsOf(node, type.name, ctx) ?? [undefined]) {
    if (pair === undefined) return invalid
    if (pair.right === undefined) {
      ctx.report(pair.at, `expected {user: server} or "user@server", each ${type.name}`)
      return invalid
    }
    const user = patternReader(type)(pair.left, pair.at, ctx)
    const server = patternReader(type)(pair.right, pair.at, ctx)
    if (user === undefined || user === invalid || server === undefined || server === invalid)
      return invalid
    tests.push({ kind: 'nodePattern', user, server })
  }
  return tests
}

interface Pair {
  readonly left: string
  readonly right: string | undefined
  readonly at: Place
}

function pairsOf(node: ConfigNode, what: string, ctx: ParseContext): readonly Pair[] | undefined {
  const pairs: Pair[] = []
  for (const item of node.kind === 'list' ? node.items : [node]) {
    if (item.kind === 'map') {
      for (const { key, keyAt, value } of item.entries) {
        if (value.kind !== 'scalar') {
          ctx.at(key).expected('a host name', value)
          return undefined
        }
        pairs.push({ left: key, right: value.text, at: keyAt })
      }
      continue
    }
    const parts = item.kind === 'scalar' && !isNothing(item) ? item.text.split('@') : []
    if (parts.length === 0 || parts.length > 2) {
      ctx.expected(`${what}, alone or followed by @ and a host name`, item)
      return undefined
    }
    pairs.push({ left: parts[0] ?? '', right: parts[1], at: item.at })
  }
  return pairs
}

/** A name alone, or a key with a value: what a rule or a condition is a sequence of. */
export interface Element {
  readonly key: string
  readonly value: ConfigNode | undefined
  readonly at: Place
}

/** Lists and maps may be mixed and nested at will in ejabberd's rules; only the order counts. */
export function elementsOf(node: ConfigNode): readonly Element[] {
  if (node.kind === 'list') return node.items.flatMap(elementsOf)
  if (node.kind === 'map') {
    return node.entries.map(({ key, keyAt, value }) => ({ key, value, at: keyAt }))
  }
  return isNothing(node) ? [] : [{ key: node.text, value: undefined, at: node.at }]
}

/** The tests that stand for one `type: value`, or a reported error. */
export function readAclItem(
  key: string,
  value: ConfigNode,
  at: Place,
  ctx: ParseContext,
  alsoKnown: readonly string[] = [],
): readonly AclItem[] | Invalid {
  const read = Object.hasOwn(aclTests, key) ? aclTests[key] : undefined
  if (read === undefined) {
    const hint = didYouMean(key, [...Object.keys(aclTests), ...alsoKnown])
    ctx.report(at, `unknown type of ACL "${key}"${hint}`)
    return invalid
  }
  const tests = read(value, ctx.at(key))
  if (tests === invalid) return invalid
  const texts = textsOf(value)
  return tests.map((test, index) => ({ ...test, text: `${key}: ${texts[index] ?? ''}`, at }))
}

/** How each value was written, in the order in which `readEach` and `pairsOf` find them. */
function textsOf(node: ConfigNode): readonly string[] {
  if (node.kind === 'list') return node.items.flatMap(textsOf)
  if (node.kind === 'scalar') return [JSON.stringify(node.text)]
  return node.entries.map(({ key, value }) =>
    JSON.stringify(`${key}@${value.kind === 'scalar' ? value.text : ''}`),
  )
}

/** The types of items that ACLs know, for messages and schemas. */
export const aclItemNames: readonly string[] = Object.keys(aclTests)

/** Reads the condition of an entry: names of ACLs and items, all of which have to hold. */
export function readCondition(
  node: ConfigNode,
  ctx: ParseContext,
  at: Place = node.at,
): readonly AclItem[] | Invalid {
  const elements = elementsOf(node)
  if (elements.length === 0) {
    ctx.report(at, 'the condition must not be empty, write "all" to match everybody')
    return invalid
  }
  const items: AclItem[] = []
  let failed = false
  for (const element of elements) {
    const name = element.key === 'acl' ? element.value : undefined
    if (element.value === undefined || name !== undefined) {
      const text = name === undefined ? element.key : name.kind === 'scalar' ? name.text : ''
      if (text === '') {
        ctx.expected('the name of an ACL', name ?? node)
        failed = true
      } else items.push({ kind: 'acl', name: text, text, at: element.at })
      continue
    }
    const read = readAclItem(element.key, element.value, element.at, ctx, ['acl'])
    if (read === invalid) failed = true
    else items.push(...read)
  }
  return failed ? invalid : items
}

/** The value of `acl`: an ACL holds for a caller when any of its items does. */
export const aclsType: Type<ReadonlyMap<string, readonly AclItem[]>> = {
  name: 'a map (a name: a map or a list of what matches)',
  takes: ['map'],
  appends: 'map',
  parse: (node, ctx) => readNamed(node, ['all', 'none'], ctx, readAcl),
  schema: () => ({
    type: 'object',
    additionalProperties: {
      anyOf: [{ type: 'array' }, { type: 'object', propertyNames: { enum: aclItemNames } }],
    },
  }),
}

function readAcl(node: ConfigNode, ctx: ParseContext): readonly AclItem[] | Invalid {
  const elements = node.kind === 'scalar' ? [] : elementsOf(node)
  if (elements.length === 0) {
    ctx.expected('what the ACL matches ("user: admin@localhost")', node)
    return invalid
  }
  const items: AclItem[] = []
  let failed = false
  for (const { key, value, at } of elements) {
    if (value === undefined) {
      ctx.report(at, `expected "${key}" to have a value, as in "user: ${key}"`)
      failed = true
      continue
    }
    const read = readAclItem(key, value, at, ctx)
    if (read === invalid) failed = true
    else items.push(...read)
  }
  return failed ? invalid : items
}

/** Reads a map of names that stand for rules; some names are taken. */
export function readNamed<T>(
  node: ConfigNode,
  reserved: readonly string[],
  ctx: ParseContext,
  read: (node: ConfigNode, ctx: ParseContext) => T | Invalid,
): ReadonlyMap<string, T> | Invalid {
  if (node.kind !== 'map') {
    ctx.expected('a map of names', node)
    return invalid
  }
  const values = new Map<string, T>()
  let failed = !reportRepeats(node.entries, ctx)
  for (const { key, keyAt, value } of node.entries) {
    if (reserved.includes(key)) {
      ctx.report(keyAt, `the name "${key}" is reserved`)
      failed = true
      continue
    }
    const parsed = read(value, ctx.at(key))
    if (parsed === invalid) failed = true
    else values.set(key, parsed)
  }
  return failed ? invalid : values
}
