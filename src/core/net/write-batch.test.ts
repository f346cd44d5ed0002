import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WriteBatch } from './write-batch.ts'

/** A generator of chance that can be repeated (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

test('gives a single buffer back as it was given, without a copy', () => {
  const batch = new WriteBatch()
  const piece = Buffer.from('only')
  batch.add(piece)
  assert.equal(batch.bytes, 4)
  assert.equal(batch.takeWhole(1000), piece)
  assert.equal(batch.bytes, 0)
})

test('joins small pieces and keeps large ones by reference', () => {
  const batch = new WriteBatch()
  const large = Buffer.alloc(10_000, 'L')
  batch.add(Buffer.from('a'))
  batch.add(Buffer.from('b'))
  batch.add(large)
  batch.addText('c')
  batch.addCopy(Buffer.from('xdx'), 1, 2)
  assert.equal(batch.takeWhole(100_000), undefined)
  const pieces = batch.take(100_000)
  assert.deepEqual(
    pieces.map((piece) => piece.length),
    [2, 10_000, 2],
  )
  assert.equal(pieces[1], large)
})

test('splits what is more than the limit', () => {
  const batch = new WriteBatch()
  batch.add(Buffer.from('0123456789'))
  assert.equal(batch.takeWhole(9), undefined)
  assert.equal(Buffer.concat(batch.take(4)).toString(), '0123')
  batch.addText('ab')
  assert.equal(batch.bytes, 8)
  assert.equal(Buffer.concat(batch.take(100)).toString(), '456789ab')
  assert.equal(batch.bytes, 0)
})

test('keeps order and content whatever is mixed', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const random = randomFrom(seed)
  const sizes = [0, 1, 7, 88, 600, 4096, 4097, 9000, 40_000]
  for (let round = 0; round < 300; round++) {
    const batch = new WriteBatch()
    const expected: Buffer[] = []
    const taken: Buffer[] = []
    for (let i = 0; i < 30; i++) {
      const size = sizes[Math.floor(random() * sizes.length)] ?? 0
      const kind = random()
      if (kind < 0.3) {
        const piece = Buffer.alloc(size, i)
        expected.push(piece)
        batch.add(piece)
      } else if (kind < 0.6) {
        const source = Buffer.alloc(size + 10, i)
        expected.push(Buffer.from(source.subarray(5, 5 + size)))
        batch.addCopy(source, 5, 5 + size)
        source.fill(0xee)
      } else if (kind < 0.85) {
        const text = 'aé€😀'.repeat(Math.ceil(size / 10)).slice(0, size)
        expected.push(Buffer.from(text))
        batch.addText(text)
      } else {
        const limit = Math.floor(random() * 50_000)
        const whole = batch.takeWhole(limit)
        for (const piece of whole === undefined ? batch.take(limit) : [whole]) {
          taken.push(Buffer.from(piece))
        }
      }
    }
    taken.push(...batch.take(Infinity).map((piece) => Buffer.from(piece)))
    assert.equal(batch.bytes, 0)
    assert.ok(Buffer.concat(taken).equals(Buffer.concat(expected)), `seed ${seed}, round ${round}`)
  }
})
