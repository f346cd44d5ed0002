import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ReasonCode } from '../../../src/mqtt/packet/reason-code.ts'
import { MqttServer } from '../../support/mqtt-broker.ts'
import type { MqttClient } from '../../support/mqtt-client.ts'
import { drop, lasting, packet, texts, u16 } from './wire.ts'

/** Members of one share group, with sessions that last. */
async function members(
  server: MqttServer,
  count: number,
  qos: 0 | 1 | 2 = 2,
): Promise<MqttClient[]> {
  const clients: MqttClient[] = []
  for (let i = 0; i < count; i++) {
    const client = await server.login(lasting(`member${i}`))
    assert.equal(await client.subscribe('$share/group/a/#', { qos }), qos)
    clients.push(client)
  }
  return clients
}

/** Which client has got something, and nobody else has. */
async function receiver(clients: readonly MqttClient[]): Promise<MqttClient> {
  const found: MqttClient[] = []
  for (const client of clients) {
    client.send({ kind: 'pingreq' })
    const next = await client.next()
    if (next?.kind === 'pingresp') continue
    assert.equal(next?.kind, 'publish')
    assert.equal((await client.next())?.kind, 'pingresp')
    found.push(client)
  }
  assert.equal(found.length, 1)
  return found[0] ?? assert.fail('Nobody has got it')
}

suite('share groups', () => {
  // shows: MQTT5 4.8.2-1, 4.8.2-2
  test('are named between "$share/" and the filter, and each name is another group', async () => {
    await using server = await MqttServer.start()
    const filters = [
      '$share/g/a/#',
      '$share/G/a/#',
      '$share/é $ name/a/b',
      '$share/g/+/b',
      '$share/g//b',
      '$share/$share/a/b',
    ]
    await using publisher = await server.login({ clientId: 'from' })
    const clients: MqttClient[] = []
    for (const [i, filter] of filters.entries()) {
      const client = await server.login({ clientId: `member${i}` })
      assert.equal(await client.subscribe(filter), 2)
      clients.push(client)
    }
    await publisher.publish('a/b', 'x', { qos: 1 })
    for (const [i, client] of clients.entries()) {
      if (filters[i] !== '$share/g//b') assert.deepEqual(await texts(client, 1), ['x'])
      await client.hearsNothing()
    }
    await publisher.publish('/b', 'x', { qos: 1 })
    for (const i of [3, 4]) {
      const client = clients[i] ?? assert.fail()
      assert.deepEqual(await texts(client, 1), ['x'])
    }
    for (const client of clients) await client.disconnect()
  })

  test('give messages to their members evenly (MQTT5 4.8.2)', async () => {
    await using server = await MqttServer.start()
    const clients = await members(server, 3)
    await using publisher = await server.login({ clientId: 'from' })
    for (const qos of [0, 1, 2] as const) {
      for (let i = 0; i < 30; i++) await publisher.publish('a/b', `${i}`, { qos })
      const all: string[] = []
      for (const client of clients) {
        all.push(...(await texts(client, 10)))
        await client.hearsNothing()
      }
      assert.deepEqual(
        all.map(Number).sort((a, b) => a - b),
        Array.from({ length: 30 }, (_, i) => i),
      )
    }
    for (const client of clients) await client.disconnect()
  })

  test('go on when members come and leave (MQTT5 4.8.2)', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const [first, second] = await members(server, 2)
    assert.ok(first !== undefined && second !== undefined)
    await second.unsubscribe('$share/group/a/#')
    for (let i = 0; i < 4; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    assert.deepEqual(await texts(first, 4), ['0', '1', '2', '3'])
    await second.hearsNothing()
    await second.subscribe('$share/group/a/#')
    await first.disconnect({ sessionExpiryInterval: 0 })
    for (let i = 0; i < 4; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    assert.deepEqual(await texts(second, 4), ['0', '1', '2', '3'])
    await second.disconnect()
  })

  // shows: MQTT5 4.8.2-3
  test('deliver with the QoS that each member was granted, at most', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const clients = []
    for (const qos of [0, 1, 2] as const) {
      const client = await server.login({ clientId: `member${qos}` })
      assert.equal(await client.subscribe('$share/group/a', { qos }), qos)
      clients.push(client)
    }
    for (const published of [0, 1, 2] as const) {
      for (let i = 0; i < 3; i++) await publisher.publish('a', 'x', { qos: published })
      for (const [granted, client] of clients.entries()) {
        assert.equal((await client.receiveMessage()).qos, Math.min(published, granted))
        await client.hearsNothing()
      }
    }
    for (const client of clients) await client.disconnect()
  })

  test('get no retained messages, whatever the Retain Handling (MQTT5 4.8.2)', async () => {
    await using server = await MqttServer.start()
    await using client = await server.login()
    await client.publish('a', 'kept', { qos: 1, retain: true })
    for (const retainHandling of [0, 1, 2] as const) {
      await client.subscribe('$share/group/a', { retainHandling })
      await client.hearsNothing()
      await client.unsubscribe('$share/group/a')
    }
  })

  test('prefer members whose clients are there and take messages (MQTT5 4.8.2)', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const [away, here] = await members(server, 2)
    assert.ok(away !== undefined && here !== undefined)
    await away.disconnect()
    for (let i = 0; i < 4; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    assert.deepEqual(await texts(here, 4), ['0', '1', '2', '3'])
    await here.disconnect()
  })
})

