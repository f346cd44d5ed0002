import assert from 'node:assert/strict'
import { after, before, describe, suite, test } from 'node:test'
import type { TestClock } from '../../src/core/clock.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import type { StoreSettings } from '../../src/storage/open.ts'
import type { TestDatabaseServer } from '../support/databases.ts'
import { noMariadb, noPostgres, startMariadb, startPostgres } from '../support/databases.ts'
import { FaultyStore } from '../support/faulty-store.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { ConnectOptions, MqttClient } from '../support/mqtt-client.ts'

const lasting: ConnectOptions = {
  clientId: 'lasting',
  cleanStart: false,
  properties: { sessionExpiryInterval: 200 },
}

async function texts(client: MqttClient, count: number): Promise<string[]> {
  const received: string[] = []
  while (received.length < count) received.push((await client.receiveMessage()).text)
  return received
}

type HowToEnd = 'stop' | 'crash'

/** Another server on what the first one leaves. */
async function restart(server: MqttServer, how: HowToEnd): Promise<MqttServer> {
  const file = how === 'stop' ? await server.stop() : await server.crash()
  return MqttServer.start({ file, clock: server.clock })
}

/** Where the state is kept between two servers. */
interface Place {
  start(): Promise<MqttServer>
  restart(server: MqttServer, how: HowToEnd): Promise<MqttServer>
}

/** A database server cannot be copied at the moment of a crash: instead nothing that the first server writes later gets there. */
class DatabasePlace implements Place {
  readonly #database: () => Promise<StoreSettings>
  readonly #used = new WeakMap<MqttServer, { database: StoreSettings; disk: FaultyStore }>()

  constructor(database: () => Promise<StoreSettings>) {
    this.#database = database
  }

  async start(): Promise<MqttServer> {
    return this.#start(await this.#database())
  }

  async restart(server: MqttServer, how: HowToEnd): Promise<MqttServer> {
    const { database, disk } = this.#used.get(server) ?? assert.fail('It is not from here')
    if (how === 'stop') await server.stop()
    else {
      disk.fails = true
      await server.store.flush()
    }
    return this.#start(database, server.clock)
  }

  async #start(database: StoreSettings, clock?: TestClock): Promise<MqttServer> {
    const disk = new FaultyStore()
    const server = await MqttServer.start({
      database,
      wrapStore: (store) => disk.wrap(store),
      ...(clock !== undefined && { clock }),
    })
    this.#used.set(server, { database, disk })
    return server
  }
}

restarts({ start: () => MqttServer.start(), restart })

for (const { name, type, skip, startServer } of [
  { name: 'PostgreSQL', type: 'pgsql', skip: noPostgres, startServer: startPostgres },
  { name: 'MariaDB', type: 'mysql', skip: noMariadb, startServer: startMariadb },
] as const) {
  describe(`over ${name}`, { skip }, () => {
    let database: TestDatabaseServer
    before(async () => {
      database = await startServer()
    })
    after(() => database[Symbol.asyncDispose]())
    let isMultihost = false
    restarts(
      new DatabasePlace(async () => {
        // Both forms of ejabberd's schema in turn.
        isMultihost = !isMultihost
        return { type, ...(await database.createDatabase()), multihost: isMultihost }
      }),
    )
  })
}

