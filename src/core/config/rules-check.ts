import type { AclItem } from '../options/acl-types.ts'
import type { ParseContext, RuleReference } from '../options/context.ts'
import type { ShaperEntry } from '../options/rule-types.ts'
import type { ModuleConfig } from './config.ts'
import type { GlobalValues, HostValues } from './toplevel.ts'

export interface HostRules {
  readonly host: string
  readonly values: HostValues
  readonly references: readonly RuleReference[]
  readonly modules: ReadonlyMap<string, ModuleConfig>
}

/** Warns of names that lead nowhere: rules that do not exist, shapers that do not exist, groups that nobody is in. */
export function checkRules(
  global: GlobalValues,
  hosts: readonly HostRules[],
  topReferences: readonly RuleReference[],
  ctx: ParseContext,
): void {
  const tables = hosts.map(({ values }) => values)
  for (const reference of topReferences) {
    // Which host's table is looked at depends on the connection, so that one is enough.
    if (![global, ...tables].some((values) => isDefined(reference, values)))
      warnMissing(reference, ctx)
  }
  for (const { values, references } of hosts) {
    for (const reference of references)
      if (!isDefined(reference, values)) warnMissing(reference, ctx)
  }
  for (const values of new Set([global, ...tables])) {
    for (const [name, entries] of values.shaper_rules) {
      warnMissingShapers(name, entries, global.shaper, ctx)
    }
  }
  const withGroups = hosts.some(
    ({ modules }) => modules.has('mod_shared_roster') || modules.has('mod_shared_roster_ldap'),
  )
  if (withGroups) return
  for (const values of new Set([global, ...tables])) {
    const acls = [...values.acl.values()].flat()
    const rules = [...values.access_rules.values()].flatMap((entries) =>
      entries.flatMap(({ condition }) => condition),
    )
    for (const item of [...acls, ...rules]) warnSharedGroup(item, ctx)
  }
}

function isDefined(
  { kind, name }: RuleReference,
  values: Pick<HostValues, 'access_rules' | 'shaper_rules'>,
): boolean {
  return kind === 'access' ? values.access_rules.has(name) : values.shaper_rules.has(name)
}

function warnMissing({ kind, name, at, path }: RuleReference, ctx: ParseContext): void {
  const consequence = kind === 'access' ? 'so it denies everybody' : 'so nothing is limited'
  ctx.reportAt(path, at, `there is no ${kind} rule "${name}", ${consequence}`, 'warning')
}

function warnMissingShapers(
  rule: string,
  entries: readonly ShaperEntry[],
  shapers: GlobalValues['shaper'],
  ctx: ParseContext,
): void {
  for (const { value, at } of entries) {
    if (typeof value !== 'object' || shapers.has(value.shaper)) continue
    const message = `there is no shaper "${value.shaper}", this entry is left out`
    ctx.at('shaper_rules').at(rule).report(at, message, 'warning')
  }
}

function warnSharedGroup(item: AclItem, ctx: ParseContext): void {
  if (item.kind !== 'sharedGroup') return
  ctx.report(
    item.at,
    'shared_group matches nobody, because no module for shared rosters runs',
    'warning',
  )
}
