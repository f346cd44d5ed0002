import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loaded, problemsOf } from '../../test/fixtures/config-schema.ts'
import { jid } from '../xmpp/jid/jid.ts'
import { Access, globalScope, subjectOf } from './access.ts'
import { shaperRule, valuesOf } from './options.ts'
import { Shapers, TokenBucket } from './shaper.ts'
import type { ShaperRule } from './options/rule-types.ts'

const hosts = 'hosts: [localhost]\n'
const admin = subjectOf(jid('admin@localhost'))
const other = subjectOf(jid('other@localhost'))

async function shapersOf(text: string): Promise<Shapers> {
  const config = await loaded(`${hosts}acl: {admin: {user: admin}}\n${text}`)
  return new Shapers(config, new Access(config))
}

function rule(written: unknown): ShaperRule {
  return valuesOf({ rule: shaperRule('none', 'Rule.') }, { rule: written }).rule
}

describe('a shaper', () => {
  // shows: option shaper
  test('has a rate, and a burst that is the rate by default', async () => {
    const { global } = await loaded(
      `${hosts}shaper: {a: 100, b: {rate: 5, burst_size: 7}, c: {rate: 5}, d: unlimited}\n`,
    )
    assert.deepEqual(Object.fromEntries(global.shaper), {
      a: { rate: 100, burst: 100 },
      b: { rate: 5, burst: 7 },
      c: { rate: 5, burst: 5 },
      d: { rate: Infinity, burst: Infinity },
    })
  })

  const rows: readonly (readonly [text: string, problem: string])[] = [
    ['shaper: {none: 5}', '2:10: shaper: the name "none" is reserved'],
    ['shaper: {infinite: 5}', '2:10: shaper: the name "infinite" is reserved'],
    ['shaper: {a: 0}', '2:13: shaper.a: expected an integer above 0 or infinity, got 0'],
    ['shaper: {a: {burst_size: 5}}', '2:13: shaper.a: the option "rate" is required'],
    ['shaper: {a: {rate: 5, burst: 5}}', '2:23: shaper.a: unknown option "burst"'],
    ['shaper_rules: {unlimited: 5}', '2:16: shaper_rules: the name "unlimited" is reserved'],
    [
      'shaper_rules: {a: 0}',
      '2:19: shaper_rules.a: expected the name of a shaper or a number above 0, got "0"',
    ],
    [
      'shaper_rules: {a: {5: }}',
      '2:20: shaper_rules.a.5: the condition must not be empty, write "all" to match everybody',
    ],
    [
      'shaper_rules: {a: fast}',
      '2:19: warning: shaper_rules.a: there is no shaper "fast", this entry is left out',
    ],
  ]
  for (const [text, problem] of rows) {
    test(text, async () =>
      assert.deepEqual(await problemsOf(`${hosts}${text}\n`), [`linnet.yml:${problem}`]),
    )
  }
})

describe('a shaper rule', () => {
  // shows: option shaper_rules
  test('gives the value of the first entry that holds', async () => {
    const shapers = await shapersOf(`
shaper: {slow: 10, fast: {rate: 100, burst_size: 500}}
shaper_rules: {it: [none: none, fast: admin, slow: all], max: {5000: admin, 100: all}}
`)
    assert.deepEqual(shapers.rate(rule('it'), admin, 'localhost'), { rate: 100, burst: 500 })
    assert.deepEqual(shapers.rate(rule('it'), other, 'localhost'), { rate: 10, burst: 10 })
    assert.equal(shapers.namedLimit('max', admin, 'localhost', Infinity), 5000)
    assert.equal(shapers.namedLimit('max', other, 'localhost', Infinity), 100)
  })

  test('limits nothing where no entry holds, where it does not exist, and for none and infinity', async () => {
    const shapers = await shapersOf(
      'shaper_rules: {it: [5: admin], free: [none: all], endless: [unlimited: all]}\n',
    )
    for (const written of ['it', 'missing', 'free', 'endless', 'none', 'infinity']) {
      assert.equal(shapers.rate(rule(written), other, 'localhost'), undefined, written)
    }
    assert.equal(shapers.limit(rule('it'), other, 'localhost', 7), 7)
    assert.equal(shapers.limit(rule('missing'), other, 'localhost', 7), 7)
    assert.equal(shapers.limit(rule('endless'), other, 'localhost', 7), Infinity)
    assert.equal(shapers.limit(rule('it'), admin, 'unknown.example', 7), 7)
  })

  test('may be one value for everybody', async () => {
    const shapers = await shapersOf('shaper_rules: {it: 10}\n')
    assert.equal(shapers.limit(rule('it'), other, globalScope, 1), 10)
    assert.deepEqual(shapers.rate(rule('it'), other, 'localhost'), { rate: 10, burst: 10 })
  })

  test('leaves out entries whose shaper does not exist', async () => {
    const shapers = await shapersOf('shaper_rules: {it: [gone: all, 5: all]}\n')
    assert.equal(shapers.limit(rule('it'), other, 'localhost', 1), 5)
  })

  test('may be written where it is used', async () => {
    const shapers = await shapersOf('shaper: {slow: 10}\n')
    assert.deepEqual(shapers.rate(rule([{ none: 'admin' }, 'slow']), other, 'localhost'), {
      rate: 10,
      burst: 10,
    })
    assert.equal(shapers.rate(rule([{ none: 'admin' }, 'slow']), admin, 'localhost'), undefined)
    assert.equal(shapers.limit(rule(8), admin, 'localhost', 1), 8)
  })
})

describe('a token bucket', () => {
  test('lets a burst through, then makes up for what was too much', () => {
    const bucket = new TokenBucket({ rate: 1000, burst: 500 }, 0)
    assert.equal(bucket.take(500, 0), 0)
    assert.equal(bucket.take(100, 0), 100)
    assert.equal(bucket.take(50, 100), 50)
    assert.equal(bucket.take(0, 150), 0)
  })

  test('fills up to its burst and no further', () => {
    const bucket = new TokenBucket({ rate: 1000, burst: 500 }, 0)
    bucket.take(500, 0)
    assert.equal(bucket.take(600, 1_000_000), 100)
  })

  test('keeps to its rate over time, whatever the sizes are', () => {
    const bucket = new TokenBucket({ rate: 3000, burst: 20_000 }, 0)
    let now = 0
    let bytes = 0
    for (let i = 0; i < 100; i++) {
      const size = 100 + ((i * 7919) % 4000)
      bytes += size
      now += bucket.take(size, now)
    }
    const expected = ((bytes - 20_000) / 3000) * 1000
    assert.ok(Math.abs(now - expected) < 150, `${now} against ${expected}`)
  })
})
