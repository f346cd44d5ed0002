import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { bareJid, jid } from '../../../src/xmpp/jid/jid.ts'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import { connectPacket } from '../../support/mqtt-client.ts'
import {
  RawClient,
  drop,
  endOf,
  endReason,
  hex,
  lasting,
  packet,
  properties,
  property,
  text,
} from './wire.ts'

const { malformedPacket, protocolError } = ReasonCode

// shows: MQTT5 3.12.4-1
test('PINGREQ is answered with PINGRESP, each one', async () => {
  await using server = await MqttServer.start()
  await using client = await RawClient.login(server)
  client.send(hex('c0 00 c0 00 c0 00'))
  for (let i = 0; i < 3; i++) assert.deepEqual(await client.receive(), hex('d0 00'))
})

suite('DISCONNECT from a client', () => {
  // shows: MQTT5 3.14.2-1, 3.14.1-1
  test('has its form, its reason codes and its properties', async () => {
    await using server = await MqttServer.start()
    const sessionExpiry = property(0x11, hex('0000000a'))
    const table: readonly (readonly [string, Uint8Array, number])[] = [
      ['flags', hex('e1 00'), malformedPacket],
      ['code 0x01', hex('e0 01 01'), protocolError],
      ['code of CONNACK', hex('e0 01 86'), protocolError],
      ['code 0xff', hex('e0 01 ff'), protocolError],
      ['property of PUBLISH', packet(0xe0, hex('00'), properties(hex('0101'))), malformedPacket],
      ['twice', packet(0xe0, hex('00'), properties(sessionExpiry, sessionExpiry)), protocolError],
      ['two reason strings', packet(0xe0, hex('00 08 1f000161 1f000161')), protocolError],
      ['longer than its properties', hex('e0 03 00 00 00'), malformedPacket],
    ]
    for (const [name, bytes, reason] of table)
      assert.equal(await endOf(server, bytes), reason, name)
    for (const code of [
      0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    ]) {
      const reason = property(0x1f, text('why'))
      const pair = property(0x26, text('a'), text('b'))
      for (const own of [[], [reason, pair, pair]]) {
        await using client = await server.login()
        client.sendBytes(packet(0xe0, Buffer.from([code]), properties(...own)))
        await client.closed()
      }
    }
  })

  // shows: MQTT5 3.14.4-1
  test('is the last packet that is looked at', async () => {
    await using server = await MqttServer.start()
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('#')
    await using client = await server.login()
    client.sendBytes(hex('30 05 0001 61 00 31 e0 00 30 05 0001 61 00 32 c0 00'))
    await client.closed()
    assert.equal((await watcher.receiveMessage()).text, '1')
    await watcher.hearsNothing()
  })

  test('may change the session expiry, but not from 0 (MQTT5 3.14.2.2.2)', async () => {
    await using server = await MqttServer.start()
    const isPresent = async (): Promise<boolean> => {
      await using client = await server.connect()
      const { sessionPresent } = await client.login(lasting('lamp'))
      return sessionPresent
    }
    // Shorter.
    await using first = await server.login(lasting('lamp'))
    await first.disconnect({ sessionExpiryInterval: 10 })
    server.clock.advance(8000)
    assert.equal(await isPresent(), true)
    // Longer, up to what the server allows.
    await using second = await server.login({
      ...lasting('lamp'),
      properties: { sessionExpiryInterval: 10 },
    })
    await second.disconnect({ sessionExpiryInterval: 0xffff_ffff })
    server.clock.advance(290_000)
    assert.equal(await isPresent(), true)
    // Not at all.
    await using third = await server.login(lasting('lamp'))
    await third.disconnect({ sessionExpiryInterval: 0 })
    assert.equal(await isPresent(), false)
    // From 0: as if nothing had been said.
    const will = { topic: 'gone' }
    await using watcher = await server.login({ clientId: 'watcher' })
    await watcher.subscribe('gone')
    for (const own of [{}, { sessionExpiryInterval: 0 }]) {
      await using short = await server.login({ clientId: 'short', will, properties: own })
      short.send({ kind: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1 } })
      assert.equal(await endReason(short), protocolError)
      assert.equal((await watcher.receiveMessage()).topic, 'gone')
      await using again = await server.connect()
      const { sessionPresent } = await again.login({ clientId: 'short', cleanStart: false })
      assert.equal(sessionPresent, false)
      await again.disconnect({ sessionExpiryInterval: 0 })
    }
    await watcher.hearsNothing()
  })
})

