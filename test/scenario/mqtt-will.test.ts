import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { ConnectOptions, MqttClient } from '../support/mqtt-client.ts'

async function watcherOf(server: MqttServer): Promise<MqttClient> {
  const watcher = await server.login({ clientId: 'watcher' })
  await watcher.subscribe('#')
  return watcher
}

async function said(watcher: MqttClient): Promise<string> {
  const { topic, text } = await watcher.receiveMessage()
  return `${topic}=${text}`
}

const lasting = { properties: { sessionExpiryInterval: 100 }, cleanStart: false }
const will = { topic: 'will', payload: Buffer.from('bye') }

for (const version of [3, 4, 5] as const) {
  test(`is published when the connection breaks (level ${version}, MQTT5 3.1.2-8)`, async () => {
    await using server = await MqttServer.start()
    await using watcher = await watcherOf(server)
    await using client = await server.login({ version, clientId: 'mortal', will })
    client.drop()
    assert.equal(await said(watcher), 'will=bye')
    await watcher.hearsNothing()
  })
}

test('carries its QoS, properties and retain flag', async () => {
  await using server = await MqttServer.start()
  await using watcher = await watcherOf(server)
  const properties = { contentType: 'text/plain', messageExpiryInterval: 50 }
  await using client = await server.login({
    clientId: 'mortal',
    will: { ...will, qos: 2, retain: true, properties },
  })
  client.drop()
  const received = await watcher.receiveMessage()
  assert.equal(received.qos, 2)
  assert.deepEqual({ ...received.properties }, properties)
  await watcher.subscribe('will')
  assert.equal((await watcher.receiveMessage()).retain, true)
})

test('is forgotten by an orderly goodbye (MQTT5 3.14.4-3)', async () => {
  await using server = await MqttServer.start()
  await using watcher = await watcherOf(server)
  await using client = await server.login({ clientId: 'mortal', will })
  await client.disconnect()
  await watcher.hearsNothing()
})

test('is published by a goodbye that asks for it (MQTT5 3.14.2.1)', async () => {
  await using server = await MqttServer.start()
  await using watcher = await watcherOf(server)
  await using client = await server.login({ clientId: 'mortal', will })
  const reasonCode = ReasonCode.disconnectWithWillMessage
  client.send({ kind: 'disconnect', reasonCode, properties: {} })
  assert.equal(await said(watcher), 'will=bye')
})

test('is published when the server ends the connection', async () => {
  await using server = await MqttServer.start()
  await using watcher = await watcherOf(server)
  await using silent = await server.login({ clientId: 'silent', keepAlive: 10, will })
  server.clock.advance(20_000)
  await silent.receive('disconnect')
  assert.equal(await said(watcher), 'will=bye')
  await using rude = await server.login({ clientId: 'rude', will })
  rude.sendBytes(Buffer.from([0x00, 0x00]))
  assert.equal(await said(watcher), 'will=bye')
})

suite('with a delay', () => {
  const delayed = { ...will, properties: { willDelayInterval: 30 } }

  test('waits (MQTT5 3.1.3.2.2)', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watcherOf(server)
    await using client = await server.login({ ...lasting, clientId: 'mortal', will: delayed })
    client.drop()
    await until(server, 'mortal', false)
    server.clock.advance(28_000)
    await watcher.hearsNothing()
    server.clock.advance(3000)
    assert.equal(await said(watcher), 'will=bye')
    server.clock.advance(100_000)
    await watcher.hearsNothing()
  })

  test('is not sent when the client comes back in time (MQTT5 3.1.3-9)', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watcherOf(server)
    await using client = await server.login({ ...lasting, clientId: 'mortal', will: delayed })
    client.drop()
    await until(server, 'mortal', false)
    server.clock.advance(10_000)
    await using back = await server.login({ ...lasting, clientId: 'mortal' })
    server.clock.advance(60_000)
    await back.hearsNothing()
    await watcher.hearsNothing()
  })

  test('is sent when the session ends before (MQTT5 3.1.2.5)', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watcherOf(server)
    await using shortLived = await server.login({
      clientId: 'mortal',
      properties: { sessionExpiryInterval: 10 },
      will: delayed,
    })
    shortLived.drop()
    await until(server, 'mortal', false)
    server.clock.advance(12_000)
    assert.equal(await said(watcher), 'will=bye')
    await using unlasting = await server.login({ clientId: 'other', will: delayed })
    unlasting.drop()
    assert.equal(await said(watcher), 'will=bye')
  })

  test('is sent when a clean start ends the session', async () => {
    await using server = await MqttServer.start()
    await using watcher = await watcherOf(server)
    await using client = await server.login({ ...lasting, clientId: 'mortal', will: delayed })
    client.drop()
    await until(server, 'mortal', false)
    await using anew = await server.login({ clientId: 'mortal', cleanStart: true })
    assert.equal(await said(watcher), 'will=bye')
    await anew.hearsNothing()
  })
})

suite('when the session is taken over (MQTT5 3.1.4-3)', () => {
  const cases: [string, number, ConnectOptions, boolean][] = [
    ['without a delay it is published', 0, lasting, true],
    ['with a delay it is not', 30, lasting, false],
    ['with a delay it is, if the newcomer starts clean', 30, { cleanStart: true }, true],
  ]
  for (const [name, willDelayInterval, options, isPublished] of cases) {
    test(name, async () => {
      await using server = await MqttServer.start()
      await using watcher = await watcherOf(server)
      await using first = await server.login({
        ...lasting,
        clientId: 'mortal',
        will: { ...will, properties: { willDelayInterval } },
      })
      await using second = await server.login({ ...options, clientId: 'mortal' })
      assert.equal((await first.receive('disconnect')).reasonCode, ReasonCode.sessionTakenOver)
      if (isPublished) assert.equal(await said(watcher), 'will=bye')
      server.clock.advance(60_000)
      await watcher.hearsNothing()
      await second.hearsNothing()
    })
  }
})

suite('that may not be published', () => {
  test('refuses the connection', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { 'a/#': 'all' } } })
    const bad = Buffer.from([0xff])
    for (const [forbidden, expected] of [
      [will, ReasonCode.notAuthorized],
      [{ topic: '$SYS/x' }, ReasonCode.notAuthorized],
      [
        { topic: 'a', payload: bad, properties: { payloadFormatIndicator: 1 } },
        ReasonCode.payloadFormatInvalid,
      ],
    ] as const) {
      await using client = await server.connect()
      client.sendConnect({ will: forbidden })
      assert.equal((await client.receive('connack')).reasonCode, expected)
      await client.closed()
    }
  })

  test('by the time it is due is dropped', async () => {
    await using server = await MqttServer.start({ module: { access_publish: { '#': 'all' } } })
    await using watcher = await watcherOf(server)
    await using client = await server.login({ clientId: 'mortal', will })
    await server.reload({ module: { access_publish: { 'a/#': 'all' } } })
    client.drop()
    await until(server, 'mortal', undefined)
    await watcher.hearsNothing()
  })
})

/** Waits until the session of that client is connected, away (false) or gone (undefined). */
async function until(
  server: MqttServer,
  clientId: string,
  isConnected: boolean | undefined,
): Promise<void> {
  const jid = `juliet@localhost/${clientId}`
  for (;;) {
    const session = [...server.broker().listSessions()].find((info) => info.jid === jid)
    if (session?.isConnected === isConnected) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}
