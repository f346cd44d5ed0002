import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { load, loaded, problemsOf } from '../../../test/fixtures/config-schema.ts'
import type { Config } from './config.ts'

const hosts = 'hosts: [localhost]\n'

/** Loads, requires at least one warning and no error, and hands the values over. */
async function rewritten(text: string): Promise<Config> {
  const { config, problems } = await load(`${hosts}${text}\n`, { checkFiles: false })
  assert.notEqual(problems.length, 0)
  assert.ok(config !== undefined, problems.map(({ message }) => message).join('\n'))
  return config
}

describe('old names at the top', () => {
  test('of options are read as the new ones', async () => {
    const config = await rewritten(
      'new_sql_schema: true\nextauth_instances: 3\nauth_password_types_hidden_in_scram1: [plain]',
    )
    assert.equal(config.global.sql_schema_multihost, true)
    assert.equal(config.global.extauth_pool_size, 3)
    assert.deepEqual(config.global.auth_password_types_hidden_in_sasl1, ['plain'])
  })

  test('are told with their place', async () => {
    assert.deepEqual(await problemsOf(`${hosts}new_sql_schema: true\n`), [
      'linnet.yml:2:1: warning: "new_sql_schema" is an old name, it is read as "sql_schema_multihost"',
    ])
    assert.deepEqual(await problemsOf(`${hosts}ca_path: x\n`), [
      'linnet.yml:2:1: warning: the option "ca_path" has no effect any more, use "ca_file" instead',
    ])
  })

  test('of databases are read as the new ones', async () => {
    const config = await rewritten(
      'default_db: odbc\ndefault_ram_db: internal\nauth_method: [internal, odbc, jwt]',
    )
    assert.equal(config.global.default_db, 'sql')
    assert.equal(config.global.default_ram_db, 'mnesia')
    assert.deepEqual(config.global.auth_method, ['mnesia', 'sql', 'jwt'])
  })

  test('deref_aliases is an option of LDAP now', async () => {
    assert.equal((await rewritten('deref_aliases: always')).global.ldap_deref_aliases, 'always')
  })

  test('of certificates go to certfiles, from listeners, too', async () => {
    const config = await rewritten(`certfiles: [a]
domain_certfile: b
c2s_certfile: c
host_config: {localhost: {s2s_certfile: d}}
listen:
  - {port: 1, module: ejabberd_c2s, certfile: e}
  - {port: 2, module: ejabberd_http, certfile: f}`)
    assert.deepEqual(config.global.certfiles, ['a', 'b', 'c', 'd', 'e', 'f'])
  })

  test('certfiles is made where there was none', async () => {
    assert.deepEqual((await rewritten('c2s_certfile: c')).global.certfiles, ['c'])
  })

  test('the old ACME directory becomes the new one', async () => {
    const config = await rewritten('acme: {ca_url: "https://acme-v01.api.letsencrypt.org/x"}')
    assert.equal(config.global.acme.ca_url, 'https://acme-v02.api.letsencrypt.org/directory')
  })

  test('required_trusted becomes required, and dialback is taken away', async () => {
    const text = 's2s_use_starttls: required_trusted\nmodules: {mod_s2s_dialback: {}, mod_ping: {}}'
    assert.equal((await rewritten(text)).global.s2s_use_starttls, 'required')
    assert.ok(
      !(await problemsOf(`${hosts}${text}\n`)).some((problem) =>
        problem.includes('"mod_s2s_dialback" is not'),
      ),
    )
  })

  const removed =
    'log_rotate_date log_rate_limit ca_path iqdisc access commands ejabberdctl_access_commands ' +
    'commands_admin_access ldap_group_cache_size ldap_group_cache_validity ldap_user_cache_size ' +
    'ldap_user_cache_validity ldap_local_filter extauth_cache route_subdomains'
  for (const name of removed.split(' ')) {
    test(`${name} has no effect any more`, async () => {
      const problems = await problemsOf(`${hosts}${name}: [x]\n`)
      assert.equal(problems.length, 1)
      assert.match(
        problems[0] ?? '',
        /^linnet\.yml:2:1: warning: the option "\w+" has no effect any more/,
      )
    })
  }

  test('together with the new name are an error', async () => {
    const problems = await problemsOf(`${hosts}new_sql_schema: true\nsql_schema_multihost: false\n`)
    assert.match(problems.join('\n'), /3:1: "sql_schema_multihost" is set twice/)
  })
})

