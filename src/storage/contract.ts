import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../core/clock.ts'
import { silentLog } from '../core/log.ts'
import type {
  HostStore,
  Parameter,
  Query,
  Store,
  WriteOutcome,
  WriteTicket,
} from '../core/store.ts'
import { failed, written } from './expect.ts'
import type { StoreSettings } from './open.ts'
import { openStore } from './open.ts'
import { testSchema } from './schema/contract.ts'

/** A kind of database that has to keep the contract of `core/store.ts`. */
export interface ContractTarget {
  readonly name: string
  /** Why it cannot be tried here. */
  readonly skip?: string | false
  /** Called once before the tests, and at the end. */
  start?(): PromiseLike<void>
  stop?(): PromiseLike<void>
  /** Settings that lead to an empty database of its own. */
  fresh(): Promise<StoreSettings>
}

const tools = { log: silentLog, clock: systemClock() }

/** The whole contract, in both forms of ejabberd's schema. */
export function testStore(target: ContractTarget): void {
  describe(`store over ${target.name}`, { skip: target.skip ?? false }, () => {
    before(() => target.start?.())
    after(() => target.stop?.())
    for (const multihost of [true, false]) {
      describe(multihost ? 'with server_host' : 'without server_host', () => {
        testForm(async () => ({ ...(await target.fresh()), multihost }))
      })
    }
  })
}

/** A user name that no other test has. */
let users = 0
const newUser = (): string => `user${++users}`

