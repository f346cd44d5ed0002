import { elementsOf, readCondition, readNamed } from './acl-types.ts'
import { isNothing } from './node.ts'
import { isInfinity } from './scalar-types.ts'
import { didYouMean } from './suggest.ts'
import { invalid } from './type.ts'
import type { AclItem } from './acl-types.ts'
import type { ParseContext } from './context.ts'
import type { ConfigNode, Place } from './node.ts'
import type { Invalid, Type } from './type.ts'

export interface AccessEntry {
  readonly action: 'allow' | 'deny'
  /** All of these have to hold. */
  readonly condition: readonly AclItem[]
  readonly at: Place
}

/** What an option of type access holds. */
export type AccessRule =
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'inline'; readonly entries: readonly AccessEntry[] }

/** A positive number (possibly `Infinity`), no limit at all, or a shaper to look up. */
export type ShaperValue = number | 'none' | { readonly shaper: string }

export interface ShaperEntry {
  readonly value: ShaperValue
  readonly condition: readonly AclItem[]
  readonly at: Place
}

/** What an option of type shaper rule holds. */
export type ShaperRule =
  | { readonly kind: 'none' }
  | { readonly kind: 'infinity' }
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'inline'; readonly entries: readonly ShaperEntry[] }

const everybody = (at: Place): readonly AclItem[] => [{ kind: 'acl', name: 'all', text: 'all', at }]

function readAccessEntries(node: ConfigNode, ctx: ParseContext): readonly AccessEntry[] | Invalid {
  if (node.kind === 'scalar') {
    ctx.expected('a list of "allow: ..." and "deny: ..."', node)
    return invalid
  }
  const elements = elementsOf(node)
  if (elements.length === 0) {
    ctx.report(node.at, 'the rule must not be empty, write "deny" to allow nobody')
    return invalid
  }
  const entries: AccessEntry[] = []
  let failed = false
  for (const { key, value, at } of elements) {
    if (key !== 'allow' && key !== 'deny') {
      ctx.report(
        at,
        `expected "allow" or "deny", got "${key}"${didYouMean(key, ['allow', 'deny'])}`,
      )
      failed = true
      continue
    }
    const condition = value === undefined ? everybody(at) : readCondition(value, ctx.at(key), at)
    if (condition === invalid) failed = true
    else entries.push({ action: key, condition, at })
  }
  return failed ? invalid : entries
}

const ruleSchema = {
  anyOf: [{ type: 'string' }, { type: 'array' }, { type: 'object' }],
}

/** The name of an access rule, `all`, `none`, or the rule itself. */
export const accessType: Type<AccessRule> = {
  name: 'an access rule',
  takes: ['scalar', 'list', 'map'],
  parse(node, ctx) {
    if (node.kind !== 'scalar') {
      const entries = readAccessEntries(node, ctx)
      return entries === invalid ? invalid : { kind: 'inline', entries }
    }
    if (node.text === 'all' || node.text === 'none') return { kind: node.text }
    if (isNothing(node) || node.text === '') {
      ctx.expected('an access rule', node)
      return invalid
    }
    ctx.refer('access', node.text, node.at)
    return { kind: 'named', name: node.text }
  },
  schema: () => ruleSchema,
}

/** The value of `access_rules`. */
export const accessRulesType: Type<ReadonlyMap<string, readonly AccessEntry[]>> = {
  name: 'a map (a name: a list of "allow: ..." and "deny: ...")',
  takes: ['map'],
  appends: 'map',
  parse: (node, ctx) => readNamed(node, ['all', 'none'], ctx, readAccessEntries),
  schema: () => ({ type: 'object', additionalProperties: { type: ['array', 'object'] } }),
}

function readShaperValue(text: string): ShaperValue | undefined {
  if (text === 'none') return 'none'
  if (isInfinity(text)) return Infinity
  if (!/^[-+]?\d+$/.test(text)) return text === '' ? undefined : { shaper: text }
  const value = Number(text)
  return Number.isSafeInteger(value) && value > 0 ? value : undefined
}

function readShaperEntries(node: ConfigNode, ctx: ParseContext): readonly ShaperEntry[] | Invalid {
  const elements = elementsOf(node)
  if (elements.length === 0) {
    ctx.expected('a list of "shaper: condition" or "number: condition"', node)
    return invalid
  }
  const entries: ShaperEntry[] = []
  let failed = false
  for (const { key, value, at } of elements) {
    const result = readShaperValue(key)
    if (result === undefined) {
      ctx.report(at, `expected the name of a shaper or a number above 0, got "${key}"`)
      failed = true
      continue
    }
    const condition = value === undefined ? everybody(at) : readCondition(value, ctx.at(key), at)
    if (condition === invalid) failed = true
    else entries.push({ value: result, condition, at })
  }
  return failed ? invalid : entries
}

/** The name of a shaper rule, `none`, `infinity`, or the rule itself. */
export const shaperRuleType: Type<ShaperRule> = {
  name: 'a shaper rule',
  takes: ['scalar', 'list', 'map'],
  parse(node, ctx) {
    if (
      node.kind === 'scalar' &&
      !isNothing(node) &&
      node.text !== '' &&
      !/^[-+]?\d+$/.test(node.text)
    ) {
      if (node.text === 'none') return { kind: 'none' }
      if (isInfinity(node.text)) return { kind: 'infinity' }
      ctx.refer('shaper', node.text, node.at)
      return { kind: 'named', name: node.text }
    }
    const entries = readShaperEntries(node, ctx)
    return entries === invalid ? invalid : { kind: 'inline', entries }
  },
  schema: () => ({
    anyOf: [{ type: ['string', 'integer'] }, { type: 'array' }, { type: 'object' }],
  }),
}

/** Names that mean no limit, so that no shaper and no rule can have them. */
export const reservedShapers: readonly string[] = ['none', 'infinite', 'unlimited', 'infinity']

/** The value of `shaper_rules`. */
export const shaperRulesType: Type<ReadonlyMap<string, readonly ShaperEntry[]>> = {
  name: 'a map (a name: a list of "value: condition")',
  takes: ['map'],
  appends: 'map',
  parse: (node, ctx) => readNamed(node, reservedShapers, ctx, readShaperEntries),
  schema: () => ({
    type: 'object',
    additionalProperties: { type: ['string', 'integer', 'array', 'object'] },
  }),
}
