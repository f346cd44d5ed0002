import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { MqttServer } from '../../support/mqtt-broker.ts'
import { field, packet } from '../../support/mqtt-raw.ts'
import { login, loginToStay, texts } from './clients.ts'

/** MQTT 3.1.1, 3.3 to 3.7 and 4.3: PUBLISH and its answers, retained messages, delivery. */

suite('the flags of PUBLISH', () => {
  // shows: MQTT3 3.3.1-1, 3.3.1-3, 4.3.2-1, 4.3.3-1
  test('DUP tells a subscriber whether this one comes again, whatever the publisher said', async () => {
    await using server = await MqttServer.start()
    await using client = await loginToStay(server, 'to')
    await client.subscribe('a', { qos: 2 })
    await using publisher = await login(server, 'from')
    for (const [qos, dup] of [
      [1, true],
      [2, true],
      [1, false],
    ] as const) {
      await publisher.publish('a', `${qos}`, { qos, dup })
      assert.equal((await client.receive('publish')).dup, false)
    }
    client.drop()
    await using back = await loginToStay(server, 'to')
    for (let i = 0; i < 3; i++) assert.equal((await back.receive('publish')).dup, true)
    await publisher.publish('a', 'new', { qos: 1 })
    assert.equal((await back.receive('publish')).dup, false)
  })

  // shows: MQTT3 3.3.1-2
  test('DUP is never set at QoS 0', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    await client.subscribe('a', { qos: 0 })
    await using publisher = await login(server, 'from')
    await publisher.publish('a', 'x', { qos: 1, dup: true })
    const received = await client.receiveMessage()
    assert.deepEqual([received.qos, received.dup], [0, false])
    publisher.sendBytes(packet(0x38, field('a'), '78'))
    await publisher.closed()
    await client.hearsNothing()
  })

  // shows: MQTT3 3.3.1-4
  test('QoS 3 ends the connection', async () => {
    await using server = await MqttServer.start()
    for (const first of [0x36, 0x3e, 0x37]) {
      await using client = await login(server, 'from')
      client.sendBytes(packet(first, field('a'), '0001', '78'))
      await client.closed()
    }
  })
})

