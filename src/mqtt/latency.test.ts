import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Histogram } from '../core/metrics.ts'
import { LatencySampler } from './latency.ts'

/** Hands so many messages in; how many of them are measured. */
function take(sampler: LatencySampler, messages: number): number {
  let measured = 0
  for (let i = 0; i < messages; i++) {
    sampler.countdown -= 1
    if (sampler.countdown > 0) continue
    sampler.begin()
    sampler.countdown -= 1
    sampler.end()
    measured += 1
  }
  return measured
}

test('about as many messages are measured each second, however many there are', () => {
  const sampler = new LatencySampler(new Histogram([1]), () => 0)
  assert.equal(take(sampler, 100), 100)
  sampler.tick()
  // Twice as rare with each 128.
  assert.equal(take(sampler, 128 * 3), 256)
  sampler.tick()
  // In the next second that is known from the beginning.
  assert.equal(take(sampler, 128 * 3), 128)
  for (const messages of [1_000_000, 1_000_000, 1_000_000]) {
    sampler.tick()
    take(sampler, messages)
  }
  sampler.tick()
  const measured = take(sampler, 1_000_000)
  assert.ok(measured > 100 && measured < 300, `${measured}`)
  // A quiet time after a busy one does not wait for the many that do not come.
  sampler.tick()
  sampler.tick()
  assert.equal(take(sampler, 50), 50)
})

test('what was sent in one turn counts once, when it has left', async () => {
  const histogram = new Histogram([1])
  let now = 1000
  const sampler = new LatencySampler(histogram, () => now)
  sampler.begin()
  const sample = sampler.current ?? assert.fail('nothing is measured')
  sampler.end()
  assert.equal(sampler.current, undefined)
  now = 1500
  sample.sent()
  sample.sent()
  assert.equal(histogram.count, 0)
  now = 1600
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
  assert.deepEqual([histogram.count, histogram.sum], [1, 0.6])
  now = 3000
  // It waited for somebody else.
  sample.sent()
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
  assert.deepEqual([histogram.count, histogram.sum], [2, 2.6])
})
