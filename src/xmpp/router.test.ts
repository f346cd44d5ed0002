import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '../core/clock.ts'
import { Hooks } from '../core/hooks.ts'
import { silentLog } from '../core/log.ts'
import { Metrics } from '../core/metrics.ts'
import {
  messageUndeliverable,
  probeReceived,
  stanzaBlocked,
  stanzaRouted,
  subscriptionReceived,
} from './hooks.ts'
import type { Outcome } from './hooks.ts'
import { HandlerTable } from './handlers.ts'
import { isDomain, isFull, jid } from './jid/jid.ts'
import type { FullJid, HostName } from './jid/jid.ts'
import { Router } from './router.ts'
import { Session } from './session.ts'
import { Sessions } from './sessions.ts'
import { errorReply, readError, result } from './stanza/stanza-error.ts'
import { createIq, createMessage, createPresence } from './stanza/stanza.ts'
import type { MessageType, PresenceType, Stanza } from './stanza/stanza.ts'
import { xml } from './xml/element.ts'

const juliet = jid('juliet@localhost')
const romeo = jid('romeo@example.org/garden')

/** A router for `localhost` with the account `juliet`, which notes what leaves it. */
class World {
  readonly clock = new TestClock()
  readonly hooks = new Hooks(silentLog)
  readonly sessions = new Sessions()
  /** `r1 message`: what each session got. */
  readonly delivered: string[] = []
  readonly outcomes: Outcome[] = []
  /** What went to other servers. */
  readonly remote: Stanza[] = []
  readonly router: Router

  constructor() {
    this.router = new Router({
      clock: this.clock,
      log: silentLog,
      metrics: new Metrics(),
      sessions: this.sessions,
      accounts: { exists: (account) => Promise.resolve(account === juliet) },
    })
    this.router.addHost(host('localhost'), this.hooks)
    this.router.setRemote((stanza) => void this.remote.push(stanza))
    this.hooks.on(stanzaRouted, (_, outcome) => void this.outcomes.push(outcome), 'test')
  }

  /** Without priority the session is connected, but not available. */
  addSession(resource: string, priority?: number): Session {
    const address: FullJid = full(`${juliet}/${resource}`)
    const note = (kind: string): void => void this.delivered.push(`${resource} ${kind}`)
    const stream = {
      connection: 'c2s',
      ip: '192.0.2.1',
      port: 1,
      sendStanza: () => note('stanza'),
      sendElement: () => note('element'),
      drained: () => undefined,
      close: () => note('closed'),
      abandon: () => note('abandoned'),
    }
    const life = { end: (session: Session) => void this.sessions.remove(session) }
    const session = new Session({ jid: address, connectedAt: 0, hooks: this.hooks, life }, stream)
    this.sessions.add(session)
    if (priority !== undefined) {
      const element = xml('priority', 'jabber:client', {}, String(priority))
      session.setAvailable(createPresence('available', { from: address, to: juliet }, element))
    }
    return session
  }

  /** Routes, and waits until all is settled: there is nothing here that takes more than a few turns. */
  async route(stanza: Stanza): Promise<void> {
    await this.router.dispatch(stanza)
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  }
}

function host(name: string): HostName {
  const parsed = jid(name)
  return isDomain(parsed) ? parsed : assert.fail(`${name} is no domain`)
}

function full(name: string): FullJid {
  const parsed = jid(name)
  return isFull(parsed) ? parsed : assert.fail(`${name} is no full JID`)
}

/** Priorities of the sessions `r0`, `r1`, …; undefined: there is no such account. */
const situations = {
  'no account': undefined,
  'no session': [],
  'negative only': [-1, -128],
  'one non-negative': [0],
  'several non-negative': [5, 1, 5, -1],
} as const

/*
 * RFC 6121 §8.5.4, Table 1, in its own letters and with our choice where it leaves one: stored offline (O), bounced (E),
 * ignored (S), delivered to the resource named or the only one (D), to those of the highest priority (M), to all whose
 * priority is not negative (A).
 */
