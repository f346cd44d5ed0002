import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loaded, problemsOf } from '../../test/fixtures/config-schema.ts'
import { jid } from '../xmpp/jid/jid.ts'
import { Access, globalScope, subjectOf } from './access.ts'
import { access as accessOption, t, valuesOf } from './options.ts'
import type { Subject } from './access.ts'
import type { AccessRule } from './options/rule-types.ts'

const hosts = 'hosts: [localhost, example.org]\n'

async function accessOf(text: string): Promise<Access> {
  return new Access(await loaded(`${hosts}${text}`, { checkFiles: false }))
}

function rule(written: string | readonly unknown[]): AccessRule {
  return valuesOf({ rule: accessOption('none', 'Rule.') }, { rule: written }).rule
}

const who = (address: string, ip?: string): Subject => subjectOf(jid(address), ip)

describe('an ACL', () => {
  const rows: readonly (readonly [
    items: string,
    yes: readonly Subject[],
    no: readonly Subject[],
  ])[] = [
    [
      '{user: admin}',
      [who('admin@localhost'), who('admin@example.org/a')],
      [who('admin@other.org'), who('other@localhost'), { ip: '::1' }],
    ],
    ['{user: Admin@LocalHost}', [who('admin@localhost')], [who('admin@example.org')]],
    ['{user: {admin: other.org}}', [who('admin@other.org')], [who('admin@localhost')]],
    [
      '{user: [a, b@other.org, {c: other.org}]}',
      [who('a@localhost'), who('b@other.org'), who('c@other.org')],
      [who('b@localhost')],
    ],
    ['{user: ""}', [who('localhost')], [who('a@localhost')]],
    ['{server: [Other.org]}', [who('a@other.org'), who('other.org')], [who('a@localhost')]],
    ['{resource: home}', [who('a@other.org/home')], [who('a@other.org/Home'), who('a@other.org')]],
    [
      '{ip: [127.0.0.0/8, "::1/128"]}',
      [{ ip: '127.1.2.3' }, { ip: '::1' }, { ip: '::ffff:127.0.0.1' }, who('a@b', '127.0.0.1')],
      [{ ip: '128.0.0.1' }, { ip: '::2' }, who('a@localhost'), { ip: 'nonsense' }],
    ],
    [
      '{ip: "2001:db8::/33"}',
      [{ ip: '2001:db8:7fff::1' }],
      [{ ip: '2001:db8:8000::1' }, { ip: '127.0.0.1' }],
    ],
    [
      '{user_regexp: ""}',
      [who('anybody@localhost'), who('example.org')],
      [who('anybody@other.org'), { ip: '::1' }],
    ],
    [
      '{user_regexp: "^a.c"}',
      [who('abcd@localhost')],
      [who('xabc@localhost'), who('abc@other.org')],
    ],
    ['{user_regexp: "^a@Other.org"}', [who('abc@other.org')], [who('abc@localhost')]],
    ['{user_regexp: {"^a": other.org}}', [who('abc@other.org')], [who('abc@localhost')]],
    ['{server_regexp: "^o.*g$"}', [who('a@other.org')], [who('a@localhost')]],
    ['{resource_regexp: "^phone"}', [who('a@b/phone7')], [who('a@b/x'), who('a@b')]],
    [
      '{node_regexp: {"^a": "^o"}}',
      [who('ab@other.org')],
      [who('ab@localhost'), who('b@other.org')],
    ],
    ['{node_regexp: "^a@^o"}', [who('ab@other.org')], [who('b@other.org')]],
    ['{user_glob: "a*"}', [who('abc@localhost')], [who('xa@localhost'), who('a@other.org')]],
    ['{user_glob: "a*@other.org"}', [who('abc@other.org')], [who('abc@localhost')]],
    ['{server_glob: "*.org"}', [who('a@other.org')], [who('a@localhost')]],
    ['{resource_glob: "phone?"}', [who('a@b/phone7')], [who('a@b/phone')]],
    ['{node_glob: {"a*": "*.org"}}', [who('abc@other.org')], [who('abc@localhost')]],
    [
      '{user: a, server: other.org}',
      [who('a@localhost'), who('x@other.org')],
      [who('x@localhost')],
    ],
    ['[{user: a}, {user: b}]', [who('a@localhost'), who('b@localhost')], [who('c@localhost')]],
  ]
  for (const [items, yes, no] of rows) {
    // shows: option acl
    test(items, async () => {
      const access = await accessOf(`acl: {it: ${items}}\n`)
      for (const subject of yes)
        assert.ok(access.matchesAcl('it', subject, globalScope), JSON.stringify(subject))
      for (const subject of no)
        assert.ok(!access.matchesAcl('it', subject, globalScope), JSON.stringify(subject))
    })
  }

  test('may repeat a type, as rule lists may in ejabberd', async () => {
    const access = await accessOf('acl:\n  it:\n    user: a\n    user: b\n')
    assert.ok(access.matchesAcl('it', who('b@localhost')))
    assert.ok(access.matchesAcl('it', who('a@localhost')))
  })

  test('called all holds for everybody, called none for nobody, one that does not exist for nobody', async () => {
    const access = await accessOf('')
    assert.ok(access.matchesAcl('all', {}, globalScope))
    assert.ok(!access.matchesAcl('none', who('a@localhost')))
    assert.ok(!access.matchesAcl('missing', who('a@localhost')))
  })

  test('is looked up on the host alone, whose own table replaces the one at the top', async () => {
    const access = await accessOf(`
acl: {staff: {user: a}, other: {user: a}}
host_config: {localhost: {acl: {staff: {user: b}}}}
`)
    assert.ok(access.matchesAcl('staff', who('b@localhost'), 'localhost'))
    assert.ok(!access.matchesAcl('staff', who('a@localhost'), 'localhost'))
    assert.ok(!access.matchesAcl('other', who('a@localhost'), 'localhost'))
    assert.ok(access.matchesAcl('staff', who('a@localhost'), 'example.org'))
    assert.ok(!access.matchesAcl('staff', who('a@localhost'), 'unknown.org'))
  })

  test('of a shared group asks whoever knows the groups, and holds for nobody without', async () => {
    const access = await accessOf(
      'acl: {own: {shared_group: staff}, other: {shared_group: {staff: example.org}}}\n',
    )
    const romeo = who('romeo@localhost')
    assert.ok(!access.matchesAcl('own', romeo))
    const withdraw = access.provideSharedGroups(
      (user, server, group, host) =>
        `${user}@${server} ${group}@${host}` === 'romeo@localhost staff@localhost',
    )
    assert.ok(access.matchesAcl('own', romeo))
    assert.ok(!access.matchesAcl('other', romeo))
    withdraw()
    assert.ok(!access.matchesAcl('own', romeo))
  })

  test('with an expression is not asked about texts longer than a JID can be', async () => {
    const access = await accessOf('acl: {it: {user_regexp: "a"}}\n')
    assert.ok(!access.matchesAcl('it', { user: 'a'.repeat(1024), host: 'localhost' }))
  })
})

