import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { connectAsync } from 'mqtt'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const c2s = { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' }

async function mechanisms(server: TestServer): Promise<readonly string[]> {
  await using client = await XmppClient.connect(server.port('ejabberd_c2s'))
  const offered = (await client.opens()).child('mechanisms', '*')?.elements() ?? []
  return offered.map((mechanism) => mechanism.text())
}

// shows: option disable_sasl_mechanisms
test('mechanisms in disable_sasl_mechanisms are not offered', async () => {
  await using server = await TestServer.start({ config: { listen: [c2s] } })
  assert.ok((await mechanisms(server)).includes('SCRAM-SHA-1'))
  await server.reload({ disable_sasl_mechanisms: ['scram-sha-1'] })
  const left = await mechanisms(server)
  assert.ok(left.includes('SCRAM-SHA-256') && !left.includes('SCRAM-SHA-1'), left.join())
})

// shows: option auth_password_types_hidden_in_sasl1
test('mechanisms for passwords in auth_password_types_hidden_in_sasl1 are not offered', async () => {
  await using server = await TestServer.start({ config: { listen: [c2s] } })
  assert.ok((await mechanisms(server)).includes('SCRAM-SHA-256'))
  await server.reload({ auth_password_types_hidden_in_sasl1: ['scram_sha256'] })
  const left = await mechanisms(server)
  assert.ok(left.includes('SCRAM-SHA-1') && !left.includes('SCRAM-SHA-256'), left.join())
})

// shows: option disable_sasl_scram_downgrade_protection
test('SCRAM says what was offered, unless disable_sasl_scram_downgrade_protection (XEP-0474)', async () => {
  await using server = await TestServer.start({ config: { listen: [c2s] } })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  const attributes = async (): Promise<readonly string[]> => {
    await using client = await XmppClient.connect(server.port('ejabberd_c2s'))
    await client.opens()
    const first = Buffer.from('n,,n=juliet,r=nonce').toString('base64')
    client.send(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>${first}</auth>`,
    )
    const challenge = Buffer.from((await client.next('challenge')).text(), 'base64').toString()
    return challenge.split(',').map((attribute) => attribute.charAt(0))
  }
  assert.deepEqual(await attributes(), ['r', 's', 'i', 'h'])
  await server.reload({ disable_sasl_scram_downgrade_protection: true })
  assert.deepEqual(await attributes(), ['r', 's', 'i'])
})

// shows: option modules
test('modules run where the configuration names them, and nowhere else', async () => {
  await using server = await TestServer.start({ config: { listen: [c2s] } })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  await using client = await XmppClient.connect(server.port('ejabberd_c2s'))
  await client.login('juliet')
  const asks = (): void =>
    client.send(`<iq type='get' id='v' to='localhost'><query xmlns='jabber:iq:version'/></iq>`)
  asks()
  assert.equal((await client.next('iq')).attr('type'), 'error')
  await server.reload({ modules: { mod_version: {} } })
  asks()
  assert.equal((await client.next('iq')).attr('type'), 'result')
  await server.reload({ modules: {} })
  asks()
  assert.equal((await client.next('iq')).attr('type'), 'error')
})

// shows: option listen
test('the server listens where listen says, from a reload on as well', async () => {
  await using server = await TestServer.start({ config: { listen: [c2s] } })
  const port = server.port('ejabberd_c2s')
  await using client = await XmppClient.connect(port)
  await client.opens()
  await server.reload({ listen: [] })
  const [refusal] = await once(connect(port, '127.0.0.1'), 'error')
  assert.equal(refusal.code, 'ECONNREFUSED')
  await server.reload({ listen: [c2s] })
  await using other = await XmppClient.connect(server.port('ejabberd_c2s'))
  await other.opens()
})

// shows: handler mod_mqtt
test('a request handler mod_mqtt takes MQTT over WebSocket at its path', async () => {
  const listen = [
    {
      port: 0,
      ip: '127.0.0.1',
      module: 'ejabberd_http',
      request_handlers: { '/things': 'mod_mqtt' },
    },
  ]
  await using server = await TestServer.start({ config: { listen, modules: { mod_mqtt: {} } } })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  const address = `127.0.0.1:${server.port('ejabberd_http')}`
  const client = await connectAsync(`ws://${address}/things`, {
    username: 'juliet@localhost',
    password: 'secret',
    reconnectPeriod: 0,
  })
  const received = new Promise<string>((resolve) => {
    client.on('message', (_topic, payload) => resolve(payload.toString()))
  })
  await client.subscribeAsync('a')
  await client.publishAsync('a', 'hello', { qos: 1 })
  assert.equal(await received, 'hello')
  await client.endAsync()
  const statuses = []
  for (const path of ['/things', '/other']) {
    statuses.push((await fetch(`http://${address}${path}`)).status)
  }
  assert.deepEqual(statuses, [200, 404])
})
