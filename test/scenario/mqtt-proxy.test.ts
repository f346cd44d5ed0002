import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { sessionRegistry } from '../../src/core/sessions.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { connectByWebSocket } from '../support/mqtt-websocket.ts'
import { TestServer } from '../support/server.ts'

const version1 = Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 56324 1883\r\n')
const version2 = Buffer.from(
  '0d0a0d0a000d0a515549540a2121002420010db8000000000000000000000001' +
    '20010db8000000000000000000000002dc04075b',
  'hex',
)

async function start(): Promise<TestServer> {
  const common = { port: 0, ip: '127.0.0.1', use_proxy_protocol: true }
  const server = await TestServer.start({
    config: {
      listen: [
        { ...common, module: 'mod_mqtt' },
        { ...common, module: 'ejabberd_http', request_handlers: { '/mqtt': 'mod_mqtt' } },
      ],
      acl: { far: { ip: '192.0.2.0/24' } },
      access_rules: { far: { allow: 'far' } },
      modules: { mod_mqtt: { access_publish: { 'far/#': 'far', 'all/#': 'all' } } },
    },
  })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  return server
}

async function overTcp(server: TestServer, head: Uint8Array): Promise<MqttClient> {
  const socket = connect({ port: server.port('mod_mqtt'), host: '127.0.0.1' })
  await once(socket, 'connect')
  socket.write(head)
  return new MqttClient(socket)
}

async function overWebSocket(server: TestServer, head: Uint8Array): Promise<MqttClient> {
  return (await connectByWebSocket(server.port('ejabberd_http'), { head })).client
}

for (const [name, open] of [
  ['TCP', overTcp],
  ['WebSocket', overWebSocket],
] as const) {
  // shows: listener *.use_proxy_protocol
  test(`over ${name} a proxy tells the address of the client, and rules go by it`, async () => {
    await using server = await start()
    const { services } = server.server
    for (const [head, ip, mayPublish] of [
      [version1, '192.0.2.1', true],
      [version2, '2001:db8::1', false],
    ] as const) {
      await using client = await open(server, head)
      await client.login()
      const [session] = services.get(sessionRegistry).all()
      assert.equal(session?.ip, ip)
      assert.equal(session?.port, 56_324)
      const reason = await client.publish('far/a', 'x', { qos: 1 })
      assert.equal(reason, mayPublish ? ReasonCode.noMatchingSubscribers : ReasonCode.notAuthorized)
      await client.disconnect()
    }
    // A ban of the proxy's own address is not one of its clients.
    await server.ok('mqtt_ban', 'localhost', 'address', '127.0.0.1', '0', '')
    await server.ok('mqtt_ban', 'localhost', 'address', '192.0.2.0/24', '0', '')
    await using banned = await open(server, version1)
    banned.sendConnect()
    assert.equal((await banned.receive('connack')).reasonCode, ReasonCode.banned)
    await using other = await open(server, version2)
    await other.login()
    await other.hearsNothing()
  })
}

test('without the header of the proxy nobody gets in', async () => {
  await using server = await start()
  await using client = await overTcp(server, Buffer.alloc(0))
  client.sendConnect()
  await client.closed()
})

test('a WebSocket speaks "mqtt", or "mqttv3.1" for who knows no better (MQTT5 6.0.0-3, 6.0.0-4)', async () => {
  await using server = await TestServer.start({
    config: {
      listen: [
        {
          port: 0,
          ip: '127.0.0.1',
          module: 'ejabberd_http',
          request_handlers: { '/mqtt': 'mod_mqtt' },
        },
      ],
      modules: { mod_mqtt: {} },
    },
  })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  const port = server.port('ejabberd_http')
  for (const [subprotocols, chosen, version] of [
    [['mqtt'], 'mqtt', 5],
    [['mqtt'], 'mqtt', 4],
    [['mqttv3.1'], 'mqttv3.1', 3],
    [['xmpp', 'mqttv3.1', 'mqtt'], 'mqttv3.1', 3],
    [[], '', 4],
  ] as const) {
    const opened = await connectByWebSocket(port, { subprotocols })
    await using client = opened.client
    assert.equal(opened.subprotocol, chosen)
    await client.login({ version })
    await client.hearsNothing()
  }
  await assert.rejects(connectByWebSocket(port, { subprotocols: ['xmpp'] }), /400/)
})
