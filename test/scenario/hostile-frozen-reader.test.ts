import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { encodePacket } from '../../src/mqtt/packet/encode.ts'
import type { Packet } from '../../src/mqtt/packet/packet.ts'
import type { QoS } from '../../src/mqtt/packet/packet-type.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import type { MqttClient } from '../crash/mqtt-client.ts'
import { Bystander, MiB, password, Target } from './hostile-target.ts'

/*
 * Clients that ask for much and read nothing of it. What is sent to them is many times the memory that the server may take
 * for it, while others who want the same get all of it.
 */

const payloadBytes = 64 * 1024
const payload = Buffer.alloc(payloadBytes, 'x')
/** 512 MiB, for each of those who do not read. */
const publications = 8192
const frozen = 8
const allowed = 256 * MiB

/** Publishes as fast as the server takes it. */
async function flood(
  publisher: MqttClient,
  topic: string,
  qos: QoS,
  reader: MqttClient | undefined,
): Promise<void> {
  const group = 32
  for (let sent = 0; sent < publications; sent += group) {
    const message = { topic, payload, qos }
    const answers = Array.from({ length: group }, () => publisher.publish(message))
    if (qos === 0) await publisher.ping()
    for (const answer of await Promise.all(answers)) assert.equal(answer, 'acknowledged')
    // Whoever reads is given the time for it.
    await reader?.ping()
  }
}

for (const qos of [0, 1] as const) {
  test(`MQTT subscribers of QoS ${qos} that do not read cost little, and others nothing`, async (t) => {
    await using target = await Target.start()
    const bystander = await Bystander.start(target)
    const topic = 'flood'
    const readers: MqttClient[] = []
    for (let index = 0; index < frozen; index++) {
      const reader = await target.mqtt('a', `frozen-${index}`)
      assert.equal(await reader.subscribe(topic, qos), 'acknowledged')
      reader.freeze()
      readers.push(reader)
    }
    await using subscriber = await target.mqtt('b', 'reading')
    assert.equal(await subscriber.subscribe(topic, qos), 'acknowledged')
    let received = 0
    subscriber.onPublish = (message) => {
      assert.equal(message.payload.length, payloadBytes)
      received += 1
    }
    await using publisher = await target.mqtt('c', 'publisher')
    const growth = await target.growthDuring(async () => {
      await flood(publisher, topic, qos, subscriber)
      await bystander.goesOn(20)
    })
    t.diagnostic(`grew by ${Math.round(growth / MiB)} MiB, the reader got ${received}`)
    assert.ok(growth < allowed, `${growth}`)
    assert.equal(received, publications)
    // Who reads again is served again: as ever, or thrown out and let in again.
    for (const reader of readers) reader.thaw()
    for (const reader of readers) {
      await Promise.race([reader.ping(), reader.closed])
      await reader[Symbol.asyncDispose]()
    }
    t.diagnostic(await bystander.stop())
  })
}

test('WebSockets that do not read cost little, and others nothing', async (t) => {
  await using target = await Target.start()
  const bystander = await Bystander.start(target)
  const sockets: WebSocket[] = []
  const send = (socket: WebSocket, packet: Packet): void => socket.send(encodePacket(packet, 5))
  for (let index = 0; index < frozen; index++) {
    const socket = new WebSocket(`ws://127.0.0.1:${target.port('http')}/mqtt`, 'mqtt')
    await once(socket, 'open')
    send(socket, {
      kind: 'connect',
      version: 5,
      cleanStart: true,
      keepAlive: 0,
      clientIdentifier: `frozen-${index}`,
      userName: 'a@localhost',
      password: Buffer.from(password),
      properties: {},
    })
    await once(socket, 'message')
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    const subscriptions = [{ filter: 'flood', qos: 0, ...options }] as const
    send(socket, { kind: 'subscribe', packetId: 1, subscriptions, properties: {} })
    await once(socket, 'message')
    socket.pause()
    sockets.push(socket)
  }
  await using publisher = await target.mqtt('c', 'publisher')
  const growth = await target.growthDuring(async () => {
    await flood(publisher, 'flood', 0, undefined)
    await bystander.goesOn(20)
  })
  t.diagnostic(`grew by ${Math.round(growth / MiB)} MiB`)
  assert.ok(growth < allowed, `${growth}`)
  for (const socket of sockets) socket.terminate()
  t.diagnostic(await bystander.stop())
})

test('XMPP clients that do not read cost little, and others nothing', async (t) => {
  await using target = await Target.start()
  const bystander = await Bystander.start(target)
  await using reader = await target.xmpp('a')
  reader.send(xml('presence', 'jabber:client'))
  await reader.request('get', xml('ping', 'urn:xmpp:ping'), 'localhost')
  reader.freeze()
  await using sender = await target.xmpp('b')
  const body = xml('body', 'jabber:client', {}, 'x'.repeat(payloadBytes))
  const message = xml(
    'message',
    'jabber:client',
    { to: 'a@localhost/test', type: 'headline' },
    body,
  )
  const growth = await target.growthDuring(async () => {
    for (let sent = 0; sent < publications; sent++) {
      sender.send(message)
      if (sent % 32 === 0) {
        const pong = await sender.request('get', xml('ping', 'urn:xmpp:ping'), 'localhost')
        assert.equal(pong?.attr('type'), 'result')
      }
    }
    await bystander.goesOn(20)
  })
  t.diagnostic(`grew by ${Math.round(growth / MiB)} MiB`)
  assert.ok(growth < allowed, `${growth}`)
  t.diagnostic(await bystander.stop())
})

test('XMPP clients that ask and do not read the answers are not read any further', async (t) => {
  await using target = await Target.start()
  const bystander = await Bystander.start(target)
  await using client = await target.xmpp('a')
  client.freeze()
  // Every answer is larger than its question.
  const question = `<iq type='get' id='${'i'.repeat(200)}' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`
  const questions = question.repeat(1000)
  const growth = await target.growthDuring(async () => {
    for (let sent = 0; sent < 64 * MiB && !client.isClosed; sent += questions.length) {
      client.sendText(questions)
      await bystander.goesOn(1)
    }
    await bystander.goesOn(20)
  })
  t.diagnostic(`grew by ${Math.round(growth / MiB)} MiB`)
  assert.ok(growth < allowed, `${growth}`)
  t.diagnostic(await bystander.stop())
})
