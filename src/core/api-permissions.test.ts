import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loaded, problemsOf } from '../../test/fixtures/config-schema.ts'
import { bareJid, jid } from '../xmpp/jid/jid.ts'
import { Access } from './access.ts'
import { ApiPermissions } from './api-permissions.ts'
import type { Caller, Command } from './command.ts'

const base = `hosts: [localhost, example.org]
acl: {admin: {user: admin@localhost}, loopback: {ip: 127.0.0.0/8}}
access_rules: {configure: [allow: admin]}
`

async function permissionsOf(text: string): Promise<ApiPermissions> {
  const config = await loaded(`${base}${text}`)
  return new ApiPermissions(config.global.api_permissions, new Access(config))
}

type Asked = Pick<Command, 'name' | 'tags'>
const status: Asked = { name: 'status', tags: ['server'] }
const register: Asked = { name: 'register', tags: ['accounts'] }
const stop: Asked = { name: 'stop', tags: ['server'] }

function by(from: string, more: Omit<Caller, 'from'> = {}): Caller {
  return { from, ...more }
}
const admin = { jid: bareJid(jid('admin@localhost')) }
const romeo = { jid: bareJid(jid('romeo@localhost')) }

/** The group that allows, or the error. */
function asks(
  permissions: ApiPermissions,
  command: Asked,
  caller: Caller,
  hosts: readonly string[] = [],
): string {
  const decision = permissions.check(command, caller, hosts)
  return decision.allowed ? decision.by : decision.error
}
const denied = 'access_rules_unauthorized'

describe('without any setting', () => {
  test('the command line may call everything, admins everything but start and stop', async () => {
    const permissions = await permissionsOf('')
    assert.equal(asks(permissions, stop, by('ejabberd_ctl')), 'console commands')
    assert.equal(asks(permissions, status, by('mod_http_api', admin), []), 'admin access')
    assert.equal(
      asks(permissions, register, by('mod_http_api', admin), ['localhost']),
      'admin access',
    )
    assert.equal(asks(permissions, register, by('mod_http_api', romeo), ['localhost']), denied)
    assert.equal(asks(permissions, stop, by('mod_http_api', admin), []), denied)
  })
})

describe('the order of checks', () => {
  test('echo is for everybody, and the web admin sees the hosts', async () => {
    const permissions = await permissionsOf('api_permissions: {}\n')
    assert.equal(
      permissions.check({ name: 'echo', tags: [] }, by('mod_http_api'), []).allowed,
      true,
    )
    const vhosts = { name: 'registered_vhosts', tags: [] }
    assert.equal(permissions.check(vhosts, by('ejabberd_web_admin'), []).allowed, true)
    assert.equal(permissions.check(vhosts, by('mod_http_api'), []).allowed, false)
  })

  test('internal commands are for the web admin alone', async () => {
    const permissions = await permissionsOf('')
    const internal = { name: 'webadmin_host', tags: ['internal'] }
    assert.equal(
      asks(permissions, internal, by('ejabberd_ctl')),
      'frontend_cannot_call_an_internal_command',
    )
    assert.equal(
      asks(permissions, internal, by('ejabberd_web_admin', admin), ['localhost']),
      'admin access',
    )
  })

  test('an account needs "configure" on the host of the argument first', async () => {
    const permissions = await permissionsOf(`
host_config: {example.org: {access_rules: {configure: [allow: none]}}}
api_permissions: {any: {who: all, what: "*"}}
`)
    assert.equal(asks(permissions, register, by('mod_http_api', admin), ['localhost']), 'any')
    assert.equal(asks(permissions, register, by('mod_http_api', admin), ['example.org']), denied)
    assert.equal(asks(permissions, register, by('mod_http_api', romeo), ['localhost']), denied)
    assert.equal(
      asks(permissions, register, by('mod_http_api', romeo), []),
      'any',
      'no host in question',
    )
    assert.equal(
      asks(permissions, register, by('mod_http_api'), ['example.org']),
      'any',
      'no account',
    )
    assert.equal(
      asks(permissions, register, by('mod_http_api', romeo), ['a', 'b']),
      'any',
      'two hosts',
    )
  })

  test('without an argument for a host the tables at the top count', async () => {
    const permissions = await permissionsOf(`
host_config: {localhost: {acl: {special: {user: romeo}}, access_rules: {configure: [allow: all]}}}
api_permissions: {g: {who: special, what: "*"}}
`)
    assert.equal(asks(permissions, status, by('mod_http_api', romeo), []), denied)
    assert.equal(asks(permissions, status, by('mod_http_api', romeo), ['localhost']), 'g')
  })

  test('a group called "console commands" replaces the one that is built in', async () => {
    const permissions = await permissionsOf(
      'api_permissions: {"console commands": {from: ejabberd_ctl, who: all, what: status}}\n',
    )
    assert.equal(asks(permissions, status, by('ejabberd_ctl')), 'console commands')
    assert.equal(asks(permissions, stop, by('ejabberd_ctl')), denied)
  })

  test('any group that allows is enough', async () => {
    const permissions = await permissionsOf(
      'api_permissions: {a: {who: none, what: "*"}, b: {who: all, what: status}, c: {who: all, what: "*"}}\n',
    )
    assert.equal(asks(permissions, status, by('mod_cron')), 'b')
    assert.equal(asks(permissions, stop, by('mod_cron')), 'c')
  })
})

