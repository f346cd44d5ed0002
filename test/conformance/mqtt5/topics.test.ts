import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import { endOf, packet, properties, text, u16 } from './wire.ts'

suite('topics that begin with "$"', () => {
  /** Juliet may see what the broker tells about itself. */
  const config = {
    acl: { admin: { user: 'juliet' } },
    access_rules: { configure: { allow: 'admin' } },
  }

  // shows: MQTT5 4.7.2-1
  test('are not selected by a wildcard in the first place', async () => {
    await using server = await MqttServer.start({ config })
    await using client = await server.login()
    for (const filter of [
      '#',
      '+/#',
      '+/broker/#',
      '+/broker/uptime',
      '+',
      '$share/g/#',
      '$share/g/+/+/uptime',
    ]) {
      assert.equal(await client.subscribe(filter, { qos: 0 }), 0)
      await client.hearsNothing()
    }
    // As if they were retained.
    for (const filter of ['$SYS/broker/uptime', '$SYS/+/uptime', '$SYS/broker/+']) {
      assert.equal(await client.subscribe(filter, { qos: 0 }), 0)
      const { topic, retain } = await client.receiveMessage()
      assert.deepEqual([topic.startsWith('$SYS/broker/'), retain], [true, true])
      client.send({ kind: 'pingreq' })
      while ((await client.next())?.kind !== 'pingresp');
      await client.unsubscribe(filter)
    }
    // And as they are published.
    await client.subscribe('$SYS/broker/uptime', { qos: 0, retainHandling: 2, identifier: 7 })
    for (let i = 0; i < 3; i++) {
      server.clock.advance(11_000)
      const received = await client.receiveMessage()
      assert.equal(received.topic, '$SYS/broker/uptime')
      assert.deepEqual(received.properties.subscriptionIdentifiers, [7])
    }
    await client.unsubscribe('$SYS/broker/uptime')
    server.clock.advance(31_000)
    await client.hearsNothing()
  })

  test('are not for clients to publish to (MQTT5 4.7.2)', async () => {
    await using server = await MqttServer.start({ config })
    await using client = await server.login()
    await client.subscribe('$SYS/broker/version', { qos: 0 })
    await client.receiveMessage()
    for (const qos of [1, 2] as const) {
      for (const topic of ['$SYS/broker/version', '$SYS', '$', '$share/g/a', '$a/b']) {
        const reason = await client.publish(topic, 'x', { qos, retain: true })
        assert.equal(reason, ReasonCode.notAuthorized, topic)
      }
    }
    await client.hearsNothing()
  })
})

suite('topic names and filters', () => {
  // shows: MQTT5 4.7.3-4
  test('are not normalized: each spelling is another topic', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const topics = [
      'caf\u00e9',
      'cafe\u0301',
      'CAF\u00c9',
      'Caf\u00e9',
      'a/b',
      'A/b',
      'a/b/',
      '/a/b',
      'a//b',
      'a /b',
      ' a/b',
      'a/./b',
      'a/../a/b',
      'a%2fb',
      'a\\b',
      '\ufb01',
      'fi',
      '\u212b',
      '\u00c5',
      'A\u030a',
      '\u200da',
      'a\u00adb',
    ]
    for (const [i, topic] of topics.entries()) {
      await client.subscribe(topic, { qos: 0, identifier: i + 1 })
    }
    for (const retain of [false, true]) {
      for (const [i, topic] of topics.entries()) {
        client.sendPublish(topic, 'x', { retain })
        const received = await client.receiveMessage()
        assert.equal(received.topic, topic)
        assert.deepEqual(received.properties.subscriptionIdentifiers, [i + 1], topic)
        await client.hearsNothing()
      }
    }
    // Nor for retained messages.
    for (const topic of topics) {
      await using late = await server.login({ clientId: 'late' })
      await late.subscribe(topic)
      assert.equal((await late.receiveMessage()).topic, topic)
      await late.hearsNothing()
    }
    assert.equal(server.metric('linnet_mqtt_retained'), topics.length)
  })

  // shows: MQTT5 4.7.3-1
  test('have one character at least', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    assert.equal(await client.subscribe('a', { qos: 0 }), 0)
    client.sendPublish('a', 'x')
    assert.equal((await client.receiveMessage()).topic, 'a')
    const filter = packet(0x82, u16(1), properties(), text(''), Buffer.from([0]))
    assert.equal(await endOf(server, filter), ReasonCode.topicFilterInvalid)
    const name = packet(0x30, text(''), properties())
    assert.equal(await endOf(server, name), ReasonCode.protocolError)
  })

  // shows: MQTT5 4.7.3-3
  test('have up to 65,535 bytes', async () => {
    await using server = await MqttServer.start({ module: { max_topic_depth: 'infinity' } })
    await using client = await server.login()
    const longest = ['é'.repeat(32_767) + 'x', 'x'.repeat(65_535), 'a/'.repeat(32_767) + 'b']
    for (const topic of longest) {
      assert.equal(Buffer.byteLength(topic), 65_535)
      assert.equal(await client.subscribe(topic, { qos: 0 }), 0)
      client.sendPublish(topic, 'x')
      const received = await client.receiveMessage()
      assert.equal(received.topic === topic, true)
    }
  })

  // shows: MQTT5 4.7.1-1, 4.7.1-2
  test('may have wildcards in filters, at levels of their own', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    const filters: readonly (readonly [string, readonly string[]])[] = [
      ['#', ['a', 'a/b', '/']],
      ['a/#', ['a', 'a/', 'a/b', 'a/b/c']],
      ['+', ['a', 'b']],
      ['+/+', ['a/b', '/', '/a', 'a/']],
      ['a/+/c', ['a/b/c', 'a//c']],
      ['+/b/#', ['a/b', 'a/b/c', '/b']],
      ['/+', ['/', '/a']],
    ]
    for (const [filter, topics] of filters) {
      assert.equal(await client.subscribe(filter, { qos: 0 }), 0)
      for (const topic of topics) {
        client.sendPublish(topic, 'x')
        assert.equal((await client.receiveMessage()).topic, topic, filter)
      }
      await client.unsubscribe(filter)
    }
    // Neither wildcard selects one level more or less.
    for (const [filter, topic] of [
      ['+', '/a'],
      ['a/+', 'a'],
      ['a/+', 'a/b/c'],
      ['a/+/c', 'a/c'],
      ['a/#', 'ab'],
      ['a/#', 'b/a'],
      ['/#', 'a'],
    ] as const) {
      await client.subscribe(filter, { qos: 0 })
      client.sendPublish(topic, 'x')
      await client.hearsNothing()
      await client.unsubscribe(filter)
    }
  })
})
