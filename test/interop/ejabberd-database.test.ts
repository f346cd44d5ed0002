import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { callServer } from '../../src/admin/control-socket.ts'
import type { Element } from '../../src/xmpp/xml/element.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import { ServerProcess } from '../crash/server-process.ts'
import type { XmppClientOptions } from '../crash/xmpp-client.ts'
import { SignInError, XmppClient } from '../crash/xmpp-client.ts'
import { freePort, noEjabberd, startEjabberd } from '../support/ejabberd.ts'

/*
 * An ejabberd fills a SQLite database, Linnet starts with the same configuration on the same file, serves and changes what is
 * there, and ejabberd goes on with it afterwards.
 */

const noDriver =
  globSync('/usr/lib/erlang/lib/p1_sqlite3-*').length === 0 &&
  'the SQLite driver of ejabberd (Debian package erlang-p1-sqlite3) is not installed'

const clientNs = 'jabber:client'
const rosterNs = 'jabber:iq:roster'
const lastNs = 'jabber:iq:last'
const delayNs = 'urn:xmpp:delay'

interface Variant {
  readonly name: string
  readonly options: string
  /** What both servers offer for passwords that are stored like that. */
  readonly mechanism: 'SCRAM-SHA-1' | 'SCRAM-SHA-256'
}

const variants: readonly Variant[] = [
  { name: 'plain passwords', options: 'auth_password_format: plain', mechanism: 'SCRAM-SHA-1' },
  { name: 'SCRAM keys', options: 'auth_password_format: scram', mechanism: 'SCRAM-SHA-1' },
  {
    name: 'SCRAM-SHA-256 keys',
    options: 'auth_password_format: scram\nauth_scram_hash: sha256',
    mechanism: 'SCRAM-SHA-256',
  },
]

const passwords = {
  alice: 'wonder land',
  bob: 'pässwörd ✓',
  carol: `quote' "and" \\`,
  dave: 'secret',
  eve: 'secret',
  frank: 'secret',
} as const

type User = keyof typeof passwords
const users = Object.keys(passwords).filter((name): name is User => name in passwords)

interface Settings {
  readonly variant: Variant
  readonly config: string
  readonly port: number
  readonly tlsPort: number
}

async function settingsFor(variant: Variant, dir: string): Promise<Settings> {
  const [port, tlsPort] = [await freePort(), await freePort()]
  const config = `
hosts: [localhost]
loglevel: info
listen:
  - { port: ${port}, ip: 127.0.0.1, module: ejabberd_c2s, access: all }
  - { port: ${tlsPort}, ip: 127.0.0.1, module: ejabberd_c2s, access: all, tls: true }
default_db: sql
sql_type: sqlite
sql_database: ${JSON.stringify(join(dir, 'ejabberd.sqlite'))}
auth_method: sql
${variant.options}
modules:
  mod_admin_extra: {}
  mod_disco: {}
  mod_last: {}
  mod_offline: {}
  mod_ping: {}
  mod_roster: { versioning: true }
`
  return { variant, config, port, tlsPort }
}

/** Either server, as far as the test uses it. */
interface Running {
  ctl(...words: readonly string[]): Promise<string>
  stop(): Promise<void>
}

