import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { freePort } from '../../support/ejabberd.ts'
import { FieldServer, password, ways } from '../../support/field-server.ts'
import { JsClient, levels } from '../../support/mqtt-js.ts'
import { Folder } from '../../support/process.ts'
import { ScramClient } from '../../support/scram-client.ts'
import { TestClock } from '../../support/server.ts'

const qosLevels = [0, 1, 2] as const

for (const way of ways) {
  for (const protocolVersion of levels) {
    test(`mqtt.js converses over ${way}, level ${protocolVersion}`, async () => {
      await using server = await FieldServer.start()
      const options = { way, protocolVersion }
      await using reader = await JsClient.connect(server, { ...options, clientId: 'reader' })
      await using writer = await JsClient.connect(server, { ...options, clientId: 'writer' })
      const granted = await reader.client.subscribeAsync({
        'room/+': { qos: 2 },
        'hall/#': { qos: 1 },
        cellar: { qos: 0 },
      })
      assert.deepEqual(
        granted.map(({ qos }) => qos).toSorted((a, b) => a - b),
        [0, 1, 2],
      )
      for (const topic of ['room/kitchen', 'hall', 'cellar', 'attic']) {
        for (const qos of qosLevels) await writer.client.publishAsync(topic, `${qos}`, { qos })
      }
      await writer.client.publishAsync('room/large', 'x'.repeat(1_000_000), {
        qos: 2,
        retain: true,
      })
      assert.deepEqual(await reader.inbox.take(9), [
        ...['room/kitchen=0 0', 'room/kitchen=1 1', 'room/kitchen=2 2'],
        ...['hall=0 0', 'hall=1 1', 'hall=2 1'],
        ...['cellar=0 0', 'cellar=1 0', 'cellar=2 0'],
      ])
      assert.deepEqual(await reader.inbox.take(1), [`room/large=${'x'.repeat(1_000_000)} 2`])
      // Unsubscribed, and subscribed anew: the retained message comes again.
      await reader.client.unsubscribeAsync(['room/+', 'hall/#'])
      await writer.client.publishAsync('room/kitchen', 'unheard', { qos: 1 })
      await reader.client.subscribeAsync('room/#', { qos: 0 })
      const [again = ''] = await reader.inbox.take(1)
      assert.match(again, /^room\/large=x{1000000} 0r$/)
      for (const each of [reader, writer]) await each.end()
    })
  }
}

suite('mqtt.js comes back by itself', () => {
  for (const way of ['mqtt', 'wss'] as const) {
    for (const protocolVersion of levels) {
      const session = {
        way,
        protocolVersion,
        clean: false,
        reconnectPeriod: 10,
        ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 300 } }),
      }

      test(`and loses and doubles nothing of QoS 2 (${way}, level ${protocolVersion})`, async () => {
        await using server = await FieldServer.start()
        await using reader = await JsClient.connect(server, { ...session, clientId: 'reader' })
        await using writer = await JsClient.connect(server, { ...session, clientId: 'writer' })
        await reader.client.subscribeAsync('t', { qos: 2 })
        const rounds = 6
        const count = 50
        const expected: number[] = []
        for (let round = 0; round < rounds; round++) {
          const isBack = [reader, writer].map((each) => each.next('connect'))
          const numbers = Array.from({ length: count }, (_, i) => round * count + i)
          expected.push(...numbers)
          const sent = numbers.map((i) => writer.client.publishAsync('t', `${i}`, { qos: 2 }))
          // Somewhere in the middle of it: at another place each time.
          await writer.receives(1 + round * 15)
          for (const each of [reader, writer]) each.drop()
          await Promise.all([...sent, ...isBack])
        }
        const lines = await reader.inbox.take(expected.length)
        await writer.client.publishAsync('t', 'end', { qos: 2 })
        assert.deepEqual(await reader.inbox.take(1), ['t=end 2'])
        // What a client sends again after a reconnection may come behind what it sent first.
        const numbers = lines.map((line) => Number(line.slice(2, -2)))
        assert.deepEqual(
          numbers.sort((a, b) => a - b),
          expected,
        )
      })
    }
  }

  test('when the server was started again', async () => {
    using data = new Folder()
    const port = await freePort()
    const session = {
      clean: false,
      reconnectPeriod: 20,
      properties: { sessionExpiryInterval: 300 },
    }
    let server = await FieldServer.start({ dataDir: data.path, port })
    await using reader = await JsClient.connect(server, { ...session, clientId: 'reader' })
    await using writer = await JsClient.connect(server, { ...session, clientId: 'writer' })
    try {
      await reader.client.subscribeAsync('t', { qos: 1 })
      await writer.client.publishAsync('t', 'before', { qos: 1 })
      assert.deepEqual(await reader.inbox.take(1), ['t=before 1'])
      await Promise.all([server[Symbol.asyncDispose](), reader.next('close'), writer.next('close')])
      // Kept by the client until there is a server.
      const meanwhile = writer.client.publishAsync('t', 'meanwhile', { qos: 2 })
      server = await FieldServer.start({ dataDir: data.path, port })
      await meanwhile
      assert.deepEqual(await reader.inbox.take(1), ['t=meanwhile 1'])
    } finally {
      await server[Symbol.asyncDispose]()
    }
  })
})

