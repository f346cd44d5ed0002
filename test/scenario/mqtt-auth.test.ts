import assert from 'node:assert/strict'
import { createSecureContext } from 'node:tls'
import { suite, test } from 'node:test'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import type { Auth, Connack } from '../../src/mqtt/packet/packet.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import { connectPacket, MqttClient } from '../support/mqtt-client.ts'
import type { ConnectOptions } from '../support/mqtt-client.ts'
import { ScramClient } from '../support/scram-client.ts'
import type { ScramClientOptions } from '../support/scram-client.ts'
import { TestServer } from '../support/server.ts'

interface Exchange extends Partial<ScramClientOptions> {
  readonly method?: string
  readonly connect?: ConnectOptions
}

const juliet = { userName: 'juliet', password: 'secret' } as const

function scram(exchange: Exchange = {}): ScramClient {
  return new ScramClient({ hash: 'sha256', ...juliet, ...exchange })
}

/** Without password; with the user name only where a test gives one. */
function connectOptions(exchange: Exchange, data?: Uint8Array): ConnectOptions {
  const { method = 'SCRAM-SHA-256', connect } = exchange
  return {
    userName: undefined,
    password: undefined,
    clientId: 'lamp',
    ...connect,
    properties: {
      ...connect?.properties,
      authenticationMethod: method,
      ...(data !== undefined && { authenticationData: data }),
    },
  }
}

function auth(reasonCode: Auth['reasonCode'], data?: Uint8Array, method = 'SCRAM-SHA-256'): Auth {
  return {
    kind: 'auth',
    reasonCode,
    properties: {
      authenticationMethod: method,
      ...(data !== undefined && { authenticationData: data }),
    },
  }
}

const goOn = ReasonCode.continueAuthentication
const again = ReasonCode.reAuthenticate

/** Sends CONNECT with the first message; the challenge that comes back. */
async function challenged(
  client: MqttClient,
  scramClient: ScramClient,
  exchange: Exchange = {},
): Promise<Buffer> {
  client.sendConnect(connectOptions(exchange, scramClient.first()))
  const challenge = await client.receive('auth')
  // MQTT5 4.12.0-2, 4.12.0-5.
  assert.equal(challenge.reasonCode, goOn)
  assert.equal(challenge.properties.authenticationMethod, exchange.method ?? 'SCRAM-SHA-256')
  return Buffer.from(challenge.properties.authenticationData ?? assert.fail('no data'))
}

/** The whole exchange at CONNECT; what CONNACK says. */
async function signIn(client: MqttClient, exchange: Exchange = {}): Promise<Connack> {
  const scramClient = scram(exchange)
  const serverFirst = await challenged(client, scramClient, exchange)
  client.send(auth(goOn, scramClient.final(serverFirst), exchange.method))
  const connack = await client.receive('connack')
  if (connack.reasonCode !== 0) return connack
  const { authenticationMethod, authenticationData } = connack.properties
  assert.equal(authenticationMethod, exchange.method ?? 'SCRAM-SHA-256')
  assert.ok(scramClient.accepts(authenticationData ?? assert.fail('The server proves nothing')))
  return connack
}

function accountsOf(server: MqttServer): string[] {
  return [...server.registry.all()].map(({ jid }) => jid)
}