suite('a retained message', () => {
  // shows: MQTT3 3.3.1-5, 3.3.1-6, 3.3.1-8, 3.1.2-7
  test('reaches subscribers to come with its QoS and the flag, after its publisher has gone', async () => {
    await using server = await MqttServer.start()
    await using publisher = await login(server, 'from')
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish(`a/${qos}`, 'old', { qos, retain: true })
      await publisher.publish(`a/${qos}`, `${qos}`, { qos, retain: true })
    }
    await publisher.publish('b', 'elsewhere', { qos: 1, retain: true })
    await publisher.disconnect()
    await using client = await login(server, 'to')
    await client.subscribe('a/+', { qos: 2 })
    const seen: string[] = []
    for (let i = 0; i < 3; i++) {
      const { topic, text, qos, retain } = await client.receiveMessage()
      seen.push(`${topic} ${text} ${qos} ${retain}`)
    }
    assert.deepEqual(seen.sort(), ['a/0 0 0 true', 'a/1 1 1 true', 'a/2 2 2 true'])
    await client.hearsNothing()
  })

  // shows: MQTT3 3.1.2-7
  test('stays when the session of its publisher ends', async () => {
    await using server = await MqttServer.start()
    await using publisher = await loginToStay(server, 'from')
    await publisher.publish('a', 'x', { qos: 1, retain: true })
    publisher.drop()
    // Another one with a clean session ends the older one.
    await using again = await login(server, 'from')
    await again.disconnect()
    await using client = await login(server, 'to')
    await client.subscribe('a')
    assert.equal((await client.receiveMessage()).text, 'x')
  })

  // shows: MQTT3 3.3.1-7
  test('of QoS 0 takes the place of any other', async () => {
    await using server = await MqttServer.start()
    await using publisher = await login(server, 'from')
    await publisher.publish('a', 'first', { qos: 2, retain: true })
    await publisher.publish('a', 'second', { qos: 0, retain: true })
    await publisher.hearsNothing()
    await using client = await login(server, 'to')
    await client.subscribe('a')
    const received = await client.receiveMessage()
    assert.deepEqual([received.text, received.qos, received.retain], ['second', 0, true])
    await client.hearsNothing()
  })

  // shows: MQTT3 3.3.1-9
  test('has no flag for who was subscribed before', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    await client.subscribe('a')
    await using publisher = await login(server, 'from')
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('a', `${qos}`, { qos, retain: true })
      const received = await client.receiveMessage()
      assert.deepEqual([received.text, received.retain], [`${qos}`, false])
    }
  })

  // shows: MQTT3 3.3.1-10, 3.3.1-11
  test('without payload is delivered, removes the other one and is not kept', async () => {
    await using server = await MqttServer.start()
    await using early = await login(server, 'early')
    await early.subscribe('#')
    await using publisher = await login(server, 'from')
    for (const qos of [0, 1, 2] as const) {
      const topic = `a/${qos}`
      await publisher.publish(topic, 'x', { qos: 1, retain: true })
      await publisher.publish(topic, '', { qos, retain: true })
      await publisher.publish(`none/${qos}`, '', { qos, retain: true })
      const received: [string, string, boolean][] = []
      for (let i = 0; i < 3; i++) {
        const { topic: own, text, retain } = await early.receiveMessage()
        received.push([own, text, retain])
      }
      assert.deepEqual(received, [
        [topic, 'x', false],
        [topic, '', false],
        [`none/${qos}`, '', false],
      ])
    }
    await publisher.hearsNothing()
    await using late = await login(server, 'late')
    await late.subscribe('#')
    await late.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_retained'), 0)
  })

  // shows: MQTT3 3.3.1-12
  test('is left alone by messages without the flag', async () => {
    await using server = await MqttServer.start()
    await using publisher = await login(server, 'from')
    await publisher.publish('a', 'kept', { qos: 1, retain: true })
    await publisher.publish('a', 'passes', { qos: 1 })
    await publisher.publish('a', '', { qos: 1 })
    await publisher.publish('b', 'passes', { qos: 1 })
    await using client = await login(server, 'to')
    await client.subscribe('#')
    assert.deepEqual(await texts(client, 1), ['kept'])
    await client.hearsNothing()
  })
})

suite('a topic name', () => {
  // shows: MQTT3 3.3.2-1, 4.7.3-1
  test('is there, and not empty', async () => {
    await using server = await MqttServer.start()
    for (const bad of [packet(0x30), packet(0x30, '00'), packet(0x30, field(''), '78')]) {
      await using client = await login(server, 'from')
      client.sendBytes(bad)
      await client.closed()
    }
    await using client = await login(server, 'from')
    client.sendBytes(packet(0x30, field('/')))
    await client.hearsNothing()
  })

  // shows: MQTT3 3.3.2-2, 4.7.1-1
  test('has no wildcards', async () => {
    await using server = await MqttServer.start()
    for (const topic of ['#', '+', 'a/#', 'a/+/b', 'a#', 'a+b']) {
      for (const first of [0x30, 0x32]) {
        await using client = await login(server, 'from')
        client.sendBytes(packet(first, field(topic), '0001'))
        await client.closed()
      }
    }
  })

  // shows: MQTT3 4.7.3-3
  test('may have 65,535 bytes', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    const topic = `${'ä'.repeat(32_767)}b`
    assert.equal(Buffer.byteLength(topic), 65_535)
    assert.equal(await client.subscribe(topic, { qos: 1 }), 1)
    await client.publish(topic, 'x', { qos: 1 })
    const received = await client.receiveMessage()
    assert.ok(received.topic === topic)
  })

  // shows: MQTT3 4.7.3-4
  test('is compared as it is', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    // The same to the eye: composed and decomposed, letters of two alphabets, with and without a slash.
    const filters = ['\u00e9', 'A', 'b', 'b/', 'c//d', ' e', '\u200bf', 'g%41']
    const others = ['e\u0301', '\u0410', 'B', '/b', 'c/d', 'e', 'f', 'gA', 'a', '/b/']
    for (const filter of filters) await client.subscribe(filter, { qos: 1 })
    await using publisher = await login(server, 'from')
    for (const topic of others) await publisher.publish(topic, 'x', { qos: 1 })
    await client.hearsNothing()
    for (const topic of filters) {
      await publisher.publish(topic, 'x', { qos: 1 })
      assert.equal((await client.receiveMessage()).topic, topic)
    }
  })
})

