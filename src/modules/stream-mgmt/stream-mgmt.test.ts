import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { ModuleServer } from '../../../test/support/module-server.ts'
import type { ModuleOptions } from '../../../test/support/module-server.ts'
import type { XmppClient } from '../../../test/support/xmpp-client.ts'
import { hostStarted } from '../../core/current-config.ts'
import { messageUndeliverable } from '../../xmpp/hooks.ts'
import { jid } from '../../xmpp/jid/jid.ts'
import { offline } from '../offline/offline.ts'
import { streamMgmt } from './stream-mgmt.ts'

const ns = `xmlns='urn:xmpp:sm:3'`

const start = (options: ModuleOptions[string] = {}): Promise<ModuleServer> =>
  ModuleServer.start([streamMgmt, offline], { mod_stream_mgmt: options, mod_offline: {} })

/** Signed in, available, with stream management; what comes back is the id for resuming. */
async function managed(
  server: ModuleServer,
  name: string,
  attributes = `resume='true'`,
): Promise<{ client: XmppClient; id: string }> {
  const client = await server.login(name, { isAvailable: true })
  client.send(`<enable ${ns} ${attributes}/>`)
  const enabled = await client.next('enabled')
  return { client, id: enabled.attr('id') ?? '' }
}

async function resumes(
  server: ModuleServer,
  name: string,
  id: string,
  h: number,
): Promise<XmppClient> {
  const client = await server.xmpp.connect()
  await client.opens()
  await client.authenticates(name)
  client.send(`<resume ${ns} previd='${id}' h='${h}'/>`)
  return client
}

const chat = (id: string, to = 'juliet@localhost'): string =>
  `<message to='${to}' type='chat' id='${id}'><body>${id}</body></message>`

const chatted = (id: string): string =>
  `<message type='chat' id='${id}' to='{any}' from='{any}'><body>${id}</body></message>`

const resent = (id: string): string =>
  `<message type='chat' id='${id}' to='{any}' from='{any}'><body>${id}</body>` +
  `<delay xmlns='urn:xmpp:delay' from='localhost' stamp='{any}'>{any}</delay></message>`

async function hasStream(server: ModuleServer, address: string, wanted: boolean): Promise<void> {
  const session = server.xmpp.router.sessions.find(jid(address)) ?? assert.fail('no session')
  await until(() => (session.stream !== undefined) === wanted)
}

describe('stream management (XEP-0198)', () => {
  // shows: module mod_stream_mgmt
  test('is offered once the client has signed in (§3)', async () => {
    await using server = await start()
    await using client = await server.xmpp.connect()
    const before = await client.opens()
    assert.equal(before.child('sm', 'urn:xmpp:sm:3'), undefined)
    const features = await client.authenticates('juliet')
    assert.ok(features.child('sm', 'urn:xmpp:sm:3'))
    assert.ok(features.child('sm', 'urn:xmpp:sm:2'))
    client.send(`<enable ${ns}/>`)
    await client.receives(
      `<failed ${ns}><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`,
    )
  })

  test('is enabled once (§3), with the older namespace too', async () => {
    await using server = await start()
    await using client = await server.login('juliet')
    client.send(`<enable xmlns='urn:xmpp:sm:2'/>`)
    await client.receives(`<enabled xmlns='urn:xmpp:sm:2'/>`)
    client.send(`<enable xmlns='urn:xmpp:sm:2'/>`)
    await client.receives(
      `<failed xmlns='urn:xmpp:sm:2'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`,
    )
    client.send(`<presence/><r xmlns='urn:xmpp:sm:2'/>`)
    await client.receives(`<presence from='{any}' to='{any}'/>`)
    await client.receives(`<a xmlns='urn:xmpp:sm:2' h='1'/>`)
    await client.receives(`<r xmlns='urn:xmpp:sm:2'/>`)
  })

  test('counts what the client sent since it enabled it, and asks for what it got (§4)', async () => {
    await using server = await start()
    const { client: juliet } = await managed(server, 'juliet', '')
    const { client: romeo } = await managed(server, 'romeo', '')
    await using _juliet = juliet
    await using _romeo = romeo
    romeo.send(`<r ${ns}/>`)
    await romeo.receives(`<a ${ns} h='0'/>`)
    romeo.send(`${chat('1')}${chat('2')}<r ${ns}/>`)
    await romeo.receives(`<a ${ns} h='2'/>`)
    await juliet.receives(chatted('1'))
    await juliet.receives(chatted('2'))
    await juliet.receives(`<r ${ns}/>`)
    // No second question while the first is open.
    romeo.send(chat('3'))
    await juliet.receives(chatted('3'))
    juliet.send(`<a ${ns} h='2'/>`)
    await juliet.receives(`<r ${ns}/>`)
    juliet.send(`<a ${ns} h='3'/>`)
    romeo.send(`<r ${ns}/>`)
    await romeo.receives(`<a ${ns} h='3'/>`)
  })

  test('acknowledges a message for somebody who is away only when it is committed', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    romeo.send(`<enable ${ns}/>`)
    await romeo.receives(`<enabled ${ns}/>`)
    await server.register('juliet@localhost')
    const { promise: commit, resolve } = Promise.withResolvers<void>()
    server.xmpp.hooks().on(
      messageUndeliverable,
      async () => {
        await commit
        return undefined
      },
      'test',
      1, // before the spool
    )
    // The second one waits behind the first in the account's lane.
    romeo.send(`${chat('1')}${chat('2')}<presence/><r ${ns}/><r ${ns}/>`)
    await romeo.receivesAll(`<a ${ns} h='0'/>`, `<presence from='{any}' to='{any}'/>`, `<r ${ns}/>`)
    resolve()
    await romeo.receives(`<a ${ns} h='3'/>`)
    assert.equal(await server.run('get_offline_count', 'juliet', 'localhost'), 2)
  })

  test('ends a stream that acknowledges more than it was sent (§4)', async () => {
    await using server = await start()
    const { client } = await managed(server, 'juliet')
    await using _client = client
    client.send(`<a ${ns} h='1'/>`)
    await client.receives(
      `<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>{any}` +
        `<handled-count-too-high ${ns} h='1' send-count='0'/></stream:error>`,
    )
  })

  // shows: option mod_stream_mgmt.max_ack_queue
  test('ends a session that acknowledges nothing', async () => {
    await using server = await start({ max_ack_queue: 2 })
    const { client } = await managed(server, 'juliet')
    await using _client = client
    await using romeo = await server.login('romeo')
    for (const id of ['1', '2', '3']) romeo.send(chat(id))
    await client.receives(chatted('1'))
    for (;;) {
      const element = await client.next()
      if (element.name !== 'error') continue
      assert.equal(element.elements()[0]?.name, 'policy-violation')
      break
    }
  })

  // shows: option mod_stream_mgmt.ack_timeout
  test('gives up a stream that does not answer, not its session (§4)', async () => {
    await using server = await start({ ack_timeout: '10s' })
    const { client, id } = await managed(server, 'juliet')
    await using _client = client
    await using romeo = await server.login('romeo')
    romeo.send(chat('1'))
    await client.receives(chatted('1'))
    await client.receives(`<r ${ns}/>`)
    server.xmpp.clock.advance(10_000)
    await client.isClosed('connection-timeout')
    await using again = await resumes(server, 'juliet', id, 0)
    await again.receives(`<resumed ${ns} previd='${id}' h='0'/>`)
    await again.receives(resent('1'))
  })
})

