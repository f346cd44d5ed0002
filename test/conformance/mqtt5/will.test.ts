import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import type { ConnectOptions, MqttClient } from '../../support/mqtt-client.ts'
import { drop, hex, lasting, texts } from './wire.ts'

const will = { topic: 'gone' }

/** A client that sees the wills of the others. */
async function watch(server: MqttServer): Promise<MqttClient> {
  const watcher = await server.login({ clientId: 'watcher' })
  await watcher.subscribe('gone/#', { retainAsPublished: true })
  return watcher
}

function delayed(delay: number, more: ConnectOptions = {}): ConnectOptions {
  return lasting('lamp', {
    ...more,
    will: { ...will, properties: { willDelayInterval: delay } },
  })
}

suite('a will', () => {
  // shows: MQTT5 3.1.2-7, 3.1.2-8
  test('is published when the connection ends without a goodbye', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    const ends: readonly ((client: MqttClient) => void)[] = [
      (client) => client.drop(),
      // Malformed.
      (client) => client.sendBytes(hex('00 00')),
      // A protocol error.
      (client) => client.sendBytes(hex('30 02 0000')),
      // A goodbye that asks for it, and others that are no good ones.
      (client) => client.send({ kind: 'disconnect', reasonCode: 0x04, properties: {} }),
      (client) => client.send({ kind: 'disconnect', reasonCode: 0x80, properties: {} }),
      (client) => client.send({ kind: 'disconnect', reasonCode: 0x81, properties: {} }),
    ]
    for (const end of ends) {
      await using client = await server.login({ will })
      await watcher.hearsNothing()
      end(client)
      assert.deepEqual(await texts(watcher, 1), ['gone'])
    }
    await watcher.hearsNothing()
  })

  // shows: MQTT5 3.1.2-10, 3.14.4-3, 3.1.2-8
  test('is discarded by a good one', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    for (const options of [{ will }, delayed(5)]) {
      for (const bytes of ['e0 00', 'e0 01 00', 'e0 02 00 00']) {
        await using client = await server.login(options)
        client.sendBytes(hex(bytes))
        await client.closed()
      }
      server.clock.advance(300_000)
      await watcher.hearsNothing()
    }
  })

  // shows: MQTT5 3.1.2-10
  test('is published once', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    await using first = await server.login(lasting('lamp', { will }))
    first.drop()
    assert.deepEqual(await texts(watcher, 1), ['gone'])
    // Neither the end of another connection nor that of the session brings it again.
    await using second = await server.login(lasting('lamp'))
    await drop(server, second)
    server.clock.advance(300_000)
    await watcher.hearsNothing()
  })

  // shows: MQTT5 3.1.2-14, 3.1.2-15, 3.1.3-10
  test('is published as its client described it', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    const userProperties = [
      ['b', '1'],
      ['a', '2'],
      ['b', '1'],
      ['a', '1'],
    ] as const
    const content = {
      payloadFormatIndicator: 1,
      contentType: 'text/plain',
      responseTopic: 'answers',
      correlationData: new Uint8Array([0, 255]),
      userProperties,
    } as const
    for (const qos of [0, 1, 2] as const) {
      for (const retain of [false, true]) {
        const topic = `gone/${qos}/${retain}`
        await using client = await server.login({
          will: { topic, qos, retain, payload: Buffer.from('é'), properties: content },
        })
        client.drop()
        const received = await watcher.receiveMessage()
        assert.deepEqual(
          [received.topic, received.text, received.qos, received.retain],
          [topic, 'é', qos, retain],
        )
        assert.deepEqual({ ...received.properties }, content)
        await using late = await server.login({ clientId: 'late' })
        await late.subscribe(topic)
        if (retain) assert.deepEqual((await late.receiveMessage()).properties, content)
        else await late.hearsNothing()
        await late.disconnect()
      }
    }
  })

  test('without payload removes what is retained (MQTT5 3.3.1-6)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login({
      will: { topic: 'gone', payload: new Uint8Array(0), retain: true },
    })
    await client.publish('gone', 'here', { qos: 1, retain: true })
    await using watcher = await watch(server)
    assert.deepEqual(await texts(watcher, 1), ['here'])
    client.drop()
    assert.deepEqual(await texts(watcher, 1), [''])
    await watcher.subscribe('gone/#')
    await watcher.hearsNothing()
  })
})

