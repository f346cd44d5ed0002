import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ModuleServer } from '../../../test/support/module-server.ts'
import type { LoginOptions, XmppClient } from '../../../test/support/xmpp-client.ts'
import { createPresence } from '../../xmpp/stanza/stanza.ts'
import { jid } from '../../xmpp/jid/jid.ts'
import { roster } from './roster.ts'

const start = (): Promise<ModuleServer> => ModuleServer.start([roster], { mod_roster: {} })

const query = `xmlns='jabber:iq:roster'`
const push = (item: string): string => `<iq type='set'><query ${query}>${item}</query></iq>`

/** An interested and available resource. */
async function login(
  server: ModuleServer,
  name: string,
  options: LoginOptions = {},
): Promise<XmppClient> {
  const client = await server.login(name, options)
  await requestRoster(client)
  client.send('<presence/>')
  await client.receives(`<presence from='${client.jid}'/>`)
  return client
}

/** The items that come with it. */
async function requestRoster(client: XmppClient): Promise<readonly string[]> {
  client.send(`<iq type='get' id='roster'><query ${query}/></iq>`)
  const answer = await client.receives(
    `<iq type='result' id='roster'><query ${query}>{any}</query></iq>`,
  )
  const items = answer.child('query', '*')?.elements() ?? []
  return items.map(
    ({ attrs }) =>
      `${attrs['jid']} ${attrs['subscription']} ${attrs['ask'] ?? attrs['approved'] ?? '-'}`,
  )
}

const send = (client: XmppClient, type: string, to: string, content = ''): void =>
  client.send(`<presence type='${type}' to='${to}@localhost' id='${type}'>${content}</presence>`)

async function befriend(server: ModuleServer, one: string, other: string): Promise<void> {
  await server.run('add_rosteritem', one, 'localhost', other, 'localhost', '', [], 'both')
  await server.run('add_rosteritem', other, 'localhost', one, 'localhost', '', [], 'both')
}

async function stateInTable(server: ModuleServer, owner: string, contact: string): Promise<string> {
  const store = server.store()
  const row = await store.first(
    store
      .table('rosterusers')
      .select()
      .select(['subscription', 'ask', 'approved'])
      .where('username', '=', owner)
      .where('jid', '=', `${contact}@localhost`),
  )
  return row === undefined ? '' : `${row.subscription}${row.ask}${row.approved ? '+' : ''}`
}

