import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { connect, createSecureContext } from 'node:tls'
import type { ConnectionOptions, SecureContextOptions, TLSSocket } from 'node:tls'
import { TestClock } from '../clock.ts'
import type { TlsInfo, TlsServerSettings } from '../transport.ts'
import { makeCertificate, openPair, readAll, readBytes } from './test-support.ts'

const authority = makeCertificate({ name: 'Test authority', isAuthority: true })
const server = makeCertificate({ name: 'localhost', dns: ['localhost'], issuer: authority })
const juliet = makeCertificate({
  name: 'Juliet',
  xmpp: ['juliet@localhost'],
  issuer: authority,
})
const stranger = makeCertificate({ name: 'Stranger' })

function settingsWith(
  settings: Partial<TlsServerSettings> = {},
  context: SecureContextOptions = {},
): TlsServerSettings {
  const secureContext = createSecureContext({
    cert: server.certificate,
    key: server.key,
    ca: authority.certificate,
    sessionIdContext: 'test',
    ...context,
  })
  return { contexts: { contextFor: () => secureContext }, requestCertificate: false, ...settings }
}

interface Outcome {
  readonly info: TlsInfo | undefined
  readonly client: TLSSocket
}

/** Makes TLS on both ends, and lets `check` look at it. */
async function withTls(
  settings: TlsServerSettings,
  options: ConnectionOptions,
  check: (outcome: Outcome) => void | Promise<void>,
): Promise<void> {
  await using pair = await openPair()
  const done = pair.server.startTls(settings)
  const client = connect({
    socket: pair.client,
    ca: authority.certificate,
    servername: 'localhost',
    ...options,
  })
  client.on('error', () => {})
  await Promise.all([done, once(client, 'secureConnect')])
  // TLS 1.3: the server is done only after the client's last message.
  client.write('?')
  await pair.handler.until(() => pair.handler.text === '?')
  await check({ info: pair.server.tls, client })
}

/** Holds back the first bytes of TLS and sends them behind `prefix` in one packet. */
function behind(prefix: string, socket: Socket): Duplex {
  let isFirst = true
  const duplex = new Duplex({
    write(chunk: Buffer, _, done) {
      socket.write(isFirst ? Buffer.concat([Buffer.from(prefix), chunk]) : chunk, () => done())
      isFirst = false
    },
    read() {},
  })
  socket.on('data', (chunk) => void duplex.push(chunk))
  socket.on('end', () => void duplex.push(null))
  return duplex
}

test('STARTTLS takes bytes of TLS that came together with the request', async () => {
  await using pair = await openPair()
  let seen = ''
  let started: Promise<void> | undefined
  pair.server.attach({
    data(buffer, start, end) {
      if (started !== undefined) {
        pair.handler.data(buffer, start, end)
        return
      }
      seen = buffer.toString('latin1', start, start + 9)
      pair.server.writeText('proceed')
      started = pair.server.startTls(settingsWith(), buffer.subarray(start + 9, end))
    },
    closed: (reason) => pair.handler.closed(reason),
  })
  // The answer in plain text would confuse the client's TLS: it is taken out of the way first.
  const duplex = behind('starttls\n', pair.client)
  const push = duplex.push.bind(duplex)
  let skip = 'proceed'.length
  duplex.push = (chunk: Buffer | null) => {
    if (chunk === null || skip === 0) return push(chunk)
    const rest = chunk.subarray(skip)
    skip = Math.max(0, skip - chunk.length)
    return rest.length === 0 ? true : push(rest)
  }
  const client = connect({ socket: duplex, ca: authority.certificate, servername: 'localhost' })
  await once(client, 'secureConnect')
  client.write('secret')
  await pair.handler.until(() => pair.handler.text === 'secret')
  await started
  assert.equal(seen, 'starttls\n')
  assert.equal(pair.server.kind, 'tls')
  pair.server.writeText('reply')
  pair.server.close()
  assert.equal((await readAll(client)).toString(), 'reply')
  client.destroy()
})

test('what is written during the handshake follows it', async () => {
  await using pair = await openPair()
  const done = pair.server.startTls(settingsWith())
  pair.server.writeText('early')
  const client = connect({
    socket: pair.client,
    ca: authority.certificate,
    servername: 'localhost',
  })
  assert.equal((await readBytes(client, 5)).toString(), 'early')
  await done
  client.end()
  await pair.handler.until(() => pair.handler.reason !== undefined)
  assert.deepEqual(pair.handler.reason, { kind: 'ended' })
})

test('overwrites what TLS read, too', async () => {
  await using pair = await openPair()
  const done = pair.server.startTls(settingsWith())
  const client = connect({
    socket: pair.client,
    ca: authority.certificate,
    servername: 'localhost',
  })
  await done
  let kept: Buffer = Buffer.alloc(0)
  const { promise, resolve } = Promise.withResolvers<void>()
  pair.server.attach({
    data(buffer, start, end) {
      kept = buffer.subarray(start, end)
      setImmediate(resolve)
    },
    closed: (reason) => pair.handler.closed(reason),
  })
  client.write('view')
  await promise
  assert.deepEqual([...kept], [0xdb, 0xdb, 0xdb, 0xdb])
  client.destroy()
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`gives channel bindings of ${version} that both sides agree on`, async () => {
    await withTls(
      settingsWith(),
      { minVersion: version, maxVersion: version },
      ({ info, client }) => {
        assert.equal(info?.version, version)
        assert.equal(info?.serverName, 'localhost')
        assert.match(info?.cipher ?? '', /^TLS_/)
        const exported = client.exportKeyingMaterial(
          32,
          'EXPORTER-Channel-Binding',
          Buffer.alloc(0),
        )
        assert.deepEqual(info?.exporter(), exported)
        const raw = new X509Certificate(server.certificate).raw
        assert.deepEqual(info?.serverEndPoint(), createHash('sha256').update(raw).digest())
        assert.deepEqual(info?.unique?.(), client.getFinished())
      },
    )
  })
}

