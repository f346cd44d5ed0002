import assert from 'node:assert/strict'
import { accessSync, constants } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, test } from 'node:test'
import { load, roomOptions } from '../../../test/fixtures/config-schema.ts'
import { jid } from '../../xmpp/jid/jid.ts'
import { Access, subjectOf } from '../access.ts'
import type { Problem } from '../options/problem.ts'

const fixture = fileURLToPath(
  new URL('../../../test/fixtures/config/everything.yml', import.meta.url),
)
const shipped = fileURLToPath(new URL('../../../config/default.yml', import.meta.url))

const withSeverity = (
  problems: readonly Problem[],
  severity: Problem['severity'],
): readonly string[] =>
  problems.filter((problem) => problem.severity === severity).map(({ message }) => message)

describe('a configuration with all that the format can do', () => {
  test('loads, with one warning for each thing that is missing here', async () => {
    const { config, problems } = await load({ path: fixture })
    assert.deepEqual(withSeverity(problems, 'error'), [])
    const warnings = withSeverity(problems, 'warning')
    const missing = warnings.flatMap(
      (warning) => /"([^"]+)" is not supported yet/.exec(warning)?.[1] ?? [],
    )
    assert.deepEqual(missing.toSorted(), [
      'ejabberd_captcha',
      'ejabberd_http_ws',
      'ejabberd_s2s_in',
      'ejabberd_stun',
      'ejabberd_web_admin',
      'mod_announce',
      'mod_bosh',
      'mod_http_api',
      'mod_mam',
      'mod_pubsub',
      'registration_timeout',
      's2s_use_starttls',
    ])
    assert.equal(warnings.length, missing.length + 2, 'besides two old names')
    assert.equal(config?.sources.length, 2)
  })

  test('means what it says', async () => {
    const { config } = await load({ path: fixture })
    assert.ok(config)
    assert.deepEqual(config.hosts, ['lighthouse.example', 'harbour.example'])
    assert.equal(config.global.c2s_ciphers, 'HIGH:!aNULL:!eNULL:!3DES:@STRENGTH')
    assert.deepEqual(config.forHost('harbour.example').auth_method, ['sql', 'jwt'])
    assert.deepEqual(
      [...config.forHost('harbour.example').acl.keys()],
      ['blocked', 'keeper', 'local', 'near', 'pilots'],
    )
    assert.ok(config.modules('harbour.example').has('mod_time'))
    assert.equal(
      config.modules('harbour.example').get('mod_rooms')?.options.as(roomOptions).welcome,
      'the lighthouse of harbour.example',
    )
    const access = new Access(config)
    const c2s = { kind: 'named', name: 'c2s' } as const
    assert.equal(access.check(c2s, subjectOf(jid('pirate7@harbour.example'))), 'deny')
    assert.equal(access.check(c2s, subjectOf(jid('pilot@harbour.example'))), 'allow')
  })
})

describe('our own default configuration', () => {
  test('loads without a word', async () => {
    const { config, problems } = await load({ path: shipped })
    assert.deepEqual(problems, [])
    const endpoints = config?.listeners.map(({ common, options, module }) =>
      [common.port, common.ip, module, options.values['tls']].join(' '),
    )
    assert.deepEqual(endpoints, [
      '5222 :: ejabberd_c2s false',
      '5223 :: ejabberd_c2s true',
      '1883 :: mod_mqtt false',
      '8883 :: mod_mqtt true',
      '5280 :: ejabberd_http false',
      '5443 :: ejabberd_http true',
    ])
  })
})

describe('the files of an installed ejabberd', () => {
  // Debian's package brings them; where it is absent there is nothing to load.
  for (const path of ['/etc/ejabberd/ejabberd.yml', '/usr/share/ejabberd/ejabberd.yml.example']) {
    test(
      `${path} loads without errors`,
      { skip: !isReadable(path) && 'not installed here' },
      async () => {
        // Its certificates may belong to another user.
        const { config, problems } = await load({ path }, { checkFiles: false })
        assert.deepEqual(withSeverity(problems, 'error'), [])
        assert.ok(config)
        const others = withSeverity(problems, 'warning').filter(
          (warning) => !/not supported yet/.test(warning),
        )
        assert.deepEqual(others, [])
      },
    )
  }
})

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}