describe('old names of modules', () => {
  test('are read as the new ones, with the database that they meant', async () => {
    const problems = await problemsOf(`${hosts}modules:
  mod_http_bind: {}
  mod_vcard_ldap: {}
  mod_echo: {}
  mod_muc_occupantid: {}
`)
    assert.deepEqual(problems, [
      'linnet.yml:3:3: warning: modules: "mod_http_bind" is an old name, it is read as "mod_bosh"',
      'linnet.yml:3:3: warning: modules: the module "mod_bosh" is not supported yet and is left out',
      'linnet.yml:4:3: warning: modules: "mod_vcard_ldap" is an old name, it is read as "mod_vcard" with "db_type: ldap"',
      'linnet.yml:4:3: warning: modules: the module "mod_vcard" is not supported yet and is left out',
      'linnet.yml:5:3: warning: modules: the module "mod_echo" has no effect any more',
      'linnet.yml:6:3: warning: modules: the module "mod_muc_occupantid" has no effect any more',
    ])
  })

  test('with _odbc at their end mean db_type: sql', async () => {
    // The stand-in for mod_last has no such option, so the rewriting shows in the error.
    assert.deepEqual(await problemsOf(`${hosts}modules: {mod_last_odbc: {}}\n`), [
      'linnet.yml:2:11: warning: modules: "mod_last_odbc" is an old name, it is read as "mod_last" with "db_type: sql"',
      'linnet.yml:2:11: modules.mod_last: unknown option "db_type"',
    ])
  })

  test('of options are rewritten or dropped', async () => {
    const config = await rewritten('modules: {mod_mqtt: {db_type: odbc, iqdisc: one_queue}}')
    assert.equal(config.modules('localhost').get('mod_mqtt')?.options.values['db_type'], 'sql')
  })

  test('are found in host_config as well', async () => {
    const config = await rewritten(
      'host_config: {localhost: {modules: {mod_mqtt: {db_type: internal}}}}',
    )
    assert.equal(config.modules('localhost').get('mod_mqtt')?.options.values['db_type'], 'mnesia')
  })

  test('plugins of mod_pubsub that are gone are left out', async () => {
    const { problems } = await load(`${hosts}modules: {mod_pubsub: {plugins: [flat, hometree]}}\n`)
    assert.match(
      problems.map(({ message }) => message).join('\n'),
      /the plugin "hometree" does not exist any more/,
    )
  })
})

describe('old settings of listeners', () => {
  const handlers = async (listener: string): Promise<unknown> => {
    const { problems } = await load(
      `${hosts}listen: [{port: 1, module: ejabberd_http, ${listener}}]\n`,
    )
    return problems.flatMap(
      ({ message }) =>
        /handler "(.*)" is not supported yet, "(.*)" is/.exec(message)?.slice(1).reverse() ?? [],
    )
  }

  test('flags become request handlers, "/" comes last', async () => {
    assert.deepEqual(await handlers('captcha: true'), ['/captcha', 'ejabberd_captcha'])
    assert.deepEqual(await handlers('register: yes'), ['/register', 'mod_register_web'])
    assert.deepEqual(await handlers('web_admin: true'), ['/admin', 'ejabberd_web_admin'])
    assert.deepEqual(await handlers('http_bind: true'), ['/bosh', 'mod_bosh'])
    assert.deepEqual(await handlers('xmlrpc: true'), ['/', 'ejabberd_xmlrpc'])
    assert.deepEqual(await handlers('captcha: false'), [])
    assert.deepEqual(await handlers('request_handlers: {/b: mod_http_bind}'), ['/b', 'mod_bosh'])
  })

  test('flags join the handlers that are written', async () => {
    const config = await rewritten(
      'listen: [{port: 1, module: ejabberd_http, xmlrpc: true, http_poll: true, request_handlers: {/mqtt: mod_mqtt}}]',
    )
    assert.deepEqual(
      config.listeners[0]?.options.values['request_handlers'],
      new Map([['/mqtt', 'mod_mqtt']]),
    )
    assert.match(config.effective(), /\/mqtt: mod_mqtt\n {6}\/: ejabberd_xmlrpc\n/)
  })

  test('inet, inet6 and access_commands have no effect', async () => {
    const config = await rewritten(
      'listen: [{port: 1, module: mod_mqtt, inet: true, inet6: true, access_commands: {}}]',
    )
    assert.equal(config.listeners.length, 1)
  })

  test('turn_ip is turn_ipv4_address', async () => {
    const { problems } = await load(
      `${hosts}listen: [{port: 1, module: ejabberd_stun, turn_ip: 1.2.3.4}]\n`,
    )
    assert.match(problems.map(({ message }) => message).join('\n'), /"turn_ip" is an old name/)
  })

  test('whatever they are, an old configuration loads without errors', async () => {
    assert.ok(await loaded(`${hosts}listen: [{port: 1, module: mod_mqtt, inet6: true}]\n`))
  })
})
