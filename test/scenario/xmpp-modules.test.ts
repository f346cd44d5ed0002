import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { hosts } from '../../src/core/shared.ts'
import { stanzaRouted } from '../../src/xmpp/hooks.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const config = {
  listen: [{ port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' }],
  modules: {
    mod_disco: {},
    mod_last: {},
    mod_offline: {},
    mod_ping: {},
    mod_roster: { versioning: true },
    mod_time: {},
    mod_version: {},
  },
}

const query = `xmlns='jabber:iq:roster'`

async function login(server: TestServer, name: string): Promise<XmppClient> {
  const client = await XmppClient.connect(server.port('ejabberd_c2s'))
  await client.login(name, { resource: 'phone' })
  return client
}

async function roster(client: XmppClient): Promise<readonly string[]> {
  client.send(`<iq type='get' id='roster'><query ${query}/></iq>`)
  const answer = await client.receives(
    `<iq type='result' id='roster'><query ${query} ver='{any}'>{any}</query></iq>`,
  )
  const items = answer.child('query', '*')?.elements() ?? []
  return items.map(({ attrs }) => `${attrs['jid']} ${attrs['subscription']}`)
}

test('friends find each other, and what was said while one was away, also after a restart', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'linnet-modules-'))
  try {
    {
      await using server = await TestServer.start({ config, dataDir })
      for (const name of ['juliet', 'romeo'])
        await server.ok('register', name, 'localhost', 'secret')
      await using romeo = await login(server, 'romeo')
      assert.deepEqual(await roster(romeo), [])
      romeo.send('<presence/>')
      await romeo.receives(`<presence from='${romeo.jid}'/>`)
      romeo.send(`<presence type='subscribe' to='juliet@localhost'/>`)
      await romeo.receives(
        `<iq type='set'><query ${query} ver='{any}'><item jid='juliet@localhost' subscription='none' ask='subscribe'/></query></iq>`,
      )
      const stored = new Promise<void>((resolve) => {
        const { hooks } = server.server.services.get(hosts).get('localhost')
        hooks.on(
          stanzaRouted,
          (_, outcome) => (outcome === 'stored' ? resolve() : undefined),
          'test',
        )
      })
      romeo.send(`<message to='juliet@localhost' type='chat'><body>Soft!</body></message>`)
      await stored
      server.server.stop()
      await romeo.isClosed('system-shutdown')
    }
    await using server = await TestServer.start({ config, dataDir })
    await using juliet = await login(server, 'juliet')
    assert.deepEqual(await roster(juliet), [])
    juliet.send('<presence/>')
    await juliet.receivesAll(
      `<presence from='${juliet.jid}'/>`,
      `<presence type='subscribe' from='romeo@localhost'/>`,
      `<message type='chat' from='romeo@localhost/phone'><body>Soft!</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='{any}'>Offline Storage</delay></message>`,
    )
    assert.match(
      await server.ok('get_last', 'romeo', 'localhost'),
      /^\d{4}-\d\d-\d\dT[\d:.]+Z\t\n?$/,
    )
    juliet.send(`<presence type='subscribed' to='romeo@localhost'/>`)
    await juliet.receives(
      `<iq type='set'><query ${query} ver='{any}'><item jid='romeo@localhost' subscription='from'/></query></iq>`,
    )
    await using romeo = await login(server, 'romeo')
    assert.deepEqual(await roster(romeo), ['juliet@localhost to'])
    romeo.send('<presence/>')
    await romeo.receivesAll(`<presence from='${romeo.jid}'/>`, `<presence from='${juliet.jid}'/>`)
    romeo.send(`<iq type='get' id='l' to='juliet@localhost'><query xmlns='jabber:iq:last'/></iq>`)
    await romeo.receives(
      `<iq type='result' id='l'><query xmlns='jabber:iq:last' seconds='0'/></iq>`,
    )
    await juliet.receivesNothing()
    assert.equal(
      await server.ok('get_roster', 'romeo', 'localhost'),
      'juliet@localhost\t\tto\tundefined\t\n',
    )
    assert.equal(await server.ok('get_offline_count', 'juliet', 'localhost'), '0\n')
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})

test('the host says what it can do', async () => {
  await using server = await TestServer.start({ config })
  await server.ok('register', 'romeo', 'localhost', 'secret')
  await using romeo = await login(server, 'romeo')
  romeo.send(
    `<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
  )
  const answer = await romeo.next('iq')
  const features = answer.elements()[0]?.childrenNamed('feature') ?? []
  assert.deepEqual(
    features.map(({ attrs }) => attrs['var']),
    [
      'http://jabber.org/protocol/disco#info',
      'http://jabber.org/protocol/disco#items',
      'iq',
      'jabber:iq:last',
      'jabber:iq:version',
      'msgoffline',
      'presence',
      'urn:xmpp:ping',
      'urn:xmpp:time',
    ],
  )
})