suite('answers', () => {
  // shows: MQTT3 3.3.4-1
  test('are none, PUBACK or PUBREC by the QoS', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'from')
    client.sendPublish('a', 'x', { qos: 0 })
    await client.hearsNothing()
    client.sendPublish('a', 'x', { qos: 1, packetId: 3 })
    assert.equal((await client.receive('puback')).packetId, 3)
    client.sendPublish('a', 'x', { qos: 2, packetId: 4 })
    assert.equal((await client.receive('pubrec')).packetId, 4)
    await client.hearsNothing()
  })

  // shows: MQTT3 3.3.5-2
  test('come for what the client may not publish, too, which goes nowhere', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { a: 'all' } } })
    await using client = await login(server, 'to')
    await client.subscribe('#')
    await using publisher = await login(server, 'from')
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('b', 'x', { qos, retain: true })
    }
    await publisher.hearsNothing()
    await client.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_retained'), 0)
    // QoS 2 to its end, as ever.
    publisher.sendPublish('b', 'x', { qos: 2, packetId: 7 })
    await publisher.receive('pubrec')
    publisher.sendPublish('b', 'x', { qos: 2, packetId: 7, dup: true })
    await publisher.receive('pubrec')
    publisher.sendAck('pubrel', 7)
    await publisher.receive('pubcomp')
    await publisher.publish('a', 'x', { qos: 1 })
    assert.equal((await client.receiveMessage()).topic, 'a')
  })

  // shows: MQTT3 4.6.0-2, 4.6.0-3
  test('come in the order of the messages', async () => {
    await using server = await MqttServer.start()
    await using stays = await loginToStay(server, 'stays')
    await stays.subscribe('lasting', { qos: 2 })
    await using client = await login(server, 'from')
    // Some have to be on disk first, others have not.
    const order = [1, 2, 3, 4, 5, 6, 7, 8]
    for (const packetId of order) {
      const topic = packetId % 2 === 0 ? 'passing' : 'lasting'
      client.sendPublish(topic, 'x', { qos: packetId % 3 === 0 ? 2 : 1, packetId })
    }
    const answered: number[] = []
    for (const packetId of order) {
      const answer = await client.receive(packetId % 3 === 0 ? 'pubrec' : 'puback')
      answered.push(answer.packetId)
    }
    assert.deepEqual(answered, order)
  })
})

suite('QoS 1', () => {
  // shows: MQTT3 4.3.2-2
  test('takes the same identifier as a new message after PUBACK, DUP or not', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    await client.subscribe('a', { qos: 1 })
    await using publisher = await login(server, 'from')
    for (const [text, dup] of [
      ['1', false],
      ['2', false],
      ['3', true],
    ] as const) {
      publisher.sendPublish('a', text, { qos: 1, packetId: 9, dup })
      assert.equal((await publisher.receive('puback')).packetId, 9)
    }
    assert.deepEqual(await texts(client, 3), ['1', '2', '3'])
  })

  // shows: MQTT3 4.3.2-1
  test('keeps a message until its own PUBACK', async () => {
    await using server = await MqttServer.start()
    await using client = await loginToStay(server, 'to')
    await client.subscribe('a', { qos: 1 })
    await using publisher = await login(server, 'from')
    await publisher.publish('a', '1', { qos: 1 })
    await publisher.publish('a', '2', { qos: 1 })
    const first = await client.receive('publish')
    const second = await client.receive('publish')
    // None of these is an answer to QoS 1.
    client.sendAck('pubcomp', first.packetId)
    client.sendAck('puback', second.packetId)
    client.sendAck('puback', second.packetId + 1)
    await client.hearsNothing()
    client.drop()
    await using back = await loginToStay(server, 'to')
    assert.equal((await back.receiveMessage()).packetId, first.packetId)
    await back.hearsNothing()
  })
})

