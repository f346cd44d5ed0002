import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Flusher } from './flusher.ts'

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const tick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))

/** Makes it see turns with that many reads each. */
async function turns(flusher: Flusher, count: number, reads: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    for (let i = 0; i < reads; i++) flusher.countRead()
    flusher.add({ flush() {} })
    await immediate()
  }
}

test('flushes at the end of the callback in quiet times', async () => {
  const flusher = new Flusher()
  let flushed = 0
  flusher.countRead()
  flusher.add({ flush: () => void flushed++ })
  assert.equal(flushed, 0)
  await tick()
  assert.equal(flushed, 1)
})

test('waits for the end of the turn when turns read much', async () => {
  const flusher = new Flusher()
  await turns(flusher, 3, 20)
  assert.equal(flusher.isBusy, true)
  let flushed = 0
  flusher.countRead()
  flusher.add({ flush: () => void flushed++ })
  await tick()
  assert.equal(flushed, 0)
  await immediate()
  assert.equal(flushed, 1)
})

test('goes back to quiet when turns read little', async () => {
  const flusher = new Flusher()
  await turns(flusher, 3, 20)
  await turns(flusher, 10, 1)
  assert.equal(flusher.isBusy, false)
})

test('stays quiet when each turn reads once', async () => {
  const flusher = new Flusher()
  await turns(flusher, 100, 1)
  assert.equal(flusher.isBusy, false)
})

test('flushes what is added during a flush', async () => {
  const flusher = new Flusher()
  let flushed = 0
  flusher.add({ flush: () => flusher.add({ flush: () => void flushed++ }) })
  await tick()
  await tick()
  assert.equal(flushed, 1)
})