function restarts(place: Place): void {
  for (const how of ['stop', 'crash'] as const) {
    suite(`after a ${how}`, () => {
      test('subscriptions are there, with their options', async () => {
        await using server = await place.start()
        await using client = await server.login(lasting)
        await client.subscribe('a/#', { qos: 1, identifier: 7, retainAsPublished: true })
        await client.subscribe('b', { noLocal: true })
        await client.subscribe('c')
        await client.unsubscribe('c')
        await client.subscribe('$share/g/d', { qos: 0 })
        await using next = await place.restart(server, how)
        await using back = await next.connect()
        assert.equal((await back.login(lasting)).sessionPresent, true)
        await back.publish('b', 'own', { qos: 0 })
        await back.publish('c', 'gone', { qos: 0 })
        await back.publish('d', 'shared', { qos: 2 })
        const shared = await back.receiveMessage()
        assert.deepEqual([shared.text, shared.qos], ['shared', 0])
        await using publisher = await next.login({ clientId: 'from' })
        await publisher.publish('a/b', 'x', { qos: 2, retain: true })
        const received = await back.receiveMessage()
        assert.deepEqual([received.text, received.qos, received.retain], ['x', 1, true])
        assert.deepEqual(received.properties.subscriptionIdentifiers, [7])
        await back.hearsNothing()
      })

      test('everything that was acknowledged is delivered, in order', async () => {
        await using server = await place.start()
        await using client = await server.login(lasting)
        await client.subscribe('a')
        await client.disconnect()
        await using publisher = await server.login({ clientId: 'from' })
        const properties = { contentType: 'text/plain', userProperties: [['k', 'v']] as const }
        for (let i = 1; i <= 20; i++) {
          await publisher.publish('a', `${i}`, { qos: i % 2 === 0 ? 1 : 2, properties })
        }
        await using next = await place.restart(server, how)
        await using back = await next.login(lasting)
        const first = await back.receiveMessage()
        assert.deepEqual({ ...first.properties }, properties)
        const expected = Array.from({ length: 20 }, (_, i) => `${i + 1}`)
        assert.deepEqual([first.text, ...(await texts(back, 19))], expected)
        await back.hearsNothing()
        assert.equal(next.metric('linnet_mqtt_queued'), 0)
      })

      test('a message for many is there for each', async () => {
        await using server = await place.start()
        for (const clientId of ['1', '2', '3']) {
          await using client = await server.login({ ...lasting, clientId })
          await client.subscribe('a', { qos: 1 })
          await client.disconnect()
        }
        await using publisher = await server.login({ clientId: 'from' })
        await publisher.publish('a', 'x'.repeat(5000), { qos: 1 })
        const rows = await server.store
          .forHost('localhost')
          .read(server.store.forHost('localhost').table('linnet_mqtt_journal').select().selectAll())
        const bytes = rows.reduce((sum, { records }) => sum + records.length, 0)
        assert.ok(bytes < 10_000, `the payload stands there more than once: ${bytes} bytes`)
        await using next = await place.restart(server, how)
        for (const clientId of ['1', '2', '3']) {
          await using client = await next.login({ ...lasting, clientId })
          assert.equal((await client.receiveMessage()).text.length, 5000)
        }
      })

      test('what was in flight goes on with the same packet identifiers (MQTT5 4.4.0-1)', async () => {
        await using server = await place.start()
        await using client = await server.login(lasting)
        await client.subscribe('a')
        await using publisher = await server.login({ clientId: 'from' })
        for (let i = 1; i <= 4; i++) await publisher.publish('a', `${i}`, { qos: i === 1 ? 1 : 2 })
        const [one, two, three, four] = [
          await client.receive('publish'),
          await client.receive('publish'),
          await client.receive('publish'),
          await client.receive('publish'),
        ]
        client.sendAck('puback', one.packetId)
        client.sendAck('pubrec', two.packetId)
        assert.equal((await client.receive('pubrel')).packetId, two.packetId)
        client.sendAck('pubrec', three.packetId)
        await client.receive('pubrel')
        client.sendAck('pubcomp', three.packetId)
        // Makes sure that what the server heard is on the disk.
        await publisher.publish('a', '5', { qos: 1 })
        const five = await client.receive('publish')
        await using next = await place.restart(server, how)
        await using back = await next.login(lasting)
        assert.equal((await back.receive('pubrel')).packetId, two.packetId)
        for (const expected of [four, five]) {
          const again = await back.receive('publish')
          assert.deepEqual([again.packetId, again.dup], [expected.packetId, true])
          assert.deepEqual(again.payload, expected.payload)
        }
        back.sendAck('pubcomp', two.packetId)
        back.sendAck('pubrec', four.packetId)
        await back.receive('pubrel')
        back.sendAck('pubcomp', four.packetId)
        back.sendAck('puback', five.packetId)
        await back.hearsNothing()
        assert.equal(next.metric('linnet_mqtt_inflight'), 0)
      })

      test("a client's message of QoS 2 is not taken over twice (MQTT5 4.3.3-10)", async () => {
        await using server = await place.start()
        await using subscriber = await server.login({ ...lasting, clientId: 'to' })
        await subscriber.subscribe('a')
        await subscriber.disconnect()
        await using client = await server.login(lasting)
        client.sendPublish('a', 'open', { qos: 2, packetId: 5 })
        await client.receive('pubrec')
        await client.publish('a', 'done', { qos: 2, packetId: 6 })
        await using next = await place.restart(server, how)
        await using back = await next.login(lasting)
        back.sendPublish('a', 'open', { qos: 2, packetId: 5, dup: true })
        await back.receive('pubrec')
        back.sendAck('pubrel', 5)
        assert.equal((await back.receive('pubcomp')).reasonCode, ReasonCode.success)
        back.sendAck('pubrel', 6)
        assert.equal((await back.receive('pubcomp')).reasonCode, ReasonCode.success)
        await using again = await next.login({ ...lasting, clientId: 'to' })
        assert.deepEqual(await texts(again, 2), ['open', 'done'])
        await again.hearsNothing()
      })

      test('retained messages are there, as ejabberd keeps them', async () => {
        await using server = await place.start()
        await using client = await server.login({ clientId: 'lamp' })
        const properties = {
          payloadFormatIndicator: 1 as const,
          contentType: 'text/plain',
          responseTopic: 'answers',
          correlationData: new Uint8Array([1, 2, 3]),
          userProperties: [['k', 'ü']] as const,
        }
        await client.publish('a', 'x', { qos: 1, retain: true, properties })
        await client.publish('b', 'old', { qos: 1, retain: true })
        await client.publish('b', 'new', {
          qos: 2,
          retain: true,
          properties: { messageExpiryInterval: 100 },
        })
        await client.publish('c', 'gone', { qos: 1, retain: true })
        await client.publish('c', '', { qos: 1, retain: true })
        await client.publish('d', 'short', {
          qos: 1,
          retain: true,
          properties: { messageExpiryInterval: 10 },
        })
        const host = server.store.forHost('localhost')
        const row = await host.first(
          host.table('mqtt_pub').select().selectAll().where('topic', '=', 'a'),
        )
        assert.deepEqual(
          [row?.username, row?.resource, row?.qos, row?.payload_format, row?.expiry],
          ['juliet', 'lamp', 1, 1, 0xffff_ffff],
        )
        server.clock.advance(40_000)
        await using next = await place.restart(server, how)
        await using reader = await next.login({ clientId: 'reader' })
        await reader.subscribe('#')
        const found = new Map<string, Awaited<ReturnType<MqttClient['receiveMessage']>>>()
        for (let i = 0; i < 2; i++) {
          const received = await reader.receiveMessage()
          found.set(received.topic, received)
        }
        assert.deepEqual({ ...found.get('a')?.properties }, properties)
        assert.equal(found.get('b')?.text, 'new')
        assert.equal(found.get('b')?.properties.messageExpiryInterval, 60)
        await reader.hearsNothing()
        const nextHost = next.store.forHost('localhost')
        await next.store.flush()
        const topics = await nextHost.read(nextHost.table('mqtt_pub').select().select('topic'))
        assert.deepEqual(topics.map(({ topic }) => topic).sort(), ['a', 'b'])
      })

      test('a will that waits is published in its time', async () => {
        await using server = await place.start()
        await using client = await server.login({
          ...lasting,
          will: { topic: 'will', qos: 1, properties: { willDelayInterval: 60, contentType: 'x' } },
        })
        await client.hearsNothing()
        await using next = await place.restart(server, how)
        await using watcher = await next.login({ clientId: 'watcher' })
        await watcher.subscribe('will')
        next.clock.advance(50_000)
        await watcher.hearsNothing()
        next.clock.advance(12_000)
        const received = await watcher.receiveMessage()
        assert.deepEqual([received.text, received.properties.contentType], ['gone', 'x'])
      })

      test('the will of a client that was connected is published', async () => {
        await using server = await place.start()
        await using watcher = await server.login(lasting)
        await watcher.subscribe('will/#', { qos: 1 })
        await watcher.disconnect()
        await using short = await server.login({
          clientId: 'short',
          will: { topic: 'will/1', qos: 1 },
        })
        await using long = await server.login({
          ...lasting,
          clientId: 'long',
          will: { topic: 'will/2', qos: 1 },
        })
        await using polite = await server.login({
          ...lasting,
          clientId: 'polite',
          will: { topic: 'will/3', qos: 1 },
        })
        await polite.disconnect()
        // What they are told is on the disk.
        await short.hearsNothing()
        await long.publish('x', 'x', { qos: 1, retain: true })
        await using next = await place.restart(server, how)
        await using back = await next.login(lasting)
        const topics = [(await back.receiveMessage()).topic, (await back.receiveMessage()).topic]
        assert.deepEqual(topics.sort(), ['will/1', 'will/2'])
        await back.hearsNothing()
      })

      test('sessions that have ended or expired meanwhile are gone', async () => {
        await using server = await place.start()
        await using expiring = await server.login(lasting)
        await expiring.subscribe('a')
        await expiring.disconnect()
        await using ended = await server.login({ ...lasting, clientId: 'ended' })
        await ended.subscribe('a')
        await ended.disconnect({ sessionExpiryInterval: 0 })
        await using publisher = await server.login({ clientId: 'from' })
        await publisher.publish('a', 'x', { qos: 1 })
        server.clock.advance(190_000)
        await using next = await place.restart(server, how)
        const keys = [...next.broker().listSessions()].map(({ jid }) => jid)
        assert.deepEqual(keys, ['juliet@localhost/lasting'])
        next.clock.advance(20_000)
        assert.deepEqual([...next.broker().listSessions()], [])
        await using last = await place.restart(next, how)
        assert.deepEqual([...last.broker().listSessions()], [])
        assert.equal(last.metric('linnet_mqtt_subscriptions'), 0)
      })
    })
  }
}