suite('CONNECT with SCRAM (MQTT5 4.12)', () => {
  for (const [method, hash] of [
    ['SCRAM-SHA-256', 'sha256'],
    ['SCRAM-SHA-1', 'sha1'],
  ] as const) {
    // shows: MQTT5 4.12.0-2, 4.12.0-3, 4.12.0-5
    test(`lets in who proves the password by ${method} (MQTT5 4.12.0-2, 4.12.0-5)`, async () => {
      await using server = await MqttServer.start()
      await using client = await server.connect()
      assert.equal((await signIn(client, { method, hash })).reasonCode, 0)
      assert.deepEqual(accountsOf(server), ['juliet@localhost/lamp'])
      await client.hearsNothing()
    })
  }

  test('takes the account from the user name of CONNECT, or from that of SCRAM', async () => {
    await using server = await MqttServer.start({ hosts: ['localhost', 'example.org'] })
    for (const [connectName, scramName, account] of [
      ['juliet', 'juliet', 'juliet@localhost/lamp'],
      ['juliet@example.org', 'juliet@example.org', 'juliet@example.org/lamp'],
      ['juliet@localhost', 'Juliet', 'juliet@localhost/lamp'],
      [undefined, 'juliet@example.org', 'juliet@example.org/lamp'],
    ] as const) {
      await using client = await server.connect()
      const connect = { userName: connectName }
      const { reasonCode } = await signIn(client, { userName: scramName, connect })
      assert.equal(reasonCode, 0, `${connectName} ${scramName}`)
      assert.deepEqual(accountsOf(server), [account])
      await client.disconnect()
    }
  })

  // shows: MQTT5 4.12.0-2
  test('asks for the first message when CONNECT does not hold it', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    client.sendConnect(connectOptions({}))
    const question = await client.receive('auth')
    assert.equal(question.reasonCode, goOn)
    assert.equal(question.properties.authenticationData?.length, 0)
    const scramClient = scram()
    client.send(auth(goOn, scramClient.first()))
    const challenge = await client.receive('auth')
    const data = challenge.properties.authenticationData ?? assert.fail('no data')
    client.send(auth(goOn, scramClient.final(data)))
    assert.equal((await client.receive('connack')).reasonCode, 0)
  })

  test('keeps will, session and what else CONNECT asked for', async () => {
    await using server = await MqttServer.start()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('gone')
    await using client = await server.connect()
    const connect: ConnectOptions = {
      cleanStart: false,
      will: { topic: 'gone' },
      properties: { sessionExpiryInterval: 60 },
    }
    const { properties } = await signIn(client, { connect })
    assert.equal(properties.sessionExpiryInterval, 60)
    await client.subscribe('a')
    client.drop()
    assert.equal((await watcher.receiveMessage()).topic, 'gone')
    await using back = await server.connect()
    assert.equal((await signIn(back, { connect })).sessionPresent, true)
  })

  test('gives a client without an identifier one (MQTT5 3.2.2-16)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    const { properties } = await signIn(client, { connect: { clientId: '' } })
    const assigned = properties.assignedClientIdentifier ?? assert.fail('none was assigned')
    assert.deepEqual(accountsOf(server), [`juliet@localhost/${assigned}`])
  })

  for (const [name, exchange] of Object.entries<Exchange>({
    'a wrong password': { password: 'wrong' },
    'an unknown account': { userName: 'nobody' },
    'a user name that is not that of CONNECT': { connect: { userName: 'romeo' } },
    'the identity of somebody else': { authzid: 'romeo' },
  })) {
    // shows: MQTT5 4.12.0-4, 4.13.2-1
    test(`refuses ${name} (MQTT5 4.12.0-4)`, async () => {
      await using server = await MqttServer.start()
      await using client = await server.connect()
      const scramClient = scram(exchange)
      client.sendConnect(connectOptions(exchange, scramClient.first()))
      let packet = await client.next()
      if (packet?.kind === 'auth') {
        const data = packet.properties.authenticationData ?? assert.fail('no data')
        client.send(auth(goOn, scramClient.final(data)))
        packet = await client.next()
      }
      assert.ok(packet?.kind === 'connack')
      assert.equal(packet.reasonCode, ReasonCode.notAuthorized)
      assert.equal(packet.properties.authenticationMethod, undefined)
      await client.closed()
      assert.deepEqual(accountsOf(server), [])
      assert.equal(server.metric('linnet_mqtt_connects_refused_total'), 1)
    })
  }

  // shows: MQTT5 4.12.0-1
  test('refuses methods that are not offered (MQTT5 4.12.0-1)', async () => {
    await using server = await MqttServer.start({
      config: { disable_sasl_mechanisms: ['scram-sha-1'] },
    })
    for (const method of [
      'SCRAM-SHA-512',
      'SCRAM-SHA-1',
      'PLAIN',
      'X-OAUTH2',
      '',
      'scram-sha-256',
    ]) {
      await using client = await server.connect()
      client.sendConnect(connectOptions({ method }, scram().first()))
      const { reasonCode } = await client.receive('connack')
      assert.equal(reasonCode, ReasonCode.badAuthenticationMethod, method)
      await client.closed()
    }
  })

  test('is open to all of the house: SCRAM-SHA-512, bans, failures that count', async () => {
    await using server = await TestServer.start({
      config: {
        listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }],
        modules: { mod_mqtt: {}, mod_fail2ban: { c2s_max_auth_failures: 2 } },
      },
    })
    await server.ok('register', 'juliet', 'localhost', 'secret')
    const port = server.port('mod_mqtt')
    const exchange = { method: 'SCRAM-SHA-512', hash: 'sha512' } as const
    {
      await using client = await MqttClient.connect(port)
      assert.equal((await signIn(client, exchange)).reasonCode, 0)
    }
    await server.ok('ban_account', 'juliet', 'localhost', 'Enough')
    {
      await using client = await MqttClient.connect(port)
      assert.equal((await signIn(client, exchange)).reasonCode, ReasonCode.banned)
    }
    await server.ok('unban_account', 'juliet', 'localhost')
    {
      await using client = await MqttClient.connect(port)
      assert.equal((await signIn(client, exchange)).reasonCode, 0)
    }
    for (let i = 0; i < 2; i++) {
      await using client = await MqttClient.connect(port)
      const { reasonCode } = await signIn(client, { ...exchange, password: 'wrong' })
      assert.equal(reasonCode, ReasonCode.notAuthorized)
    }
    await using client = await MqttClient.connect(port)
    client.sendConnect(connectOptions(exchange, scram(exchange).first()))
    const { reasonCode, properties } = await client.receive('connack')
    assert.equal(reasonCode, ReasonCode.banned)
    assert.match(properties.reasonString ?? '', /^Too many \(2\) failed authentications/)
    assert.equal(await server.ok('unban_ip', '127.0.0.1'), '1\n')
    await using last = await MqttClient.connect(port)
    assert.equal((await signIn(last, exchange)).reasonCode, 0)
  })
})

