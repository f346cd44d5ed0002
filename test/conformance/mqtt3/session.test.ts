import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { MqttServer } from '../../support/mqtt-broker.ts'
import { gone, login, loginToStay, texts } from './clients.ts'

/** MQTT 3.1.1, 3.1.2.4, 4.1 and 4.4 to 4.6: sessions, what waits in them, order. */

suite('a session', () => {
  // shows: MQTT3 3.1.2-4, 4.1.0-1
  test('without CleanSession goes on, with its subscriptions and what is in flight', async () => {
    await using server = await MqttServer.start()
    await using client = await loginToStay(server, 'to')
    await client.subscribe('a', { qos: 1 })
    await using publisher = await login(server, 'from')
    await publisher.publish('a', 'first', { qos: 1 })
    const { packetId } = await client.receive('publish')
    client.drop()
    await using back = await server.connect()
    const connack = await back.login({ version: 4, clientId: 'to', cleanStart: false })
    assert.equal(connack.sessionPresent, true)
    const again = await back.receiveMessage()
    assert.deepEqual([again.text, again.packetId], ['first', packetId])
    await publisher.publish('a', 'second', { qos: 1 })
    assert.deepEqual(await texts(back, 1), ['second'])
  })

  // shows: MQTT3 3.1.2-4, 4.1.0-1
  test('survives the server', async () => {
    await using server = await MqttServer.start()
    await using client = await loginToStay(server, 'to')
    await client.subscribe('a', { qos: 2 })
    await using publisher = await login(server, 'from')
    await publisher.publish('a', 'kept', { qos: 2 })
    const file = await server.crash()
    await using next = await MqttServer.start({ file, clock: server.clock })
    await using back = await loginToStay(next, 'to')
    assert.deepEqual(await texts(back, 1), ['kept'])
  })

  // shows: MQTT3 3.1.2-5, 4.5.0-1
  test('keeps messages of QoS 1 and 2 for a client that is away', async () => {
    await using server = await MqttServer.start()
    for (const id of ['one', 'two']) {
      await using client = await loginToStay(server, id)
      await client.subscribe('a/#')
      await client.subscribe(id)
      await client.disconnect()
    }
    await using other = await loginToStay(server, 'other')
    await other.subscribe('b')
    await other.disconnect()
    await using publisher = await login(server, 'from')
    await publisher.publish('a/1', '1', { qos: 1 })
    await publisher.publish('a/2', '2', { qos: 2 })
    await publisher.publish('two', '3', { qos: 1 })
    for (const [id, expected] of [
      ['one', ['1', '2']],
      ['two', ['1', '2', '3']],
      ['other', []],
    ] as const) {
      await using back = await loginToStay(server, id)
      assert.deepEqual(await texts(back, expected.length), expected)
      await back.hearsNothing()
    }
  })

  // shows: MQTT3 3.1.2-6, 3.1.4-3
  test('with CleanSession begins anew and leaves nothing behind', async () => {
    await using server = await MqttServer.start()
    await using client = await loginToStay(server, 'x')
    await client.subscribe('a', { qos: 1 })
    await client.disconnect()
    await using publisher = await login(server, 'from')
    await publisher.publish('a', 'lost', { qos: 1 })
    await using clean = await login(server, 'x')
    await publisher.publish('a', 'lost', { qos: 1 })
    await clean.hearsNothing()
    await clean.subscribe('b', { qos: 1 })
    clean.sendPublish('c', 'x', { qos: 2, packetId: 3 })
    await clean.receive('pubrec')
    await clean.disconnect()
    await publisher.publish('b', 'lost', { qos: 1 })
    await using back = await server.connect()
    const connack = await back.login({ version: 4, clientId: 'x', cleanStart: false })
    assert.equal(connack.sessionPresent, false)
    await publisher.publish('a', 'lost', { qos: 1 })
    await publisher.publish('b', 'lost', { qos: 1 })
    await back.hearsNothing()
    // The packet identifier of before is free.
    await back.subscribe('c', { qos: 0 })
    back.sendPublish('c', 'new', { qos: 2, packetId: 3 })
    assert.equal((await back.receiveMessage()).text, 'new')
  })

  // shows: MQTT3 3.1.2-6
  test('with CleanSession does not outlive a connection that breaks', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'x')
    await client.subscribe('a', { qos: 1 })
    client.drop()
    await gone(server, 'x')
    assert.equal(server.metric('linnet_mqtt_sessions'), 0)
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 0)
  })

  // shows: MQTT3 4.1.0-2
  test('lasts as long as the connection, whatever session_expiry says', async () => {
    await using server = await MqttServer.start({ module: { session_expiry: '1 minute' } })
    await using clean = await login(server, 'clean')
    await using stays = await loginToStay(server, 'stays')
    for (const client of [clean, stays]) await client.subscribe('a', { qos: 1 })
    for (let i = 0; i < 10; i++) {
      server.clock.advance(100_000)
      await clean.hearsNothing()
    }
    await clean.publish('a', 'x', { qos: 1 })
    for (const client of [clean, stays]) assert.equal((await client.receiveMessage()).text, 'x')
  })

  // shows: MQTT3 3.1.2-4
  test('is taken over by a client that connects again, with all that is in it', async () => {
    await using server = await MqttServer.start()
    await using older = await loginToStay(server, 'x')
    await older.subscribe('a', { qos: 1 })
    await older.publish('a', '1', { qos: 1 })
    await using newer = await loginToStay(server, 'x')
    assert.deepEqual(await texts(newer, 1), ['1'])
    await newer.publish('a', '2', { qos: 1 })
    assert.deepEqual(await texts(newer, 1), ['2'])
  })
})