describe('from', () => {
  test('names front ends, any of which may call', async () => {
    const permissions = await permissionsOf(
      'api_permissions: {g: {from: [mod_cron, mod_http_api], who: all, what: "*"}}\n',
    )
    assert.equal(asks(permissions, status, by('mod_http_api')), 'g')
    assert.equal(asks(permissions, status, by('ejabberd_xmlrpc')), denied)
  })

  test('names tags of listeners; with both, both have to hold', async () => {
    const permissions = await permissionsOf(
      'api_permissions: {g: {from: [mod_http_api, {tag: inside}, {tag: other}], who: all, what: "*"}}\n',
    )
    assert.equal(asks(permissions, status, by('mod_http_api', { tag: 'inside' })), 'g')
    assert.equal(asks(permissions, status, by('mod_http_api', { tag: 'outside' })), denied)
    assert.equal(asks(permissions, status, by('mod_http_api')), denied)
    assert.equal(asks(permissions, status, by('mod_cron', { tag: 'inside' })), denied)
  })
})

describe('who', () => {
  const rows: readonly (readonly [who: string, caller: Omit<Caller, 'from'>, allowed: boolean])[] =
    [
      ['all', {}, true],
      ['none', admin, false],
      ['admin', admin, true],
      ['admin', romeo, false],
      ['[admin, {user: romeo@localhost}]', romeo, true],
      ['{ip: 127.0.0.1/8}', { ip: '127.0.0.1' }, true],
      ['{ip: 127.0.0.1/8}', { ip: '10.0.0.1' }, false],
      ['{acl: loopback}', { ip: '127.0.0.1' }, true],
      ['{user: [romeo@localhost, x@localhost]}', romeo, true],
      ['{access: {allow: [{acl: loopback}, {acl: admin}]}}', { ...admin, ip: '127.0.0.1' }, true],
      ['{access: {allow: [{acl: loopback}, {acl: admin}]}}', { ...admin, ip: '10.0.0.1' }, false],
      ['{access: [allow: loopback, allow: admin]}', { ...romeo, ip: '127.0.0.1' }, true],
      ['{access: configure}', admin, true],
      ['{oauth: {scope: s, acl: admin}}', { ...admin, oauthScopes: ['s'] }, true],
      ['{oauth: {scope: [r, s], access: configure}}', { ...admin, oauthScopes: ['t', 's'] }, true],
      ['{oauth: {scope: s, acl: admin}}', { ...admin, oauthScopes: ['t'] }, false],
      ['{oauth: {scope: s, acl: admin}}', { ...romeo, oauthScopes: ['s'] }, false],
      ['{oauth: {scope: s, acl: admin}}', admin, false],
      ['{oauth: {scope: s}}', { ...admin, oauthScopes: ['s'] }, false],
      ['admin', { ...admin, oauthScopes: ['s'] }, false],
      ['[]', admin, false],
    ]
  for (const [who, caller, allowed] of rows) {
    test(`${who} ${allowed ? 'admits' : 'refuses'} ${JSON.stringify(caller)}`, async () => {
      const permissions = await permissionsOf(`api_permissions: {g: {who: ${who}, what: "*"}}\n`)
      assert.equal(asks(permissions, status, by('mod_http_api', caller)), allowed ? 'g' : denied)
    })
  }

  test('nobody, when it is absent', async () => {
    const permissions = await permissionsOf('api_permissions: {g: {what: "*"}}\n')
    assert.equal(asks(permissions, status, by('mod_http_api', admin)), denied)
  })
})