suite('over TLS', () => {
  const { certificate, key } = makeCertificate({ name: 'localhost', dns: ['localhost'] })
  const context = createSecureContext({ cert: certificate, key })
  const tls = { contexts: { contextFor: () => context }, requestCertificate: false }
  const options = { tls, listener: { tls: true } }

  test('SCRAM-SHA-256-PLUS binds to the channel', async () => {
    await using server = await MqttServer.start(options)
    for (const [binding, expected] of [
      [undefined, 0],
      [Buffer.alloc(32), ReasonCode.notAuthorized],
    ] as const) {
      const socketOptions = { rejectUnauthorized: false, minVersion: 'TLSv1.3' } as const
      await using client = await MqttClient.connect(server.port, socketOptions)
      const own = client.exportKey('EXPORTER-Channel-Binding', 32)
      const exchange = {
        method: 'SCRAM-SHA-256-PLUS',
        flag: 'p=tls-exporter',
        binding: binding ?? own,
      }
      assert.equal((await signIn(client, exchange)).reasonCode, expected)
    }
  })

  test('a client that could bind, and was told of no way to, is let in', async () => {
    await using server = await MqttServer.start(options)
    await using client = await MqttClient.connect(server.port, { rejectUnauthorized: false })
    // RFC 5802 §6: nobody lists the methods in MQTT, so that nobody can have taken one out.
    assert.equal((await signIn(client, { flag: 'y' })).reasonCode, 0)
  })
})

