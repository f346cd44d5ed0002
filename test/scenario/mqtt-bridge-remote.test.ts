import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { TestClock } from '../../src/core/clock.ts'
import { BridgeSite } from '../support/bridge-site.ts'
import { FakeBroker } from '../support/fake-broker.ts'
import type { FakeLink } from '../support/fake-broker.ts'

type Values = Readonly<Record<string, unknown>>

interface Scene extends AsyncDisposable {
  readonly remote: FakeBroker
  readonly site: BridgeSite
}

/** A site whose bridge is connected with a broker that the test plays. */
async function start(scheme: string, options: Values, clock?: TestClock): Promise<Scene> {
  const remote = await FakeBroker.start()
  const url = `${scheme}://127.0.0.1:${remote.port}`
  const site = await BridgeSite.start({
    servers: { [url]: { topics: ['out/# out 2'], ...options } },
    ...(clock !== undefined && { clock }),
  })
  return {
    remote,
    site,
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]()
      await remote[Symbol.asyncDispose]()
    },
  }
}

const text = (payload: Uint8Array): string => Buffer.from(payload).toString()

/** Reads on to the next PUBLISH. */
async function published(link: FakeLink): Promise<string> {
  const { topic, payload, qos, retain, dup } = await link.receive('publish')
  return `${topic}=${text(payload)} ${qos}${retain ? 'r' : ''}${dup ? 'd' : ''}`
}

suite('a bridge signs in', () => {
  test('with what the configuration says (MQTT 5)', async () => {
    await using scene = await start('mqtt5', {
      authentication: { username: 'me', password: 'secret' },
      client_id: 'site-7',
      keep_alive: 30,
      session_expiry: '1 hour',
      status_topic: 'sites/7',
      max_packet_size: '64KiB',
    })
    const link = await scene.remote.connection()
    const connect = await link.accept({}, { version: 5, clientIdentifier: 'site-7', keepAlive: 30 })
    assert.equal(connect.userName, 'me')
    assert.equal(text(connect.password ?? new Uint8Array()), 'secret')
    assert.equal(connect.properties.sessionExpiryInterval, 3600)
    assert.equal(connect.properties.maximumPacketSize, 65_536)
    assert.deepEqual(
      { ...connect.will, payload: text(connect.will?.payload ?? new Uint8Array()) },
      { topic: 'sites/7', payload: '0', qos: 1, retain: true, properties: {} },
    )
    assert.equal(await published(link), 'sites/7=1 0r')
  })

  // shows: option mod_mqtt_bridge.servers
  test('as a bridge in MQTT 3.1.1, and as a client where that is refused', async () => {
    await using scene = await start('mqtt', {})
    const first = await scene.remote.connection()
    const connect = await first.receive('connect')
    assert.equal(connect.isBridge, true)
    first.send({ kind: 'connack', sessionPresent: false, reasonCode: 0x84, properties: {} })
    const second = await scene.remote.connection()
    // At once, not after a while.
    await second.accept({}, { isBridge: undefined, clientIdentifier: connect.clientIdentifier })
    await scene.site.up()
    assert.equal(scene.site.status[0]?.failures, 0)
  })

  test('as a client where the connection is closed without a word', async () => {
    await using scene = await start('mqtt', {})
    const first = await scene.remote.connection()
    await first.receive('connect')
    first.drop()
    const second = await scene.remote.connection()
    await second.accept({}, { isBridge: undefined })
    await scene.site.up()
  })

  test('as a client from the beginning, if it is told so', async () => {
    await using scene = await start('mqtt', { try_private: false })
    const link = await scene.remote.connection()
    await link.accept({}, { isBridge: undefined })
    await scene.site.up()
  })

  test('again after a while when it is refused, and says why', async () => {
    const clock = new TestClock()
    await using scene = await start('mqtt5', {}, clock)
    const link = await scene.remote.connection()
    await link.accept({ reasonCode: 0x87, properties: { reasonString: 'not you' } })
    assert.equal(await link.next(), undefined)
    const [status] = scene.site.status
    assert.equal(status?.state, 'waiting')
    assert.equal(status.problem, 'The broker refused the connection: not you')
    const line = await scene.site.server.ok('mqtt_bridge_status')
    assert.match(line, /^localhost\t127\.0\.0\.1:\d+\tmqtt5:\S+\twaiting\t.*not you$/m)
    clock.advance(1000)
    const second = await scene.remote.connection()
    await second.accept()
    await scene.site.up()
  })
})

