import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { load, loaded, problemsOf } from '../../../test/fixtures/config-schema.ts'
import { describe as describeOptions } from '../options.ts'
import { globalOptions, hostOptions, optionAreas, topLevelOptions } from './toplevel.ts'

const hosts = 'hosts: [localhost]\n'

describe('the options at the top', () => {
  test('are the 177 of ejabberd 26.07, 70 of them for the whole server only', () => {
    assert.equal(Object.keys(topLevelOptions).length, 177)
    assert.equal(Object.keys(globalOptions).length, 70)
    assert.equal(Object.keys(hostOptions).length, 107)
    const inAreas = Object.values(optionAreas).flatMap((area) => [
      ...Object.keys(area.global),
      ...Object.keys(area.host),
    ])
    assert.equal(new Set(inAreas).size, 177)
    assert.equal(inAreas.length, 177)
  })

  test('all have help and a default that reads', async () => {
    for (const { name, help } of describeOptions(topLevelOptions))
      assert.match(help, /^[A-Z].*\.$/, name)
    const config = await loaded(hosts)
    assert.equal(Object.keys(config.global).length, 177 - 7)
  })

  test('have the defaults of ejabberd', async () => {
    const { global } = await loaded(hosts)
    assert.equal(global.loglevel, 'info')
    assert.equal(global.version, '26.7.1')
    assert.equal(global.log_rotate_size, 10 * 1024 * 1024)
    assert.equal(global.registration_timeout, 600_000)
    assert.equal(global.cache_life_time, 3_600_000)
    assert.equal(global.negotiation_timeout, 120_000)
    assert.equal(global.resource_conflict, 'acceptnew')
    assert.deepEqual(global.auth_method, ['mnesia'])
    assert.equal(global.sql_type, 'odbc')
    assert.equal(global.sql_pool_size, 10)
    assert.equal(global.sql_port, undefined)
    assert.equal(global.oauth_cache_rest_failure_life_time, Infinity)
    assert.deepEqual(global.outgoing_s2s_families, ['ipv6', 'ipv4'])
    assert.deepEqual(
      global.api_permissions.map(({ name }) => name),
      ['admin access'],
    )
    assert.deepEqual(global.ldap_uids, new Map([['uid', '%u']]))
  })

  test('take defaults over from one another', async () => {
    const { global } = await loaded(`${hosts}
default_db: sql
default_ram_db: sql
use_cache: false
cache_size: 7
cache_life_time: infinity
cache_missed: no
queue_type: file
sql_type: mysql
ldap_encrypt: tls
`)
    assert.deepEqual(global.auth_method, ['sql'])
    assert.equal(global.oauth_db_type, 'sql')
    assert.equal(global.sm_db_type, 'sql')
    assert.equal(global.auth_use_cache, false)
    assert.equal(global.sm_cache_size, 7)
    assert.equal(global.router_cache_life_time, Infinity)
    assert.equal(global.oauth_cache_missed, false)
    assert.equal(global.s2s_queue_type, 'file')
    assert.equal(global.sql_port, 3306)
    assert.equal(global.ldap_port, 636)
    assert.equal((await loaded(`${hosts}sql_type: sqlite\n`)).global.sql_pool_size, 1)
    assert.equal((await loaded(`${hosts}sql_type: pgsql\n`)).global.sql_port, 5432)
  })

  test('accept what ejabberd accepts', async () => {
    const { global } = await loaded(
      `${hosts}
loglevel: 4
fqdn: one.example
log_rotate_size: unlimited
trusted_proxies: all
c2s_ciphers: [A, B]
c2s_protocol_options: [no_sslv3, no_tlsv1]
websocket_origin: ["https://a.example https://b.example", "http://c.example"]
disable_sasl_mechanisms: digest-md5
s2s_use_starttls: yes
captcha_url: undefined
auth_stored_password_types: [scram_sha1, scram_sha256]
ldap_uids: [mail, uid]
ldap_dn_filter: {"(a=%s)": [b]}
sql_password: 12345
hosts_alias: {"*.example": localhost}
domain_balancing: {component.example: {type: destination, component_number: 5}}
`,
    )
    assert.equal(global.loglevel, 'info')
    assert.equal(global.log_rotate_size, Infinity)
    assert.equal(global.trusted_proxies, 'all')
    assert.equal(global.c2s_ciphers, 'A:B')
    assert.deepEqual(global.c2s_protocol_options, ['no_sslv3', 'no_tlsv1'])
    assert.deepEqual(global.websocket_origin, [
      'https://a.example',
      'https://b.example',
      'http://c.example',
    ])
    assert.deepEqual(global.disable_sasl_mechanisms, ['DIGEST-MD5'])
    assert.equal(global.s2s_use_starttls, true)
    assert.deepEqual(
      global.ldap_uids,
      new Map([
        ['mail', '%u'],
        ['uid', '%u'],
      ]),
    )
    assert.equal(global.sql_password, '12345')
    assert.deepEqual(
      (await loaded(`${hosts}websocket_origin: ignore\n`)).global.websocket_origin,
      [],
    )
    assert.equal((await loaded(`${hosts}loglevel: 0\n`)).global.loglevel, 'none')
  })

  const wrong: readonly (readonly [text: string, message: RegExp])[] = [
    ['log_rotate_count: -1', /expected an integer from 0, got -1/],
    ['loglevel: 6', /expected none, emergency/],
    ['language: "not a tag"', /expected a language tag/],
    ['negotiation_timeout: infinity', /expected a duration/],
    ['trusted_proxies: [somewhere]', /expected an IP address or network/],
    ['websocket_origin: [nowhere]', /the URL of a web site/],
    ['auth_method: [magic]', /expected mnesia, sql, external/],
    ['oom_watermark: 100', /expected an integer from 1 to 99/],
    ['acme: {contact: me}', /expected a contact/],
    ['outgoing_s2s_families: [ipv4, ipv4]', /"ipv4" is listed twice/],
    ['sql_port: 0', /expected a port number/],
    ['ext_api_url: "ftp://a"', /expected a URL/],
  ]
  for (const [text, message] of wrong) {
    test(`refuse ${text}`, async () =>
      assert.match((await problemsOf(`${hosts}${text}\n`)).join('\n'), message))
  }

  test('warn when they do nothing yet, and tell why when they never will', async () => {
    const text = `${hosts}captcha_limit: 5\nnet_ticktime: 60\nauth_method: [mnesia, ldap]\n`
    assert.deepEqual(await problemsOf(text), [
      'linnet.yml:2:16: warning: the option "captcha_limit" is not supported yet and has no effect',
      'linnet.yml:3:15: notice: the option "net_ticktime" has no effect here: it is about the nodes of Erlang, of which there are none',
      'linnet.yml:4:23: warning: auth_method[1]: the value "ldap" is not supported yet and has no effect',
    ])
    assert.ok((await load(text)).config)
  })
})