suite('while CONNECT is not answered', () => {
  for (const [name, send] of Object.entries<(client: MqttClient) => void>({
    'a PUBLISH': (client) => void client.sendPublish('a', 'x'),
    'a PINGREQ': (client) => client.send({ kind: 'pingreq' }),
    'an AUTH that begins anew': (client) => client.send(auth(again, scram().first())),
    'an AUTH that says success (MQTT5 3.15.2-1)': (client) => client.send(auth(0)),
    'an AUTH without a method': (client) => client.sendBytes(Buffer.from([0xf0, 2, 0x18, 0])),
    'an AUTH without anything': (client) => client.sendBytes(Buffer.from([0xf0, 0])),
  })) {
    // shows: MQTT5 3.1.2-30, 3.15.2-1, 4.12.0-3
    test(`${name} is a protocol error (MQTT5 3.1.2-30)`, async () => {
      await using server = await MqttServer.start()
      await using client = await server.connect()
      await challenged(client, scram())
      send(client)
      assert.equal((await client.receive('connack')).reasonCode, ReasonCode.protocolError)
      await client.closed()
    })
  }

  // shows: MQTT5 3.15.1-1
  test('what is malformed is answered by CONNACK (MQTT5 4.13.1-1)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    await challenged(client, scram())
    // AUTH with a flag (MQTT5 3.15.1-1).
    client.sendBytes(Buffer.from([0xf1, 0]))
    assert.equal((await client.receive('connack')).reasonCode, ReasonCode.malformedPacket)
    await client.closed()
  })

  // shows: MQTT5 4.12.0-5
  test('another method is refused (MQTT5 4.12.0-5)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    const scramClient = scram()
    const data = await challenged(client, scramClient)
    client.send(auth(goOn, scramClient.final(data), 'SCRAM-SHA-1'))
    const { reasonCode } = await client.receive('connack')
    assert.equal(reasonCode, ReasonCode.badAuthenticationMethod)
    await client.closed()
  })

  test('the client may give up', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    await challenged(client, scram(), { connect: { will: { topic: 'a' } } })
    client.send({ kind: 'disconnect', reasonCode: 4, properties: {} })
    await client.closed()
    assert.deepEqual([...server.broker().listSessions()], [])
  })

  test('the client has thirty seconds', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    await challenged(client, scram())
    server.clock.advance(29_000)
    client.sendBytes(Buffer.from([0xf0]))
    await using other = await server.login({ clientId: 'other' })
    await other.hearsNothing()
    assert.equal(client.isClosed, false)
    server.clock.advance(3000)
    const { reasonCode, properties } = await client.receive('connack')
    assert.equal(reasonCode, ReasonCode.notAuthorized)
    assert.equal(properties.reasonString, 'Authentication took too long')
    await client.closed()
  })

  test('a server that stops says so', async () => {
    await using server = await TestServer.start({
      config: {
        listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }],
        modules: { mod_mqtt: {} },
      },
    })
    await server.ok('register', 'juliet', 'localhost', 'secret')
    await using client = await MqttClient.connect(server.port('mod_mqtt'))
    await challenged(client, scram())
    server.server.stop()
    assert.equal((await client.receive('connack')).reasonCode, ReasonCode.serverUnavailable)
    await client.closed()
  })
})

