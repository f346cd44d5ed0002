import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { loadConfig } from '../../core/config/load.ts'
import type { LoadResult } from '../../core/config/load.ts'
import { createSchema } from '../../core/config/schema.ts'
import { formatProblem } from '../../core/options/problem.ts'
import { makeCertificate } from '../../core/net/test-support.ts'
import type { BridgeSettings } from '../../mqtt/bridge/settings.ts'
import { mqttBridge } from './mqtt-bridge.ts'

const folder = mkdtempSync(join(tmpdir(), 'linnet-bridge-options-'))
after(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'site.pem'), makeCertificate({ name: 'site' }).pem)

const schema = createSchema({ modules: [['mod_mqtt_bridge', mqttBridge.options]], listeners: [] })

function load(text: string): Promise<LoadResult> {
  const source = { text, file: 'linnet.yml' }
  return loadConfig(source, schema, { version: '0.0.0', variables: {}, directory: folder })
}

/** With these lines below `servers:`, which is line 4. */
async function servers(...lines: readonly string[]): Promise<readonly BridgeSettings[]> {
  const { config, problems } = await load(textOf(lines))
  if (config === undefined) assert.fail(problems.map(formatProblem).join('\n'))
  const values = config.modules('localhost').get('mod_mqtt_bridge') ?? assert.fail('no module')
  return values.options.as(mqttBridge.options).servers
}

async function problemsOf(...lines: readonly string[]): Promise<readonly string[]> {
  const { problems } = await load(textOf(lines))
  return problems.map(formatProblem)
}

function textOf(lines: readonly string[]): string {
  const head = ['hosts: [localhost]', 'modules:', '  mod_mqtt_bridge:', '    servers:']
  return [...head, ...lines.map((line) => `      ${line}`), ''].join('\n')
}

suite('mod_mqtt_bridge is configured', () => {
  // shows: option mod_mqtt_bridge.servers
  test("in ejabberd's words", async () => {
    const [server, ...others] = await servers(
      '"mqtts://server.com":',
      '  publish:',
      '    "localA": "remoteA" # a comment',
      '    "topicB": "topicB"',
      '  subscribe:',
      '    "remoteB": "localB"',
      '  authentication:',
      '    certfile: site.pem',
    )
    assert.deepEqual(others, [])
    assert.ok(server !== undefined)
    assert.equal(server.name, 'server.com:8883')
    assert.deepEqual(
      [server.endpoint.host, server.endpoint.port, server.endpoint.version],
      ['server.com', 8883, 4],
    )
    assert.equal(server.tls.certFile, join(folder, 'site.pem'))
    assert.equal(server.tls.verifies, true)
    assert.deepEqual(
      server.rules.map(({ direction, local, remote, isKept }) => [
        direction,
        local,
        remote,
        isKept,
      ]),
      [
        ['out', 'localA', 'remoteA', false],
        ['out', 'topicB', 'topicB', false],
        ['in', 'localB', 'remoteB', true],
      ],
    )
  })

  test('with rules as maps, or as mosquitto writes them', async () => {
    const [server] = await servers(
      '"mqtt5://192.0.2.1:1884":',
      '  name: hub',
      '  authentication: {username: site, password: 0123}',
      '  topics:',
      '    - home/sensors/# out 1',
      '    - "# both 1 here/ there/"',
      '    - {filter: "cmd/+", direction: in, qos: 0, local_prefix: "a/", remote_prefix: "b/"}',
      '    - filter: state',
    )
    assert.ok(server !== undefined)
    assert.equal(server.name, 'hub')
    assert.deepEqual([server.userName, server.password], ['site', '0123'])
    assert.deepEqual(
      server.rules.map(({ direction, qos, local, remote }) => [direction, qos, local, remote]),
      [
        ['out', 1, 'home/sensors/#', 'home/sensors/#'],
        ['both', 1, 'here/#', 'there/#'],
        ['in', 0, 'a/cmd/+', 'b/cmd/+'],
        ['out', 2, 'state', 'state'],
      ],
    )
  })

  test('with names that are fit for a topic', async () => {
    const found = await servers(
      '"wss5://hub.example/mqtt/a": {topics: [a]}',
      '"ws://[2001:db8::1]:8080/": {topics: [a]}',
    )
    assert.deepEqual(
      found.map(({ name }) => name),
      ['hub.example:443.mqtt.a', '[2001:db8::1]:8080'],
    )
  })
})

