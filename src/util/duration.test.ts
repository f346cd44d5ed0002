import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { formatDuration, parseDuration } from './duration.ts'
import type { DurationError, DurationOptions } from './duration.ts'

test('parses durations as ejabberd does', () => {
  const rows: readonly (readonly [
    value: string | number,
    ms: number,
    options?: DurationOptions,
  ])[] = [
    [30, 30_000],
    ['30', 30_000],
    ['30s', 30_000],
    ['+30 sec', 30_000],
    ['1 minute', 60_000],
    ['5 MINS', 300_000],
    ['2h', 7_200_000],
    ['1  day ', 86_400_000],
    ['1500 ms', 1500],
    ['1000 milliseconds', 1000],
    [5, 5, { unit: 'millisecond' }],
    ['5 s', 5000, { unit: 'millisecond' }],
    ['60 min', 3_600_000, { unit: 'hour' }],
    ['infinity', Infinity, { allowInfinity: true }],
    ['infinite', Infinity, { allowInfinity: true }],
    ['unlimited', Infinity, { allowInfinity: true }],
  ]
  for (const [value, ms, options] of rows) {
    assert.deepEqual(parseDuration(value, options), { ok: true, value: ms }, String(value))
  }
})

test('refuses what is no duration', () => {
  const rows: readonly (readonly [
    value: string | number,
    error: DurationError,
    options?: DurationOptions,
  ])[] = [
    ['', 'not-a-duration'],
    ['soon', 'not-a-duration'],
    [' 5', 'not-a-duration'],
    ['infinity', 'not-a-duration'],
    ['Infinity', 'not-a-duration', { allowInfinity: true }],
    [NaN, 'not-a-duration'],
    [Infinity, 'not-a-duration'],
    [1.5, 'unknown-unit'],
    ['1.5s', 'unknown-unit'],
    ['5 weeks', 'unknown-unit'],
    ['1m30s', 'unknown-unit'],
    [0, 'not-positive'],
    ['-5 s', 'not-positive', { allowInfinity: true }],
    ['999 ms', 'too-short'],
    ['59 min', 'too-short', { unit: 'hour' }],
    ['999999999999999999 days', 'too-long'],
    [1e21, 'unknown-unit'],
  ]
  for (const [value, error, options] of rows) {
    assert.deepEqual(parseDuration(value, options), { ok: false, error }, String(value))
  }
})

test('writes durations that it reads back', () => {
  assert.equal(formatDuration(86_400_000), '1 day')
  assert.equal(formatDuration(90_000), '90 seconds')
  assert.equal(formatDuration(1), '1 millisecond')
  assert.equal(formatDuration(0), '0 milliseconds')
  assert.equal(formatDuration(Infinity), 'infinity')
  fc.assert(
    fc.property(fc.oneof(fc.integer({ min: 1 }), fc.constant(Infinity)), (ms) => {
      const parsed = parseDuration(formatDuration(ms), { unit: 'millisecond', allowInfinity: true })
      assert.deepEqual(parsed, { ok: true, value: ms })
    }),
  )
})
