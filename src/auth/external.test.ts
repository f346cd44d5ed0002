import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TestAccounts } from '../../test/support/accounts.ts'
import { bare } from '../../test/support/sasl.ts'
import type { AuthAttempt } from '../core/account.ts'
import { TestClock } from '../core/clock.ts'
import type { Clock } from '../core/clock.ts'
import { silentLog } from '../core/log.ts'
import { err, ok } from '../util/result.ts'
import { ProgramPool } from './program-pool.ts'

const juliet = bare('juliet@localhost')
const nobody = bare('nobody@localhost')
const attempt: AuthAttempt = { protocol: 'xmpp', ip: undefined }

/*
 * Knows juliet with the password "ro:se", which may be changed; writes down what it is asked. "crash" ends it once, "hang"
 * makes it silent, "babble" makes it talk nonsense.
 */
const source = `
const { appendFileSync, existsSync, writeFileSync } = require('node:fs')
const log = process.argv[2]
const passwords = new Map([['juliet', 'ro:se']])
let bytes = Buffer.alloc(0)
process.stdin.on('data', (chunk) => {
  bytes = Buffer.concat([bytes, chunk])
  while (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
    const length = bytes.readUInt16BE(0)
    const text = bytes.toString('utf8', 2, 2 + length)
    bytes = bytes.subarray(2 + length)
    appendFileSync(log, text + '\\n')
    answer(text)
  }
})
function answer(text) {
  const [verb, user, host, ...rest] = text.split(':')
  const password = rest.join(':')
  if (password === 'hang') return
  if (password === 'babble') return void process.stdout.write('what?')
  if (password.startsWith('crash')) {
    if (password === 'crash' && existsSync(log + '.crashed')) return reply(true)
    writeFileSync(log + '.crashed', '')
    process.exit(1)
  }
  if (verb === 'auth') return reply(passwords.get(user) === password)
  if (verb === 'isuser') return reply(passwords.has(user))
  if (verb === 'removeuser') return reply(passwords.delete(user))
  if (verb === 'tryregister' && (passwords.has(user) || user === 'refused')) return reply(false)
  passwords.set(user, password)
  reply(true)
}
function reply(yes) {
  process.stdout.write(Buffer.from([0, 2, 0, yes ? 1 : 0]))
}
`

let dir = ''
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'linnet-external-'))
  await writeFile(join(dir, 'program.cjs'), source)
})
after(() => rm(dir, { recursive: true }))

let runs = 0
function newProgram(): { command: string; log: string } {
  const log = join(dir, `${++runs}.log`)
  return { command: `'${process.execPath}' '${join(dir, 'program.cjs')}' '${log}'`, log }
}

