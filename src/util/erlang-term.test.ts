import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  atom,
  binary,
  boolean,
  integer,
  isAtom,
  list,
  readAtom,
  readBoolean,
  readInteger,
  readList,
  readProperty,
  readText,
  readTuple,
  string,
  tuple,
} from './erlang-term.ts'

test('reads scalars and refuses others', () => {
  assert.equal(readAtom(atom('a')), 'a')
  assert.equal(readAtom(binary('a')), undefined)
  assert.equal(isAtom(atom('a'), 'a'), true)
  assert.equal(isAtom(string('a'), 'a'), false)
  assert.equal(readBoolean(boolean(true)), true)
  assert.equal(readBoolean(atom('false')), false)
  assert.equal(readBoolean(atom('yes')), undefined)
  assert.equal(readInteger(integer(-5)), -5)
  assert.equal(readInteger(integer(2n ** 60n)), undefined)
  assert.equal(readInteger(undefined), undefined)
})

test('takes text as a binary, a string or a list of characters', () => {
  assert.equal(readText(binary('café')), 'café')
  assert.equal(readText(string('café')), 'café')
  assert.equal(readText(list([integer(233), integer(0x1f600)])), 'é😀')
  assert.equal(readText(list([])), '')
  assert.equal(readText(list([integer(-1)])), undefined)
  assert.equal(readText(list([atom('a')])), undefined)
  assert.equal(readText(atom('a')), undefined)
})

test('takes lists also as strings, but not improper ones', () => {
  assert.deepEqual(readList(list([atom('a')])), [atom('a')])
  assert.deepEqual(readList(string('ab')), [integer(97), integer(98)])
  assert.equal(readList({ kind: 'list', items: [atom('a')], tail: atom('b') }), undefined)
  assert.deepEqual(readTuple(tuple(atom('a')), 1), [atom('a')])
  assert.equal(readTuple(tuple(atom('a')), 2), undefined)
})

test('finds properties', () => {
  const properties = list([
    tuple(atom('a'), integer(1)),
    tuple(atom('a'), integer(2)),
    atom('b'),
    tuple(binary('c'), integer(3)),
  ])
  assert.equal(readInteger(readProperty(properties, 'a')), 1)
  assert.equal(readBoolean(readProperty(properties, 'b')), true)
  assert.equal(readProperty(properties, 'c'), undefined)
  assert.equal(readProperty(undefined, 'a'), undefined)
})