suite('a delayed will', () => {
  // shows: MQTT5 3.1.2-8
  test('is published when the delay is over', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    await using client = await server.login(delayed(60))
    await drop(server, client)
    await watcher.hearsNothing()
    server.clock.advance(58_000)
    await watcher.hearsNothing()
    server.clock.advance(4000)
    assert.deepEqual(await texts(watcher, 1), ['gone'])
  })

  // shows: MQTT5 3.1.2-8
  test('is published when the session ends, if that is sooner', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    const short = delayed(200, { properties: { sessionExpiryInterval: 30 } })
    await using first = await server.login(short)
    await drop(server, first)
    await watcher.hearsNothing()
    server.clock.advance(28_000)
    await watcher.hearsNothing()
    server.clock.advance(4000)
    assert.deepEqual(await texts(watcher, 1), ['gone'])
    // With the connection.
    await using second = await server.login(
      delayed(200, { properties: { sessionExpiryInterval: 0 } }),
    )
    second.drop()
    assert.deepEqual(await texts(watcher, 1), ['gone'])
    // At a clean start.
    await using third = await server.login(delayed(200))
    await drop(server, third)
    await watcher.hearsNothing()
    await using clean = await server.login({ clientId: 'lamp' })
    assert.deepEqual(await texts(watcher, 1), ['gone'])
    await clean.disconnect()
    // At a goodbye that ends the session.
    await using fourth = await server.login(delayed(200))
    fourth.send({
      kind: 'disconnect',
      reasonCode: 0x04,
      properties: { sessionExpiryInterval: 0 },
    })
    assert.deepEqual(await texts(watcher, 1), ['gone'])
    server.clock.advance(300_000)
    await watcher.hearsNothing()
  })

  // shows: MQTT5 3.1.3-9, 3.1.2-8
  test('is not sent when the client is back in time', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    await using first = await server.login(delayed(60))
    await drop(server, first)
    await watcher.hearsNothing()
    server.clock.advance(50_000)
    await using second = await server.login(lasting('lamp'))
    server.clock.advance(20_000)
    await watcher.hearsNothing()
    await drop(server, second)
    server.clock.advance(300_000)
    await watcher.hearsNothing()
  })

  // shows: MQTT5 3.1.3-9
  test('is not sent when a new connection takes the session over', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    await using first = await server.login(delayed(60))
    await using second = await server.login(delayed(10))
    assert.equal((await first.receive('disconnect')).reasonCode, ReasonCode.sessionTakenOver)
    server.clock.advance(100_000)
    await watcher.hearsNothing()
    // The new one has its own.
    await drop(server, second)
    server.clock.advance(12_000)
    assert.deepEqual(await texts(watcher, 1), ['gone'])
    await watcher.hearsNothing()
  })

  test('without a delay is sent even then (MQTT5 3.1.3.2.2)', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watch(server)
    await using first = await server.login(lasting('lamp', { will }))
    await using second = await server.login(lasting('lamp'))
    assert.deepEqual(await texts(watcher, 1), ['gone'])
    await second.hearsNothing()
    assert.equal((await first.receive('disconnect')).reasonCode, ReasonCode.sessionTakenOver)
  })

  test('begins to expire when it is published (MQTT5 3.1.3.2.4)', async () => {
    await using server = await MqttServer.start()
    await using watcher = await server.login(lasting('watcher'))
    await watcher.subscribe('gone')
    await watcher.disconnect()
    const properties = { willDelayInterval: 60, messageExpiryInterval: 30 }
    await using client = await server.login(
      lasting('lamp', { will: { ...will, qos: 1, properties } }),
    )
    await drop(server, client)
    server.clock.advance(62_000)
    server.clock.advance(10_000)
    await using back = await server.login(lasting('watcher'))
    const { messageExpiryInterval } = (await back.receiveMessage()).properties
    // 20 less what passed between the end of the delay and the publication.
    assert.equal(messageExpiryInterval !== undefined && messageExpiryInterval > 15, true)
    assert.equal(messageExpiryInterval !== undefined && messageExpiryInterval <= 20, true)
  })
})
