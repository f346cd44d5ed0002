import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GenerationCache } from './generation-cache.ts'

test('keeps what is asked for and stays within two generations', () => {
  const cache = new GenerationCache<number>(10)
  cache.set('kept', 0)
  for (let i = 1; i <= 1000; i++) {
    cache.set(`key ${i}`, i)
    assert.equal(cache.get('kept'), 0)
    assert.ok(cache.size <= 20)
  }
  assert.equal(cache.get('key 1000'), 1000)
  assert.equal(cache.get('key 1'), undefined)
})