suite('a message that a member of a share group has been sent', () => {
  // shows: MQTT5 4.8.2-6, 4.4.0-2
  test('goes to nobody else when it is refused', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const clients = await members(server, 3)
    for (const qos of [1, 2] as const) {
      for (const reasonCode of [0x80, 0x83, 0x87, 0x97]) {
        await publisher.publish('a', 'x', { qos })
        const packets = await Promise.all(
          clients.map(async (client) => {
            client.send({ kind: 'pingreq' })
            const next = await client.next()
            if (next?.kind === 'publish') await client.receive('pingresp')
            return next
          }),
        )
        const chosen = packets.findIndex((found) => found?.kind === 'publish')
        const sent = packets[chosen]
        const client = clients[chosen]
        assert.ok(sent?.kind === 'publish' && client !== undefined)
        client.sendBytes(
          packet(qos === 1 ? 0x40 : 0x50, u16(sent.packetId), Buffer.from([reasonCode])),
        )
        for (const each of clients) await each.hearsNothing()
      }
    }
    // Neither when members come back, nor when their sessions end.
    for (const client of clients.slice(0, 2)) {
      await drop(server, client)
    }
    const [, , last] = clients
    assert.ok(last !== undefined)
    server.clock.advance(300_000)
    await last.hearsNothing()
    await last.disconnect()
  })

  // shows: MQTT5 4.8.2-4
  test('with QoS 2 is completed with the same client when it is back', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    for (const hasReceived of [false, true]) {
      const clients = await members(server, 2)
      await publisher.publish('a', 'x', { qos: 2 })
      const [first, second] = clients
      assert.ok(first !== undefined && second !== undefined)
      const chosen = await receiver(clients)
      const other = chosen === first ? second : first
      if (hasReceived) {
        chosen.sendAck('pubrec', 1)
        assert.equal((await chosen.receive('pubrel')).packetId, 1)
      }
      await drop(server, chosen)
      await other.hearsNothing()
      server.clock.advance(60_000)
      await other.hearsNothing()
      await using back = await server.login(lasting(chosen === first ? 'member0' : 'member1'))
      if (hasReceived) assert.equal((await back.receive('pubrel')).packetId, 1)
      else {
        const again = await back.receive('publish')
        assert.deepEqual([again.packetId, again.dup, again.qos], [1, true, 2])
        back.sendAck('pubrec', 1)
        assert.equal((await back.receive('pubrel')).reasonCode, ReasonCode.success)
      }
      back.sendAck('pubcomp', 1)
      await back.hearsNothing()
      await other.hearsNothing()
      for (const client of [back, other]) await client.disconnect({ sessionExpiryInterval: 0 })
    }
  })

  // shows: MQTT5 4.8.2-5
  test('with QoS 2 goes to nobody else when its session ends', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const ends: readonly ((chosen: MqttClient, name: string) => Promise<void>)[] = [
      (chosen) => chosen.disconnect({ sessionExpiryInterval: 0 }),
      async (chosen) => {
        await drop(server, chosen)
        server.clock.advance(300_000)
      },
      async (chosen, name) => {
        await drop(server, chosen)
        await using clean = await server.login({ clientId: name })
        await clean.disconnect()
      },
    ]
    for (const end of ends) {
      const clients = await members(server, 2)
      await publisher.publish('a', 'x', { qos: 2 })
      const [first, second] = clients
      assert.ok(first !== undefined && second !== undefined)
      const chosen = await receiver(clients)
      const other = chosen === first ? second : first
      await end(chosen, chosen === first ? 'member0' : 'member1')
      await other.hearsNothing()
      await other.disconnect({ sessionExpiryInterval: 0 })
    }
  })

  test('with QoS 1 goes to another member when its session ends (MQTT5 4.8.2)', async () => {
    await using server = await MqttServer.start()
    await using publisher = await server.login({ clientId: 'from' })
    const clients = await members(server, 2)
    await publisher.publish('a', 'x', { qos: 1 })
    const [first, second] = clients
    assert.ok(first !== undefined && second !== undefined)
    const chosen = await receiver(clients)
    const other = chosen === first ? second : first
    await chosen.disconnect({ sessionExpiryInterval: 0 })
    const received = await other.receiveMessage()
    assert.deepEqual([received.text, received.qos], ['x', 1])
    await other.hearsNothing()
    await other.disconnect()
  })
})
