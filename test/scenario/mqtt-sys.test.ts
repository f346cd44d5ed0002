import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { MqttServerOptions } from '../support/mqtt-broker.ts'
import type { MqttClient } from '../support/mqtt-client.ts'

/** Juliet is the administrator. */
const config = {
  acl: { admin: { user: 'juliet' } },
  access_rules: { configure: { allow: 'admin' } },
}

function start(options: MqttServerOptions = {}): Promise<MqttServer> {
  return MqttServer.start({ config, ...options })
}

/** As mosquitto 2.0 has them. */
const names = [
  'bytes/received',
  'bytes/sent',
  'clients/active',
  'clients/connected',
  'clients/disconnected',
  'clients/expired',
  'clients/inactive',
  'clients/maximum',
  'clients/total',
  'heap/current',
  'heap/maximum',
  ...['bytes', 'messages', 'publish'].flatMap((what) =>
    ['received', 'sent'].flatMap((way) => loads(`${what}/${way}`)),
  ),
  ...loads('publish/dropped'),
  ...loads('connections'),
  ...loads('sockets'),
  'messages/inflight',
  'messages/received',
  'messages/sent',
  'messages/stored',
  'publish/bytes/received',
  'publish/bytes/sent',
  'publish/messages/dropped',
  'publish/messages/received',
  'publish/messages/sent',
  'retained messages/count',
  'shared_subscriptions/count',
  'store/messages/bytes',
  'store/messages/count',
  'subscriptions/count',
  'uptime',
  'version',
]

function loads(name: string): string[] {
  return ['1min', '5min', '15min'].map((span) => `load/${name}/${span}`)
}

const prefix = '$SYS/broker/'

/** What has come so far, by the name below `$SYS/broker/`. */
async function figures(client: MqttClient): Promise<Map<string, string>> {
  const received = new Map<string, string>()
  client.send({ kind: 'pingreq' })
  for (;;) {
    const packet = await client.next()
    if (packet?.kind === 'pingresp') return received
    if (packet?.kind !== 'publish') assert.fail(`Unexpected ${packet?.kind ?? 'end'}`)
    assert.ok(packet.topic.startsWith(prefix), packet.topic)
    received.set(packet.topic.slice(prefix.length), Buffer.from(packet.payload).toString())
  }
}

suite('an administrator who subscribes to $SYS', () => {
  test('gets all figures at once, as if they were retained', async () => {
    await using server = await start()
    await using client = await server.login()
    assert.equal(await client.subscribe('$SYS/broker/version'), 2)
    const version = await client.receiveMessage()
    assert.deepEqual([version.text, version.retain, version.qos], ['linnet version 1.2.3', true, 0])
    await client.subscribe('$SYS/#', { retainHandling: 2 })
    assert.equal((await figures(client)).size, 0)
    await client.subscribe('$SYS/#')
    const all = await figures(client)
    assert.deepEqual([...all.keys()].sort(), [...names].sort())
    assert.equal(all.get('uptime'), '0 seconds')
    assert.equal(all.get('clients/connected'), '1')
    assert.ok(Number(all.get('heap/current')) > 1e6)
  })

  // shows: option mod_mqtt.sys_interval
  test('gets what has changed at each interval', async () => {
    await using server = await start({ module: { sys_interval: '5 seconds' } })
    await using client = await server.login()
    await client.subscribe('$SYS/broker/clients/#', { retainHandling: 2 })
    await client.subscribe('$SYS/broker/uptime', { retainAsPublished: true })
    assert.equal((await client.receiveMessage()).text, '0 seconds')
    await using _other = await server.login({ clientId: 'other' })
    server.clock.advance(4000)
    assert.equal((await figures(client)).size, 0)
    server.clock.advance(1000)
    const first = await figures(client)
    assert.equal(first.get('uptime'), '5 seconds')
    assert.equal(first.get('clients/total'), '2')
    server.clock.advance(5000)
    // Nothing else has changed.
    const uptime = await client.receiveMessage()
    assert.deepEqual([uptime.text, uptime.retain], ['10 seconds', true])
    await client.hearsNothing()
  })

  test('gets no more of them when nobody may any more', async () => {
    await using server = await start()
    await using client = await server.login()
    await client.subscribe('$SYS/broker/uptime')
    assert.equal((await client.receiveMessage()).text, '0 seconds')
    await server.reload({ config: { ...config, acl: { admin: { user: 'romeo' } } } })
    server.clock.advance(10_000)
    await client.hearsNothing()
    assert.equal(server.metric('linnet_mqtt_subscriptions'), 0)
  })

  test('finds no old figures on coming back', async () => {
    await using server = await start()
    const lasting = { clientId: 'l', cleanStart: false, properties: { sessionExpiryInterval: 200 } }
    await using client = await server.login(lasting)
    await client.subscribe('$SYS/broker/uptime', { retainHandling: 2 })
    await client.disconnect()
    server.clock.advance(100_000)
    assert.equal(server.metric('linnet_mqtt_queued'), 0)
    await using back = await server.login(lasting)
    await back.hearsNothing()
    server.clock.advance(10_000)
    assert.equal((await back.receiveMessage()).text, '110 seconds')
  })

  test('may share the subscription', async () => {
    await using server = await start()
    await using client = await server.login()
    assert.equal(await client.subscribe('$share/g/$SYS/broker/uptime'), 2)
    server.clock.advance(10_000)
    assert.equal((await client.receiveMessage()).text, '10 seconds')
  })
})

