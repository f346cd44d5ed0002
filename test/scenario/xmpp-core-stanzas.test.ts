import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drop } from '../../src/core/hooks.ts'
import type { ModuleContext } from '../../src/core/module.ts'
import {
  messageUndeliverable,
  sessionBound,
  sessionEnded,
  stanzaBlocked,
  stanzaQueued,
  stanzaReceived,
  stanzaSent,
} from '../../src/xmpp/hooks.ts'
import { bareJid, domainpart, jid } from '../../src/xmpp/jid/jid.ts'
import { defineSessionState } from '../../src/xmpp/session-state.ts'
import { createMessage, withElement } from '../../src/xmpp/stanza/stanza.ts'
import { result } from '../../src/xmpp/stanza/stanza-error.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import { XmppServer } from '../support/xmpp-server.ts'

const stanzas = `xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`

function error(condition: string, type: string, code: number): string {
  return `<error type='${type}' code='${code}'><${condition} ${stanzas}/></error>`
}

const unavailable = error('service-unavailable', 'cancel', 503)

test('carries a message from one client to another, stamped with its sender (RFC 6120 §8.1.2.1)', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet', { resource: 'balcony' })
  await using romeo = await server.login('romeo', { isAvailable: true })
  juliet.send(
    `<message to='romeo@localhost' type='chat' id='m1' xml:lang='en'><body>Art thou not Romeo?</body><x xmlns='urn:example:x'><y a='&lt;'/></x></message>`,
  )
  await romeo.receives(
    `<message from='juliet@localhost/balcony' to='romeo@localhost' type='chat' id='m1' xml:lang='en'><body>Art thou not Romeo?</body><x xmlns='urn:example:x'><y a='&lt;'/></x></message>`,
  )
})

test('passes on what is unknown to it as it is, prefixes included', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet')
  await using romeo = await server.login('romeo', { isAvailable: true })
  juliet.send(
    `<message to='romeo@localhost'><e:x xmlns:e='urn:example:e' e:a='1'><e:y>&#x1F339; é</e:y></e:x></message>`,
  )
  await romeo.receives(
    `<message><x xmlns='urn:example:e' xmlns:e='urn:example:e' e:a='1'><y>\u{1F339} é</y></x></message>`,
  )
})

for (const from of ['juliet@localhost/balcony', 'juliet@localhost', 'JULIET@localhost']) {
  test(`accepts a stanza of a client from ${from}, its own address`, async () => {
    await using server = await XmppServer.start()
    await using juliet = await server.login('juliet', { resource: 'balcony' })
    juliet.send(`<message from='${from}' to='juliet@localhost/balcony'/>`)
    await juliet.receives(`<message from='juliet@localhost/balcony'/>`)
  })
}

for (const from of ['romeo@localhost', 'juliet@localhost/chamber', 'localhost', '@']) {
  test(`ends the stream of who sends as ${from}, another (RFC 6120 §4.9.3.9)`, async () => {
    await using server = await XmppServer.start()
    await using juliet = await server.login('juliet', { resource: 'balcony' })
    await using romeo = await server.login('romeo', { isAvailable: true })
    juliet.send(`<message from='${from}' to='romeo@localhost'/>`)
    await juliet.isClosed('invalid-from')
    await romeo.receivesNothing()
  })
}