suite('DISCONNECT from the server', () => {
  // shows: MQTT5 3.14.2-1, 3.14.2-2, 3.14.4-1, 3.14.4-2, 4.13.2-1
  test('says why, comes last, has no session expiry, and the connection is closed', async () => {
    await using server = await MqttServer.start({ module: { receive_maximum: 1 } })
    const ends: readonly (readonly [string, number])[] = [
      ['00 00', malformedPacket],
      ['10 00', protocolError],
      ['30 04 0001 23 00', ReasonCode.topicNameInvalid],
      ['82 07 0001 00 0001 2b 00 82 08 0001 00 0002 2b2b 00', ReasonCode.topicFilterInvalid],
      ['30 08 0001 61 03 23ffff 78', ReasonCode.topicAliasInvalid],
      ['30 07 0001 61 02 0101 ff', ReasonCode.payloadFormatInvalid],
      ['34 06 0001 61 0001 00 34 06 0001 61 0002 00', ReasonCode.receiveMaximumExceeded],
    ]
    for (const [digits, reason] of ends) {
      await using client = await RawClient.login(server, lasting('lamp'))
      client.send(Buffer.concat([hex(digits), hex('c0 00')]))
      for (;;) {
        const bytes = await client.receive()
        if (bytes[0] === 0xe0) {
          assert.equal(bytes[2], reason, digits)
          // Reason strings come first and alone.
          if (bytes.length > 3) assert.equal(bytes[4], 0x1f)
          break
        }
        assert.equal(bytes.length > 0, true, digits)
      }
      assert.equal((await client.receive()).length, 0)
    }
  })

  test('says why an administrator or the server itself ends a connection (MQTT5 3.14.2.1)', async () => {
    await using server = await MqttServer.start()
    const { keepAliveTimeout, administrativeAction, sessionTakenOver, serverShuttingDown } =
      ReasonCode
    await using silent = await server.login({ clientId: 'silent', keepAlive: 1 })
    server.clock.advance(10_000)
    assert.equal(await endReason(silent), keepAliveTimeout)
    await using kicked = await server.login({ clientId: 'kicked' })
    for (const session of server.registry.forAccount(bareJid(jid('juliet@localhost')))) {
      session.kick('Enough', 'kicked')
    }
    assert.equal(await endReason(kicked), administrativeAction)
    await using first = await server.login({ clientId: 'lamp' })
    await using second = await server.login({ clientId: 'lamp' })
    assert.equal(await endReason(first), sessionTakenOver)
    const stopped = server.stop()
    assert.equal(await endReason(second), serverShuttingDown)
    await stopped
  })

  // shows: MQTT5 3.14.0-1
  test('does not come before CONNACK', async () => {
    await using server = await MqttServer.start()
    for (const bytes of ['10 00', '10 0d 0004 4d515454 05 03 0000 00 0000', 'e0 00', '82 00']) {
      await using client = await RawClient.connect(server)
      client.send(hex(bytes))
      for (;;) {
        const received = await client.receive()
        assert.notEqual(received[0], 0xe0)
        if (received.length === 0) break
      }
    }
    // Not even to those who are taken over while they wait for it.
    const clients = await Promise.all(Array.from({ length: 8 }, () => server.connect()))
    for (const client of clients) {
      client.speak(5)
      client.send(connectPacket(lasting('lamp')))
    }
    for (const client of clients) {
      const first = await client.next()
      assert.equal(first === undefined || first.kind === 'connack', true)
    }
    for (const client of clients) client.drop()
  })
})

