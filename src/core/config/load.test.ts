import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import {
  load,
  loaded,
  mqttOptions,
  pingOptions,
  problemsOf,
  roomOptions,
} from '../../../test/fixtures/config-schema.ts'

const directory = mkdtempSync(join(tmpdir(), 'linnet-config-'))
after(() => rmSync(directory, { recursive: true }))

/** Writes files next to one another and returns the path of the first. */
function files(texts: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(directory, 'case-'))
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text)
  return join(folder, Object.keys(texts)[0] ?? '')
}

const hosts = 'hosts: [localhost]\n'

describe('problems', () => {
  test('have file, line and column, a path and a hint, and come all at once', async () => {
    const text = `hosts:
  - localhost
modules:
  mod_mqtt:
    acess_publish: {}
  mod_ping:
    ping_interval: soon
  mod_pink: {}
loglevel: loud
lisen: []
`
    assert.deepEqual(await problemsOf(text), [
      'linnet.yml:5:5: modules.mod_mqtt: unknown option "acess_publish", did you mean "access_publish"?',
      'linnet.yml:7:20: modules.mod_ping.ping_interval: expected a duration ("5 minutes"; seconds without a unit), got "soon"',
      'linnet.yml:8:3: modules: unknown module "mod_pink", did you mean "mod_ping"?',
      'linnet.yml:9:11: loglevel: expected none, emergency, alert, critical, error, warning, notice, info, debug, 0, 1, 2, 3, 4 or 5, got "loud"',
      'linnet.yml:10:1: unknown option "lisen", did you mean "listen"?',
    ])
  })

  test('leave no configuration', async () => {
    const { config, problems } = await load('hosts: []\n')
    assert.equal(config, undefined)
    assert.equal(problems.length, 1)
  })

  test('hosts are required', async () => {
    assert.deepEqual(await problemsOf('loglevel: info\n'), [
      'linnet.yml:1:1: the option "hosts" is required',
    ])
    assert.deepEqual(await problemsOf(''), ['linnet.yml:1:1: the option "hosts" is required'])
    assert.deepEqual(await problemsOf('# nothing\n'), [
      'linnet.yml:1:1: the option "hosts" is required',
    ])
  })

  test('a repeated key is an error wherever it stands', async () => {
    const text = `${hosts}loglevel: info
loglevel: debug
modules:
  mod_ping: {send_pings: true, send_pings: false}
  mod_ping: {}
`
    assert.deepEqual(await problemsOf(text), [
      'linnet.yml:3:1: "loglevel" is set twice, first at linnet.yml:2:1',
      'linnet.yml:5:32: modules.mod_ping: "send_pings" is set twice, first at linnet.yml:5:14',
      'linnet.yml:6:3: modules: "mod_ping" is set twice, first at linnet.yml:5:3',
    ])
  })

  test('a repeated key is an error in modules that are not built, too', async () => {
    const problems = await problemsOf(`${hosts}modules:\n  mod_mam: {a: 1, a: 2}\n`)
    assert.deepEqual(problems, [
      'linnet.yml:3:3: warning: modules: the module "mod_mam" is not supported yet and is left out',
      'linnet.yml:3:19: modules.mod_mam: "a" is set twice, first at linnet.yml:3:13',
    ])
  })

  test('YAML errors have places, and the text is not looked at further', async () => {
    const problems = await problemsOf('hosts: [localhost\nloglevel: info\n')
    assert.equal(problems.length, 1)
    assert.match(problems[0] ?? '', /^linnet\.yml:2:1: flow sequence in block collection/)
  })

  test('tags, more than one document and keys that are lists are errors', async () => {
    assert.match((await problemsOf(`${hosts}language: !!int en\n`))[0] ?? '', /^linnet\.yml:2:11: /)
    assert.match((await problemsOf(`${hosts}---\nhosts: [a]\n`))[0] ?? '', /multiple documents/)
    assert.match(
      (await problemsOf(`${hosts}? [a]\n: b\n`))[0] ?? '',
      /a key has to be a single value/,
    )
  })

  test('files in the old format of Erlang terms get advice', async () => {
    assert.match(
      (await problemsOf('%% comment\n{hosts, ["localhost"]}.\n'))[0] ?? '',
      /convert_to_yaml/,
    )
    assert.match((await problemsOf('{loglevel, 4}.\n'))[0] ?? '', /convert_to_yaml/)
  })

  test('a file that cannot be read is a problem', async () => {
    const path = join(directory, 'gone.yml')
    assert.deepEqual(await problemsOf({ path }), [
      `${path}:1:1: cannot read "${path}": there is no such file`,
    ])
  })
})