test('with db_type "ram" nothing outlives the process, and the log says so', async () => {
  await using server = await MqttServer.start({ module: { db_type: 'ram' } })
  assert.ok(server.logged.some((line) => line.includes('db_type is \\"ram\\"')))
  await using client = await server.login(lasting)
  await client.subscribe('a')
  await client.publish('a', 'x', { qos: 1, retain: true })
  const file = await server.stop()
  await using next = await MqttServer.start({ file, clock: server.clock })
  await using back = await next.connect()
  assert.equal((await back.login(lasting)).sessionPresent, false)
  await back.subscribe('a')
  await back.hearsNothing()
})

suite('acknowledgements', () => {
  async function start(): Promise<{
    gate: FaultyStore
    server: MqttServer
    publisher: MqttClient
  }> {
    const gate = new FaultyStore()
    const server = await MqttServer.start({ wrapStore: (store) => gate.wrap(store) })
    await using away = await server.login({ ...lasting, clientId: 'away' })
    await away.subscribe('kept')
    await away.disconnect()
    await server.broker().journal.settled()
    const publisher = await server.login({ clientId: 'from' })
    return { gate, server, publisher }
  }

  test('wait for what they stand for, and leave in order', async () => {
    const { gate, server, publisher } = await start()
    await using _server = server
    using _gate = gate
    gate.isClosed = true
    publisher.sendPublish('kept', '1', { qos: 1, packetId: 1 })
    publisher.sendPublish('nowhere', '2', { qos: 1, packetId: 2 })
    publisher.sendPublish('kept', '3', { qos: 2, packetId: 3 })
    publisher.sendPublish('elsewhere', '4', { qos: 1, retain: true, packetId: 4 })
    await publisher.hearsNothing()
    assert.ok(gate.waiting > 0)
    gate.open()
    const order: unknown[] = []
    for (let i = 0; i < 4; i++) {
      const packet = await publisher.next()
      if (packet !== undefined && 'packetId' in packet) order.push([packet.kind, packet.packetId])
    }
    assert.deepEqual(order, [
      ['puback', 1],
      ['puback', 2],
      ['pubrec', 3],
      ['puback', 4],
    ])
  })

  test('come at once for what nobody has to keep', async () => {
    const { gate, server, publisher } = await start()
    await using _server = server
    using _gate = gate
    await using here = await server.login({ clientId: 'here' })
    await here.subscribe('live')
    gate.isClosed = true
    await publisher.publish('live', 'x', { qos: 1 })
    assert.equal((await here.receiveMessage()).text, 'x')
    await publisher.publish('live', 'y', { qos: 2 })
    assert.equal((await here.receiveMessage()).text, 'y')
    gate.open()
  })

  test('of QoS 2 messages to lasting sessions and SUBACK wait, too', async () => {
    const { gate, server, publisher } = await start()
    await using _server = server
    using _gate = gate
    await using client = await server.login(lasting)
    await client.subscribe('kept')
    gate.isClosed = true
    publisher.sendPublish('kept', 'x', { qos: 2, packetId: 9 })
    await publisher.hearsNothing()
    await client.hearsNothing()
    gate.open()
    await publisher.receive('pubrec')
    const { packetId } = await client.receive('publish')
    gate.isClosed = true
    client.sendAck('pubrec', packetId)
    await client.hearsNothing()
    gate.open()
    await client.receive('pubrel')
    gate.isClosed = true
    const subscribed = client.subscribe('other')
    await publisher.hearsNothing()
    assert.equal(client.pending, 0)
    gate.open()
    assert.equal(await subscribed, 2)
    gate.isClosed = true
    await using newcomer = await server.connect()
    newcomer.sendConnect({ ...lasting, clientId: 'newcomer' })
    await publisher.hearsNothing()
    assert.equal(newcomer.pending, 0)
    gate.open()
    await newcomer.receive('connack')
  })

  test('say no when the server cannot store it', async () => {
    const { gate, server, publisher } = await start()
    await using _server = server
    using _gate = gate
    await using client = await server.login(lasting)
    await using old = await server.login({ version: 4, clientId: 'old' })
    gate.fails = true
    const failure = ReasonCode.implementationSpecificError
    assert.equal(await publisher.publish('kept', 'x', { qos: 1 }), failure)
    assert.equal(await publisher.publish('kept', 'x', { qos: 2 }), failure)
    assert.equal(await publisher.publish('other', 'x', { qos: 1, retain: true }), failure)
    assert.equal(await client.subscribe('a'), failure)
    await using newcomer = await server.connect()
    newcomer.sendConnect({ ...lasting, clientId: 'newcomer' })
    assert.equal((await newcomer.receive('connack')).reasonCode, ReasonCode.serverUnavailable)
    old.sendPublish('kept', 'x', { qos: 1 })
    await old.closed()
    gate.fails = false
    server.clock.advance(2000)
    assert.equal(await publisher.publish('kept', 'x', { qos: 1 }), ReasonCode.success)
  })

  test('that wait keep the server from reading more than it can store', async () => {
    const { gate, server, publisher } = await start()
    await using _server = server
    using _gate = gate
    await using old = await server.login({ version: 4, clientId: 'old', keepAlive: 10 })
    gate.isClosed = true
    const payload = Buffer.alloc(256 * 1024, 'x')
    const count = 200
    for (let i = 1; i <= count; i++) old.sendPublish('kept', payload, { qos: 1, packetId: i })
    const received = (): number => server.metric('linnet_mqtt_messages_received_total')
    // What fits is read, and then no more, however long others go on meanwhile.
    let before = -1
    while (before !== received() || !server.broker().journal.isCongested) {
      before = received()
      for (let i = 0; i < 20; i++) await publisher.hearsNothing()
    }
    assert.ok(received() < count / 2, `${received()} of ${count} messages were read`)
    assert.equal(old.pending, 0)
    // It is we who do not read: the client is not silent.
    server.clock.advance(60_000)
    await publisher.hearsNothing()
    assert.equal(old.isClosed, false)
    gate.open()
    for (let i = 1; i <= count; i++) assert.equal((await old.receive('puback')).packetId, i)
    assert.equal(received(), count)
    await old.hearsNothing()
  })
})

