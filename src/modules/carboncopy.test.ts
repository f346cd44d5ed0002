import { describe, test } from 'node:test'
import { ModuleServer } from '../../test/support/module-server.ts'
import type { XmppClient } from '../../test/support/xmpp-client.ts'
import { carboncopy } from './carboncopy.ts'

const ns = `xmlns='urn:xmpp:carbons:2'`
const notAllowed = `<error type='cancel' code='405'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`

const start = (): Promise<ModuleServer> => ModuleServer.start([carboncopy], { mod_carboncopy: {} })

async function enables(client: XmppClient, name = 'enable'): Promise<void> {
  client.send(`<iq type='set' id='c'><${name} ${ns}/></iq>`)
  await client.receives(`<iq type='result' id='c'/>`)
}

/** What Juliet's two clients, both of which want copies, and Romeo's say to each other. */
async function threesome(
  server: ModuleServer,
): Promise<{ balcony: XmppClient; chamber: XmppClient; romeo: XmppClient }> {
  const balcony = await server.login('juliet', { resource: 'balcony', isAvailable: true })
  const chamber = await server.login('juliet', { resource: 'chamber' })
  await enables(balcony)
  await enables(chamber)
  return { balcony, chamber, romeo: await server.login('romeo', { isAvailable: true }) }
}

const copy = (direction: 'sent' | 'received', message: string, type = 'chat'): string =>
  `<message from='juliet@localhost' to='{any}'${type === 'normal' ? '' : ` type='${type}'`}><${direction} ${ns}>` +
  `<forwarded xmlns='urn:xmpp:forward:0'>${message.replace('<message', `<message xmlns='jabber:client'`)}</forwarded></${direction}></message>`

describe('message carbons (XEP-0280)', () => {
  // shows: module mod_carboncopy
  test('are for those who ask for them (§5)', async () => {
    await using server = await start()
    const { balcony, chamber, romeo } = await threesome(server)
    await using _b = balcony
    await using _c = chamber
    await using _r = romeo
    await enables(chamber, 'disable')
    romeo.send(`<message to='${balcony.jid}' type='chat'><body>1</body></message>`)
    await balcony.receives(`<message from='{any}' to='{any}' type='chat'><body>1</body></message>`)
    await chamber.receivesNothing()
    romeo.send(`<iq type='set' id='c' to='juliet@localhost'><enable ${ns}/></iq>`)
    await romeo.receives(
      `<iq type='error' id='c' from='juliet@localhost'><enable ${ns}/>${notAllowed}</iq>`,
    )
  })

  test('show what came to another client, and what another client sent (§7, §8)', async () => {
    await using server = await start()
    const { balcony, chamber, romeo } = await threesome(server)
    await using _b = balcony
    await using _c = chamber
    await using _r = romeo
    const message = `<message from='${romeo.jid}' to='${balcony.jid}' type='chat'><body>1</body></message>`
    romeo.send(`<message to='${balcony.jid}' type='chat'><body>1</body></message>`)
    await balcony.receives(message)
    await chamber.receives(copy('received', message))
    await balcony.receivesNothing()
    chamber.send(`<message to='romeo@localhost' type='chat'><body>2</body></message>`)
    const sent = `<message from='${chamber.jid}' to='romeo@localhost' type='chat'><body>2</body></message>`
    await romeo.receives(sent)
    await balcony.receives(copy('sent', sent))
    await chamber.receivesNothing()
  })

  test('go with a message to the bare address to those who did not get it', async () => {
    await using server = await start()
    const { balcony, chamber, romeo } = await threesome(server)
    await using _b = balcony
    await using _c = chamber
    await using _r = romeo
    const message = `<message from='${romeo.jid}' to='juliet@localhost' type='chat'><body>1</body></message>`
    romeo.send(`<message to='juliet@localhost' type='chat'><body>1</body></message>`)
    await balcony.receives(message)
    await chamber.receives(copy('received', message))
    await balcony.receivesNothing()
    // Both are available: both get it, and none a copy.
    chamber.send('<presence/>')
    await chamber.receivesAll(
      `<presence from='${chamber.jid}' to='{any}'/>`,
      `<presence from='${balcony.jid}' to='{any}'/>`,
    )
    await balcony.receives(`<presence from='${chamber.jid}' to='{any}'/>`)
    romeo.send(`<message to='juliet@localhost' type='chat'><body>2</body></message>`)
    for (const client of [balcony, chamber]) {
      await client.receives(`<message from='{any}' to='{any}' type='chat'><body>2</body></message>`)
      await client.receivesNothing()
    }
  })

  test('concern what every client has to know, and nothing else (§6.1)', async () => {
    await using server = await start()
    const { balcony, chamber, romeo } = await threesome(server)
    await using _b = balcony
    await using _c = chamber
    await using _r = romeo
    const to = `to='${balcony.jid}'`
    const body = '<body>x</body>'
    const room = `<x xmlns='http://jabber.org/protocol/muc#user'`
    const copied = [
      `<message ${to} type='chat'><received xmlns='urn:xmpp:receipts' id='1'/></message>`,
      `<message ${to}>${body}</message>`,
      `<message ${to}><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/></message>`,
      `<message ${to}>${room}><invite from='a@localhost'/></x></message>`,
    ]
    const uncopied = [
      `<message ${to} type='groupchat'>${body}</message>`,
      `<message ${to} type='headline'>${body}</message>`,
      `<message ${to} type='chat'>${body}<no-copy xmlns='urn:xmpp:hints'/></message>`,
      `<message ${to} type='chat'>${body}${room}/></message>`,
      `<message ${to}><data xmlns='urn:example:data'/></message>`,
    ]
    for (const message of uncopied) {
      romeo.send(message)
      await balcony.next('message')
      await chamber.receivesNothing()
    }
    for (const message of copied) {
      romeo.send(message)
      await balcony.next('message')
      const element = await chamber.next('message')
      if (element.child('received', 'urn:xmpp:carbons:2') === undefined) throw new Error(message)
    }
    // §6.2: the recipient does not see the mark.
    romeo.send(`<message ${to} type='chat'>${body}<private ${ns}/></message>`)
    await balcony.receives(`<message from='{any}' to='{any}' type='chat'>${body}</message>`)
    await chamber.receivesNothing()
  })
})