test('a wrong list of hosts is told once, not for every host that has options', async () => {
  const text = 'hosts: [a.example, "b@c"]\nhost_config: {a.example: {language: nl}}\n'
  assert.deepEqual(await problemsOf(text), [
    'linnet.yml:1:20: hosts[1]: expected a host name, got "b@c"',
  ])
})

describe('anchors and aliases', () => {
  test('stand for one another', async () => {
    const text = `${hosts}modules:
  mod_ping: &options {use_cache: false}
  mod_mqtt: {access_publish: {"a/#": &rule [allow: all]}, access_subscribe: {"b": *rule}}
`
    const config = await loaded(text)
    const options = config.modules('localhost').get('mod_mqtt')?.options.as(mqttOptions)
    assert.equal(options?.access_subscribe.get('b')?.kind, 'inline')
  })

  test('do not make one module take the options of another', async () => {
    const problems = await problemsOf(
      `${hosts}modules:\n  mod_ping: &o {send_pings: true}\n  mod_roster: *o\n`,
    )
    assert.deepEqual(problems, ['linnet.yml:3:17: modules.mod_roster: unknown option "send_pings"'])
  })

  test('cannot be a bomb', async () => {
    let text = `${hosts}x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n`
    for (let i = 1; i < 12; i++)
      text += `x${i}: &x${i} [${Array.from({ length: 10 }, () => `*x${i - 1}`).join(', ')}]\n`
    assert.match((await problemsOf(text))[0] ?? '', /aliases expand to too many values/)
  })

  test('have to be defined before, and not by themselves', async () => {
    assert.match((await problemsOf(`${hosts}acl: *a\n`))[0] ?? '', /2:6: there is no anchor "&a"/)
    assert.match(
      (await problemsOf(`${hosts}acl: &a {b: *a}\n`))[0] ?? '',
      /there is no anchor "&a"/,
    )
  })

  test('nesting is bounded', async () => {
    const text = `${hosts}acl: ${'['.repeat(80)}${']'.repeat(80)}\n`
    assert.match((await problemsOf(text))[0] ?? '', /nested more than 64 levels deep/)
  })
})

