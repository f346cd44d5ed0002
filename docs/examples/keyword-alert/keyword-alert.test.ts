import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ModuleDefinition } from '../../../src/core/module.ts'
import { modules } from '../../../src/modules/index.ts'
import { TestServer } from '../../../test/support/server.ts'
import { XmppClient } from '../../../test/support/xmpp-client.ts'
import { keywordAlert } from './keyword-alert.ts'

// What a line in src/modules/index.ts does. `TestServer` has no way to add a module; the list is read when a server is made.
if (!modules.includes(keywordAlert)) (modules as ModuleDefinition[]).push(keywordAlert)

const names = ['juliet', 'romeo', 'nurse'] as const

interface Settings {
  readonly config?: Readonly<Record<string, unknown>>
  readonly module?: Readonly<Record<string, unknown>>
  readonly others?: Readonly<Record<string, unknown>>
  readonly dataDir?: string
}

function start({ config, module = {}, others, dataDir }: Settings = {}): Promise<TestServer> {
  return TestServer.start({
    ...(dataDir === undefined ? {} : { dataDir }),
    config: {
      listen: [{ port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' }],
      modules: { mod_keyword_alert: module, ...others },
      ...config,
    },
  })
}

async function register(server: TestServer): Promise<void> {
  for (const name of names) await server.ok('register', name, 'localhost', 'Pass')
}

async function login(server: TestServer, name: string): Promise<XmppClient> {
  const client = await XmppClient.connect(server.port('ejabberd_c2s'))
  await client.login(name, { password: 'Pass', isAvailable: true })
  return client
}

async function listOf(server: TestServer, name: string, host = 'localhost'): Promise<string[]> {
  const output = await server.ok('keyword_list', name, host)
  return output.split('\n').filter((line) => line !== '')
}

const alert = (keywords: string): string =>
  `<message type='headline' from='localhost'>` +
  `<body>Keyword alert: ${keywords} (in a message from romeo@localhost)</body></message>`

// shows: module mod_keyword_alert
test('tells an account that a message to somebody else has one of its keywords in it', async () => {
  await using server = await start()
  await register(server)
  await server.ok('keyword_add', 'nurse', 'localhost', ' Balcony ')
  await server.ok('keyword_add', 'nurse', 'localhost', 'moon')
  await using juliet = await login(server, 'juliet')
  await using romeo = await login(server, 'romeo')
  await using nurse = await login(server, 'nurse')

  romeo.send(`<message to='juliet@localhost' type='chat'><body>The BALCONY?</body></message>`)
  await juliet.receives(`<message type='chat'><body>The BALCONY?</body></message>`)
  await nurse.receives(alert('balcony'))

  romeo.send(`<message to='${juliet.jid}'><body>Balconies under the Moon</body></message>`)
  romeo.send(`<message to='juliet@localhost'><body>Moon, balcony</body></message>`)
  await nurse.receives(alert('moon'))
  await nurse.receives(alert('balcony, moon'))
  await nurse.receivesNothing()
  await romeo.receivesNothing()
})

test('tells nothing to the sender, to the recipient, or of what is not delivered', async () => {
  await using server = await start()
  await register(server)
  for (const name of names) await server.ok('keyword_add', name, 'localhost', 'alert')
  await using romeo = await login(server, 'romeo')
  await using nurse = await login(server, 'nurse')

  // To nobody, and to somebody who is not there and has no storage.
  romeo.send(`<message to='tybalt@localhost' id='1'><body>alert</body></message>`)
  await romeo.receives(`<message type='error' id='1'>{any}</message>`)
  romeo.send(`<message to='juliet@localhost' id='2'><body>alert</body></message>`)
  await romeo.receives(`<message type='error' id='2'>{any}</message>`)
  await nurse.receivesNothing()

  // The word is in the alerts, too: they cause no others.
  await using juliet = await login(server, 'juliet')
  romeo.send(`<message to='juliet@localhost' type='chat'><body>alert</body></message>`)
  await juliet.receives(`<message type='chat'><body>alert</body></message>`)
  await nurse.receives(alert('alert'))
  for (const client of [juliet, romeo, nurse]) await client.receivesNothing()
})

test('tells of a stored message once, when it is stored', async () => {
  await using server = await start({ others: { mod_offline: {} } })
  await register(server)
  await server.ok('keyword_add', 'nurse', 'localhost', 'balcony')
  await using romeo = await login(server, 'romeo')
  await using nurse = await login(server, 'nurse')
  romeo.send(`<message to='juliet@localhost' type='chat'><body>balcony</body></message>`)
  await nurse.receives(alert('balcony'))
  await using juliet = await XmppClient.connect(server.port('ejabberd_c2s'))
  await juliet.login('juliet', { password: 'Pass' })
  juliet.send('<presence/>')
  await juliet.receivesAll(
    '<presence/>',
    `<message type='chat' from='${romeo.jid}'><body>balcony</body>{any}</message>`,
  )
  await nurse.receivesNothing()
})

test('commands add, remove and list', async () => {
  await using server = await start()
  await register(server)
  assert.deepEqual(await listOf(server, 'nurse'), [])
  for (const keyword of ['moon', 'Balcony', 'balcony']) {
    await server.ok('keyword_add', 'Nurse', 'localhost', keyword)
  }
  assert.deepEqual(await listOf(server, 'nurse'), ['balcony', 'moon'])
  assert.deepEqual(await listOf(server, 'juliet'), [])
  await server.ok('keyword_remove', 'nurse', 'localhost', 'MOON')
  assert.deepEqual(await listOf(server, 'nurse'), ['balcony'])

  for (const words of [
    ['keyword_remove', 'nurse', 'localhost', 'moon'],
    ['keyword_add', 'tybalt', 'localhost', 'moon'],
    ['keyword_add', 'nurse', 'localhost', ' '],
    ['keyword_add', 'nurse', 'elsewhere', 'moon'],
    ['keyword_add', '', 'localhost', 'moon'],
  ]) {
    const { exit, output } = await server.run(...words)
    assert.notEqual(exit, 0, words.join(' '))
    assert.doesNotMatch(output, /internal|stack/i)
  }
})

// shows: option mod_keyword_alert.max_keywords
test('an account has at most max_keywords', async () => {
  await using server = await start({ module: { max_keywords: 2 } })
  await register(server)
  for (const keyword of ['a', 'b', 'b'])
    await server.ok('keyword_add', 'nurse', 'localhost', keyword)
  const { exit, output } = await server.run('keyword_add', 'nurse', 'localhost', 'c')
  assert.notEqual(exit, 0)
  assert.match(output, /2 keywords already/)
  const atOnce = await Promise.all(
    ['c', 'd', 'e'].map((keyword) => server.run('keyword_add', 'juliet', 'localhost', keyword)),
  )
  assert.equal(atOnce.filter((answer) => answer.exit === 0).length, 2)
  assert.deepEqual(await listOf(server, 'nurse'), ['a', 'b'])

  await server.reload({ modules: { mod_keyword_alert: { max_keywords: 3 } } })
  await server.ok('keyword_add', 'nurse', 'localhost', 'c')
  assert.deepEqual(await listOf(server, 'nurse'), ['a', 'b', 'c'])
})

test('an account has ten keywords if nothing else is said', async () => {
  await using server = await start()
  await register(server)
  for (let i = 0; i < 10; i++) await server.ok('keyword_add', 'nurse', 'localhost', `word ${i}`)
  assert.notEqual((await server.run('keyword_add', 'nurse', 'localhost', 'word 10')).exit, 0)
  assert.equal((await listOf(server, 'nurse')).length, 10)
})

// shows: option mod_keyword_alert.access
test('only those have keywords whom access lets', async () => {
  await using server = await start({
    config: {
      acl: { family: { user: 'juliet@localhost' } },
      access_rules: { keywords: { allow: 'family' } },
    },
  })
  await register(server)
  await server.ok('keyword_add', 'nurse', 'localhost', 'balcony')
  await server.ok('keyword_add', 'juliet', 'localhost', 'balcony')
  await server.reload({ modules: { mod_keyword_alert: { access: 'keywords' } } })
  assert.notEqual((await server.run('keyword_add', 'nurse', 'localhost', 'moon')).exit, 0)
  await server.ok('keyword_add', 'juliet', 'localhost', 'moon')

  await using juliet = await login(server, 'juliet')
  await using romeo = await login(server, 'romeo')
  await using nurse = await login(server, 'nurse')
  nurse.send(`<iq type='get' id='1'><query xmlns='urn:example:keywords'/></iq>`)
  await nurse.receives(
    `<iq type='error' id='1'>{any}<error type='auth' code='403'>{any}` +
      `<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  )
  romeo.send(`<message to='${romeo.jid}'><body>balcony</body></message>`)
  await juliet.receives(alert('balcony'))
  await nurse.receivesNothing()
})

test('an account asks for its own keywords, and for nobody else’s', async () => {
  await using server = await start()
  await register(server)
  await server.ok('keyword_add', 'nurse', 'localhost', 'moon')
  await server.ok('keyword_add', 'nurse', 'localhost', '<balcony> & co')
  await using nurse = await login(server, 'nurse')
  const query = `<query xmlns='urn:example:keywords'/>`
  nurse.send(`<iq type='get' id='1'>${query}</iq>`)
  await nurse.receives(
    `<iq type='result' id='1'><query xmlns='urn:example:keywords'>` +
      `<keyword>&lt;balcony&gt; &amp; co</keyword><keyword>moon</keyword></query></iq>`,
  )
  nurse.send(`<iq type='get' id='2' to='nurse@localhost'>${query}</iq>`)
  await nurse.receives(`<iq type='result' id='2'>{any}</iq>`)
  nurse.send(`<iq type='get' id='3' to='juliet@localhost'>${query}</iq>`)
  await nurse.receives(
    `<iq type='error' id='3'>{any}<error type='auth' code='403'>{any}` +
      `<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  )
})

test('keywords survive a restart and go with their account', async () => {
  await using first = await start()
  const { dataDir } = first
  await register(first)
  await first.ok('keyword_add', 'nurse', 'localhost', 'moon')
  await first.ok('keyword_add', 'juliet', 'localhost', 'moon')
  await first.server[Symbol.asyncDispose]()

  await using second = await start({ dataDir })
  assert.deepEqual(await listOf(second, 'nurse'), ['moon'])
  await second.ok('unregister', 'nurse', 'localhost')
  await second.ok('register', 'nurse', 'localhost', 'Pass')
  assert.deepEqual(await listOf(second, 'nurse'), [])
  // From the database, too.
  await second.reload({ modules: { mod_keyword_alert: { max_keywords: 5 } } })
  assert.deepEqual(await listOf(second, 'nurse'), [])
  assert.deepEqual(await listOf(second, 'juliet'), ['moon'])
})

test('hosts keep their keywords apart', async () => {
  await using server = await start({ config: { hosts: ['localhost', 'example.org'] } })
  for (const host of ['localhost', 'example.org']) {
    await server.ok('register', 'nurse', host, 'Pass')
    await server.ok('keyword_add', 'nurse', host, 'moon')
  }
  await server.ok('keyword_add', 'nurse', 'example.org', 'sun')
  await server.ok('keyword_remove', 'nurse', 'localhost', 'moon')
  // The keywords are read from the database again.
  await server.reload({ modules: { mod_keyword_alert: { max_keywords: 5 } } })
  assert.deepEqual(await listOf(server, 'nurse'), [])
  assert.deepEqual(await listOf(server, 'nurse', 'example.org'), ['moon', 'sun'])
})
