import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { RetainedTree } from './retained-tree.ts'
import {
  parseTopicFilter,
  parseTopicName,
  sharedFilterOf,
  type TopicFilter,
  topicMatches,
  type TopicName,
} from './topic.ts'
import { TopicTree } from './topic-tree.ts'

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

/** What a topic finds: subscribers as `key=value`, groups as `group(filter)[members]`, sorted. */
function find(tree: TopicTree<number>, topic: string): string[] {
  const found: string[] = []
  tree.match(name(topic), {
    subscriber: (value, key) => found.push(`${key}=${value}`),
    group(group) {
      const members = Array.from({ length: group.size }, (_, i) => group.at(i))
      const list = members.map((member) => `${member?.key}=${member?.value}`).toSorted()
      found.push(`${group.name}(${group.filter})[${list.join()}]`)
    },
  })
  return found.toSorted()
}

// Few different levels, so that filters and topics meet.
const level = fc.constantFrom('a', 'b', 'ab', '', '$x')
const topics = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((text) => text !== '')
const filters = fc
  .tuple(
    fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }),
    fc.constantFrom('a', '+', '#', 'b'),
    fc.constantFrom('', '', '$share/g/', '$share/h/'),
  )
  .map(([levels, last, share]) => share + [...levels, last].join('/'))
const keys = fc.constantFrom('k1', 'k2', 'k3')

test('finds what a naive matcher finds, whatever is added and removed', () => {
  const step = fc.record({ add: fc.boolean(), filter: filters, key: keys, value: fc.nat(9) })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.array(topics, { minLength: 1, maxLength: 8 }),
      (steps, published) => {
        const tree = new TopicTree<number>()
        const naive = new Map<string, { filter: TopicFilter; key: string; value: number }>()
        for (const step of steps) {
          const id = `${step.key} ${step.filter}`
          const before = tree.generation
          const pattern = filter(step.filter)
          if (step.add) {
            assert.equal(tree.subscribe(pattern, step.key, step.value), !naive.has(id))
            assert.notEqual(tree.generation, before)
            naive.set(id, { filter: pattern, key: step.key, value: step.value })
          } else {
            const existed = naive.delete(id)
            assert.equal(tree.unsubscribe(pattern, step.key), existed)
            assert.equal(tree.generation !== before, existed)
          }
        }
        assert.equal(tree.size, naive.size)
        for (const row of naive.values()) assert.equal(tree.get(row.filter, row.key), row.value)
        for (const topic of published) {
          const expected: string[] = []
          const groups = new Map<string, string[]>()
          for (const row of naive.values()) {
            if (!topicMatches(row.filter, name(topic))) continue
            const entry = `${row.key}=${row.value}`
            const shared = sharedFilterOf(row.filter)
            if (shared === undefined) {
              expected.push(entry)
              continue
            }
            const group = `${shared.group}(${shared.filter})`
            groups.set(group, [...(groups.get(group) ?? []), entry])
          }
          for (const [group, members] of groups) {
            expected.push(`${group}[${members.toSorted().join()}]`)
          }
          assert.deepEqual(find(tree, topic), expected.toSorted(), topic)
        }
        // Nothing is left behind once everything is gone.
        for (const row of naive.values()) assert.ok(tree.unsubscribe(row.filter, row.key))
        assert.equal(tree.size, 0)
        for (const topic of published) assert.deepEqual(find(tree, topic), [])
      },
    ),
    { numRuns: 300 },
  )
})

test('a subscription to the same filter replaces the value (MQTT5 3.8.4-3)', () => {
  const tree = new TopicTree<number>()
  assert.equal(tree.subscribe(filter('a/+'), 'k', 1), true)
  assert.equal(tree.subscribe(filter('a/+'), 'k', 2), false)
  assert.deepEqual(find(tree, 'a/b'), ['k=2'])
  assert.equal(tree.size, 1)
})

test('a shared subscription is another than the filter in it (MQTT5 4.8.2)', () => {
  const tree = new TopicTree<number>()
  tree.subscribe(filter('a'), 'k', 1)
  tree.subscribe(filter('$share/g/a'), 'k', 2)
  tree.subscribe(filter('$share/h/a'), 'k', 3)
  tree.subscribe(filter('$share/g/+'), 'k', 4)
  assert.deepEqual(find(tree, 'a'), ['g(+)[k=4]', 'g(a)[k=2]', 'h(a)[k=3]', 'k=1'])
  assert.equal(tree.unsubscribe(filter('a'), 'k'), true)
  assert.deepEqual(find(tree, 'a'), ['g(+)[k=4]', 'g(a)[k=2]', 'h(a)[k=3]'])
})

test('a share group goes round its members and stays the same object', () => {
  const tree = new TopicTree<number>()
  for (const key of ['x', 'y', 'z']) tree.subscribe(filter('$share/g/a'), key, 0)
  const seen: string[] = []
  const groups = new Set<unknown>()
  for (let i = 0; i < 6; i++) {
    tree.match(name('a'), {
      subscriber: () => assert.fail('no plain subscription'),
      group(group) {
        groups.add(group)
        seen.push(String(group.next()?.key))
      },
    })
  }
  assert.equal(groups.size, 1)
  assert.deepEqual(seen.toSorted(), ['x', 'x', 'y', 'y', 'z', 'z'])
  assert.notEqual(seen[0], seen[1])
  tree.unsubscribe(filter('$share/g/a'), 'x')
  assert.deepEqual(find(tree, 'a'), ['g(a)[y=0,z=0]'])
})

