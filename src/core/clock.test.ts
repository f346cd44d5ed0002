import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock, systemClock } from './clock.ts'

test('a test clock fires what falls due in order, and only then', () => {
  const clock = new TestClock()
  const fired: string[] = []
  clock.after(200, () => fired.push(`b ${clock.monotonic()}`))
  clock.after(100, () => {
    fired.push(`a ${clock.monotonic()}`)
    clock.after(50, () => fired.push(`nested ${clock.monotonic()}`))
  })
  const every = clock.every(120, () => fired.push(`every ${clock.monotonic()}`))
  const cancelled = clock.after(10, () => fired.push('never'))
  cancelled.cancel()
  cancelled.cancel()
  clock.after(Infinity, () => fired.push('never'))
  clock.advance(99)
  assert.deepEqual(fired, [])
  clock.advance(151)
  assert.deepEqual(fired, ['a 100', 'every 120', 'nested 150', 'b 200', 'every 240'])
  every.cancel()
  clock.advance(10_000)
  assert.equal(fired.length, 5)
  assert.equal(clock.now() - Date.UTC(2026, 0, 1), 10_250)
})

test('the real clock fires timers of the wheel not before they are due', async () => {
  const clock = systemClock()
  const start = clock.monotonic()
  // Timers do not keep a process alive, so something else has to.
  const alive = setInterval(() => undefined, 1000)
  const fired: number[] = []
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      clock.after(ms, () => {
        fired.push(ms)
        assert.ok(clock.monotonic() - start >= ms - 1, `${ms}`)
        resolve()
      })
    })
  const cancelled = clock.after(1000, () => assert.fail('It was cancelled'))
  const short = clock.after(5, () => assert.fail('It was cancelled'))
  clock.after(Infinity, () => assert.fail('It never fires'))
  const waits = [wait(1300), wait(1000), wait(10)]
  cancelled.cancel()
  cancelled.cancel()
  short.cancel()
  await Promise.all(waits)
  clearInterval(alive)
  assert.deepEqual(fired, [10, 1000, 1300])
})

test('a timer longer than one turn of the wheel waits for its turn', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let now = 0
  t.mock.method(performance, 'now', () => now)
  const clock = systemClock()
  const fired: number[] = []
  const hours = 3_600_000
  clock.after(hours, () => fired.push(now))
  clock.after(150_000, () => fired.push(now))
  for (let step = 0; step < 37 * 10; step++) {
    now += 10_000
    t.mock.timers.tick(100)
  }
  assert.deepEqual(fired, [150_000, hours])
})
