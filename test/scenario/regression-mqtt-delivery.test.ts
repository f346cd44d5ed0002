import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WriteOutcome, WriteTicket } from '../../src/core/store.ts'
import type { Packet } from '../../src/mqtt/packet/packet.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import { MqttServer } from '../support/mqtt-broker.ts'

function publishOf(topic: string, text: string, rest: Partial<Packet> = {}): Packet {
  const base = {
    kind: 'publish',
    topic,
    payload: Buffer.from(text),
    qos: 0,
    retain: false,
  } as const
  return { ...base, dup: false, packetId: 0, properties: {}, ...rest } as Packet // a PUBLISH still
}

test('the will follows what came just before the end', async () => {
  await using server = await MqttServer.start()
  await using watcher = await server.login({ clientId: 'watcher' })
  await watcher.subscribe('status')
  await using client = await server.login({
    will: { topic: 'status', payload: Buffer.from('offline') },
  })
  // The second one ends the connection: its alias is not known.
  client.sendAll([
    publishOf('status', 'online'),
    publishOf('', 'x', { properties: { topicAlias: 5 } }),
  ])
  const heard = [(await watcher.receiveMessage()).text, (await watcher.receiveMessage()).text]
  assert.deepEqual(heard, ['online', 'offline'])
})

test('a client that acknowledges nothing holds no more bytes than max_queue_bytes', async () => {
  await using server = await MqttServer.start({ module: { max_queue_bytes: 100_000 } })
  await using hoarder = await server.login({ clientId: 'hoarder' })
  await hoarder.subscribe('a', { qos: 1 })
  await using publisher = await server.login({ clientId: 'from' })
  const payload = Buffer.alloc(30_000, 'x')
  for (let i = 0; i < 10; i++) await publisher.publish('a', payload, { qos: 1 })
  await hoarder.receive('publish')
  assert.ok(server.metric('linnet_mqtt_pending_bytes') <= 100_000)
})

test('a reload does not change what connected clients were told', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login()
  await server.reload({ module: { receive_maximum: 1, max_topic_aliases: 1 } })
  client.sendAll([
    publishOf('a', '1', { qos: 2, packetId: 1 }),
    publishOf('a', '2', { qos: 2, packetId: 2 }),
    publishOf('b', '3', { properties: { topicAlias: 9 } }),
  ])
  assert.equal((await client.receive('pubrec')).packetId, 1)
  assert.equal((await client.receive('pubrec')).packetId, 2)
  await client.hearsNothing()
  await using later = await server.connect()
  const { properties } = await later.login({ clientId: 'later' })
  assert.equal(properties.receiveMaximum, 1)
  assert.equal(properties.topicAliasMaximum, 1)
})

test('a placeholder in a rule does not select a level that looks like it', async () => {
  await using server = await MqttServer.start({
    module: { access_publish: { '%u/x': 'all' }, access_subscribe: { '%u/x': 'all' } },
  })
  await using client = await server.login()
  assert.equal(await client.publish('%u/x', '', { qos: 1 }), ReasonCode.notAuthorized)
  assert.equal(await client.subscribe('%u/x'), ReasonCode.notAuthorized)
  assert.equal(await client.subscribe('juliet/x'), 2)
})

test('a client that takes no answers is not read for ever', async () => {
  await using server = await MqttServer.start()
  await using client = await server.login()
  client.freeze()
  const pings = 12_000_000
  client.sendBytes(Buffer.alloc(pings * 2, Buffer.from('c000', 'hex')))
  const { connection } = server.broker().sessions.byKey.values().next().value ?? {}
  assert.ok(connection !== undefined)
  const { promise: paused, resolve } = Promise.withResolvers<void>()
  const pauseReading = connection.pauseReading.bind(connection)
  connection.pauseReading = (why) => {
    pauseReading(why)
    resolve()
  }
  await paused
  assert.ok(connection.transport.bufferedBytes < 4 * 1024 * 1024)
  // Once it reads, it is read again.
  client.thaw()
  await client.receive('pingresp')
  await new Promise<void>((go) => {
    const resumeReading = connection.resumeReading.bind(connection)
    connection.resumeReading = (why) => {
      resumeReading(why)
      go()
    }
  })
})

test('a ban finds a client whose CONNACK waits for a commit', async () => {
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  let isHeld = false
  const calls: (() => void)[] = []
  await using server = await MqttServer.start({
    wrapStore: (store) =>
      new Proxy(store, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target)
          if (name === 'write' && isHeld) {
            return (query: never): WriteTicket => {
              resolve()
              const ticket = target.write(query)
              return {
                outcome: ticket.outcome,
                settled: ticket.settled,
                after: <C>(callback: (outcome: WriteOutcome, context: C) => void, context?: C) =>
                  void calls.push(() => ticket.after(callback, context as C)), // its own context
              }
            }
          }
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
  })
  await using client = await server.connect()
  isHeld = true
  client.sendConnect({ cleanStart: false, properties: { sessionExpiryInterval: 200 } })
  await asked
  for (const session of server.registry.forAccount(bareJid(jid('juliet@localhost')))) {
    session.kick('Banned', 'banned')
  }
  isHeld = false
  for (const call of calls) call()
  await client.closed()
  assert.equal(server.metric('linnet_mqtt_sessions'), 0)
})