suite('QoS 2', () => {
  // shows: MQTT3 4.3.3-2
  test('from a client is delivered once until PUBREL, and then the identifier is free', async () => {
    await using server = await MqttServer.start()
    await using client = await login(server, 'to')
    await client.subscribe('a')
    await using publisher = await login(server, 'from')
    for (const dup of [false, true, false]) {
      publisher.sendPublish('a', 'once', { qos: 2, packetId: 5, dup })
      assert.equal((await publisher.receive('pubrec')).packetId, 5)
    }
    assert.deepEqual(await texts(client, 1), ['once'])
    await client.hearsNothing()
    for (let i = 0; i < 2; i++) {
      publisher.sendAck('pubrel', 5)
      assert.equal((await publisher.receive('pubcomp')).packetId, 5)
    }
    publisher.sendPublish('a', 'again', { qos: 2, packetId: 5, dup: true })
    await publisher.receive('pubrec')
    assert.deepEqual(await texts(client, 1), ['again'])
  })

  // shows: MQTT3 4.3.3-1, 4.6.0-4
  test('to a client waits for PUBREC, and for PUBCOMP after it', async () => {
    await using server = await MqttServer.start()
    await using client = await loginToStay(server, 'to')
    await client.subscribe('a')
    await using publisher = await login(server, 'from')
    for (const text of ['1', '2', '3']) await publisher.publish('a', text, { qos: 2 })
    const sent = [
      await client.receive('publish'),
      await client.receive('publish'),
      await client.receive('publish'),
    ]
    const [one = 0, two = 0, three = 0] = sent.map(({ packetId }) => packetId)
    // PUBACK is no answer to QoS 2.
    client.sendAck('puback', one)
    client.sendAck('pubrec', two)
    client.sendAck('pubrec', one)
    assert.equal((await client.receive('pubrel')).packetId, two)
    assert.equal((await client.receive('pubrel')).packetId, one)
    client.sendAck('pubcomp', one)
    await client.hearsNothing()
    client.drop()
    await using back = await loginToStay(server, 'to')
    // The second one was received: it must not come again, its PUBREL does.
    const again = [await back.next(), await back.next()]
    assert.deepEqual(
      again.map((own) => own !== undefined && 'packetId' in own && `${own.kind} ${own.packetId}`),
      [`pubrel ${two}`, `publish ${three}`],
    )
    // PUBREC once more, as after a PUBREL that was lost.
    back.sendAck('pubrec', two)
    assert.equal((await back.receive('pubrel')).packetId, two)
    back.sendAck('pubcomp', two)
    back.sendAck('pubrec', three)
    assert.equal((await back.receive('pubrel')).packetId, three)
    back.sendAck('pubcomp', three)
    await back.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_inflight'), 0)
  })
})

// shows: MQTT3 4.3.1-1
test('QoS 0 comes once and is not sent again', async () => {
  await using server = await MqttServer.start()
  await using client = await loginToStay(server, 'to')
  await client.subscribe('a')
  await using publisher = await login(server, 'from')
  publisher.sendPublish('a', 'x')
  const received = await client.receive('publish')
  assert.deepEqual([received.qos, received.dup], [0, false])
  client.drop()
  await using back = await loginToStay(server, 'to')
  await back.hearsNothing()
})
