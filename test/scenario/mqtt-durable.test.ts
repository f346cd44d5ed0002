import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { FaultyStore } from '../support/faulty-store.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { ConnectOptions, MqttClient } from '../support/mqtt-client.ts'

const lasting: ConnectOptions = {
  clientId: 'lasting',
  cleanStart: false,
  properties: { sessionExpiryInterval: 200 },
}

const failure = ReasonCode.implementationSpecificError

/** Another server on what the first one leaves when it is killed. */
async function restart(server: MqttServer): Promise<MqttServer> {
  return MqttServer.start({ file: await server.crash(), clock: server.clock })
}

async function texts(client: MqttClient, count: number): Promise<string[]> {
  const received: string[] = []
  while (received.length < count) received.push((await client.receiveMessage()).text)
  return received
}

/** All that comes, acknowledged, until nothing more does. */
async function drain(server: MqttServer, client: MqttClient): Promise<string[]> {
  const received: string[] = []
  // Once the server has what it was sent, and once it has stored what comes of it.
  for (let quiet = 0; quiet < 2; quiet++) {
    await server.broker().journal.settled()
    client.send({ kind: 'pingreq' })
    for (;;) {
      const packet = await client.next()
      if (packet === undefined) assert.fail('The connection was closed')
      if (packet.kind === 'pingresp') break
      quiet = -1
      if (packet.kind === 'pubrel') client.sendAck('pubcomp', packet.packetId)
      if (packet.kind !== 'publish') continue
      received.push(Buffer.from(packet.payload).toString())
      client.sendAck(packet.qos === 1 ? 'puback' : 'pubrec', packet.packetId)
    }
  }
  return received
}

/** A server on a disk that fails when it is told to. */
async function startFaulty(): Promise<{ disk: FaultyStore; server: MqttServer }> {
  const disk = new FaultyStore()
  return { disk, server: await MqttServer.start({ wrapStore: (store) => disk.wrap(store) }) }
}

suite('retained messages on their way to a lasting session', () => {
  const topics = Array.from({ length: 20 }, (_, index) => `r/${index}`)
  const slow: ConnectOptions = {
    ...lasting,
    properties: { sessionExpiryInterval: 200, receiveMaximum: 3 },
  }

  async function withRetained(): Promise<MqttServer> {
    const server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    for (const topic of topics) await publisher.publish(topic, topic, { qos: 2, retain: true })
    return server
  }

  /** Acknowledges some of what comes and breaks off. */
  async function takeSome(server: MqttServer, qos: 1 | 2): Promise<string[]> {
    await using client = await server.login(slow)
    await client.subscribe('r/+', { qos })
    return await texts(client, 7)
  }

  for (const qos of [1, 2] as const) {
    test(`go on where they were when it comes back, of QoS ${qos}`, async () => {
      await using server = await withRetained()
      const before = await takeSome(server, qos)
      await using back = await server.login(slow)
      const after = await texts(back, topics.length - before.length)
      await back.hearsNothing()
      assert.deepEqual([...before, ...after].sort(), [...topics].sort())
    })

    test(`begin anew after a crash, so that none is missing, of QoS ${qos}`, async () => {
      await using server = await withRetained()
      const before = await takeSome(server, qos)
      await using next = await restart(server)
      {
        await using back = await next.login(slow)
        assert.deepEqual(new Set([...before, ...(await drain(next, back))]), new Set(topics))
      }
      // What has been sent to the end does not begin again.
      await next.broker().journal.settled()
      await using last = await restart(next)
      await using again = await last.login(slow)
      assert.deepEqual(await drain(last, again), [])
    })
  }

  test('are not lost when the connection breaks before SUBACK', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    using _disk = disk
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('r/1', 'x', { qos: 1, retain: true })
    await using client = await server.login(lasting)
    disk.isClosed = true
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    const subscriptions = [{ filter: 'r/#', qos: 1, ...options }] as const
    client.send({ kind: 'subscribe', packetId: 9, subscriptions, properties: {} })
    await publisher.hearsNothing()
    client.drop()
    await publisher.hearsNothing()
    disk.open()
    await using back = await server.login(lasting)
    assert.equal((await back.receiveMessage()).text, 'x')
  })

  test('stop with UNSUBSCRIBE (MQTT5 3.10.4-2)', async () => {
    await using server = await withRetained()
    await using client = await server.login(slow)
    await client.subscribe('r/+', { qos: 1 })
    const first = [
      await client.receive('publish'),
      await client.receive('publish'),
      await client.receive('publish'),
    ]
    await client.unsubscribe('r/+')
    for (const { packetId } of first) client.sendAck('puback', packetId)
    await client.hearsNothing()
  })

  test('begin again once, however often the subscription is made', async () => {
    await using server = await withRetained()
    await using client = await server.login(slow)
    await client.subscribe('r/+', { qos: 1 })
    const first = [
      await client.receive('publish'),
      await client.receive('publish'),
      await client.receive('publish'),
    ]
    for (let i = 0; i < 50; i++) await client.subscribe('r/+', { qos: 1 })
    // Asks for nothing, and keeps nothing from what was asked for.
    await client.subscribe('r/+', { qos: 1, retainHandling: 2 })
    for (const { packetId } of first) client.sendAck('puback', packetId)
    assert.deepEqual((await texts(client, topics.length)).sort(), [...topics].sort())
    await client.hearsNothing()
  })
})

