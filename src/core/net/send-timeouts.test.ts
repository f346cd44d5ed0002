import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '../clock.ts'
import { SendTimeouts } from './send-timeouts.ts'
import type { Sender } from './send-timeouts.ts'

class FakeSender implements Sender {
  sendTimeoutMs = 15_000
  unsentBytes = 100
  sentBytes = 0
  timedOut = 0
  sendTimedOut(): void {
    this.timedOut++
  }
}

test('times out a sender whose bytes are not taken', () => {
  const clock = new TestClock()
  const timeouts = new SendTimeouts(clock)
  const sender = new FakeSender()
  timeouts.watch(sender)
  clock.advance(14_999)
  assert.equal(sender.timedOut, 0)
  clock.advance(1)
  assert.equal(sender.timedOut, 1)
  clock.advance(60_000)
  assert.equal(sender.timedOut, 1)
})

test('counts from the last progress', () => {
  const clock = new TestClock()
  const timeouts = new SendTimeouts(clock)
  const sender = new FakeSender()
  timeouts.watch(sender)
  for (let i = 0; i < 10; i++) {
    clock.advance(14_000)
    sender.sentBytes += 10
    timeouts.watch(sender)
  }
  assert.equal(sender.timedOut, 0)
  clock.advance(16_000)
  assert.equal(sender.timedOut, 1)
})

test('forgets a sender that has nothing unsent', () => {
  const clock = new TestClock()
  const timeouts = new SendTimeouts(clock)
  const sender = new FakeSender()
  timeouts.watch(sender)
  clock.advance(10_000)
  sender.unsentBytes = 0
  clock.advance(1000)
  sender.unsentBytes = 5
  timeouts.watch(sender)
  clock.advance(14_000)
  assert.equal(sender.timedOut, 0)
  clock.advance(1000)
  assert.equal(sender.timedOut, 1)
})

test('leaves alone a sender without a limit', () => {
  const clock = new TestClock()
  const timeouts = new SendTimeouts(clock)
  const sender = new FakeSender()
  sender.sendTimeoutMs = Infinity
  timeouts.watch(sender)
  clock.advance(1e9)
  assert.equal(sender.timedOut, 0)
})
