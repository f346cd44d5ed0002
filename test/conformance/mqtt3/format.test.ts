import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttServer } from '../../support/mqtt-broker.ts'
import { field, packet } from '../../support/mqtt-raw.ts'
import { credentials, login, rawConnect, stranger, texts } from './clients.ts'

/** MQTT 3.1.1, chapter 2 and 1.5: what all packets have in common. */

/** Sends it on a connection of its own, which the server has to end without a word. */
async function endsConnection(server: MqttServer, bytes: Uint8Array): Promise<void> {
  await using client = await login(server, 'bad')
  client.sendBytes(bytes)
  await client.closed()
}

/** Sends it on a connection of its own, which the server must not mind. */
async function isFine(server: MqttServer, bytes: Uint8Array): Promise<void> {
  await using client = await login(server, 'good')
  client.sendBytes(bytes)
  client.send({ kind: 'pingreq' })
  for (;;) {
    const answer = await client.next()
    if (answer?.kind === 'pingresp') return
    assert.ok(answer, 'the connection was ended')
  }
}

const illFormed = [
  ['a lone lead byte', [0x61, 0xc3]],
  ['a lone tail byte', [0xa4]],
  ['an overlong form', [0xc0, 0xaf]],
  ['a surrogate', [0xed, 0xa0, 0x80]],
  ['a code point past the last', [0xf4, 0x90, 0x80, 0x80]],
] as const

// shows: MQTT3 1.5.3-1, 3.3.2-1, 3.8.3-1, 3.10.3-1, 4.8.0-1
test('a text that is not UTF-8 ends the connection', async () => {
  await using server = await MqttServer.start()
  for (const [what, octets] of illFormed) {
    const text = field(Buffer.from(octets))
    for (const bad of [
      packet(0x30, text, '78'),
      packet(0x82, '0001', text, '00'),
      packet(0xa2, '0001', text),
    ]) {
      await assert.doesNotReject(endsConnection(server, bad), what)
    }
  }
  await isFine(server, packet(0x30, field('ä€😀\ue000\ud7ff'), '78'))
  await isFine(server, packet(0x82, '0001', field('ä€😀'), '00'))
  await isFine(server, packet(0xa2, '0001', field('ä€😀')))
})

// shows: MQTT3 1.5.3-2, 4.7.3-2
test('U+0000 in a text ends the connection', async () => {
  await using server = await MqttServer.start()
  const text = field('a\0b')
  await endsConnection(server, packet(0x30, text, '78'))
  await endsConnection(server, packet(0x82, '0001', text, '00'))
  await endsConnection(server, packet(0xa2, '0001', text))
})

// shows: MQTT3 1.5.3-1, 1.5.3-2, 3.1.3-4, 3.1.3-10, 3.1.3-11, 3.1.4-1
test('a CONNECT with such a text gets no answer', async () => {
  await using server = await MqttServer.start()
  for (const octets of [...illFormed.map(([, own]) => own), [0x61, 0]]) {
    const bad = field(Buffer.from(octets))
    for (const connect of [
      rawConnect({ payload: [bad, credentials] }),
      rawConnect({ flags: 0xc6, payload: [field('id'), bad, field('gone'), credentials] }),
      rawConnect({ payload: [field('id'), bad, field('secret')] }),
    ]) {
      await using client = await stranger(server)
      client.sendBytes(connect)
      await client.closed()
    }
  }
})

// shows: MQTT3 1.5.3-3
test('U+FEFF at the beginning of a text is part of it', async () => {
  await using server = await MqttServer.start()
  await using client = await login(server, 'to')
  await client.subscribe('\ufeffa', { qos: 0 })
  await client.subscribe('b', { qos: 0 })
  await using publisher = await login(server, 'from')
  publisher.sendPublish('a', 'without')
  publisher.sendPublish('\ufeffb', 'with')
  publisher.sendPublish('\ufeffa', 'same')
  const received = await client.receiveMessage()
  assert.deepEqual([received.topic, received.text], ['\ufeffa', 'same'])
  await publisher.hearsNothing()
  await client.hearsNothing()
})

// shows: MQTT3 2.2.2-1, 2.2.2-2, 3.6.1-1, 3.8.1-1, 3.10.1-1, 3.14.1-1
test('flags other than those of the table end the connection', async () => {
  await using server = await MqttServer.start()
  const id = '0001'
  const rows = [
    ['PUBACK', 4, 0, [id]],
    ['PUBREC', 5, 0, [id]],
    ['PUBREL', 6, 2, [id]],
    ['PUBCOMP', 7, 0, [id]],
    ['SUBSCRIBE', 8, 2, [id, field('a'), '00']],
    ['UNSUBSCRIBE', 10, 2, [id, field('a')]],
    ['PINGREQ', 12, 0, []],
  ] as const
  for (const [name, type, right, body] of rows) {
    await isFine(server, packet((type << 4) | right, ...body))
    for (const wrong of [0, 1, 2, 3, 4, 6, 8, 10, 15]) {
      if (wrong === right) continue
      const bad = packet((type << 4) | wrong, ...body)
      await assert.doesNotReject(endsConnection(server, bad), `${name} with flags ${wrong}`)
    }
  }
})

// shows: MQTT3 2.2.2-1, 3.14.1-1
test('a DISCONNECT with flags is none: the will is published', async () => {
  await using server = await MqttServer.start()
  await using watcher = await login(server, 'watcher')
  await watcher.subscribe('will')
  await using client = await login(server, 'mortal', { will: { topic: 'will' } })
  client.sendBytes(packet(0xe1))
  await client.closed()
  assert.deepEqual(await texts(watcher, 1), ['gone'])
})

