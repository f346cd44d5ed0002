import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { toXml } from '../../src/xmpp/xml/write.ts'
import { Folder } from '../support/process.ts'
import { TestServer } from '../support/server.ts'
import { XmppClient } from '../support/xmpp-client.ts'

const c2s = { port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s', tls: true }

// shows: option c2s_ciphers
// shows: option c2s_protocol_options
test('c2s_ciphers and c2s_protocol_options win over what the listener says', async () => {
  const ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384'
  await using server = await TestServer.start({
    config: {
      listen: [{ ...c2s, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }],
      c2s_ciphers: ciphers,
      c2s_protocol_options: ['no_tlsv1_3'],
    },
  })
  const options: ConnectionOptions = {
    port: server.port('ejabberd_c2s'),
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['xmpp-client'],
  }
  const socket = connectTls(options)
  await once(socket, 'secureConnect')
  assert.equal(socket.getProtocol(), 'TLSv1.2')
  assert.equal(socket.getCipher().name, ciphers)
  socket.destroy()
  const other = connectTls({ ...options, minVersion: 'TLSv1.3' })
  other.on('secureConnect', () => assert.fail('It was let in'))
  await once(other, 'error')
})

// shows: option c2s_cafile
test('c2s_cafile says whose client certificates are taken', async () => {
  using folder = new Folder()
  const authority = makeCertificate({ name: 'An authority', isAuthority: true })
  const juliet = { name: 'juliet', xmpp: ['juliet@localhost'], issuer: authority }
  const { certificate: cert, key } = makeCertificate(juliet)
  const cafile = folder.join('authority.pem')
  writeFileSync(cafile, authority.certificate)
  const listen = [{ ...c2s, tls_verify: true }]
  const offersExternal = async (more: Readonly<Record<string, unknown>>): Promise<boolean> => {
    await using server = await TestServer.start({ config: { listen, ...more } })
    const port = server.port('ejabberd_c2s')
    const own = { cert, key, rejectUnauthorized: false }
    await using client = await XmppClient.connectTls(port, own)
    return toXml(await client.opens()).includes('>EXTERNAL<')
  }
  assert.equal(await offersExternal({ c2s_cafile: cafile }), true)
  assert.equal(await offersExternal({}), false)
})
