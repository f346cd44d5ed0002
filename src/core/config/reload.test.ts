import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loaded } from '../../../test/fixtures/config-schema.ts'
import { diffConfig, sameValue } from './diff.ts'
import type { ConfigDiff } from './diff.ts'

async function diff(before: string, after: string): Promise<ConfigDiff> {
  return diffConfig(await loaded(before), await loaded(after))
}

const base = `hosts: [a.example, b.example]
acl: {it: {user_regexp: "^a", ip: 10.0.0.0/8, user_glob: "b*"}}
access_rules: {it: [deny: it, allow]}
shaper: {s: 5}
listen:
  - {port: 1883, module: mod_mqtt}
  - {port: 5222, module: ejabberd_c2s, access: [allow: it], shaper: [s: it]}
modules: {mod_ping: {}, mod_mqtt: {access_publish: {"a/#": [allow: it]}}}
`

describe('the difference between two configurations', () => {
  test('is nothing for the same one, wherever its lines stand', async () => {
    const { hosts, options, hostOptions, listeners, modules } = await diff(
      base,
      `\n\n# comment\n${base}`,
    )
    assert.deepEqual(hosts, { added: [], removed: [] })
    assert.deepEqual(options, [])
    assert.equal(hostOptions.size, 0)
    assert.deepEqual(listeners, { added: [], removed: [], changed: [] })
    assert.equal(modules.size, 0)
  })

  test('names hosts that came and went', async () => {
    const { hosts } = await diff(base, base.replace('a.example', 'c.example'))
    assert.deepEqual(hosts, { added: ['c.example'], removed: ['a.example'] })
  })

  test('names options, and on which host they differ', async () => {
    const changed = await diff(
      base,
      `${base}loglevel: debug\nhost_config: {a.example: {language: nl}}\n`,
    )
    assert.deepEqual(changed.options, ['loglevel'])
    assert.deepEqual([...changed.hostOptions], [['a.example', ['language']]])
  })

  test('names listeners by port and address', async () => {
    const after = base
      .replace('{port: 1883, module: mod_mqtt}', '{port: 1884, module: mod_mqtt}')
      .replace('access: [allow: it]', 'access: [deny: it]')
    const { listeners } = await diff(base, after)
    assert.deepEqual(
      listeners.added.map(({ id }) => id),
      ['tcp 0.0.0.0:1884'],
    )
    assert.deepEqual(
      listeners.removed.map(({ id }) => id),
      ['tcp 0.0.0.0:1883'],
    )
    assert.deepEqual(
      listeners.changed.map(({ id }) => id),
      ['tcp 0.0.0.0:5222'],
    )
  })

  test('names modules by host, also those whose default changed elsewhere', async () => {
    const after = `${base.replace('mod_mqtt: {access_publish: {"a/#": [allow: it]}}', 'mod_last: {}')}use_cache: false\n`
    const { modules } = await diff(base, after)
    const changes = modules.get('a.example')
    assert.deepEqual(
      changes?.added.map(({ name }) => name),
      ['mod_last'],
    )
    assert.deepEqual(
      changes?.removed.map(({ name }) => name),
      ['mod_mqtt'],
    )
    assert.deepEqual(
      changes?.changed.map(({ name }) => name),
      ['mod_ping'],
    )
  })

  test('sees changes of patterns, networks and the order of rules', async () => {
    for (const [from, to] of [
      ['"^a"', '"^b"'],
      ['10.0.0.0/8', '10.0.0.0/9'],
      ['"b*"', '"c*"'],
    ] as const) {
      assert.deepEqual((await diff(base, base.replace(from, to))).options, ['acl'], to)
    }
    const turned = await diff(base, base.replace('[deny: it, allow]', '[allow, deny: it]'))
    assert.deepEqual(turned.options, ['access_rules'])
  })
})

test('values are compared in depth', () => {
  assert.ok(sameValue({ a: [1, new Map([['x', /a/u]])] }, { a: [1, new Map([['x', /a/u]])] }))
  assert.ok(!sameValue(/a/u, /a/iu))
  assert.ok(!sameValue([1], [1, 2]))
  assert.ok(!sameValue({ a: undefined }, {}))
  assert.ok(
    !sameValue(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
      new Map([
        ['b', 2],
        ['a', 1],
      ]),
    ),
  )
  assert.ok(!sameValue([], {}))
})
