import { test } from 'node:test'
import { ModuleServer } from '../../test/support/module-server.ts'
import { ping } from './ping.ts'

const ns = `xmlns='urn:xmpp:ping'`

// shows: module mod_ping
test('answers pings to the host, an account and a resource (XEP-0199 §4)', async () => {
  await using server = await ModuleServer.start([ping], { mod_ping: {} })
  await using romeo = await server.login('romeo')
  for (const to of ['localhost', 'romeo@localhost', 'juliet@localhost']) {
    romeo.send(`<iq type='get' id='p' to='${to}'><ping ${ns}/></iq>`)
    await romeo.receives(`<iq type='result' id='p' from='${to}'/>`)
  }
  await using juliet = await server.login('juliet')
  romeo.send(`<iq type='get' id='p' to='${juliet.jid}'><ping ${ns}/></iq>`)
  await juliet.receives(`<iq type='get' id='p' from='${romeo.jid}'><ping ${ns}/></iq>`)
})

const killing = { send_pings: true, ping_ack_timeout: '5s', timeout_action: 'kill' }

// shows: option mod_ping.ping_ack_timeout
test('disconnects a client that stops answering pings (XEP-0199 §4.1)', async () => {
  await using server = await ModuleServer.start([ping], { mod_ping: killing })
  await using romeo = await server.login('romeo')
  server.xmpp.clock.advance(60_000) // Romeo is idle.
  await romeo.receives(`<iq type='get' id='{any}' from='localhost'><ping ${ns}/></iq>`)
  server.xmpp.clock.advance(5000)
  await romeo.isClosed('connection-timeout')
})

test('leaves clients alone that answer, with an error or not, or that send anything', async () => {
  await using server = await ModuleServer.start([ping], { mod_ping: killing })
  const { clock } = server.xmpp
  await using romeo = await server.login('romeo')
  for (const type of ['result', 'error']) {
    clock.advance(60_000)
    const request = await romeo.receives(`<iq type='get'><ping ${ns}/></iq>`)
    romeo.send(`<iq type='${type}' id='${request.attr('id')}' to='localhost'/>`)
    await romeo.receivesNothing()
    clock.advance(30_000)
    await romeo.receivesNothing()
  }
  // It spoke half a minute ago.
  clock.advance(45_000)
  await romeo.receivesNothing()
  clock.advance(59_000)
  await romeo.receivesNothing()
})

// shows: option mod_ping.timeout_action
test('only notes it when a client does not answer, unless told to kill', async () => {
  const options = { ...killing, timeout_action: 'none' }
  await using server = await ModuleServer.start([ping], { mod_ping: options })
  await using romeo = await server.login('romeo')
  server.xmpp.clock.advance(60_000)
  await romeo.receives(`<iq type='get'><ping ${ns}/></iq>`)
  server.xmpp.clock.advance(5000)
  await romeo.receivesNothing()
  server.xmpp.clock.advance(61_000)
  await romeo.receives(`<iq type='get'><ping ${ns}/></iq>`)
})

// shows: option mod_ping.send_pings
// shows: option mod_ping.ping_interval
test('takes changed options over for sessions that are there', async () => {
  await using server = await ModuleServer.start([ping], { mod_ping: {} })
  await using romeo = await server.login('romeo')
  server.xmpp.clock.advance(600_000)
  await romeo.receivesNothing()
  await server.apply({ mod_ping: { send_pings: true, ping_interval: '10s' } })
  server.xmpp.clock.advance(10_000)
  await romeo.receives(`<iq type='get'><ping ${ns}/></iq>`)
  await server.apply({ mod_ping: {} })
  server.xmpp.clock.advance(600_000)
  await romeo.receivesNothing()
})