suite('a bridge hands acknowledgements through', () => {
  test('and sends again what had none, with the same identifier', async () => {
    const clock = new TestClock()
    await using scene = await start('mqtt5', {}, clock)
    const link = await scene.remote.connection()
    await link.accept()
    await scene.site.up()
    const here = await scene.site.client()
    await here.publish('out/1', 'one', { qos: 1 })
    await here.publish('out/2', 'two', { qos: 2 })
    await here.publish('out/3', 'three', { qos: 2 })
    const one = await link.receive('publish')
    const two = await link.receive('publish')
    const three = await link.receive('publish')
    link.ack('pubrec', two.packetId)
    assert.equal((await link.receive('pubrel')).packetId, two.packetId)
    assert.equal(scene.site.status[0]?.inflight, 3)
    link.drop()
    await scene.site.down()
    clock.advance(1000)
    const again = await scene.remote.connection()
    await again.accept({ sessionPresent: true }, { cleanStart: false })
    // MQTT5 4.4.0-1: in the order in which they were sent first.
    assert.deepEqual(
      [await again.next(), await again.next(), await again.next()].map((packet) => {
        if (packet?.kind === 'publish') return [packet.topic, packet.packetId, packet.dup]
        return packet?.kind === 'pubrel' ? ['pubrel', packet.packetId] : packet
      }),
      [
        ['out/1', one.packetId, true],
        ['pubrel', two.packetId],
        ['out/3', three.packetId, true],
      ],
    )
    again.ack('puback', one.packetId)
    again.ack('pubcomp', two.packetId)
    again.ack('pubrec', three.packetId)
    await again.receive('pubrel')
    again.ack('pubcomp', three.packetId)
    while ((scene.site.status[0]?.inflight ?? 0) > 0) await here.hearsNothing()
  })

  test('and begins anew where it is not remembered (MQTT5 3.2.2-5)', async () => {
    const clock = new TestClock()
    await using scene = await start('mqtt5', { topics: ['out/# out', 'in/# in'] }, clock)
    const link = await scene.remote.connection()
    await link.accept()
    assert.deepEqual(await link.grant(), ['in/#'])
    await scene.site.up()
    const here = await scene.site.client()
    await here.publish('out/1', 'one', { qos: 2 })
    await here.publish('out/2', 'two', { qos: 2 })
    const one = await link.receive('publish')
    const two = await link.receive('publish')
    link.ack('pubrec', one.packetId)
    await link.receive('pubrel')
    link.sendPublish({ topic: 'in/x', qos: 2, packetId: 9 })
    assert.equal((await link.receive('pubrec')).packetId, 9)
    link.drop()
    await scene.site.down()
    clock.advance(1000)
    const again = await scene.remote.connection()
    await again.accept({ sessionPresent: false })
    assert.deepEqual(await again.grant(), ['in/#'])
    // It had the first one and said so. The second one is new to it.
    const second = await again.receive('publish')
    assert.deepEqual([second.topic, second.packetId, second.dup], ['out/2', two.packetId, false])
    // So is a message with an identifier that it had used before.
    const listener = await scene.site.listener('in/#')
    again.sendPublish({ topic: 'in/y', qos: 2, packetId: 9 })
    assert.equal((await listener.receiveMessage()).topic, 'in/y')
  })

  test('and not before what they stand for is stored here', async () => {
    await using scene = await start('mqtt', { topics: ['in/# in 2'] })
    const link = await scene.remote.connection()
    await link.accept()
    await link.grant()
    const away = await scene.site.client({
      clientId: 'away',
      cleanStart: false,
      properties: { sessionExpiryInterval: 100 },
    })
    await away.subscribe('in/#', { qos: 1 })
    away.drop()
    link.sendPublish({ topic: 'in/x', qos: 1, packetId: 5 })
    const puback = link.receive('puback')
    assert.equal((await puback).packetId, 5)
    // The journal holds it: nothing more is under way.
    assert.equal(await scene.site.broker.journal.settled(), true)
    const back = await scene.site.client({
      clientId: 'away',
      cleanStart: false,
      properties: { sessionExpiryInterval: 100 },
    })
    assert.equal((await back.receiveMessage()).topic, 'in/x')
  })

  test('but those of temporary failures mean another attempt', async () => {
    const clock = new TestClock()
    await using scene = await start('mqtt5', {}, clock)
    const link = await scene.remote.connection()
    await link.accept()
    await scene.site.up()
    const here = await scene.site.client()
    await here.publish('out/1', 'one', { qos: 1 })
    link.ack('puback', (await link.receive('publish')).packetId, 0x83)
    await scene.site.down()
    clock.advance(1000)
    const again = await scene.remote.connection()
    await again.accept({ sessionPresent: true })
    assert.equal(await published(again), 'out/1=one 1d')
    again.ack('puback', 1)
    await here.publish('out/2', 'two', { qos: 1 })
    const { packetId } = await again.receive('publish')
    // This one it does not want at all.
    again.ack('puback', packetId, 0x87)
    while ((scene.site.status[0]?.inflight ?? 0) > 0) await here.hearsNothing()
    assert.equal(scene.site.status[0]?.dropped, 1)
    assert.equal(scene.site.status[0]?.state, 'up')
  })
})