describe('an access rule', () => {
  const acl = 'acl: {admin: {user: admin}, local: {user_regexp: ""}, loopback: {ip: 127.0.0.0/8}}\n'
  const admin = who('admin@localhost')
  const other = who('other@localhost')

  const rows: readonly (readonly [name: string, rule: string, admin: string, other: string])[] = [
    ['the first entry that holds decides', '[deny: admin, allow: all]', 'deny', 'allow'],
    ['no entry that holds denies', '[allow: admin]', 'allow', 'deny'],
    ['a bare word holds for all', '[deny: admin, allow]', 'deny', 'allow'],
    ['a map does as well as a list', '{allow: admin, deny: all}', 'allow', 'deny'],
    [
      'a map may repeat a key',
      '\n    allow: admin\n    allow: none\n    deny: all',
      'allow',
      'deny',
    ],
    ['all names of a condition have to hold', '[allow: [admin, local]]', 'allow', 'deny'],
    [
      'all items of a condition have to hold',
      '[allow: {acl: local, user: admin}]',
      'allow',
      'deny',
    ],
    [
      'all items have to hold in a list, too',
      '[allow: [{acl: local}, {user: admin}]]',
      'allow',
      'deny',
    ],
    [
      'a list of values is ANDed, so that two users can never be meant',
      '[allow: {user: [admin, other]}]',
      'deny',
      'deny',
    ],
    ['an item that stands alone', '[allow: {user: other@localhost}]', 'deny', 'allow'],
    ['an ip item does not hold where no address is known', '[allow: loopback]', 'deny', 'deny'],
    ['an ACL that does not exist never holds', '[deny: missing, allow: all]', 'allow', 'allow'],
    ['lists may be nested', '[[allow: admin], [deny]]', 'allow', 'deny'],
  ]
  for (const [name, text, forAdmin, forOther] of rows) {
    test(name, async () => {
      const access = await accessOf(`${acl}access_rules:\n  it: ${text}\n`)
      assert.equal(access.check(rule('it'), admin), forAdmin)
      assert.equal(access.check(rule('it'), other), forOther)
    })
  }

  test('called all allows, called none denies, one that does not exist denies', async () => {
    const access = await accessOf('')
    assert.equal(access.check(rule('all'), {}), 'allow')
    assert.equal(access.check(rule('none'), admin), 'deny')
    assert.equal(access.check(rule('missing'), admin), 'deny')
  })

  test('goes by the address where it is known', async () => {
    const access = await accessOf(`${acl}access_rules: {it: [allow: loopback]}\n`)
    assert.equal(access.check(rule('it'), who('a@localhost', '127.0.0.1')), 'allow')
    assert.equal(access.check(rule('it'), { ip: '127.0.0.1' }), 'allow')
    assert.equal(access.check(rule('it'), { ip: '10.0.0.1' }), 'deny')
    assert.equal(access.check(rule('it'), { ip: '127.0.0.1' }, 'localhost'), 'allow')
  })

  test('may be written where it is used', async () => {
    const access = await accessOf(acl)
    assert.equal(access.check(rule([{ deny: 'admin' }, 'allow']), admin), 'deny')
    assert.equal(access.check(rule([{ deny: 'admin' }, 'allow']), other), 'allow')
  })

  test('of a host is not seen on another', async () => {
    const access = await accessOf(`${acl}host_config: {localhost: {access_rules: {it: [allow]}}}\n`)
    assert.equal(access.check(rule('it'), admin, 'localhost'), 'allow')
    assert.equal(access.check(rule('it'), admin, 'example.org'), 'deny')
    assert.equal(access.check(rule('it'), admin, globalScope), 'deny')
    assert.equal(access.check(rule('it'), who('a@remote.example')), 'deny')
  })

  // shows: option access_rules
  test('follows a reload', async () => {
    const access = await accessOf('access_rules: {it: [allow]}\n')
    access.reload(await loaded(hosts))
    assert.equal(access.check(rule('it'), admin), 'deny')
  })
})

