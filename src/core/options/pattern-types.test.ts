import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compileRegex } from './pattern-types.ts'

describe('expressions in the syntax of PCRE', () => {
  const rows: readonly (readonly [
    source: string,
    yes: readonly string[],
    no: readonly string[],
  ])[] = [
    ['', ['', 'anything'], []],
    ['user', ['user', 'a user b'], ['use']],
    ['^user_\\d+$', ['user_1'], ['user_', 'xuser_1']],
    ['(?i)admin', ['ADMIN', 'admin'], ['adm']],
    ['(?i:a)b', ['Ab'], ['AB']],
    ['^[[:alpha:]]+$', ['abcé'], ['ab1']],
    ['^[[:digit:]x]+$', ['12x'], ['12y']],
    ['^[]a]+$', [']a]'], ['b']],
    ['^[^]a]+$', ['bc'], ['b]']],
    ['^a\\-b\\_c\\@d$', ['a-b_c@d'], ['a\\-b']],
    ['^a]b}c{d$', ['a]b}c{d'], []],
    ['^a{2,3}$', ['aa', 'aaa'], ['a', 'aaaa']],
    ['\\Aab\\z', ['ab'], ['xab', 'abx']],
    ['^(?<name>a)\\k<name>$', ['aa'], ['a']],
    ['^.$', ['é', '😀'], ['ab']],
  ]
  for (const [source, yes, no] of rows) {
    test(`/${source}/`, () => {
      const regex = compileRegex(source)
      for (const text of yes) assert.ok(regex.test(text), text)
      for (const text of no) assert.ok(!regex.test(text), text)
    })
  }

  for (const source of [
    '(',
    'a++',
    '(?>a)',
    '[z-a]',
    '(?x) a',
    '[[:foo:]]',
    '[[:^alpha:]]',
    '\\',
    '*',
  ]) {
    test(`/${source}/ is refused rather than read as something else`, () =>
      assert.throws(() => compileRegex(source), SyntaxError))
  }
})
