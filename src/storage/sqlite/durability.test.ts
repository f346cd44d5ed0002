import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { systemClock } from '../../core/clock.ts'
import { silentLog } from '../../core/log.ts'
import type { WriteOutcome } from '../../core/store.ts'
import { openStore } from '../open.ts'

/**
 * This file is also the process that is killed: with arguments it writes to the store and says on its output, which is
 * a pipe and so leaves at once, what has been acknowledged.
 */
const [mode, file = ''] = process.argv.slice(2)
const settings = (path: string) => ({ type: 'sqlite', file: path, multihost: true }) as const

if (mode === 'flood') await flood()
else if (mode === 'obey') await obey()
else testDurability()

/** Keeps the queue full until somebody makes an end of it. */
async function flood(): Promise<void> {
  const store = await openStore(settings(file), { log: silentLog, clock: systemClock() })
  const host = store.forHost('localhost')
  const acknowledge = (outcome: WriteOutcome, number: number): void => {
    if (outcome.ok) process.stdout.write(`${number}\n`)
  }
  for (let number = 0; ;) {
    for (let i = 0; i < 300; i++, number++) {
      const username = `${number}`
      host
        .write(host.table('last').insert({ username, seconds: '0', state: 'x'.repeat(200) }))
        .after(acknowledge, number)
    }
    await new Promise((resolve) => setImmediate(resolve))
    if (store.pressure.operations > 3000) await store.flush()
  }
}

/** Writes one row for each line of input, and tells what came of it. */
async function obey(): Promise<void> {
  await using store = await openStore(settings(file), { log: silentLog, clock: systemClock() })
  const host = store.forHost('localhost')
  process.stdout.write('ready\n')
  for await (const username of createInterface({ input: process.stdin })) {
    const state = 'x'.repeat(20_000)
    const insert = host.table('last').insert({ username, seconds: '0', state })
    const outcome = await host.write(insert).settled
    process.stdout.write(`${outcome.ok ? 'ok' : outcome.error.code}\n`)
  }
}

function testDurability(): void {
  let dir = ''
  let files = 0
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'linnet-durability-'))
  })
  after(() => rm(dir, { recursive: true }))

  const newFile = () => join(dir, `${++files}.sqlite`)

  /** Kills the process with the given acknowledgement just received; returns how many of those received are lost. */
  async function killAfter(acknowledgements: number, env: NodeJS.ProcessEnv): Promise<number> {
    const path = newFile()
    const child = start('flood', path, env)
    const received: string[] = []
    const ended = new Promise((resolve) => child.once('exit', resolve))
    for await (const line of createInterface({ input: child.stdout ?? process.stdin })) {
      received.push(line)
      if (received.length === acknowledgements) child.kill('SIGKILL')
    }
    await ended
    assert.ok(received.length >= acknowledgements)
    using db = new DatabaseSync(path)
    const check = db.prepare('PRAGMA integrity_check').get()
    assert.deepEqual({ ...check }, { integrity_check: 'ok' })
    const found = new Set(
      db
        .prepare('SELECT username FROM last')
        .all()
        .map(({ username }) => username),
    )
    return received.filter((number) => !found.has(number)).length
  }

  test('kill -9 loses nothing that was acknowledged', async () => {
    for (const acknowledgements of [1, 150, 2500]) {
      assert.equal(await killAfter(acknowledgements, {}), 0)
    }
  })

  test('the same test sees the loss when writes are acknowledged before the commit', async () => {
    let lost = 0
    for (let round = 0; round < 10 && lost === 0; round++) {
      lost = await killAfter(1 + round * 300, { LINNET_TEST_ACK_BEFORE_COMMIT: '1' })
    }
    assert.ok(lost > 0)
  })

  const prlimit = '/usr/bin/prlimit'
  const skip = !existsSync(prlimit) && `${prlimit} (Debian package util-linux) is not installed`
  test('a commit that the disk refuses fails, and the next may succeed', { skip }, async () => {
    const path = newFile()
    const child = start('obey', path, {})
    const output = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]()
    const ask = async (line: string): Promise<string> => {
      child.stdin?.write(`${line}\n`)
      return (await output.next()).value ?? 'nothing'
    }
    const limit = (bytes: string): void => {
      execFileSync(prlimit, ['--pid', `${child.pid}`, `--fsize=${bytes}:unlimited`])
    }
    assert.equal((await output.next()).value, 'ready')
    assert.equal(await ask('before'), 'ok')
    // Not a byte more than the log has now: the commit cannot be written.
    limit(`${(await stat(`${path}-wal`)).size}`)
    assert.equal(await ask('refused'), 'unavailable')
    limit('unlimited')
    assert.equal(await ask('after'), 'ok')
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.stdin?.end()
    await ended
    using db = new DatabaseSync(path)
    const names = db.prepare('SELECT username FROM last ORDER BY username').all()
    assert.deepEqual(
      names.map(({ username }) => username),
      ['after', 'before'],
    )
  })
}

function start(kind: string, path: string, env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [import.meta.filename, kind, path], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}