const table: readonly [keyof typeof situations, 'bare' | 'match' | 'no match', string][] = [
  // normal, chat, groupchat, headline, error
  ['no account', 'bare', 'EEESS'],
  ['no account', 'no match', 'EEESS'],
  ['no session', 'bare', 'OOESS'],
  ['no session', 'no match', 'EOESS'],
  ['negative only', 'bare', 'OOESS'],
  ['negative only', 'match', 'DDDDD'],
  ['negative only', 'no match', 'EOESS'],
  ['one non-negative', 'bare', 'DDEDS'],
  ['one non-negative', 'match', 'DDDDD'],
  ['one non-negative', 'no match', 'EDESS'],
  ['several non-negative', 'bare', 'MMEAS'],
  ['several non-negative', 'match', 'DDDDD'],
  ['several non-negative', 'no match', 'EMESS'],
]
const types: readonly MessageType[] = ['normal', 'chat', 'groupchat', 'headline', 'error']

for (const [situation, address, letters] of table) {
  for (const [index, type] of types.entries()) {
    const letter = letters[index]
    test(`${type} message to ${address}, ${situation}: ${letter} (RFC 6121 §8.5.4)`, async () => {
      const world = new World()
      const priorities = situations[situation]
      for (const [i, priority] of (priorities ?? []).entries()) world.addSession(`r${i}`, priority)
      let asked = 0
      world.hooks.on(
        messageUndeliverable,
        (_, account) => {
          assert.equal(account, juliet)
          asked++
          return Promise.resolve('stored' as const)
        },
        'test',
      )
      const account = priorities === undefined ? 'nobody@localhost' : juliet
      const to = jid({ bare: account, match: `${account}/r0`, 'no match': `${account}/x` }[address])
      await world.route(createMessage(type, { from: romeo, to, id: '1' }))

      const expected: Record<string, [string[], Outcome]> = {
        O: [[], 'stored'],
        E: [[], 'bounced'],
        S: [[], 'dropped'],
        D: [['r0 stanza'], 'delivered'],
        M: [['r0 stanza', 'r2 stanza'], 'delivered'],
        A: [['r0 stanza', 'r1 stanza', 'r2 stanza'], 'delivered'],
      }
      const [delivered, outcome] = expected[letter ?? ''] ?? assert.fail()
      assert.deepEqual(world.delivered, delivered)
      assert.equal(world.outcomes[0], outcome)
      assert.equal(asked, letter === 'O' ? 1 : 0)
      assert.equal(world.remote.length, letter === 'E' ? 1 : 0)
      const [bounced] = world.remote
      if (bounced !== undefined) {
        assert.equal(readError(bounced).condition, 'service-unavailable')
        assert.equal(bounced.to, romeo)
        assert.equal(bounced.from, to)
      }
    })
  }
}

/** What happens to presence: all available sessions (A), the one named (D), the roster's business (R), ignored (S). */
const presenceTable: readonly [PresenceType, string][] = [
  // bare, match, no match
  ['available', 'ADS'],
  ['unavailable', 'ADS'],
  ['error', 'SDS'],
  ['subscribe', 'RRR'],
  ['subscribed', 'RRS'],
  ['unsubscribe', 'RRS'],
  ['unsubscribed', 'RRS'],
  ['probe', 'RRR'],
]

for (const [type, letters] of presenceTable) {
  for (const [index, suffix] of ['', '/r0', '/x'].entries()) {
    const letter = letters[index]
    test(`${type} presence to ${juliet}${suffix}: ${letter} (RFC 6121 §8.5.2, §8.5.3)`, async () => {
      const world = new World()
      world.addSession('r0', -5)
      world.addSession('r1', 3)
      world.addSession('r2')
      const asked: Stanza[] = []
      for (const hook of [subscriptionReceived, probeReceived]) {
        world.hooks.on(
          hook,
          (presence) => {
            asked.push(presence)
            return 'handled'
          },
          'test',
        )
      }
      const to = jid(`${juliet}${suffix}`)
      await world.route(createPresence(type, { from: romeo, to }))
      const expected: Record<string, string[]> = {
        A: ['r0 stanza', 'r1 stanza'],
        D: ['r0 stanza'],
      }
      assert.deepEqual(world.delivered, expected[letter ?? ''] ?? [])
      assert.deepEqual(
        asked.map((presence) => presence.to),
        letter === 'R' ? [juliet] : [],
      )
      assert.deepEqual(world.remote, [])
    })
  }
}