suite('the journal', () => {
  async function bytesOf(server: MqttServer): Promise<number> {
    const host = server.store.forHost('localhost')
    const rows = await host.read(host.table('linnet_mqtt_journal').select().select('records'))
    return rows.reduce((sum, { records }) => sum + records.length, 0)
  }

  test('does not grow with what is done, and keeps what is not', async () => {
    await using server = await MqttServer.start({ module: { receive_maximum: 65_535 } })
    for (const clientId of ['keeper', 'other keeper']) {
      await using keeper = await server.login({ ...lasting, clientId })
      await keeper.subscribe('kept')
      keeper.sendPublish('nowhere', 'x', { qos: 2, packetId: 77 })
      await keeper.receive('pubrec')
      await keeper.disconnect()
    }
    await using worker = await server.login(lasting)
    await worker.subscribe('work')
    await using publisher = await server.login({ clientId: 'from' })
    for (let i = 1; i <= 3; i++) await publisher.publish('kept', `${i}`, { qos: 2 })
    const payload = Buffer.alloc(100_000, 'x')
    for (let i = 0; i < 400; i++) {
      await publisher.publish('work', payload, { qos: 1 })
      await worker.receiveMessage()
    }
    await publisher.publish('kept', '4', { qos: 2 })
    assert.ok((await bytesOf(server)) < 20_000_000, 'nothing was compacted')
    await using next = await restart(server, 'crash')
    for (const clientId of ['keeper', 'other keeper']) {
      await using keeper = await next.login({ ...lasting, clientId })
      assert.deepEqual(await texts(keeper, 4), ['1', '2', '3', '4'])
      keeper.sendAck('pubrel', 77)
      assert.equal((await keeper.receive('pubcomp')).reasonCode, ReasonCode.success)
      await keeper.hearsNothing()
    }
  })
})