describe('macros', () => {
  // shows: option define_macro
  test('stand for whole values of any kind, quoted or not, and for parts of text', async () => {
    const config = await loaded(`
define_macro:
  HOSTS: [localhost, EXAMPLE]
  EXAMPLE: example.org
  LEVEL: debug
  PORT: 1884
  RULE: {"home/#": [{allow: all}]}
hosts: HOSTS
loglevel: 'LEVEL'
sql_database: "linnet_@EXAMPLE@_@LEVEL@"
language: en
listen:
  - {port: "@PORT@", module: mod_mqtt}
modules:
  mod_mqtt: {access_publish: RULE}
`)
    assert.deepEqual(config.hosts, ['localhost', 'example.org'])
    assert.equal(config.global.loglevel, 'debug')
    assert.equal(config.global.sql_database, 'linnet_example.org_debug')
    assert.equal(config.listeners[0]?.common.port, 1884)
    const options = config.modules('localhost').get('mod_mqtt')?.options.as(mqttOptions)
    assert.deepEqual([...(options?.access_publish.keys() ?? [])], ['home/#'])
  })

  test('come from the environment as well, which wins', async () => {
    const variables = {
      EJABBERD_MACRO_LEVEL: 'debug',
      EJABBERD_MACRO_DATABASE: 'old',
      LINNET_MACRO_DATABASE: '"new"',
      LINNET_MACRO_PORTS: '[1]',
    }
    const text = `${hosts}define_macro: {LEVEL: error}\nloglevel: LEVEL\nsql_database: DATABASE\n`
    const config = await loaded(text, { variables })
    assert.equal(config.global.loglevel, 'debug')
    assert.equal(config.global.sql_database, 'new')
  })

  test('of the environment have to be YAML', async () => {
    const problems = await problemsOf(hosts, { variables: { LINNET_MACRO_A: '[1' } })
    assert.match(problems[0] ?? '', /^\$LINNET_MACRO_A:1:\d+: /)
  })

  test('must not be defined by themselves', async () => {
    const text = `${hosts}define_macro:\n  A: "x@B@"\n  B: C\n  C: "A"\nsql_database: A\n`
    assert.deepEqual(await problemsOf(text), [
      'linnet.yml:5:6: "A" is defined by itself: A, B, C, A',
    ])
  })

  test('must not be defined twice', async () => {
    const text = `${hosts}define_macro: {A: 1, A: 2}\n`
    assert.match((await problemsOf(text))[0] ?? '', /2:22: define_macro: "A" is set twice/)
  })

  test('that are lists cannot stand inside text', async () => {
    const text = `${hosts}define_macro: {A: [1]}\nlanguage: "x@A@"\n`
    assert.match((await problemsOf(text))[0] ?? '', /3:11: "@A@" stands for a list, not for text/)
  })

  test('cannot be a bomb', async () => {
    let text = `${hosts}define_macro:\n  M0: [a, a, a, a, a, a, a, a, a, a]\n  T0: "aaaaaaaaaaaaaaaa"\n`
    for (let i = 1; i < 12; i++) {
      text += `  M${i}: [${Array.from({ length: 10 }, () => `M${i - 1}`).join(', ')}]\n`
      text += `  T${i}: "${`@T${i - 1}@`.repeat(16)}"\n`
    }
    const problems = await problemsOf(`${text}acl: M11\nlanguage: T11\n`)
    assert.ok(problems.some((problem) => problem.includes('names expand to too many values')))
    assert.ok(problems.some((problem) => problem.includes('names expand to too long a text')))
  })

  test('leave what is no macro alone', async () => {
    const config = await loaded(
      `${hosts}define_macro: {A: b}\nc2s_ciphers: "HIGH:!aNULL:@STRENGTH:x@y@z"\n`,
    )
    assert.equal(config.global.c2s_ciphers, 'HIGH:!aNULL:@STRENGTH:x@y@z')
  })

  test('cannot differ by host', async () => {
    const text = `${hosts}host_config: {localhost: {define_macro: {A: b}}}\n`
    assert.match((await problemsOf(text))[0] ?? '', /warning: .*macros cannot differ by host/)
  })
})

