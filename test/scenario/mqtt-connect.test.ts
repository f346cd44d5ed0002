import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { suite, test } from 'node:test'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { encodePacket } from '../../src/mqtt/packet/encode.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import { connectPacket, MqttClient } from '../support/mqtt-client.ts'
import type { ConnectOptions } from '../support/mqtt-client.ts'

/** Connects and expects to be turned away with this reason. */
async function refused(server: MqttServer, options: ConnectOptions): Promise<number> {
  await using client = await server.connect()
  client.sendConnect(options)
  const connack = await client.receive('connack')
  await client.closed()
  return connack.reasonCode
}

function clientsOf(server: MqttServer): string[] {
  return [...server.registry.all()].map((session) => session.jid).sort()
}

for (const version of [3, 4, 5] as const) {
  test(`lets a client of protocol level ${version} in and answers its pings`, async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    const connack = await client.login({ version, clientId: 'lamp' })
    assert.equal(connack.sessionPresent, false)
    await client.hearsNothing()
    assert.deepEqual(clientsOf(server), ['juliet@localhost/lamp'])
    await client.disconnect()
    assert.deepEqual(clientsOf(server), [])
  })
}

test('tells an MQTT 5 client the limits that it has to keep (MQTT5 3.2.2.3)', async () => {
  await using server = await MqttServer.start({
    module: { max_topic_aliases: 7, receive_maximum: 20, session_expiry: '1 minute' },
    listener: { max_payload_size: 10_000 },
  })
  await using client = await server.connect()
  const { properties } = await client.login({
    keepAlive: 30,
    properties: { sessionExpiryInterval: 3600 },
  })
  assert.deepEqual(
    { ...properties },
    {
      sessionExpiryInterval: 60,
      receiveMaximum: 20,
      topicAliasMaximum: 7,
      maximumPacketSize: 10_002,
      serverKeepAlive: 30,
    },
  )
})

suite('who a client is', () => {
  test('takes a user name with a host as the account', async () => {
    await using server = await MqttServer.start({ hosts: ['localhost', 'example.org'] })
    await using client = await server.login({ userName: 'Juliet@Example.org', clientId: 'a' })
    assert.deepEqual(clientsOf(server), ['juliet@example.org/a'])
    await client.hearsNothing()
  })

  test('takes a bare user name as one of the first host', async () => {
    await using server = await MqttServer.start({ hosts: ['example.org', 'localhost'] })
    await using client = await server.login({ userName: 'juliet', clientId: 'a' })
    assert.deepEqual(clientsOf(server), ['juliet@example.org/a'])
    await client.hearsNothing()
  })

  test('takes the client identifier as the user when there is no user name', async () => {
    await using server = await MqttServer.start()
    server.accounts.add('lamp@localhost', 'light')
    const options = { userName: undefined, password: 'light', clientId: 'lamp' }
    await using client = await server.login(options)
    assert.deepEqual(clientsOf(server), ['lamp@localhost/lamp'])
    await client.hearsNothing()
  })

  test('hashes a client identifier that cannot be a user', async () => {
    await using server = await MqttServer.start()
    const user = createHash('sha1').update('a lamp').digest('hex')
    server.accounts.add(`${user}@localhost`, 'light')
    const options = { userName: undefined, password: 'light', clientId: 'a lamp' }
    await using client = await server.login(options)
    assert.deepEqual(clientsOf(server), [`${user}@localhost/a lamp`])
    await client.hearsNothing()
  })

  test('gives a client without an identifier one, and tells it (MQTT5 3.1.3-6, 3.2.2-16)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    const { properties } = await client.login({ clientId: '' })
    const assigned = properties.assignedClientIdentifier ?? ''
    assert.notEqual(assigned, '')
    assert.deepEqual(clientsOf(server), [`juliet@localhost/${assigned}`])
    await using other = await server.login({ version: 4, clientId: '' })
    await other.hearsNothing()
    assert.equal(clientsOf(server).length, 2)
  })

  test('refuses an MQTT 3 session that is to last without an identifier (MQTT3 3.1.3-8)', async () => {
    await using server = await MqttServer.start()
    const reason = ReasonCode.clientIdentifierNotValid
    assert.equal(await refused(server, { version: 4, clientId: '', cleanStart: false }), reason)
    assert.equal(await refused(server, { version: 3, clientId: '' }), reason)
  })

  test('refuses a client identifier that cannot be a resource', async () => {
    await using server = await MqttServer.start()
    const reason = ReasonCode.clientIdentifierNotValid
    assert.equal(await refused(server, { clientId: 'x'.repeat(1024) }), reason)
    assert.equal(await refused(server, { clientId: 'a\u0007b' }), reason)
  })

  test('refuses what is no JID, and hosts that are not served', async () => {
    await using server = await MqttServer.start({
      hosts: ['localhost', 'example.org'],
      without: ['example.org'],
    })
    const badName = ReasonCode.badUserNameOrPassword
    assert.equal(await refused(server, { userName: '@localhost' }), badName)
    assert.equal(await refused(server, { userName: 'juliet@localhost/x' }), badName)
    assert.equal(await refused(server, { userName: 'a b' }), badName)
    const unavailable = ReasonCode.serverUnavailable
    assert.equal(await refused(server, { userName: 'juliet@elsewhere.example' }), unavailable)
    assert.equal(await refused(server, { userName: 'juliet@example.org' }), unavailable)
  })
})