test('gives no exporter without the extended master secret (RFC 9266 §4.2)', async () => {
  // SSL_OP_NO_EXTENDED_MASTER_SECRET has no name in node:crypto.
  const options = { maxVersion: 'TLSv1.2', secureOptions: 1 } as const
  await withTls(settingsWith(), options, ({ info }) => {
    assert.equal(info?.version, 'TLSv1.2')
    assert.equal(info?.exporter(), undefined)
    assert.equal(info?.unique?.(), undefined)
    assert.ok(info?.serverEndPoint())
  })
})

test('hashes tls-server-end-point with the hash of the signature (RFC 5929 §4.1)', async () => {
  const own = makeCertificate({ dns: ['localhost'], issuer: authority, hash: 'sha384' })
  const context = { cert: own.certificate, key: own.key }
  await withTls(settingsWith({}, context), {}, ({ info }) => {
    const raw = new X509Certificate(own.certificate).raw
    assert.deepEqual(info?.serverEndPoint(), createHash('sha384').update(raw).digest())
  })
})

test('agrees on an application protocol', async () => {
  const settings = settingsWith({ alpn: ['xmpp-client'] })
  await withTls(settings, { ALPNProtocols: ['http/1.1', 'xmpp-client'] }, ({ info, client }) => {
    assert.equal(info?.alpn, 'xmpp-client')
    assert.equal(client.alpnProtocol, 'xmpp-client')
  })
  await withTls(settings, {}, ({ info }) => assert.equal(info?.alpn, undefined))
})

test('refuses a client that wants another application protocol only', async () => {
  await using pair = await openPair()
  const done = pair.server.startTls(settingsWith({ alpn: ['xmpp-client'] }))
  const client = connect({
    socket: pair.client,
    rejectUnauthorized: false,
    ALPNProtocols: ['smtp'],
  })
  const [error] = await once(client, 'error')
  assert.match(String(error.code), /NO_APPLICATION_PROTOCOL/)
  await done
  assert.equal(pair.server.tls, undefined)
  assert.equal(pair.handler.reason?.kind, 'error')
})

test('reports whether the certificate of a client was verified', async () => {
  const settings = settingsWith({ requestCertificate: true })
  await withTls(settings, { cert: juliet.certificate, key: juliet.key }, ({ info }) => {
    assert.equal(info?.peerCertificate?.subject, 'CN=Juliet')
    assert.equal(info?.peerCertificateError, undefined)
  })
  await withTls(settings, { cert: stranger.certificate, key: stranger.key }, ({ info }) => {
    assert.equal(info?.peerCertificate?.subject, 'CN=Stranger')
    assert.match(info?.peerCertificateError ?? '', /SELF_SIGNED/)
  })
  await withTls(settings, {}, ({ info }) => assert.equal(info?.peerCertificate, undefined))
})

test('a resumed session still knows the certificate of the client', async () => {
  const settings = settingsWith({ requestCertificate: true })
  const options = { cert: juliet.certificate, key: juliet.key, maxVersion: 'TLSv1.2' } as const
  let session: Buffer | undefined
  await withTls(settings, options, async ({ client }) => {
    session = client.getSession()
  })
  assert.ok(session)
  await withTls(settings, { ...options, session }, ({ info, client }) => {
    assert.equal(client.isSessionReused(), true)
    assert.equal(info?.peerCertificate?.subject, 'CN=Juliet')
    assert.equal(info?.peerCertificateError, undefined)
    assert.deepEqual(info?.unique?.(), client.getPeerFinished())
  })
})

test('gives up a handshake that takes too long', async () => {
  const clock = new TestClock()
  await using pair = await openPair({ clock, handshakeTimeoutMs: 30_000 })
  const done = pair.server.startTls(settingsWith())
  // A record header of a ClientHello, then nothing.
  pair.client.write(Buffer.from('16030100', 'hex'))
  clock.advance(29_999)
  assert.equal(pair.server.isClosed, false)
  clock.advance(1)
  await done
  const reason = pair.handler.reason
  assert.match(reason?.kind === 'error' ? reason.error.message : '', /timed out/)
  assert.equal(pair.server.isClosed, true)
})

test('closes a connection that speaks something else than TLS', async () => {
  await using pair = await openPair()
  const done = pair.server.startTls(settingsWith())
  pair.client.write('GET / HTTP/1.1\r\n\r\n')
  await done
  assert.equal(pair.handler.reason?.kind, 'error')
})

test('closes a connection for which there is no certificate', async () => {
  await using pair = await openPair()
  const contexts = { contextFor: () => undefined }
  await pair.server.startTls({ contexts, requestCertificate: false })
  await pair.handler.until(() => pair.handler.reason !== undefined)
  assert.equal(pair.handler.reason?.kind, 'error')
})

test('can be closed during the handshake', async () => {
  await using pair = await openPair()
  const done = pair.server.startTls(settingsWith())
  pair.server.close()
  await done
  assert.deepEqual(pair.handler.reason, { kind: 'local' })
})