suite('a protocol error', () => {
  // shows: MQTT5 4.13.1-1, 4.13.2-1
  test('ends the connection of its client, and of no other', async () => {
    await using server = await MqttServer.start()
    await using other = await server.login({ clientId: 'other' })
    await using same = await server.login({ clientId: 'same' })
    for (const bytes of ['10 00', '00 00', 'f0 00', '40 00', '82 02 0001', 'c0 01 00']) {
      assert.equal((await endOf(server, hex(bytes), { clientId: 'wrong' })) >= 0x80, true)
      await other.hearsNothing()
      await same.hearsNothing()
    }
  })

  test('leaves its session to the expiry interval (MQTT5 3.14.4)', async () => {
    await using server = await MqttServer.start()
    assert.equal(await endOf(server, hex('00 00'), lasting('lamp')), malformedPacket)
    await using client = await server.connect()
    assert.equal((await client.login(lasting('lamp'))).sessionPresent, true)
  })
})

suite('sessions', () => {
  // shows: MQTT5 4.1.0-1
  test('stay while the connection is open, however long', async () => {
    await using server = await MqttServer.start()
    for (const sessionExpiryInterval of [0, 1]) {
      await using client = await server.login({
        clientId: `${sessionExpiryInterval}`,
        properties: { sessionExpiryInterval },
      })
      await client.subscribe('a')
      for (let i = 0; i < 5; i++) {
        server.clock.advance(1_000_000)
        await client.publish('a', 'x', { qos: 0 })
        assert.equal((await client.receiveMessage()).text, 'x')
      }
    }
  })

  // shows: MQTT5 4.1.0-2, 3.1.2-23
  test('end when the interval is over, counted from the end of the connection', async () => {
    await using server = await MqttServer.start()
    for (const sessionExpiryInterval of [1, 60, 200]) {
      const options = { clientId: 'lamp', cleanStart: false, properties: { sessionExpiryInterval } }
      for (const [seconds, isThere] of [
        [sessionExpiryInterval - 1, true],
        [sessionExpiryInterval + 2, false],
      ] as const) {
        await using client = await server.login(options)
        await client.subscribe('a')
        server.clock.advance(500_000)
        await drop(server, client)
        server.clock.advance(seconds * 1000)
        await using back = await server.connect()
        assert.equal((await back.login(options)).sessionPresent, isThere)
        await back.publish('a', 'x', { qos: 0 })
        if (isThere) assert.equal((await back.receiveMessage()).text, 'x')
        else await back.hearsNothing()
        await back.disconnect({ sessionExpiryInterval: 0 })
      }
    }
  })

  // shows: MQTT5 4.1.0-2
  test('end with the connection where the interval is 0 or not given', async () => {
    await using server = await MqttServer.start()
    for (const own of [{}, { sessionExpiryInterval: 0 }]) {
      await using client = await server.login({ clientId: 'lamp', properties: own })
      await client.subscribe('a')
      await drop(server, client)
      assert.equal(server.metric('linnet_mqtt_subscriptions'), 0)
      await using back = await server.connect()
      const { sessionPresent } = await back.login({ clientId: 'lamp', cleanStart: false })
      assert.equal(sessionPresent, false)
    }
  })

  // shows: MQTT5 3.1.2-23, 4.1.0-2
  test('outlive the server too, for what is left of their time', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login(lasting('lamp'))
    await client.subscribe('a')
    await client.disconnect()
    server.clock.advance(100_000)
    const file = await server.stop()
    await using next = await MqttServer.start({ file, clock: server.clock })
    await using back = await next.connect()
    assert.equal((await back.login(lasting('lamp'))).sessionPresent, true)
    await back.disconnect()
    server.clock.advance(200_000)
    await next.stop()
    server.clock.advance(60_000)
    await using last = await MqttServer.start({ file, clock: server.clock })
    await using late = await last.connect()
    assert.equal((await late.login(lasting('lamp'))).sessionPresent, false)
  })
})