test('a visitor may match another topic and may throw', () => {
  const tree = new TopicTree<number>()
  for (const text of ['a/#', '+/b', 'a/b', 'c', '#']) tree.subscribe(filter(text), text, 0)
  const found: string[] = []
  const group = () => assert.fail('no group')
  tree.match(name('a/b'), {
    subscriber(_value, key) {
      found.push(key)
      tree.match(name('c'), { subscriber: (_, inner) => found.push(`${key}>${inner}`), group })
    },
    group,
  })
  const outer = ['#', '+/b', 'a/#', 'a/b']
  assert.deepEqual(
    found.toSorted(),
    outer.flatMap((key) => [key, `${key}>#`, `${key}>c`]).toSorted(),
  )
  const failing = {
    subscriber(): void {
      throw new Error('on purpose')
    },
    group,
  }
  assert.throws(() => tree.match(name('a/b'), failing), /on purpose/)
  assert.deepEqual(find(tree, 'c'), ['#=0', 'c=0'])
})

test('filters and topics of thousands of levels neither recurse nor stall', () => {
  const tree = new TopicTree<number>()
  const deep = Array.from({ length: 30_000 }, () => 'a').join('/')
  tree.subscribe(filter(`${deep}/b`), 'x', 1)
  tree.subscribe(filter(`${deep}/c`), 'y', 2)
  tree.subscribe(filter(`${deep}/#`), 'z', 3)
  assert.deepEqual(find(tree, `${deep}/b`), ['x=1', 'z=3'])
  assert.equal(tree.unsubscribe(filter(`${deep}/b`), 'x'), true)
  assert.deepEqual(find(tree, deep), ['z=3'])
  const retained = new RetainedTree<number>()
  retained.set(name(deep), 1)
  retained.set(name(`${deep}/b`), 2)
  assert.equal([...retained.match(filter('a/#'))].length, 2)
  assert.equal(retained.delete(name(deep)), 1)
})

test('a retained search finds what a naive matcher finds', () => {
  const step = fc.record({ add: fc.boolean(), topic: topics, value: fc.nat(9) })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.array(filters, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 5 }),
      (steps, searches, sliceSteps) => {
        const tree = new RetainedTree<number>()
        const naive = new Map<TopicName, number>()
        for (const step of steps) {
          const topic = name(step.topic)
          if (step.add) {
            assert.equal(tree.set(topic, step.value), naive.get(topic))
            naive.set(topic, step.value)
          } else {
            assert.equal(tree.delete(topic), naive.get(topic))
            naive.delete(topic)
          }
          assert.equal(tree.get(topic), naive.get(topic))
        }
        assert.equal(tree.size, naive.size)
        for (const text of searches) {
          const whole = filter(text)
          const plain = sharedFilterOf(whole)?.filter ?? whole
          const expected = [...naive]
            .filter(([topic]) => topicMatches(plain, topic))
            .map(([topic, value]) => `${topic} ${value}`)
            .toSorted()
          const found: string[] = []
          const cursor = tree.search(plain)
          while (cursor.slice(sliceSteps, (topic, value) => found.push(`${topic} ${value}`)));
          assert.ok(cursor.done)
          assert.deepEqual(found.toSorted(), expected, text)
          assert.equal([...tree.match(plain)].length, expected.length)
        }
        for (const topic of naive.keys()) tree.delete(topic)
        assert.equal(tree.size, 0)
        assert.deepEqual([...tree.match(filter('#'))], [])
      },
    ),
    { numRuns: 300 },
  )
})

test('a retained search finds each topic that stays just once while others change', () => {
  const change = fc.record({ add: fc.boolean(), topic: topics })
  fc.assert(
    fc.property(
      fc.uniqueArray(topics, { maxLength: 20 }),
      fc.array(change, { maxLength: 60 }),
      (kept, changes) => {
        const tree = new RetainedTree<number>()
        for (const topic of kept) tree.set(name(topic), 1)
        for (const { topic } of changes.slice(0, 20))
          tree.set(name(topic), tree.get(name(topic)) ?? 2)
        const cursor = tree.search(filter('#'))
        const found: string[] = []
        let next = 0
        while (!cursor.done) {
          cursor.slice(1, (topic) => found.push(topic))
          const step = changes[next++]
          if (step === undefined || kept.includes(step.topic)) continue
          if (step.add) tree.set(name(step.topic), 2)
          else tree.delete(name(step.topic))
        }
        const expected = kept.filter((topic) => !topic.startsWith('$')).toSorted()
        assert.deepEqual(found.filter((topic) => kept.includes(topic)).toSorted(), expected)
      },
    ),
    { numRuns: 300 },
  )
})

test('a slice of a retained search looks at a bounded number of topics', () => {
  const tree = new RetainedTree<number>()
  for (let i = 0; i < 5000; i++) tree.set(name(`d/${i}/x`), i)
  // Nothing matches, so only passing over topics costs, and that is bounded too.
  const cursor = tree.search(filter('d/+/y'))
  let slices = 0
  while (cursor.slice(100, () => assert.fail('nothing matches'))) slices += 1
  assert.ok(slices >= 49)
})
