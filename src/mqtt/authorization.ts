import type { Access } from '../core/access.ts'
import { subjectOf } from '../core/access.ts'
import type { AccessRule } from '../core/options/rule-types.ts'
import {
  domainpart,
  localpart,
  prepDomain,
  prepLocalpart,
  prepResource,
  resourcepart,
} from '../xmpp/jid/jid.ts'
import type { Publisher } from './hooks.ts'
import type { BrokerSettings } from './settings.ts'
import { isServerTopic, type TopicFilter, type TopicName } from './topic.ts'

interface Rule {
  readonly levels: readonly string[]
  readonly access: AccessRule
}

/**
 * `access_publish` and `access_subscribe`: over the entries whose filter matches any "allow" suffices. In a filter `%u`, `%d`
 * and `%c` stand for the client's own user, domain and client identifier, `%g` for a group of a shared roster it is in.
 */
export class Authorization {
  readonly #access: Access
  readonly #publish: readonly Rule[]
  readonly #subscribe: readonly Rule[]

  /** Memberships of groups may change at any time: decisions must not be kept for long. */
  readonly isDynamic: boolean

  constructor(access: Access, settings: Pick<BrokerSettings, 'accessPublish' | 'accessSubscribe'>) {
    this.#access = access
    this.#publish = rulesOf(settings.accessPublish)
    this.#subscribe = rulesOf(settings.accessSubscribe)
    this.isDynamic = this.#publish.length > 0
  }

  mayPublish(topic: TopicName, client: Publisher): boolean {
    // Topics of the server itself are not for clients, whatever the rules say.
    return !isServerTopic(topic) && this.#isAllowed(this.#publish, topic, client)
  }

  /** A wildcard in `filter` is a level like any other: it needs one that is at least as wide in the rule. */
  maySubscribe(filter: TopicFilter, client: Publisher): boolean {
    return this.#isAllowed(this.#subscribe, filter, client)
  }

  #isAllowed(rules: readonly Rule[], topic: string, client: Publisher): boolean {
    if (rules.length === 0) return true
    const levels = topic.split('/')
    const subject = subjectOf(client.jid, client.ip === '' ? undefined : client.ip)
    return rules.some(
      (rule) =>
        this.#matches(rule.levels, levels, client) && this.#access.isAllowed(rule.access, subject),
    )
  }

  #matches(rule: readonly string[], levels: readonly string[], client: Publisher): boolean {
    for (let i = 0; i < rule.length; i++) {
      const wanted = rule[i]
      const level = levels[i]
      // `a/#` covers `a` as well, as in matching (MQTT5 4.7.1.2).
      if (wanted === '#') return true
      if (level === undefined) return false
      // A subscription to `#` wants more than one level.
      if (wanted === '+' && level === '#') return false
      if (!this.#covers(wanted ?? '', level, client)) return false
    }
    return rule.length === levels.length
  }

  #covers(wanted: string, level: string, { jid }: Publisher): boolean {
    if (wanted === '+') return true
    // A user may be called "+": their own name must not become everybody's.
    if (level === '+' || level === '#') return false
    switch (wanted) {
      case '%u':
        return isSame(prepLocalpart(level), localpart(jid))
      case '%d':
        return isSame(prepDomain(level), domainpart(jid))
      case '%c':
        return isSame(prepResource(level), resourcepart(jid))
      case '%g':
        return this.#access.isInSharedGroup(localpart(jid), domainpart(jid), level)
      default:
        return wanted === level
    }
  }
}

function rulesOf(rules: ReadonlyMap<string, AccessRule>): readonly Rule[] {
  return [...rules].map(([filter, access]) => ({ levels: filter.split('/'), access }))
}

function isSame(prepared: { ok: true; value: string } | { ok: false }, own: string): boolean {
  return prepared.ok && own !== '' && prepared.value === own
}
