import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ModuleServer } from '../../../test/support/module-server.ts'
import type { ModuleOptions } from '../../../test/support/module-server.ts'
import type { XmppClient } from '../../../test/support/xmpp-client.ts'
import {
  messageUndeliverable,
  presenceChanged,
  stanzaReceived,
  stanzaRouted,
} from '../../xmpp/hooks.ts'
import { jid } from '../../xmpp/jid/jid.ts'
import { createMessage } from '../../xmpp/stanza/stanza.ts'
import type { Message } from '../../xmpp/stanza/stanza.ts'
import { xml } from '../../xmpp/xml/element.ts'
import { offline } from './offline.ts'

const start = (
  options: ModuleOptions[string] = {},
  config: Readonly<Record<string, unknown>> = {},
): Promise<ModuleServer> => ModuleServer.start([offline], { mod_offline: options }, { config })

/** What is kept, after all that was begun before. */
async function spool(server: ModuleServer): Promise<readonly string[]> {
  await count(server)
  const store = server.store()
  const rows = await store.read(store.table('spool').select().select('xml').orderBy('seq'))
  return rows.map(({ xml }) => xml)
}

const count = (server: ModuleServer): Promise<unknown> =>
  server.run('get_offline_count', 'juliet', 'localhost')

const text = (body: string, attrs = ''): string =>
  `<message to='juliet@localhost' type='chat'${attrs}><body>${body}</body></message>`

const delayed = (body: string, stamp = '2026-01-01T00:00:00Z'): string =>
  `<message type='chat' to='juliet@localhost' from='{any}'><body>${body}</body>` +
  `<delay xmlns='urn:xmpp:delay' from='localhost' stamp='${stamp}'>Offline Storage</delay></message>`

const unavailable = (id: string): string =>
  `<message type='error' id='${id}'>{any}<error type='cancel' code='503'>` +
  `<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`

/** Sends messages, and waits until each has ended in one way or another. */
async function sends(
  server: ModuleServer,
  client: XmppClient,
  ...messages: readonly string[]
): Promise<void> {
  let left = messages.length
  const { promise, resolve } = Promise.withResolvers<void>()
  const undo = server.xmpp.hooks().on(
    stanzaRouted,
    ({ kind, type }) => {
      if (kind === 'message' && type !== 'error' && --left === 0) resolve()
    },
    'test',
  )
  for (const message of messages) client.send(message)
  await promise
  undo()
}