suite('mqtt.js with MQTT 5', () => {
  test('uses topic aliases in both directions', async () => {
    await using server = await FieldServer.start()
    await using reader = await JsClient.connect(server, {
      clientId: 'reader',
      properties: { topicAliasMaximum: 5 },
    })
    await using writer = await JsClient.connect(server, {
      clientId: 'writer',
      autoAssignTopicAlias: true,
      autoUseTopicAlias: true,
    })
    const received: number[] = []
    const sent: number[] = []
    const lengthOf = (packet: { cmd?: string | undefined; topic?: unknown }): number | undefined =>
      packet.cmd === 'publish' && typeof packet.topic === 'string' ? packet.topic.length : undefined
    // As they travel: mqtt.js puts the topic in place of the alias only in its own copy.
    writer.client.on('packetsend', (packet) => sent.push(lengthOf(packet) ?? -1))
    reader.client.on('packetreceive', (packet) => received.push(lengthOf(packet) ?? -1))
    await reader.client.subscribeAsync('a/#', { qos: 1 })
    const topics = Array.from({ length: 8 }, (_, i) => `a/long/topic/${i}`)
    const expected: string[] = []
    for (let round = 0; round < 3; round++) {
      for (const topic of topics) {
        await writer.client.publishAsync(topic, `${round}`, { qos: 1 })
        expected.push(`${topic}=${round} 1`)
      }
    }
    assert.deepEqual(await reader.inbox.take(expected.length), expected)
    assert.ok(received.includes(0), 'The server used no alias')
    assert.ok(sent.includes(0), 'mqtt.js used no alias')
  })

  test('asks and answers', async () => {
    await using server = await FieldServer.start()
    await using client = await JsClient.connect(server, { clientId: 'client' })
    await using service = await JsClient.connect(server, { clientId: 'service', user: 'romeo' })
    await service.client.subscribeAsync('service/time', { qos: 1 })
    await client.client.subscribeAsync('answers/client', { qos: 1 })
    const correlationData = Buffer.from([0, 1, 2, 255])
    await client.client.publishAsync('service/time', 'now?', {
      qos: 1,
      properties: {
        responseTopic: 'answers/client',
        correlationData,
        contentType: 'text/plain',
        payloadFormatIndicator: true,
        messageExpiryInterval: 100,
        userProperties: { zone: ['Europe/Paris', 'UTC'], lang: 'fr' },
      },
    })
    const { properties = {} } = await service.inbox.packet()
    assert.equal(properties.contentType, 'text/plain')
    assert.equal(properties.payloadFormatIndicator, true)
    assert.deepEqual(
      { ...properties.userProperties },
      { zone: ['Europe/Paris', 'UTC'], lang: 'fr' },
    )
    assert.deepEqual(properties.correlationData, correlationData)
    const { responseTopic = '' } = properties
    await service.client.publishAsync(responseTopic, 'noon', {
      qos: 1,
      properties: { correlationData },
    })
    const answer = await client.inbox.packet()
    assert.equal(answer.payload.toString(), 'noon')
    assert.deepEqual(answer.properties?.correlationData, correlationData)
  })

  test('has the options of its subscriptions heeded', async () => {
    await using server = await FieldServer.start()
    await using client = await JsClient.connect(server, { clientId: 'client' })
    await client.client.publishAsync('kept/a', 'old', { qos: 1, retain: true })
    const { client: mqtt, inbox } = client
    await mqtt.subscribeAsync('kept/#', { qos: 1, nl: true, rh: 2 })
    await mqtt.subscribeAsync('own/#', {
      qos: 1,
      rap: true,
      properties: { subscriptionIdentifier: 7 },
    })
    await mqtt.publishAsync('kept/b', 'own, and not to be heard', { qos: 1 })
    await mqtt.publishAsync('own/a', 'own', { qos: 1, retain: true })
    const packet = await inbox.packet()
    assert.equal(packet.topic, 'own/a')
    assert.equal(packet.retain, true)
    assert.equal(packet.properties?.subscriptionIdentifier, 7)
    assert.deepEqual(inbox.lines, [])
  })

  test('has its will wait, and forgotten when it is back in time', async () => {
    const clock = new TestClock()
    await using server = await FieldServer.start({ clock })
    const options = {
      clientId: 'mortal',
      clean: false,
      properties: { sessionExpiryInterval: 100 },
      will: {
        topic: 'will',
        payload: Buffer.from('gone'),
        qos: 1 as const,
        retain: false,
        properties: { willDelayInterval: 10, contentType: 'text/plain' },
      },
    }
    await using witness = await JsClient.connect(server, { clientId: 'witness' })
    await witness.client.subscribeAsync('will', { qos: 1 })
    const departed = async (client: JsClient): Promise<void> => {
      const noticed = server.gone('mortal')
      client.drop()
      await noticed
    }
    await using first = await JsClient.connect(server, options)
    await departed(first)
    clock.advance(9_000)
    await using second = await JsClient.connect(server, options)
    clock.advance(20_000)
    await witness.client.publishAsync('will', 'not yet', { qos: 1 })
    assert.deepEqual(await witness.inbox.take(1), ['will=not yet 1'])
    await departed(second)
    clock.advance(11_000)
    const will = await witness.inbox.packet()
    assert.equal(will.payload.toString(), 'gone')
    assert.equal(will.properties?.contentType, 'text/plain')
  })

  test('has its will published when it leaves with reason 4, and not with 0', async () => {
    await using server = await FieldServer.start()
    await using witness = await JsClient.connect(server, { clientId: 'witness' })
    await witness.client.subscribeAsync('will/#', { qos: 1 })
    for (const reasonCode of [0, 4]) {
      await using client = await JsClient.connect(server, {
        clientId: `client${reasonCode}`,
        will: { topic: `will/${reasonCode}`, payload: Buffer.from(''), qos: 1, retain: false },
      })
      await client.client.endAsync(false, { reasonCode })
    }
    assert.deepEqual(await witness.inbox.take(1), ['will/4= 1'])
  })

  test('is told why it has to go', async () => {
    await using server = await FieldServer.start()
    await using first = await JsClient.connect(server, { clientId: 'same' })
    const told = first.next('disconnect')
    await using second = await JsClient.connect(server, { clientId: 'same' })
    assert.equal((await told).reasonCode, 0x8e)
    const stopped = second.next('disconnect')
    await server.server.server[Symbol.asyncDispose]()
    assert.equal((await stopped).reasonCode, 0x8b)
  })

  test('publishes more at once than any Receive Maximum, which it does not know', async () => {
    await using server = await FieldServer.start()
    await using reader = await JsClient.connect(server, {
      clientId: 'reader',
      properties: { receiveMaximum: 10 },
    })
    await using writer = await JsClient.connect(server, { clientId: 'writer' })
    await reader.client.subscribeAsync('t', { qos: 2 })
    const numbers = Array.from({ length: 3000 }, (_, i) => i)
    const sent = numbers.map((i) =>
      writer.client.publishAsync('t', `${i}`, { qos: i % 2 === 0 ? 1 : 2 }),
    )
    await Promise.all(sent)
    const lines = await reader.inbox.take(numbers.length)
    // mqtt.js hands messages of QoS 2 to the application when they are released.
    assert.deepEqual(
      lines.map((line) => Number(line.slice(2, -2))).sort((a, b) => a - b),
      numbers,
    )
  })

  test('signs in by SCRAM, and sees that the server knows its keys (MQTT5 4.12)', async () => {
    await using server = await FieldServer.start()
    const method = 'SCRAM-SHA-256'
    for (const secret of [password, 'wrong']) {
      const scram = new ScramClient({ hash: 'sha256', userName: 'juliet', password: secret })
      await using js = JsClient.start(server, {
        clientId: 'scram',
        withoutPassword: true,
        properties: { authenticationMethod: method, authenticationData: scram.first() },
      })
      js.client.handleAuth = ({ properties = {} }, answer) => {
        const { authenticationData = Buffer.alloc(0) } = properties
        answer(undefined, {
          cmd: 'auth',
          reasonCode: 0x18,
          properties: {
            authenticationMethod: method,
            authenticationData: scram.final(authenticationData),
          },
        })
      }
      if (secret === password) {
        const { properties } = await js.next('connect')
        assert.ok(scram.accepts(properties?.authenticationData ?? Buffer.alloc(0)))
        await js.client.subscribeAsync('t', { qos: 1 })
        await js.client.publishAsync('t', 'x', { qos: 1 })
        assert.deepEqual(await js.inbox.take(1), ['t=x 1'])
      } else {
        const error = await js.next('error')
        assert.match(String(error), /Not authorized|Bad User Name/)
      }
    }
  })

  test('pings, and is answered', async () => {
    await using server = await FieldServer.start()
    await using client = await JsClient.connect(server, { keepalive: 1 })
    for (let i = 0; i < 2; i++) {
      for (;;) {
        const packet = await client.next('packetreceive')
        if (packet.cmd === 'pingresp') break
      }
    }
    assert.equal(client.client.connected, true)
  })
})
