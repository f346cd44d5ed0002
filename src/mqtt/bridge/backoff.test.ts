import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backoff } from './backoff.ts'

test('waits twice as long after each failure, up to the limit', () => {
  const backoff = new Backoff(1000, 60_000, () => 1)
  const delays = Array.from({ length: 8 }, () => backoff.next())
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
  assert.equal(backoff.failures, 8)
  for (let i = 0; i < 2000; i++) backoff.next()
  assert.equal(backoff.next(), 60_000)
})

test('begins anew after a success', () => {
  const backoff = new Backoff(1000, 60_000, () => 1)
  backoff.next()
  backoff.next()
  backoff.succeeded()
  assert.equal(backoff.failures, 0)
  assert.equal(backoff.next(), 1000)
})

test('spreads attempts over half of the time', () => {
  assert.equal(new Backoff(1000, 60_000, () => 0).next(), 500)
  assert.equal(new Backoff(1000, 60_000, () => 0.5).next(), 750)
})
