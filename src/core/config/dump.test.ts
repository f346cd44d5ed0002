import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load, loaded } from '../../../test/fixtures/config-schema.ts'

test('the configuration in effect has macros, old names and files resolved', async () => {
  const config = await loaded(`define_macro: {HOSTS: [localhost], LEVEL: debug}
hosts: HOSTS
loglevel: LEVEL
new_sql_schema: true
acl: {local: {user_regexp: ""}, net: {ip: ["::1/128", 10.0.0.0/8]}}
listen:
  - {port: 1883, ip: "::", module: mod_mqtt}
modules: {mod_ping: {}, mod_rooms: {names: [], welcome: "yes"}}
`)
  assert.equal(
    config.effective(),
    `hosts:
  - localhost
loglevel: debug
sql_schema_multihost: true
acl:
  local:
    user_regexp: ""
  net:
    ip:
      - "::1/128"
      - 10.0.0.0/8
listen:
  -
    port: 1883
    ip: "::"
    module: mod_mqtt
modules:
  mod_ping: {}
  mod_rooms:
    names: []
    welcome: "yes"
`,
  )
})

test('it reads as the same configuration again', async () => {
  const text = `hosts: ["a.example", "123"]
sql_password: "12"
version: "null"
language: en
acl: {"odd: name": {user_regexp: ["a#b", "- c", "x y", "'q'", ".*", "[z]"]}}
access_rules: {c2s: [deny: blocked, allow]}
modules: {mod_rooms: {welcome: "two\\nlines: \\"quoted\\" # not a comment", names: [[], ""]}}
`
  const first = await load(text.replace('names: [[], ""]', 'names: [""]'))
  const again = await loaded(first.config?.effective() ?? '')
  const rooms = again.modules('a.example').get('mod_rooms')?.options.values
  assert.equal(rooms?.['welcome'], 'two\nlines: "quoted" # not a comment')
  assert.deepEqual(again.hosts, ['a.example', '123'])
  assert.equal(again.global.version, 'null')
  assert.deepEqual(
    again.global.acl.get('odd: name')?.map(({ text: item }) => item),
    first.config?.global.acl.get('odd: name')?.map(({ text: item }) => item),
  )
})

test('secrets are hidden: those of options, of modules not built yet, and where macros and keywords bring them', async () => {
  const config = await loaded(`define_macro: {SECRET: macro-secret}
define_keyword: {WORD: keyword-secret, OTHER: seen}
hosts: [localhost]
sql_password: SECRET
redis_password: "x-@WORD@"
language: en
host_config: {localhost: {sql_password: host-secret, sql_username: "user-@OTHER@"}}
modules:
  mod_rooms: {key: option-secret}
  mod_http_upload: {external_secret: foreign-secret, name: shown}
listen:
  - {port: 8888, module: ejabberd_service, password: service-secret, hosts: {a.example: {password: nested-secret}}}
`)
  const text = config.effective()
  assert.doesNotMatch(text, /-secret/)
  assert.match(text, /sql_password: "\(hidden\)"/)
  assert.match(text, /name: shown/)
  assert.match(text, /OTHER: seen/)
})