const refused = [
  {
    name: 'a recipient that is no JID',
    text: `<message to='@@' id='1'/>`,
    kind: 'message',
    error: error('jid-malformed', 'modify', 400),
  },
  {
    name: 'a request without type',
    text: `<iq id='1'><a xmlns='urn:example:a'/></iq>`,
    kind: 'iq',
    error: error('bad-request', 'modify', 400),
  },
  {
    name: 'a request of an unknown type',
    text: `<iq type='ask' id='1'/>`,
    kind: 'iq',
    error: error('bad-request', 'modify', 400),
  },
  {
    name: 'presence of an unknown type',
    text: `<presence type='here' id='1'/>`,
    kind: 'presence',
    error: error('bad-request', 'modify', 400),
  },
  {
    name: 'a request without payload',
    text: `<iq type='get' id='1'/>`,
    kind: 'iq',
    error: error('bad-request', 'modify', 400),
  },
  {
    name: 'a request with two payloads',
    text: `<iq type='get' id='1'><a xmlns='urn:example:a'/><a xmlns='urn:example:a'/></iq>`,
    kind: 'iq',
    error: error('bad-request', 'modify', 400),
  },
  {
    name: 'a request that nobody knows',
    text: `<iq type='get' id='1'><a xmlns='urn:example:a'/></iq>`,
    kind: 'iq',
    error: unavailable,
  },
  {
    name: 'a request to the host that nobody knows',
    text: `<iq type='set' id='1' to='localhost'><a xmlns='urn:example:a'/></iq>`,
    kind: 'iq',
    error: unavailable,
  },
  {
    name: 'a message to the host',
    text: `<message to='localhost' id='1'/>`,
    kind: 'message',
    error: unavailable,
  },
  {
    name: 'a message to another server',
    text: `<message to='a@example.org' id='1'/>`,
    kind: 'message',
    error: error('remote-server-not-found', 'cancel', 404),
  },
  {
    name: 'a message to nobody',
    text: `<message to='nobody@localhost' id='1'/>`,
    kind: 'message',
    error: unavailable,
  },
]

for (const { name, text, kind, error: answer } of refused) {
  test(`answers ${name} with an error, and goes on (RFC 6120 §8.3)`, async () => {
    await using server = await XmppServer.start()
    await using juliet = await server.login('juliet')
    juliet.send(text)
    await juliet.receives(`<${kind} type='error' id='1'>{any}${answer}</${kind}>`)
    await juliet.receivesNothing()
  })
}

test('answers a request without an id, which cannot be told apart, with bad-request (RFC 6120 §8.1.3)', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet')
  juliet.send(`<iq type='get'><a xmlns='urn:example:a'/></iq>`)
  await juliet.receives(`<iq type='error'>{any}${error('bad-request', 'modify', 400)}</iq>`)
})

test('does not answer malformed errors and results', async () => {
  await using server = await XmppServer.start()
  await using juliet = await server.login('juliet')
  juliet.send(`<message type='error' to='@@'/><iq type='result'/><iq type='error' to='@@' id='1'/>`)
  await juliet.receivesNothing()
})

test('keeps a message nobody could be given, if somebody stores it', async () => {
  await using server = await XmppServer.start()
  const stored: string[] = []
  server.hooks().on(
    messageUndeliverable,
    (message, account) => {
      stored.push(`${account}: ${message.element.childText('body') ?? ''}`)
      return 'stored'
    },
    'test',
  )
  await using juliet = await server.login('juliet')
  // Connected is not available: only presence makes it so (RFC 6121 §8.5.2.1).
  await using romeo = await server.login('romeo')
  juliet.send(`<message to='romeo@localhost'><body>later</body></message>`)
  await juliet.receivesNothing()
  await romeo.receivesNothing()
  assert.deepEqual(stored, ['romeo@localhost: later'])
})

test('a message without recipient is for the own account (RFC 6120 §10.3.1)', async () => {
  await using server = await XmppServer.start()
  await using one = await server.login('juliet', { resource: 'one', isAvailable: true })
  one.send('<message><body>note</body></message>')
  await one.receives(
    `<message from='juliet@localhost/one' to='juliet@localhost'><body>note</body></message>`,
  )
})

test('delivers to the sessions of the highest priority, and leaves "to" alone (RFC 6121 §8.5.2.1)', async () => {
  await using server = await XmppServer.start()
  await using low = await server.login('romeo', { resource: 'low' })
  await using high = await server.login('romeo', { resource: 'high' })
  await using alsoHigh = await server.login('romeo', { resource: 'also-high' })
  await using juliet = await server.login('juliet')
  low.send('<presence><priority>1</priority></presence>')
  high.send('<presence><priority>5</priority></presence>')
  alsoHigh.send('<presence><priority>5</priority></presence>')
  await low.receivesAll(...['low', 'high', 'also-high'].map(presenceFrom))
  await high.receivesAll(...['low', 'high', 'also-high'].map(presenceFrom))
  await alsoHigh.receivesAll(...['low', 'high', 'also-high'].map(presenceFrom))
  juliet.send(`<message to='romeo@localhost' type='chat'/>`)
  await high.receives(`<message to='romeo@localhost' type='chat'/>`)
  await alsoHigh.receives(`<message to='romeo@localhost' type='chat'/>`)
  await low.receivesNothing()
})

