import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { encodePacket } from '../../../src/mqtt/packet/encode.ts'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import { connectPacket } from '../../support/mqtt-client.ts'
import type { ConnectOptions } from '../../support/mqtt-client.ts'
import {
  RawClient,
  connectBytes,
  hex,
  lasting,
  properties,
  property,
  refusalOf,
  text,
  texts,
} from './wire.ts'

async function sessionPresent(server: MqttServer, options: ConnectOptions): Promise<boolean> {
  await using client = await server.connect()
  const connack = await client.login(options)
  assert.equal(connack.reasonCode, ReasonCode.success)
  await client.disconnect()
  return connack.sessionPresent
}

suite('CONNACK', () => {
  // shows: MQTT5 3.1.4-5, 3.2.0-1, 3.2.0-2
  test('comes once, and before everything else', async () => {
    await using server = await MqttServer.start()
    await using first = await server.login(lasting('to'))
    await first.subscribe('a')
    await first.disconnect()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', 'waiting', { qos: 1 })
    await using client = await server.connect()
    client.speak(5)
    client.sendAll([
      connectPacket(lasting('to')),
      { kind: 'pingreq' },
      { kind: 'unsubscribe', packetId: 1, filters: ['b'], properties: {} },
    ])
    const kinds: string[] = []
    for (let i = 0; i < 4; i++) kinds.push((await client.next())?.kind ?? 'end')
    assert.equal(kinds[0], 'connack')
    assert.deepEqual(kinds.slice(1).sort(), ['pingresp', 'publish', 'unsuback'])
    await client.hearsNothing()
  })

  // shows: MQTT5 3.2.0-1
  test('comes before messages that are published meanwhile', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    await using first = await server.login(lasting('to'))
    await first.subscribe('a', { qos: 0 })
    await first.subscribe('b', { qos: 1 })
    for (let i = 0; i < 20; i++) {
      await using client = await server.connect()
      client.sendConnect(lasting('to'))
      publisher.sendPublish('a', 'x')
      publisher.sendPublish('b', 'x', { qos: 1 })
      await client.receive('connack')
      await publisher.receive('puback')
    }
  })

  // shows: MQTT5 3.1.2-4, 3.1.2-5, 3.1.2-6, 3.1.4-4, 3.2.2-2, 3.2.2-3
  test('says whether there is a session, as the clean start and the store want it', async () => {
    await using server = await MqttServer.start()
    const clean = { ...lasting('lamp'), cleanStart: true }
    assert.equal(await sessionPresent(server, lasting('lamp')), false)
    assert.equal(await sessionPresent(server, lasting('lamp')), true)
    assert.equal(await sessionPresent(server, clean), false)
    assert.equal(await sessionPresent(server, lasting('lamp')), true)
    assert.equal(await sessionPresent(server, { clientId: 'lamp', cleanStart: false }), true)
    // That one ended with its connection.
    assert.equal(await sessionPresent(server, lasting('lamp')), false)
  })

  // shows: MQTT5 3.2.2-1, 3.2.2-3
  test('has no other flag than that one', async () => {
    await using server = await MqttServer.start()
    for (const flags of [0, 1]) {
      await using client = await RawClient.connect(server)
      client.send(connectPacket(lasting('lamp')))
      const bytes = await client.receive()
      assert.deepEqual([bytes[0], bytes[2], bytes[3]], [0x20, flags, 0])
    }
  })

  // shows: MQTT5 3.2.2-6, 3.2.2-7, 3.2.2-1
  test('of a refusal has no flag even if there is a session, and nothing follows', async () => {
    await using server = await MqttServer.start()
    assert.equal(await sessionPresent(server, lasting('lamp')), false)
    await using client = await RawClient.connect(server)
    client.send(connectPacket(lasting('lamp', { password: 'wrong' })))
    const bytes = await client.receive()
    assert.deepEqual([bytes[0], bytes[2], bytes[3]], [0x20, 0, ReasonCode.badUserNameOrPassword])
    assert.equal((await client.receive()).length, 0)
    assert.equal(await sessionPresent(server, lasting('lamp')), true)
  })

  // shows: MQTT5 3.2.2-8
  test('says why a client is turned away', async () => {
    await using server = await MqttServer.start({
      hosts: ['localhost', 'example.org'],
      without: ['example.org'],
      module: { access_publish: { 'a/#': 'all' }, max_user_sessions: 1 },
    })
    await using client = await server.login({ clientId: 'only', userName: 'romeo' })
    const table: readonly (readonly [string, ConnectOptions, number])[] = [
      ['password', { password: 'wrong' }, ReasonCode.badUserNameOrPassword],
      ['no password', { password: undefined }, ReasonCode.badUserNameOrPassword],
      ['user', { userName: 'a b' }, ReasonCode.badUserNameOrPassword],
      ['host', { userName: 'juliet@elsewhere.example' }, ReasonCode.serverUnavailable],
      ['host without MQTT', { userName: 'juliet@example.org' }, ReasonCode.serverUnavailable],
      ['identifier', { clientId: '\u0007' }, ReasonCode.clientIdentifierNotValid],
      ['will', { will: { topic: 'b' } }, ReasonCode.notAuthorized],
      [
        'text of the will',
        {
          will: {
            topic: 'a/b',
            payload: hex('ff'),
            properties: { payloadFormatIndicator: 1 },
          },
        },
        ReasonCode.payloadFormatInvalid,
      ],
      ['one too many', { userName: 'romeo', clientId: 'second' }, ReasonCode.quotaExceeded],
    ]
    for (const [name, options, reason] of table) {
      const bytes = encodePacket(connectPacket(options), 5)
      assert.equal(await refusalOf(server, bytes), reason, name)
    }
    await client.hearsNothing()
  })
})

