import { describe, test } from 'node:test'
import { ModuleServer } from '../../test/support/module-server.ts'
import type { ModuleOptions } from '../../test/support/module-server.ts'
import type { XmppClient } from '../../test/support/xmpp-client.ts'
import { clientState } from './client-state.ts'

const inactive = `<inactive xmlns='urn:xmpp:csi:0'/>`
const active = `<active xmlns='urn:xmpp:csi:0'/>`
const states = `xmlns='http://jabber.org/protocol/chatstates'`
const delay = `<delay xmlns='urn:xmpp:delay' from='localhost' stamp='{any}'>{any}</delay>`

const start = (options: ModuleOptions[string] = {}): Promise<ModuleServer> =>
  ModuleServer.start([clientState], { mod_client_state: options })

/** Juliet, inactive, and Romeo, who writes to her. */
async function couple(server: ModuleServer): Promise<{ juliet: XmppClient; romeo: XmppClient }> {
  const juliet = await server.login('juliet', { isAvailable: true })
  const romeo = await server.login('romeo')
  juliet.send(inactive)
  await juliet.receivesNothing()
  return { juliet, romeo }
}

/** Both streams have been read: an answer has come back on each. IQs cannot wait, so this releases what is held. */
async function settled(...clients: readonly XmppClient[]): Promise<void> {
  for (const client of clients) await client.receivesNothing()
}

const presence = (to: XmppClient, show: string): string =>
  `<presence to='${to.jid}'><show>${show}</show></presence>`
const seen = (show: string): string =>
  `<presence from='{any}' to='{any}'><show>${show}</show>${delay}</presence>`
const typing = (to: XmppClient, state: string): string =>
  `<message to='${to.jid}' type='chat'><${state} ${states}/></message>`
const event = (node: string, value: string, to = ''): string =>
  `<message type='headline'${to}><event xmlns='http://jabber.org/protocol/pubsub#event'>` +
  `<items node='${node}'><item id='1'>${value}</item></items></event>`
const hello = `<body>hello</body></message>`

describe('client state indication (XEP-0352)', () => {
  // shows: module mod_client_state
  // shows: option mod_client_state.queue_presence
  test('holds presence back until something comes that cannot wait (§5)', async () => {
    await using server = await start()
    await using client = await server.xmpp.connect()
    await client.opens()
    const features = await client.authenticates('nurse')
    if (features.child('csi', 'urn:xmpp:csi:0') === undefined) throw new Error('not offered')
    const { juliet, romeo } = await couple(server)
    await using _juliet = juliet
    await using _romeo = romeo
    romeo.send(presence(juliet, 'away') + presence(juliet, 'dnd'))
    await settled(romeo)
    romeo.send(`<message to='${juliet.jid}' type='chat'>${hello}`)
    // The last of each sender, in front of what could not wait.
    await juliet.receives(seen('dnd'))
    await juliet.receives(`<message type='chat' from='{any}' to='{any}'>${hello}`)
  })

  test('hands everything out when the client is active again (§4)', async () => {
    await using server = await start()
    const { juliet, romeo } = await couple(server)
    await using _juliet = juliet
    await using _romeo = romeo
    romeo.send(presence(juliet, 'away'))
    await settled(romeo)
    juliet.send(active)
    await juliet.receives(seen('away'))
    romeo.send(presence(juliet, 'xa'))
    await juliet.receives(`<presence from='{any}' to='{any}'><show>xa</show></presence>`)
  })

  // shows: option mod_client_state.queue_chat_states
  test('holds chat states back, carbon copies of them too', async () => {
    await using server = await start()
    const { juliet, romeo } = await couple(server)
    await using _juliet = juliet
    await using _romeo = romeo
    const copy = (inner: string): string =>
      `<message to='${juliet.jid}' type='chat'><received xmlns='urn:xmpp:carbons:2'>` +
      `<forwarded xmlns='urn:xmpp:forward:0'>${inner}</forwarded></received></message>`
    romeo.send(typing(juliet, 'composing') + typing(juliet, 'paused'))
    await settled(romeo)
    romeo.send(`<message to='${juliet.jid}' id='empty' type='chat'/>`)
    await juliet.receives(
      `<message type='chat' from='{any}' to='{any}'><paused ${states}/>${delay}</message>`,
    )
    await juliet.receives(`<message type='chat' id='empty' from='{any}' to='{any}'/>`)
    const inner = `<message xmlns='jabber:client'><composing ${states}/></message>`
    romeo.send(copy(inner))
    await settled(romeo)
    romeo.send(copy(`<message xmlns='jabber:client'>${hello}`))
    await juliet.receives(`<message type='chat' from='{any}' to='{any}'>{any}${delay}</message>`)
    await juliet.receives(`<message type='chat' from='{any}' to='{any}'>{any}</message>`)
  })

  // shows: option mod_client_state.queue_pep
  test('keeps the last event of each node', async () => {
    await using server = await start()
    const { juliet, romeo } = await couple(server)
    await using _juliet = juliet
    await using _romeo = romeo
    const to = ` to='${juliet.jid}'`
    for (const [node, value] of [
      ['mood', '1'],
      ['tune', '2'],
      ['mood', '3'],
    ] as const) {
      romeo.send(`${event(node, value, to)}</message>`)
    }
    await settled(romeo)
    juliet.send(active)
    await juliet.receives(`${event('tune', '2')}${delay}</message>`)
    await juliet.receives(`${event('mood', '3')}${delay}</message>`)
  })

  test('holds nothing back that is switched off, and no more than a hundred', async () => {
    await using server = await start({ queue_presence: false })
    const { juliet, romeo } = await couple(server)
    await using _juliet = juliet
    await using _romeo = romeo
    romeo.send(presence(juliet, 'away'))
    await juliet.receives(`<presence from='{any}' to='{any}'><show>away</show></presence>`)
    for (let i = 0; i <= 100; i++)
      romeo.send(`${event(`n${i}`, 'x', ` to='${juliet.jid}'`)}</message>`)
    for (let i = 0; i <= 100; i++) await juliet.receives(`${event(`n${i}`, 'x')}${delay}</message>`)
    await server.apply({
      mod_client_state: { queue_presence: false, queue_pep: false, queue_chat_states: false },
    })
    await using client = await server.xmpp.connect()
    await client.opens()
    const features = await client.authenticates('nurse')
    if (features.child('csi', 'urn:xmpp:csi:0') !== undefined) throw new Error('still offered')
  })
})