describe('an explanation', () => {
  test('names the entry that decided, its place, and what was tried before', async () => {
    const access = await accessOf(`acl: {admin: {user: admin}}
access_rules:
  it:
    - deny: blocked
    - allow: {acl: admin, server: localhost}
`)
    const explained = access.explain(rule('it'), who('admin@localhost'))
    assert.deepEqual(explained, {
      decision: 'allow',
      reason: 'the rule "it" says "allow" for admin and server: "localhost"',
      place: 'linnet.yml:6:7',
      entries: [
        {
          action: 'deny',
          holds: false,
          place: 'linnet.yml:5:7',
          items: [{ text: 'blocked', holds: false }],
        },
        {
          action: 'allow',
          holds: true,
          place: 'linnet.yml:6:7',
          items: [
            { text: 'admin', holds: true },
            { text: 'server: "localhost"', holds: true },
          ],
        },
      ],
    })
    const refused = access.explain(rule('it'), who('b@localhost'))
    assert.equal(refused.decision, 'deny')
    assert.equal(refused.reason, 'the rule "it" has no entry that holds')
    assert.equal(refused.entries.length, 2)
  })

  test('tells of rules that need no entries', async () => {
    const access = await accessOf('')
    assert.equal(access.explain(rule('all'), {}).reason, 'the rule is "all"')
    assert.equal(
      access.explain(rule('missing'), who('a@localhost')).reason,
      'the rule "missing" does not exist',
    )
  })
})