test('ignores presence of every type for an account that does not exist (RFC 6121 §8.5.1)', async () => {
  const world = new World()
  const fail = (): never => assert.fail('Nobody is to be asked')
  world.hooks.on(subscriptionReceived, fail, 'test')
  world.hooks.on(probeReceived, fail, 'test')
  for (const [type] of presenceTable) {
    await world.route(createPresence(type, { from: romeo, to: jid('nobody@localhost') }))
  }
  assert.deepEqual(world.remote, [])
  assert.ok(world.outcomes.every((outcome) => outcome === 'dropped'))
})

test('without a roster all available sessions get subscription requests, and probes get nothing', async () => {
  const world = new World()
  world.addSession('r0', 0)
  world.addSession('r1')
  await world.route(createPresence('subscribe', { from: romeo, to: juliet }))
  await world.route(createPresence('probe', { from: romeo, to: juliet }))
  assert.deepEqual(world.delivered, ['r0 stanza'])
  assert.deepEqual(world.outcomes, ['delivered', 'dropped'])
})

const query = xml('query', 'urn:example:q')

test('answers a request to an account by its handlers, or with service-unavailable (RFC 6121 §8.5.2)', async () => {
  const world = new World()
  world.addSession('r0', 0)
  const request = createIq('get', { from: romeo, to: juliet }, query)
  await world.route(request)
  assert.equal(readError(world.remote[0] ?? assert.fail()).condition, 'service-unavailable')
  const { account } = world.router.host(host('localhost'))?.tables ?? assert.fail()
  account.addIqHandler('get', 'urn:example:q', 'query', (iq) =>
    result(iq, xml('a', 'urn:example:q')),
  )
  await world.route(request)
  assert.equal(world.remote[1]?.type, 'result')
  assert.equal(world.remote[1]?.from, juliet)
  assert.deepEqual(world.delivered, [])
})

test('tells nobody whether an account exists by how requests to it fail (RFC 6121 §8.5.1)', async () => {
  const world = new World()
  for (const to of [
    juliet,
    jid('nobody@localhost'),
    jid(`${juliet}/x`),
    jid('nobody@localhost/x'),
  ]) {
    await world.route(createIq('get', { from: romeo, to }, query))
  }
  assert.deepEqual(
    world.remote.map((stanza) => readError(stanza).condition),
    Array.from({ length: 4 }, () => 'service-unavailable'),
  )
})

test('does not ask the handlers of accounts for one that does not exist', async () => {
  const world = new World()
  const { account } = world.router.host(host('localhost'))?.tables ?? assert.fail()
  account.addIqHandler('get', 'urn:example:q', 'query', () => assert.fail('Asked'))
  await world.route(createIq('get', { from: romeo, to: jid('nobody@localhost') }, query))
  assert.equal(readError(world.remote[0] ?? assert.fail()).condition, 'service-unavailable')
})

test('delivers requests and answers to the resource that they name (RFC 6121 §8.5.3)', async () => {
  const world = new World()
  world.addSession('r0')
  const to = jid(`${juliet}/r0`)
  await world.route(createIq('get', { from: romeo, to }, query))
  await world.route(createIq('result', { from: romeo, to, id: '1' }))
  await world.route(createIq('error', { from: romeo, to, id: '1' }))
  assert.equal(world.delivered.length, 3)
  for (const type of ['result', 'error'] as const) {
    await world.route(createIq(type, { from: romeo, to: jid(`${juliet}/x`), id: '1' }))
  }
  // RFC 6120 §8.2.3: nothing answers an answer.
  assert.deepEqual(world.remote, [])
})

test('never answers an error with an error, wherever it is lost (RFC 6120 §8.3.1)', async () => {
  const world = new World()
  const places = [juliet, `${juliet}/x`, 'nobody@localhost', 'localhost', 'localhost/x']
  for (const place of places) {
    const addresses = { from: romeo, to: jid(place), id: '1' }
    await world.route(createMessage('error', addresses))
    await world.route(createPresence('error', addresses))
    await world.route(createIq('error', addresses))
    await world.route(createIq('result', addresses))
  }
  assert.deepEqual(world.remote, [])
})

test('bounces what is for another server while none can be reached', async () => {
  const world = new World()
  world.addSession('r0', 0)
  const from = jid(`${juliet}/r0`)
  const unset = world.router.setRemote(() => assert.fail('Nobody is there'))
  unset()
  await world.route(createMessage('chat', { from, to: romeo }))
  assert.deepEqual(world.delivered, ['r0 stanza'])
})

