import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe as suite, test } from 'node:test'
import {
  accepted,
  computed,
  describe,
  duration,
  flag,
  from,
  integer,
  jsonSchemaOf,
  list,
  map,
  notYet,
  optional,
  option,
  parseOptions,
  record,
  required,
  secret,
  t,
  text,
  valuesOf,
} from './options.ts'
import { ParseContext } from './options/context.ts'
import { Glob } from './options/pattern-types.ts'
import { nodeOf } from './options/node.ts'
import { formatProblem } from './options/problem.ts'
import { invalid } from './options/type.ts'
import type { Type } from './options/type.ts'

function parse<T>(type: Type<T>, written: unknown): T | string {
  const ctx = ParseContext.create()
  const value = type.parse(nodeOf(written), ctx)
  if (value !== invalid) return value
  return ctx.problems
    .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    .join('; ')
}

const directory = mkdtempSync(join(tmpdir(), 'linnet-options-'))
after(() => rmSync(directory, { recursive: true }))
writeFileSync(join(directory, 'key.pem'), '-----BEGIN PRIVATE KEY-----\n')
writeFileSync(join(directory, 'text'), 'nothing')

suite('types read what ejabberd reads', () => {
  const day = 86_400_000
  const rows: readonly (readonly [
    name: string,
    type: Type<unknown>,
    written: unknown,
    value: unknown,
  ])[] = [
    ...['true', 'yes', 'on', 'y', 'Yes', true].map((word) => ['flag', t.flag, word, true] as const),
    ...['false', 'no', 'off', 'n', 'OFF', false].map(
      (word) => ['flag', t.flag, word, false] as const,
    ),
    ['integer', t.integer(), -3, -3],
    ['integer within limits', t.integer({ min: 1, max: 3 }), 3, 3],
    ['infinity', t.integer({ orInfinity: true }), 'infinity', Infinity],
    ['infinite', t.integer({ orInfinity: true }), 'infinite', Infinity],
    ['unlimited', t.integer({ orInfinity: true }), 'unlimited', Infinity],
    ['duration in seconds', t.duration, 5, 5000],
    ['duration as text', t.duration, '5', 5000],
    ['duration with a unit', t.duration, '32 seconds', 32_000],
    ['duration without a space', t.duration, '2days', 2 * day],
    ['duration of an hour', t.duration, '1 h', 3_600_000],
    ['duration in milliseconds', t.durationWith({ unit: 'millisecond' }), 20, 20],
    ['duration of milliseconds that make seconds', t.duration, '1500 ms', 1500],
    ['endless duration', t.durationWith({ orInfinity: true }), 'unlimited', Infinity],
    ['no duration', t.durationWith({ orZero: true }), 0, 0],
    ['size', t.size(), 262144, 262144],
    ['size with a unit', t.size(), '64KiB', 65536],
    ['text that looks like a number', t.text, 10, '10'],
    ['choice', t.choice(['a', 'b']), 'b', 'b'],
    ['language', t.language, 'pt-BR', 'pt-BR'],
    ['domain', t.domain, 'EXAMPLE.Org', 'example.org'],
    ['domain in Punycode', t.domain, 'xn--bcher-kva.example', 'bücher.example'],
    ['address', t.ip, '::1', '::1'],
    ['IPv4 address', t.ipv4, '127.0.0.1', '127.0.0.1'],
    ['IPv6 address', t.ipv6, '::', '::'],
    ['port', t.port, 65535, 65535],
    ['URL', t.url(), 'https://example.org:5443/a', 'https://example.org:5443/a'],
    ['other URL', t.url(['mqtts']), 'mqtts://example.org', 'mqtts://example.org'],
    ['JID', t.jid, 'Admin@Example.org/Home', 'admin@example.org/Home'],
    ['topic filter', t.topicFilter, 'home/+/#', 'home/+/#'],
    ['list', t.list(t.text), ['a', 'b'], ['a', 'b']],
    ['single value as a list', t.list(t.text), 'a', ['a']],
    [
      'map in order',
      t.map(t.text, t.integer()),
      { b: 1, a: 2 },
      new Map([
        ['b', 1],
        ['a', 2],
      ]),
    ],
    ['first of several', t.oneOf([t.flag, t.choice(['optional'])]), 'optional', 'optional'],
    [
      'map of several',
      t.oneOf([t.list(t.text), t.map(t.text, t.text)]),
      { a: 'b' },
      new Map([['a', 'b']]),
    ],
    ['changed', t.changed(t.text, (value) => value.length), 'abc', 3],
    ['pattern', t.regex, '^a\\@b$', /^a@b$/u],
  ]
  for (const [name, type, written, value] of rows) {
    test(`${name}: ${JSON.stringify(written)}`, () => assert.deepEqual(parse(type, written), value))
  }

  test('a glob matches the whole text', () => {
    const glob = parse(t.glob, 'sensor[0-9]*')
    assert.ok(glob instanceof Glob)
    assert.deepEqual(
      ['sensor1a', 'xsensor1', 'sensor'].map((name) => glob.test(name)),
      [true, false, false],
    )
  })

  test('files have to be there, and PEM files have to hold something', () => {
    const file = join(directory, 'key.pem')
    assert.equal(parse(t.file, file), file)
    assert.equal(parse(t.pem, file), file)
    assert.equal(parse(t.directory, join(directory, 'new', 'deep')), join(directory, 'new', 'deep'))
    assert.match(parse(t.file, join(directory, 'gone')), /there is no such file/)
    assert.match(parse(t.file, directory), /it is a directory/)
    assert.match(parse(t.pem, join(directory, 'text')), /holds no certificate or key/)
    assert.match(parse(t.directory, join(directory, 'text')), /is not a directory/)
  })
})

