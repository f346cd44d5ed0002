import assert from 'node:assert/strict'
import { getDiffieHellman } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { derSequence, derUnsigned } from '../../src/core/net/der.ts'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { MqttClient } from '../support/mqtt-client.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'linnet-options-tls-'))
})
after(() => rmSync(dir, { recursive: true }))

let files = 0
function file(content: string): string {
  const path = join(dir, `${++files}.pem`)
  writeFileSync(path, content)
  return path
}

/** A server with one listener of each kind that speaks TLS, all with these options. */
function start(
  options: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<TestServer> {
  const listen = ['ejabberd_c2s', 'mod_mqtt', 'ejabberd_http'].map((module) => ({
    port: 0,
    ip: '127.0.0.1',
    module,
    tls: true,
    ...options,
  }))
  return TestServer.start({ config: { listen, modules: { mod_mqtt: {} }, ...config } })
}

const kinds = ['ejabberd_c2s', 'mod_mqtt', 'ejabberd_http']

/** Calls back with a connection to each listener; connections that fail are undefined. */
async function eachListener(
  server: TestServer,
  options: ConnectionOptions,
  look: (socket: TLSSocket | undefined, module: string) => void,
): Promise<void> {
  for (const module of kinds) {
    const socket = connect({
      port: server.port(module),
      host: '127.0.0.1',
      servername: 'localhost',
      rejectUnauthorized: false,
      ...options,
    })
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('secureConnect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    look(isOpen ? socket : undefined, module)
    socket.destroy()
  }
}

const authority = makeCertificate({ name: 'Authority', isAuthority: true })
const intermediate = makeCertificate({
  name: 'Intermediate',
  isAuthority: true,
  issuer: authority,
})
const leaf = makeCertificate({ name: 'leaf', dns: ['localhost'], issuer: intermediate })

// shows: option certfiles
// shows: option ca_file
test('the certificate of certfiles is presented, its chain completed from ca_file', async () => {
  const trusting = { ca: authority.certificate, rejectUnauthorized: true }
  const certfiles = [file(leaf.pem)]
  for (const [config, name] of [
    [{ certfiles }, undefined],
    [{ certfiles, ca_file: file(intermediate.certificate) }, 'leaf'],
    [{}, undefined],
  ] as const) {
    await using server = await start({}, config)
    await eachListener(server, trusting, (socket, module) =>
      assert.equal(socket?.getPeerCertificate().subject.CN, name, module),
    )
  }
})

// shows: listener *.ciphers
test('ciphers says which ciphers there are', async () => {
  for (const cipher of ['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-AES128-GCM-SHA256']) {
    await using server = await start({ ciphers: cipher })
    await eachListener(server, { maxVersion: 'TLSv1.2' }, (socket, module) =>
      assert.equal(socket?.getCipher().name, cipher, module),
    )
  }
})

// shows: listener *.protocol_options
test('protocol_options takes versions of TLS away', async () => {
  for (const [options, version] of [
    [undefined, 'TLSv1.3'],
    [['no_tlsv1_3'], 'TLSv1.2'],
  ] as const) {
    await using server = await start(options === undefined ? {} : { protocol_options: options })
    await eachListener(server, {}, (socket, module) =>
      assert.equal(socket?.getProtocol(), version, module),
    )
  }
})

// shows: listener *.dhfile
test('dhfile has the group for Diffie-Hellman', async () => {
  const prime = getDiffieHellman('modp14').getPrime()
  const parameters = derSequence(derUnsigned(prime), derUnsigned(Buffer.from([2])))
  const dhfile = file(
    `-----BEGIN DH PARAMETERS-----\n${parameters.toString('base64')}\n-----END DH PARAMETERS-----\n`,
  )
  // Anonymous, because our own certificates have keys for elliptic curves only.
  const ciphers = 'ADH-AES256-GCM-SHA384:@SECLEVEL=0'
  const groupSize = async (options: Readonly<Record<string, unknown>>): Promise<number> => {
    await using server = await start({ ciphers, ...options })
    const sizes = new Set<number>()
    await eachListener(server, { ciphers, maxVersion: 'TLSv1.2' }, (socket) => {
      const info = socket?.getEphemeralKeyInfo()
      sizes.add(info !== undefined && info !== null && 'size' in info ? info.size : 0)
    })
    assert.equal(sizes.size, 1)
    return [...sizes][0] ?? 0
  }
  assert.equal(await groupSize({ dhfile }), 2048)
  // OpenSSL's own choice for that cipher.
  assert.ok((await groupSize({})) > 2048)
})

// shows: listener ejabberd_c2s.cafile
// shows: listener mod_mqtt.cafile
test('cafile names the authorities that certificates of clients are checked against', async () => {
  const xmppCard = makeCertificate({ name: 'j', xmpp: ['juliet@localhost'], issuer: authority })
  const mqttCard = makeCertificate({ name: 'juliet@localhost', issuer: authority })
  const another = makeCertificate({ name: 'Another', isAuthority: true })
  for (const [cafile, isKnown] of [
    [file(authority.certificate), true],
    [file(another.certificate), false],
  ] as const) {
    await using server = await TestServer.start({
      config: {
        listen: ['ejabberd_c2s', 'mod_mqtt'].map((module) => ({
          port: 0,
          ip: '127.0.0.1',
          module,
          tls: true,
          tls_verify: true,
          cafile,
        })),
        modules: { mod_mqtt: {} },
      },
    })
    await server.ok('register', 'juliet', 'localhost', 'secret')
    await using xmpp = await XmppClient.connectTls(server.port('ejabberd_c2s'), {
      cert: xmppCard.certificate,
      key: xmppCard.key,
    })
    const mechanisms = (await xmpp.opens()).child('mechanisms', '*')?.elements() ?? []
    assert.equal(
      mechanisms.some((mechanism) => mechanism.text() === 'EXTERNAL'),
      isKnown,
    )
    await using mqtt = await MqttClient.connect(server.port('mod_mqtt'), {
      cert: mqttCard.certificate,
      key: mqttCard.key,
      rejectUnauthorized: false,
    })
    mqtt.sendConnect({ password: undefined, clientId: 'lamp' })
    assert.equal((await mqtt.receive('connack')).reasonCode === 0, isKnown)
  }
})

// shows: listener ejabberd_http.tls
test('an HTTP listener speaks TLS when told to', async () => {
  for (const tls of [true, false]) {
    await using server = await start({ tls })
    const request = get({
      host: '127.0.0.1',
      port: server.port('ejabberd_http'),
      rejectUnauthorized: false,
    })
    if (!tls) {
      await assert.rejects(once(request, 'response'))
      continue
    }
    const [response] = await once(request, 'response')
    assert.equal(response.statusCode, 404)
    response.destroy()
  }
})
