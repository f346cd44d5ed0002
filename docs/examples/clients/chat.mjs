// Chats by XMPP with @xmpp/client: says one thing to somebody, prints what comes back, and leaves.
//   node chat.mjs author@localhost Pass user1@localhost "Hello"
import { client, xml } from '@xmpp/client'

const [address = '', password = '', peer = '', text = ''] = process.argv.slice(2)
const [username, domain] = address.split('@')
const service = process.env.XMPP_SERVICE ?? `xmpp://${domain}:5222`

const xmpp = client({ service, domain, username, password, resource: 'chat' })
xmpp.on('error', (error) => {
  console.error(error.message)
  process.exitCode = 1
})
xmpp.on('stanza', async (stanza) => {
  const body = stanza.is('message') ? stanza.getChildText('body') : undefined
  if (!body) return
  console.log(`${stanza.attrs.from.split('/')[0]}: ${body}`)
  await xmpp.stop()
})
xmpp.on('online', async (jid) => {
  console.log(`signed in as ${jid.bare()}`)
  await xmpp.send(xml('presence'))
  await xmpp.send(xml('message', { to: peer, type: 'chat' }, xml('body', {}, text)))
})
await xmpp.start()
