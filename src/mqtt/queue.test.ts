import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Delivery } from './delivery.ts'
import { Inflight } from './inflight.ts'
import { Ledger } from './ledger.ts'
import { Message } from './message.ts'
import type { QoS } from './packet/packet-type.ts'
import { OutgoingQueue } from './queue.ts'
import { parseTopicName } from './topic.ts'

function delivery(text: string, qos: QoS = 1): Delivery {
  const topic = parseTopicName('a')
  assert.ok(topic.ok)
  const payload = Buffer.from(text)
  const message = Message.create(
    { topic: topic.value, payload, qos, retain: false, properties: {} },
    0,
  )
  return new Delivery(message, qos, false, undefined)
}

function textOf(item: Delivery | undefined): string | undefined {
  return item?.message === undefined ? undefined : Buffer.from(item.message.payload).toString()
}

test('a queue gives back what it was given, in order, and counts', () => {
  const queue = new OutgoingQueue(new Ledger())
  const expected: string[] = []
  let weight = 0
  for (let i = 0; i < 500; i++) {
    const item = delivery(`${i}`, i % 5 === 0 ? 0 : 1)
    weight += item.weight
    expected.push(`${i}`)
    queue.push(item)
    if (i % 3 !== 0) continue
    assert.equal(textOf(queue.peek()), expected[0])
    weight -= queue.peek()?.weight ?? 0
    assert.equal(textOf(queue.shift()), expected.shift())
  }
  assert.equal(queue.length, expected.length)
  assert.equal(queue.bytes, weight)
  assert.equal(queue.qos0, expected.filter((text) => Number(text) % 5 === 0).length)
  assert.deepEqual([...queue].map(textOf), expected)
  while (queue.length > 0) assert.equal(textOf(queue.shift()), expected.shift())
  assert.equal(queue.shift(), undefined)
  assert.deepEqual([queue.bytes, queue.qos0], [0, 0])
})

test('a queue drops what is of QoS 0 and keeps the rest in order', () => {
  const queue = new OutgoingQueue(new Ledger())
  for (let i = 0; i < 10; i++) queue.push(delivery(`${i}`, i % 2 === 0 ? 0 : 2))
  queue.shift()
  assert.equal(queue.dropQoS0(), 4)
  assert.deepEqual([...queue].map(textOf), ['1', '3', '5', '7', '9'])
  assert.equal(queue.qos0, 0)
  assert.equal(queue.dropQoS0(), 0)
})

test('packet identifiers in use are passed over (MQTT5 2.2.1-3)', () => {
  const inflight = new Inflight(new Ledger())
  const held = delivery('held')
  held.packetId = 3
  inflight.restore(held)
  const last = delivery('last')
  last.packetId = 65_535
  inflight.restore(last)
  const given = [1, 2, 4].map(() => {
    const item = delivery('x')
    inflight.add(item)
    return item.packetId
  })
  assert.deepEqual(given, [1, 2, 4])
  assert.equal(inflight.size, 5)
})

test('what is in flight weighs nothing once the client has it', () => {
  const inflight = new Inflight(new Ledger())
  const item = delivery('x', 2)
  inflight.add(item)
  assert.equal(inflight.bytes, item.weight)
  inflight.release(item)
  assert.equal(inflight.bytes, 0)
  assert.equal(inflight.get(item.packetId), item)
  inflight.delete(item)
  assert.deepEqual([inflight.size, inflight.bytes], [0, 0])
})

test('what waits in several places is counted once', () => {
  const ledger = new Ledger()
  const [one, two] = [new OutgoingQueue(ledger), new OutgoingQueue(ledger)]
  const inflight = new Inflight(ledger)
  const { message } = delivery('shared')
  const weight = message?.weight ?? 0
  const again = (qos: QoS): Delivery => new Delivery(message, qos, false, undefined)
  one.push(again(0))
  one.push(again(2))
  two.push(again(1))
  const sent = again(2)
  inflight.add(sent)
  assert.equal(ledger.bytes, weight)
  assert.equal(one.dropQoS0(), 1)
  two.shift()
  one.clear()
  assert.equal(ledger.bytes, weight)
  inflight.release(sent)
  assert.equal(ledger.bytes, 0)
  inflight.delete(sent)
  inflight.add(again(1))
  assert.equal(ledger.bytes, weight)
  inflight.clear()
  assert.deepEqual([ledger.bytes, inflight.size], [0, 0])
})