suite('the password', () => {
  test('has to be right', async () => {
    await using server = await MqttServer.start()
    const reason = ReasonCode.badUserNameOrPassword
    assert.equal(await refused(server, { password: 'wrong' }), reason)
    assert.equal(await refused(server, { version: 4, password: 'wrong' }), reason)
    assert.equal(await refused(server, { password: undefined }), reason)
    assert.equal(await refused(server, { userName: 'nobody' }), reason)
    assert.deepEqual(clientsOf(server), [])
    assert.equal(server.metric('linnet_mqtt_connects_refused_total'), 4)
  })

  test('may stand alone in MQTT 5 (MQTT5 3.1.2.9)', async () => {
    await using server = await MqttServer.start()
    server.accounts.add('lamp@localhost', 'light')
    await using client = await server.login({
      userName: undefined,
      password: 'light',
      clientId: 'lamp',
    })
    await client.hearsNothing()
  })

  test('cannot be replaced by a method that nobody offers (MQTT5 4.12.0-1)', async () => {
    await using server = await MqttServer.start()
    const properties = { authenticationMethod: 'X-NONE' }
    assert.equal(await refused(server, { properties }), ReasonCode.badAuthenticationMethod)
  })
})

suite('client certificates', async () => {
  const authority = makeCertificate({ name: 'Authority', isAuthority: true })
  const server = makeCertificate({ name: 'localhost', dns: ['localhost'] })
  const context = createSecureContext({
    cert: server.certificate,
    key: server.key,
    ca: authority.certificate,
  })
  const tls = { contexts: { contextFor: () => context }, requestCertificate: true }
  const options = { tls, listener: { tls: true, tls_verify: true } }
  const withoutPassword = { password: undefined, clientId: 'lamp' }

  async function connect(
    broker: MqttServer,
    name: string,
    issuer = authority,
  ): Promise<MqttClient> {
    const { certificate: cert, key } = makeCertificate({ name, issuer })
    return MqttClient.connect(broker.port, { cert, key, rejectUnauthorized: false })
  }

  // shows: listener mod_mqtt.tls_verify
  test('let their owner in without a password', async () => {
    await using broker = await MqttServer.start(options)
    await using client = await connect(broker, 'juliet@localhost')
    await client.login(withoutPassword)
    await using short = await connect(broker, 'juliet')
    await short.login({ ...withoutPassword, clientId: 'other' })
    assert.equal([...broker.registry.all()][0]?.connection, 'mqtt_tls')
  })

  test('let nobody else in', async () => {
    await using broker = await MqttServer.start(options)
    const stranger = makeCertificate({ name: 'Stranger', isAuthority: true })
    for (const [name, issuer] of [
      ['romeo@localhost', authority],
      ['juliet@localhost', stranger],
    ] as const) {
      await using client = await connect(broker, name, issuer)
      client.sendConnect(withoutPassword)
      const { reasonCode } = await client.receive('connack')
      assert.equal(reasonCode, ReasonCode.notAuthorized)
      await client.closed()
    }
  })

  test('do not stand in for a password that is wrong', async () => {
    await using broker = await MqttServer.start(options)
    await using client = await connect(broker, 'juliet@localhost')
    client.sendConnect({ password: 'wrong' })
    assert.equal((await client.receive('connack')).reasonCode, ReasonCode.badUserNameOrPassword)
  })
})

