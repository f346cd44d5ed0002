import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { didYouMean, editDistance } from './did-you-mean.ts'

const options = [
  'hosts',
  'host_config',
  'listen',
  'loglevel',
  'auth_method',
  'max_fsm_queue',
  'acl',
]

test('finds the name that was meant', () => {
  const rows = [
    ['host', 'hosts'],
    ['lsiten', 'listen'],
    ['log_level', 'loglevel'],
    ['LogLevel', 'loglevel'],
    ['auth-methods', 'auth_method'],
    ['max_fms_queue', 'max_fsm_queue'],
    ['alc', 'acl'],
    ['acl', 'acl'],
  ] as const
  for (const [name, meant] of rows) assert.equal(didYouMean(name, options), meant, name)
})

test('does not guess wildly', () => {
  for (const name of ['', 'x', 'xyz', 'modules', 'certfiles', 'a'.repeat(1000)]) {
    assert.equal(didYouMean(name, options), undefined, name)
  }
  assert.equal(didYouMean('a', ['b']), undefined)
})

test('prefers the nearest, then the first', () => {
  assert.equal(didYouMean('hostz', ['posts', 'hosts']), 'hosts')
  assert.equal(didYouMean('bat', ['cat', 'hat']), 'cat')
})

test('counts slips', () => {
  const rows = [
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', 'abc', 0],
    ['abc', 'acb', 1],
    ['abc', 'abd', 1],
    ['kitten', 'sitting', 3],
    ['ca', 'abc', 3],
  ] as const
  for (const [a, b, distance] of rows) assert.equal(editDistance(a, b), distance)
})

test('is a distance', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 })
  fc.assert(
    fc.property(text, text, (a, b) => {
      const distance = editDistance(a, b)
      assert.equal(distance, editDistance(b, a))
      assert.equal(distance === 0, a === b)
      assert.ok(distance >= Math.abs(a.length - b.length))
      assert.ok(distance <= Math.max(a.length, b.length))
    }),
  )
})
