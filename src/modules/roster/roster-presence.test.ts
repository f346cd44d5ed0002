import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ModuleServer } from '../../../test/support/module-server.ts'
import { jid } from '../../xmpp/jid/jid.ts'
import { createPresence } from '../../xmpp/stanza/stanza.ts'
import type { Stanza } from '../../xmpp/stanza/stanza.ts'
import { clientNs } from '../../xmpp/xml/namespaces.ts'
import { toXml } from '../../xmpp/xml/write.ts'
import { roster } from './roster.ts'

/** Juliet and Romeo see each other; Juliet sees the nurse, who does not see her. */
async function start(): Promise<ModuleServer> {
  const server = await ModuleServer.start([roster], { mod_roster: {} })
  for (const [owner, contact, subscription] of [
    ['juliet', 'romeo', 'both'],
    ['romeo', 'juliet', 'both'],
    ['juliet', 'nurse', 'to'],
    ['nurse', 'juliet', 'from'],
  ] as const) {
    await server.run(
      'add_rosteritem',
      owner,
      'localhost',
      contact,
      'localhost',
      '',
      [],
      subscription,
    )
  }
  return server
}

describe('presence (RFC 6121 §4)', () => {
  test('goes to subscribers: the first, each change, and its end (§4.2, §4.4, §4.5)', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo', { isAvailable: true })
    await using nurse = await server.login('nurse', { isAvailable: true })
    await using juliet = await server.login('juliet', { resource: 'balcony' })
    juliet.send(`<presence><show>chat</show></presence>`)
    await juliet.receivesAll(
      `<presence from='juliet@localhost/balcony'><show>chat</show></presence>`,
      `<presence from='${romeo.jid}'/>`,
      `<presence from='${nurse.jid}'/>`,
    )
    await romeo.receives(
      `<presence from='juliet@localhost/balcony' to='romeo@localhost'><show>chat</show></presence>`,
    )
    juliet.send(`<presence><show>away</show></presence>`)
    await juliet.receives(`<presence from='${juliet.jid}'><show>away</show></presence>`)
    await romeo.receives(`<presence from='${juliet.jid}'><show>away</show></presence>`)
    juliet.send(`<presence type='unavailable'><status>gone</status></presence>`)
    await romeo.receives(
      `<presence type='unavailable' from='${juliet.jid}'><status>gone</status></presence>`,
    )
    // §4.5.2, last note: what comes after that is the first again.
    juliet.send('<presence/>')
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    await romeo.receivesNothing()
    await nurse.receivesNothing()
  })

  test('ends for subscribers when the client vanishes (§4.5.2)', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo', { isAvailable: true })
    await using juliet = await server.login('juliet')
    juliet.send('<presence/>')
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    await juliet.vanish()
    await romeo.receives(`<presence type='unavailable' from='${juliet.jid}'/>`)
    await romeo.receivesNothing()
  })

  test('of a client that never was available is told nobody', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo', { isAvailable: true })
    const juliet = await server.login('juliet')
    await juliet.vanish()
    await romeo.receivesNothing()
  })

  test('that was directed to a subscriber ends once (§4.6.3)', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo', { isAvailable: true })
    await using nurse = await server.login('nurse', { isAvailable: true })
    await using juliet = await server.login('juliet')
    juliet.send('<presence/>')
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    for (const to of [romeo.jid, nurse.jid]) {
      juliet.send(`<presence to='${to}'><show>dnd</show></presence>`)
    }
    await romeo.receives(`<presence from='${juliet.jid}'><show>dnd</show></presence>`)
    await nurse.receives(`<presence from='${juliet.jid}'><show>dnd</show></presence>`)
    await juliet.vanish()
    await romeo.receives(`<presence type='unavailable' from='${juliet.jid}'/>`)
    await nurse.receives(`<presence type='unavailable' from='${juliet.jid}'/>`)
    await romeo.receivesNothing()
    await nurse.receivesNothing()
  })

  test('is kept up over a restart of the module', async () => {
    await using server = await start()
    await using romeo = await server.login('romeo', { isAvailable: true })
    await using juliet = await server.login('juliet')
    juliet.send('<presence/>')
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    await server.apply({})
    await server.apply({ mod_roster: {} })
    juliet.send('<presence><show>xa</show></presence>')
    await romeo.receives(`<presence from='${juliet.jid}'><show>xa</show></presence>`)
    await juliet.vanish()
    await romeo.receives(`<presence type='unavailable' from='${juliet.jid}'/>`)
  })
})

