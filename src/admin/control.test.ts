import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Access } from '../core/access.ts'
import { ApiPermissions } from '../core/api-permissions.ts'
import { CommandError, CommandRegistry, defineCommand } from '../core/command.ts'
import { loadConfig } from '../core/config/load.ts'
import { createSchema } from '../core/config/schema.ts'
import { silentLog } from '../core/log.ts'
import { Services } from '../core/service.ts'
import { apiPermissions } from '../core/shared.ts'
import type { ControlAnswer } from './control-socket.ts'
import { runControl } from './control.ts'

const commands = new CommandRegistry()
const add = (definition: Parameters<typeof defineCommand>[0]): void => {
  commands.add(defineCommand(definition))
}
add({
  name: 'count_words',
  tags: ['words'],
  summary: 'Count them',
  args: [{ name: 'text', type: 'binary' }],
  result: { name: 'count', type: 'integer' },
  run: ([text]) => String(text).split(' ').length,
})
add({
  name: 'count_words',
  version: 2,
  tags: ['words'],
  summary: 'Count them and say so',
  args: [{ name: 'text', type: 'binary' }],
  result: 'restuple',
  run: ([text]) => `${String(text).split(' ').length} words`,
})
add({
  name: 'check_word',
  tags: ['words'],
  summary: 'Look whether it is known',
  args: [{ name: 'word', type: 'binary' }],
  result: 'rescode',
  run: ([word]) => (word === 'known' ? 0 : 'false'),
})
add({
  name: 'break_off',
  tags: ['failures'],
  summary: 'Fail as the word says',
  args: [{ name: 'how', type: 'binary' }],
  result: 'rescode',
  run: ([how]) => {
    if (how === 'told') throw new CommandError('conflict', 'It is there', 10090)
    throw new Error('The disk is full')
  },
})

/** Runs words on these commands, with `api_permissions` as they would stand in a file. */
async function run(
  given: readonly string[],
  options: { readonly permissions?: unknown; readonly version?: number } = {},
): Promise<ControlAnswer> {
  const { config } = await loadConfig(
    {
      options: {
        hosts: ['localhost'],
        ...(options.permissions === undefined ? {} : { api_permissions: options.permissions }),
      },
    },
    createSchema({}),
    { version: '1', databasePath: '/nonexistent' },
  )
  assert.ok(config)
  const services = new Services()
  const permissions = new ApiPermissions(config.global.api_permissions, new Access(config))
  services.provide(apiPermissions, permissions)
  const { version } = options
  return runControl(
    { commands, services, log: silentLog },
    { words: given, ...(version === undefined ? {} : { version }) },
  )
}

test('runs the newest version of a command, or the one that is asked for', async () => {
  assert.deepEqual(await run(['count_words', 'a b c']), { exit: 0, output: '3 words\n' })
  assert.deepEqual(await run(['count_words', 'a b c'], { version: 1 }), { exit: 0, output: '3\n' })
})

test('takes "-" for "_" in the name of a command', async () => {
  assert.deepEqual(await run(['count-words', 'a']), { exit: 0, output: '1 words\n' })
})

test('tells a failed check from a failure', async () => {
  assert.deepEqual(await run(['check_word', 'known']), { exit: 0, output: '' })
  assert.deepEqual(await run(['check_word', 'other']), { exit: 1, output: 'Error: false\n' })
  assert.deepEqual(await run(['break_off', 'told']), {
    exit: 1,
    output: 'Error: conflict: It is there\n',
  })
  assert.deepEqual(await run(['break_off', 'unexpectedly']), {
    exit: 1,
    output: 'Error: The disk is full\n',
  })
})

test('exits with 2 and explains the command when arguments are wrong', async () => {
  const { exit, output } = await run(['check_word'])
  assert.equal(exit, 2)
  assert.match(output, /^ {2}Command Name: check_word\n/)
  assert.match(output, /\n {2}Arguments: word::binary\n/)
  assert.match(output, /\nError: the command 'check_word' requires 1 more argument\.\n$/)
})

test('suggests a command when the name is wrong', async () => {
  assert.deepEqual(await run(['chek_word', 'a']), {
    exit: 1,
    output: "Error: unknown command 'chek_word'. Did you mean 'check_word'?\n",
  })
  assert.deepEqual(await run(['xyzzy']), { exit: 1, output: "Error: unknown command 'xyzzy'.\n" })
})

test('lists all commands and exits with 3 when none is given', async () => {
  const { exit, output } = await run([])
  assert.equal(exit, 3)
  assert.match(output, /\n {2}check_word word\n {13}Look whether it is known\n/)
})

test('helps with tags, with the commands of a tag, and with globs', async () => {
  const help = async (...words: readonly string[]): Promise<string> => {
    const { exit, output } = await run(['help', ...words])
    assert.equal(exit, 0)
    return output
  }
  assert.match(
    await help('tags'),
    /\n {2}failures\n {5}break_off\n\n {2}words\n {5}check_word count_words\n/,
  )
  assert.match(await help('words'), /^Available commands with tag words:\n\n {2}check_word word\n/)
  assert.match(await help('commands'), /\n {2}words\n {4}check_word word\n {4}count_words text\n/)
  assert.match(await help('c*'), /^ {2}check_word word\n[^]*\n {2}count_words text\n/)
  assert.match(await help('check-word'), /^ {2}Command Name: check_word\n/)
  assert.equal(await help('nonsense'), "No tag or command matches 'nonsense'\n")
  assert.equal(await help('[z-'), "No tag or command matches '[z-'\n")
  assert.match(await help(), /^ {2}help \[tags/)
})

// shows: option api_permissions
test('asks api_permissions, also for who sits at the console', async () => {
  const permissions = {
    'console commands': { from: 'ejabberd_ctl', who: 'all', what: ['*', '!break_off'] },
  }
  const allowed = await run(['check_word', 'known'], { permissions })
  assert.equal(allowed.exit, 0)
  assert.deepEqual(await run(['break_off', 'told'], { permissions }), {
    exit: 1,
    output: 'Error: access_rules_unauthorized\n',
  })
})