suite('what is sent again', () => {
  // shows: MQTT3 4.4.0-1, 4.6.0-1, 2.3.1-4
  test('comes in its first order with its identifiers, PUBREL too', async () => {
    await using server = await MqttServer.start()
    await using client = await loginToStay(server, 'to')
    await client.subscribe('#')
    await using publisher = await login(server, 'from')
    const expected: string[] = []
    for (let i = 0; i < 12; i++) {
      await publisher.publish(`${i % 3}`, `${i}`, { qos: i % 2 === 0 ? 1 : 2 })
      const { packetId } = await client.receive('publish')
      if (i === 3 || i === 7) {
        client.sendAck('pubrec', packetId)
        await client.receive('pubrel')
        expected.push(`pubrel ${packetId}`)
      } else if (i === 4) client.sendAck('puback', packetId)
      else expected.push(`publish ${packetId} ${i}`)
    }
    await client.hearsNothing()
    // More waits behind it, and twice nothing is acknowledged.
    for (let round = 0; round < 2; round++) {
      client.drop()
      await gone(server, 'to')
      await using back = await loginToStay(server, 'to')
      const seen: string[] = []
      while (seen.length < expected.length) {
        const packet = await back.next()
        if (packet?.kind === 'pubrel') seen.push(`pubrel ${packet.packetId}`)
        else if (packet?.kind === 'publish') {
          assert.equal(packet.dup, true)
          seen.push(`publish ${packet.packetId} ${Buffer.from(packet.payload).toString()}`)
        } else assert.fail(packet?.kind)
      }
      assert.deepEqual(seen, expected)
      await back.hearsNothing()
      back.drop()
      await gone(server, 'to')
    }
  })

  // shows: MQTT3 4.6.0-1, 4.6.0-6
  test('comes before what waited, and that before what is new', async () => {
    await using server = await MqttServer.start({ module: { max_inflight: 3 } })
    await using client = await loginToStay(server, 'to')
    await client.subscribe('a', { qos: 1 })
    await using publisher = await login(server, 'from')
    for (let i = 0; i < 8; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    for (let i = 0; i < 3; i++) await client.receive('publish')
    await client.hearsNothing()
    client.drop()
    await gone(server, 'to')
    await publisher.publish('a', '8', { qos: 1 })
    await using back = await loginToStay(server, 'to')
    await publisher.publish('a', '9', { qos: 1 })
    assert.deepEqual(
      await texts(back, 10),
      Array.from({ length: 10 }, (_, i) => `${i}`),
    )
  })

  // shows: MQTT3 4.3.3-2, 4.4.0-1
  test('by a client after a reconnection is no second message', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    await client.subscribe('a')
    await using publisher = await loginToStay(server, 'from')
    publisher.sendPublish('a', 'once', { qos: 2, packetId: 5 })
    await publisher.receive('pubrec')
    publisher.drop()
    await using back = await loginToStay(server, 'from')
    back.sendPublish('a', 'once', { qos: 2, packetId: 5, dup: true })
    assert.equal((await back.receive('pubrec')).packetId, 5)
    back.sendAck('pubrel', 5)
    await back.receive('pubcomp')
    assert.deepEqual(await texts(client, 1), ['once'])
    await client.hearsNothing()
  })
})

suite('order', () => {
  for (const qos of [0, 1, 2] as const) {
    // shows: MQTT3 4.6.0-5, 4.6.0-6
    test(`of messages of QoS ${qos} is kept, in one topic and over several`, async () => {
      await using server = await MqttServer.start({ module: { max_inflight: 5 } })
      await using client = await loginToStay(server, 'to')
      await client.subscribe('a/#')
      await using publisher = await login(server, 'from')
      const expected: string[] = []
      for (let i = 0; i < 100; i++) {
        const topic = `a/${i % 7 === 0 ? 'other' : 'main'}`
        const packetId = qos === 0 ? 0 : i + 1
        publisher.sendPublish(topic, `${i}`, { qos, packetId })
        expected.push(`${i}`)
      }
      assert.deepEqual(await texts(client, 100), expected)
    })
  }

  // shows: MQTT3 4.6.0-6
  test('is kept for each subscriber, however slow it is', async () => {
    await using server = await MqttServer.start({ module: { max_inflight: 2 } })
    await using quick = await login(server, 'quick')
    await using slow = await login(server, 'slow')
    for (const client of [quick, slow]) await client.subscribe('a', { qos: 1 })
    await using publisher = await login(server, 'from')
    const expected = Array.from({ length: 20 }, (_, i) => `${i}`)
    for (const text of expected) await publisher.publish('a', text, { qos: 1 })
    assert.deepEqual(await texts(quick, 20), expected)
    assert.deepEqual(await texts(slow, 20), expected)
  })
})