describe('a subscription (RFC 6121 §3.1)', () => {
  test('is asked for, approved and shows presence, in both directions', async () => {
    await using server = await start()
    await using romeo = await login(server, 'romeo', { resource: 'orchard' })
    await using juliet = await login(server, 'juliet', { resource: 'balcony' })
    send(romeo, 'subscribe', 'juliet', '<status>Hail</status>')
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='none' ask='subscribe'/>`))
    await juliet.receives(
      `<presence type='subscribe' from='romeo@localhost' to='juliet@localhost' id='subscribe'><status>Hail</status></presence>`,
    )
    assert.equal(await stateInTable(server, 'romeo', 'juliet'), 'NO')
    assert.equal(await stateInTable(server, 'juliet', 'romeo'), 'NI')
    // §3.1.3: it is in nobody's roster before it is approved.
    assert.deepEqual(await requestRoster(juliet), [])

    send(juliet, 'subscribed', 'romeo')
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='from'/>`))
    await romeo.receives(`<presence type='subscribed' from='juliet@localhost'/>`)
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='to'/>`))
    await romeo.receives(`<presence from='juliet@localhost/balcony' to='romeo@localhost'/>`)

    send(juliet, 'subscribe', 'romeo')
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='from' ask='subscribe'/>`))
    await romeo.receives(`<presence type='subscribe' from='juliet@localhost'/>`)
    send(romeo, 'subscribed', 'juliet')
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='both'/>`))
    await juliet.receives(`<presence type='subscribed' from='romeo@localhost'/>`)
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='both'/>`))
    await juliet.receives(`<presence from='romeo@localhost/orchard'/>`)
    assert.equal(await stateInTable(server, 'romeo', 'juliet'), 'BN')
    assert.equal(await stateInTable(server, 'juliet', 'romeo'), 'BN')
    await romeo.receivesNothing()
    await juliet.receivesNothing()
  })

  test('request waits for who is not there, and comes again until it is answered (§3.1.3)', async () => {
    await using server = await start()
    await using romeo = await login(server, 'romeo')
    send(
      romeo,
      'subscribe',
      'juliet',
      `<status>Hail</status><nick xmlns='urn:example:nick'>R</nick>`,
    )
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='none' ask='subscribe'/>`))
    send(romeo, 'subscribe', 'juliet')
    await romeo.receivesNothing()
    const request = `<presence type='subscribe' from='romeo@localhost' to='juliet@localhost'><status>Hail</status><nick xmlns='urn:example:nick'>R</nick></presence>`
    for (let times = 0; times < 2; times++) {
      await using juliet = await login(server, 'juliet')
      await juliet.receives(request)
      await juliet.receivesNothing()
    }
    await using juliet = await login(server, 'juliet')
    await juliet.receives(request)
    send(juliet, 'unsubscribed', 'romeo')
    await romeo.receives(`<presence type='unsubscribed' from='juliet@localhost'/>`)
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='none'/>`))
    await juliet.receivesNothing()
    assert.equal(await stateInTable(server, 'juliet', 'romeo'), '')
    const store = server.store()
    const kept = store.table('linnet_subscription_request').select().select('jid')
    assert.deepEqual(await store.read(kept), [])
    await using again = await login(server, 'juliet', { resource: 'again' })
    await again.receives(`<presence from='${juliet.jid}'/>`)
    await again.receivesNothing()
  })

  test('is confirmed at once to who has it already (§3.1.3, rule 2)', async () => {
    await using server = await start()
    await server.run('add_rosteritem', 'juliet', 'localhost', 'romeo', 'localhost', '', [], 'from')
    await using juliet = await login(server, 'juliet')
    await using romeo = await login(server, 'romeo')
    send(romeo, 'subscribe', 'juliet')
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='none' ask='subscribe'/>`))
    await romeo.receives(`<presence type='subscribed' from='juliet@localhost' id='subscribe'/>`)
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='to'/>`))
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    await juliet.receivesNothing()
  })

  test('of oneself means nothing', async () => {
    await using server = await start()
    await using romeo = await login(server, 'romeo')
    for (const type of ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed']) {
      send(romeo, type, 'romeo')
    }
    await romeo.receivesNothing()
    assert.deepEqual(await requestRoster(romeo), [])
  })

  test('keeps an item that was added without a name while its contact asks (A.1)', async () => {
    await using server = await start()
    await using juliet = await login(server, 'juliet')
    juliet.send(`<iq type='set' id='s'><query ${query}><item jid='romeo@localhost'/></query></iq>`)
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='none'/>`))
    await juliet.receives(`<iq type='result' id='s'/>`)
    await using romeo = await login(server, 'romeo')
    send(romeo, 'subscribe', 'juliet')
    await juliet.receives(`<presence type='subscribe' from='romeo@localhost'/>`)
    await server.apply({})
    await server.apply({ mod_roster: {} })
    assert.deepEqual(await requestRoster(juliet), ['romeo@localhost none -'])
    send(juliet, 'unsubscribed', 'romeo')
    await juliet.receivesNothing()
    assert.deepEqual(await requestRoster(juliet), ['romeo@localhost none -'])
  })

  test('request is refused silently when too many wait', async () => {
    await using server = await start()
    const store = server.store()
    const rows = Array.from({ length: 1000 }, (_, index) => ({
      username: 'juliet',
      jid: `spammer${index}@example.org`,
      nick: '',
      subscription: 'N',
      approved: false,
      ask: 'I',
      askmessage: '',
      server: 'N',
      subscribe: '',
      type: 'item',
    }))
    await store.write(store.table('rosterusers').insert(rows)).settled
    const before = server.xmpp.metrics.render()
    assert.match(before, /linnet_roster_requests_refused_total\{host="localhost"\} 0/)
    await using romeo = await login(server, 'romeo')
    send(romeo, 'subscribe', 'juliet')
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='none' ask='subscribe'/>`))
    await romeo.receivesNothing()
    await using nurse = await login(server, 'nurse')
    await nurse.receivesNothing()
    assert.equal(await stateInTable(server, 'juliet', 'romeo'), '')
    const after = server.xmpp.metrics.render()
    assert.match(after, /linnet_roster_requests_refused_total\{host="localhost"\} 1/)
  })
})