test('a request has exactly one payload (RFC 6120 §8.2.3)', async () => {
  const world = new World()
  const to = jid('localhost')
  const { host: table } = world.router.host(host('localhost'))?.tables ?? assert.fail()
  table.addIqHandler('get', 'urn:example:q', 'query', (iq) => result(iq))
  const iq = createIq('get', { from: romeo, to }, query)
  await world.route({ ...iq, element: iq.element.append(query) })
  await world.route(createIq('get', { from: romeo, to }))
  assert.deepEqual(
    world.remote.map((stanza) => readError(stanza).condition),
    ['bad-request', 'bad-request'],
  )
})

test('asks the handlers of a request in turn, also those that answer later', async () => {
  const world = new World()
  const { host: table } = world.router.host(host('localhost'))?.tables ?? assert.fail()
  const asked: string[] = []
  table.addIqHandler('get', 'urn:example:q', 'query', (iq) => {
    asked.push('last')
    return result(iq)
  })
  table.addIqHandler('get', 'urn:example:q', 'query', async () => {
    asked.push('second')
    await Promise.resolve()
    return undefined
  })
  const remove = table.addIqHandler('get', 'urn:example:q', 'query', () => {
    asked.push('first')
    return undefined
  })
  const iq = createIq('get', { from: romeo, to: jid('localhost') }, query)
  await world.route(iq)
  assert.deepEqual(asked, ['first', 'second', 'last'])
  remove()
  await world.route(iq)
  assert.deepEqual(asked.slice(3), ['second', 'last'])
  assert.equal(world.remote.length, 2)
})

test('answers for a handler that fails, at once or later', async () => {
  const world = new World()
  const { host: table } = world.router.host(host('localhost'))?.tables ?? assert.fail()
  table.addIqHandler('get', 'urn:example:q', 'query', () => {
    throw new Error('at once')
  })
  table.addIqHandler('set', 'urn:example:q', 'query', () => Promise.reject(new Error('later')))
  for (const type of ['get', 'set'] as const) {
    await world.route(createIq(type, { from: romeo, to: jid('localhost') }, query))
  }
  assert.deepEqual(
    world.remote.map((stanza) => readError(stanza).condition),
    ['internal-server-error', 'internal-server-error'],
  )
})

test('keeps the order of what goes to an account while something is looked up for it', async () => {
  const world = new World()
  const { promise, resolve } = Promise.withResolvers<'stored'>()
  const stored: (string | undefined)[] = []
  world.hooks.on(
    messageUndeliverable,
    (message) => {
      stored.push(message.id)
      return message.id === '1' ? promise : 'stored'
    },
    'test',
  )
  await world.route(createMessage('chat', { from: romeo, to: juliet, id: '1' }))
  // Comes while the first is being stored: it must not overtake it.
  world.addSession('r0', 0)
  await world.route(createMessage('chat', { from: romeo, to: juliet, id: '2' }))
  assert.deepEqual(world.delivered, [])
  resolve('stored')
  await world.route(createMessage('chat', { from: romeo, to: juliet, id: '3' }))
  assert.deepEqual(world.delivered, ['r0 stanza', 'r0 stanza'])
  assert.deepEqual(stored, ['1'])
})

test('refuses what waits for one account beyond measure', async () => {
  const world = new World()
  world.hooks.on(messageUndeliverable, () => new Promise<'stored'>(() => undefined), 'test')
  const message = createMessage('chat', { from: romeo, to: juliet })
  world.router.route(message)
  let held = 0
  for (let i = 0; i < 1000; i++) if (world.router.dispatch(message) !== undefined) held++
  assert.equal(held, 901) // from the hundredth on the source has to wait
  assert.deepEqual(world.remote, [])
  world.router.route(message)
  assert.equal(readError(world.remote[0] ?? assert.fail()).condition, 'resource-constraint')
})

test('stops what an account blocks, and answers as if nobody were there (XEP-0191 §3.2)', async () => {
  const world = new World()
  world.addSession('r0', 0)
  world.hooks.on(
    stanzaBlocked,
    (stanza, account, direction) => {
      assert.equal(account, juliet)
      assert.equal(direction, 'in')
      if (stanza.from !== romeo) return undefined
      return stanza.kind === 'iq' ? Promise.resolve('block' as const) : 'block'
    },
    'test',
  )
  const to = jid(`${juliet}/r0`)
  await world.route(createMessage('chat', { from: romeo, to: juliet }))
  await world.route(createIq('get', { from: romeo, to }, query))
  await world.route(createPresence('available', { from: romeo, to: juliet }))
  assert.deepEqual(world.delivered, [])
  assert.deepEqual(
    world.remote.map((stanza) => readError(stanza).condition),
    ['service-unavailable', 'service-unavailable'],
  )
  await world.route(createMessage('chat', { from: jid('nurse@example.org'), to: juliet }))
  assert.deepEqual(world.delivered, ['r0 stanza'])
})