suite('a bridge heeds what the remote broker cannot do', () => {
  test('QoS 2, retained messages, large packets, many at once (MQTT5 3.2.2.3)', async () => {
    await using scene = await start('mqtt5', {})
    const link = await scene.remote.connection()
    await link.accept({
      properties: {
        maximumQoS: 1,
        retainAvailable: false,
        maximumPacketSize: 100,
        receiveMaximum: 2,
      },
    })
    await scene.site.up()
    const here = await scene.site.client()
    await here.publish('out/large', 'x'.repeat(100), { qos: 1 })
    for (let i = 0; i < 3; i++) await here.publish('out/x', `${i}`, { qos: 2, retain: true })
    assert.equal(await published(link), 'out/x=0 1')
    const second = await link.receive('publish')
    assert.equal(text(second.payload), '1')
    await here.hearsNothing()
    assert.equal(scene.site.status[0]?.queued, 1)
    link.ack('puback', second.packetId)
    assert.equal(await published(link), 'out/x=2 1')
    assert.equal(scene.site.status[0]?.dropped, 1)
  })

  test('QoS 1, by losing nothing of what waits behind', async () => {
    await using scene = await start('mqtt5', {})
    const link = await scene.remote.connection()
    await link.accept({ properties: { maximumQoS: 0 } })
    await scene.site.up()
    const here = await scene.site.client()
    for (const qos of [1, 2, 0] as const) await here.publish('out/x', `${qos}`, { qos })
    assert.equal((await published(link)).slice(0, 7), 'out/x=1')
    assert.equal((await published(link)).slice(0, 7), 'out/x=2')
    assert.equal((await published(link)).slice(0, 7), 'out/x=0')
    while ((scene.site.status[0]?.inflight ?? 0) > 0) await here.hearsNothing()
  })

  test('subscriptions that it refuses are told, the others work', async () => {
    await using scene = await start('mqtt5', { topics: ['good/# in', 'bad/# in'] })
    const link = await scene.remote.connection()
    await link.accept()
    const { packetId } = await link.receive('subscribe')
    link.send({ kind: 'suback', packetId, reasonCodes: [2, 0x87], properties: {} })
    const here = await scene.site.listener()
    link.sendPublish({ topic: 'good/x', qos: 1, packetId: 1 })
    assert.equal((await here.receiveMessage()).topic, 'good/x')
    assert.equal(scene.site.status[0]?.problem, 'The broker refused subscriptions: bad/#')
    assert.equal(scene.site.status[0].state, 'up')
  })
})