// shows: MQTT3 2.2.2-1, 3.6.1-1
test('the server sets the flags of the table', async () => {
  await using server = await MqttServer.start()
  await using client = await login(server, 'client')
  // The client's decoder refuses all others.
  await client.subscribe('a', { qos: 2 })
  await client.publish('a', 'x', { qos: 2 })
  const { packetId } = await client.receive('publish')
  client.sendAck('pubrec', packetId)
  assert.equal((await client.receive('pubrel')).packetId, packetId)
  await client.unsubscribe('a')
  await client.hearsNothing()
})

// shows: MQTT3 2.3.1-1
test('packet identifier 0 ends the connection', async () => {
  await using server = await MqttServer.start()
  await endsConnection(server, packet(0x82, '0000', field('a'), '00'))
  await endsConnection(server, packet(0xa2, '0000', field('a')))
  await endsConnection(server, packet(0x32, field('a'), '0000', '78'))
  await endsConnection(server, packet(0x34, field('a'), '0000', '78'))
})

// shows: MQTT3 2.3.1-1, 2.3.1-4, 4.3.2-1
test('what the server sends has a packet identifier that is not in use', async () => {
  await using server = await MqttServer.start({ module: { max_inflight: 500 } })
  await using client = await login(server, 'to')
  await client.subscribe('a', { qos: 2 })
  await using publisher = await login(server, 'from')
  const open = new Set<number>()
  for (let i = 0; i < 200; i++) {
    const qos = i % 2 === 0 ? 1 : 2
    await publisher.publish('a', `${i}`, { qos })
    const { packetId } = await client.receive('publish')
    assert.ok(packetId > 0)
    assert.ok(!open.has(packetId), `${packetId} is in use`)
    open.add(packetId)
    // Every third one of QoS 1 is done at once.
    if (qos === 1 && i % 3 === 0) {
      client.sendAck('puback', packetId)
      open.delete(packetId)
    }
  }
})

// shows: MQTT3 2.3.1-4
test('packet identifiers go round without meeting one that is in use', async () => {
  await using server = await MqttServer.start()
  await using client = await login(server, 'to')
  await client.subscribe('a', { qos: 1 })
  await using publisher = await login(server, 'from')
  await publisher.publish('a', 'stays', { qos: 1 })
  const { packetId: inUse } = await client.receive('publish')
  // 65,534 others are free: after them comes the first again, which is passed over.
  let last = 0
  for (let i = 0; i < 65_535; i += 257) {
    const batch = Buffer.concat(
      Array.from({ length: 257 }, (_, j) => packet(0x32, field('a'), id(1 + ((i + j) % 65_535)))),
    )
    publisher.sendBytes(batch)
    for (let j = 0; j < 257; j++) {
      await publisher.receive('puback')
      last = (await client.receive('publish')).packetId
      assert.notEqual(last, inUse)
      client.sendAck('puback', last)
    }
  }
  assert.equal(last, inUse + 1)
})

function id(number: number): Buffer {
  return Buffer.from([number >> 8, number & 0xff])
}

// shows: MQTT3 2.3.1-5, 4.3.1-1
test('a message of QoS 0 has no packet identifier, either way', async () => {
  await using server = await MqttServer.start()
  await using client = await login(server, 'to')
  await client.subscribe('a', { qos: 2 })
  await using publisher = await login(server, 'from')
  publisher.sendBytes(packet(0x30, field('a'), '0102', '78'))
  const received = await client.receiveMessage()
  assert.equal(received.qos, 0)
  // What would be one is payload.
  assert.deepEqual([...received.payload], [1, 2, 0x78])
})

// shows: MQTT3 2.3.1-6, 2.3.1-7, 3.8.4-2, 3.10.4-4
test('answers have the packet identifier of what they answer', async () => {
  await using server = await MqttServer.start()
  await using client = await login(server, 'client')
  for (const number of [1, 255, 256, 0x1234, 65_535]) {
    client.sendBytes(packet(0x32, field('a'), id(number), '78'))
    assert.equal((await client.receive('puback')).packetId, number)
    client.sendBytes(packet(0x34, field('a'), id(number), '78'))
    assert.equal((await client.receive('pubrec')).packetId, number)
    client.sendBytes(packet(0x62, id(number)))
    assert.equal((await client.receive('pubcomp')).packetId, number)
    client.sendBytes(packet(0x82, id(number), field('b'), '02'))
    assert.equal((await client.receive('suback')).packetId, number)
    client.sendBytes(packet(0xa2, id(number), field('b')))
    assert.equal((await client.receive('unsuback')).packetId, number)
  }
})

// shows: MQTT3 4.8.0-1
test('what no client sends ends the connection', async () => {
  await using server = await MqttServer.start()
  for (const bad of [
    packet(0x00),
    packet(0x20, '0000'),
    packet(0x90, '0001 00'),
    packet(0xb0, '0001'),
    packet(0xd0),
    packet(0xf0),
    // A Remaining Length of five bytes, one that is too long for what is in the packet, and one that is too short.
    Buffer.from([0xc0, 0x80, 0x80, 0x80, 0x80, 0x01]),
    packet(0x40, '0001 00'),
    packet(0x40, '01'),
    packet(0x30, '0005 61'),
  ]) {
    await endsConnection(server, bad)
  }
})
