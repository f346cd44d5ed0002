import assert from 'node:assert/strict'
import { once } from 'node:events'
import { statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { Folder } from '../support/process.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const c2s = { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s' }
const mqtt = { port: 0, ip: '127.0.0.1', module: 'mod_mqtt' }
const juliet = { userName: 'juliet@localhost' }

async function start(
  listen: readonly object[],
  more: Readonly<Record<string, unknown>> = {},
): Promise<TestServer> {
  const server = await TestServer.start({ config: { listen, modules: { mod_mqtt: {} }, ...more } })
  await server.ok('register', 'juliet', 'localhost', 'secret')
  return server
}

// shows: listener *.ip
// shows: listener *.port
// shows: listener *.backlog
test('listens where it is told, on a port of the kernel if it is 0', async () => {
  const ips = ['127.0.0.1', '127.0.0.3', '::1']
  await using server = await start(ips.map((ip) => ({ ...mqtt, ip, backlog: 3 })))
  for (const [index, ip] of ips.entries()) {
    const { address } = server.listener('mod_mqtt', index)
    assert.equal(address.ip, ip)
    assert.ok(address.port > 0)
    const socket = connect({ port: address.port, host: ip })
    await once(socket, 'connect')
    await using client = new MqttClient(socket)
    await client.login(juliet)
  }
})

// shows: listener *.unix_socket
test('listens on a Unix socket with the mode that is given', async () => {
  const socketOptions = { unix_socket: { mode: '0620' } }
  await using server = await start([
    { port: 'unix:mqtt.sock', module: 'mod_mqtt', ...socketOptions },
    { port: 'unix:xmpp.sock', module: 'ejabberd_c2s' },
  ])
  const path = `${server.dataDir}/mqtt.sock`
  assert.equal(statSync(path).mode & 0o777, 0o620)
  await using client = new MqttClient(await connected(connect(path)))
  await client.login(juliet)
  await using xmpp = new XmppClient(
    await connected(connect(`${server.dataDir}/xmpp.sock`)),
    'localhost',
  )
  await xmpp.login('juliet')
})

async function connected(socket: Socket): Promise<Socket> {
  await once(socket, 'connect')
  return socket
}

/** PROXY protocol, version 2: a TCP connection from that IPv4 address. */
function proxyV2(ip: string, port: number): Buffer {
  const addresses = Buffer.from([...ip.split('.').map(Number), 127, 0, 0, 1, 0, 0, 0, 80])
  addresses.writeUInt16BE(port, 8)
  const head = Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex')
  return Buffer.concat([head, addresses])
}

const proxyV1 = (ip: string): Buffer => Buffer.from(`PROXY TCP4 ${ip} 127.0.0.1 5000 80\r\n`)

// shows: listener *.use_proxy_protocol
test('behind a proxy the address that it tells counts, for rules and in lists', async () => {
  await using server = await start(
    [
      { ...c2s, use_proxy_protocol: true, access: 'inside' },
      { ...mqtt, use_proxy_protocol: true },
    ],
    {
      acl: { inside: { ip: '192.0.2.0/24' } },
      access_rules: { inside: { allow: 'inside' } },
      modules: { mod_mqtt: { access_publish: { '#': [{ allow: 'inside' }] } } },
    },
  )
  const rows = [
    { header: proxyV1('192.0.2.7'), isInside: true },
    { header: proxyV2('192.0.2.8', 5000), isInside: true },
    { header: proxyV1('198.51.100.7'), isInside: false },
    { header: proxyV2('198.51.100.8', 5000), isInside: false },
  ]
  for (const { header, isInside } of rows) {
    const things = await connected(
      connect({ port: server.port('mod_mqtt'), host: '127.0.0.1', noDelay: true }),
    )
    things.write(header)
    await using client = new MqttClient(things)
    await client.login(juliet)
    assert.equal(await client.publish('t', 'x', { qos: 1 }), isInside ? 0x10 : 0x87)

    const people = await connected(
      connect({ port: server.port('ejabberd_c2s'), host: '127.0.0.1' }),
    )
    people.write(header)
    await using xmpp = new XmppClient(people, 'localhost')
    await xmpp.opens()
    await xmpp.authenticates('juliet')
    if (isInside) {
      await xmpp.binds()
      const sessions = await server.ok('user_sessions_info', 'juliet', 'localhost')
      assert.match(sessions, /192\.0\.2\.\d\s+5000/)
    } else {
      xmpp.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
      assert.equal((await xmpp.next('iq')).attr('type'), 'error')
    }
    await xmpp.vanish()
  }
  // Without its header nobody gets in.
  await using bare = await MqttClient.connect(server.port('mod_mqtt'))
  bare.sendConnect(juliet)
  await bare.closed()
})

/** Certificates of two hosts and an authority for clients, as files of a server. */
function certificates(folder: Folder): {
  certfiles: readonly string[]
  cafile: string
  client: (request: { name: string; xmpp?: readonly string[] }) => ConnectionOptions
} {
  const write = (name: string, text: string): string => {
    writeFileSync(folder.join(name), text)
    return folder.join(name)
  }
  const authority = makeCertificate({ name: 'Authority', isAuthority: true })
  const hosts = ['localhost', 'two.example'].map((name) =>
    write(`${name}.pem`, makeCertificate({ name, dns: [name] }).pem),
  )
  return {
    certfiles: hosts,
    cafile: write('authority.pem', authority.certificate),
    client(request) {
      const { certificate: cert, key } = makeCertificate({ ...request, issuer: authority })
      return { cert, key, rejectUnauthorized: false }
    },
  }
}

