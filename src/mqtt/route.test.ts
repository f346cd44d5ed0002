import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFull, jid } from '../xmpp/jid/jid.ts'
import { encodeUtf8 } from './packet/utf8.ts'
import { Route, RouteBuilder, RouteCache } from './route.ts'
import { Session } from './session.ts'
import type { Subscriber } from './subscription.ts'
import { Subscription } from './subscription.ts'
import { parseTopicFilter, parseTopicName } from './topic.ts'
import { TopicTree } from './topic-tree.ts'

function session(client: string): Session {
  const key = jid(`juliet@localhost/${client}`)
  assert.ok(isFull(key))
  return new Session(key, 1)
}

function route(text: string): Route {
  const topic = parseTopicName(text)
  assert.ok(topic.ok)
  return new Route(topic.value, encodeUtf8(text))
}

class Setting {
  readonly tree = new TopicTree<Subscriber>()
  readonly builder = new RouteBuilder()

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

  route(text: string, publisher?: Session): Route {
    const found = route(text)
    this.builder.refresh(found, this.tree, publisher?.key)
    return found
  }
}

test('overlapping subscriptions of a session are one target', () => {
  const setting = new Setting()
  const [one, two] = [session('1'), session('2')]
  setting.subscribe(one, 'a/+', { qos: 1, identifier: 4 })
  setting.subscribe(one, '#', { qos: 2, retainAsPublished: true, identifier: 5 })
  setting.subscribe(one, 'a/b')
  setting.subscribe(two, 'a/#')
  const { targets, generation } = setting.route('a/b')
  assert.equal(generation, setting.tree.generation)
  assert.deepEqual(
    new Set(targets.map((target) => [target.session.key, target.qos].join(' '))),
    new Set(['juliet@localhost/1 2', 'juliet@localhost/2 0']),
  )
  const merged = targets.find((target) => target.session === one)
  assert.equal(merged?.retainAsPublished, true)
  assert.deepEqual(new Set(merged?.identifiers), new Set([4, 5]))
  assert.equal(setting.route('b').targets.length, 1)
})

test('No Local leaves out only what it stands for', () => {
  const setting = new Setting()
  const [one, two] = [session('1'), session('2')]
  setting.subscribe(one, 'a', { noLocal: true, qos: 2 })
  setting.subscribe(one, '+', { qos: 1 })
  setting.subscribe(two, 'a', { noLocal: true })
  const own = setting.route('a', one)
  assert.deepEqual(own.targets.map(({ session: { key }, qos }) => `${key} ${qos}`).sort(), [
    'juliet@localhost/1 1',
    'juliet@localhost/2 0',
  ])
  assert.equal(setting.route('a').targets.find((target) => target.session === one)?.qos, 2)
})

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

test('an idle cache lets go of sessions that have left', () => {
  const setting = new Setting()
  setting.subscribe(session('1'), 'a')
  const found = setting.route('a')
  const cache = new RouteCache(found)
  cache.clearStale(setting.tree.generation)
  assert.equal(found.targets.length, 1)
  setting.subscribe(session('2'), 'b')
  cache.clearStale(setting.tree.generation)
  assert.equal(found.isEmpty, true)
  assert.notEqual(found.generation, setting.tree.generation)
})
