import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { freePort } from '../../support/ejabberd.ts'
import { FieldServer, ways } from '../../support/field-server.ts'
import { Paho, noPaho } from '../../support/paho.ts'
import { Folder } from '../../support/process.ts'

const options = { skip: noPaho }
const qosLevels = [0, 1, 2] as const

for (const way of ways) {
  for (const version of [3, 4, 5] as const) {
    suite(`Paho for Python over ${way}, level ${version}`, options, () => {
      test('publishes, receives, and finds what was retained', async () => {
        await using server = await FieldServer.start()
        await using reader = await Paho.connect(server, { way, version, clientId: 'reader' })
        await using writer = await Paho.connect(server, { way, version, clientId: 'writer' })
        const filters = [['room/+', 2] as const, ['hall/#', 1] as const, ['cellar', 0] as const]
        assert.deepEqual(await reader.subscribe(filters), [2, 1, 0])
        for (const topic of ['room/å', 'hall', 'cellar']) {
          await writer.publish(
            ...qosLevels.map((qos) => ({ topic, payload: `${qos} °C`, qos, retain: qos === 2 })),
          )
        }
        const received = (await reader.take(9)).sort()
        assert.deepEqual(received, [
          ...['cellar=0 °C 0', 'cellar=1 °C 0', 'cellar=2 °C 0'],
          ...['hall=0 °C 0', 'hall=1 °C 1', 'hall=2 °C 1'],
          ...['room/å=0 °C 0', 'room/å=1 °C 1', 'room/å=2 °C 2'],
        ])
        assert.deepEqual(await writer.subscribe([['room/å', 2]]), [2])
        assert.deepEqual(await writer.take(1), ['room/å=2 °C 2r'])
        await reader.does('unsubscribe', { filters: ['room/+', 'hall/#'] })
        const large = 'x'.repeat(300_000)
        await writer.publish({ topic: 'room/b', payload: 'unheard', qos: 1 })
        await writer.publish({ topic: 'cellar', payload: large, qos: 1 })
        assert.deepEqual(await reader.take(1), [`cellar=${large} 0`])
      })

      test('has its will published when it dies, not when it leaves', async () => {
        await using server = await FieldServer.start()
        await using witness = await Paho.connect(server, { way, version, clientId: 'witness' })
        await witness.subscribe([['status/#', 1]])
        const will = (name: string) =>
          ({ topic: `status/${name}`, payload: 'gone', qos: 1, retain: true }) as const
        const named = (clientId: string) => ({ way, version, clientId, will: will(clientId) })
        await using polite = await Paho.connect(server, named('polite'))
        await using mortal = await Paho.connect(server, named('mortal'))
        await polite.does('disconnect')
        await mortal.kill()
        assert.deepEqual(await witness.take(1), ['status/mortal=gone 1'])
        await witness.does('unsubscribe', { filters: ['status/#'] })
        await witness.subscribe([['status/#', 1]])
        assert.deepEqual(await witness.take(1), ['status/mortal=gone 1r'])
      })
    })
  }
}

