import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommandRegistry, defineCommand } from './command.ts'

function command(name: string, version = 0) {
  return defineCommand({
    name,
    version,
    tags: ['test'],
    summary: 'Test',
    result: 'rescode',
    run: () => 0,
  })
}

test('finds the newest definition that a version of the API knows', () => {
  const registry = new CommandRegistry()
  const [first, second, third] = [command('a'), command('a', 2), command('a', 3)]
  for (const each of [second, first, third]) registry.add(each)
  assert.equal(registry.find('a'), third)
  assert.equal(registry.find('a', 2), second)
  assert.equal(registry.find('a', 1), first)
  assert.equal(registry.find('b'), undefined)
  const other = command('0')
  registry.add(other)
  assert.deepEqual(registry.list(), [other, third])
})

test('a definition stays while one of its owners holds it', () => {
  const registry = new CommandRegistry()
  const each = command('a')
  const [one, two] = [registry.add(each), registry.add(each)]
  one()
  one()
  assert.equal(registry.find('a'), each)
  two()
  assert.equal(registry.find('a'), undefined)
  assert.deepEqual(registry.list(), [])
  registry.add(each)
  assert.equal(registry.find('a'), each)
})

test('two definitions of one version are a mistake', () => {
  const registry = new CommandRegistry()
  registry.add(command('a'))
  assert.throws(() => registry.add(command('a')), /"a" version 0 is defined twice/)
})
