import {
  sharePrefix,
  topicFilterFault,
  type TopicFault,
  topicNameFault,
} from './packet/topic-syntax.ts'
import { err, ok, type Result } from '../util/result.ts'

/** A valid topic name (MQTT5 4.7.3): what messages are published to. Never normalised (MQTT5 4.7.3-4). */
export type TopicName = string & { readonly __brand: 'TopicName' }

/** A valid topic filter (MQTT5 4.7.1), shared ones (`$share/group/filter`, MQTT5 4.8.2) included. */
export type TopicFilter = string & { readonly __brand: 'TopicFilter' }

/** A shared subscription's two parts (MQTT5 4.8.2). */
export interface SharedFilter {
  readonly group: string
  readonly filter: TopicFilter
}

export function parseTopicName(text: string): Result<TopicName, TopicFault> {
  const fault = topicNameFault(text)
  return fault === undefined ? ok(text as TopicName) : err(fault)
}

export function parseTopicFilter(text: string): Result<TopicFilter, TopicFault> {
  const fault = topicFilterFault(text)
  return fault === undefined ? ok(text as TopicFilter) : err(fault)
}

/** Group and filter of a shared subscription, or undefined for any other filter. */
export function sharedFilterOf(filter: TopicFilter): SharedFilter | undefined {
  if (!filter.startsWith(sharePrefix)) return undefined
  const end = filter.indexOf('/', sharePrefix.length)
  return {
    group: filter.slice(sharePrefix.length, end),
    // What follows the group was checked with the whole.
    filter: filter.slice(end + 1) as TopicFilter,
  }
}

export function hasWildcard(filter: TopicFilter): boolean {
  return filter.includes('+') || filter.includes('#')
}

/** Number of levels of a name or filter: one more than it has slashes. `$share/group/` counts too. */
export function levelCount(topic: TopicName | TopicFilter): number {
  let levels = 1
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) levels += 1
  return levels
}

/** Topics of the server itself, which no wildcard at the first level reaches (MQTT5 4.7.2-1). */
export function isServerTopic(topic: string): boolean {
  return topic.startsWith('$')
}

/** The first level of the topics in which a broker tells about itself. */
export const sysLevel = '$SYS'

/** Whether a filter, that of a share group without the group, selects nothing but these. */
export function isSysFilter(filter: string): boolean {
  return filter === sysLevel || filter.startsWith(`${sysLevel}/`)
}

/** Whether a filter selects a topic name. A shared filter selects what the filter in it does. */
export function topicMatches(filter: TopicFilter, topic: TopicName): boolean {
  const start = filter.startsWith(sharePrefix) ? filter.indexOf('/', sharePrefix.length) + 1 : 0
  const first = filter.charCodeAt(start)
  // MQTT5 4.7.2-1, MQTT3 4.7.2-1.
  if (isServerTopic(topic) && (first === plus || first === hash)) return false
  return levelsMatch(filter, start, topic, 0)
}

const slash = 0x2f
const plus = 0x2b
const hash = 0x23

/**
 * Compares the levels of a filter from `filterAt` with those of a topic from `topicAt`, both at the
 * beginning of a level. An offset one past the length stands for "no level left".
 */
export function levelsMatch(
  filter: string,
  filterAt: number,
  topic: string,
  topicAt: number,
): boolean {
  let f = filterAt
  let t = topicAt
  const filterEnd = filter.length
  const topicEnd = topic.length
  for (;;) {
    if (f > filterEnd) return t > topicEnd
    const unit = filter.charCodeAt(f)
    // `a/#` selects `a` as well (MQTT5 4.7.1.2), so this comes before the topic's end.
    if (unit === hash) return true
    if (t > topicEnd) return false
    if (unit === plus) {
      f += 2
      while (t < topicEnd && topic.charCodeAt(t) !== slash) t += 1
      t += 1
      continue
    }
    for (;;) {
      const a = f < filterEnd ? filter.charCodeAt(f) : slash
      const b = t < topicEnd ? topic.charCodeAt(t) : slash
      f += 1
      t += 1
      if (a !== b) return false
      if (a === slash) break
    }
  }
}

/** Where the level after the one at `at` begins; one past the length behind the last, and there it stays. */
export function nextLevel(text: string, at: number): number {
  if (at > text.length) return at
  const slashAt = text.indexOf('/', at)
  return (slashAt < 0 ? text.length : slashAt) + 1
}