suite('a bridge asks for what it needs', () => {
  test('once, if it is remembered; and takes back what rules do not ask for any more', async () => {
    const clock = new TestClock()
    await using scene = await start('mqtt', { topics: ['a/# in', 'b/# in 1'] }, clock)
    const link = await scene.remote.connection()
    await link.accept()
    assert.deepEqual(await link.grant(), ['a/#', 'b/#'])
    await scene.site.up()
    // Answers are stored before the next attempt.
    await scene.site.listener('nothing')
    link.drop()
    await scene.site.down()
    clock.advance(1000)
    const again = await scene.remote.connection()
    await again.accept({ sessionPresent: true }, { cleanStart: false })
    await scene.site.up()
    again.sendPublish({ topic: 'a/x', qos: 1, packetId: 3 })
    // No SUBSCRIBE in between: a broker of MQTT 3.1.1 would send what is retained each time.
    await again.receive('puback')
    const url = `mqtt://127.0.0.1:${scene.remote.port}`
    const servers = { [url]: { topics: ['b/# in 2', 'c/# in'] } }
    const reloaded = scene.site.server.reload({
      modules: { mod_mqtt: {}, mod_mqtt_bridge: { servers } },
    })
    await again.receive('disconnect')
    const third = await scene.remote.connection()
    await third.accept({ sessionPresent: true })
    const unsubscribe = await third.receive('unsubscribe')
    assert.deepEqual(unsubscribe.filters, ['a/#'])
    third.send({
      kind: 'unsuback',
      packetId: unsubscribe.packetId,
      reasonCodes: [],
      properties: {},
    })
    assert.deepEqual(await third.grant(), ['b/#', 'c/#'])
    assert.equal(await reloaded, undefined)
  })
})

suite('a bridge notices', () => {
  test('a remote broker that does not answer PINGREQ', async () => {
    const clock = new TestClock()
    await using scene = await start('mqtt5', { keep_alive: 20 }, clock)
    const link = await scene.remote.connection()
    await link.accept({ properties: { serverKeepAlive: 10 } })
    await scene.site.up()
    for (let i = 0; i < 8; i++) clock.advance(1000)
    await link.receive('pingreq')
    link.send({ kind: 'pingresp' })
    const here = await scene.site.client()
    await here.hearsNothing()
    for (let i = 0; i < 8; i++) clock.advance(1000)
    await link.receive('pingreq')
    const down = scene.site.down()
    for (let i = 0; i < 6; i++) clock.advance(1000)
    await down
    assert.equal(scene.site.status[0]?.problem, 'The broker does not answer PINGREQ')
  })

  test('one that takes a connection and says nothing', async () => {
    const clock = new TestClock()
    await using scene = await start('mqtt5', {}, clock)
    const link = await scene.remote.connection()
    await link.receive('connect')
    for (let i = 0; i < 32; i++) clock.advance(1000)
    assert.equal(await link.next(), undefined)
    assert.equal(scene.site.status[0]?.problem, 'The broker does not answer CONNECT')
  })

  test('one that breaks the rules', async () => {
    const clock = new TestClock()
    await using scene = await start('mqtt5', { topics: ['a in'] }, clock)
    const link = await scene.remote.connection()
    await link.accept()
    await scene.site.up()
    link.send({ kind: 'pingreq' })
    await scene.site.down()
    assert.match(scene.site.status[0]?.problem ?? '', /PINGREQ/)
    clock.advance(1000)
    const again = await scene.remote.connection()
    await again.accept()
    await scene.site.up()
    again.sendPublish({ topic: 'a', properties: { topicAlias: 1 } })
    await scene.site.down()
    assert.equal(scene.site.status[0]?.problem, 'The broker used a topic alias')
  })
})

