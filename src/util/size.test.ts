import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { formatSize, parseSize } from './size.ts'
import type { SizeError, SizeOptions } from './size.ts'

test('parses sizes', () => {
  const rows: readonly (readonly [value: string | number, bytes: number, options?: SizeOptions])[] =
    [
      [65536, 65536],
      ['65536', 65536],
      ['10 b', 10],
      ['64KiB', 65536],
      ['64 k', 65536],
      ['64kB', 64000],
      ['1 MiB', 1048576],
      ['1MB', 1000000],
      ['2g', 2147483648],
      ['1 TiB', 1099511627776],
      ['unlimited', Infinity, { allowInfinity: true }],
      [0, 0, { allowZero: true }],
    ]
  for (const [value, bytes, options] of rows) {
    assert.deepEqual(parseSize(value, options), { ok: true, value: bytes }, String(value))
  }
})

test('refuses what is no size', () => {
  const rows: readonly (readonly [value: string | number, error: SizeError])[] = [
    ['', 'not-a-size'],
    ['KiB', 'not-a-size'],
    ['infinity', 'not-a-size'],
    [Infinity, 'not-a-size'],
    ['1.5 MiB', 'unknown-unit'],
    ['5 bits', 'unknown-unit'],
    [0, 'not-positive'],
    [-1, 'not-positive'],
    ['9999999999 TiB', 'too-large'],
  ]
  for (const [value, error] of rows) {
    assert.deepEqual(parseSize(value), { ok: false, error }, String(value))
  }
})

test('writes sizes that it reads back', () => {
  assert.equal(formatSize(65536), '64 KiB')
  assert.equal(formatSize(1000), '1000 B')
  assert.equal(formatSize(0), '0 B')
  assert.equal(formatSize(Infinity), 'infinity')
  fc.assert(
    fc.property(fc.nat(), (bytes) => {
      assert.deepEqual(parseSize(formatSize(bytes), { allowZero: true }), {
        ok: true,
        value: bytes,
      })
    }),
  )
})
