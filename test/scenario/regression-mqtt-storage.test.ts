import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostStore, WriteOutcome, WriteTicket } from '../../src/core/store.ts'
import { StorageError } from '../../src/core/store.ts'
import { ReasonCode } from '../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../support/mqtt-broker.ts'
import type { ConnectOptions } from '../support/mqtt-client.ts'

const lasting: ConnectOptions = {
  clientId: 'lasting',
  cleanStart: false,
  properties: { sessionExpiryInterval: 200 },
}

/** A database that is full as long as the test says so. */
class Disk {
  isFull = false

  wrap(store: HostStore): HostStore {
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (name === 'write') {
          return (query: never) => {
            if (!this.isFull) return target.write(query)
            return refused()
          }
        }
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
}

function refused(): WriteTicket {
  const outcome = { ok: false, error: new StorageError('full', 'No space') } as const
  return {
    outcome,
    after: <C>(callback: (outcome: WriteOutcome, context: C) => void, context?: C) =>
      callback(outcome, context as C), // its own context comes back to it
    settled: Promise.resolve(outcome),
  }
}

async function start(): Promise<{ disk: Disk; server: MqttServer }> {
  const disk = new Disk()
  const server = await MqttServer.start({ wrapStore: (store) => disk.wrap(store) })
  return { disk, server }
}

// shows: MQTT3 4.8.0-2
test('a QoS 2 message of MQTT 3.1.1 that was not stored is no duplicate when it comes again', async () => {
  const { disk, server } = await start()
  await using _server = server
  const options = { version: 4, clientId: 'old', cleanStart: false } as const
  await using client = await server.login(options)
  disk.isFull = true
  client.sendPublish('a', 'first', { qos: 2, packetId: 7, retain: true })
  await client.closed()
  disk.isFull = false
  await using back = await server.login(options)
  back.sendPublish('a', 'first', { qos: 2, packetId: 7, retain: true, dup: true })
  assert.equal((await back.receive('pubrec')).packetId, 7)
  const file = await server.crash()
  await using next = await MqttServer.start({ file, clock: server.clock })
  await using reader = await next.login({ clientId: 'reader' })
  await reader.subscribe('a', { qos: 1 })
  assert.equal((await reader.receiveMessage()).text, 'first')
})

test('a removal of a retained message that was not stored is stored when it comes again', async () => {
  const { disk, server } = await start()
  await using _server = server
  await using client = await server.login()
  await client.publish('a', 'kept', { qos: 1, retain: true })
  disk.isFull = true
  assert.ok((await client.publish('a', '', { qos: 1, retain: true })) >= 0x80)
  assert.ok((await client.publish('a', '', { qos: 1, retain: true })) >= 0x80)
  disk.isFull = false
  assert.ok((await client.publish('a', '', { qos: 1, retain: true })) < 0x80)
  const file = await server.crash()
  await using next = await MqttServer.start({ file, clock: server.clock })
  await using reader = await next.login({ clientId: 'reader' })
  await reader.subscribe('a')
  await reader.hearsNothing()
})

test('a client that is not let in has no will', async () => {
  const { disk, server } = await start()
  await using _server = server
  await using watcher = await server.login({ clientId: 'watcher' })
  await watcher.subscribe('will')
  disk.isFull = true
  await using client = await server.connect()
  client.sendConnect({ ...lasting, will: { topic: 'will' } })
  assert.equal((await client.receive('connack')).reasonCode, ReasonCode.serverUnavailable)
  await client.closed()
  await watcher.hearsNothing()
})

test('a subscription that was refused does not exist', async () => {
  const { disk, server } = await start()
  await using _server = server
  await using client = await server.login(lasting)
  disk.isFull = true
  assert.ok((await client.subscribe('a')) >= 0x80)
  await client.publish('a', 'for nobody')
  await client.hearsNothing()
})

test('an ended session whose row stayed does not come back beside its successor', async () => {
  const { disk, server } = await start()
  await using _server = server
  await using first = await server.login(lasting)
  await first.subscribe('a', { qos: 1 })
  await first.disconnect()
  await server.broker().journal.settled()
  disk.isFull = true
  server.clock.advance(202_000)
  await server.broker().journal.settled()
  disk.isFull = false
  await using second = await server.connect()
  assert.equal((await second.login(lasting)).sessionPresent, false)
  const file = await server.crash()
  await using next = await MqttServer.start({ file, clock: server.clock })
  assert.equal(next.metric('linnet_mqtt_subscriptions'), 0)
  assert.equal(next.metric('linnet_mqtt_sessions'), 1)
})