suite('a bridge takes nothing in', () => {
  test('that it has sent itself, where the broker sends it back (MQTT 3.1.1)', async () => {
    await using scene = await start('mqtt', { topics: ['x/# both'], try_private: false })
    const link = await scene.remote.connection()
    await link.accept()
    await link.grant()
    await scene.site.up()
    const here = await scene.site.listener('x/#')
    const publisher = await scene.site.client()
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('x/y', `${qos}`, { qos })
      const { packetId } = await link.receive('publish')
      // QoS 2 comes back as such; its release is answered, too.
      link.sendPublish({ topic: 'x/y', payload: Buffer.from(`${qos}`), qos, packetId: qos })
      if (qos === 1) {
        assert.equal((await link.receive('puback')).packetId, 1)
        link.ack('puback', packetId)
      }
      if (qos === 2) {
        assert.equal((await link.receive('pubrec')).packetId, 2)
        link.ack('pubrel', 2)
        assert.equal((await link.receive('pubcomp')).packetId, 2)
      }
      assert.equal((await here.receiveMessage()).text, `${qos}`)
    }
    // Somebody else may say the same.
    link.sendPublish({ topic: 'x/y', payload: Buffer.from('1') })
    assert.equal((await here.receiveMessage()).text, '1')
    await here.hearsNothing()
    assert.equal(scene.site.status[0]?.dropped, 3)
  })

  test('that carries its own mark (MQTT 5)', async () => {
    await using scene = await start('mqtt5', { topics: ['x/# both'] })
    const link = await scene.remote.connection()
    await link.accept()
    const { subscriptions, packetId } = await link.receive('subscribe')
    assert.deepEqual(
      subscriptions.map(({ noLocal, retainAsPublished }) => [noLocal, retainAsPublished]),
      [[true, true]],
    )
    link.send({ kind: 'suback', packetId, reasonCodes: [2], properties: {} })
    const here = await scene.site.listener('x/#')
    const properties = { userProperties: [['k', 'v']] as const, messageExpiryInterval: 60 }
    await here.publish('x/y', 'out', { qos: 1, properties })
    const sent = await link.receive('publish')
    assert.equal(sent.properties.userProperties?.length, 2)
    assert.deepEqual(sent.properties.userProperties[0], ['k', 'v'])
    assert.equal(sent.properties.messageExpiryInterval, 60)
    assert.equal((await here.receiveMessage()).text, 'out')
    // It went round by other brokers.
    link.sendPublish({ ...sent, topic: 'x/z', qos: 1, packetId: 4 })
    assert.equal((await link.receive('puback')).packetId, 4)
    const others = { userProperties: [['linnet-bridge', 'somebody else']] as const }
    link.sendPublish({ topic: 'x/z', payload: Buffer.from('in'), properties: others })
    const received = await here.receiveMessage()
    assert.equal(received.text, 'in')
    assert.deepEqual(received.properties.userProperties, others.userProperties)
  })

  test('that its user may not publish, nor what it did not ask for', async () => {
    await using remote = await FakeBroker.start()
    await using site = await BridgeSite.start({
      servers: { [`mqtt5://127.0.0.1:${remote.port}`]: { topics: ['# in 2 in/ there/'] } },
      bridge: { replication_user: 'site@localhost' },
      mqtt: { access_publish: { 'in/open/#': 'all', 'in/others/#': 'others' } },
      config: {
        acl: { juliet: { user: 'juliet@localhost' } },
        access_rules: { others: { allow: 'juliet' } },
      },
    })
    const link = await remote.connection()
    await link.accept()
    await link.grant()
    const here = await site.listener()
    for (const [i, topic] of ['there/others/x', 'elsewhere', 'there/open/x'].entries()) {
      link.sendPublish({ topic, qos: 1, packetId: i + 1 })
    }
    const answers = [
      await link.receive('puback'),
      await link.receive('puback'),
      await link.receive('puback'),
    ].map(({ packetId, reasonCode }) => [packetId, reasonCode])
    assert.deepEqual(
      answers.sort(([a = 0], [b = 0]) => a - b),
      [
        [1, 0x87],
        [2, 0],
        [3, 0],
      ],
    )
    assert.equal((await here.receiveMessage()).topic, 'in/open/x')
    await here.hearsNothing()
  })
})