suite('a shared subscription (MQTT5 4.8.2)', () => {
  const member = (clientId: string): ConnectOptions => ({ ...lasting, clientId })
  const filter = '$share/g/work'

  /** One member has the message in flight, another one is away. */
  async function withOneInFlight(qos: 1 | 2) {
    const server = await MqttServer.start()
    {
      await using other = await server.login(member('other'))
      await other.subscribe(filter)
      await other.disconnect()
    }
    const busy = await server.login(member('busy'))
    await busy.subscribe(filter)
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('work', 'job', { qos })
    const { packetId } = await busy.receive('publish')
    return { server, busy, packetId }
  }

  test('gives what is in flight at QoS 1 to another member when the session ends', async () => {
    const { server, busy } = await withOneInFlight(1)
    await using _server = server
    await busy.disconnect({ sessionExpiryInterval: 0 })
    await using other = await server.login(member('other'))
    const received = await other.receiveMessage()
    assert.deepEqual([received.text, received.dup], ['job', false])
    await other.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_pending_bytes'), 0)
  })

  test('gives it to another member when the session expires, also after a crash', async () => {
    const { server, busy } = await withOneInFlight(1)
    await using _server = server
    await using patient = await server.login({
      ...member('patient'),
      properties: { sessionExpiryInterval: 100_000 },
    })
    await patient.subscribe(filter)
    busy.drop()
    await patient.hearsNothing()
    await using next = await restart(server)
    await using back = await next.login(member('patient'))
    await back.hearsNothing()
    next.clock.advance(202_000)
    assert.equal((await back.receiveMessage()).text, 'job')
    await back.hearsNothing()
  })

  test('passes on what only waits, of QoS 2 as well', async () => {
    await using server = await MqttServer.start()
    await using first = await server.login(member('first'))
    await first.subscribe(filter)
    await first.disconnect()
    await using publisher = await server.login({ clientId: 'from' })
    for (const [index, qos] of ([0, 1, 2] as const).entries()) {
      await publisher.publish('work', `${index}`, { qos })
    }
    await using second = await server.login(member('second'))
    await second.subscribe(filter)
    await second.hearsNothing()
    // A clean start ends the session.
    await using _again = await server.login({ clientId: 'first', cleanStart: true })
    assert.deepEqual(await texts(second, 3), ['0', '1', '2'])
    await second.hearsNothing()
  })

  test('completes QoS 2 with the same client, whose session comes back (MQTT5 4.8.2-4)', async () => {
    const { server, busy, packetId } = await withOneInFlight(2)
    await using _server = server
    busy.drop()
    await using next = await restart(server)
    await using back = await next.login(member('busy'))
    const again = await back.receive('publish')
    assert.deepEqual([again.packetId, again.dup], [packetId, true])
    await using watching = await next.login(member('other'))
    await watching.hearsNothing()
  })

  test('drops QoS 2 when that session ends (MQTT5 4.8.2-5)', async () => {
    const { server, busy } = await withOneInFlight(2)
    await using _server = server
    await busy.disconnect({ sessionExpiryInterval: 0 })
    await using other = await server.login(member('other'))
    await other.hearsNothing()
    assert.equal(
      server.metric(
        'linnet_mqtt_messages_dropped_total',
        'host="localhost",reason="session_ended"',
      ),
      1,
    )
  })

  for (const qos of [1, 2] as const) {
    test(`gives nobody else what a member refuses, of QoS ${qos} (MQTT5 4.8.2-6)`, async () => {
      const { server, busy, packetId } = await withOneInFlight(qos)
      await using _server = server
      busy.sendAck(qos === 1 ? 'puback' : 'pubrec', packetId, 0x80)
      await busy.hearsNothing()
      await busy.disconnect({ sessionExpiryInterval: 0 })
      await using other = await server.login(member('other'))
      await other.hearsNothing()
    })
  }

  test('loses it with the last member', async () => {
    await using server = await MqttServer.start()
    await using only = await server.login(member('only'))
    await only.subscribe(filter)
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('work', 'job', { qos: 1 })
    await only.receive('publish')
    await only.disconnect({ sessionExpiryInterval: 0 })
    await using next = await server.login(member('next'))
    await next.subscribe(filter)
    await next.hearsNothing()
  })
})