// shows: option certfiles
test('each client gets the certificate of the host that it asks for', async () => {
  using folder = new Folder()
  const { certfiles } = certificates(folder)
  await using server = await start([{ ...mqtt, tls: true }], {
    hosts: ['localhost', 'two.example'],
    certfiles,
  })
  for (const servername of ['localhost', 'two.example']) {
    const port = server.port('mod_mqtt')
    const socket = connectTls({ port, host: '127.0.0.1', servername, rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    assert.equal(socket.getPeerCertificate().subject.CN, servername)
    socket.destroy()
  }
})

// shows: listener mod_mqtt.tls_verify
// shows: listener ejabberd_c2s.tls_verify
// shows: listener *.cafile
test('a certificate of a client stands for its account, where tls_verify asks for one', async () => {
  using folder = new Folder()
  const { certfiles, cafile, client } = certificates(folder)
  const secure = { tls: true, tls_verify: true, cafile }
  await using server = await start(
    [
      { ...mqtt, ...secure },
      { ...c2s, ...secure },
    ],
    { certfiles },
  )
  // By its common name for MQTT, without a password.
  const own = client({ name: 'juliet@localhost', xmpp: ['juliet@localhost'] })
  await using sensor = await MqttClient.connect(server.port('mod_mqtt'), own)
  await sensor.login({ userName: 'juliet@localhost', password: undefined })
  await sensor.hearsNothing()
  // SASL EXTERNAL (XEP-0178 §3)
  const external = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`
  await using xmpp = await XmppClient.connectTls(server.port('ejabberd_c2s'), own)
  await xmpp.opens()
  xmpp.send(external)
  await xmpp.next('success')
  await xmpp.opens()
  assert.match(await xmpp.binds(), /^juliet@localhost\//)
  // From nobody that the server trusts.
  const stranger = makeCertificate({ name: 'juliet@localhost', xmpp: ['juliet@localhost'] })
  const forged = { cert: stranger.certificate, key: stranger.key, rejectUnauthorized: false }
  await using thief = await MqttClient.connect(server.port('mod_mqtt'), forged)
  thief.sendConnect({ userName: 'juliet@localhost', password: undefined })
  assert.ok((await thief.receive('connack')).reasonCode >= 0x80)
  await using liar = await XmppClient.connectTls(server.port('ejabberd_c2s'), forged)
  await liar.opens()
  liar.send(external)
  await liar.next('failure')
})

// shows: listener *.ciphers
// shows: listener *.protocol_options
test('ciphers and protocol_options decide what TLS is spoken', async () => {
  using folder = new Folder()
  const { certfiles } = certificates(folder)
  const ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384'
  await using server = await start(
    [{ ...mqtt, tls: true, ciphers, protocol_options: ['no_tlsv1_3'] }],
    { certfiles },
  )
  const port = server.port('mod_mqtt')
  const options = { port, host: '127.0.0.1', rejectUnauthorized: false }
  const socket = connectTls(options)
  await once(socket, 'secureConnect')
  assert.equal(socket.getProtocol(), 'TLSv1.2')
  assert.equal(socket.getCipher().name, ciphers)
  socket.destroy()
  for (const refused of [
    { minVersion: 'TLSv1.3' },
    { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
  ] as const) {
    const other = connectTls({ ...options, ...refused })
    other.on('secureConnect', () => assert.fail('It was let in'))
    const [error] = await once(other, 'error')
    assert.match(String(error), /alert|version|cipher/i)
  }
})

// shows: listener mod_mqtt.max_payload_size
test('max_payload_size ends the connection of a client that sends more', async () => {
  await using server = await start([{ ...mqtt, max_payload_size: 1000 }])
  await using client = await MqttClient.connect(server.port('mod_mqtt'))
  await client.login(juliet)
  assert.equal(await client.publish('t', 'x'.repeat(900), { qos: 1 }), 0x10)
  client.sendPublish('t', 'x'.repeat(1100), { qos: 1 })
  // MQTT5 3.14.2: 0x95, packet too large
  assert.equal((await client.receive('disconnect')).reasonCode, 0x95)
  await client.closed()
})

// shows: listener *.send_timeout
test('send_timeout ends the connection of a client that does not read, and leaves others alone', async () => {
  await using server = await start([{ ...mqtt, send_timeout: '1 second' }, mqtt])
  await using deaf = await MqttClient.connect(server.port('mod_mqtt'))
  await deaf.login({ ...juliet, clientId: 'deaf' })
  await deaf.subscribe('t', { qos: 0 })
  deaf.freeze()
  await using writer = await MqttClient.connect(server.port('mod_mqtt', 1))
  await writer.login({ ...juliet, clientId: 'writer' })
  const payload = 'x'.repeat(200_000)
  const listener = server.listener('mod_mqtt')
  for (let i = 0; i < 2000 && listener.connections > 0; i++) {
    await writer.publish('t', payload, { qos: 1 })
  }
  assert.equal(listener.connections, 0)
  await writer.hearsNothing()
})