describe('what', () => {
  const rows: readonly (readonly [
    what: string,
    allowed: readonly Asked[],
    refused: readonly Asked[],
  ])[] = [
    ['"*"', [status, register, stop], []],
    ['status', [status], [register]],
    ['[status, register]', [status, register], [stop]],
    ['["*", "!stop"]', [status, register], [stop]],
    ['"[tag:server]"', [status, stop], [register]],
    ['["*", "![tag:server]"]', [register], [status, stop]],
    ['["[tag:server]", "!stop"]', [status], [stop, register]],
    ['"!stop"', [], [status, stop]],
    ['"!*"', [], [status]],
    ['["!*", "*"]', [], [status]],
    ['["*", "!*", status]', [], [status]],
    ['[]', [], [status]],
  ]
  for (const [what, allowed, refused] of rows) {
    test(what, async () => {
      const permissions = await permissionsOf(`api_permissions: {g: {who: all, what: ${what}}}\n`)
      for (const command of allowed)
        assert.equal(asks(permissions, command, by('mod_cron')), 'g', command.name)
      for (const command of refused)
        assert.equal(asks(permissions, command, by('mod_cron')), denied, command.name)
    })
  }

  test('nothing, when it is absent', async () => {
    const permissions = await permissionsOf('api_permissions: {g: {who: all}}\n')
    assert.equal(asks(permissions, status, by('mod_cron')), denied)
  })
})

describe('what is wrong with them', () => {
  const rows: readonly (readonly [group: string, problem: string])[] = [
    ['{form: mod_cron}', '4:23: api_permissions.g: unknown option "form", did you mean "from"?'],
    [
      '{from: mod_htp_api}',
      '4:29: api_permissions.g.from: expected ejabberd_ctl, ejabberd_web_admin, ejabberd_xmlrpc, mod_adhoc_api, mod_cron, mod_http_api or "tag: ...", got "mod_htp_api", did you mean "mod_http_api"?',
    ],
    [
      '{what: "STATUS"}',
      '4:29: api_permissions.g.what: expected the name of a command, "[tag:NAME]" or "*", perhaps with "!" before it, got "STATUS"',
    ],
    [
      '{what: "!!stop"}',
      '4:29: api_permissions.g.what: expected the name of a command, "[tag:NAME]" or "*", perhaps with "!" before it, got "!!stop"',
    ],
    [
      '{who: {usr: a}}',
      '4:29: api_permissions.g.who: unknown way to name callers "usr", did you mean "user"?',
    ],
    [
      '{who: {oauth: {acl: a}}}',
      '4:36: api_permissions.g.who.oauth: the option "scope" is required',
    ],
    ['all', '4:22: api_permissions.g: expected a map with from, who and what, got "all"'],
  ]
  for (const [group, problem] of rows) {
    test(group, async () => {
      const problems = await problemsOf(`${base}api_permissions: {g: ${group}}\n`)
      assert.deepEqual(problems, [`linnet.yml:${problem}`])
    })
  }
})

test('a reload takes effect', async () => {
  const permissions = await permissionsOf('api_permissions: {g: {who: all, what: "*"}}\n')
  permissions.reload([])
  assert.equal(asks(permissions, status, by('mod_cron')), denied)
})
