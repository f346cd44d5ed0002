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
import type { QoS } from './packet/packet-type.ts'
import type { BrokerSettings } from './settings.ts'
import { isServerTopic, isSysFilter, type TopicFilter, type TopicName } from './topic.ts'
import type { TopicRule } from './topic-rule.ts'

interface Rule extends TopicRule {
  readonly filter: string
  readonly levels: readonly string[]
}

/** The highest QoS that is allowed, for messages that are not retained and for those that are; -1 = none. */
export interface Allowance {
  readonly qos: number
  readonly retainedQoS: number
}

export const nothingAllowed: Allowance = { qos: -1, retainedQoS: -1 }
const everythingAllowed: Allowance = { qos: 2, retainedQoS: 2 }

type Settings = Pick<BrokerSettings, 'access' | 'accessPublish' | 'accessSubscribe' | 'accessSys'>

/**
 * `access_publish` and `access_subscribe`: over the entries whose filter matches any "allow" suffices. In a filter `%u`, `%d`
 * and `%c` stand for the client's own user, domain and client identifier, `%g` for a group of a shared roster it is in.
 */
export class Authorization {
  readonly #access: Access
  readonly #connect: AccessRule
  readonly #publish: readonly Rule[]
  readonly #subscribe: readonly Rule[]
  readonly #sys: AccessRule

  /** Memberships of groups may change at any time: decisions must not be kept for long. */
  readonly isDynamic: boolean

  constructor(access: Access, settings: Settings) {
    this.#access = access
    this.#connect = settings.access
    this.#publish = rulesOf(settings.accessPublish)
    this.#subscribe = rulesOf(settings.accessSubscribe)
    this.#sys = settings.accessSys
    this.isDynamic = this.#publish.length > 0
  }

  /** Whether there are rules that could end what was allowed before. */
  get hasLastingRules(): boolean {
    return this.#subscribe.length > 0 || this.#connect.kind !== 'all'
  }

  mayConnect(client: Publisher): boolean {
    return this.#access.isAllowed(this.#connect, subject(client))
  }

  publishing(topic: TopicName, client: Publisher): Allowance {
    // Topics of the server itself are not for clients, whatever the rules say.
    if (isServerTopic(topic) && !isOwnState(topic, client)) return nothingAllowed
    return this.#allowance(this.#publish, topic, client)
  }

  /**
   * A wildcard in `filter` is a level like any other: it needs one that is at least as wide in the rule. `retainedQoS` is that
   * of the retained messages which come first.
   */
  subscribing(filter: TopicFilter, client: Publisher): Allowance {
    if (isSysFilter(filter)) {
      const isAllowed = this.#access.isAllowed(this.#sys, subject(client))
      return isAllowed ? everythingAllowed : nothingAllowed
    }
    return this.#allowance(this.#subscribe, filter, client)
  }

  /** Why not, for the client and the log. */
  explainPublish(topic: TopicName, qos: QoS, retain: boolean, client: Publisher): string {
    const what = `Publishing to ${quoted(topic)} is not allowed`
    if (isServerTopic(topic) && !isOwnState(topic, client)) {
      return `${what}: topics with "$" in front are the server's own`
    }
    return `${what}: ${this.#explain('access_publish', this.#publish, topic, client, qos, retain)}`
  }

  explainSubscribe(filter: TopicFilter, client: Publisher): string {
    const why = isSysFilter(filter)
      ? `access_sys needs ${nameOf(this.#sys)}`
      : this.#explain('access_subscribe', this.#subscribe, filter, client, 0, false)
    return `Subscribing to ${quoted(filter)} is not allowed: ${why}`
  }

  #allowance(rules: readonly Rule[], topic: string, client: Publisher): Allowance {
    if (rules.length === 0) return everythingAllowed
    const levels = topic.split('/')
    const who = subject(client)
    let qos = -1
    let retainedQoS = -1
    for (const rule of rules) {
      // Rules that would add nothing need not be asked.
      if (rule.maxQoS <= qos && (!rule.retain || rule.maxQoS <= retainedQoS)) continue
      if (!this.#matches(rule.levels, levels, client)) continue
      if (!this.#access.isAllowed(rule.access, who)) continue
      qos = Math.max(qos, rule.maxQoS)
      if (rule.retain) retainedQoS = Math.max(retainedQoS, rule.maxQoS)
      if (retainedQoS === 2) return everythingAllowed
    }
    return qos < 0 ? nothingAllowed : { qos, retainedQoS }
  }

  #explain(
    option: string,
    rules: readonly Rule[],
    topic: string,
    client: Publisher,
    qos: QoS,
    retain: boolean,
  ): string {
    const levels = topic.split('/')
    const who = subject(client)
    const matching = rules.filter((rule) => this.#matches(rule.levels, levels, client))
    if (matching.length === 0) return `no filter of ${option} selects it`
    const reasons = matching.slice(0, maxReasons).map(({ filter, access, maxQoS }) => {
      const entry = `${option} ${quoted(filter)}`
      if (!this.#access.isAllowed(access, who)) return `${entry} needs ${nameOf(access)}`
      if (qos > maxQoS) return `${entry} allows QoS ${maxQoS} at most`
      return retain ? `${entry} allows no retained messages` : `${entry} allows it no more`
    })
    return reasons.join('; ')
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

/** Enough to see what is wrong; a reason string has to fit into a packet. */
const maxReasons = 3
const maxQuoted = 64

function rulesOf(rules: ReadonlyMap<string, TopicRule>): readonly Rule[] {
  return [...rules].map(([filter, rule]) => ({ ...rule, filter, levels: filter.split('/') }))
}

function subject({ jid, ip }: Publisher) {
  return subjectOf(jid, ip === '' ? undefined : ip)
}

/**
 * COMPAT: bridges of mosquitto tell there whether they are up, by their client identifiers, unless somebody has turned
 * `notifications` off. In MQTT 5 nothing says that they are bridges.
 */
function isOwnState(topic: string, { jid }: Publisher): boolean {
  return topic === `$SYS/broker/connection/${resourcepart(jid)}/state`
}

function isSame(prepared: { ok: true; value: string } | { ok: false }, own: string): boolean {
  return prepared.ok && own !== '' && prepared.value === own
}

/** Of reasonable size, whatever the client sent. */
export function quoted(topic: string): string {
  return JSON.stringify(
    topic.length > maxQuoted ? `${topic.slice(0, maxQuoted).toWellFormed()}…` : topic,
  )
}

function nameOf(rule: AccessRule): string {
  if (rule.kind === 'named') return `the access rule ${JSON.stringify(rule.name)}`
  return rule.kind === 'none' ? 'the access rule "none"' : 'what its own rule asks for'
}