suite('packets at the beginning', () => {
  test('closes without a word what does not begin with CONNECT (MQTT5 3.1.0-1)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    client.sendBytes(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    await client.closed()
  })

  test('tells a client of an unknown version in the words of MQTT 3.1.1 (MQTT5 3.1.2-2)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    const bytes = Buffer.from(encodePacket(connectPacket({ version: 4 }), 4))
    bytes[8] = 6
    client.speak(4)
    client.sendBytes(bytes)
    const { reasonCode } = await client.receive('connack')
    assert.equal(reasonCode, ReasonCode.unsupportedProtocolVersion)
    await client.closed()
  })

  test('refuses a second CONNECT (MQTT5 3.1.0-2)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    client.send(connectPacket())
    const { reasonCode } = await client.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.protocolError)
    await client.closed()
  })

  test('handles what comes right behind CONNECT when the client is let in', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    client.sendAll([
      connectPacket(),
      {
        kind: 'subscribe',
        packetId: 1,
        subscriptions: [
          { filter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
        ],
        properties: {},
      },
      { kind: 'pingreq' },
    ])
    await client.receive('connack')
    await client.receive('suback')
    await client.receive('pingresp')
  })

  test('closes a connection whose CONNECT does not come in 30 seconds', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    // The server has accepted the connection when it has read from it.
    client.sendBytes(Buffer.from([0x10]))
    await using other = await server.login()
    await other.hearsNothing()
    server.clock.advance(29_000)
    await other.hearsNothing()
    assert.equal(client.isClosed, false)
    server.clock.advance(3000)
    await client.closed()
  })

  // shows: listener mod_mqtt.max_payload_size
  test('refuses packets larger than the listener allows (MQTT5 3.2.2-15)', async () => {
    await using server = await MqttServer.start({ listener: { max_payload_size: 1000 } })
    await using client = await server.login()
    client.sendPublish('a', Buffer.alloc(990))
    await client.hearsNothing()
    client.sendPublish('a', Buffer.alloc(1200))
    const { reasonCode } = await client.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.packetTooLarge)
    await client.closed()
  })
})

suite('keep alive', () => {
  test('ends a connection that is silent for one and a half times as long (MQTT5 3.1.2-22)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login({ keepAlive: 10 })
    server.clock.advance(14_000)
    await client.hearsNothing()
    server.clock.advance(14_000)
    await client.hearsNothing()
    server.clock.advance(18_000)
    const { reasonCode } = await client.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.keepAliveTimeout)
    await client.closed()
  })

  test('of 0 lets a client be silent for ever', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login({ keepAlive: 0 })
    server.clock.advance(100_000_000)
    await client.hearsNothing()
  })

  // shows: option mod_mqtt.max_keep_alive
  test('of an MQTT 5 client is bounded by the server (MQTT5 3.2.2-21)', async () => {
    await using server = await MqttServer.start({ module: { max_keep_alive: '1 minute' } })
    await using client = await server.connect()
    const { properties } = await client.login({ keepAlive: 0 })
    assert.equal(properties.serverKeepAlive, 60)
    server.clock.advance(95_000)
    await client.receive('disconnect')
    await client.closed()
  })
})

suite('from outside', () => {
  test('a kicked client is told so, and its session stays', async () => {
    await using server = await MqttServer.start()
    const options = { clientId: 'lamp', properties: { sessionExpiryInterval: 100 } }
    await using client = await server.login(options)
    const [session] = server.registry.forAccount(bareJid(jid('juliet@localhost')))
    session?.kick('Enough', 'kicked')
    const { reasonCode, properties } = await client.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.administrativeAction)
    assert.equal(properties.reasonString, 'Enough')
    await client.closed()
    await using again = await server.connect()
    const { sessionPresent } = await again.login({ ...options, cleanStart: false })
    assert.equal(sessionPresent, true)
  })

  test('a removed account loses its connections and its sessions', async () => {
    await using server = await MqttServer.start()
    const options = { cleanStart: false, properties: { sessionExpiryInterval: 100 } }
    await using client = await server.login({ ...options, clientId: 'here' })
    await using away = await server.login({ ...options, clientId: 'away' })
    await away.disconnect()
    await server.removeAccount('juliet@localhost')
    await client.receive('disconnect')
    await client.closed()
    assert.deepEqual([...server.broker().listSessions()], [])
    server.accounts.add('juliet@localhost')
    await using again = await server.connect()
    assert.equal((await again.login({ ...options, clientId: 'away' })).sessionPresent, false)
  })

  test('a stopping server says goodbye (MQTT5 4.13)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await using old = await server.login({ version: 4, clientId: 'old' })
    const stopped = server.stop()
    assert.equal((await client.receive('disconnect')).reasonCode, ReasonCode.serverShuttingDown)
    await client.closed()
    await old.closed()
    await stopped
  })
})