/** What the server sends to domains that it does not serve. */
class Elsewhere {
  readonly #stanzas: Stanza[] = []
  #wake: (() => void) | undefined

  constructor(server: ModuleServer) {
    server.xmpp.router.setRemote((stanza) => {
      this.#stanzas.push(stanza)
      this.#wake?.()
    })
  }

  async next(): Promise<string> {
    while (this.#stanzas.length === 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
    const stanza = this.#stanzas.shift()
    return stanza === undefined ? '' : toXml(stanza.element, clientNs).replaceAll("'", '"')
  }
}

describe('a probe (RFC 6121 §4.3)', () => {
  const contact = 'tybalt@elsewhere.example'
  const probe = (server: ModuleServer, from: string, id = 'probe1'): void =>
    server.xmpp.router.route(
      createPresence('probe', { from: jid(from), to: jid('juliet@localhost'), id }),
    )
  const befriend = (server: ModuleServer, subscription: string): Promise<unknown> =>
    server.run(
      'add_rosteritem',
      'juliet',
      'localhost',
      'tybalt',
      'elsewhere.example',
      '',
      [],
      subscription,
    )

  test('is answered with the presence of each resource, id and all', async () => {
    await using server = await start()
    await befriend(server, 'from')
    const elsewhere = new Elsewhere(server)
    await using one = await server.login('juliet', { resource: 'one' })
    one.send(`<presence id='p1'><show>away</show></presence>`)
    await one.receives(`<presence from='${one.jid}'><show>away</show></presence>`)
    assert.match(await elsewhere.next(), /juliet@localhost\/one/)
    await using two = await server.login('juliet', { resource: 'two' })
    two.send(`<presence id='p2'/>`)
    assert.match(await elsewhere.next(), /juliet@localhost\/two/)
    probe(server, contact)
    const first = await elsewhere.next()
    assert.match(first, /id="p1"/)
    assert.match(first, /to="tybalt@elsewhere.example"/)
    assert.match(first, /<show>away<\/show>/)
    assert.match(await elsewhere.next(), /id="p2"/)
  })

  test('says unavailable when nobody is there, and unsubscribed to strangers', async () => {
    await using server = await start()
    const elsewhere = new Elsewhere(server)
    probe(server, contact)
    assert.equal(
      await elsewhere.next(),
      '<presence type="unsubscribed" from="juliet@localhost" to="tybalt@elsewhere.example" id="probe1"/>',
    )
    await befriend(server, 'both')
    probe(server, contact, 'probe2')
    assert.equal(
      await elsewhere.next(),
      '<presence type="unavailable" from="juliet@localhost" to="tybalt@elsewhere.example" id="probe2"/>',
    )
    await befriend(server, 'to')
    probe(server, contact, 'probe3')
    assert.match(await elsewhere.next(), /type="unsubscribed"/)
  })

  test('from who got presence of its own says only that the resource is there (§4.6.5)', async () => {
    await using server = await start()
    const elsewhere = new Elsewhere(server)
    await using juliet = await server.login('juliet', { isAvailable: true })
    await using other = await server.login('juliet', { isAvailable: false })
    other.send('<presence/>')
    juliet.send(`<presence to='room@rooms.example/J'><show>dnd</show></presence>`)
    assert.match(await elsewhere.next(), /<show>dnd<\/show>/)
    probe(server, 'room@rooms.example/J')
    const { jid: full } = juliet
    assert.equal(
      await elsewhere.next(),
      `<presence from="${full}" to="room@rooms.example/J" id="probe1"/>`,
    )
    probe(server, contact, 'probe2')
    assert.match(await elsewhere.next(), /type="unsubscribed".*id="probe2"/)
  })

  test('is sent to contacts elsewhere when a session comes (§4.3.1)', async () => {
    await using server = await start()
    await befriend(server, 'to')
    const elsewhere = new Elsewhere(server)
    await using juliet = await server.login('juliet')
    juliet.send('<presence/>')
    assert.equal(
      await elsewhere.next(),
      '<presence type="probe" from="juliet@localhost" to="tybalt@elsewhere.example"/>',
    )
  })
})