async function open(options: Readonly<Record<string, unknown>> = {}) {
  const { command, log } = newProgram()
  const accounts = await TestAccounts.open({
    auth_method: 'external',
    extauth_program: command,
    extauth_pool_size: 1,
    ...options,
  })
  return { accounts, asked: async () => (await readFile(log, 'utf8')).trim().split('\n') }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

describe('accounts of a program', () => {
  // shows: option extauth_program
  test('are asked for in its words', async () => {
    const { accounts, asked } = await open({ auth_use_cache: false })
    await using _ = accounts
    const { directory } = accounts
    assert.deepEqual(await directory.checkPassword(juliet, 'ro:se', attempt), ok(undefined))
    assert.deepEqual(await directory.checkPassword(juliet, 'x', attempt), err('not-authorized'))
    assert.equal(await directory.exists(nobody), false)
    assert.deepEqual(await directory.register(nobody, 'é'), ok(undefined))
    assert.deepEqual(await directory.checkPassword(nobody, 'é', attempt), ok(undefined))
    assert.deepEqual(await directory.setPassword(nobody, 'ü'), ok(undefined))
    assert.deepEqual(await directory.checkPassword(nobody, 'é', attempt), err('not-authorized'))
    assert.deepEqual(await directory.remove(nobody), ok(undefined))
    assert.deepEqual(await directory.remove(nobody), err('not-found'))
    assert.deepEqual(await asked(), [
      'auth:juliet:localhost:ro:se',
      'auth:juliet:localhost:x',
      'isuser:nobody:localhost',
      'isuser:nobody:localhost',
      'tryregister:nobody:localhost:é',
      'auth:nobody:localhost:é',
      'setpass:nobody:localhost:ü',
      'auth:nobody:localhost:é',
      'removeuser:nobody:localhost',
      'removeuser:nobody:localhost',
      // What is kept for an account goes only if there is none.
      'isuser:nobody:localhost',
    ])
  })

  test('are registered where it wants them', async () => {
    const { accounts } = await open()
    await using _ = accounts
    const { directory } = accounts
    assert.deepEqual(await directory.register(juliet, 'x'), err('exists'))
    assert.deepEqual(await directory.register(bare('refused@localhost'), 'x'), err('not-allowed'))
  })

  test('are not asked for again while a password is known to be right', async () => {
    const { accounts, asked } = await open({ auth_cache_life_time: '1 minute' })
    await using _ = accounts
    const { directory } = accounts
    for (const password of ['ro:se', 'ro:se', 'x', 'ro:se']) {
      await directory.checkPassword(juliet, password, attempt)
    }
    assert.equal((await asked()).length, 2)
    accounts.clock.advance(61_000)
    await directory.checkPassword(juliet, 'ro:se', attempt)
    assert.equal((await asked()).length, 3)
    await directory.setPassword(juliet, 'thorn')
    const before = await directory.checkPassword(juliet, 'ro:se', attempt)
    assert.deepEqual(before, err('not-authorized'))
  })

  // shows: option extauth_pool_size
  test('wait for a process that hangs only where there is no other', async () => {
    for (const [size, expected] of [
      [1, err('unavailable')],
      [2, ok(undefined)],
    ] as const) {
      const { accounts, asked } = await open({ extauth_pool_size: size })
      await using _ = accounts
      const check = (password: string) =>
        accounts.directory.checkPassword(juliet, password, attempt)
      const hanging = check('hang')
      const other = check('ro:se')
      while (!(await asked().catch(() => [])).join().includes('hang')) await turn()
      if (size > 1) assert.deepEqual(await other, expected)
      accounts.clock.advance(30_000)
      assert.deepEqual(await hanging, err('unavailable'))
      assert.deepEqual(await other, expected)
    }
  })

  test('an empty password is not even asked about', async () => {
    const { accounts } = await open()
    await using _ = accounts
    const checked = await accounts.directory.checkPassword(juliet, '', attempt)
    assert.deepEqual(checked, err('not-authorized'))
  })

  test('nobody gets in without a program', async () => {
    await using accounts = await TestAccounts.open({ auth_method: 'external' })
    const checked = await accounts.directory.checkPassword(juliet, 'ro:se', attempt)
    assert.deepEqual(checked, err('unavailable'))
  })
})

describe('a program', () => {
  const start = (program = newProgram().command, size = 1) => {
    const clock = new TestClock()
    const pool = new ProgramPool({ program, size }, impatient(clock), silentLog)
    return { clock, pool }
  }

  test('answers questions one after another, on as many processes as wanted', async () => {
    const { pool } = start(undefined, 2)
    const questions = ['ro:se', 'x', 'ro:se', 'y', 'ro:se'].map((password) =>
      pool.ask(['auth', 'juliet', 'localhost', password], true),
    )
    assert.deepEqual(await Promise.all(questions), [true, false, true, false, true])
    await pool.close()
  })

  test('that does not answer is given up after 30 s, and started anew', async () => {
    const { pool, clock } = start()
    const hanging = pool.ask(['auth', 'juliet', 'localhost', 'hang'], true)
    const waiting = pool.ask(['isuser', 'juliet', 'localhost'], true)
    clock.advance(29_999)
    const later = pool.ask(['isuser', 'nobody', 'localhost'], true)
    clock.advance(1)
    await assert.rejects(hanging, /does not answer/)
    await assert.rejects(waiting, /does not answer/)
    assert.equal(await later, false)
    await pool.close()
  })

  test('that dies over a question is asked once more', async () => {
    const { pool } = start()
    const answer = pool.ask(['auth', 'juliet', 'localhost', 'crash'], true)
    assert.equal(await answer, true)
    const twice = pool.ask(['auth', 'juliet', 'localhost', 'crash-always'], true)
    await assert.rejects(twice, /ended without an answer/)
    await pool.close()
  })

  test('that dies over a change is not asked for it again', async () => {
    const { pool } = start()
    const change = pool.ask(['setpass', 'juliet', 'localhost', 'crash'], false)
    await assert.rejects(change, /ended without an answer/)
    await pool.close()
  })

  test('that talks nonsense lets nobody in', async () => {
    const { pool } = start()
    const answer = pool.ask(['auth', 'juliet', 'localhost', 'babble'], true)
    await assert.rejects(answer, /makes no sense/)
    await pool.close()
  })

  test('that cannot be started lets nobody in', async () => {
    const settings = { program: join(dir, 'is not there'), size: 1 }
    const pool = new ProgramPool(settings, new TestClock(), silentLog)
    await assert.rejects(pool.ask(['auth', 'juliet', 'localhost', 'x'], false), /ended without/)
    await assert.rejects(pool.ask(['auth', 'juliet', 'localhost', 'x'], false), /does not run/)
    await pool.close()
  })

  test('is not asked what has no room in a frame', async () => {
    const { pool } = start()
    const long = pool.ask(['auth', 'juliet', 'localhost', 'x'.repeat(70_000)], true)
    await assert.rejects(long, /too long/)
    await pool.close()
    await assert.rejects(pool.ask(['isuser', 'juliet', 'localhost'], true), /was stopped/)
  })

  test('leaves no question unanswered when it is stopped', async () => {
    const { pool } = start()
    const questions = [1, 2, 3].map(() => pool.ask(['auth', 'juliet', 'localhost', 'hang'], true))
    const results = Promise.allSettled(questions)
    await pool.close()
    assert.ok((await results).every(({ status }) => status === 'rejected'))
  })
})

/** Restarts and last steps happen at once; only the time limit of a call waits for the clock. */
function impatient(clock: TestClock): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    every: (ms, fn) => clock.every(ms, fn),
    after(ms, fn) {
      if (ms >= 30_000) return clock.after(ms, fn)
      const immediate = setImmediate(fn)
      return { cancel: () => clearImmediate(immediate) }
    },
  }
}