const refused: readonly [what: string, lines: readonly string[], problem: string][] = [
  [
    'a list of servers',
    ['- mqtt://a'],
    '5:7: modules.mod_mqtt_bridge.servers: expected a map of URLs, got a list',
  ],
  [
    'another scheme',
    ['"http://a": {topics: [a]}'],
    '5:7: modules.mod_mqtt_bridge.servers: cannot use "http://a": its scheme has to be one of mqtt, mqtts, mqtt5, mqtt5s, ws, wss, ws5, wss5',
  ],
  [
    'a password in the URL',
    ['"mqtt://me:pw@a": {topics: [a]}'],
    '5:7: modules.mod_mqtt_bridge.servers: cannot use "mqtt://me:pw@a": user name and password belong under "authentication"',
  ],
  [
    'a broker with nothing to do',
    ['"mqtt://a":', '  authentication: {username: x, password: y}'],
    '5:7: modules.mod_mqtt_bridge.servers["mqtt://a"]: nothing would be handed on: set "topics", "publish" or "subscribe"',
  ],
  [
    'wildcards in publish',
    ['"mqtt://a":', '  publish:', '    "a/#": b'],
    '7:11: modules.mod_mqtt_bridge.servers["mqtt://a"].publish: expected an MQTT topic without wildcards, got "a/#"',
  ],
  [
    'a rule that is none',
    ['"mqtt://a":', '  topics:', '    - a/#/b out'],
    '7:13: modules.mod_mqtt_bridge.servers["mqtt://a"].topics[0]: "a/#/b" is not a topic filter',
  ],
  [
    'a direction that is none',
    ['"mqtt://a":', '  topics: [{filter: a, direction: up}]'],
    '6:41: modules.mod_mqtt_bridge.servers["mqtt://a"].topics[0].direction: expected out, in or both, got "up"',
  ],
  [
    'an option with a slip',
    ['"mqtt://a":', '  topics: [a]', '  authentification: {}'],
    '7:9: modules.mod_mqtt_bridge.servers["mqtt://a"]: unknown option "authentification", did you mean "authentication"?',
  ],
  [
    'a certificate without TLS',
    ['"mqtt://a":', '  topics: [a]', '  authentication: {certfile: site.pem}'],
    '7:9: modules.mod_mqtt_bridge.servers["mqtt://a"].authentication: "certfile" needs TLS: the URL has to begin with mqtts, mqtt5s, wss or wss5',
  ],
  [
    'authorities without TLS',
    ['"ws://a":', '  topics: [a]', '  cafile: site.pem'],
    '7:9: modules.mod_mqtt_bridge.servers["ws://a"].cafile: "cafile" needs TLS: the URL has to begin with mqtts, mqtt5s, wss or wss5',
  ],
  [
    'a certificate that is not there',
    ['"mqtts://a":', '  topics: [a]', '  authentication: {certfile: none.pem}'],
    '7:36: modules.mod_mqtt_bridge.servers["mqtts://a"].authentication.certfile: expected a PEM file, but cannot use "none.pem": there is no such file',
  ],
  [
    'a password without a name',
    ['"mqtt://a":', '  topics: [a]', '  authentication: {password: p}'],
    '7:9: modules.mod_mqtt_bridge.servers["mqtt://a"].authentication: "password" needs "username"',
  ],
  [
    'two bridges of one name',
    ['"mqtt://a": {topics: [a]}', '"mqtt5://a": {topics: [a]}'],
    '6:7: modules.mod_mqtt_bridge.servers["mqtt5://a"]: "mqtt://a" has the name "a:1883" already, give one another',
  ],
  [
    'a name that is no level of a topic',
    ['"mqtt://a":', '  name: a/b', '  topics: [a]'],
    '6:15: modules.mod_mqtt_bridge.servers["mqtt://a"].name: expected a name without spaces, "/", "+", "#" and "$", of 64 characters at most, got "a/b"',
  ],
  [
    'a keep alive of a day',
    ['"mqtt://a":', '  topics: [a]', '  keep_alive: 1 day'],
    '7:9: modules.mod_mqtt_bridge.servers["mqtt://a"].keep_alive: it can be 65535 seconds at most',
  ],
]

suite('mod_mqtt_bridge refuses', () => {
  for (const [what, lines, problem] of refused) {
    test(what, async () => {
      assert.deepEqual(await problemsOf(...lines), [`linnet.yml:${problem}`])
    })
  }

  test('a replication_user who is none', async () => {
    const { problems } = await load(
      'hosts: [localhost]\nmodules:\n  mod_mqtt_bridge:\n    replication_user: "@"\n',
    )
    assert.deepEqual(problems.map(formatProblem), [
      'linnet.yml:4:23: modules.mod_mqtt_bridge.replication_user: expected a JID, got "@"',
    ])
  })
})

test('passwords are not shown', async () => {
  const { config } = await load(
    textOf(['"mqtt://a": {topics: [a], authentication: {username: u, password: geheim}}']),
  )
  assert.ok(config !== undefined)
  assert.ok(!config.effective().includes('geheim'))
})