describe('messages for who is not there (XEP-0160)', () => {
  // shows: module mod_offline
  test('are kept, and handed out in order with the first presence', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    const fourth = `<message to='juliet@localhost' id='n'><subject>four</subject></message>`
    await sends(server, romeo, text('one'), text('two'), text('three'), fourth)
    assert.equal(await count(server), 4)
    const [first] = await spool(server)
    assert.equal(
      first,
      `<message xmlns='jabber:client' type='chat' from='${romeo.jid}' to='juliet@localhost'><body>one</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='2026-01-01T00:00:00Z'>Offline Storage</delay></message>`,
    )
    await using juliet = await server.login('juliet', { isAvailable: true })
    for (const body of ['one', 'two', 'three']) await juliet.receives(delayed(body))
    await juliet.receives(
      `<message to='juliet@localhost' from='${romeo.jid}' id='n'><subject>four</subject><delay xmlns='urn:xmpp:delay' from='localhost' stamp='2026-01-01T00:00:00Z'>Offline Storage</delay></message>`,
    )
    await juliet.receivesNothing()
    assert.equal(await count(server), 0)
    assert.deepEqual(await spool(server), [])
    // Once only.
    juliet.send('<presence/>')
    await juliet.receives('<presence/>')
    await juliet.receivesNothing()
  })

  test('wait for a priority that is not negative (RFC 6121 §8.5.2.1.1)', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    await sends(server, romeo, text('one'))
    await using juliet = await server.login('juliet')
    juliet.send('<presence><priority>-1</priority></presence>')
    await juliet.receives('<presence><priority>-1</priority></presence>')
    await sends(server, romeo, text('two'))
    await juliet.receivesNothing()
    juliet.send('<presence><priority>0</priority></presence>')
    await juliet.receives('<presence><priority>0</priority></presence>')
    await juliet.receives(delayed('one'))
    await juliet.receives(delayed('two'))
    romeo.send(text('three'))
    await juliet.receives(`<message type='chat'><body>three</body></message>`)
  })

  test('go to one of the sessions that come at the same time', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    await sends(server, romeo, text('one'))
    await using balcony = await server.login('juliet', { resource: 'balcony' })
    await using chamber = await server.login('juliet', { resource: 'chamber' })
    balcony.send('<presence/>')
    chamber.send('<presence/>')
    const seen: string[] = []
    for (const client of [balcony, chamber]) {
      // The core sends presence of both to both.
      await client.receives('<presence/>')
      await client.receives('<presence/>')
    }
    assert.equal(await count(server), 0)
    for (const client of [balcony, chamber]) {
      client.send(`<iq type='get' id='end' to='localhost'><end xmlns='urn:example'/></iq>`)
      let element = await client.next()
      for (; element.name === 'message'; element = await client.next()) {
        seen.push(element.childText('body') ?? '')
      }
    }
    assert.deepEqual(seen, ['one'])
  })

  test('reach a session that came while they were on their way into the database', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    await using juliet = await server.login('juliet')
    const asked = Promise.withResolvers<void>()
    const isAvailable = Promise.withResolvers<void>()
    server.xmpp.hooks().on(
      messageUndeliverable,
      () => {
        asked.resolve()
        return isAvailable.promise.then(() => undefined)
      },
      'test',
      0, // before mod_offline
    )
    romeo.send(text('one'))
    await asked.promise
    const changed = new Promise<void>((resolve) => {
      server.xmpp.hooks().on(presenceChanged, () => resolve(), 'test', 99) // after mod_offline
    })
    juliet.send('<presence/>')
    await changed
    // Nothing was kept when it came.
    assert.equal(await count(server), 0)
    isAvailable.resolve()
    await juliet.receivesAll('<presence/>', delayed('one'))
    assert.deepEqual(await spool(server), [])
  })

  test('come before those that come while they are handed out (RFC 6120 §10.1)', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    const kept = Array.from({ length: 60 }, (_, index) => `kept ${index}`)
    await sends(server, romeo, ...kept.map((body) => text(body)))
    await using juliet = await server.login('juliet')
    // Sent at the moment when she is available, and when the first of them are on their way.
    const undo = server.xmpp.hooks().on(
      presenceChanged,
      () => server.xmpp.router.route(live(1)),
      'test',
      99, // after mod_offline
    )
    let passed = 0
    server.xmpp.hooks().on(
      stanzaReceived,
      ({ kind }) => {
        if (kind === 'message' && ++passed === 10) {
          queueMicrotask(() => server.xmpp.router.route(live(2)))
        }
        return undefined
      },
      'test',
    )
    const live = (number: number): Message =>
      createMessage(
        'chat',
        { from: jid(romeo.jid), to: jid('juliet@localhost') },
        xml('body', 'jabber:client', {}, `live ${number}`),
      )
    juliet.send('<presence/>')
    const seen: string[] = []
    while (seen.length < 62) {
      const element = await juliet.next()
      if (element.name === 'message') seen.push(element.childText('body') ?? '')
    }
    undo()
    assert.deepEqual(seen, [...kept, 'live 1', 'live 2'])
    // Nobody is held back any more.
    romeo.send(text('later'))
    await juliet.receives(`<message type='chat'><body>later</body></message>`)
  })

  test('are more than one batch', async () => {
    await using server = await start()
    const store = server.store()
    const bodies = Array.from({ length: 120 }, (_, index) => `m${index}`)
    const rows = bodies.map((body) => ({
      username: 'juliet',
      xml: `<message xmlns='jabber:client' type='chat' from='romeo@localhost/x' to='juliet@localhost'><body>${body}</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='2026-01-01T00:00:00Z'>Offline Storage</delay></message>`,
    }))
    await store.write(store.table('spool').insert(rows)).settled
    await using juliet = await server.login('juliet', { isAvailable: true })
    for (const body of bodies) await juliet.receives(delayed(body))
    await juliet.receivesNothing()
    assert.deepEqual(await spool(server), [])
  })

  // shows: option mod_offline.access_max_user_messages
  test('come back when there are too many', async () => {
    await using server = await start(
      { access_max_user_messages: 'few' },
      { shaper_rules: { few: [{ 2: 'all' }] } },
    )
    await using romeo = await server.login('romeo')
    for (const id of ['a', 'b', 'c']) romeo.send(text(id, ` id='${id}'`))
    await romeo.receives(unavailable('c'))
    assert.equal(await count(server), 2)
    await using juliet = await server.login('juliet', { isAvailable: true })
    await juliet.receives(delayed('a'))
    await juliet.receives(delayed('b'))
    juliet.send(`<presence type='unavailable'/>`)
    await juliet.receivesNothing()
    await sends(server, romeo, text('d', ` id='d'`))
    assert.equal(await count(server), 1)
  })

  test('stay when the session is gone before they can be written', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    await sends(server, romeo, text('one'))
    {
      await using juliet = await server.login('juliet')
      // The connection breaks while the message is handed over.
      const ended = new Promise<void>((resolve) => {
        const undo = server.xmpp.hooks().on(
          stanzaReceived,
          (stanza, session) => {
            if (stanza.kind !== 'message') return undefined
            session.close('reset')
            undo()
            resolve()
            return undefined
          },
          'test',
        )
      })
      juliet.send('<presence/>')
      await ended
      await juliet.receives('<presence/>')
    }
    await using juliet = await server.login('juliet', { isAvailable: true })
    await juliet.receives(delayed('one'))
    await juliet.receivesNothing()
    assert.equal(await count(server), 0)
  })

  test('are not handed out after their time (XEP-0023)', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    const expire = (seconds: number): string => `<x xmlns='jabber:x:expire' seconds='${seconds}'/>`
    const message = (body: string, seconds: number): string =>
      `<message to='juliet@localhost' type='chat'><body>${body}</body>${expire(seconds)}</message>`
    await sends(server, romeo, message('short', 60), message('long', 600))
    server.xmpp.clock.advance(120_000)
    await using juliet = await server.login('juliet', { isAvailable: true })
    assert.equal((await juliet.next('message')).childText('body'), 'long')
    await juliet.receivesNothing()
    assert.deepEqual(await spool(server), [])
  })

  test('are read as ejabberd wrote them; what is no message is logged and removed', async () => {
    await using server = await start()
    const store = server.store()
    const message = `<message xml:lang='en' to='juliet@localhost' from='romeo@localhost/x' type='chat' id='e' xmlns='jabber:client'><delay stamp='2025-12-31T23:59:59.123456Z' from='localhost' xmlns='urn:xmpp:delay'>Offline Storage</delay><body>hi</body></message>`
    for (const xml of ['<message', '<iq/>', message]) {
      await store.write(store.table('spool').insert({ username: 'juliet', xml })).settled
    }
    await using juliet = await server.login('juliet', { isAvailable: true })
    await juliet.receives(
      `<message type='chat' id='e' from='romeo@localhost/x'><delay xmlns='urn:xmpp:delay' from='localhost' stamp='2025-12-31T23:59:59.123456Z'>Offline Storage</delay><body>hi</body></message>`,
    )
    await juliet.receivesNothing()
    assert.deepEqual(await spool(server), [])
    assert.equal(server.xmpp.logged.filter((line) => line.includes('cannot be read')).length, 2)
  })

  test('come back when they cannot be stored', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    await server.store().database.close()
    romeo.send(text('one', ` id='one'`))
    await romeo.receives(
      `<message type='error' id='one'>{any}<error type='cancel' code='500'>{any}</error></message>`,
    )
  })

  test('go with the account', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    await sends(server, romeo, text('one'))
    await server.xmpp.removeAccount('juliet@localhost')
    assert.deepEqual(await spool(server), [])
    romeo.send(text('two', ` id='two'`))
    await romeo.receives(unavailable('two'))
  })
})
