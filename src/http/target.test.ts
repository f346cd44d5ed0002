import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTarget } from './target.ts'

const rows: readonly [target: string, segments: readonly string[] | undefined][] = [
  ['/', []],
  ['/a/b', ['a', 'b']],
  ['//a///b/', ['a', 'b']],
  ['/a?b/c', ['a']],
  ['/a%20b/%C3%BC', ['a b', 'ü']],
  ['/a%2Fb', ['a/b']],
  ['/a/./b/../c', ['a', 'c']],
  ['/../../a', ['a']],
  ['/a/%2e%2E/b', ['b']],
  ['http://host', []],
  ['https://host:1/a', ['a']],
  ['HTTP://host?q', []],
  ['*', []],
  ['/%', undefined],
  ['/%zz', undefined],
  ['/%ff', undefined],
  ['/a%00b', undefined],
  ['/a#b', undefined],
  ['a', undefined],
  ['*?', undefined],
  ['ftp://host/', undefined],
  ['host:443', undefined],
]

for (const [target, segments] of rows) {
  test(`reads the target ${target}`, () => {
    assert.deepEqual(parseTarget(target)?.segments, segments)
  })
}

test('tells path, query and authority of a target', () => {
  assert.deepEqual(parseTarget('/a%20b?x=/?y'), {
    path: '/a%20b',
    segments: ['a b'],
    query: 'x=/?y',
    authority: undefined,
  })
  assert.equal(parseTarget('http://user@host:80/?x')?.authority, 'user@host:80')
})