suite('what CONNACK tells', () => {
  // shows: MQTT5 3.2.2-9, 3.2.2-10, 3.2.2-12, 3.2.2-13
  test('that all levels of QoS, retained messages and all kinds of subscriptions are there', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    const will = { topic: 'gone', qos: 2, retain: true } as const
    const { properties: own } = await client.login({ will })
    assert.equal(own.maximumQoS, undefined)
    assert.notEqual(own.retainAvailable, false)
    assert.notEqual(own.wildcardSubscriptionAvailable, false)
    assert.notEqual(own.subscriptionIdentifierAvailable, false)
    assert.notEqual(own.sharedSubscriptionAvailable, false)
    for (const qos of [0, 1, 2] as const) {
      assert.equal(await client.subscribe('a/+', { qos, identifier: 7 }), qos)
      assert.equal(await client.subscribe('$share/g/a/#', { qos }), qos)
    }
    client.drop()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('gone')
    const received = await watcher.receiveMessage()
    assert.deepEqual([received.text, received.qos], ['gone', 2])
  })

  test('how long the session lasts, how much may be sent, and by which aliases (MQTT5 3.2.2.3)', async () => {
    await using server = await MqttServer.start({
      module: { session_expiry: '1 minute', receive_maximum: 9, max_topic_aliases: 4 },
      listener: { max_payload_size: 1000 },
    })
    await using client = await server.connect()
    const { properties: own } = await client.login({
      keepAlive: 70,
      properties: { sessionExpiryInterval: 0xffff_ffff },
    })
    assert.equal(own.sessionExpiryInterval, 60)
    assert.equal(own.receiveMaximum, 9)
    assert.equal(own.topicAliasMaximum, 4)
    assert.equal(own.maximumPacketSize, 1002)
    assert.equal(own.serverKeepAlive ?? 70, 70)
  })

  // shows: MQTT5 3.2.2-19, 3.1.2-24
  test('why the client is refused, if it fits', async () => {
    await using server = await MqttServer.start()
    for (const [maximumPacketSize, hasReason] of [
      [1000, true],
      [10, false],
      [5, false],
    ] as const) {
      await using client = await server.connect()
      client.sendConnect({ password: 'wrong', properties: { maximumPacketSize } })
      const connack = await client.receive('connack')
      assert.equal(connack.reasonCode, ReasonCode.badUserNameOrPassword)
      assert.equal(connack.properties.reasonString !== undefined, hasReason)
      await client.closed()
    }
    await using tiny = await server.connect()
    tiny.sendConnect({ password: 'wrong', properties: { maximumPacketSize: 4 } })
    await tiny.closed()
  })

  // shows: MQTT5 3.1.2-24, 3.2.0-1
  test('nothing to a client that takes no CONNACK: it is not let in', async () => {
    await using server = await MqttServer.start()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('gone')
    await using client = await server.connect()
    client.sendConnect({ will: { topic: 'gone' }, properties: { maximumPacketSize: 6 } })
    client.send({ kind: 'pingreq' })
    await client.closed()
    await watcher.hearsNothing()
  })
})

