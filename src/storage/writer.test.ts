import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Logs, silentLog } from '../core/log.ts'
import { StorageError } from '../core/store.ts'
import type { Driver, DriverTransaction, Operation, StatementResult } from './driver.ts'
import { Writer } from './writer.ts'

/** A driver whose commits end when the test says so. */
class ManualDriver implements Driver {
  readonly dialect = 'sqlite'
  readonly commits: { names: string[]; end: () => void; fail: (error: Error) => void }[] = []
  readonly log: string[] = []
  #arrived: (() => void) | undefined

  commit(operations: readonly Operation[]): Promise<readonly StatementResult[]> {
    const names = operations.map(({ statements }) => statements[0]?.sql ?? '')
    this.log.push(`commit ${names.join(' ')}`)
    return new Promise((resolve, reject) => {
      const end = () => resolve(operations.map(() => ({ changes: 1, rows: [] })))
      this.commits.push({ names, end, fail: reject })
      this.#arrived?.()
    })
  }

  /** Waits for the n-th commit to begin. */
  async nth(n: number) {
    while (this.commits[n] === undefined) {
      await new Promise<void>((resolve) => {
        this.#arrived = resolve
      })
    }
    return this.commits[n]
  }

  begin(): Promise<DriverTransaction> {
    this.log.push('begin')
    const end = (how: string) => async () => void this.log.push(how)
    const run = async ({ sql }: { sql: string }) => {
      this.log.push(`run ${sql}`)
      return { changes: 1, rows: [] }
    }
    return Promise.resolve({ run, commit: end('end'), rollback: end('rollback') })
  }

  read = () => Promise.resolve([])
  exclusively = <T>(fn: () => Promise<T>) => fn()
  forgetStatements(): void {}
  backup = () => Promise.resolve()
  close = () => Promise.resolve()
}

const limits = { maxOperations: 10_000, maxBytes: 1_000_000 }

function setup(options: { log?: typeof silentLog; ackBeforeCommit?: boolean } = {}) {
  const driver = new ManualDriver()
  const { log = silentLog, ackBeforeCommit = false } = options
  const writer = new Writer(driver, limits, log, ackBeforeCommit)
  const write = (name: string) => writer.write([{ sql: name, values: [] }])
  return { driver, writer, write }
}

describe('writer', () => {
  test('commits at once when idle, and together what came meanwhile', async () => {
    const { driver, write } = setup()
    write('a')
    write('b')
    const first = await driver.nth(0)
    // Both of the same turn; more must wait for the end of these.
    assert.deepEqual(first.names, ['a', 'b'])
    write('c')
    const last = write('d')
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(driver.commits.length, 1)
    first.end()
    const second = await driver.nth(1)
    assert.deepEqual(second.names, ['c', 'd'])
    second.end()
    assert.deepEqual(await last.settled, { ok: true, changes: 1, rows: [] })
  })

  test('calls back in order, when the commit has ended and not before', async () => {
    const { driver, write } = setup()
    const called: string[] = []
    const first = write('a')
    const second = write('b')
    second.after(() => called.push('b'))
    first.after(() => called.push('a'))
    first.after((_, context) => called.push(context), 'a again')
    const commit = await driver.nth(0)
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(called, [])
    commit.end()
    await second.settled
    assert.deepEqual(called, ['a', 'a again', 'b'])
  })

  test('fails all of a batch whose commit failed, and goes on', async () => {
    const { driver, writer, write } = setup()
    const lost = [write('a'), write('b')]
    ;(await driver.nth(0)).fail(new StorageError('full', 'no space'))
    for (const ticket of lost) {
      const outcome = await ticket.settled
      assert.equal(!outcome.ok && outcome.error.code, 'full')
    }
    const next = write('c')
    ;(await driver.nth(1)).end()
    assert.equal((await next.settled).ok, true)
    assert.deepEqual(writer.counters, { commits: 2, operations: 1, failed: 2, refused: 0 })
  })

  test('makes a typed error of any other', async () => {
    const { driver, write } = setup()
    const ticket = write('a')
    ;(await driver.nth(0)).fail(new TypeError('a bug'))
    const outcome = await ticket.settled
    assert.ok(!outcome.ok)
    assert.ok(outcome.error instanceof StorageError)
    assert.equal(outcome.error.code, 'other')
  })

  test('keeps transactions and writes in their order, each transaction alone', async () => {
    const { driver, writer, write } = setup()
    write('a')
    const transaction = writer.transaction(async (run) => {
      await run({ sql: 'inside', values: [] })
      return 'done'
    }, 1000)
    const last = write('b')
    ;(await driver.nth(0)).end()
    assert.equal(await transaction, 'done')
    ;(await driver.nth(1)).end()
    await last.settled
    assert.deepEqual(driver.log, ['commit a', 'begin', 'run inside', 'end', 'commit b'])
  })

  test('logs a callback that throws, and calls the others', async () => {
    const lines: string[] = []
    const destination = { write: (line: string) => void lines.push(line) }
    const log = new Logs({ level: 'info', destination }).for('storage')
    const { driver, write } = setup({ log })
    const bad = write('a')
    bad.after(() => {
      throw new Error('careless')
    })
    const good = write('b')
    ;(await driver.nth(0)).end()
    assert.equal((await good.settled).ok, true)
    assert.match(lines.join(''), /careless/)
  })

  test('does without a commit when there is nothing to do', () => {
    const { writer } = setup()
    assert.deepEqual(writer.write([]).outcome, { ok: true, changes: 0, rows: [] })
  })

  test('acknowledges before the commit only when told to, for the crash test', async () => {
    const { driver, write } = setup({ ackBeforeCommit: true })
    const ticket = write('a')
    const commit = await driver.nth(0)
    assert.equal(ticket.outcome?.ok, true)
    commit.end()
  })
})