async function runEjabberd({ config }: Settings): Promise<Running & AsyncDisposable> {
  const server = await startEjabberd({ config })
  return {
    async ctl(...words) {
      const { exit, stdout, stderr } = await server.ctl(...words)
      assert.equal(exit, 0, `ejabberdctl ${words.join(' ')}: ${stdout}${stderr}`)
      return stdout.trim()
    },
    async stop() {
      await server.ctl('stop')
      await server.ended
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function runLinnet(
  { config }: Settings,
  dataDir: string,
): Promise<Running & AsyncDisposable> {
  const server = await ServerProcess.start({ dataDir, config })
  return {
    async ctl(...words) {
      const answer = await callServer(dataDir, { words })
      assert.equal(answer?.exit, 0, `linnet ${words.join(' ')}: ${answer?.output}`)
      return answer.output.trim()
    },
    async stop() {
      assert.equal(await server.stop(), 0, server.output)
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

type Changed = Partial<Pick<XmppClientOptions, 'password' | 'mechanism' | 'port' | 'tls'>>

function signIn(settings: Settings, user: User | 'grace', changed: Changed = {}) {
  const { port, variant } = settings
  const password = user === 'grace' ? 'new' : passwords[user]
  return XmppClient.connect({ port, mechanism: variant.mechanism, user, password, ...changed })
}

/** Signs in, has something done, and signs out so that the server knows. */
async function as<T>(
  settings: Settings,
  user: User | 'grace',
  work: (client: XmppClient) => Promise<T>,
  changed: Changed = {},
): Promise<T> {
  await using client = await signIn(settings, user, changed)
  const result = await work(client)
  await client.end()
  return result
}

function presence(attributes: Readonly<Record<string, string>> = {}, status?: string): Element {
  const children = status === undefined ? [] : [xml('status', clientNs, {}, status)]
  return xml('presence', clientNs, attributes, ...children)
}

function message(to: User | 'grace', body: string): Element {
  const attributes = { to: `${to}@localhost`, type: 'chat', id: `id of ${body}` }
  const extension = xml('thing', 'urn:example:thing', { kind: 'ä & "b"' }, xml('part', 'urn:x'))
  return xml('message', clientNs, attributes, xml('body', clientNs, {}, body), extension)
}

/** Sends something and waits until the server has dealt with it. */
async function send(client: XmppClient, stanza: Element): Promise<void> {
  client.send(stanza)
  const to = stanza.attr('to')
  // Stanzas between the same two addresses stay in order (RFC 6120 §10.1).
  await client.request('get', xml('ping', 'urn:xmpp:ping'), to)
  await client.request('get', xml('ping', 'urn:xmpp:ping'), 'localhost')
}

interface Contact {
  readonly jid: string
  readonly name: string
  readonly subscription: string
  readonly ask: string
  readonly groups: readonly string[]
}

async function roster(client: XmppClient): Promise<readonly Contact[]> {
  const answer = await client.request('get', xml('query', rosterNs))
  const query = answer?.child('query', rosterNs)
  assert.ok(query, 'no roster')
  return query
    .childrenNamed('item')
    .map((item) => ({
      jid: item.attr('jid') ?? '',
      name: item.attr('name') ?? '',
      subscription: item.attr('subscription') ?? 'none',
      ask: item.attr('ask') ?? '',
      groups: item
        .childrenNamed('group')
        .map((group) => group.text())
        .sort(),
    }))
    .sort((a, b) => (a.jid < b.jid ? -1 : 1))
}

async function setContact(
  client: XmppClient,
  contact: string,
  name: string,
  ...groups: readonly string[]
): Promise<void> {
  const children = groups.map((group) => xml('group', rosterNs, {}, group))
  const item = xml('item', rosterNs, { jid: `${contact}@localhost`, name }, ...children)
  const answer = await client.request('set', xml('query', rosterNs, {}, item))
  assert.equal(answer?.attr('type'), 'result')
}

/** Rosters as the protocol shows them; nobody becomes available, so that nothing is delivered. */
async function rosters(settings: Settings): Promise<Record<string, readonly Contact[]>> {
  const all: Record<string, readonly Contact[]> = {}
  for (const user of users) all[user] = await as(settings, user, roster)
  return all
}

interface Delivered {
  readonly messages: readonly Element[]
  readonly requests: readonly { readonly from: string; readonly status: string }[]
}

/** Becomes available, and takes what has been waiting: so many messages and subscription requests. */
async function takeWaiting(client: XmppClient, count: number): Promise<Delivered> {
  const messages: Element[] = []
  const requests: { from: string; status: string }[] = []
  client.send(presence())
  while (messages.length + requests.length < count) {
    const stanza = await client.next()
    assert.ok(stanza, 'The connection ended')
    if (stanza.name === 'message') messages.push(stanza)
    else if (stanza.attr('type') === 'subscribe') {
      requests.push({
        from: stanza.attr('from') ?? '',
        status: stanza.childText('status') ?? '',
      })
    }
  }
  requests.sort((a, b) => (a.from < b.from ? -1 : 1))
  return { messages, requests }
}

function bodies(messages: readonly Element[]): readonly (string | undefined)[] {
  return messages.map((stanza) => stanza.childText('body'))
}

/** What there is to be found later: every state of a subscription that RFC 6121 Appendix A knows, on both sides. */
async function fill(settings: Settings, server: Running): Promise<void> {
  for (const user of users) await server.ctl('register', user, 'localhost', passwords[user])
  const subscribe = (from: User, to: User, status?: string): Promise<void> =>
    as(settings, from, (client) =>
      send(client, presence({ to: `${to}@localhost`, type: 'subscribe' }, status)),
    )
  const approve = (from: User, to: User): Promise<void> =>
    as(settings, from, (client) =>
      send(client, presence({ to: `${to}@localhost`, type: 'subscribed' })),
    )
  await as(settings, 'alice', async (client) => {
    await setContact(client, 'bob', 'Bob "the <builder>"', 'Friends', 'Wörk & Co')
    await setContact(client, 'carol', '', 'Friends')
    await setContact(client, 'nobody', 'only a name')
  })
  // Both.
  await subscribe('alice', 'bob')
  await approve('bob', 'alice')
  await subscribe('bob', 'alice')
  await approve('alice', 'bob')
  // To and from.
  await subscribe('alice', 'carol')
  await approve('carol', 'alice')
  // None, with a request out and in.
  await subscribe('alice', 'dave', "It's me, Ålice")
  // From with a request out, to with a request in.
  await subscribe('eve', 'alice')
  await approve('alice', 'eve')
  await subscribe('alice', 'eve')
  // None, with requests both ways.
  await subscribe('frank', 'bob')
  await subscribe('bob', 'frank')

  await as(settings, 'eve', async (client) => {
    for (const body of ['first', 'second ✓ <&>', 'third']) await send(client, message('bob', body))
    for (const body of ['one', 'two']) await send(client, message('carol', body))
  })
  await as(settings, 'frank', async (client) => {
    await send(client, presence())
    await send(client, presence({ type: 'unavailable' }, 'Gone – ☕'))
  })
}

const expectedRosters = {
  alice: [
    ['bob', 'both', ''],
    ['carol', 'to', ''],
    ['dave', 'none', 'subscribe'],
    ['eve', 'from', 'subscribe'],
    ['nobody', 'none', ''],
  ],
  bob: [
    ['alice', 'both', ''],
    ['frank', 'none', 'subscribe'],
  ],
  carol: [['alice', 'from', '']],
  dave: [],
  eve: [['alice', 'to', '']],
  frank: [['bob', 'none', 'subscribe']],
}

function states(all: Record<string, readonly Contact[]>): unknown {
  const rows = Object.entries(all).map(([user, contacts]) => [
    user,
    contacts.map(({ jid, subscription, ask }) => [
      jid.replace('@localhost', ''),
      subscription,
      ask,
    ]),
  ])
  return Object.fromEntries(rows)
}

/** Everything that ejabberd left is there. */
async function serveOld(settings: Settings, server: Running, before: Before): Promise<void> {
  assert.deepEqual(await rosters(settings), before.rosters)
  for (const user of users) {
    await as(settings, user, async () => undefined, {
      mechanism: 'PLAIN',
      port: settings.tlsPort,
      tls: true,
    })
    await assert.rejects(signIn(settings, user, { password: 'wrong' }), SignInError)
  }
  assert.equal(await server.ctl('get_last', 'frank', 'localhost'), before.last)
  await as(settings, 'bob', async (client) => {
    const { messages, requests } = await takeWaiting(client, 4)
    assert.deepEqual(bodies(messages), ['first', 'second ✓ <&>', 'third'])
    assert.deepEqual(requests, [{ from: 'frank@localhost', status: '' }])
    for (const stanza of messages) {
      assert.equal(stanza.attr('from'), 'eve@localhost/test')
      assert.equal(stanza.attr('to'), 'bob@localhost')
      assert.equal(stanza.attr('id'), `id of ${stanza.childText('body')}`)
      const thing = stanza.child('thing', 'urn:example:thing')
      assert.equal(thing?.attr('kind'), 'ä & "b"')
      assert.ok(thing.child('part', 'urn:x'))
      const stamp = Date.parse(stanza.child('delay', delayNs)?.attr('stamp') ?? '')
      assert.ok(stamp >= before.startedAt - 1000 && stamp <= before.endedAt + 1000, `${stamp}`)
    }
  })
  // Whoever sees bob's presence may ask when he was here (XEP-0012 §4).
  await as(settings, 'alice', async (client) => {
    const answer = await client.request('get', xml('query', lastNs), 'bob@localhost')
    assert.equal(answer?.attr('type'), 'result')
    assert.match(answer.child('query', lastNs)?.attr('seconds') ?? '', /^\d+$/)
    const refused = await client.request('get', xml('query', lastNs), 'dave@localhost')
    assert.equal(refused?.attr('type'), 'error')
  })
}

interface Before {
  readonly rosters: Record<string, readonly Contact[]>
  readonly last: string
  readonly startedAt: number
  readonly endedAt: number
}

/** Leaves traces of its own in each of the tables. */
async function change(settings: Settings, server: Running): Promise<void> {
  await server.ctl('register', 'grace', 'localhost', 'new')
  await server.ctl('change_password', 'eve', 'localhost', 'changed')
  await as(settings, 'alice', async (client) => {
    await setContact(client, 'bob', 'Robert', 'Family')
    const removed = xml('item', rosterNs, { jid: 'nobody@localhost', subscription: 'remove' })
    await client.request('set', xml('query', rosterNs, {}, removed))
    await send(client, presence({ to: 'carol@localhost', type: 'unsubscribe' }))
  })
  await as(settings, 'dave', async (client) => {
    const { requests } = await takeWaiting(client, 1)
    assert.deepEqual(requests, [{ from: 'alice@localhost', status: "It's me, Ålice" }])
    await send(client, presence({ to: 'alice@localhost', type: 'subscribed' }))
    await send(client, presence({ type: 'unavailable' }, 'Dave – left'))
  })
  await as(settings, 'grace', async (client) => {
    await send(client, presence({ to: 'carol@localhost', type: 'subscribe' }, 'Hi & hello'))
    await send(client, message('carol', 'three ✓ <&>'))
  })
  await as(settings, 'frank', (client) => send(client, message('grace', 'welcome')))
}

/** Everything is there: what it left itself, and what Linnet made of it. */
async function serveChanged(
  settings: Settings,
  server: Running,
  after: { readonly rosters: Record<string, readonly Contact[]>; readonly last: string },
): Promise<void> {
  const eve = { password: 'changed' }
  await assert.rejects(signIn(settings, 'eve'), SignInError)
  await as(settings, 'eve', async () => undefined, eve)
  await as(settings, 'eve', async () => undefined, { ...eve, mechanism: 'PLAIN' })
  await as(settings, 'bob', async () => undefined, { mechanism: 'PLAIN' })
  for (const user of users) {
    const contacts = await as(settings, user, roster, user === 'eve' ? eve : {})
    assert.deepEqual(contacts, after.rosters[user], user)
  }
  assert.equal(await server.ctl('get_last', 'dave', 'localhost'), after.last)
  await as(settings, 'carol', async (client) => {
    const { messages, requests } = await takeWaiting(client, 4)
    assert.deepEqual(bodies(messages), ['one', 'two', 'three ✓ <&>'])
    assert.deepEqual(requests, [{ from: 'grace@localhost', status: 'Hi & hello' }])
    assert.equal(messages[2]?.child('thing', 'urn:example:thing')?.attr('kind'), 'ä & "b"')
    assert.ok(messages.every((stanza) => stanza.child('delay', delayNs) !== undefined))
  })
  await as(settings, 'grace', async (client) => {
    const { messages } = await takeWaiting(client, 1)
    assert.deepEqual(bodies(messages), ['welcome'])
  })
  await as(settings, 'bob', async (client) => {
    // What Linnet delivered is not there any more: the request is all that still waits.
    await send(client, message('bob', 'marker'))
    const { messages } = await takeWaiting(client, 2)
    assert.deepEqual(bodies(messages), ['marker'])
  })
}

for (const variant of variants) {
  test(
    `ejabberd and Linnet take turns on one database with ${variant.name}`,
    { skip: noEjabberd || noDriver },
    async () => {
      const dir = await mkdtemp(join(tmpdir(), 'linnet-database-'))
      try {
        const settings = await settingsFor(variant, dir)
        const before = await prepareWithEjabberd(settings)
        const after = await serveWithLinnet(settings, dir, before)
        await using server = await runEjabberd(settings)
        await serveChanged(settings, server, after)
        await server.stop()
      } finally {
        await rm(dir, { recursive: true })
      }
    },
  )
}

async function prepareWithEjabberd(settings: Settings): Promise<Before> {
  await using server = await runEjabberd(settings)
  const startedAt = Date.now()
  await fill(settings, server)
  const endedAt = Date.now()
  const found = await rosters(settings)
  assert.deepEqual(states(found), expectedRosters)
  const last = await server.ctl('get_last', 'frank', 'localhost')
  await server.stop()
  return { rosters: found, last, startedAt, endedAt }
}

async function serveWithLinnet(settings: Settings, dir: string, before: Before) {
  await using server = await runLinnet(settings, dir)
  await serveOld(settings, server, before)
  await change(settings, server)
  const eve = { password: 'changed' }
  const changed: Record<string, readonly Contact[]> = {}
  for (const user of users) {
    changed[user] = await as(settings, user, roster, user === 'eve' ? eve : {})
  }
  const last = await server.ctl('get_last', 'dave', 'localhost')
  await server.stop()
  return { rosters: changed, last }
}
