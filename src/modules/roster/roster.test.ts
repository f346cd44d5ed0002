import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ModuleServer } from '../../../test/support/module-server.ts'
import type { ModuleOptions } from '../../../test/support/module-server.ts'
import type { XmppClient } from '../../../test/support/xmpp-client.ts'
import { roster } from './roster.ts'

const start = (options: ModuleOptions[string] = {}): Promise<ModuleServer> =>
  ModuleServer.start([roster], { mod_roster: options })

const query = `xmlns='jabber:iq:roster'`

function set(client: XmppClient, id: string, item: string, attrs = ''): void {
  client.send(`<iq type='set' id='${id}'${attrs}><query ${query}>${item}</query></iq>`)
}

/** Asks for the roster, so that pushes come, and expects these items. */
async function gets(client: XmppClient, items = '', ver?: string): Promise<void> {
  client.send(`<iq type='get' id='get'><query ${query}/></iq>`)
  const version = ver === undefined ? '' : ` ver='${ver}'`
  await client.receives(
    `<iq type='result' id='get'><query ${query}${version}>${items}</query></iq>`,
  )
}

const push = (item: string): string => `<iq type='set'><query ${query}>${item}</query></iq>`
const refusal = (id: string, type: string, condition: string): string =>
  `<iq type='error' id='${id}'>{any}<error type='${type}' code='{any}'>` +
  `<${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{any}</error></iq>`