suite('what could not be stored', () => {
  test('is not delivered, and comes once when it is published again', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    await using away = await server.login({ ...lasting, clientId: 'away' })
    await away.subscribe('a')
    await away.disconnect()
    await using here = await server.login({ ...lasting, clientId: 'here' })
    await here.subscribe('a')
    await server.broker().journal.settled()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', 'before', { qos: 2 })
    assert.equal((await here.receiveMessage()).text, 'before')
    await server.broker().journal.settled()
    disk.fails = true
    for (let i = 0; i < 5; i++) {
      assert.equal(await publisher.publish('a', 'refused', { qos: 2 }), failure)
    }
    assert.equal(await publisher.publish('a', 'refused', { qos: 1 }), failure)
    disk.fails = false
    assert.equal(await publisher.publish('a', 'after', { qos: 2 }), ReasonCode.success)
    // QoS 2 waits for the commit, so of that nothing was sent; QoS 1 goes at once.
    assert.deepEqual(await texts(here, 2), ['refused', 'after'])
    await here.hearsNothing()
    server.clock.advance(2000)
    await server.broker().journal.settled()
    assert.equal(server.metric('linnet_mqtt_queued'), 2)
    await using next = await restart(server)
    await using back = await next.login({ ...lasting, clientId: 'away' })
    assert.deepEqual(await texts(back, 2), ['before', 'after'])
    await back.hearsNothing()
  })

  test('is not taken for received when it comes again by another connection', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    using _disk = disk
    await using away = await server.login({ ...lasting, clientId: 'away' })
    await away.subscribe('a')
    await away.disconnect()
    await using first = await server.login(lasting)
    await server.broker().journal.settled()
    disk.isClosed = true
    first.sendPublish('a', 'x', { qos: 2, packetId: 5 })
    await first.hearsNothing()
    await using second = await server.connect()
    second.sendConnect(lasting)
    await first.receive('disconnect')
    // The commit of the first one fails, that of the new connection does not.
    disk.fails = true
    disk.failures = 1
    disk.open()
    await second.receive('connack')
    second.sendPublish('a', 'x', { qos: 2, packetId: 5, dup: true })
    assert.ok((await second.receive('pubrec')).reasonCode < 0x80)
    second.sendAck('pubrel', 5)
    await second.receive('pubcomp')
    await using next = await restart(server)
    await using back = await next.login({ ...lasting, clientId: 'away' })
    assert.deepEqual(await texts(back, 1), ['x'])
    await back.hearsNothing()
  })

  test('is refused as often as it comes, whatever is stored meanwhile', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    using _disk = disk
    await using away = await server.login({ ...lasting, clientId: 'away' })
    await away.subscribe('a')
    await away.disconnect()
    await using client = await server.login(lasting)
    await server.broker().journal.settled()
    disk.isClosed = true
    client.sendPublish('a', 'lost', { qos: 2, packetId: 5 })
    await client.hearsNothing()
    client.sendPublish('a', 'kept', { qos: 2, packetId: 6 })
    client.sendPublish('a', 'lost', { qos: 2, packetId: 5, dup: true })
    await client.hearsNothing()
    disk.fails = true
    disk.failures = 1
    disk.open()
    const answers: unknown[] = []
    for (let i = 0; i < 3; i++) {
      const { packetId, reasonCode } = await client.receive('pubrec')
      answers.push([packetId, reasonCode])
    }
    assert.deepEqual(answers, [
      [5, failure],
      [6, 0],
      [5, failure],
    ])
    await using next = await restart(server)
    await using back = await next.login({ ...lasting, clientId: 'away' })
    assert.deepEqual(await texts(back, 1), ['kept'])
    await back.hearsNothing()
  })

  test('is stored at the latest when the server stops', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    await using away = await server.login({ ...lasting, clientId: 'away' })
    await away.subscribe('will')
    await away.disconnect()
    await using client = await server.login({ clientId: 'x', will: { topic: 'will', qos: 1 } })
    await using other = await server.login({ clientId: 'other' })
    await server.broker().journal.settled()
    disk.fails = true
    client.drop()
    await other.hearsNothing()
    await server.broker().journal.settled()
    disk.fails = false
    await using next = await MqttServer.start({ file: await server.stop(), clock: server.clock })
    await using back = await next.login({ ...lasting, clientId: 'away' })
    assert.deepEqual(await texts(back, 1), ['gone'])
    await back.hearsNothing()
  })

  test('does not keep a server from stopping', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    await using away = await server.login({ ...lasting, clientId: 'away' })
    await away.subscribe('a')
    await away.disconnect()
    await using publisher = await server.login({ clientId: 'from' })
    await publisher.publish('a', 'kept', { qos: 1 })
    disk.fails = true
    assert.equal(await publisher.publish('a', 'lost', { qos: 1 }), failure)
    const file = await server.stop()
    await using next = await MqttServer.start({ file, clock: server.clock })
    await using back = await next.login({ ...lasting, clientId: 'away' })
    assert.deepEqual(await texts(back, 1), ['kept'])
    await back.hearsNothing()
  })

  test('is not missing from what is stored later of the same message', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    await using away = await server.login({ ...lasting, clientId: 'away' })
    await away.subscribe('will')
    await away.disconnect()
    await using client = await server.login({
      clientId: 'client',
      will: { topic: 'will', qos: 1, retain: true },
    })
    await server.broker().journal.settled()
    // The row with the message for the one who is away is lost; the retained message is not.
    disk.fails = 'linnet_mqtt_journal'
    client.drop()
    await using reader = await server.login({ ...lasting, clientId: 'reader' })
    await server.broker().journal.settled()
    disk.fails = false
    await reader.subscribe('will', { qos: 1 })
    await reader.receive('publish')
    await server.broker().journal.settled()
    await using next = await restart(server)
    await using back = await next.login({ ...lasting, clientId: 'reader' })
    const again = await back.receiveMessage()
    assert.deepEqual([again.text, again.dup], ['gone', true])
  })

  test('does not take the place of what was retained before', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    await using client = await server.login()
    for (const topic of ['changed', 'removed', 'twice']) {
      await client.publish(topic, 'old', { qos: 1, retain: true })
    }
    await server.broker().journal.settled()
    disk.fails = true
    assert.equal(await client.publish('changed', 'new', { qos: 1, retain: true }), failure)
    assert.equal(await client.publish('removed', '', { qos: 1, retain: true }), failure)
    assert.equal(await client.publish('created', 'new', { qos: 1, retain: true }), failure)
    disk.fails = false
    // The first fails while the second waits for its turn.
    disk.isClosed = true
    client.sendPublish('twice', 'lost', { qos: 1, packetId: 600, retain: true })
    await client.hearsNothing()
    client.sendPublish('twice', 'new', { qos: 1, packetId: 700, retain: true })
    await client.hearsNothing()
    disk.fails = 'mqtt_pub'
    disk.open()
    assert.equal((await client.receive('puback')).reasonCode, failure)
    disk.fails = false
    await server.broker().journal.settled()
    const before = await retainedOf(server)
    assert.deepEqual(before, { changed: 'old', removed: 'old', twice: before['twice'] })
    await using next = await restart(server)
    assert.deepEqual(await retainedOf(next), before)
  })

  test('lets a session that nobody was told of end', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    disk.fails = true
    await using client = await server.connect()
    client.sendConnect(lasting)
    assert.equal((await client.receive('connack')).reasonCode, ReasonCode.serverUnavailable)
    await client.closed()
    disk.fails = false
    await using again = await server.connect()
    assert.equal((await again.login(lasting)).sessionPresent, false)
  })

  test('is written later where nobody waits for it: when a session was left, and that it ended', async () => {
    const { disk, server } = await startFaulty()
    await using _server = server
    await using left = await server.login({ ...lasting, clientId: 'left' })
    await using ended = await server.login({ ...lasting, clientId: 'ended' })
    await server.broker().journal.settled()
    disk.fails = true
    await left.disconnect()
    await ended.disconnect({ sessionExpiryInterval: 0 })
    server.clock.advance(50_000)
    await server.broker().journal.settled()
    disk.fails = false
    server.clock.advance(100_000)
    await server.broker().journal.settled()
    await using next = await restart(server)
    const keys = [...next.broker().listSessions()].map(({ jid }) => jid)
    assert.deepEqual(keys, ['juliet@localhost/left'])
    next.clock.advance(52_000)
    assert.deepEqual([...next.broker().listSessions()], [])
  })
})

