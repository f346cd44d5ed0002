import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  hasWildcard,
  levelCount,
  parseTopicFilter,
  parseTopicName,
  sharedFilterOf,
  type TopicFilter,
  topicMatches,
  type TopicName,
} from './topic.ts'

function name(text: string): TopicName {
  const parsed = parseTopicName(text)
  assert.ok(parsed.ok, text)
  return parsed.value
}

function filter(text: string): TopicFilter {
  const parsed = parseTopicFilter(text)
  assert.ok(parsed.ok, text)
  return parsed.value
}

test('accepts topic names of any characters but wildcards and U+0000 (MQTT5 4.7.3)', () => {
  for (const text of [
    'a',
    '/',
    '//',
    'a/b',
    'a b',
    '$SYS/x',
    'ä/€',
    '$share/g/f',
    'x'.repeat(65_535),
  ]) {
    assert.deepEqual(parseTopicName(text), { ok: true, value: text })
  }
})

test('refuses what is no topic name (MQTT5 4.7)', () => {
  const rows = [
    ['', 'empty'],
    ['a\0b', 'null-character'],
    ['a/+', 'wildcard'],
    ['a#', 'wildcard'],
    ['\ud800', 'ill-formed'],
    ['x'.repeat(65_536), 'too-long'],
    ['€'.repeat(21_846), 'too-long'],
  ] as const
  for (const [text, error] of rows) assert.deepEqual(parseTopicName(text), { ok: false, error })
})

test('accepts filters with wildcards that fill levels (MQTT5 4.7.1)', () => {
  for (const text of [
    '#',
    '+',
    '/',
    '+/+',
    'a/#',
    '/+',
    '+/',
    'a/+/#',
    '$SYS/#',
    '$share/g/#',
    '$share/g//',
  ]) {
    assert.deepEqual(parseTopicFilter(text), { ok: true, value: text })
  }
  // Only with the slash it is a shared subscription (MQTT5 4.8.2).
  assert.ok(parseTopicFilter('$share').ok)
})

test('refuses what is no filter (MQTT5 4.7.1, 4.8.2)', () => {
  const rows = [
    ['', 'empty'],
    ['a\0', 'null-character'],
    ['#/a', 'misplaced-wildcard'],
    ['a#', 'misplaced-wildcard'],
    ['a/#/b', 'misplaced-wildcard'],
    ['a+', 'misplaced-wildcard'],
    ['+a', 'misplaced-wildcard'],
    ['a/+b/c', 'misplaced-wildcard'],
    ['##', 'misplaced-wildcard'],
    ['++', 'misplaced-wildcard'],
    ['$share/', 'bad-share'],
    ['$share//a', 'bad-share'],
    ['$share/g', 'bad-share'],
    ['$share/g/', 'bad-share'],
    ['$share/g+/a', 'bad-share'],
    ['$share/#/a', 'bad-share'],
    ['$share/g/a#', 'misplaced-wildcard'],
  ] as const
  for (const [text, error] of rows) assert.deepEqual(parseTopicFilter(text), { ok: false, error })
})

test('matches as the examples of MQTT5 4.7.1 to 4.7.3 say', () => {
  const rows: readonly [string, string, boolean][] = [
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/#', 'sport', true],
    ['#', 'anything/at/all', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/x', false],
    ['+/monitor/Clients', '$SYS/monitor/Clients', false],
    ['$SYS/#', '$SYS/x', true],
    ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
    ['ACCOUNTS', 'Accounts', false],
    ['/A', 'A', false],
    ['a', 'a/', false],
    ['a/', 'a', false],
    ['a', 'ab', false],
    ['ab', 'a', false],
    ['+/a', 'x/$y', false],
    ['+/+', 'x/$y', true],
    ['a/+/c', 'a//c', true],
    ['+/#', 'a', true],
    ['$share/g/sport/#', 'sport/x', true],
    ['$share/g/+', 'a/b', false],
    ['$share/g/#', '$SYS/x', false],
  ]
  for (const [pattern, topic, expected] of rows) {
    assert.equal(topicMatches(filter(pattern), name(topic)), expected, `${pattern} ~ ${topic}`)
  }
})

test('takes shared filters apart (MQTT5 4.8.2)', () => {
  assert.deepEqual(sharedFilterOf(filter('$share/g/a/+')), { group: 'g', filter: 'a/+' })
  assert.deepEqual(sharedFilterOf(filter('$share/g//')), { group: 'g', filter: '/' })
  assert.equal(sharedFilterOf(filter('$shared/g/a')), undefined)
})

test('counts levels and knows wildcards', () => {
  assert.deepEqual(
    ['a', '/', 'a/b', '//'].map((text) => levelCount(name(text))),
    [1, 2, 2, 3],
  )
  assert.deepEqual(
    ['a', 'a/+', '#'].map((text) => hasWildcard(filter(text))),
    [false, true, true],
  )
})