describe('what is wrong with rules', () => {
  const rows: readonly (readonly [text: string, problem: string])[] = [
    ['acl: {all: {user: a}}', '2:7: acl: the name "all" is reserved'],
    ['acl: {a: {usr: a}}', '2:11: acl.a: unknown type of ACL "usr", did you mean "user"?'],
    ['acl: {a: {acl: b}}', '2:11: acl.a: unknown type of ACL "acl"'],
    [
      'acl: {a: {}}',
      '2:10: acl.a: expected what the ACL matches ("user: admin@localhost"), got a map',
    ],
    [
      'acl: {a: admin}',
      '2:10: acl.a: expected what the ACL matches ("user: admin@localhost"), got "admin"',
    ],
    ['acl: {a: [admin]}', '2:11: acl.a: expected "admin" to have a value, as in "user: admin"'],
    ['acl: {a: {ip: 1.2.3}}', '2:15: acl.a.ip: expected an IP address or network, got "1.2.3"'],
    [
      'acl: {a: {user: a@b@c}}',
      '2:17: acl.a.user: expected a user name, alone or followed by @ and a host name, got "a@b@c"',
    ],
    ['acl: {a: {user: "a b"}}', '2:17: acl.a.user: expected a user name, got "a b"'],
    [
      'acl: {a: {user_regexp: "("}}',
      '2:24: acl.a.user_regexp: invalid regular expression "(": /(/u: Unterminated group',
    ],
    [
      'acl: {a: {node_glob: "x"}}',
      '2:22: acl.a.node_glob: expected {user: server} or "user@server", each a glob',
    ],
    ['access_rules: {none: [allow]}', '2:16: access_rules: the name "none" is reserved'],
    [
      'access_rules: {a: []}',
      '2:19: access_rules.a: the rule must not be empty, write "deny" to allow nobody',
    ],
    [
      'access_rules: {a: [alow: all]}',
      '2:20: access_rules.a: expected "allow" or "deny", got "alow", did you mean "allow"?',
    ],
    [
      'access_rules: {a: [allow: []]}',
      '2:20: access_rules.a.allow: the condition must not be empty, write "all" to match everybody',
    ],
    [
      'access_rules: {a: [allow: ]}',
      '2:20: access_rules.a.allow: the condition must not be empty, write "all" to match everybody',
    ],
    [
      'access_rules: {a: [allow: {usr: x}]}',
      '2:28: access_rules.a.allow: unknown type of ACL "usr", did you mean "user"?',
    ],
    [
      'access_rules: {a: allow}',
      '2:19: access_rules.a: expected a list of "allow: ..." and "deny: ...", got "allow"',
    ],
    [
      'access_rules: {a: [allow], a: [deny]}',
      '2:28: access_rules: "a" is set twice, first at linnet.yml:2:16',
    ],
  ]
  for (const [text, problem] of rows) {
    test(text, async () =>
      assert.deepEqual(await problemsOf(`${hosts}${text}\n`), [`linnet.yml:${problem}`]),
    )
  }
})

test('the type of rules is for options of modules and listeners alike', () => {
  assert.equal(t.access.name, 'an access rule')
})
