import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { WebSocket, createWebSocketStream } from 'ws'
import { encodePacket } from '../../../src/mqtt/packet/encode.ts'
import type { Publish } from '../../../src/mqtt/packet/packet.ts'
import { FieldServer } from '../../support/field-server.ts'
import { MqttClient, connectPacket } from '../../support/mqtt-client.ts'
import type { ConnectOptions } from '../../support/mqtt-client.ts'
import { TestClock } from '../../support/server.ts'

/*
 * What clients do and brokers get wrong: each test has its model in an issue that users of another broker, or of a client,
 * have written.
 */

function connect(server: FieldServer): Promise<MqttClient> {
  return MqttClient.connect(server.port('mqtt'))
}

async function login(server: FieldServer, options: ConnectOptions = {}): Promise<MqttClient> {
  const client = await connect(server)
  await client.login(options)
  return client
}

/** The reason code of CONNACK; undefined when the connection was closed without one. */
async function answerTo(server: FieldServer, options: ConnectOptions): Promise<number | undefined> {
  await using client = await connect(server)
  client.sendConnect(options)
  const packet = await client.next()
  if (packet === undefined) return undefined
  return packet.kind === 'connack' ? packet.reasonCode : assert.fail(packet.kind)
}

function publishPacket(topic: string, text: string): Publish {
  const payload = Buffer.from(text)
  const flags = { qos: 0, retain: false, dup: false, packetId: 0 } as const
  return { kind: 'publish', topic, payload, ...flags, properties: {} }
}

async function texts(client: MqttClient, count: number): Promise<string[]> {
  const found: string[] = []
  while (found.length < count) {
    const { topic, text, retain } = await client.receiveMessage()
    found.push(`${topic}=${text}${retain ? ' r' : ''}`)
  }
  return found
}