describe('included files', () => {
  // shows: option include_config_file
  test('are found beside the one that names them, and keep their places', async () => {
    const path = files({
      'main.yml': 'hosts: [localhost]\ninclude_config_file: [one.yml, two.yaml]\n',
      'one.yml': 'loglevel: debug\n',
      'two.yaml': 'language: nl\nacl:\n  a:\n    usr: b\n',
    })
    const problems = await problemsOf({ path })
    assert.equal(problems.length, 1)
    assert.match(
      problems[0] ?? '',
      /two\.yaml:4:5: acl\.a: unknown type of ACL "usr", did you mean "user"\?$/,
    )
  })

  test('may include others, and be named by macros and keywords', async () => {
    const path = files({
      'main.yml':
        'define_macro: {PART: part}\nhosts: [localhost]\ninclude_config_file: "@CONFIG_PATH@/@PART@.yml"\n',
      'part.yml': 'include_config_file: deep.yml\n',
      'deep.yml': 'loglevel: debug\n',
    })
    const config = await loaded({ path })
    assert.equal(config.global.loglevel, 'debug')
    assert.deepEqual(
      config.sources.map((source) => source.slice(source.lastIndexOf('/') + 1)),
      ['main.yml', 'part.yml', 'deep.yml'],
    )
  })

  test('give only the options that are allowed', async () => {
    const path = files({
      'main.yml':
        'hosts: [localhost]\ninclude_config_file:\n  a.yml: {allow_only: [loglevel]}\n  b.yml: {disallow: [loglevel, language]}\n',
      'a.yml': 'loglevel: debug\nlanguage: nl\n',
      'b.yml': 'loglevel: error\nlanguage: fr\nsql_database: b\n',
    })
    const { global } = await loaded({ path })
    assert.deepEqual([global.loglevel, global.language, global.sql_database], ['debug', 'en', 'b'])
  })

  test('lengthen lists and maps, but must not set a single value twice', async () => {
    const path = files({
      'main.yml':
        'hosts: [localhost]\nloglevel: info\nacl: {a: {user: x}}\ninclude_config_file: more.yml\n',
      'more.yml': 'hosts: [example.org]\nacl: {b: {user: y}}\n',
    })
    const config = await loaded({ path })
    assert.deepEqual(config.hosts, ['localhost', 'example.org'])
    assert.deepEqual([...config.global.acl.keys()], ['a', 'b'])
    writeFileSync(join(path, '..', 'more.yml'), 'loglevel: debug\nacl: {a: {user: z}}\n')
    const problems = await problemsOf({ path })
    assert.equal(problems.length, 2)
    assert.match(
      problems[0] ?? '',
      /more\.yml:1:1: "loglevel" is set twice, first at .*main\.yml:2:1$/,
    )
    assert.match(problems[1] ?? '', /more\.yml:2:7: acl: "a" is set twice/)
  })

  test('must not include themselves, and have to be there', async () => {
    const path = files({
      'main.yml': 'hosts: [localhost]\ninclude_config_file: [other.yml, gone.yml]\n',
      'other.yml': 'include_config_file: main.yml\n',
    })
    const problems = await problemsOf({ path })
    assert.match(
      problems[0] ?? '',
      /main\.yml:2:34: include_config_file: cannot read ".*gone\.yml": there is no such file/,
    )
    assert.match(
      problems[1] ?? '',
      /other\.yml:1:22: include_config_file: ".*main\.yml" includes itself/,
    )
  })

  test('have only these two filters', async () => {
    const path = files({
      'main.yml': 'hosts: [localhost]\ninclude_config_file: {a.yml: {allow: [loglevel]}}\n',
      'a.yml': 'loglevel: debug\n',
    })
    assert.match(
      (await problemsOf({ path }))[0] ?? '',
      /expected allow_only or disallow, got "allow"/,
    )
  })
})

