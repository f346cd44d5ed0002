import { sequenceLength, utf8Length } from './utf8.ts'

/** What is wrong with a topic name or filter (MQTT5 4.7, 4.8.2). */
export type TopicFault =
  | 'empty'
  | 'null-character'
  | 'ill-formed'
  | 'too-long'
  | 'wildcard'
  | 'misplaced-wildcard'
  | 'bad-share'

/** Topic names and filters encode to no more bytes than this (MQTT5 4.7.3-3, MQTT3 4.7.3-3). */
export const maxTopicBytes = 65_535

export const sharePrefix = '$share/'

const slash = 0x2f
const plus = 0x2b
const hash = 0x23

/** Checks the text of a topic name; undefined means that it is valid. */
export function topicNameFault(text: string): TopicFault | undefined {
  const fault = textFault(text)
  if (fault !== undefined) return fault
  // MQTT5 4.7.0-1, MQTT3 4.7.1-1.
  return text.includes('+') || text.includes('#') ? 'wildcard' : undefined
}

/** Checks the text of a topic filter, shared ones included; undefined means that it is valid. */
export function topicFilterFault(text: string): TopicFault | undefined {
  const fault = textFault(text)
  if (fault !== undefined) return fault
  let start = 0
  if (text.startsWith(sharePrefix)) {
    const end = text.indexOf('/', sharePrefix.length)
    // A share name of at least one character, then a filter (MQTT5 4.8.2-1, 4.8.2-2).
    if (end <= sharePrefix.length || end + 1 === text.length) return 'bad-share'
    for (let i = sharePrefix.length; i < end; i++) {
      const unit = text.charCodeAt(i)
      if (unit === plus || unit === hash) return 'bad-share'
    }
    start = end + 1
  }
  for (let i = start; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit !== plus && unit !== hash) continue
    const opensLevel = i === start || text.charCodeAt(i - 1) === slash
    const closesLevel = i + 1 === text.length || text.charCodeAt(i + 1) === slash
    // Wildcards fill a level (MQTT5 4.7.1-1, 4.7.1-2; MQTT3 4.7.1-2, 4.7.1-3).
    if (!opensLevel || !closesLevel) return 'misplaced-wildcard'
    // The multi-level one is also the last character (MQTT5 4.7.1-1, MQTT3 4.7.1-2).
    if (unit === hash && i + 1 !== text.length) return 'misplaced-wildcard'
  }
  return undefined
}

function textFault(text: string): TopicFault | undefined {
  // MQTT5 4.7.3-1, MQTT3 4.7.3-1.
  if (text === '') return 'empty'
  // MQTT5 4.7.3-2, MQTT3 4.7.3-2.
  if (text.includes('\0')) return 'null-character'
  if (!text.isWellFormed()) return 'ill-formed'
  // A UTF-16 unit takes three bytes at most, so short texts need no counting.
  if (text.length > maxTopicBytes / 3 && utf8Length(text) > maxTopicBytes) return 'too-long'
  return undefined
}

/** The same check of a topic name on its bytes (MQTT5 1.5.4-1, 1.5.4-2, 4.7.0-1), in one pass; an empty range is valid here. */
export function topicBytesFault(
  bytes: Uint8Array,
  start: number,
  end: number,
): TopicFault | undefined {
  let i = start
  let wildcard = false
  while (i < end) {
    const byte = bytes[i] ?? 0
    if (byte < 0x80) {
      if (byte === 0) return 'null-character'
      if (byte === plus || byte === hash) wildcard = true
      i += 1
      continue
    }
    const length = sequenceLength(bytes, i, end, byte)
    if (length === 0) return 'ill-formed'
    i += length
  }
  return wildcard ? 'wildcard' : undefined
}
