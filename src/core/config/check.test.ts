import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../../../test/fixtures/config-schema.ts'
import { exitCodeFor, formatProblems } from './check.ts'

test('a check prints a line for each problem and how many there are', async () => {
  const { problems } = await load(
    'hosts: [localhost]\noom_queue: 5\nx: 1\ny: 2\nmodules: {mod_mam: {}}\n',
  )
  assert.equal(
    formatProblems(problems),
    `linnet.yml:2:12: notice: the option "oom_queue" has no effect here: every queue has a limit of its own, so nothing has to be killed
linnet.yml:3:1: unknown option "x"
linnet.yml:4:1: unknown option "y"
linnet.yml:5:11: warning: modules: the module "mod_mam" is not supported yet and is left out
2 errors, 1 warning, 1 notice
`,
  )
  assert.equal(exitCodeFor(problems), 1)
})

test('a check of a right configuration prints nothing and exits with 0', async () => {
  const { problems } = await load('hosts: [localhost]\n')
  assert.equal(formatProblems(problems), '')
  assert.equal(exitCodeFor(problems), 0)
})

test('warnings alone are no failure', async () => {
  const { problems } = await load('hosts: [localhost]\nmodules: {mod_mam: {}}\n')
  assert.equal(exitCodeFor(problems), 0)
})