suite('types refuse everything else, and say what they expected', () => {
  const rows: readonly (readonly [type: Type<unknown>, written: unknown, message: string])[] = [
    [t.flag, 'maybe', 'expected true or false, got "maybe"'],
    [t.flag, [true], 'expected true or false, got a list'],
    [t.integer({ min: 1 }), 0, 'expected an integer above 0, got 0'],
    [t.integer(), '5', 'expected an integer, got "5"'],
    [t.integer(), 1.5, 'expected an integer, got "1.5"'],
    [t.integer(), '99999999999999999999', 'expected an integer, got "99999999999999999999"'],
    [t.integer({ min: 1 }), 'infinity', 'expected an integer above 0, got "infinity"'],
    [t.duration, 0, 'expected a duration ("5 minutes"; seconds without a unit), got 0'],
    [t.duration, '500 ms', '"500 ms" is too short, the least is one second'],
    [
      t.duration,
      '5 parsecs',
      'unknown unit of time in "5 parsecs", use ms, seconds, minutes, hours or days',
    ],
    [
      t.duration,
      'infinity',
      'expected a duration ("5 minutes"; seconds without a unit), got "infinity"',
    ],
    [t.size(), '5 apples', 'expected a size in bytes ("64KiB"), got "5 apples"'],
    [t.text, null, 'expected text, got nothing'],
    [t.text, {}, 'expected text, got a map'],
    [t.textWith({ nonEmpty: true }), '', 'expected text that is not empty, got ""'],
    [t.choice(['a', 'b', 'c']), 'd', 'expected a, b or c, got "d"'],
    [t.domain, 'a@b', 'expected a host name, got "a@b"'],
    [t.ip, '1.2.3', 'expected an IP address, got "1.2.3"'],
    [t.cidr, '10.0.0.0/33', 'expected an IP address or network ("10.0.0.0/8"), got "10.0.0.0/33"'],
    [t.port, 65536, 'expected a port number from 1 to 65535, got 65536'],
    [t.url(), 'ftp://a', 'expected a URL (http or https), got "ftp://a"'],
    [t.jid, '@example.org', 'expected a JID, got "@example.org"'],
    [t.topicFilter, 'a/#/b', 'expected an MQTT topic filter, got "a/#/b"'],
    [t.topicFilter, 'a+/b', 'expected an MQTT topic filter, got "a+/b"'],
    [
      t.list(t.integer()),
      [1, 'a', 'b'],
      '[1]: expected an integer, got "a"; [2]: expected an integer, got "b"',
    ],
    [t.list(t.text, { nonEmpty: true }), [], 'the list must not be empty'],
    [t.list(t.text, { unique: true }), ['a', 'a'], '[1]: "a" is listed twice'],
    [t.map(t.text, t.flag), ['a'], 'expected a map, got a list'],
    [t.map(t.text, t.flag), { 'a.b': 1 }, '["a.b"]: expected true or false, got 1'],
    [t.oneOf([t.flag, t.choice(['x'])]), 'z', 'expected true or false or x, got "z"'],
    [t.regex, '(a', 'invalid regular expression "(a": /(a/u: Unterminated group'],
    [t.glob, '[a', 'invalid glob "[a": a "[" has no "]"'],
  ]
  for (const [type, written, message] of rows) {
    test(message, () => assert.equal(parse(type, written), message))
  }
})

