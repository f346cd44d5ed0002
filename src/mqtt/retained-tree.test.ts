import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { RetainedTree } from './retained-tree.ts'
import type { TopicFilter, TopicName } from './topic.ts'
import { parseTopicFilter, parseTopicName } from './topic.ts'

function topic(text: string): TopicName {
  const parsed = parseTopicName(text)
  assert.ok(parsed.ok)
  return parsed.value
}

function filter(text: string): TopicFilter {
  const parsed = parseTopicFilter(text)
  assert.ok(parsed.ok)
  return parsed.value
}

/** The rest of a search. */
function rest(cursor: ReturnType<RetainedTree<number>['search']>): string[] {
  const found: string[] = []
  while (!cursor.done) cursor.slice(100, (name) => found.push(name))
  return found
}

test('a search that is refreshed while it stands still finds each topic once', () => {
  const tree = new RetainedTree<number>()
  for (let i = 0; i < 20; i++) tree.set(topic(`a/${i}`), i)
  const cursor = tree.search(filter('a/+'))
  const found: string[] = []
  cursor.slice(3, (name) => found.push(name))
  assert.equal(found.length, 3)
  for (let i = 0; i < 5; i++) cursor.refresh()
  // Of those that were taken ahead, one goes, one goes and comes back, and one becomes a branch.
  tree.delete(topic('a/4'))
  tree.delete(topic('a/5'))
  tree.set(topic('a/5'), 55)
  tree.set(topic('a/6/x'), 66)
  cursor.refresh()
  found.push(...rest(cursor))
  const expected = Array.from({ length: 20 }, (_, i) => `a/${i}`).filter((name) => name !== 'a/4')
  assert.deepEqual(found.sort(), expected.sort())
})

test('a refresh at the end of a search changes nothing', () => {
  const tree = new RetainedTree<number>()
  tree.set(topic('a/1'), 1)
  const cursor = tree.search(filter('#'))
  cursor.refresh()
  const found: string[] = []
  cursor.slice(1, (name) => found.push(name))
  for (let i = 0; i < 3; i++) cursor.refresh()
  assert.deepEqual([...found, ...rest(cursor)], ['a/1'])
  cursor.refresh()
  assert.ok(cursor.done)
})

test('a search that stands still does not keep what is removed meanwhile', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void // that is what the flag adds
  const tree = new RetainedTree<number[]>()
  const count = 20_000
  let last = 0
  const put = (): void =>
    void tree.set(
      topic(`t${++last}`),
      Array.from({ length: 60 }, () => last),
    )
  for (let i = 0; i < count; i++) put()
  const cursor = tree.search(filter('+'))
  cursor.slice(5, () => undefined)
  const used = (): number => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = used()
  // All topics are replaced twenty times: more than 200 MB.
  for (let i = 0; i < count * 20; i++) {
    tree.delete(topic(`t${last - count + 1}`))
    put()
    if (i % 1000 === 0 && tree.hasChurned()) cursor.refresh()
  }
  const growth = used() - before
  assert.ok(growth < count * 500 * 5, `${growth} bytes`)
  let left = 0
  while (!cursor.done) cursor.slice(100, () => (left += 1))
  assert.equal(left, count)
})
