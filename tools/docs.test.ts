import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readCatalogue } from './docs/catalogue.ts'
import { evidenceIn, readEvidence } from './docs/evidence.ts'
import { argsText, readOwn, resultText } from './docs/own.ts'
import { hooksIn } from './docs/source.ts'
import { generateDocs, root } from './docs.ts'

test('the pages that are generated are current (npm run docs)', async () => {
  for (const [path, text] of await generateDocs()) {
    const written = readFileSync(join(root, path), 'utf8')
    assert.ok(written === text, `${path} is out of date: run "npm run docs" and commit the result`)
  }
})

test('the catalogue has everything that ejabberd 26.07 has', () => {
  const { options, modules, commands, handlers, listeners } = readCatalogue()
  const names = [...options.values()].flat()
  assert.equal(new Set(names).size, 177)
  assert.equal(
    [...modules.values()].reduce((sum, own) => sum + own.size, 0),
    72,
  )
  assert.equal(new Set(commands.map(({ name }) => name)).size, 240)
  assert.equal(handlers.length, 18)
  assert.equal(listeners.size, 9) // eight, and the options common to all
})

test('commands take and give what those of ejabberd do, in each API version', async () => {
  const { commands } = readCatalogue()
  const own = await readOwn(root)
  for (const command of own.commands) {
    const versions = commands.filter(({ name }) => name === command.name)
    // ejabberd has no commands for MQTT: these are ours, and say so by their names.
    if (versions.length === 0 && command.name.startsWith('mqtt_')) continue
    assert.ok(versions.length > 0, `ejabberd has no command "${command.name}"`)
    const same = versions.find(({ version }) => version === command.version)
    assert.ok(same, `ejabberd has no version ${command.version} of "${command.name}"`)
    assert.deepEqual(
      { name: command.name, args: argsText(command), result: resultText(command) },
      { name: same.name, args: same.args, result: same.result },
    )
  }
})

test('evidence is read from comments above tests', () => {
  const text = [
    '// shows: option mod_ping.send_pings',
    '// shows: command register',
    '// Another remark.',
    "test('pings', () => {",
    '  // shows: handler mod_mqtt',
    "  await t.test('inside', () => {})",
  ].join('\n')
  assert.deepEqual(
    evidenceIn('a.test.ts', text).map(({ kind, name, line }) => [kind, name, line]),
    [
      ['option', 'mod_ping.send_pings', 1],
      ['command', 'register', 2],
      ['handler', 'mod_mqtt', 5],
    ],
  )
})

test('evidence that stands above no test is refused', () => {
  for (const text of [
    '// shows: option loglevel\nconst x = 1',
    '// shows: option loglevel',
    "// shows: option loglevel\n\ntest('far', f)",
    "// shows: option loglevel\ntest.skip('skipped', f)",
    "// shows: nonsense loglevel\ntest('a', f)",
    "// shows: option\ntest('a', f)",
  ]) {
    assert.throws(() => evidenceIn('a.test.ts', text), /a\.test\.ts:1/, text)
  }
})

test('all evidence of this repository can be read', () => {
  assert.ok(readEvidence(root).length > 0)
})

test('hooks are found with their types and their doc comments', () => {
  const text = [
    '/** After',
    ' * it happened. */',
    "export const happened = defineHook<[what: string]>('core.happened')",
    '',
    "export const asked = defineDecision<'yes' | 'no', [",
    '  who: string,',
    "]>('core.asked', 'no')",
  ].join('\n')
  assert.deepEqual(
    hooksIn('a.ts', text).map(({ constant, name, kind, types, comment }) => ({
      constant,
      name,
      kind,
      types,
      comment,
    })),
    [
      {
        constant: 'happened',
        name: 'core.happened',
        kind: 'event',
        types: '[what: string]',
        comment: 'After it happened.',
      },
      {
        constant: 'asked',
        name: 'core.asked',
        kind: 'decision',
        types: "'yes' | 'no', [ who: string, ]",
        comment: '',
      },
    ],
  )
})