suite('maps of options', () => {
  const options = {
    plain: flag(true, 'Plain.'),
    needed: text(required, 'Needed.'),
    maybe: duration(optional, 'Maybe.'),
    inherited: integer({ min: 1 }, from('cache_size'), 'Inherited.'),
    worked_out: integer(
      {},
      computed((lookUp) => (lookUp('a') === 1 ? 10 : 20), 'by a'),
      'Worked out.',
    ),
    hidden: secret(list(t.integer({ max: 9 }), [], 'Hidden.')),
    later: notYet(flag(false, 'Later.')),
    never: accepted(flag(false, 'Never.'), 'there is no such thing'),
    nested: record({ a: integer({}, 1, 'A.'), b: text(optional, 'B.') }, {}, 'Nested.'),
    names: map(t.text, t.text, { '@HOST@': '@HOST@' }, 'Names.'),
  }

  test('fill in defaults of every kind', () => {
    const values = valuesOf(
      options,
      { needed: 'x' },
      { top: { cache_size: 7, a: 1 }, host: 'localhost' },
    )
    assert.deepEqual(values, {
      plain: true,
      needed: 'x',
      maybe: undefined,
      inherited: 7,
      worked_out: 10,
      hidden: [],
      later: false,
      never: false,
      nested: { a: 1, b: undefined },
      names: new Map([['@HOST@', 'localhost']]),
    })
  })

  test('take over what is written', () => {
    const values = valuesOf(options, {
      needed: 'x',
      plain: 'off',
      maybe: '1 min',
      nested: { b: 'c' },
    })
    assert.equal(values.plain, false)
    assert.equal(values.maybe, 60_000)
    assert.deepEqual(values.nested, { a: 1, b: 'c' })
  })

  test('report everything at once, with the path', () => {
    const ctx = ParseContext.create({}, 'modules.mod_x')
    const written = { plan: true, maybe: 'soon', nested: { a: 'x', c: 1 } }
    assert.equal(parseOptions(options, nodeOf(written), ctx), undefined)
    assert.deepEqual(
      ctx.problems.map(({ path, message }) => `${path}: ${message}`),
      [
        'modules.mod_x: unknown option "plan", did you mean "plain"?',
        'modules.mod_x.maybe: expected a duration ("5 minutes"; seconds without a unit), got "soon"',
        'modules.mod_x.nested.a: expected an integer, got "x"',
        'modules.mod_x.nested: unknown option "c"',
        'modules.mod_x: the option "needed" is required',
      ],
    )
  })

  test('do not quote secret values', () => {
    const ctx = ParseContext.create()
    parseOptions(options, nodeOf({ needed: 'x', hidden: [123456, 'password'] }), ctx)
    assert.deepEqual(
      ctx.problems.map(({ message }) => message),
      [
        'expected an integer up to 9, got another value (not shown)',
        'expected an integer up to 9, got another value (not shown)',
      ],
    )
    assert.equal(ctx.secrets.size, 1)
  })

  test('warn of what has no effect', () => {
    const ctx = ParseContext.create()
    assert.ok(parseOptions(options, nodeOf({ needed: 'x', later: true, never: true }), ctx))
    assert.deepEqual(ctx.problems.map(formatProblem), [
      '(built in):1:1: warning: the option "later" is not supported yet and has no effect',
      '(built in):1:1: notice: the option "never" has no effect here: there is no such thing',
    ])
  })

  test('accept nothing at all for a map of defaults', () => {
    const ctx = ParseContext.create()
    assert.deepEqual(parseOptions({ a: options.plain }, nodeOf(null), ctx), { a: true })
  })

  test('take a value over from the top only if it fits', () => {
    const kinds = { kind: option(t.choice(['mnesia']), from('default_ram_db', 'mnesia'), 'Kind.') }
    assert.equal(valuesOf(kinds, {}, { top: { default_ram_db: 'redis' } }).kind, 'mnesia')
  })

  test('throw for defaults that are wrong themselves, which is a bug', () => {
    const wrong = { a: duration('soon', 'A.') }
    assert.throws(() => valuesOf(wrong), /The default of the option "A." is invalid/)
  })

  test('describe themselves for the docs', () => {
    const rows = describe(options).map(
      (row) => `${row.name} | ${row.type} | ${row.default} | ${row.status}`,
    )
    assert.deepEqual(rows.slice(0, 5), [
      'plain | true or false | true | works',
      'needed | text | required | works',
      'maybe | a duration ("5 minutes"; seconds without a unit) | not set | works',
      'inherited | an integer above 0 | the top-level option cache_size | works',
      'worked_out | an integer | by a | works',
    ])
  })

  test('give a JSON Schema', () => {
    const schema = jsonSchemaOf({ a: options.plain, b: options.needed, c: options.later })
    assert.deepEqual(schema, {
      type: 'object',
      properties: {
        a: { type: 'boolean', description: 'Plain.', default: true },
        b: { type: ['string', 'number'], description: 'Needed.' },
        c: { type: 'boolean', description: 'Later. (Not supported yet.)', default: false },
      },
      additionalProperties: false,
      required: ['b'],
    })
  })
})

test('a service cannot have the name of a host that is served', () => {
  const ctx = ParseContext.create({ hosts: new Set(['localhost']) })
  assert.equal(t.serviceDomain.parse(nodeOf('LocalHost'), ctx), invalid)
  assert.match(ctx.problems[0]?.message ?? '', /is already one of the hosts served/)
})