suite('$SYS', () => {
  // shows: option mod_mqtt.access_sys
  test('is for those whom access_sys allows it', async () => {
    const filters = ['$SYS/#', '$SYS', '$SYS/broker/+', '$share/g/$SYS/#']
    for (const [access, reason] of [
      [undefined, ReasonCode.notAuthorized],
      ['none', ReasonCode.notAuthorized],
      ['all', ReasonCode.grantedQoS2],
    ] as const) {
      // What access_subscribe says does not matter.
      const module = { ...(access !== undefined && { access_sys: access }) }
      await using server = await start({ module: { access_subscribe: { '#': 'all' }, ...module } })
      await using client = await server.login({ userName: 'romeo' })
      for (const filter of filters) {
        assert.equal(await client.subscribe(filter, { retainHandling: 2 }), reason, filter)
      }
      await using old = await server.login({ userName: 'romeo', version: 4, clientId: 'old' })
      const byte = reason === ReasonCode.notAuthorized ? 0x80 : reason
      assert.equal(await old.subscribe('$SYS/#'), byte)
    }
  })

  test('is not reached by wildcards at the first level (MQTT5 4.7.2-1)', async () => {
    await using server = await start()
    await using client = await server.login()
    await client.subscribe('#')
    await client.subscribe('+/broker/uptime')
    await using other = await server.login({ clientId: 'other' })
    await other.subscribe('$SYS/broker/uptime', { retainHandling: 2 })
    server.clock.advance(10_000)
    assert.equal((await other.receiveMessage()).text, '10 seconds')
    await client.hearsNothing()
  })

  test("is nobody's to publish to, not even an administrator's", async () => {
    await using server = await start()
    await using client = await server.login()
    for (const retain of [false, true]) {
      const reason = await client.publish('$SYS/broker/uptime', 'x', { qos: 1, retain })
      assert.equal(reason, ReasonCode.notAuthorized)
    }
    assert.equal(server.metric('linnet_mqtt_retained'), 0)
  })

  test('is empty with an interval of 0', async () => {
    await using server = await start({ module: { sys_interval: 0 } })
    await using client = await server.login()
    assert.equal(await client.subscribe('$SYS/#'), 2)
    server.clock.advance(60_000)
    await client.hearsNothing()
    await server.reload({ module: { sys_interval: 10 } })
    server.clock.advance(10_000)
    assert.equal((await figures(client)).size, names.length)
  })

  test('costs nothing while nobody is subscribed', async (t) => {
    await using server = await start()
    await using client = await server.login()
    await client.subscribe('#')
    const usage = t.mock.method(process, 'memoryUsage')
    server.clock.advance(60_000)
    await client.hearsNothing()
    assert.equal(usage.mock.callCount(), 0)
    await client.subscribe('$SYS/#')
    assert.equal((await figures(client)).size, names.length)
    assert.equal(usage.mock.callCount(), 1)
  })
})