describe('the roster (RFC 6121 §2)', () => {
  test('is empty at first, and not an error (§2.1.4)', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    await gets(romeo)
  })

  // shows: module mod_roster
  test('takes items, tells all interested resources and keeps them (§2.3.2)', async () => {
    await using server = await start()
    await using balcony = await server.login('juliet', { resource: 'balcony' })
    await using chamber = await server.login('juliet', { resource: 'chamber' })
    await using silent = await server.login('juliet', { resource: 'silent' })
    await gets(balcony)
    await gets(chamber)
    set(balcony, 'add', `<item jid='nurse@localhost' name='Nurse'><group>Servants</group></item>`)
    const item = `<item jid='nurse@localhost' name='Nurse' subscription='none'><group>Servants</group></item>`
    await balcony.receives(push(item))
    await balcony.receives(`<iq type='result' id='add'/>`)
    await chamber.receives(push(item))
    await silent.receivesNothing()
    await gets(silent, item)
  })

  test('updates and removes items; only "remove" counts of what "subscription" says (§2.4, §2.5)', async () => {
    await using server = await start()
    await using juliet = await server.login('juliet')
    await gets(juliet)
    set(
      juliet,
      '1',
      `<item jid='nurse@localhost' name='N' subscription='both'><group>A</group></item>`,
    )
    const first = `<item jid='nurse@localhost' name='N' subscription='none'><group>A</group></item>`
    await juliet.receives(push(first))
    await juliet.receives(`<iq type='result' id='1'/>`)
    set(juliet, '2', `<item jid='Nurse@localhost' name=''/>`)
    await juliet.receives(push(`<item jid='nurse@localhost' subscription='none'/>`))
    await juliet.receives(`<iq type='result' id='2'/>`)
    set(juliet, '3', `<item jid='nurse@localhost' subscription='remove'/>`)
    await juliet.receives(push(`<item jid='nurse@localhost' subscription='remove'/>`))
    await juliet.receives(`<iq type='result' id='3'/>`)
    await gets(juliet)
    set(juliet, '4', `<item jid='nurse@localhost' subscription='remove'/>`)
    await juliet.receives(refusal('4', 'modify', 'item-not-found'))
  })

  test('refuses what is no roster set (§2.3.3)', async () => {
    await using server = await start()
    await using juliet = await server.login('juliet')
    await gets(juliet)
    const long = 'x'.repeat(1024)
    const rows: readonly (readonly [string, string, string])[] = [
      ['', 'modify', 'bad-request'],
      [`<item jid='a@b'/><item jid='c@d'/>`, 'modify', 'bad-request'],
      [`<item name='a'/>`, 'modify', 'bad-request'],
      [`<item jid='@b'/>`, 'modify', 'jid-malformed'],
      [`<item jid='a@b' ask='subscribe'/>`, 'modify', 'bad-request'],
      [`<item jid='a@b'><group>A</group><group>A</group></item>`, 'modify', 'bad-request'],
      [`<item jid='a@b'><group/></item>`, 'modify', 'not-acceptable'],
      [`<item jid='a@b'><group>${long}</group></item>`, 'modify', 'not-acceptable'],
      [`<item jid='a@b' name='${long}'/>`, 'modify', 'not-acceptable'],
    ]
    for (const [index, [item, type, condition]] of rows.entries()) {
      set(juliet, `row${index}`, item)
      await juliet.receives(refusal(`row${index}`, type, condition))
    }
    juliet.send(`<iq type='get' id='g'><query ${query}><item jid='a@b'/></query></iq>`)
    await juliet.receives(refusal('g', 'modify', 'bad-request'))
    await gets(juliet)
  })

  test('is for its owner alone (§2.1.5)', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo')
    set(romeo, 's', `<item jid='a@b'/>`, ` to='juliet@localhost'`)
    await romeo.receives(refusal('s', 'auth', 'forbidden'))
    romeo.send(`<iq type='get' id='g' to='juliet@localhost'><query ${query}/></iq>`)
    await romeo.receives(refusal('g', 'auth', 'forbidden'))
  })

  // shows: option mod_roster.access
  test('may be closed to changes by a rule', async () => {
    await using server = await start({ access: 'none' })
    await using romeo = await server.login('romeo', { isAvailable: true })
    set(romeo, 's', `<item jid='a@b'/>`)
    await romeo.receives(refusal('s', 'cancel', 'not-allowed'))
    romeo.send(`<presence type='subscribe' to='juliet@localhost' id='p'/>`)
    await romeo.receives(
      `<presence type='error' id='p'><error type='auth' code='{any}'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    )
  })

  test('survives a restart of the module, in rows like those of ejabberd', async () => {
    await using server = await start({ use_cache: false })
    await using romeo = await server.login('romeo')
    set(romeo, '1', `<item jid='juliet@localhost' name='J'><group>A</group><group>B</group></item>`)
    await romeo.receives(`<iq type='result' id='1'/>`)
    const store = server.store()
    const rows = await store.read(store.table('rosterusers').select().selectAll('rosterusers'))
    const { created_at, ...row } = rows[0] ?? assert.fail()
    assert.match(created_at, /^\d{4}-/)
    assert.deepEqual(
      { ...row },
      {
        username: 'romeo',
        server_host: 'localhost',
        jid: 'juliet@localhost',
        nick: 'J',
        subscription: 'N',
        approved: false,
        ask: 'N',
        askmessage: '',
        server: 'N',
        subscribe: '',
        type: 'item',
      },
    )
    await server.apply({})
    await server.apply({ mod_roster: {} })
    await gets(
      romeo,
      `<item jid='juliet@localhost' name='J' subscription='none'><group>A</group><group>B</group></item>`,
    )
  })

  test('goes with the account, whose contacts hear of it', async () => {
    await using server = await start()
    await using juliet = await server.login('juliet', { isAvailable: true })
    await gets(juliet)
    await server.run('add_rosteritem', 'juliet', 'localhost', 'romeo', 'localhost', '', [], 'both')
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='both'/>`))
    await server.run('add_rosteritem', 'romeo', 'localhost', 'juliet', 'localhost', '', [], 'both')
    await server.xmpp.removeAccount('romeo@localhost')
    const store = server.store()
    const rows = store.table('rosterusers').select().select('username')
    await juliet.receives(`<presence type='unsubscribe' from='romeo@localhost'/>`)
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='to'/>`))
    await juliet.receives(`<presence type='unsubscribed' from='romeo@localhost'/>`)
    await juliet.receives(push(`<item jid='romeo@localhost' subscription='none'/>`))
    assert.deepEqual(
      (await store.read(rows)).map(({ username }) => username),
      ['juliet'],
    )
  })
})

describe('roster versions (RFC 6121 §2.6)', () => {
  for (const stored of [false, true]) {
    // shows: option mod_roster.store_current_id
    test(`spare loading the roster again (store_current_id: ${stored})`, async () => {
      await using server = await start({ versioning: true, store_current_id: stored })
      await using romeo = await server.login('romeo')
      romeo.send(`<iq type='get' id='1'><query ${query} ver=''/></iq>`)
      const empty = await romeo.receives(
        `<iq type='result' id='1'><query ${query} ver='{any}'/></iq>`,
      )
      set(romeo, '2', `<item jid='juliet@localhost'/>`)
      const pushed = await romeo.receives(
        `<iq type='set'><query ${query} ver='{any}'><item jid='juliet@localhost' subscription='none'/></query></iq>`,
      )
      await romeo.receives(`<iq type='result' id='2'/>`)
      const [before, now] = [empty, pushed].map((iq) => iq.child('query', '*')?.attr('ver'))
      assert.notEqual(before, now)
      romeo.send(`<iq type='get' id='3'><query ${query} ver='${now}'/></iq>`)
      await romeo.receives(`<iq type='result' id='3'/>`)
      romeo.send(`<iq type='get' id='4'><query ${query} ver='${before}'/></iq>`)
      await romeo.receives(
        `<iq type='result' id='4'><query ${query} ver='${now}'><item jid='juliet@localhost' subscription='none'/></query></iq>`,
      )
      // The same content after a restart has the same version.
      await server.apply({})
      await server.apply({ mod_roster: { versioning: true, store_current_id: stored } })
      romeo.send(`<iq type='get' id='5'><query ${query} ver='${now}'/></iq>`)
      await romeo.receives(`<iq type='result' id='5'/>`)
    })
  }

  // shows: option mod_roster.versioning
  test('are offered in the stream features, like pre-approval (§2.6.1, §3.4)', async () => {
    await using server = await start({ versioning: true })
    const features = async (): Promise<readonly string[]> => {
      await using client = await server.xmpp.connect()
      await client.opens()
      const element = await client.authenticates('romeo')
      return element.elements().map(({ ns }) => ns)
    }
    assert.ok((await features()).includes('urn:xmpp:features:rosterver'))
    assert.ok((await features()).includes('urn:xmpp:features:pre-approval'))
    await server.apply({ mod_roster: { versioning: false } })
    assert.ok(!(await features()).includes('urn:xmpp:features:rosterver'))
  })
})
