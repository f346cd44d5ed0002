import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { MqttServerOptions } from '../support/mqtt-broker.ts'
import type { ConnectOptions } from '../support/mqtt-client.ts'

const reference = 'broker.example.org:8883 [2001:db8::1]:1883'

async function refused(server: MqttServer, options: ConnectOptions = {}) {
  await using client = await server.connect()
  client.sendConnect(options)
  const connack = await client.receive('connack')
  await client.closed()
  return connack
}

suite('server redirection (MQTT5 4.11)', () => {
  // shows: option mod_mqtt.redirect
  // shows: option mod_mqtt.server_reference
  test('sends the clients of the rule to another server when they connect', async () => {
    await using server = await MqttServer.start({
      module: {
        redirect: [{ allow: { user: 'romeo' } }, { allow: { resource: 'lamp' } }],
        server_reference: reference,
      },
    })
    for (const options of [{ userName: 'romeo' }, { clientId: 'lamp' }]) {
      const { reasonCode, properties } = await refused(server, options)
      assert.equal(reasonCode, ReasonCode.useAnotherServer)
      assert.equal(properties.serverReference, reference)
      assert.equal(properties.reasonString, 'Use another server')
    }
    // Who has not proved to be somebody is sent nowhere.
    const { reasonCode, properties } = await refused(server, {
      userName: 'romeo',
      password: 'wrong',
    })
    assert.equal(reasonCode, ReasonCode.badUserNameOrPassword)
    assert.equal(properties.serverReference, undefined)
    // MQTT 3 cannot be told where (MQTT3 3.2.2.3).
    const old = await refused(server, { userName: 'romeo', version: 4 })
    assert.equal(old.reasonCode, ReasonCode.serverUnavailable)
    await using client = await server.login({ clientId: 'other' })
    await client.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_connects_refused_total'), 4)
  })

  // shows: option mod_mqtt.server_moved
  test('for good, if the server has moved; the client may know where', async () => {
    await using server = await MqttServer.start({
      module: { redirect: 'all', server_moved: true },
    })
    const { reasonCode, properties } = await refused(server)
    assert.equal(reasonCode, ReasonCode.serverMoved)
    assert.equal(properties.serverReference, undefined)
  })

  test('begins and ends with a reload', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await server.reload({ module: { redirect: 'all', server_reference: reference } })
    assert.equal((await refused(server)).reasonCode, ReasonCode.useAnotherServer)
    // Who is there stays.
    await client.hearsNothing()
    await server.reload({ module: {} })
    await using other = await server.login({ clientId: 'other' })
    await other.hearsNothing()
  })

  // shows: option mod_mqtt.redirect_at_stop
  test('sends everybody there when the server stops, and publishes the wills', async () => {
    for (const [module, expected] of [
      [{ redirect_at_stop: true, server_reference: reference }, ReasonCode.useAnotherServer],
      [
        { redirect_at_stop: true, server_reference: reference, server_moved: true },
        ReasonCode.serverMoved,
      ],
      [{ server_reference: reference }, ReasonCode.serverShuttingDown],
    ] as const) {
      await using server = await MqttServer.start({ module })
      await using client = await server.login()
      await using old = await server.login({ version: 4, clientId: 'old' })
      const stopped = server.stop()
      const { reasonCode, properties } = await client.receive('disconnect')
      assert.equal(reasonCode, expected)
      const isRedirected = expected !== ReasonCode.serverShuttingDown
      assert.equal(properties.serverReference, isRedirected ? reference : undefined)
      await client.closed()
      await old.closed()
      await stopped
    }
  })
})