suite('packets that come in pieces', () => {
  // sclausen/ngx-mqtt#232, and every modem that sends a byte at a time.
  test('are put together, however they are cut', async () => {
    await using server = await FieldServer.start()
    for (const version of [3, 4, 5] as const) {
      const bytes = Buffer.concat([
        encodePacket(connectPacket({ version, clientId: `cut${version}` }), version),
        ...(['a', 'b'] as const).map((filter, i) =>
          encodePacket(
            {
              kind: 'subscribe',
              packetId: i + 1,
              subscriptions: [
                { filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
              ],
              properties: {},
            },
            version,
          ),
        ),
        encodePacket({ kind: 'pingreq' }, version),
      ])
      for (const size of [1, 2, 3, 7, bytes.length]) {
        await using client = await connect(server)
        client.speak(version)
        for (let at = 0; at < bytes.length; at += size) {
          client.sendBytes(bytes.subarray(at, at + size))
          // Each in a segment of its own.
          await new Promise(setImmediate)
        }
        assert.equal((await client.receive('connack')).reasonCode, 0)
        for (const packetId of [1, 2]) {
          assert.equal((await client.receive('suback')).packetId, packetId)
        }
        await client.receive('pingresp')
      }
    }
  })

  // hivemq/hivemq-mqtt-web-client#22: packets and frames have nothing to do with each other (MQTT5 6.0.0-2).
  test('may come in any frames of a WebSocket, and small ones go in one each', async () => {
    await using server = await FieldServer.start()
    const socket = new WebSocket(server.url('ws'), ['mqtt'])
    await once(socket, 'open')
    const frames: number[] = []
    socket.on('message', (data: Buffer) => frames.push(data.length))
    const client = new MqttClient(createWebSocketStream(socket))
    for (const byte of encodePacket(connectPacket(), 5)) socket.send(Uint8Array.of(byte))
    await client.receive('connack')
    await client.subscribe('t')
    const large = 'x'.repeat(200_000)
    await client.publish('t', large, { qos: 1 })
    assert.equal((await client.receiveMessage()).text, large)
    // COMPAT: a client that takes frames for packets gets on with small ones that come one at a time.
    frames.length = 0
    client.sendPublish('t', 'small')
    assert.equal((await client.receiveMessage()).text, 'small')
    assert.deepEqual(frames, [encodePacket(publishPacket('t', 'small'), 5).length])
    client.drop()
  })

  // emqx/emqx#3914, DrmagicE/gmqtt#23
  test('come by WebSocket with whatever other subprotocols are offered', async () => {
    await using server = await FieldServer.start()
    for (const offered of [['mqtt.cotonic.org', 'mqtt'], ['mqttv3.1'], []]) {
      const socket = new WebSocket(server.url('ws'), offered)
      await once(socket, 'open')
      assert.equal(socket.protocol, offered.at(-1) ?? '')
      await using client = new MqttClient(createWebSocketStream(socket))
      await client.login()
    }
    const other = new WebSocket(server.url('ws'), ['mqtt.cotonic.org'])
    const [error] = await once(other, 'error')
    assert.match(String(error), /400/)
  })
})

suite('client identifiers', () => {
  // moscajs/aedes#1095, emqx/emqx#599, vernemq/vernemq#15
  test('may be empty only for sessions that need not last', async () => {
    await using server = await FieldServer.start()
    const empty = { clientId: '' }
    assert.equal(await answerTo(server, { ...empty, version: 4, cleanStart: false }), 0x85)
    assert.equal(await answerTo(server, { ...empty, version: 4, cleanStart: true }), 0)
    assert.equal(await answerTo(server, { ...empty, version: 5, cleanStart: false }), 0)
  })

  // rmqtt/rmqtt#27
  test('that are empty are as many clients', async () => {
    await using server = await FieldServer.start()
    const clients: MqttClient[] = []
    for (let i = 0; i < 5; i++) clients.push(await login(server, { clientId: '', version: 4 }))
    for (const client of clients) await client.hearsNothing()
    for (const client of clients) client.drop()
  })

  // moscajs/aedes#16, knolleary/pubsubclient: 23 characters are a limit of MQTT 3.1 that nobody keeps.
  test('may be long, and hold what a topic may not', async () => {
    await using server = await FieldServer.start()
    for (const clientId of [
      'x'.repeat(24),
      'x'.repeat(1000),
      'urn:dev:mac:0024befffe804ff1',
      'a/b/#/+',
      'with space',
      'Zürich-温度',
    ]) {
      for (const version of [3, 4, 5] as const) {
        assert.equal(await answerTo(server, { clientId, version }), 0, clientId)
      }
    }
  })

  test('that differ only in upper and lower case are different clients', async () => {
    await using server = await FieldServer.start()
    await using upper = await login(server, { clientId: 'ESP-A' })
    await using lower = await login(server, { clientId: 'esp-a' })
    for (const client of [upper, lower]) await client.hearsNothing()
  })
})

suite('credentials', () => {
  // emqx/emqx#17913
  test('are malformed when MQTT 3 sends a password without a user name', async () => {
    await using server = await FieldServer.start()
    const options = { userName: undefined, clientId: 'juliet' }
    assert.equal(await answerTo(server, { ...options, version: 4 }), undefined)
    assert.equal(await answerTo(server, { ...options, version: 5 }), 0)
  })

  // rabbitmq/rabbitmq-mqtt#96, openremote/openremote#3244
  test('with an empty password, or none, let nobody in who has one', async () => {
    await using server = await FieldServer.start()
    for (const password of ['', undefined]) {
      assert.equal(await answerTo(server, { password, version: 4 }), 0x86)
      assert.equal(await answerTo(server, { password, version: 5 }), 0x86)
    }
  })

  // arendst/Tasmota#1023: a user name that is there, and empty.
  test('with an empty user name are those of the client identifier', async () => {
    await using server = await FieldServer.start()
    const options = { userName: '', clientId: 'juliet', version: 4 } as const
    assert.equal(await answerTo(server, options), 0)
    assert.equal(await answerTo(server, { ...options, clientId: 'nobody' }), 0x86)
  })
})

suite('keep alive', () => {
  // francois-normandin's LabVIEW client (MQTT-Client#17): a broker took 0 for "at once".
  test('of 0 means for ever, in each version', async () => {
    const clock = new TestClock()
    await using server = await FieldServer.start({ clock })
    for (const version of [3, 4, 5] as const) {
      await using client = await login(server, { version, keepAlive: 0 })
      clock.advance(86_400_000)
      await client.hearsNothing()
    }
  })

  // letscontrolit/ESPEasy#2840, knolleary/pubsubclient#239: who publishes need not ping.
  test('is kept by any packet', async () => {
    const clock = new TestClock()
    await using server = await FieldServer.start({ clock })
    await using client = await login(server, { version: 4, keepAlive: 10 })
    await using watcher = await login(server, { clientId: 'watcher' })
    await watcher.subscribe('t')
    for (let i = 0; i < 10; i++) {
      client.sendPublish('t', `${i}`)
      assert.equal((await watcher.receiveMessage()).text, `${i}`)
      clock.advance(9_000)
    }
    await client.hearsNothing()
  })
})

suite('wills', () => {
  // eclipse-mosquitto/mosquitto#904, letscontrolit/ESPEasy#1918: back before the old connection was missed.
  test('of the connection that is replaced come before what the new one says', async () => {
    await using server = await FieldServer.start()
    for (const version of [4, 5] as const) {
      const will = {
        topic: `status/${version}`,
        payload: Buffer.from('offline'),
        retain: true,
        qos: 1 as const,
      }
      const options = { version, clientId: `plug${version}`, will }
      await using watcher = await login(server, { clientId: 'watcher' })
      await watcher.subscribe(will.topic)
      await using old = await login(server, options)
      await old.publish(will.topic, 'online', { qos: 1, retain: true })
      await using fresh = await login(server, options)
      await fresh.publish(will.topic, 'online', { qos: 1, retain: true })
      assert.deepEqual(
        await texts(watcher, 3),
        ['online', 'offline', 'online'].map((text) => `${will.topic}=${text}`),
      )
      await watcher.unsubscribe(will.topic)
      await watcher.subscribe(will.topic)
      assert.deepEqual(await texts(watcher, 1), [`${will.topic}=online r`])
    }
  })

  // home-assistant/core: it never says DISCONNECT, so that its will is published.
  test('are published when the connection is closed in order, but without DISCONNECT', async () => {
    await using server = await FieldServer.start()
    await using watcher = await login(server, { clientId: 'watcher' })
    await watcher.subscribe('status')
    const { promise, resolve } = Promise.withResolvers<void>()
    const socket = new WebSocket(server.url('ws'), ['mqtt'])
    socket.once('open', resolve)
    await promise
    const client = new MqttClient(createWebSocketStream(socket))
    await client.login({ version: 4, clientId: 'web', will: { topic: 'status' } })
    // A browser's tab is closed: 1001, "going away".
    socket.close(1001)
    assert.deepEqual(await texts(watcher, 1), ['status=gone'])
  })

  test('that are empty and retained remove what was retained', async () => {
    await using server = await FieldServer.start()
    await using watcher = await login(server, { clientId: 'watcher' })
    await watcher.subscribe('status')
    const will = { topic: 'status', payload: Buffer.alloc(0), retain: true }
    await using client = await login(server, { version: 4, clientId: 'mortal', will })
    await client.publish('status', 'here', { qos: 1, retain: true })
    client.drop()
    assert.deepEqual(await texts(watcher, 2), ['status=here', 'status='])
    await watcher.unsubscribe('status')
    await watcher.subscribe('status')
    await watcher.hearsNothing()
  })
})

suite('QoS', () => {
  // eclipse-mosquitto/mosquitto#3602, espressif's ESP-MQTT: it repeats what is not acknowledged on the same connection.
  test('2 repeated on one connection is acknowledged each time, and delivered once', async () => {
    await using server = await FieldServer.start()
    for (const version of [4, 5] as const) {
      await using reader = await login(server, { clientId: 'reader' })
      await reader.subscribe('t')
      await using client = await login(server, { version, clientId: 'writer' })
      for (const dup of [false, true, true, true]) {
        client.sendPublish('t', 'once', { qos: 2, packetId: 9, dup })
        assert.equal((await client.receive('pubrec')).packetId, 9)
      }
      client.sendAck('pubrel', 9)
      await client.receive('pubcomp')
      assert.deepEqual(await texts(reader, 1), ['t=once'])
      await reader.hearsNothing()
    }
  })

  // moscajs/aedes#634, eclipse-mosquitto/mosquitto#918
  test('2 released twice is completed twice', async () => {
    await using server = await FieldServer.start()
    for (const version of [4, 5] as const) {
      const lasting = {
        version,
        cleanStart: false,
        ...(version === 5 && { properties: { sessionExpiryInterval: 100 } }),
      }
      await using client = await login(server, lasting)
      client.sendPublish('t', 'x', { qos: 2, packetId: 9 })
      await client.receive('pubrec')
      for (let i = 0; i < 2; i++) {
        client.sendAck('pubrel', 9)
        assert.equal((await client.receive('pubcomp')).packetId, 9)
      }
      await using back = await login(server, lasting)
      back.sendAck('pubrel', 9)
      assert.equal((await back.receive('pubcomp')).reasonCode, 0)
      await back.hearsNothing()
    }
  })

  // eclipse-mosquitto/mosquitto#3188
  test('1 that is never acknowledged stops neither QoS 0 nor the connection', async () => {
    const clock = new TestClock()
    await using server = await FieldServer.start({ clock, mqtt: { max_inflight: 2 } })
    await using forgetful = await login(server, {
      version: 4,
      clientId: 'forgetful',
      keepAlive: 60,
    })
    await forgetful.subscribe('t/#', { qos: 1 })
    await using writer = await login(server, { clientId: 'writer' })
    for (let i = 0; i < 5; i++) await writer.publish(`t/${i}`, 'x', { qos: 1 })
    for (let i = 0; i < 10; i++) {
      writer.sendPublish('t/pulse', `${i}`)
      await writer.hearsNothing()
      clock.advance(30_000)
      forgetful.send({ kind: 'pingreq' })
    }
    const heard: string[] = []
    while (heard.length < 22) {
      const packet = await forgetful.next()
      if (packet === undefined) assert.fail('It was disconnected')
      heard.push(packet.kind === 'publish' ? packet.topic : packet.kind)
    }
    // Two are under way, sent once; the other three wait.
    assert.deepEqual(heard.slice(0, 2), ['t/0', 't/1'])
    assert.equal(heard.filter((name) => name === 't/pulse').length, 10)
    assert.equal(heard.filter((name) => name === 'pingresp').length, 10)
  })
})

suite('subscriptions', () => {
  // emqx/emqx#1282
  test('of a client that was away bring it all that was missed, in order', async () => {
    await using server = await FieldServer.start()
    const lasting = { version: 4, clientId: 'lasting', cleanStart: false } as const
    const count = 1000
    {
      await using client = await login(server, lasting)
      for (let i = 0; i < count; i++) await client.subscribe(`t/${i}`, { qos: 1 })
      await client.disconnect()
    }
    await using writer = await login(server, { clientId: 'writer' })
    for (let i = 0; i < count; i++) await writer.publish(`t/${i}`, 'x', { qos: 1, retain: true })
    await using back = await login(server, lasting)
    assert.deepEqual(
      await texts(back, count),
      Array.from({ length: count }, (_, i) => `t/${i}=x`),
    )
    await back.hearsNothing()
  })

  // eclipse-mosquitto/mosquitto#1413
  test('that are refused do not end the connection, and leave the others alone', async () => {
    await using server = await FieldServer.start({
      mqtt: { access_subscribe: { 'open/#': 'all' }, max_topic_depth: 4 },
    })
    for (const version of [4, 5] as const) {
      await using client = await login(server, { version })
      const code = version === 4 ? 0x80 : 0x87
      assert.equal(await client.subscribe('closed/#'), code)
      assert.equal(await client.subscribe('open/a', { qos: 1 }), 1)
      await client.publish('open/a', 'x', { qos: 1 })
      assert.deepEqual(await texts(client, 1), ['open/a=x'])
    }
  })

  // emqx/emqx#1457, and how Home Assistant gets retained messages again
  test('made again bring what is retained again, and no message twice', async () => {
    await using server = await FieldServer.start()
    await using client = await login(server, { version: 4 })
    await client.publish('t', 'kept', { qos: 1, retain: true })
    for (let i = 0; i < 3; i++) {
      await client.subscribe('t', { qos: 1 })
      assert.deepEqual(await texts(client, 1), ['t=kept r'])
    }
    await client.publish('t', 'live', { qos: 1 })
    assert.deepEqual(await texts(client, 1), ['t=live'])
    await client.hearsNothing()
  })
})

suite('topics', () => {
  test('of other clouds, which begin with "$", do no harm', async () => {
    await using server = await FieldServer.start()
    for (const version of [4, 5] as const) {
      await using client = await login(server, { version })
      const topic = '$aws/things/lamp/shadow/update'
      assert.equal(await client.publish(topic, '{}', { qos: 1 }), version === 4 ? 0 : 0x87)
      client.sendPublish(topic, '{}')
      await client.hearsNothing()
    }
  })

  test('may be odd, deep and long', async () => {
    await using server = await FieldServer.start()
    await using client = await login(server, { version: 4 })
    await client.subscribe('#', { qos: 1 })
    for (const topic of [
      '/',
      '//',
      '/leading/and/trailing/',
      'a//b',
      'with space',
      '\u{feff}bom',
      'deep/'.repeat(100),
      'x'.repeat(65_535),
    ]) {
      await client.publish(topic, 'x', { qos: 1 })
      assert.equal((await client.receiveMessage()).topic, topic)
    }
  })
})

suite('retained messages', () => {
  // eclipse-mosquitto/mosquitto: a retained message's expiry is that of the message, whoever asks.
  test('that expire are gone for clients of all versions, and their time goes on', async () => {
    const clock = new TestClock()
    await using server = await FieldServer.start({ clock })
    await using writer = await login(server, { clientId: 'writer' })
    const properties = { messageExpiryInterval: 100 }
    await writer.publish('t', 'x', { qos: 1, retain: true, properties })
    clock.advance(40_000)
    await using modern = await login(server, { clientId: 'modern' })
    await modern.subscribe('t')
    assert.equal((await modern.receiveMessage()).properties.messageExpiryInterval, 60)
    await using old = await login(server, { clientId: 'old', version: 4 })
    await old.subscribe('t')
    assert.deepEqual(await texts(old, 1), ['t=x r'])
    clock.advance(61_000)
    for (const client of [modern, old]) {
      await client.subscribe('t')
      await client.hearsNothing()
    }
  })
})
