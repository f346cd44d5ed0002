import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { BoundedQueue } from './bounded-queue.ts'

test('is bounded by count', () => {
  const queue = new BoundedQueue<number>({ maxItems: 2 })
  assert.equal(queue.push(1), true)
  assert.equal(queue.push(2), true)
  assert.equal(queue.isFull(), true)
  assert.equal(queue.push(3), false)
  assert.deepEqual([...queue], [1, 2])
  assert.equal(queue.shift(), 1)
  assert.equal(queue.push(3), true)
  assert.deepEqual([...queue], [2, 3])
})

test('is bounded by bytes', () => {
  const queue = new BoundedQueue<string>({ maxItems: 100, maxBytes: 10 })
  assert.equal(queue.push('a', 6), true)
  assert.equal(queue.isFull(4), false)
  assert.equal(queue.push('b', 5), false)
  assert.equal(queue.push('c', 4), true)
  assert.equal(queue.bytes, 10)
  assert.equal(queue.push('d'), true)
  assert.equal(queue.shift(), 'a')
  assert.equal(queue.bytes, 4)
})

test('has nothing when it is empty', () => {
  const queue = new BoundedQueue<number>({ maxItems: 0 })
  assert.equal(queue.push(1), false)
  assert.equal(queue.shift(), undefined)
  assert.equal(queue.peek(), undefined)
  assert.deepEqual([...queue], [])
})

test('behaves like an array, however it is filled and drained', () => {
  const limits = { maxItems: 200, maxBytes: 2000 }
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ push: fc.nat(99), bytes: fc.nat(30) }) },
    { weight: 4, arbitrary: fc.constant('shift' as const) },
    { weight: 1, arbitrary: fc.constantFrom('drain' as const, 'clear' as const) },
  )
  fc.assert(
    fc.property(fc.array(step, { size: 'large', maxLength: 500 }), (steps) => {
      const queue = new BoundedQueue<number>(limits)
      const model: { item: number; bytes: number }[] = []
      const modelBytes = (): number => model.reduce((sum, { bytes }) => sum + bytes, 0)
      for (const action of steps) {
        if (action === 'shift') assert.equal(queue.shift(), model.shift()?.item)
        else if (action === 'drain') {
          while (queue.length > 0) assert.equal(queue.shift(), model.shift()?.item)
        } else if (action === 'clear') {
          queue.clear()
          model.length = 0
        } else {
          const fits =
            model.length < limits.maxItems && modelBytes() + action.bytes <= limits.maxBytes
          assert.equal(queue.push(action.push, action.bytes), fits)
          if (fits) model.push({ item: action.push, bytes: action.bytes })
        }
        assert.equal(queue.length, model.length)
        assert.equal(queue.bytes, modelBytes())
        assert.equal(queue.peek(), model[0]?.item)
      }
      assert.deepEqual(
        [...queue],
        model.map(({ item }) => item),
      )
    }),
  )
})
