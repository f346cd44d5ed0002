import { test } from 'node:test'
import { ModuleServer } from '../../test/support/module-server.ts'
import type { ModuleOptions } from '../../test/support/module-server.ts'
import type { XmppClient } from '../../test/support/xmpp-client.ts'
import { defineModule } from '../core/module.ts'
import { discoInfo, discoItems } from '../xmpp/hooks.ts'
import { parseHostName } from '../xmpp/jid/jid.ts'
import { disco } from './disco.ts'
import { roster } from './roster/roster.ts'

/** A module with a service, a feature for accounts, and a node on the host. */
const rooms = defineModule({
  name: 'mod_muc',
  options: {},
  start(ctx) {
    const domain = parseHostName(`rooms.${ctx.host}`)
    if (!domain.ok) throw new Error('No host name')
    ctx.serviceHost(domain.value, () => undefined, { name: 'Rooms' })
    ctx.advertise('urn:example:rooms', { on: 'account' })
    const node = 'urn:example:node'
    ctx.on(discoInfo, (info, query) =>
      query.node === node ? { identities: [], features: ['urn:example:a'], forms: [] } : info,
    )
    ctx.on(discoItems, (items, query) =>
      query.node === node ? [{ jid: query.to, node: 'sub', name: 'Sub' }] : items,
    )
  },
})

const start = (options: ModuleOptions[string] = {}): Promise<ModuleServer> =>
  ModuleServer.start([disco, roster, rooms], { mod_disco: options, mod_roster: {}, mod_muc: {} })

const infoNs = 'http://jabber.org/protocol/disco#info'
const itemsNs = 'http://jabber.org/protocol/disco#items'

function ask(client: XmppClient, ns: string, to: string, attrs = ''): void {
  client.send(`<iq type='get' id='d' to='${to}'><query xmlns='${ns}'${attrs}/></iq>`)
}

const answer = (ns: string, content: string, attrs = ''): string =>
  `<iq type='result' id='d'><query xmlns='${ns}'${attrs}>${content}</query></iq>`

const refusal = (condition: string): string =>
  `<iq type='error' id='d'>{any}<error type='cancel' code='{any}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`

// shows: module mod_disco
// shows: option mod_disco.name
test('tells what the host is and can do (XEP-0030 §3)', async () => {
  await using server = await start({ name: 'Verona' })
  await using romeo = await server.login('romeo')
  ask(romeo, infoNs, 'localhost')
  await romeo.receives(
    answer(
      infoNs,
      `<identity category='server' type='im' name='Verona'/>` +
        `<feature var='${infoNs}'/><feature var='${itemsNs}'/><feature var='iq'/><feature var='presence'/>`,
    ),
  )
})

// shows: option mod_disco.server_info
test('tells how to reach those who run the server (XEP-0157)', async () => {
  await using server = await start({
    server_info: [
      { modules: 'all', name: 'abuse-addresses', urls: ['mailto:abuse@localhost'] },
      { modules: ['mod_muc'], name: 'support-addresses', urls: ['xmpp:help@localhost'] },
      { modules: ['mod_disco'], name: 'admin-addresses', urls: ['xmpp:a@b', 'xmpp:c@d'] },
    ],
  })
  await using romeo = await server.login('romeo')
  ask(romeo, infoNs, 'localhost')
  await romeo.receives(
    answer(
      infoNs,
      `{any}<x xmlns='jabber:x:data' type='result'>` +
        `<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>` +
        `<field var='abuse-addresses' type='list-multi'><value>mailto:abuse@localhost</value></field>` +
        `<field var='admin-addresses' type='list-multi'><value>xmpp:a@b</value><value>xmpp:c@d</value></field></x>`,
    ),
  )
})

// shows: option mod_disco.extra_domains
test('lists services and extra domains (XEP-0030 §4)', async () => {
  await using server = await start({ extra_domains: ['users.example.org', 'rooms.localhost'] })
  await using romeo = await server.login('romeo')
  ask(romeo, itemsNs, 'localhost')
  await romeo.receives(
    answer(itemsNs, `<item jid='rooms.localhost' name='Rooms'/><item jid='users.example.org'/>`),
  )
})

test('asks modules about nodes, and knows no others (XEP-0030 §7)', async () => {
  await using server = await start()
  await using romeo = await server.login('romeo')
  const node = ` node='urn:example:node'`
  ask(romeo, infoNs, 'localhost', node)
  await romeo.receives(answer(infoNs, `<feature var='urn:example:a'/>`, node))
  ask(romeo, itemsNs, 'localhost', node)
  await romeo.receives(answer(itemsNs, `<item jid='localhost' node='sub' name='Sub'/>`, node))
  for (const ns of [infoNs, itemsNs]) {
    ask(romeo, ns, 'localhost', ` node='other'`)
    await romeo.receives(refusal('item-not-found'))
  }
})

test('tells of an account to itself and its subscribers only (XEP-0030 §8)', async () => {
  await using server = await start()
  await using juliet = await server.login('juliet', { resource: 'balcony', isAvailable: true })
  await using romeo = await server.login('romeo')
  const info = answer(
    infoNs,
    `<identity category='account' type='registered'/>` +
      `<feature var='${infoNs}'/><feature var='${itemsNs}'/><feature var='urn:example:rooms'/>`,
  )
  const items = answer(itemsNs, `<item jid='juliet@localhost/balcony'/>`)
  ask(juliet, infoNs, 'juliet@localhost')
  await juliet.receives(info)
  ask(juliet, itemsNs, 'juliet@localhost')
  await juliet.receives(items)
  for (const subscription of ['none', 'to']) {
    const entry = ['romeo', 'localhost', '', [], subscription] as const
    await server.run('add_rosteritem', 'juliet', 'localhost', ...entry)
    ask(romeo, infoNs, 'juliet@localhost')
    await romeo.receives(refusal('service-unavailable'))
    ask(romeo, itemsNs, 'juliet@localhost')
    await romeo.receives(answer(itemsNs, ''))
  }
  // Like one that does not exist.
  ask(romeo, infoNs, 'tybalt@localhost')
  await romeo.receives(refusal('service-unavailable'))
  const entry = ['romeo', 'localhost', '', [], 'from'] as const
  await server.run('add_rosteritem', 'juliet', 'localhost', ...entry)
  await romeo.receivesNothing()
  ask(romeo, infoNs, 'juliet@localhost')
  await romeo.receives(info)
  ask(romeo, itemsNs, 'juliet@localhost')
  await romeo.receives(items)
})