suite('re-authentication (MQTT5 4.12.1)', () => {
  // shows: MQTT5 4.12.0-5
  test('succeeds while other packets flow', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    await signIn(client)
    await client.subscribe('a')
    const scramClient = scram()
    client.send(auth(again, scramClient.first()))
    const challenge = await client.receive('auth')
    assert.equal(challenge.reasonCode, goOn)
    // In between everything goes on.
    assert.equal(await client.publish('a', 'between', { qos: 1 }), 0)
    assert.equal((await client.receiveMessage()).text, 'between')
    const data = challenge.properties.authenticationData ?? assert.fail('no data')
    client.send(auth(goOn, scramClient.final(data)))
    client.send({ kind: 'pingreq' })
    const heard = [await client.next(), await client.next()]
    const success = heard.find((packet) => packet?.kind === 'auth')
    assert.ok(heard.some((packet) => packet?.kind === 'pingresp'))
    assert.equal(success?.reasonCode, 0)
    assert.equal(success?.properties.authenticationMethod, 'SCRAM-SHA-256')
    assert.ok(scramClient.accepts(success?.properties.authenticationData ?? assert.fail()))
    // Once more, now that the first is over; its first message by AUTH.
    client.send(auth(again))
    assert.equal((await client.receive('auth')).properties.authenticationData?.length, 0)
    const second = scram({ nonce: 'another' })
    client.send(auth(goOn, second.first()))
    const next = (await client.receive('auth')).properties.authenticationData
    client.send(auth(goOn, second.final(next ?? assert.fail())))
    assert.equal((await client.receive('auth')).reasonCode, 0)
    await client.hearsNothing()
  })

  for (const [name, exchange] of Object.entries<Exchange>({
    'with a wrong password': { password: 'wrong' },
    'as somebody else': { userName: 'romeo' },
  })) {
    // shows: MQTT5 4.12.1-2
    test(`${name} ends the connection, and the will is published (MQTT5 4.12.1-2)`, async () => {
      await using server = await MqttServer.start()
      await using watcher = await server.login({ clientId: 'watcher' })
      await watcher.subscribe('gone')
      await using client = await server.connect()
      await signIn(client, { connect: { will: { topic: 'gone' } } })
      const scramClient = scram(exchange)
      client.send(auth(again, scramClient.first()))
      let packet = await client.next()
      if (packet?.kind === 'auth') {
        client.send(
          auth(goOn, scramClient.final(packet.properties.authenticationData ?? assert.fail())),
        )
        packet = await client.next()
      }
      assert.ok(packet?.kind === 'disconnect')
      assert.equal(packet.reasonCode, ReasonCode.notAuthorized)
      assert.match(packet.properties.reasonString ?? '', /^Re-authentication failed/)
      await client.closed()
      assert.equal((await watcher.receiveMessage()).topic, 'gone')
    })
  }

  for (const [name, packets, expected] of [
    ['another method (MQTT5 4.12.1-1)', [auth(again, scram().first(), 'SCRAM-SHA-1')], 0x8c],
    ['an answer that nobody asked for', [auth(goOn, scram().first())], 0x82],
    ['a success that is not the client’s to tell (MQTT5 3.15.2-1)', [auth(0)], 0x82],
    ['two beginnings at once', [auth(again, scram().first()), auth(again, scram().first())], 0x82],
  ] as const) {
    // shows: MQTT5 3.15.2-1, 4.12.1-1
    test(`${name} ends the connection`, async () => {
      await using server = await MqttServer.start()
      await using client = await server.connect()
      await signIn(client)
      client.sendAll(packets)
      let packet = await client.next()
      if (packet?.kind === 'auth') packet = await client.next()
      assert.ok(packet?.kind === 'disconnect')
      assert.equal(packet.reasonCode, expected)
      await client.closed()
    })
  }

  test('has thirty seconds', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    await signIn(client)
    client.send(auth(again, scram().first()))
    await client.receive('auth')
    server.clock.advance(32_000)
    const { reasonCode } = await client.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.notAuthorized)
    await client.closed()
  })

  // shows: MQTT5 4.12.0-6, 4.12.0-7
  test('is not for clients that came with a password (MQTT5 4.12.0-6, 4.12.0-7)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    const { properties } = await client.login()
    assert.equal(properties.authenticationMethod, undefined)
    client.send(auth(again, scram().first()))
    const { reasonCode } = await client.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.protocolError)
    await client.closed()
  })

  test('of a banned account is refused as an administrative action', async () => {
    await using server = await TestServer.start({
      config: {
        listen: [{ port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }],
        modules: { mod_mqtt: {} },
      },
    })
    await server.ok('register', 'juliet', 'localhost', 'secret')
    await using client = await MqttClient.connect(server.port('mod_mqtt'))
    await signIn(client)
    const scramClient = scram()
    client.send(auth(again, scramClient.first()))
    await client.receive('auth')
    await server.ok('ban_account', 'juliet', 'localhost', 'Enough')
    const { reasonCode } = await client.receive('disconnect')
    assert.equal(reasonCode, ReasonCode.administrativeAction)
    await client.closed()
  })
})

test('AUTH in MQTT 3.1.1 is malformed: the connection ends (MQTT3 2.2.1)', async () => {
  await using server = await MqttServer.start()
  for (const version of [3, 4] as const) {
    await using client = await server.connect()
    await client.login({ version })
    client.sendBytes(Buffer.from([0xf0, 0]))
    await client.closed()
  }
})

// shows: MQTT5 3.1.2-29
test('problem information that is not wanted stays out of AUTH (MQTT5 3.1.2-29)', async () => {
  await using server = await MqttServer.start()
  await using client = await server.connect()
  const connect = { properties: { requestProblemInformation: false } }
  await signIn(client, { connect })
  const scramClient = scram()
  client.send(auth(again, scramClient.first()))
  const { properties } = await client.receive('auth')
  assert.equal(properties.reasonString, undefined)
  assert.equal(properties.userProperties, undefined)
})

// shows: MQTT5 3.1.2-24
test('a client that takes only small packets and no AUTH is let go', async () => {
  await using server = await MqttServer.start()
  await using client = await server.connect()
  const connect = { properties: { maximumPacketSize: 20 } }
  client.sendConnect(connectOptions({ connect }, scram().first()))
  await client.closed()
})

test('the first packets of CONNECT and AUTH may come in one write', async () => {
  await using server = await MqttServer.start()
  await using client = await server.connect()
  const scramClient = scram()
  client.speak(5)
  // The answer cannot be right, for the challenge is not known yet; but it is heard.
  client.sendAll([
    connectPacket(connectOptions({}, scramClient.first())),
    auth(goOn, Buffer.from('c=biws,r=none,p=AAAA')),
  ])
  await client.receive('auth')
  assert.equal((await client.receive('connack')).reasonCode, ReasonCode.notAuthorized)
})