suite('Paho for Python comes back to its session', options, () => {
  for (const version of [4, 5] as const) {
    const lasting = {
      version,
      clean: false,
      ...(version === 5 && { properties: { SessionExpiryInterval: 300 } }),
    }

    test(`when its connection broke, level ${version}`, async () => {
      await using server = await FieldServer.start()
      await using reader = await Paho.connect(server, { ...lasting, clientId: 'reader' })
      await using writer = await Paho.connect(server, { ...lasting, clientId: 'writer' })
      await reader.subscribe([['t', 2]])
      // Paho has no more than 20 of them under way: the rest is in its queue when the connection breaks.
      const count = 200
      const messages = Array.from({ length: count }, (_, i) => ({
        topic: 't',
        payload: `${i}`,
        qos: 2 as const,
      }))
      const sent = writer.publish(...messages)
      const first = await reader.take(50)
      for (const each of [reader, writer]) each.send({ do: 'drop' })
      const { sessionPresent } = await reader.event('connect')
      assert.equal(sessionPresent, true)
      await sent
      const numbers = [...first, ...(await reader.take(count - 50))].map((line) =>
        Number.parseInt(line.slice(2), 10),
      )
      assert.deepEqual(
        numbers.toSorted((a, b) => a - b),
        messages.map(({ payload }) => Number(payload)),
      )
    })

    test(`when the server was started again, level ${version}`, async () => {
      using data = new Folder()
      const port = await freePort()
      let server = await FieldServer.start({ dataDir: data.path, port })
      await using reader = await Paho.connect(server, { ...lasting, clientId: 'reader' })
      try {
        await reader.subscribe([['t', 1]])
        await server[Symbol.asyncDispose]()
        await reader.event('disconnect')
        server = await FieldServer.start({ dataDir: data.path, port })
        const { code, sessionPresent } = await reader.event('connect')
        assert.deepEqual([code, sessionPresent], [0, true])
        await using writer = await Paho.connect(server, { version, clientId: 'writer' })
        await writer.publish({ topic: 't', payload: 'again', qos: 1 })
        assert.deepEqual(await reader.take(1), ['t=again 1'])
      } finally {
        await server[Symbol.asyncDispose]()
      }
    })
  }
})

suite('Paho for Python with MQTT 5', options, () => {
  const version = 5

  test('hands properties on', async () => {
    await using server = await FieldServer.start()
    await using reader = await Paho.connect(server, { version, clientId: 'reader' })
    await using writer = await Paho.connect(server, { version, clientId: 'writer' })
    await reader.subscribe([['a/#', 1]], { properties_: { SubscriptionIdentifier: 7 } })
    const properties = {
      ContentType: 'text/plain',
      ResponseTopic: 'answers',
      CorrelationData: 'c-1',
      PayloadFormatIndicator: 1,
      UserProperty: [
        ['unit', 'K'],
        ['unit', '°C'],
      ],
    }
    await writer.publish({ topic: 'a/b', payload: 'x', qos: 1, properties })
    const { properties: received } = await reader.event('message')
    assert.deepEqual(received, { ...properties, SubscriptionIdentifier: [7] })
  })

  test('has the options of its subscriptions heeded', async () => {
    await using server = await FieldServer.start()
    await using paho = await Paho.connect(server, { version })
    await paho.publish({ topic: 'kept/a', payload: 'old', qos: 1, retain: true })
    await paho.subscribe([['kept/#', 1]], { options: { noLocal: true, retainHandling: 2 } })
    await paho.subscribe([['own/#', 1]], { options: { retainAsPublished: true } })
    await paho.publish(
      { topic: 'kept/b', payload: 'not to be heard', qos: 1 },
      { topic: 'own/a', payload: 'own', qos: 1, retain: true },
    )
    assert.deepEqual(await paho.take(1), ['own/a=own 1r'])
  })

  test('is told what its session and its messages may be', async () => {
    await using server = await FieldServer.start({ mqtt: { session_expiry: '1 minute' } })
    const properties = { SessionExpiryInterval: 100_000, ReceiveMaximum: 5, MaximumPacketSize: 500 }
    const { paho, connect } = await Paho.open(server, { version, clientId: '', properties })
    await using reader = paho
    const told = connect['properties'] as Record<string, unknown>
    assert.equal(told['SessionExpiryInterval'], 60)
    assert.match(String(told['AssignedClientIdentifier']), /^\w+$/)
    await reader.subscribe([['t', 1]])
    await using writer = await Paho.connect(server, { version, clientId: 'writer' })
    await writer.publish(
      { topic: 't', payload: 'x'.repeat(600), qos: 1 },
      { topic: 't', payload: 'small', qos: 1 },
    )
    assert.deepEqual(await reader.take(1), ['t=small 1'])
  })
})

test('Paho for Python is told why it may not come in', options, async () => {
  await using server = await FieldServer.start()
  for (const [version, code] of [
    [3, 4],
    [4, 4],
    [5, 0x86],
  ] as const) {
    const { paho, connect } = await Paho.open(server, { version, user: 'nobody' })
    await using refused = paho
    assert.equal(connect['code'], code)
    await refused.event('disconnect')
  }
})
