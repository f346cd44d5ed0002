import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Delivery } from '../delivery.ts'
import { Message } from '../message.ts'
import { parseTopicFilter, parseTopicName } from '../topic.ts'
import { createWill, decodeWill, encodeWill } from '../will.ts'
import { IdSource } from './ids.ts'
import { readBody, readEnqueued, RecordType, writeBody, writeEnqueued } from './records.ts'
import { RecordReader, RecordWriter } from './record-writer.ts'

test('numbers, texts and bytes come back as they were', () => {
  const numbers = [0, 1, 127, 128, 16_384, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]
  const writer = new RecordWriter()
  for (const number of numbers) writer.number(number)
  writer.text('grün 🌱')
  writer.blob(Buffer.alloc(100_000, 7))
  writer.u8(255)
  const reader = new RecordReader(writer.take())
  assert.deepEqual(
    numbers.map(() => reader.number()),
    numbers,
  )
  assert.equal(reader.text(), 'grün 🌱')
  assert.deepEqual(Buffer.from(reader.blob()), Buffer.alloc(100_000, 7))
  assert.equal(reader.u8(), 255)
  assert.equal(reader.isAtEnd, true)
  assert.equal(writer.length, 0)
})

test('damaged records are noticed, wherever they end', () => {
  const topic = parseTopicName('a/b')
  assert.ok(topic.ok)
  const payload = Buffer.from('payload')
  const properties = { messageExpiryInterval: 5 }
  const writer = new RecordWriter()
  writeBody(
    writer,
    Message.create({ topic: topic.value, payload, qos: 2, retain: true, properties }, 1000),
  )
  const bytes = writer.take()
  const message = readBody(new RecordReader(bytes))
  assert.deepEqual(
    [message.topic, message.qos, message.retain, message.expiresAt],
    ['a/b', 2, true, 6000],
  )
  for (let end = 0; end < bytes.length; end++) {
    assert.throws(() => readBody(new RecordReader(bytes.subarray(0, end))), /damaged/)
  }
})

test('deliveries come back with everything that is sent with them', () => {
  const shared = parseTopicFilter('$share/g/a/+')
  assert.ok(shared.ok)
  const delivery = new Delivery(undefined, 2, true, [5, 300], shared.value)
  delivery.sequence = 70_000
  delivery.packetId = 65_535
  const writer = new RecordWriter()
  writeEnqueued(writer, 2 ** 50, delivery, 2 ** 51)
  const reader = new RecordReader(writer.take())
  assert.equal(reader.u8(), RecordType.enqueued)
  assert.equal(reader.number(), 2 ** 50)
  assert.deepEqual(readEnqueued(reader), {
    sequence: 70_000,
    message: 2 ** 51,
    qos: 2,
    retain: true,
    packetId: 65_535,
    identifiers: [5, 300],
    shared: shared.value,
  })
})

test('wills come back as they were', () => {
  const topic = parseTopicName('will')
  assert.ok(topic.ok)
  const will = createWill(
    {
      topic: 'will',
      payload: new Uint8Array([1, 2]),
      qos: 1,
      retain: true,
      properties: { willDelayInterval: 30, messageExpiryInterval: 9, contentType: 'x' },
    },
    topic.value,
  )
  const decoded = decodeWill(encodeWill(will))
  assert.equal(decoded.delaySeconds, 30)
  assert.deepEqual(
    { ...decoded.content.properties },
    { messageExpiryInterval: 9, contentType: 'x' },
  )
  assert.deepEqual({ ...decoded.content, properties: {} }, { ...will.content, properties: {} })
})

test('numbers rise, whatever the clock does, and go on behind those that were given', () => {
  let now = Date.UTC(2026, 0, 1)
  const ids = new IdSource(() => now)
  const first = ids.next()
  assert.ok(ids.next() > first)
  now -= 60_000
  const second = ids.next()
  assert.ok(second > first)
  ids.skip(second + 1_000_000)
  assert.equal(ids.next(), second + 1_000_001)
  now = Date.UTC(2088, 0, 1)
  assert.ok(Number.isSafeInteger(ids.next()))
})