describe('the end of a subscription', () => {
  test('by who granted it: unavailable, unsubscribed, push (RFC 6121 §3.2)', async () => {
    await using server = await start()
    await befriend(server, 'romeo', 'juliet')
    await using romeo = await login(server, 'romeo')
    await using juliet = await login(server, 'juliet')
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    await juliet.receives(`<presence from='${romeo.jid}'/>`)
    send(juliet, 'unsubscribed', 'romeo')
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='to'/>`))
    await romeo.receives(`<presence type='unavailable' from='${juliet.jid}'/>`)
    await romeo.receives(`<presence type='unsubscribed' from='juliet@localhost'/>`)
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='from'/>`))
    juliet.send('<presence><show>away</show></presence>')
    await juliet.receives(`<presence from='${juliet.jid}'><show>away</show></presence>`)
    await romeo.receivesNothing()
  })

  test('by who has it: unsubscribe, push, unavailable and unsubscribed (RFC 6121 §3.3)', async () => {
    await using server = await start()
    await befriend(server, 'romeo', 'juliet')
    await using romeo = await login(server, 'romeo')
    await using juliet = await login(server, 'juliet')
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    await juliet.receives(`<presence from='${romeo.jid}'/>`)
    send(romeo, 'unsubscribe', 'juliet')
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='from'/>`))
    await juliet.receives(`<presence type='unsubscribe' from='romeo@localhost'/>`)
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='to'/>`))
    await romeo.receives(`<presence type='unavailable' from='${juliet.jid}'/>`)
    await romeo.receivesNothing()
    assert.equal(await stateInTable(server, 'romeo', 'juliet'), 'FN')
    assert.equal(await stateInTable(server, 'juliet', 'romeo'), 'TN')
  })

  test('by removal from the roster: both ways (RFC 6121 §2.5.2)', async () => {
    await using server = await start()
    await befriend(server, 'romeo', 'juliet')
    await using romeo = await login(server, 'romeo')
    await using juliet = await login(server, 'juliet')
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    await juliet.receives(`<presence from='${romeo.jid}'/>`)
    romeo.send(
      `<iq type='set' id='s'><query ${query}><item jid='juliet@localhost' subscription='remove'/></query></iq>`,
    )
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='remove'/>`))
    await romeo.receives(`<iq type='result' id='s'/>`)
    await juliet.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
    await juliet.receives(`<presence type='unsubscribe' from='romeo@localhost'/>`)
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='to'/>`))
    await juliet.receives(`<presence type='unsubscribed' from='romeo@localhost'/>`)
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='none'/>`))
    await romeo.receives(`<presence type='unavailable' from='${juliet.jid}'/>`)
    await romeo.receivesNothing()
    assert.equal(await stateInTable(server, 'romeo', 'juliet'), '')
    assert.equal(await stateInTable(server, 'juliet', 'romeo'), 'NN')
  })
})

describe('pre-approval (RFC 6121 §3.4)', () => {
  test('lets the contact in without asking, until it is taken back', async () => {
    await using server = await start()
    await using juliet = await login(server, 'juliet')
    send(juliet, 'subscribed', 'romeo')
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='none' approved='true'/>`))
    assert.equal(await stateInTable(server, 'juliet', 'romeo'), 'NN+')
    await using romeo = await login(server, 'romeo')
    send(romeo, 'subscribe', 'juliet')
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='none' ask='subscribe'/>`))
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='from' approved='true'/>`))
    await romeo.receives(`<presence type='subscribed' from='juliet@localhost'/>`)
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='to'/>`))
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    await juliet.receivesNothing()

    send(juliet, 'unsubscribed', 'romeo')
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='none'/>`))
    await romeo.receives(`<presence type='unavailable' from='${juliet.jid}'/>`)
    await romeo.receives(`<presence type='unsubscribed' from='juliet@localhost'/>`)
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='none'/>`))
    send(romeo, 'subscribe', 'juliet')
    await romeo.receives(push(`<item jid='juliet@localhost' subscription='none' ask='subscribe'/>`))
    await juliet.receives(`<presence type='subscribe' from='romeo@localhost'/>`)
  })

  test('is taken back before it was used, and the contact hears nothing (§3.2.2)', async () => {
    await using server = await start()
    await using romeo = await login(server, 'romeo')
    await using juliet = await login(server, 'juliet')
    send(juliet, 'subscribed', 'romeo')
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='none' approved='true'/>`))
    send(juliet, 'unsubscribed', 'romeo')
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='none'/>`))
    await romeo.receivesNothing()
  })
})

test('answers contacts of other servers in the name of the account', async () => {
  await using server = await start()
  const sent: string[] = []
  server.xmpp.router.setRemote((stanza) => {
    sent.push(`${stanza.kind} ${stanza.type} ${stanza.from} ${stanza.to}`)
  })
  await using juliet = await login(server, 'juliet')
  const from = jid('tybalt@elsewhere.example')
  const to = jid('juliet@localhost')
  server.xmpp.router.route(createPresence('subscribe', { from, to }))
  await juliet.receives(`<presence type='subscribe' from='tybalt@elsewhere.example'/>`)
  juliet.send(`<presence type='subscribed' to='tybalt@elsewhere.example'/>`)
  await juliet.receives(push(`<item jid='tybalt@elsewhere.example' subscription='from'/>`))
  assert.deepEqual(sent, [
    'presence subscribed juliet@localhost tybalt@elsewhere.example',
    `presence available ${juliet.jid} tybalt@elsewhere.example`,
  ])
  server.xmpp.router.route(createPresence('unsubscribe', { from, to }))
  await juliet.receives(`<presence type='unsubscribe' from='tybalt@elsewhere.example'/>`)
  await juliet.receives(push(`<item jid='tybalt@elsewhere.example' subscription='none'/>`))
  await juliet.receivesNothing()
  assert.deepEqual(sent.slice(2), [
    `presence unavailable ${juliet.jid} tybalt@elsewhere.example`,
    'presence unsubscribed juliet@localhost tybalt@elsewhere.example',
  ])
})