describe('hosts', () => {
  test('are prepared, and each is unique', async () => {
    assert.deepEqual((await loaded('hosts: [LocalHost, xn--bcher-kva.example]\n')).hosts, [
      'localhost',
      'bücher.example',
    ])
    const problems = await problemsOf('hosts: [localhost, LOCALHOST]\n')
    assert.deepEqual(problems, ['linnet.yml:1:20: hosts[1]: "LOCALHOST" is listed twice'])
  })

  const two = 'hosts: [a.example, b.example]\n'

  // shows: option host_config
  test('have options of their own, before those at the top, before the defaults', async () => {
    const config = await loaded(`${two}
language: nl
cache_size: 5
host_config:
  a.example: {language: fr, use_cache: false}
`)
    assert.equal(config.forHost('a.example').language, 'fr')
    assert.equal(config.forHost('b.example').language, 'nl')
    assert.equal(config.global.language, 'nl')
    assert.equal(config.forHost('a.example').auth_use_cache, false)
    assert.equal(config.forHost('b.example').auth_use_cache, true)
    assert.equal(config.global.auth_cache_size, 5)
    assert.throws(() => config.forHost('c.example'), /not served/)
  })

  test('can only have options that may differ', async () => {
    const text = `${two}host_config:
  a.example: {loglevel: debug, hosts: [c.example], langage: en}
  c.example: {language: en}
  A.example: {language: en}
`
    assert.deepEqual(await problemsOf(text), [
      'linnet.yml:3:15: host_config["a.example"]: the option "loglevel" can only be set for the whole server, not for a host',
      'linnet.yml:3:32: host_config["a.example"]: the option "hosts" can only be set for the whole server, not for a host',
      'linnet.yml:3:52: host_config["a.example"]: unknown option "langage", did you mean "language"?',
      'linnet.yml:4:3: host_config: "c.example" is not one of the hosts served, did you mean "a.example"?',
      'linnet.yml:5:3: host_config: "A.example" is set twice',
    ])
  })

  // shows: option append_host_config
  test('append to lists and maps: after the value of the host, or else after the one at the top', async () => {
    const config = await loaded(`${two}
auth_method: sql
disable_sasl_mechanisms: [PLAIN]
acl: {x: {user: one}, y: {user: one}}
host_config:
  a.example: {auth_method: [mnesia]}
append_host_config:
  a.example: {auth_method: jwt}
  b.example: {auth_method: [anonymous], disable_sasl_mechanisms: digest-md5, acl: {x: {user: two}, z: {user: two}}}
`)
    assert.deepEqual(config.forHost('a.example').auth_method, ['mnesia', 'jwt'])
    assert.deepEqual(config.forHost('b.example').auth_method, ['sql', 'anonymous'])
    assert.deepEqual(config.forHost('b.example').disable_sasl_mechanisms, ['PLAIN', 'DIGEST-MD5'])
    const { acl } = config.forHost('b.example')
    assert.deepEqual(
      [...acl].map(([name, items]) => [name, items.map(({ text }) => text)]),
      [
        ['y', ['user: "one"']],
        ['x', ['user: "two"']],
        ['z', ['user: "two"']],
      ],
    )
    assert.deepEqual([...config.forHost('a.example').acl.keys()], ['x', 'y'])
  })

  test('append nothing to a single value', async () => {
    const text = `${two}append_host_config:\n  a.example: {language: fr, acl: [x]}\n`
    const problems = await problemsOf(text)
    assert.equal(problems.length, 2)
    assert.match(
      problems[0] ?? '',
      /3:15: .*"language" is no list or map to which anything can be appended, set it in host_config for "a.example"/,
    )
    assert.match(problems[1] ?? '', /3:29: .*"acl" is no list or map/)
  })

  test('have modules of their own, which replace those at the top, or come in addition', async () => {
    const config = await loaded(`hosts: [a.example, b.example, c.example]
modules: {mod_ping: {}, mod_last: {}}
host_config: {a.example: {modules: {mod_time: {}}}}
append_host_config: {b.example: {modules: {mod_time: {}}}, a.example: {modules: {mod_disco: }}}
`)
    assert.deepEqual([...config.modules('a.example').keys()], ['mod_time', 'mod_disco'])
    assert.deepEqual([...config.modules('b.example').keys()], ['mod_ping', 'mod_last', 'mod_time'])
    assert.deepEqual([...config.modules('c.example').keys()], ['mod_ping', 'mod_last'])
  })

  test('must not have a module twice', async () => {
    const text = `${two}modules: {mod_ping: {}}\nappend_host_config: {a.example: {modules: {mod_ping: {}}}}\n`
    assert.match(
      (await problemsOf(text))[0] ?? '',
      /3:44: append_host_config\["a.example"\].modules: "mod_ping" is set twice, first at linnet.yml:2:11/,
    )
  })

  test('what is wrong for all of them is told once', async () => {
    const text = `${two}modules: {mod_ping: {send_pings: 3}, mod_rooms: {welcome: [1], names: "@HOST@"}}\n`
    assert.equal((await problemsOf(text)).length, 2)
  })
})