describe('resumption (XEP-0198 §5)', () => {
  test('hands out what the client does not have, in order, and goes on counting', async () => {
    await using server = await start()
    const { client, id } = await managed(server, 'juliet')
    await using romeo = await server.login('romeo')
    client.send(chat('own', 'romeo@localhost/none'))
    for (const number of ['1', '2', '3']) romeo.send(chat(number))
    for (const number of ['1', '2', '3']) await nextMessage(client, number)
    await client.vanish()
    await hasStream(server, client.jid, false)
    romeo.send(chat('4'))
    await romeo.receivesNothing()
    await using again = await resumes(server, 'juliet', id, 1)
    await again.receives(`<resumed ${ns} previd='${id}' h='1'/>`)
    for (const number of ['2', '3', '4']) await again.receives(resent(number))
    await again.receives(`<r ${ns}/>`)
    again.send(`<a ${ns} h='4'/>`)
    again.send(chat('more', client.jid))
    await again.receives(chatted('more'))
    await again.receives(`<r ${ns}/>`)
    again.send(`<r ${ns}/>`)
    await again.receives(`<a ${ns} h='2'/>`)
  })

  test('takes a session over from a stream that hangs', async () => {
    await using server = await start()
    const { client, id } = await managed(server, 'juliet')
    await using _client = client
    await using again = await resumes(server, 'juliet', id, 0)
    await again.receives(`<resumed ${ns} previd='${id}' h='0'/>`)
    await client.isClosed('conflict')
    again.send(chat('1', client.jid))
    await again.receives(chatted('1'))
  })

  test('refuses the session of another, and one that it does not know', async () => {
    await using server = await start()
    const { client, id } = await managed(server, 'juliet')
    await using _client = client
    for (const previd of [id, 'nobody', '']) {
      await using thief = await resumes(server, 'romeo', previd, 0)
      await thief.receives(
        `<failed ${ns}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`,
      )
    }
    client.send(`<r ${ns}/>`)
    await client.receives(`<a ${ns} h='0'/>`)
  })

  // shows: option mod_stream_mgmt.resume_timeout
  // shows: option mod_stream_mgmt.cache_size
  test('is possible for a while, and afterwards tells what was handled', async () => {
    await using server = await start({ resume_timeout: 60, cache_size: 10 })
    const { client, id } = await managed(server, 'juliet')
    client.send(`${chat('1', client.jid)}<r ${ns}/>`)
    await client.receivesAll(chatted('1'), `<a ${ns} h='1'/>`, `<r ${ns}/>`)
    await client.vanish()
    await hasStream(server, client.jid, false)
    server.xmpp.clock.advance(60_000)
    await until(() => server.xmpp.router.sessions.find(jid(client.jid)) === undefined)
    await using late = await resumes(server, 'juliet', id, 1)
    await late.receives(
      `<failed ${ns} h='1'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`,
    )
  })

  // shows: option mod_stream_mgmt.cache_life_time
  test('forgets that in the end', async () => {
    await using server = await start({ resume_timeout: 60, cache_life_time: '1 minute' })
    const { client, id } = await managed(server, 'juliet')
    await client.vanish()
    await hasStream(server, client.jid, false)
    server.xmpp.clock.advance(60_000)
    server.xmpp.clock.advance(61_000)
    await using late = await resumes(server, 'juliet', id, 0)
    await late.receives(
      `<failed ${ns}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`,
    )
  })

  // shows: option mod_stream_mgmt.max_resume_timeout
  test('lasts as long as the client asks for, up to a limit', async () => {
    await using server = await start({ resume_timeout: 60, max_resume_timeout: 600 })
    for (const [wanted, granted] of [
      ['', '60'],
      [`max='30'`, '30'],
      [`max='900'`, '600'],
    ] as const) {
      await using client = await server.login('juliet')
      client.send(`<enable ${ns} resume='1' ${wanted}/>`)
      await client.receives(`<enabled ${ns} id='{any}' resume='true' max='${granted}'/>`)
    }
  })

  test('is not offered with resume_timeout: 0', async () => {
    await using server = await start({ resume_timeout: 0 })
    await using client = await server.login('juliet')
    client.send(`<enable ${ns} resume='true'/>`)
    await client.receives(`<enabled ${ns}/>`)
  })
})

