import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import type { QoS } from '../packet/packet-type.ts'
import { sharePrefix } from '../packet/topic-syntax.ts'
import { parseTopicFilter, parseTopicName, topicMatches } from '../topic.ts'
import type { TopicFilter, TopicName } from '../topic.ts'

export type Direction = 'in' | 'out' | 'both'

/** Which topics a bridge hands on, and what they are called on the other side. */
export interface BridgeRule {
  /** `out`: from here to the remote broker. */
  readonly direction: Direction
  /** The highest QoS of what is handed on. */
  readonly qos: QoS
  /** The same topics by their names here and there: a prefix of each side and what follows it. */
  readonly local: TopicFilter
  readonly remote: TopicFilter
  readonly localPrefix: string
  readonly remotePrefix: string
  /** What comes in is retained here, whatever its flag says: how ejabberd's `subscribe` has it. */
  readonly isKept: boolean
}

export interface RuleParts {
  /** What follows the prefixes; empty: the prefixes are whole topics. */
  readonly filter: string
  readonly direction: Direction
  readonly qos: QoS
  readonly localPrefix: string
  readonly remotePrefix: string
  readonly isKept?: boolean
}

/** Why there is no such rule, as a sentence without its end. */
export type RuleFault = string

export function createRule(parts: RuleParts): Result<BridgeRule, RuleFault> {
  const { filter, direction, qos, localPrefix, remotePrefix, isKept = false } = parts
  for (const prefix of [localPrefix, remotePrefix]) {
    if (/[+#\0]/.test(prefix)) return err(`the prefix ${quote(prefix)} must not have wildcards`)
  }
  // A share group is the affair of the remote broker, and is no part of a topic.
  const [, group = '', shared = filter] = /^(\$share\/[^/]+\/)(.*)$/s.exec(filter) ?? []
  if (group !== '' && direction !== 'in') {
    return err(`the shared subscription ${quote(filter)} can only have the direction "in"`)
  }
  const local = parseTopicFilter(`${localPrefix}${shared}`)
  if (!local.ok || local.value.startsWith(sharePrefix)) {
    return err(`${quote(`${localPrefix}${shared}`)} is not a topic filter`)
  }
  const remote = parseTopicFilter(`${group}${remotePrefix}${shared}`)
  if (!remote.ok) return err(`${quote(`${remotePrefix}${shared}`)} is not a topic filter`)
  return ok({
    direction,
    qos,
    local: local.value,
    remote: remote.value,
    localPrefix,
    remotePrefix,
    isKept,
  })
}

/**
 * A rule as mosquitto writes it after `topic`: `PATTERN [[out|in|both] [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]]`. `""` stands for nothing.
 * Without a QoS messages keep theirs.
 */
export function parseRule(text: string): Result<BridgeRule, RuleFault> {
  const words = text.trim().split(/\s+/)
  const [pattern = '', direction = 'out', qos = '2', localPrefix = '', remotePrefix = ''] = words
  if (pattern === '' || words.length > 5) {
    return err('expected PATTERN [out|in|both] [QOS] [LOCAL-PREFIX] [REMOTE-PREFIX]')
  }
  if (direction !== 'out' && direction !== 'in' && direction !== 'both') {
    return err(`the direction is out, in or both, not ${quote(direction)}`)
  }
  if (qos !== '0' && qos !== '1' && qos !== '2') return err(`QoS is 0, 1 or 2, not ${quote(qos)}`)
  return createRule({
    filter: unquote(pattern),
    direction,
    qos: qos === '0' ? 0 : qos === '1' ? 1 : 2,
    localPrefix: unquote(localPrefix),
    remotePrefix: unquote(remotePrefix),
  })
}

/** The rule by which a message goes out: the first that selects it. */
export function ruleOut(rules: readonly BridgeRule[], topic: TopicName): BridgeRule | undefined {
  return rules.find((rule) => rule.direction !== 'in' && topicMatches(rule.local, topic))
}

export function ruleIn(rules: readonly BridgeRule[], topic: TopicName): BridgeRule | undefined {
  return rules.find((rule) => rule.direction !== 'out' && topicMatches(rule.remote, topic))
}

/** What the remote broker calls a topic that the rule selects; undefined when it would have no name there. */
export function remoteTopic(rule: BridgeRule, topic: TopicName): TopicName | undefined {
  return renamed(topic, rule.localPrefix, rule.remotePrefix)
}

export function localTopic(rule: BridgeRule, topic: TopicName): TopicName | undefined {
  return renamed(topic, rule.remotePrefix, rule.localPrefix)
}

function renamed(topic: TopicName, from: string, to: string): TopicName | undefined {
  if (from === to) return topic
  // `home/#` selects `home` as well (MQTT5 4.7.1.2), and with the prefix `home/` that is the prefix without its slash.
  const name = topic.startsWith(from) ? `${to}${topic.slice(from.length)}` : to.replace(/\/$/, '')
  const parsed = parseTopicName(name)
  return parsed.ok ? parsed.value : undefined
}

function unquote(word: string): string {
  return word === '""' ? '' : word
}

function quote(text: string): string {
  return JSON.stringify(text)
}