function presenceFrom(resource: string): string {
  return `<presence from='romeo@localhost/${resource}'><priority>{any}</priority></presence>`
}

test('runs the filters of what is sent and received, for each session', async () => {
  await using server = await XmppServer.start()
  const hooks = server.hooks()
  hooks.on(
    stanzaSent,
    (stanza, session) => {
      if (stanza.element.childText('body') === 'secret') return drop
      return withElement(stanza, stanza.element.append(xml('by', 'urn:example:x', {}, session.jid)))
    },
    'test',
  )
  hooks.on(
    stanzaReceived,
    (stanza, session) =>
      stanza.kind !== 'message'
        ? undefined
        : session.jid.endsWith('/deaf')
          ? drop
          : withElement(
              stanza,
              stanza.element.append(xml('for', 'urn:example:x', {}, session.jid)),
            ),
    'test',
  )
  const queued: string[] = []
  hooks.on(
    stanzaQueued,
    (stanza, session) => void queued.push(`${stanza.kind} ${session.jid}`),
    'test',
  )
  await using juliet = await server.login('juliet', { resource: 'r' })
  await using romeo = await server.login('romeo', { resource: 'r' })
  await using deaf = await server.login('romeo', { resource: 'deaf' })
  juliet.send(`<message to='romeo@localhost/r'><body>secret</body></message>`)
  juliet.send(`<message to='romeo@localhost/r'><body>hi</body></message>`)
  juliet.send(`<message to='romeo@localhost/deaf'><body>hi</body></message>`)
  await romeo.receives(
    `<message><body>hi</body><by xmlns='urn:example:x'>juliet@localhost/r</by><for xmlns='urn:example:x'>romeo@localhost/r</for></message>`,
  )
  await deaf.receivesNothing()
  assert.deepEqual(queued, ['message romeo@localhost/r', `iq ${deaf.jid}`])
})

test('tells a client what its account keeps it from sending (XEP-0191 §3.2)', async () => {
  await using server = await XmppServer.start()
  server.hooks().on(
    stanzaBlocked,
    (stanza, _account, direction) => {
      if (direction !== 'out' || !stanza.to.startsWith('romeo@')) return undefined
      return stanza.id === 'later' ? Promise.resolve('block' as const) : 'block'
    },
    'test',
  )
  await using juliet = await server.login('juliet')
  await using romeo = await server.login('romeo', { isAvailable: true })
  for (const id of ['now', 'later']) {
    juliet.send(`<message to='romeo@localhost' id='${id}'/><presence to='romeo@localhost'/>`)
    await juliet.receives(
      `<message type='error' id='${id}'><error type='modify' code='406'><not-acceptable ${stanzas}/><blocked xmlns='urn:xmpp:blocking:errors'/></error></message>`,
    )
  }
  await romeo.receivesNothing()
})

test('keeps the order of answers, however long each takes (RFC 6120 §10.1)', async () => {
  await using server = await XmppServer.start()
  const { promise, resolve } = Promise.withResolvers<void>()
  const tables = server.router.hosts[0]?.tables ?? assert.fail()
  tables.account.addIqHandler('get', 'urn:example:slow', 'q', async (iq) => {
    await promise
    return result(iq)
  })
  const asked: (string | undefined)[] = []
  tables.account.addIqHandler('get', 'urn:example:fast', 'q', (iq) => {
    asked.push(iq.id)
    return result(iq)
  })
  await using juliet = await server.login('juliet', { isAvailable: true })
  await using romeo = await server.login('romeo')
  juliet.send(
    `<iq type='get' id='1'><q xmlns='urn:example:slow'/></iq><iq type='get' id='2'><q xmlns='urn:example:fast'/></iq><message to='juliet@localhost' id='3'/>`,
  )
  // Others are not kept waiting.
  romeo.send(`<message to='juliet@localhost' id='4'/>`)
  await juliet.receives(`<message id='4' from='${romeo.jid}'/>`)
  assert.deepEqual(asked, [])
  resolve()
  await juliet.receives(`<iq type='result' id='1' from='juliet@localhost'/>`)
  await juliet.receives(`<iq type='result' id='2'/>`)
  await juliet.receives(`<message id='3'/>`)
})