suite('response information (MQTT5 3.2.2.3.15)', () => {
  async function informationOf(
    options: MqttServerOptions,
    connect: ConnectOptions = {},
  ): Promise<string | undefined> {
    await using server = await MqttServer.start({ hosts: ['localhost', 'example.org'], ...options })
    await using client = await server.connect()
    const { properties } = await client.login({
      ...connect,
      properties: { requestResponseInformation: true },
    })
    return properties.responseInformation
  }

  // shows: option mod_mqtt.response_information
  test('is a topic of the client’s own', async () => {
    assert.equal(await informationOf({}, { clientId: 'lamp' }), 'response/localhost/juliet/lamp')
    const elsewhere = { userName: 'Romeo@example.org', clientId: 'lamp' }
    assert.equal(await informationOf({}, elsewhere), 'response/example.org/romeo/lamp')
    const module = { response_information: 'answers/for-%c/%x' }
    assert.equal(await informationOf({ module }, { clientId: 'a' }), 'answers/for-a/%x')
    assert.equal(await informationOf({ module: { response_information: '' } }), undefined)
  })

  test('is told only to who asks (MQTT5 3.1.2-28)', async () => {
    await using server = await MqttServer.start()
    for (const properties of [{}, { requestResponseInformation: false }]) {
      await using client = await server.connect()
      const connack = await client.login({ properties })
      assert.equal(connack.properties.responseInformation, undefined)
    }
  })

  test('is not told where the client could not subscribe', async () => {
    const own = { access_subscribe: { 'response/%d/%u/%c/#': 'all' } }
    assert.equal(
      await informationOf({ module: own }, { clientId: 'lamp' }),
      'response/localhost/juliet/lamp',
    )
    assert.equal(await informationOf({ module: { access_subscribe: { a: 'all' } } }), undefined)
    assert.equal(await informationOf({ module: { max_topic_depth: 3 } }), undefined)
    // Such an identifier makes no topic.
    assert.equal(await informationOf({}, { clientId: 'a+#' }), undefined)
  })

  test('is where answers arrive', async () => {
    await using server = await MqttServer.start()
    await using asker = await server.connect()
    const { properties } = await asker.login({
      clientId: 'asker',
      properties: { requestResponseInformation: true },
    })
    const responseTopic = `${properties.responseInformation}/1`
    await asker.subscribe(responseTopic)
    await using server2 = await server.login({ clientId: 'answerer' })
    await server2.subscribe('questions')
    const correlationData = Buffer.from('42')
    asker.sendPublish('questions', 'What?', { properties: { responseTopic, correlationData } })
    const question = await server2.receiveMessage()
    const { responseTopic: where = '', ...rest } = question.properties
    server2.sendPublish(where, 'That.', { properties: rest })
    const answer = await asker.receiveMessage()
    assert.equal(answer.text, 'That.')
    assert.deepEqual(Buffer.from(answer.properties.correlationData ?? []), correlationData)
  })
})

suite('problem information that is not wanted (MQTT5 3.1.2-29)', () => {
  test('stays out of all packets but CONNACK and DISCONNECT', async () => {
    await using server = await MqttServer.start({
      module: { access_publish: { a: 'all' }, access_subscribe: { a: 'all' } },
    })
    const properties = { requestProblemInformation: false }
    await using client = await server.login({ properties })
    client.sendPublish('b', 'x', { qos: 1 })
    client.sendPublish('b', 'x', { qos: 2 })
    client.send({ kind: 'pubrel', packetId: 9, reasonCode: 0, properties: {} })
    client.send({ kind: 'unsubscribe', packetId: 3, filters: ['b'], properties: {} })
    client.send({
      kind: 'subscribe',
      packetId: 4,
      subscriptions: [
        { filter: 'b', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
      properties: {},
    })
    for (const kind of ['puback', 'pubrec', 'pubcomp', 'unsuback', 'suback'] as const) {
      const packet = await client.receive(kind)
      assert.deepEqual({ ...packet.properties }, {}, kind)
    }
    // These may say why all the same.
    await using other = await server.connect()
    other.sendConnect({ password: 'wrong', properties })
    assert.notEqual((await other.receive('connack')).properties.reasonString, undefined)
    client.sendPublish('a', 'x', { properties: { topicAlias: 60_000 } })
    assert.notEqual((await client.receive('disconnect')).properties.reasonString, undefined)
  })
})