describe('what nobody acknowledged when a session ends', () => {
  /** Two messages came, one of them was acknowledged, and the time to come back is over. */
  async function diesWith(server: ModuleServer): Promise<XmppClient> {
    const { client } = await managed(server, 'juliet')
    const romeo = await server.login('romeo')
    romeo.send(chat('1') + chat('2'))
    await nextMessage(client, '1')
    await nextMessage(client, '2')
    client.send(`<a ${ns} h='1'/>`)
    await client.receives(`<r ${ns}/>`)
    client.send(`<r ${ns}/>`)
    await client.receives(`<a ${ns} h='0'/>`)
    await client.vanish()
    await hasStream(server, client.jid, false)
    server.xmpp.clock.advance(300_000)
    return romeo
  }

  const bounced = (id: string): string =>
    `<message type='error' id='${id}'>{any}<error type='cancel' code='503'>` +
    `<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{any}</error></message>`

  // shows: option mod_stream_mgmt.resend_on_timeout
  test('goes back to its sender', async () => {
    await using server = await start()
    await using romeo = await diesWith(server)
    await romeo.receives(bounced('2'))
    assert.equal(await kept(server), 0)
  })

  test('is kept for the account, if it is to be sent again', async () => {
    await using server = await start({ resend_on_timeout: true })
    await using romeo = await diesWith(server)
    await romeo.receivesNothing()
    await until(async () => (await kept(server)) === 0)
    await using juliet = await server.login('juliet', { isAvailable: true })
    await juliet.receives(resent('2'))
  })

  test('goes to another session only if that is wanted', async () => {
    await using server = await start({ resend_on_timeout: 'if_offline' })
    await using other = await server.login('juliet', { resource: 'other' })
    await using romeo = await diesWith(server)
    await romeo.receives(bounced('2'))
    await other.receivesNothing()
  })
})

test('a message survives a crash of the server until its recipient has acknowledged it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'linnet-sm-'))
  try {
    const database = { type: 'sqlite', file: join(directory, 'db'), multihost: true } as const
    const modules = { mod_stream_mgmt: {}, mod_offline: {} }
    {
      await using server = await ModuleServer.start([streamMgmt, offline], modules, { database })
      const { client: juliet } = await managed(server, 'juliet')
      const { client: romeo } = await managed(server, 'romeo')
      romeo.send(`${chat('1')}${chat('2')}<r ${ns}/>`)
      await romeo.receives(`<a ${ns} h='2'/>`)
      await nextMessage(juliet, '2')
      juliet.send(`<a ${ns} h='1'/>`)
      await until(async () => (await kept(server)) === 1)
      server.state = 'stopping'
    }
    await using server = await ModuleServer.start([streamMgmt, offline], modules, { database })
    await server.register('juliet@localhost')
    server.xmpp.hooks().emit(hostStarted, 'localhost')
    await until(async () => (await kept(server)) === 0)
    await using juliet = await server.login('juliet', { isAvailable: true })
    await juliet.receives(resent('2'))
  } finally {
    await rm(directory, { recursive: true })
  }
})

/** Lets sockets and the database go on until something has come of it. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await setImmediate()
}

async function kept(server: ModuleServer): Promise<number> {
  const store = server.store()
  return (await store.first(store.table('linnet_sm_message').count()))?.count ?? 0
}

/** Skips questions of the server's. */
async function nextMessage(client: XmppClient, id: string): Promise<void> {
  for (;;) {
    const element = await client.next()
    if (element.name === 'message' && element.attr('id') === id) return
  }
}