describe('keywords', () => {
  test('HOST is known to options of modules, their defaults included', async () => {
    const config = await loaded(`hosts: [a.example, bücher.example]
modules:
  mod_rooms: {welcome: "@HOST@ @HOST_URL_ENCODE@ @SEMVER@ @VERSION@", names: ["x@HOST@"]}
`)
    const rooms = (host: string) => config.modules(host).get('mod_rooms')?.options.as(roomOptions)
    assert.equal(rooms('a.example')?.welcome, 'a.example a.example 26.7.1 26.07')
    assert.equal(
      rooms('bücher.example')?.welcome,
      'bücher.example b%C3%BCcher.example 26.7.1 26.07',
    )
    assert.deepEqual(rooms('a.example')?.hosts, ['conference.a.example'])
    assert.deepEqual(rooms('bücher.example')?.hosts, ['conference.bücher.example'])
    assert.deepEqual(rooms('a.example')?.names, ['xa.example'])
  })

  test('HOST is not known at the top', async () => {
    assert.equal((await loaded(`${hosts}sql_database: "@HOST@"\n`)).global.sql_database, '@HOST@')
  })

  test('places are known everywhere', async () => {
    const config = await loaded(
      `${hosts}sql_database: "@HOME@ @CONFIG_PATH@ @DATABASE_PATH@ @LOG_PATH@"\n`,
      { variables: { HOME: '/home/a' }, directory: '/etc', databasePath: '/data', logPath: '/log' },
    )
    assert.equal(config.global.sql_database, '/home/a /etc /data /log')
  })

  // shows: option define_keyword
  test('that are defined apply to options; those of a host only to options of its modules', async () => {
    const config = await loaded(`hosts: [a.example, b.example]
define_keyword: {WHO: all of us, NUMBER: 7, NAMES: [x, y]}
sql_database: "@WHO@"
cache_size: NUMBER
modules: {mod_rooms: {welcome: "Hello @WHO@", names: NAMES}}
host_config:
  a.example:
    define_keyword: {WHO: "only me"}
    sql_database: "db of @WHO@"
`)
    assert.equal(config.global.sql_database, 'all of us')
    assert.equal(config.global.cache_size, 7)
    assert.equal(config.forHost('a.example').sql_database, 'db of all of us')
    const rooms = (host: string) => config.modules(host).get('mod_rooms')?.options.as(roomOptions)
    assert.equal(rooms('a.example')?.welcome, 'Hello only me')
    assert.equal(rooms('b.example')?.welcome, 'Hello all of us')
    assert.deepEqual(rooms('a.example')?.names, ['x', 'y'])
  })

  test('do not apply to hosts, loglevel and version', async () => {
    const text = `hosts: [localhost]\ndefine_keyword: {LEVEL: debug}\nversion: "@LEVEL@"\n`
    assert.equal((await loaded(text)).global.version, '@LEVEL@')
    assert.match(
      (await problemsOf(`${text}loglevel: LEVEL\n`))[0] ?? '',
      /expected none, emergency/,
    )
  })

  test('a macro of the same name wins', async () => {
    const text = `${hosts}define_macro: {A: macro}\ndefine_keyword: {A: keyword}\nsql_database: "@A@"\n`
    assert.equal((await loaded(text)).global.sql_database, 'macro')
  })
})