function testForm(fresh: () => Promise<StoreSettings>): void {
  let store: Store
  let host: HostStore
  let settings: StoreSettings

  before(async () => {
    settings = await fresh()
    store = await openStore(settings, tools)
    host = store.forHost('capulet.example')
  })
  after(() => store.close())

  const insertLast = (username: string, seconds = '0', state = ''): Query =>
    host.table('last').insert({ username, seconds, state })
  const readLast = (username: string) =>
    host.first(
      host.table('last').select().select(['seconds', 'state']).where('username', '=', username),
    )

  test('gives every kind of value back as it was', async () => {
    const archive = {
      username: newUser(),
      timestamp: 1_795_132_800_123_456,
      peer: 'romeo@montague.example/orchard',
      bare_peer: 'romeo@montague.example',
      xml: `<message>'"\\ \n\t %_ ? $1 𝄞 ñ</message>`,
      txt: null,
      kind: 'chat',
      nick: '',
      origin_id: 'a',
    }
    const rosterItem = {
      username: newUser(),
      jid: 'nurse@capulet.example',
      nick: 'Nurse',
      subscription: 'B',
      approved: true,
      ask: 'N',
      askmessage: '',
      server: 'N',
      subscribe: '',
      type: 'item',
    }
    const published = {
      username: newUser(),
      resource: '',
      topic: 'a/b',
      qos: 2,
      payload: Uint8Array.of(0, 1, 127, 128, 255),
      payload_format: 0,
      content_type: '',
      response_topic: '',
      correlation_data: new Uint8Array(),
      user_properties: new Uint8Array(),
      expiry: 4_294_967_295,
    }
    const { rows } = await written(host.write(host.table('archive').insertReturning(archive, 'id')))
    await written(host.write(host.table('rosterusers').insert(rosterItem)))
    await written(host.write(host.table('mqtt_pub').insert(published)))

    const found = await host.first(
      host.table('archive').select().selectAll().where('username', '=', archive.username),
    )
    assert.ok(found)
    const { id, created_at, ...rest } = omitHost(found)
    assert.deepEqual(rest, archive)
    assert.deepEqual(rows, [{ id }])
    assert.match(created_at, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?$/)
    // In UTC, by the database's own clock.
    assert.ok(Math.abs(Date.parse(`${created_at.replace(' ', 'T')}Z`) - Date.now()) < 600_000)
    const item = await host.first(host.table('rosterusers').select().select('approved'))
    assert.deepEqual(item, { approved: true })
    const retained = await host.first(
      host.table('mqtt_pub').select().select(['payload', 'correlation_data', 'expiry', 'qos']),
    )
    assert.ok(retained)
    assert.deepEqual([...retained.payload], [...published.payload])
    assert.equal(retained.correlation_data.byteLength, 0)
    assert.deepEqual([retained.expiry, retained.qos], [published.expiry, published.qos])
  })

  test('acknowledges in the order of the writes, failed ones in their place', async () => {
    const name = newUser()
    const acknowledged: string[] = []
    const tickets: WriteTicket[] = []
    for (let i = 0; i < 60; i++) {
      // Every tenth is there already.
      const ticket = host.write(insertLast(i % 10 === 9 ? `${name}-0` : `${name}-${i}`))
      ticket.after(
        (outcome, context) =>
          acknowledged.push(`${context} ${outcome.ok ? 'ok' : outcome.error.code}`),
        i,
      )
      tickets.push(ticket)
    }
    assert.equal(acknowledged.length, 0)
    await tickets.at(-1)?.settled
    assert.deepEqual(
      acknowledged,
      tickets.map((_, i) => `${i} ${i % 10 === 9 ? 'constraint' : 'ok'}`),
    )
    assert.equal((await count(host, name)).count, 54)
  })

  test('does all queries of an operation or none', async () => {
    const name = newUser()
    const before = host.write(insertLast(`${name}-before`))
    const bad = host.write([
      insertLast(`${name}-a`),
      insertLast(`${name}-a`),
      insertLast(`${name}-b`),
    ])
    const good = host.write([insertLast(`${name}-c`), insertLast(`${name}-d`)])
    assert.equal((await failed(bad)).code, 'constraint')
    assert.deepEqual(await written(good), { ok: true, changes: 2, rows: [] })
    assert.equal(before.outcome?.ok, true)
    assert.equal((await count(host, name)).count, 3)
  })

  test('reads what was queued before', async () => {
    const name = newUser()
    for (let i = 0; i < 50; i++) {
      host.write(
        host.table('last').upsert({ key: { username: name }, set: { seconds: `${i}`, state: '' } }),
      )
      if (i % 10 === 0) assert.equal((await readLast(name))?.seconds, `${i}`)
    }
    assert.equal((await readLast(name))?.seconds, '49')
  })

  test('calls back at once on a ticket that has settled', async () => {
    const ticket = host.write(insertLast(newUser()))
    const outcome = await ticket.settled
    let late: WriteOutcome | undefined
    ticket.after((outcome) => {
      late = outcome
    })
    assert.equal(late, outcome)
    assert.equal(ticket.outcome, outcome)
  })

  test('copies bytes out of a buffer that is used again', async () => {
    const buffer = Buffer.alloc(64, 'x')
    const topic = newUser()
    const ticket = host.write(
      host.table('mqtt_pub').insert({
        username: '',
        resource: '',
        topic,
        qos: 0,
        payload: buffer.subarray(10, 14),
        payload_format: 0,
        content_type: '',
        response_topic: '',
        correlation_data: buffer.subarray(0, 0),
        user_properties: buffer.subarray(0, 0),
        expiry: 0,
      }),
    )
    buffer.fill('!')
    await written(ticket)
    const row = await host.first(
      host.table('mqtt_pub').select().select('payload').where('topic', '=', topic),
    )
    assert.equal(Buffer.from(row?.payload ?? []).toString(), 'xxxx')
  })

  test('refuses values that no column can hold', () => {
    assert.throws(
      () => host.write({ sql: 'SELECT ?', parameters: [new Date()] }),
      /Cannot bind a value of type Date/,
    )
  })

  test('reports SQL that makes no sense without failing others', async () => {
    const name = newUser()
    const good = host.write(insertLast(name))
    const bad = host.write({ sql: 'INSERT INTO nowhere VALUES (1)', parameters: [] })
    assert.equal((await failed(bad)).code, 'other')
    await written(good)
    await assert.rejects(host.read({ sql: 'SELECT nothing', parameters: [] }), {
      name: 'StorageError',
      code: 'other',
    })
  })

  test('upserts', async () => {
    const name = newUser()
    const upsert = (set: { seconds: string; state: string }) =>
      written(host.write(host.table('last').upsert({ key: { username: name }, set })))
    await upsert({ seconds: '1', state: 'a' })
    await upsert({ seconds: '2', state: 'b' })
    assert.deepEqual(await readLast(name), { seconds: '2', state: 'b' })
    await written(
      host.write(
        host.table('last').upsert({
          key: { username: name },
          set: { seconds: '9', state: 'c' },
          update: { seconds: '3' },
        }),
      ),
    )
    assert.deepEqual(await readLast(name), { seconds: '3', state: 'c' })
    // With nothing to set, what is there stays.
    const list = { username: name, name: 'private' }
    await written(host.write(host.table('privacy_list').upsert({ key: list, set: {} })))
    await written(host.write(host.table('privacy_list').upsert({ key: list, set: {} })))
    const lists = host.table('privacy_list').count().where('username', '=', name)
    assert.deepEqual(await host.first(lists), { count: 1 })
    assert.throws(() => host.table('spool').upsert({ key: { username: name }, set: {} }), {
      code: 'schema',
    })
  })

  test('gives back generated numbers, rising', async () => {
    const insert = () =>
      written(
        host.write(
          host.table('spool').insertReturning({ username: newUser(), xml: '<message/>' }, 'seq'),
        ),
      )
    const [first] = (await insert()).rows
    const [second] = (await insert()).rows
    assert.ok(first && second && second.seq > first.seq)
  })

  test('deletes what belongs to a deleted row', async () => {
    const { rows } = await written(
      host.write(
        host
          .table('pubsub_node')
          .insertReturning({ host: newUser(), node: 'n', plugin: 'flat' }, 'nodeid'),
      ),
    )
    const nodeid = rows[0]?.nodeid ?? 0
    await written(host.write(host.table('pubsub_node_owner').insert({ nodeid, owner: 'a' })))
    await written(host.write(host.table('pubsub_node').delete().where('nodeid', '=', nodeid)))
    const left = host.table('pubsub_node_owner').count().where('nodeid', '=', nodeid)
    assert.deepEqual(await host.first(left), { count: 0 })
  })

  test('prepares a statement once and fills in values', async () => {
    const name = newUser()
    const insert = host.prepare((value: Parameter<{ username: string; seconds: string }>) =>
      host
        .table('last')
        .insert({ username: value('username'), seconds: value('seconds'), state: 'fixed' }),
    )
    const first = insert({ username: name, seconds: '1' })
    const second = insert({ username: `${name}-2`, seconds: '2' })
    assert.equal(first.sql, second.sql)
    await written(host.write([first, second]))
    assert.deepEqual(await readLast(`${name}-2`), { seconds: '2', state: 'fixed' })
  })

  test('binds a LIMIT and lists', async () => {
    const name = newUser()
    await written(host.write([insertLast(`${name}-1`), insertLast(`${name}-2`)]))
    const query = host
      .table('last')
      .select()
      .select('username')
      .where('username', 'in', [`${name}-1`, `${name}-2`, `${name}-3`])
      .orderBy('username')
      .limit(1)
      .offset(1)
    assert.deepEqual(await host.read(query), [{ username: `${name}-2` }])
  })

  describe('transaction', () => {
    test('runs alone: concurrent counting loses nothing', async () => {
      const name = newUser()
      await written(host.write(insertLast(name, '0')))
      const mine = host.table('last')
      const increment = () =>
        host.transaction(async (tx) => {
          const row = await tx.first(mine.select().select('seconds').where('username', '=', name))
          const seconds = `${Number(row?.seconds) + 1}`
          await tx.write(mine.update({ seconds }).where('username', '=', name))
        })
      await Promise.all(Array.from({ length: 15 }, increment))
      assert.equal((await readLast(name))?.seconds, '15')
    })

    test('keeps its place among writes', async () => {
      const name = newUser()
      host.write(insertLast(name, '1'))
      const seen = host.transaction((tx) =>
        tx.first(host.table('last').select().select('seconds').where('username', '=', name)),
      )
      host.write(host.table('last').update({ seconds: '2' }).where('username', '=', name))
      assert.equal((await seen)?.seconds, '1')
      assert.equal((await readLast(name))?.seconds, '2')
    })

    test('undoes everything when it throws', async () => {
      const name = newUser()
      const reason = new Error('changed my mind')
      const attempt = host.transaction(async (tx) => {
        await tx.write(insertLast(name))
        throw reason
      })
      await assert.rejects(attempt, reason)
      assert.equal(await readLast(name), undefined)
    })

    test('goes on after a statement that failed', async () => {
      const name = newUser()
      await host.transaction(async (tx) => {
        await tx.write(insertLast(name, '1'))
        await assert.rejects(tx.write(insertLast(name, '2')), { code: 'constraint' })
        const { changes } = await tx.write(
          host.table('last').update({ state: 'x' }).where('username', '=', name),
        )
        assert.equal(changes, 1)
      })
      assert.deepEqual(await readLast(name), { seconds: '1', state: 'x' })
    })

    test('is ended by its deadline, so that others can write', async () => {
      const name = newUser()
      let late: Promise<unknown> | undefined
      const { promise: never, resolve: release } = Promise.withResolvers<void>()
      const hung = host.transaction(
        async (tx) => {
          await tx.write(insertLast(name))
          await never
          late = tx.write(insertLast(`${name}-late`))
          await late
        },
        { timeoutMs: 50 },
      )
      const next = host.write(insertLast(`${name}-next`))
      await assert.rejects(hung, { name: 'StorageError', code: 'timeout' })
      await written(next)
      assert.equal(await readLast(name), undefined)
      release()
      await never
      await assert.rejects(async () => late, { code: 'timeout' })
      assert.equal(await readLast(`${name}-late`), undefined)
    })
  })

  test('keeps hosts apart', async () => {
    const other = store.forHost('montague.example')
    assert.equal(store.forHost('montague.example'), other)
    const name = newUser()
    await written(host.write(insertLast(name, '1')))
    const theirs = other.table('last')
    if (!settings.multihost) {
      // One database without server_host is one set of accounts, as in ejabberd.
      assert.equal(
        (await other.first(theirs.select().select('seconds')))?.seconds !== undefined,
        true,
      )
      return
    }
    await written(other.write(theirs.insert({ username: name, seconds: '2', state: '' })))
    await written(
      other.write(theirs.upsert({ key: { username: name }, set: { seconds: '3', state: '' } })),
    )
    await written(other.write(theirs.update({ state: 'theirs' })))
    assert.deepEqual(await readLast(name), { seconds: '1', state: '' })
    assert.deepEqual(await other.first(theirs.count()), { count: 1 })
    const joined = other.scope(
      store.forHost('montague.example').db.selectFrom('last as l').select('l.seconds'),
      'last',
      'l',
    )
    assert.deepEqual(await other.read(joined), [{ seconds: '3' }])
    await written(other.write(theirs.delete()))
    assert.deepEqual(await readLast(name), { seconds: '1', state: '' })
  })

  test('commits thousands in few batches', async () => {
    const name = newUser()
    const { commits } = store.counters
    const tickets = Array.from({ length: 3000 }, (_, i) => host.write(insertLast(`${name}-${i}`)))
    await store.flush()
    assert.ok(tickets.every((ticket) => ticket.outcome?.ok === true))
    assert.ok(store.counters.commits - commits < 20)
    assert.equal((await count(host, name)).count, 3000)
  })

  test('refuses at once what is over its limit, and says when it falls behind', async () => {
    await using small = await openStore({ ...settings, maxQueuedOperations: 20 }, tools)
    const here = small.forHost('capulet.example')
    const pressures: boolean[] = []
    small.onPressure((high) => pressures.push(high))
    const name = newUser()
    const tickets = Array.from({ length: 30 }, (_, i) =>
      here.write(here.table('last').insert({ username: `${name}-${i}`, seconds: '', state: '' })),
    )
    const refused = tickets.filter(({ outcome }) => outcome !== undefined)
    assert.equal(refused.length, 10)
    assert.ok(
      refused.every(({ outcome }) => outcome?.ok === false && outcome.error.code === 'overloaded'),
    )
    assert.deepEqual(pressures, [true])
    assert.equal(small.pressure.high, true)
    await assert.rejects(
      here.transaction(async () => 1),
      { code: 'overloaded' },
    )
    await small.flush()
    assert.deepEqual(pressures, [true, false])
    assert.deepEqual(small.pressure, { operations: 0, bytes: 0, high: false })
    assert.equal(small.counters.refused, 11)
    assert.equal((await count(host, name)).count, 20)
    await using tiny = await openStore({ ...settings, maxQueuedBytes: 1000 }, tools)
    const big = tiny.forHost('capulet.example')
    const ticket = big.write(
      big.table('last').insert({ username: newUser(), seconds: '', state: 'x'.repeat(1000) }),
    )
    assert.equal((await failed(ticket)).code, 'overloaded')
  })

  test('commits what is queued before it closes, and nothing after', async () => {
    const name = newUser()
    const closing = await openStore(settings, tools)
    const here = closing.forHost('capulet.example')
    const tickets = Array.from({ length: 100 }, (_, i) =>
      here.write(here.table('last').insert({ username: `${name}-${i}`, seconds: '', state: '' })),
    )
    const closed = closing.close()
    assert.equal((await failed(here.write(here.table('last').delete()))).code, 'closed')
    await closed
    assert.ok(tickets.every(({ outcome }) => outcome?.ok === true))
    assert.equal((await count(host, name)).count, 100)
  })

  testSchema(fresh)
}

function omitHost<T extends object>(row: T): T {
  const { server_host: _, ...rest }: T & { server_host?: unknown } = row
  return rest as T // what the type knows nothing of is gone
}

async function count(host: HostStore, prefix: string): Promise<{ count: number }> {
  const query = host.table('last').count().where('username', 'like', `${prefix}-%`)
  return (await host.first(query)) ?? { count: 0 }
}