/** What is retained, as a new subscriber sees it. */
async function retainedOf(server: MqttServer): Promise<Record<string, string>> {
  await using reader = await server.login({ clientId: 'reader' })
  await reader.subscribe('#', { qos: 0 })
  reader.send({ kind: 'pingreq' })
  const found: Record<string, string> = {}
  for (;;) {
    const packet = await reader.next()
    if (packet?.kind !== 'publish') return found
    found[packet.topic] = Buffer.from(packet.payload).toString()
  }
}

test('a clean start is refused while the older session cannot be removed', async () => {
  const { disk, server } = await startFaulty()
  await using _server = server
  await using first = await server.login(lasting)
  await first.disconnect()
  await server.broker().journal.settled()
  disk.fails = true
  await using second = await server.connect()
  second.sendConnect({ clientId: 'lasting', cleanStart: true })
  assert.equal((await second.receive('connack')).reasonCode, ReasonCode.serverUnavailable)
})

test('CONNACK waits until an older session is gone for good', async () => {
  const { disk, server } = await startFaulty()
  await using _server = server
  using _disk = disk
  await using first = await server.login(lasting)
  await first.subscribe('a')
  await first.disconnect()
  await server.broker().journal.settled()
  await using other = await server.login({ clientId: 'other' })
  disk.isClosed = true
  await using second = await server.connect()
  second.sendConnect({ clientId: 'lasting', cleanStart: true })
  await other.hearsNothing()
  assert.equal(second.pending, 0)
  disk.open()
  assert.equal((await second.receive('connack')).sessionPresent, false)
  await using next = await restart(server)
  await using back = await next.connect()
  assert.equal((await back.login(lasting)).sessionPresent, false)
})