describe('modules', () => {
  test('get their options with their types', async () => {
    const config = await loaded(
      `${hosts}use_cache: false\nmodules: {mod_ping: {ping_interval: 2 min}}\n`,
    )
    const module = config.modules('localhost').get('mod_ping')
    const options = module?.options.as(pingOptions)
    assert.deepEqual(options, {
      send_pings: false,
      ping_interval: 120_000,
      timeout_action: 'none',
      use_cache: false,
    })
    assert.deepEqual([...(module?.options.written ?? [])], ['ping_interval'])
    assert.equal(module?.at.toString(), 'linnet.yml:3:11')
    assert.throws(() => module?.options.as(mqttOptions), TypeError)
  })

  test('may have no options at all', async () => {
    assert.equal((await loaded(`${hosts}modules:\n  mod_ping:\n`)).modules('localhost').size, 1)
  })

  test('that ejabberd has and Linnet lacks are left out with one warning each', async () => {
    const text = `hosts: [a, b]\nmodules:\n  mod_mam: {default: always}\n  mod_cron: {}\n  mod_ping: {}\n`
    assert.deepEqual(await problemsOf(text), [
      'linnet.yml:3:3: warning: modules: the module "mod_mam" is not supported yet and is left out',
      'linnet.yml:4:3: warning: modules: the module "mod_cron" is not supported yet and is left out',
    ])
    assert.deepEqual([...(await loaded(text)).modules('a').keys()], ['mod_ping'])
  })

  test('a service must not have the name of a host', async () => {
    const text =
      'hosts: [a.example, conference.a.example]\nmodules: {mod_rooms: {hosts: conference.a.example}}\n'
    assert.match(
      (await problemsOf(text))[0] ?? '',
      /2:30: modules\.mod_rooms\.hosts: "conference\.a\.example" is already one/,
    )
  })
})

describe('names that lead nowhere', () => {
  test('rules: a warning, because they deny or do not limit', async () => {
    const text = `hosts: [a.example, b.example]
access_rules: {known: [allow: all]}
shaper_rules: {slow: [gone: all]}
s2s_access: missing
host_config: {a.example: {access_rules: {own: [allow: all]}}}
modules: {mod_fail2ban: {access: own}, mod_rooms: {access: known}}
listen: [{port: 1, module: ejabberd_c2s, access: own, shaper: fast}]
`
    assert.deepEqual(await problemsOf(text), [
      'linnet.yml:3:23: warning: shaper_rules.slow: there is no shaper "gone", this entry is left out',
      'linnet.yml:4:13: warning: the option "s2s_access" is not supported yet and has no effect',
      'linnet.yml:4:13: warning: s2s_access: there is no access rule "missing", so it denies everybody',
      'linnet.yml:6:34: warning: modules.mod_fail2ban.access: there is no access rule "own", so it denies everybody',
      'linnet.yml:6:60: warning: modules.mod_rooms.access: there is no access rule "known", so it denies everybody',
      'linnet.yml:7:63: warning: listen[0].shaper: there is no shaper rule "fast", so nothing is limited',
    ])
  })

  test('groups of shared rosters: a warning, because they match nobody', async () => {
    const text = `${hosts}acl: {staff: {shared_group: staff}}\n`
    assert.match((await problemsOf(text))[0] ?? '', /2:15: warning: shared_group matches nobody/)
  })
})

test('options can be given as an object', async () => {
  const options = {
    hosts: ['localhost'],
    modules: { mod_ping: { send_pings: true, ping_interval: '5s' } },
  }
  const config = await loaded({ options })
  assert.equal(
    config.modules('localhost').get('mod_ping')?.options.as(pingOptions).ping_interval,
    5000,
  )
  assert.deepEqual(await problemsOf({ options: { hosts: ['localhost'], x: 1 } }), [
    '(options):1:1: unknown option "x"',
  ])
})

test('paths of files are taken from the current directory, and files have to be there unless told otherwise', async () => {
  const text = `${hosts}ca_file: none.pem\n`
  assert.match(
    (await problemsOf(text, { directory }))[0] ?? '',
    /2:10: ca_file: expected a PEM file, but cannot use "none.pem"/,
  )
  const config = await loaded(text, { directory, checkFiles: false })
  assert.equal(config.global.ca_file, join(directory, 'none.pem'))
})