test('modules answer requests and serve domains through their context, until they stop', async () => {
  await using server = await XmppServer.start()
  const undo: (() => void | Promise<void>)[] = []
  // The extension asks for nothing else of the context.
  const context = { host: server.config.hosts[0] } as ModuleContext
  server.xmpp.context(context, (fn) => undo.push(fn))
  const { tables } = server.router.hosts[0] ?? assert.fail()
  context.advertise('urn:example:a', { on: ['host', 'account'] })
  context.advertise('urn:example:b')
  context.identity({ category: 'server', type: 'im' })
  context.handleIq('get', 'urn:example:a', 'q', (iq) => result(iq), { on: ['host', 'account'] })
  const domain = domainpart(jid('echo.localhost'))
  const service = context.serviceHost(domain, (stanza) => {
    if (stanza.kind === 'message') {
      server.router.route(createMessage('chat', { from: stanza.to, to: stanza.from }))
    }
  })
  service.handleIq('get', 'urn:example:a', 'q', (iq) => result(iq))
  service.advertise('urn:example:c')
  assert.deepEqual(tables.host.features, ['urn:example:a', 'urn:example:b'])
  assert.deepEqual(tables.account.features, ['urn:example:a'])
  assert.deepEqual(tables.host.identities, [{ category: 'server', type: 'im' }])
  assert.deepEqual(server.router.service(domain)?.table.features, ['urn:example:c'])

  await using juliet = await server.login('juliet')
  for (const to of ['localhost', 'juliet@localhost', 'echo.localhost']) {
    juliet.send(`<iq type='get' id='1' to='${to}'><q xmlns='urn:example:a'/></iq>`)
    await juliet.receives(`<iq type='result' id='1' from='${to}'/>`)
  }
  juliet.send(`<message to='a@echo.localhost/b'/>`)
  await juliet.receives(`<message from='a@echo.localhost/b' type='chat'/>`)

  for (const fn of undo) await fn()
  assert.deepEqual(tables.host.features, [])
  assert.deepEqual(tables.host.identities, [])
  juliet.send(`<iq type='get' id='1' to='localhost'><q xmlns='urn:example:a'/></iq>`)
  await juliet.receives(`<iq type='error' id='1'>{any}${unavailable}</iq>`)
  juliet.send(`<message to='a@echo.localhost/b' id='1'/>`)
  await juliet.receives(
    `<message type='error' id='1'>${error('remote-server-not-found', 'cancel', 404)}</message>`,
  )
})

test('tells of sessions that begin and end, and keeps what modules keep with them', async () => {
  await using server = await XmppServer.start()
  const slot = defineSessionState<{ count: number }>('test', () => ({ count: 0 }))
  const told: string[] = []
  server.hooks().on(
    sessionBound,
    (session) => {
      assert.equal(session.peekState(slot), undefined)
      session.state(slot).count++
      told.push(`bound ${session.jid}`)
    },
    'test',
  )
  server.hooks().on(
    sessionEnded,
    (session) => {
      told.push(`ended ${session.jid} ${session.state(slot).count}`)
      assert.equal(server.router.sessions.find(session.jid), undefined)
    },
    'test',
  )
  await using juliet = await server.login('juliet', { resource: 'r' })
  const account = bareJid(jid(juliet.jid))
  assert.equal(server.registry.forAccount(account).length, 1)
  juliet.send('</stream:stream>')
  await juliet.isClosed()
  assert.deepEqual(told, ['bound juliet@localhost/r', 'ended juliet@localhost/r 1'])
  assert.equal(server.registry.forAccount(account).length, 0)
})
