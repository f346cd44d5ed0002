import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTopicName } from '../topic.ts'
import type { TopicName } from '../topic.ts'
import { createRule, localTopic, parseRule, remoteTopic, ruleIn, ruleOut } from './rule.ts'
import type { BridgeRule } from './rule.ts'

function rule(text: string): BridgeRule {
  const parsed = parseRule(text)
  return parsed.ok ? parsed.value : assert.fail(parsed.error)
}

function topic(text: string): TopicName {
  const parsed = parseTopicName(text)
  return parsed.ok ? parsed.value : assert.fail(text)
}

test("reads rules in mosquitto's words", () => {
  const { direction, qos, local, remote } = rule('home/sensors/# both 1 here/ there/')
  assert.deepEqual(
    [direction, qos, local, remote],
    ['both', 1, 'here/home/sensors/#', 'there/home/sensors/#'],
  )
  assert.deepEqual(rule('a/+').direction, 'out')
  assert.deepEqual(rule('a/+').qos, 2)
  assert.equal(rule('cmd/# in 0').local, 'cmd/#')
  assert.equal(rule('cmd/# in 0 "" site/').remote, 'site/cmd/#')
  assert.equal(rule('"" out 1 boiler/temperature hub/boiler').remote, 'hub/boiler')
})

const faults: readonly [text: string, pattern: RegExp][] = [
  ['', /expected PATTERN/],
  ['a out 1 b c d', /expected PATTERN/],
  ['a sideways', /out, in or both, not "sideways"/],
  ['a in 3', /0, 1 or 2, not "3"/],
  ['a/#/b out', /"a\/#\/b" is not a topic filter/],
  ['"" out 1 only/local', /"" is not a topic filter/],
  ['a out 1 b+/ c/', /"b\+\/" must not have wildcards/],
  ['$share/g/a both', /"\$share\/g\/a" can only have the direction "in"/],
]

for (const [text, pattern] of faults) {
  test(`refuses the rule ${JSON.stringify(text)}`, () => {
    const parsed = parseRule(text)
    assert.ok(!parsed.ok)
    assert.match(parsed.error, pattern)
  })
}

test('renames topics by prefix, both ways', () => {
  const both = rule('# both 1 here/ there/site/')
  assert.equal(remoteTopic(both, topic('here/a/b')), 'there/site/a/b')
  assert.equal(localTopic(both, topic('there/site/a/b')), 'here/a/b')
  // MQTT5 4.7.1.2.
  assert.equal(remoteTopic(both, topic('here')), 'there/site')
  assert.equal(localTopic(both, topic('there/site')), 'here')
  const plain = rule('a/#')
  assert.equal(remoteTopic(plain, topic('a')), 'a')
  const inward = rule('# in 1 "" site/')
  assert.equal(localTopic(inward, topic('site/a')), 'a')
  // Without its prefix nothing would be left.
  assert.equal(localTopic(inward, topic('site')), undefined)
})

test('gives a whole topic another name', () => {
  const created = createRule({
    filter: '',
    direction: 'in',
    qos: 2,
    localPrefix: 'kitchen/light',
    remotePrefix: 'cloud/42',
  })
  assert.ok(created.ok)
  assert.equal(localTopic(created.value, topic('cloud/42')), 'kitchen/light')
  assert.equal(ruleIn([created.value], topic('cloud/421')), undefined)
})

test('takes the first rule that selects a topic and goes the right way', () => {
  const rules = [rule('a/b in'), rule('a/+ out 1 "" one/'), rule('a/# both 1 "" two/')]
  assert.equal(ruleOut(rules, topic('a/b')), rules[1])
  assert.equal(ruleOut(rules, topic('a/b/c')), rules[2])
  assert.equal(ruleOut(rules, topic('b')), undefined)
  assert.equal(ruleIn(rules, topic('a/b')), rules[0])
  assert.equal(ruleIn(rules, topic('two/a/b')), rules[2])
})

test('keeps a share group out of topics (MQTT5 4.8.2)', () => {
  const shared = rule('$share/bridges/jobs/# in 1 work/ cloud/')
  assert.equal(shared.remote, '$share/bridges/cloud/jobs/#')
  assert.equal(shared.local, 'work/jobs/#')
  assert.equal(ruleIn([shared], topic('cloud/jobs/7')), shared)
  assert.equal(localTopic(shared, topic('cloud/jobs/7')), 'work/jobs/7')
})
