import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cites } from './mutants.ts'
import type { Mutation } from './mutation.ts'
import { apply } from './mutation.ts'
import { Source } from './source.ts'

const text = `
/** Takes it (MQTT3 3.1.2-4). */
export function take(x: number | undefined, limit: number): boolean {
  if (x === undefined) return false
  if (x > limit) {
    // MQTT5 3.1.2-5, 3.1.2-7.
    refuse('too large')
    return false
  }
  keep(x)
  throw new Error('It is full (MQTT5 3.1.2-8)')
}

class Box {
  #put(a: boolean, b: boolean): string {
    return a && b ? 'both' : 'not both'
  }

  get lid(): number {
    if (this.#lid === undefined) return
    // MQTT5 3.1.2-9.
    const isOpen = this.#lid > 1
    if (isOpen) this.shut()
    return 1
  }
}
`

const source = await Source.parse(text)

/** What each mutation makes of its line. */
function lines(mutations: readonly Mutation[]): string[] {
  return mutations.map((mutation) => {
    const line = source.lineOf(mutation.start)
    return apply(text, mutation).split('\n')[line - 1]?.trim() ?? ''
  })
}

function mutationsAt(place: string): string[] {
  return source.rangesOf(place).flatMap((range) => lines(source.mutationsIn(range)))
}

function citedAt(place: string, kind: string, id: string): string[] {
  return source
    .rangesOf(place)
    .flatMap((range) => lines(source.citedMutationsIn(range, (own) => cites(own, kind, id))))
}

test('takes conditions, statements, operands and branches out', () => {
  assert.deepEqual(mutationsAt('take'), [
    'if (false) return false',
    'if (x === undefined) return true',
    'if (false) {',
    'void 0',
    'return true',
    'void 0',
    'void 0',
  ])
  assert.deepEqual(mutationsAt('put'), [
    "return ('both')",
    "return ('not both')",
    "return (a) ? 'both' : 'not both'",
  ])
})

test('leaves alone what only tells types apart', () => {
  assert.deepEqual(mutationsAt('this.#lid === undefined'), [])
})

test('finds what a comment or a text cites, with its condition', () => {
  assert.deepEqual(citedAt('take', 'MQTT5', '3.1.2-7'), ['if (false) {', 'void 0'])
  assert.deepEqual(citedAt('take', 'MQTT5', '3.1.2-8'), ['void 0'])
  assert.deepEqual(citedAt('take', 'MQTT5', '3.1.2-6'), [])
  assert.deepEqual(citedAt('take', 'MQTT3', '3.1.2-5'), [])
})

test('looks behind a value that is only named', () => {
  assert.deepEqual(citedAt('lid', 'MQTT5', '3.1.2-9'), [
    'if (false) this.shut()',
    'if (isOpen) void 0',
  ])
})

test('finds places by a text', () => {
  assert.deepEqual(mutationsAt('too large'), ['if (false) {', 'void 0'])
  assert.deepEqual(mutationsAt('Takes it'), mutationsAt('take'))
  assert.deepEqual(mutationsAt('nowhere'), [])
})

test('reads lists of numbers', () => {
  const comment = 'MQTT5 3.1.2-11, 3.1.2-1 to 3.1.2-3; MQTT3 3.1.2-13.'
  assert.ok(cites(comment, 'MQTT5', '3.1.2-11'))
  assert.ok(cites(comment, 'MQTT5', '3.1.2-3'))
  assert.ok(cites(comment, 'MQTT3', '3.1.2-13'))
  assert.ok(!cites(comment, 'MQTT5', '3.1.2-13'))
  assert.ok(!cites(comment, 'MQTT3', '3.1.2-1'))
})
