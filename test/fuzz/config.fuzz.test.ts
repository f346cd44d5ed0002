import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { load } from '../fixtures/config-schema.ts'
import { formatProblems } from '../../src/core/config/check.ts'
import type { LoadResult } from '../../src/core/config/load.ts'

const everything = await readFile(
  new URL('../fixtures/config/everything.yml', import.meta.url),
  'utf8',
)
/** Includes are left out: what files there are is not for a random text to find. */
const whole = everything.replace(/^include_config_file:.*$/m, '')
const standard = await readFile(new URL('../../config/default.yml', import.meta.url), 'utf8')
const lines = `${whole}\n${standard}`.split('\n')
const words = [...new Set(lines.flatMap((line) => line.match(/[\w@"'*&!<|>[\]{}:,#-]+/g) ?? []))]

/** Whatever the text is: either a configuration, or at least one error; and every problem has a place. */
function assertSound({ config, problems }: LoadResult): void {
  const hasErrors = problems.some(({ severity }) => severity === 'error')
  assert.equal(config === undefined, hasErrors, formatProblems(problems))
  for (const { file, line, column, message } of problems) {
    assert.ok(file !== '' && message !== '')
    assert.ok(Number.isInteger(line) && line >= 1 && Number.isInteger(column) && column >= 1)
  }
}

async function assertLoads(text: string): Promise<void> {
  const result = await load({ text: text.replaceAll('include', 'exclude'), file: 'fuzz.yml' })
  assertSound(result)
  if (result.config === undefined) return
  // What was accepted can be written, and is accepted again.
  const again = await load({ text: result.config.effective(), file: 'again.yml' })
  const errors = again.problems.filter(({ severity }) => severity === 'error')
  assert.deepEqual(errors, [], result.config.effective())
}

const options = { numRuns: 300, interruptAfterTimeLimit: 20_000 }

test('random text never throws', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), assertLoads),
    options,
  )
})

test('random lines of configurations never throw', async () => {
  const text = fc.array(fc.constantFrom(...lines), { maxLength: 40 }).map((some) => some.join('\n'))
  await fc.assert(fc.asyncProperty(text, assertLoads), options)
})

test('a configuration with words changed, moved and removed never throws', async () => {
  const change = fc.record({
    at: fc.nat({ max: whole.length }),
    remove: fc.nat({ max: 30 }),
    insert: fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 8 })),
  })
  const text = fc
    .array(change, { minLength: 1, maxLength: 5 })
    .map((changes) =>
      changes.reduce(
        (old, { at, remove, insert }) => old.slice(0, at) + insert + old.slice(at + remove),
        whole,
      ),
    )
  await fc.assert(fc.asyncProperty(text, assertLoads), options)
})

test('random trees in the place of every option never throw', async () => {
  const keys = lines.flatMap((line) => /^ *([\w-]+):/.exec(line)?.[1] ?? [])
  const leaf = fc.oneof(
    fc.constantFrom(...words),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.string({ maxLength: 10 }),
    fc.constantFrom(
      'allow',
      'deny',
      'all',
      'none',
      'admin',
      '__proto__',
      'constructor',
      'toString',
    ),
  )
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(
        fc.oneof(fc.constantFrom(...keys, '__proto__', 'constructor'), fc.string({ maxLength: 5 })),
        tie('tree'),
        { maxKeys: 4 },
      ),
    ),
  }))
  const top = fc.dictionary(fc.constantFrom(...keys), tree, { maxKeys: 8 })
  await fc.assert(
    fc.asyncProperty(top, async (given) => {
      const { include_config_file: _, ...written } = given
      assertSound(await load({ options: { hosts: ['localhost'], ...written } }))
      await assertLoads(JSON.stringify({ hosts: ['localhost'], ...written }, undefined, 1))
    }),
    options,
  )
})