test('tells what is there', async () => {
  await using server = await start({ module: { max_queue: 1 } })
  await using client = await server.login({ clientId: 'admin' })
  const lasting = { clientId: 'l', cleanStart: false, properties: { sessionExpiryInterval: 100 } }
  await using away = await server.login(lasting)
  await away.subscribe('a', { qos: 1 })
  await away.subscribe('$share/g/b', { qos: 1 })
  await away.disconnect()
  await using publisher = await server.login({ clientId: 'p' })
  await publisher.publish('a', 'kept', { qos: 1 })
  await publisher.publish('a', 'lost', { qos: 1 })
  await publisher.publish('r', 'retained', { qos: 1, retain: true })
  await using reader = await server.login({ clientId: 'r' })
  await reader.subscribe('c', { qos: 1 })
  await publisher.publish('c', 'sent', { qos: 1 })
  await reader.receive('publish')
  await client.subscribe('$SYS/broker/#')
  const seen = await figures(client)
  const counts = Object.fromEntries([...seen].filter(([name]) => !/load|bytes|heap/.test(name)))
  assert.deepEqual(counts, {
    version: 'linnet version 1.2.3',
    uptime: '0 seconds',
    'clients/total': '4',
    'clients/connected': '3',
    'clients/active': '3',
    'clients/disconnected': '1',
    'clients/inactive': '1',
    'clients/maximum': '3',
    'clients/expired': '0',
    // Four CONNECT, four SUBSCRIBE, one DISCONNECT, four PUBLISH.
    'messages/received': '13',
    // As many answers but that to DISCONNECT, and one PUBLISH.
    'messages/sent': '13',
    'messages/inflight': '1',
    'messages/stored': '3',
    'publish/messages/received': '4',
    'publish/messages/sent': '1',
    'publish/messages/dropped': '1',
    'subscriptions/count': '4',
    'shared_subscriptions/count': '1',
    'retained messages/count': '1',
    'store/messages/count': '3',
  })
  assert.equal(
    seen.get('store/messages/bytes'),
    `${weight('a', 4) + weight('c', 4) + weight('r', 8)}`,
  )
  assert.ok(Number(seen.get('bytes/received')) > Number(seen.get('publish/bytes/received')))
  assert.ok(Number(seen.get('bytes/sent')) > Number(seen.get('publish/bytes/sent')))
  server.clock.advance(110_000)
  assert.equal((await figures(client)).get('clients/expired'), '1')
})

/** What a message of that payload weighs. */
function weight(topic: string, payloadBytes: number): number {
  return topic.length + payloadBytes + 160
}

test('tells how fast things go, as mosquitto does', async () => {
  await using server = await start()
  await using client = await server.login()
  await client.subscribe('$SYS/broker/load/publish/received/+')
  await figures(client)
  for (let i = 0; i < 10; i++) await client.publish('a', 'x', { qos: 1 })
  server.clock.advance(10_000)
  // Ten in ten seconds are sixty a minute, of which the first ten seconds count for a share.
  const after = (minutes: number, seconds: number): string =>
    (60 * (1 - Math.exp(-10 / 60 / minutes)) * Math.exp(-(seconds - 10) / 60 / minutes)).toFixed(2)
  const expected = (seconds: number): Record<string, string> => ({
    'load/publish/received/1min': after(1, seconds),
    'load/publish/received/5min': after(5, seconds),
    'load/publish/received/15min': after(15, seconds),
  })
  assert.deepEqual(Object.fromEntries(await figures(client)), expected(10))
  assert.equal(expected(10)['load/publish/received/1min'], '9.21')
  server.clock.advance(60_000)
  assert.deepEqual(Object.fromEntries(await figures(client)), expected(70))
})

test('tells each host its own figures', async () => {
  await using server = await start({ hosts: ['localhost', 'example.org'] })
  await using here = await server.login({ userName: 'juliet@localhost' })
  await using there = await server.login({ userName: 'juliet@example.org' })
  await using _more = await server.login({ userName: 'romeo@example.org', clientId: 'more' })
  for (const [client, count] of [
    [here, '1'],
    [there, '2'],
  ] as const) {
    await client.subscribe('$SYS/broker/clients/connected')
    assert.equal((await client.receiveMessage()).text, count)
  }
})
