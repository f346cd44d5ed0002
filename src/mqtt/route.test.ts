import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFull, jid } from '../xmpp/jid/jid.ts'
import { encodeUtf8 } from './packet/utf8.ts'
import { Ledger } from './ledger.ts'
import { MatchCache } from './match-cache.ts'
import type { Target } from './route.ts'
import { Matches, Route, RouteCache } from './route.ts'
import { Session } from './session.ts'
import type { Subscriber } from './subscription.ts'
import { Subscription } from './subscription.ts'
import { parseTopicFilter, parseTopicName } from './topic.ts'
import { TopicTree } from './topic-tree.ts'

function session(client: string): Session {
  const key = jid(`juliet@localhost/${client}`)
  assert.ok(isFull(key))
  return new Session(key, 1, new Ledger())
}

function route(text: string): Route {
  const topic = parseTopicName(text)
  assert.ok(topic.ok)
  return new Route(new Matches(topic.value), encodeUtf8(text))
}

class Setting {
  readonly tree = new TopicTree<Subscriber>()
  readonly cache = new MatchCache(this.tree)

  subscribe(
    owner: Session,
    text: string,
    options: Partial<ConstructorParameters<typeof Subscription>[2]> = {},
  ): void {
    const filter = parseTopicFilter(text)
    assert.ok(filter.ok)
    const all = {
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      identifier: 0,
      ...options,
    } as const
    this.tree.subscribe(filter.value, owner.key, new Subscription(owner, filter.value, all, 1))
  }

  matches(text: string): Matches {
    const topic = parseTopicName(text)
    assert.ok(topic.ok)
    return this.cache.refresh(this.cache.of(topic.value))
  }

  target(text: string, owner: Session): Target | undefined {
    return this.matches(text).targets.find(({ session }) => session === owner)
  }
}

test('overlapping subscriptions of a session are one target', () => {
  const setting = new Setting()
  const [one, two] = [session('1'), session('2')]
  setting.subscribe(one, 'a/+', { qos: 1, identifier: 4 })
  setting.subscribe(one, '#', { qos: 2, retainAsPublished: true, identifier: 5 })
  setting.subscribe(one, 'a/b')
  setting.subscribe(two, 'a/#')
  const { targets, generation } = setting.matches('a/b')
  assert.equal(generation, setting.tree.generation)
  assert.equal(targets.length, 2)
  const merged = setting.target('a/b', one)
  assert.deepEqual([merged?.qos, merged?.retainAsPublished, merged?.own], [2, true, undefined])
  assert.deepEqual(new Set(merged?.identifiers), new Set([4, 5]))
  assert.equal(setting.target('a/b', two)?.qos, 0)
  assert.equal(setting.matches('b').targets.length, 1)
})

for (const order of [
  ['a', '+', '#'],
  ['+', 'a', '#'],
  ['#', '+', 'a'],
]) {
  test(`No Local leaves out only what it stands for (${order.join()})`, () => {
    const setting = new Setting()
    const [one, two] = [session('1'), session('2')]
    const options = {
      a: { noLocal: true, qos: 2, identifier: 1 },
      '+': { qos: 1, identifier: 2 },
      '#': { qos: 0, identifier: 3 },
    } as const
    for (const filter of order) {
      if (filter === 'a' || filter === '+' || filter === '#') {
        setting.subscribe(one, filter, options[filter])
      }
    }
    setting.subscribe(two, 'a', { noLocal: true })
    const target = setting.target('a', one)
    assert.deepEqual([target?.qos, new Set(target?.identifiers)], [2, new Set([1, 2, 3])])
    assert.ok(target?.own !== undefined && target.own !== 'nothing')
    assert.deepEqual([target.own.qos, new Set(target.own.identifiers)], [1, new Set([2, 3])])
    assert.equal(setting.target('a', two)?.own, 'nothing')
  })
}

test('routes are found by the bytes of their topics, many as they may be', () => {
  const first = route('sensor/0')
  const cache = new RouteCache(first)
  const find = (text: string): Route | undefined => {
    const bytes = Buffer.from(`..${text}..`)
    return cache.find(bytes, 2, bytes.length - 2)
  }
  assert.equal(find('sensor/0'), first)
  assert.equal(find('sensor/1'), undefined)
  const routes = Array.from({ length: 500 }, (_, i) => route(`sensor/${i}/ü`))
  for (const each of routes) {
    cache.add(each)
    assert.equal(find(each.topic), each)
  }
  let kept = 0
  for (const each of routes) {
    const found = find(each.topic)
    if (found === undefined) continue
    assert.equal(found, each)
    kept += 1
  }
  assert.ok(kept > 10 && kept <= 64, `${kept} routes are kept`)
})

test('matches are shared, and let go of sessions that have left', () => {
  const setting = new Setting()
  setting.subscribe(session('1'), 'a')
  const found = setting.matches('a')
  assert.equal(setting.matches('a'), found)
  setting.cache.dropStale()
  assert.equal(found.targets.length, 1)
  setting.subscribe(session('2'), 'a')
  setting.cache.dropStale()
  assert.equal(found.isEmpty, true)
  assert.equal(setting.cache.refresh(found).targets.length, 2)
})

test('long topics are not kept', () => {
  const setting = new Setting()
  setting.subscribe(session('1'), '#')
  const long = 'x'.repeat(1000)
  assert.notEqual(setting.matches(long), setting.matches(long))
  assert.equal(setting.matches(long).targets.length, 1)
  const cache = new RouteCache(route('a'))
  cache.add(route(long))
  assert.equal(cache.find(Buffer.from(long), 0, 1000), undefined)
})
