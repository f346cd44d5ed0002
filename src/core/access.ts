import { domainpart, localpart, resourcepart } from '../xmpp/jid/jid.ts'
import { cidrContains, parseIpAddress } from '../util/cidr.ts'
import type { Jid } from '../xmpp/jid/jid.ts'
import type { AclItem } from './options/acl-types.ts'
import type { Pattern } from './options/pattern-types.ts'
import type { AccessEntry, AccessRule } from './options/rule-types.ts'

/** Whom a rule is asked about. Parts that are not known match nothing. */
export interface Subject {
  /** In canonical form, as all parts below; `undefined` where only an address is known. */
  readonly user?: string | undefined
  readonly host?: string | undefined
  readonly resource?: string | undefined
  readonly ip?: string | undefined
}

/** As the address of a {@link Subject}: one that is not known and may be any. Items about addresses hold for it. */
export const anyAddress = '*'

export function subjectOf(jid: Jid, ip?: string): Subject {
  return { user: localpart(jid), host: domainpart(jid), resource: resourcepart(jid), ip }
}

/** What `acl` and `access_rules` hold, outside any host or on one. */
export interface AccessTables {
  readonly acl: ReadonlyMap<string, readonly AclItem[]>
  readonly access_rules: ReadonlyMap<string, readonly AccessEntry[]>
}

/** The part of the configuration that access depends on. */
export interface AccessConfig {
  readonly hosts: readonly string[]
  readonly global: AccessTables
  forHost(host: string): AccessTables
}

/** Whose tables are looked at: a host's, or those outside any host. */
export type AccessScope = string | typeof globalScope
export const globalScope: unique symbol = Symbol('global')

export type Decision = 'allow' | 'deny'

/** Whether an account is in a group of a shared roster. */
export type SharedGroups = (user: string, server: string, group: string, host: string) => boolean

/** How a decision came about, for the access tester. */
export interface Explanation {
  readonly decision: Decision
  /** In words: `the rule "c2s" has no entry that holds`. */
  readonly reason: string
  /** Where the entry that decided stands: `linnet.yml:12:5`. */
  readonly place: string | undefined
  /** Every entry that was tried, in order, the last one being the one that decided. */
  readonly entries: readonly {
    readonly action: Decision
    readonly holds: boolean
    readonly place: string
    readonly items: readonly { readonly text: string; readonly holds: boolean }[]
  }[]
}

/** JIDs cannot be longer (RFC 6122 §2.1), so nothing real is refused; it bounds the work of an expression. */
const maxMatchedLength = 1023

const noTables: AccessTables = { acl: new Map(), access_rules: new Map() }
const noEntries: readonly never[] = []

/**
 * Decides who may do what, by the ACLs and access rules of a configuration. In a rule the first entry whose
 * condition holds decides; in a condition all items have to hold, in an ACL one. What does not exist denies.
 */
export class Access {
  #config: AccessConfig
  #hosts: ReadonlySet<string>
  #sharedGroups: SharedGroups | undefined

  constructor(config: AccessConfig) {
    this.#config = config
    this.#hosts = new Set(config.hosts)
  }

  /** Takes a new configuration over; the checks that follow go by it. */
  reload(config: AccessConfig): void {
    this.#config = config
    this.#hosts = new Set(config.hosts)
  }

  /** Whether an account is in that group of its own host's shared roster; no while nobody knows. */
  isInSharedGroup(user: string, host: string, group: string): boolean {
    return this.#sharedGroups?.(user, host, group, host) ?? false
  }

