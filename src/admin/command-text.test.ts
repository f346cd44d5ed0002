import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CommandType, CommandValue } from '../core/command.ts'
import { CommandError, defineCommand } from '../core/command.ts'
import { errorExit, formatError, formatResult, fromJson, parseWords } from './command-text.ts'

function command(...types: readonly CommandType[]): ReturnType<typeof defineCommand> {
  return defineCommand({
    name: 'try_it',
    tags: ['test'],
    summary: 'Try it',
    args: types.map((type, i) => ({ name: `arg${i}`, type })),
    result: 'rescode',
    run: () => 0,
  })
}

const texts: CommandType = { list: { name: 'text', type: 'binary' } }
const pair: CommandType = {
  tuple: [
    { name: 'name', type: 'binary' },
    { name: 'value', type: 'binary' },
  ],
}
const pairs: CommandType = { list: { name: 'pair', type: pair } }

const words: readonly {
  readonly name: string
  readonly types: readonly CommandType[]
  readonly words: readonly string[]
  readonly value: readonly CommandValue[]
}[] = [
  { name: 'text', types: ['binary', 'string'], words: ['a b', ''], value: ['a b', ''] },
  { name: 'integers', types: ['integer', 'integer'], words: ['42', '-1'], value: [42, -1] },
  { name: 'a list', types: [texts], words: ['one,two'], value: [['one', 'two']] },
  { name: 'a list with spaces', types: [texts], words: ['one, two,'], value: [['one', 'two']] },
  { name: 'an empty list', types: [texts], words: [''], value: [[]] },
  {
    name: 'a tuple',
    types: [pair],
    words: ['members_only:true'],
    value: [['members_only', 'true']],
  },
  {
    name: 'a tuple with a colon in it',
    types: [pair],
    words: ['url:http://a'],
    value: [['url', 'http://a']],
  },
  {
    name: 'tuples in a list',
    types: [pairs],
    words: ['a:1,b:2'],
    value: [
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
  },
  {
    name: 'JSON for what is nested',
    types: [pairs],
    words: ['[{"name":"a","value":"1,2"}]'],
    value: [[['a', '1,2']]],
  },
]

for (const row of words) {
  test(`reads ${row.name} from shell words`, () => {
    assert.deepEqual(parseWords(command(...row.types), row.words), { ok: true, value: row.value })
  })
}

test('says how many words are missing or too many, as ejabberdctl does', () => {
  const wrong = (...own: readonly string[]): unknown => parseWords(command('binary', 'binary'), own)
  assert.deepEqual(wrong(), {
    ok: false,
    error: "Error: the command 'try_it' requires 2 more argument.",
  })
  assert.deepEqual(wrong('a', 'b', 'c'), {
    ok: false,
    error: "Error: the command 'try_it' requires 1 less argument.",
  })
})

test('names the argument that cannot be read', () => {
  for (const word of ['', 'soon', '1.5', '0x10', '12abc']) {
    const parsed = parseWords(command('integer'), [word])
    assert.ok(!parsed.ok)
    assert.match(parsed.error, /^Error: argument 'arg0': expected an integer, got "/)
  }
  assert.equal(parseWords(command(pair), ['alone']).ok, false)
  assert.equal(parseWords(command(pairs), ['[{"name":"a"}]']).ok, false)
  assert.equal(parseWords(command(pairs), ['[{]']).ok, false)
})

test('reads JSON as arguments: digits, one element for a list, pairs as an object, null as empty', () => {
  assert.deepEqual(fromJson('42', 'integer'), { ok: true, value: 42 })
  assert.deepEqual(fromJson('one', texts), { ok: true, value: ['one'] })
  assert.deepEqual(fromJson({ a: '1', b: '2' }, pairs), {
    ok: true,
    value: [
      ['a', '1'],
      ['b', '2'],
    ],
  })
  assert.deepEqual(fromJson(null, 'binary'), { ok: true, value: '' })
  assert.equal(fromJson(4.5, 'integer').ok, false)
  assert.equal(fromJson(['a'], 'binary').ok, false)
  assert.equal(fromJson({ name: 'a', value: '1', more: '2' }, pair).ok, false)
})

test('prints lists by lines, tuples with tabs and inner lists with commas', () => {
  const rows: CommandType = {
    list: {
      name: 'row',
      type: {
        tuple: [
          { name: 'name', type: 'string' },
          { name: 'groups', type: texts },
        ],
      },
    },
  }
  const listing = { ...command(), result: { name: 'rows', type: rows } }
  const value = [
    ['a', ['x', 'y']],
    ['b', []],
  ]
  assert.equal(formatResult(listing, value, 1), 'a\tx,y\nb\t\n')
  assert.equal(formatResult(listing, value, 0), 'a\tx;y\nb\t\n')
  assert.equal(formatResult(listing, [], 1), '')
})

test('prints nothing for done, and a sentence for done with words', () => {
  assert.equal(formatResult(command(), 0, 1), '')
  assert.equal(formatResult({ ...command(), result: 'restuple' }, 'Done', 1), 'Done\n')
  assert.equal(formatResult({ ...command(), result: 'restuple' }, '', 1), '')
  const number = { ...command(), result: { name: 'count', type: 'integer' as const } }
  assert.equal(formatResult(number, 0, 1), '0\n')
})

test('prints failures in the three forms of ejabberdctl', () => {
  const exists = new CommandError('conflict', 'User a@b already registered', 10090)
  assert.equal(formatError(exists), 'Error: conflict: User a@b already registered\n')
  assert.equal(
    formatError(new CommandError('error', 'Unknown virtual host')),
    'Error: error\nError: "Unknown virtual host"\n',
  )
  assert.equal(
    formatError(new CommandError('not_found', 'unknown_user')),
    '{not_found,"unknown_user"}\n',
  )
  assert.equal(formatError(new CommandError('invalid_password', '')), 'invalid_password\n')
  assert.equal(formatError(new CommandError('error', 'invalid_password')), 'invalid_password\n')
  assert.equal(formatError(new CommandError('error', 'one\ntwo')), 'Error: error\none\ntwo\n')
})

test('exits with the number of a failure where it fits into an exit code', () => {
  assert.equal(errorExit(new CommandError('conflict', '', 10090)), 1)
  assert.equal(errorExit(new CommandError('error', '', 42)), 42)
  assert.equal(errorExit(new CommandError('error', '')), 1)
})