test('waits for the answer to a request of its own, from the one that was asked', async () => {
  const world = new World()
  const iq = createIq('get', { from: jid('localhost'), to: romeo }, query)
  const answer = world.router.request(iq, 1000)
  assert.equal(world.remote[0], iq)
  await world.route(createIq('result', { from: jid('nurse@example.org'), to: iq.from, id: iq.id }))
  await world.route(result(iq))
  assert.equal((await answer)?.type, 'result')
  const silent = world.router.request(createIq('get', { from: jid('localhost'), to: romeo }), 1000)
  world.clock.advance(1000)
  assert.equal(await silent, undefined)
})

test('hands a service its requests and everything else, and answers when it fails', async () => {
  const world = new World()
  const seen: string[] = []
  const table = new HandlerTable()
  const domain = host('conference.localhost')
  const remove = world.router.addService({
    domain,
    parent: host('localhost'),
    table,
    isListed: true,
    name: undefined,
    handler: (stanza) => {
      seen.push(`${stanza.kind} ${stanza.to}`)
      if (stanza.kind === 'message') throw new Error('broken')
    },
  })
  table.addIqHandler('get', 'urn:example:q', 'query', (iq) => result(iq))
  await world.route(createIq('get', { from: romeo, to: domain }, query))
  await world.route(createIq('get', { from: romeo, to: jid('room@conference.localhost') }, query))
  await world.route(createIq('get', { from: romeo, to: domain }, xml('other', 'urn:example:q')))
  await world.route(
    createMessage('groupchat', { from: romeo, to: jid('room@conference.localhost') }),
  )
  assert.deepEqual(seen, [
    'iq room@conference.localhost',
    'iq conference.localhost',
    'message room@conference.localhost',
  ])
  assert.equal(world.remote[0]?.type, 'result')
  assert.equal(readError(world.remote[1] ?? assert.fail()).condition, 'internal-server-error')
  assert.deepEqual(
    world.router.servicesOf(host('localhost')).map((service) => service.domain),
    [domain],
  )
  assert.throws(() => world.router.addSink(domain, () => undefined), /served twice/)
  remove()
  await world.route(createMessage('chat', { from: romeo, to: domain }))
  assert.equal(world.remote[2]?.kind, 'message')
})

test('a broadcast reaches every recipient under their own address, but not whom the account blocks', async () => {
  const world = new World()
  world.hooks.on(
    stanzaBlocked,
    (stanza, _, direction) =>
      direction === 'out' && stanza.to === jid('tybalt@example.org') ? 'block' : undefined,
    'test',
  )
  const presence = createPresence('available', { from: jid(`${juliet}/r0`), to: juliet })
  const contacts = ['romeo@example.org', 'tybalt@example.org', 'nurse@example.org'].map(jid)
  world.router.broadcast(presence, contacts)
  assert.deepEqual(
    world.remote.map((stanza) => [stanza.to, stanza.element.attr('to')]),
    [
      ['romeo@example.org', 'romeo@example.org'],
      ['nurse@example.org', 'nurse@example.org'],
    ],
  )
})

test('an error carries what it answers, and the same addresses the other way round (RFC 6120 §8.3.1)', () => {
  const body = xml('body', 'jabber:client', {}, 'hi')
  const message = createMessage('chat', { from: romeo, to: juliet, id: '7' }, body)
  const error = errorReply(message, 'not-acceptable', { text: 'No', type: 'cancel' })
  assert.deepEqual(
    { ...error.element.attrs },
    {
      id: '7',
      from: juliet,
      to: romeo,
      type: 'error',
    },
  )
  assert.equal(error.element.childText('body'), 'hi')
  assert.deepEqual(readError(error), { condition: 'not-acceptable', type: 'cancel', text: 'No' })
  assert.equal(errorReply(error, 'gone').element.childrenNamed('error').length, 1)
})
