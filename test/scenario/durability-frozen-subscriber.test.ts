import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MqttClient } from '../crash/mqtt-client.ts'
import { MiB, Target } from './hostile-target.ts'

const subscribers = 1000
const waves = 32
const payload = Buffer.alloc(64 * 1024, 'x')
/** For the frozen one alone, before each wave: 512 MiB in all, twice of what the process may grow by. */
const flood = 256
const allowed = 256 * MiB
/** `max_queue_bytes`, unless it is set, and a message that was let in just below it. */
const mostPending = 32 * MiB + 64 * 1024

/** The sum of a metric's series. */
async function metric(target: Target, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${target.port('http')}/metrics`)
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith(`${name}{`))
  assert.ok(lines.length > 0, `No metric ${name}`)
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

for (const qos of [0, 1] as const) {
  test(`one of ${subscribers} subscribers is frozen: it costs little and delays nobody, at QoS ${qos}`, async (t) => {
    await using target = await Target.start()
    const readers: MqttClient[] = []
    /** How many readers have each wave. */
    const received = new Map<string, number>()
    let whole = Promise.withResolvers<void>()
    const connect = async (index: number): Promise<void> => {
      const reader = await target.mqtt('a', `reader-${index}`)
      reader.onPublish = (message) => {
        const wave = Buffer.from(message.payload).toString()
        const count = (received.get(wave) ?? 0) + 1
        received.set(wave, count)
        if (count === subscribers - 1) whole.resolve()
      }
      assert.equal(await reader.subscribe('wave', qos), 'acknowledged')
      readers.push(reader)
    }
    for (let index = 1; index < subscribers; index += 37) {
      const group = Math.min(37, subscribers - index)
      await Promise.all(Array.from({ length: group }, (_, i) => connect(index + i)))
    }
    assert.equal(readers.length, subscribers - 1)
    await using frozen = await target.mqtt('b', 'frozen')
    for (const topic of ['wave', 'flood'])
      assert.equal(await frozen.subscribe(topic, qos), 'acknowledged')
    await using publisher = await target.mqtt('c', 'publisher')
    const send = async (topic: string, bytes: Uint8Array): Promise<void> => {
      assert.equal(await publisher.publish({ topic, payload: bytes, qos }), 'acknowledged')
    }
    let slowestMs = 0
    const growth = await target.growthDuring(async () => {
      frozen.freeze()
      for (let wave = 1; wave <= waves; wave++) {
        for (let sent = 0; sent < flood; sent += 32) {
          await Promise.all(Array.from({ length: 32 }, () => send('flood', payload)))
        }
        // QoS 0 has no answer.
        await publisher.ping()
        whole = Promise.withResolvers<void>()
        const startedAt = performance.now()
        await send('wave', Buffer.from(`${wave}`))
        // Everybody else has it before anything more happens, whatever waits for the frozen one.
        await whole.promise
        slowestMs = Math.max(slowestMs, performance.now() - startedAt)
      }
    })
    t.diagnostic(
      `grew by ${Math.round(growth / MiB)} MiB, slowest wave ${Math.round(slowestMs)} ms`,
    )
    assert.ok(growth < allowed, `${growth}`)
    // What the process grew by is partly garbage; this is what it keeps.
    const pending = await metric(target, 'linnet_mqtt_pending_bytes')
    const dropped = await metric(target, 'linnet_mqtt_messages_dropped_total')
    t.diagnostic(`${Math.round(pending / MiB)} MiB wait, ${dropped} messages were dropped`)
    assert.ok(pending <= mostPending, `${pending}`)
    assert.ok(dropped > 0)
    assert.deepEqual([...received.values()], Array(waves).fill(subscribers - 1))
    for (const reader of readers) await reader[Symbol.asyncDispose]()
  })
}