suite('a session that goes on', () => {
  // shows: MQTT5 3.1.2-5, 3.1.2-23
  test('has its subscriptions, what waited and what was under way', async () => {
    await using server = await MqttServer.start()
    await using first = await server.login(lasting('lamp'))
    await first.subscribe('a/+', { qos: 2, identifier: 5, retainAsPublished: true })
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a/1', 'under way', { qos: 1 })
    const sent = await first.receive('publish')
    first.sendPublish('b', 'taken over', { qos: 2, packetId: 77 })
    await first.receive('pubrec')
    first.drop()
    await publisher.publish('a/2', 'waits', { qos: 2 })
    server.clock.advance(240_000)
    await using back = await server.connect()
    assert.equal((await back.login(lasting('lamp'))).sessionPresent, true)
    const again = await back.receiveMessage()
    assert.deepEqual([again.text, again.packetId, again.dup], ['under way', sent.packetId, true])
    assert.deepEqual(await texts(back, 1), ['waits'])
    back.sendAck('pubrel', 77)
    assert.equal((await back.receive('pubcomp')).reasonCode, ReasonCode.success)
    await publisher.publish('a/3', 'new', { qos: 1, retain: true })
    const received = await back.receiveMessage()
    assert.deepEqual([received.text, received.retain], ['new', true])
    assert.deepEqual(received.properties.subscriptionIdentifiers, [5])
  })

  // shows: MQTT5 3.1.2-4
  test('loses all of that at a clean start', async () => {
    await using server = await MqttServer.start()
    await using first = await server.login(lasting('lamp'))
    await first.subscribe('a/+')
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a/1', 'under way', { qos: 1 })
    await first.receive('publish')
    first.sendPublish('b', 'taken over', { qos: 2, packetId: 77 })
    await first.receive('pubrec')
    first.drop()
    await publisher.publish('a/2', 'waits', { qos: 2 })
    await using back = await server.connect()
    const clean = { ...lasting('lamp'), cleanStart: true }
    assert.equal((await back.login(clean)).sessionPresent, false)
    await publisher.publish('a/3', 'new', { qos: 1 })
    await back.hearsNothing()
    back.sendAck('pubrel', 77)
    const { reasonCode } = await back.receive('pubcomp')
    assert.equal(reasonCode, ReasonCode.packetIdentifierNotFound)
  })

  // shows: MQTT5 3.1.2-6
  test('is made where there is none', async () => {
    await using server = await MqttServer.start()
    await using client = await server.connect()
    assert.equal((await client.login(lasting('lamp'))).sessionPresent, false)
    assert.equal(await client.subscribe('a'), 2)
    await client.publish('a', 'x', { qos: 1 })
    assert.deepEqual(await texts(client, 1), ['x'])
  })
})

// shows: MQTT5 4.12.0-1, 4.12.0-6
test('an unknown authentication method is refused, and CONNACK names none unasked', async () => {
  await using server = await MqttServer.start()
  const bytes = connectBytes({ properties: properties(property(0x15, text('NONE-SUCH'))) })
  assert.equal(await refusalOf(server, bytes), ReasonCode.badAuthenticationMethod)
  await using client = await server.connect()
  const connack = await client.login()
  assert.equal(connack.properties.authenticationMethod, undefined)
})
