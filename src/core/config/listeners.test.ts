import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loaded, problemsOf } from '../../../test/fixtures/config-schema.ts'

const hosts = 'hosts: [localhost]\n'

describe('listeners', () => {
  test('have what all of them have, with defaults', async () => {
    const config = await loaded(`${hosts}listen: [{port: 5222, module: ejabberd_c2s}]\n`)
    const [listener] = config.listeners
    assert.deepEqual(listener?.common, {
      port: 5222,
      module: 'ejabberd_c2s',
      ip: '0.0.0.0',
      transport: 'tcp',
      accept_interval: 0,
      backlog: 128,
      send_timeout: 15_000,
      unix_socket: { mode: undefined, owner: undefined, group: undefined },
      use_proxy_protocol: false,
      supervisor: true,
    })
    assert.equal(listener?.id, 'tcp 0.0.0.0:5222')
    assert.equal(listener?.at.toString(), 'linnet.yml:2:10')
    assert.equal(listener?.options.values['starttls'], false)
    assert.equal('port' in (listener?.options.values ?? {}), false)
  })

  test('may listen on a socket in the file system', async () => {
    const config = await loaded(
      `${hosts}listen: [{port: "unix:linnet.sock", unix_socket: {mode: "0660", group: 5}, module: mod_mqtt}]\n`,
    )
    assert.equal(config.listeners[0]?.common.port, 'unix:linnet.sock')
    assert.deepEqual(config.listeners[0]?.common.unix_socket, {
      mode: 0o660,
      owner: undefined,
      group: 5,
    })
  })

  test('know macros and keywords', async () => {
    const text = `${hosts}define_keyword: {PORT: 1884}\nlisten: [{port: PORT, module: mod_mqtt}]\n`
    assert.equal((await loaded(text)).listeners[0]?.common.port, 1884)
  })

  test('that ask for any port may be many', async () => {
    const text = `${hosts}listen: [{port: 0, module: mod_mqtt}, {port: 0, module: mod_mqtt}]\n`
    const ids = (await loaded(text)).listeners.map(({ id }) => id)
    assert.equal(new Set(ids).size, 2)
  })

  test('on one port need different addresses or transports', async () => {
    const text = `${hosts}listen:
  - {port: 1883, ip: 127.0.0.1, module: mod_mqtt}
  - {port: 1883, ip: 127.0.0.2, module: mod_mqtt}
  - {port: 1883, ip: 127.0.0.1, transport: udp, module: mod_mqtt}
  - {port: 1883, ip: "::", module: mod_mqtt}
`
    assert.equal((await loaded(text)).listeners.length, 4)
  })
})

describe('what is wrong with listeners', () => {
  const rows: readonly (readonly [listen: string, problem: string])[] = [
    ['[{port: 1}]', '2:10: listen[0]: the option "module" is required'],
    ['[{module: mod_mqtt}]', '2:10: listen[0]: the option "port" is required'],
    [
      '[{port: 1, module: mod_mqt}]',
      '2:28: listen[0]: unknown listener "mod_mqt", did you mean "mod_mqtt"?',
    ],
    [
      '[{port: 1, module: mod_mqtt, backlo: 1}]',
      '2:38: listen[0]: unknown option "backlo", did you mean "backlog"?',
    ],
    [
      '[{port: 65536, module: mod_mqtt}]',
      '2:17: listen[0].port: expected an integer from 0 to 65535 or "unix:" and a path, got 65536',
    ],
    [
      '[{port: 1, ip: localhost, module: mod_mqtt}]',
      '2:24: listen[0].ip: expected an IP address, got "localhost"',
    ],
    [
      '[{port: 1, transport: udp, backlog: 5, module: mod_mqtt}]',
      '2:36: listen[0]: the option "backlog" cannot be used with "transport: udp"',
    ],
    [
      '[{port: 1, module: mod_mqtt}, {port: 1, module: ejabberd_c2s}]',
      '2:39: listen[1]: it is the same port and address as the listener at linnet.yml:2:10',
    ],
    [
      '[{port: 1, ip: "0:0::1", module: mod_mqtt}, {port: 1, ip: "::1", module: mod_mqtt}]',
      '2:53: listen[1]: it is the same port and address as the listener at linnet.yml:2:10',
    ],
    [
      '[{port: 1, module: mod_mqtt}, {port: 1, ip: 127.0.0.1, module: mod_mqtt}]',
      '2:39: listen[1]: its address overlaps with the listener at linnet.yml:2:10: one of them listens on every address',
    ],
    [
      '[{port: 1, ip: "::1", module: mod_mqtt}, {port: 1, ip: "::", module: mod_mqtt}]',
      '2:50: listen[1]: its address overlaps with the listener at linnet.yml:2:10: one of them listens on every address',
    ],
    ['[5222]', '2:10: listen[0]: expected a map with port and module, got 5222'],
    ['{port: 1}', '2:9: listen: expected a list of listeners, got a map'],
    [
      '[{port: 1, module: ejabberd_http, request_handlers: {/a: mod_mqt}}]',
      '2:66: listen[0].request_handlers: unknown request handler "mod_mqt", did you mean "mod_mqtt"?',
    ],
  ]
  for (const [listen, problem] of rows) {
    test(listen, async () =>
      assert.deepEqual(await problemsOf(`${hosts}listen: ${listen}\n`), [`linnet.yml:${problem}`]),
    )
  }
})

test('listeners and request handlers that ejabberd has and Linnet lacks are left out with one warning each', async () => {
  const text = `${hosts}listen:
  - {port: 5269, module: ejabberd_s2s_in, max_stanza_size: 5}
  - port: 5280
    module: ejabberd_http
    request_handlers:
      /bosh: mod_bosh
      /mqtt: mod_mqtt
`
  assert.deepEqual(await problemsOf(text), [
    'linnet.yml:3:26: warning: listen[0]: the listener "ejabberd_s2s_in" is not supported yet, nothing listens on port 5269',
    'linnet.yml:7:14: warning: listen[1].request_handlers: the request handler "mod_bosh" is not supported yet, "/bosh" is not answered',
  ])
  const config = await loaded(text)
  assert.equal(config.listeners.length, 1)
  assert.deepEqual(
    config.listeners[0]?.options.values['request_handlers'],
    new Map([['/mqtt', 'mod_mqtt']]),
  )
})
