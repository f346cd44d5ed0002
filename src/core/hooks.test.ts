import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Hooks, defineDecision, defineFilter, defineHook, drop } from './hooks.ts'
import { Logs } from './log.ts'

const told = defineHook<[word: string]>('test.told')
const changed = defineFilter<string, [suffix: string]>('test.changed')
const asked = defineDecision<'allow' | 'deny', [who: string]>('test.asked', 'deny')

function create(): { hooks: Hooks; parent: Hooks; lines: string[] } {
  const lines: string[] = []
  const logs = new Logs({
    level: 'debug',
    destination: { write: (line) => void lines.push(line) },
  })
  const parent = new Hooks(logs.for('hooks'))
  return { hooks: new Hooks(logs.for('hooks'), parent), parent, lines }
}

test('handlers run by priority, equal ones in the order in which they came, the parent’s last', () => {
  const { hooks, parent } = create()
  const ran: string[] = []
  parent.on(told, () => void ran.push('parent'), 'p', 1)
  hooks.on(told, () => void ran.push('second'), 'a')
  hooks.on(told, () => void ran.push('third'), 'b')
  hooks.on(told, () => void ran.push('last'), 'c', 90)
  hooks.on(told, () => void ran.push('first'), 'd', 10)
  hooks.emit(told, 'x')
  assert.deepEqual(ran, ['first', 'second', 'third', 'last', 'parent'])
})

test('a handler that throws or rejects is logged with its owner, and the others still run', async () => {
  const { hooks, lines } = create()
  const ran: string[] = []
  hooks.on(
    told,
    () => {
      throw new Error('thrown')
    },
    'mod_a',
  )
  hooks.on(told, () => Promise.reject(new Error('rejected')), 'mod_b')
  hooks.on(told, (word) => void ran.push(word), 'mod_c')
  hooks.emit(told, 'x')
  assert.equal(await hooks.emitAndWait(told, 'y'), false, 'Not all could')
  assert.deepEqual(ran, ['x', 'y'])
  const logged = lines.map((line) => JSON.parse(line))
  assert.deepEqual(logged.map(({ module, err }) => `${module} ${err.message}`).sort(), [
    'mod_a thrown',
    'mod_a thrown',
    'mod_b rejected',
    'mod_b rejected',
  ])
})

test('handlers may come and go while a hook runs; that counts the next time', () => {
  const { hooks } = create()
  const ran: string[] = []
  const remove = hooks.on(
    told,
    (word) => {
      ran.push(`once ${word}`)
      remove()
      hooks.on(told, (later) => void ran.push(`new ${later}`), 'b')
    },
    'a',
  )
  hooks.on(told, (word) => void ran.push(`other ${word}`), 'c')
  hooks.emit(told, '1')
  hooks.emit(told, '2')
  assert.deepEqual(ran, ['once 1', 'other 1', 'other 2', 'new 2'])
})

test('a filter passes its value on, leaves it at undefined, and ends at drop', () => {
  const { hooks, parent } = create()
  hooks.on(changed, (value, suffix) => value + suffix, 'a')
  hooks.on(changed, () => undefined, 'b')
  parent.on(changed, (value) => `(${value})`, 'c')
  assert.equal(hooks.apply(changed, 'x', '!'), '(x!)')
  const remove = hooks.on(changed, () => drop, 'd')
  assert.equal(hooks.apply(changed, 'x', '!'), drop)
  remove()
  assert.equal(hooks.apply(changed, 'x', '?'), '(x?)')
})

test('the first answer decides, also one that comes later; nobody’s answer is undefined', async () => {
  const { hooks, parent } = create()
  assert.equal(hooks.decide(asked, 'x'), undefined)
  assert.equal(await hooks.decideLater(asked, 'x'), undefined)
  parent.on(asked, () => 'deny', 'c')
  assert.equal(hooks.decide(asked, 'x'), 'deny')
  hooks.on(asked, (who) => (who === 'juliet' ? 'allow' : undefined), 'a')
  assert.equal(hooks.decide(asked, 'juliet'), 'allow')
  assert.equal(hooks.decide(asked, 'romeo'), 'deny')
  hooks.on(asked, () => Promise.resolve('allow' as const), 'b')
  assert.equal(await hooks.decideLater(asked, 'romeo'), 'allow')
})

test('a decision whose handler fails lets nobody in', async () => {
  const { hooks, lines } = create()
  hooks.on(
    asked,
    () => {
      throw new Error('broken')
    },
    'mod_a',
    10,
  )
  hooks.on(asked, () => 'allow', 'mod_b')
  assert.equal(hooks.decide(asked, 'x'), 'deny')
  assert.equal(await hooks.decideLater(asked, 'x'), 'deny')
  assert.equal(lines.length, 2)
})

test('a hook is idle while neither the host nor the server listens', () => {
  const { hooks, parent } = create()
  assert.ok(hooks.isIdle(told))
  const remove = parent.on(told, () => undefined, 'a')
  assert.ok(!hooks.isIdle(told))
  remove()
  const own = hooks.on(told, () => undefined, 'a')
  assert.ok(!hooks.isIdle(told))
  own()
  own()
  assert.ok(hooks.isIdle(told))
})