  /** Registers who knows the groups of shared rosters; the function returned takes it back. */
  provideSharedGroups(groups: SharedGroups): () => void {
    this.#sharedGroups = groups
    return () => {
      if (this.#sharedGroups === groups) this.#sharedGroups = undefined
    }
  }

  /** Without a scope the tables of the subject's own host count. */
  check(rule: AccessRule, subject: Subject, scope: AccessScope = scopeOf(subject)): Decision {
    if (rule.kind === 'all') return 'allow'
    if (rule.kind === 'none') return 'deny'
    const entries = this.#entriesOf(rule, scope)
    return (
      entries.find((entry) => this.matchesAll(entry.condition, subject, scope))?.action ?? 'deny'
    )
  }

  isAllowed(rule: AccessRule, subject: Subject, scope: AccessScope = scopeOf(subject)): boolean {
    return this.check(rule, subject, scope) === 'allow'
  }

  /** Whether the subject is in the ACL of that name. */
  matchesAcl(name: string, subject: Subject, scope: AccessScope = scopeOf(subject)): boolean {
    if (name === 'all') return true
    if (name === 'none') return false
    const items = this.#tables(scope).acl.get(name) ?? noEntries
    return items.some((item) => this.matches(item, subject, scope))
  }

  /** Whether a condition holds: all of its items do, and there is at least one. */
  matchesAll(condition: readonly AclItem[], subject: Subject, scope: AccessScope): boolean {
    return condition.length > 0 && condition.every((item) => this.matches(item, subject, scope))
  }

  matches(item: AclItem, subject: Subject, scope: AccessScope): boolean {
    if (item.kind === 'acl') return this.matchesAcl(item.name, subject, scope)
    if (item.kind === 'ip') {
      if (subject.ip === anyAddress) return true
      const address = subject.ip === undefined ? undefined : parseIpAddress(subject.ip)
      return address !== undefined && cidrContains(item.network, address)
    }
    const { user, host, resource } = subject
    if (user === undefined || host === undefined) return false
    switch (item.kind) {
      case 'user':
        return item.user === user && this.#isOn(item.server, host)
      case 'server':
        return item.server === host
      case 'resource':
        return item.resource === (resource ?? '')
      case 'userPattern':
        return this.#isOn(item.server, host) && test(item.user, user)
      case 'serverPattern':
        return test(item.server, host)
      case 'resourcePattern':
        return test(item.resource, resource ?? '')
      case 'nodePattern':
        return test(item.user, user) && test(item.server, host)
      case 'sharedGroup':
        return this.#sharedGroups?.(user, host, item.group, item.host ?? host) ?? false
    }
  }

  /** Decides like `check`, and tells by which entry. */
  explain(rule: AccessRule, subject: Subject, scope: AccessScope = scopeOf(subject)): Explanation {
    if (rule.kind === 'all' || rule.kind === 'none') {
      const decision = rule.kind === 'all' ? 'allow' : 'deny'
      return { decision, reason: `the rule is "${rule.kind}"`, place: undefined, entries: [] }
    }
    const named = rule.kind === 'named' ? `the rule "${rule.name}"` : 'the rule'
    if (rule.kind === 'named' && !this.#tables(scope).access_rules.has(rule.name)) {
      return { decision: 'deny', reason: `${named} does not exist`, place: undefined, entries: [] }
    }
    const entries: Explanation['entries'][number][] = []
    for (const { action, condition, at } of this.#entriesOf(rule, scope)) {
      const items = condition.map((item) => ({
        text: item.text,
        holds: this.matches(item, subject, scope),
      }))
      const holds = items.length > 0 && items.every((item) => item.holds)
      const place = at.toString()
      entries.push({ action, holds, place, items })
      if (!holds) continue
      const texts = items.map(({ text }) => text).join(' and ')
      return { decision: action, reason: `${named} says "${action}" for ${texts}`, place, entries }
    }
    return {
      decision: 'deny',
      reason: `${named} has no entry that holds`,
      place: undefined,
      entries,
    }
  }

  #entriesOf(
    rule: Extract<AccessRule, { kind: 'named' | 'inline' }>,
    scope: AccessScope,
  ): readonly AccessEntry[] {
    if (rule.kind === 'inline') return rule.entries
    return this.#tables(scope).access_rules.get(rule.name) ?? noEntries
  }

  /** An unknown host has no tables, so that everything is denied there. */
  #tables(scope: AccessScope): AccessTables {
    if (scope === globalScope) return this.#config.global
    return this.#hosts.has(scope) ? this.#config.forHost(scope) : noTables
  }

  /** Without a server the item means every host served here. */
  #isOn(server: string | undefined, host: string): boolean {
    return server === undefined ? this.#hosts.has(host) : server === host
  }
}

function scopeOf(subject: Subject): AccessScope {
  return subject.host ?? globalScope
}

function test(pattern: Pattern, text: string): boolean {
  return text.length <= maxMatchedLength && pattern.test(text)
}
