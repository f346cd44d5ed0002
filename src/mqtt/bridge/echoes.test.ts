import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Echoes } from './echoes.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

test('knows a message that comes back, once', () => {
  const echoes = new Echoes(() => 0)
  echoes.expect('a', bytes('1'))
  assert.equal(echoes.take('a', bytes('2')), false)
  assert.equal(echoes.take('b', bytes('1')), false)
  assert.equal(echoes.take('a', bytes('1')), true)
  assert.equal(echoes.take('a', bytes('1')), false)
  assert.equal(echoes.size, 0)
})

test('expects as many as were sent', () => {
  const echoes = new Echoes(() => 0)
  echoes.expect('a', bytes('1'))
  echoes.expect('a', bytes('1'))
  assert.deepEqual(
    [1, 2, 3].map(() => echoes.take('a', bytes('1'))),
    [true, true, false],
  )
})

test('topic and payload cannot be mistaken for one another', () => {
  const echoes = new Echoes(() => 0)
  echoes.expect('ab', bytes('c'))
  assert.equal(echoes.take('a', bytes('bc')), false)
})

test('gives up after a minute, which begins anew with a connection', () => {
  let now = 0
  const echoes = new Echoes(() => now)
  echoes.expect('a', bytes('1'))
  echoes.expect('b', bytes('1'))
  now = 59_999
  assert.equal(echoes.take('b', bytes('1')), true)
  echoes.prolong()
  now = 119_998
  assert.equal(echoes.take('a', bytes('1')), true)
  echoes.expect('a', bytes('1'))
  now += 60_000
  assert.equal(echoes.take('a', bytes('1')), false)
})

test('is bounded: the oldest are forgotten', () => {
  const echoes = new Echoes(() => 0)
  for (let i = 0; i <= 10_000; i++) echoes.expect('a', bytes(`${i}`))
  assert.equal(echoes.size, 10_000)
  assert.equal(echoes.take('a', bytes('0')), false)
  assert.equal(echoes.take('a', bytes('10000')), true)
})
