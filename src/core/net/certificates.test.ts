import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { TestClock, systemClock } from '../clock.ts'
import { silentLog } from '../log.ts'
import type { TlsContexts } from '../transport.ts'
import { certificateNames } from './certificate-fields.ts'
import { Certificates } from './certificates.ts'
import type { CertificateSources } from './certificates.ts'
import { clientIdentity } from './client-identity.ts'
import { listen, makeCertificate } from './test-support.ts'
import { handshake, wrapServerTls } from './tls-socket.ts'

class Directory implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'linnet-certs-'))

  file(name: string, content: string): string {
    const path = join(this.path, name)
    writeFileSync(path, content)
    return path
  }

  sources(sources: Partial<CertificateSources> = {}): CertificateSources {
    return {
      hosts: ['example.org'],
      certfiles: [join(this.path, '*.pem')],
      caFile: undefined,
      dataDir: this.path,
      ...sources,
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true })
  }
}

/** The PEM of the certificate that a context would present has this common name. */
function presented(certificates: Certificates, domain: string | undefined): string | undefined {
  return certificates.find(domain)?.certificate.subject.replace('CN=', '')
}

/** Serves TLS with these contexts; gives a way to connect and a way to stop. */
async function serve(contexts: TlsContexts): Promise<{
  connect(options: ConnectionOptions): Promise<TLSSocket>
  port: number
  [Symbol.dispose](): void
}> {
  const settings = { contexts, requestCertificate: false }
  const server = createServer((raw) => {
    raw.on('error', () => {})
    const socket = wrapServerTls(raw, settings)
    if (socket === undefined) raw.destroy()
    else void handshake(socket, systemClock(), 10_000)
    socket?.on('error', () => {})
    socket?.on('data', (chunk) => socket.write(chunk))
  })
  const port = await listen(server)
  const open: TLSSocket[] = []
  return {
    port,
    async connect(options) {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
      open.push(socket)
      await once(socket, 'secureConnect')
      return socket
    },
    [Symbol.dispose]() {
      for (const socket of open) socket.destroy()
      server.close()
    },
  }
}

const authority = makeCertificate({ name: 'Root', isAuthority: true })
const intermediate = makeCertificate({ name: 'Intermediate', isAuthority: true, issuer: authority })

test('chooses by exact name, then by wildcard, then the first host', () => {
  using directory = new Directory()
  const issue = (name: string, dns: string[]): void => {
    directory.file(`${name}.pem`, makeCertificate({ name, dns, issuer: authority }).pem)
  }
  issue('exact', ['example.org'])
  issue('wild', ['*.example.org', 'other.net'])
  issue('chat', ['chat.example.org'])
  const certificates = new Certificates(directory.sources(), new TestClock(Date.now()), silentLog)
  assert.equal(presented(certificates, 'example.org'), 'exact')
  assert.equal(presented(certificates, 'EXAMPLE.org.'), 'exact')
  assert.equal(presented(certificates, 'chat.example.org'), 'chat')
  assert.equal(presented(certificates, 'files.example.org'), 'wild')
  assert.equal(presented(certificates, 'a.b.example.org'), 'exact') // RFC 6125 §6.4.3: one label only
  assert.equal(presented(certificates, 'unknown.test'), 'exact')
  assert.equal(presented(certificates, undefined), 'exact')
  assert.deepEqual(certificates.problems, [])
})

test('knows the kinds of names that XMPP certificates have (RFC 6120 §13.7.1.2)', () => {
  using directory = new Directory()
  directory.file('a.pem', makeCertificate({ name: 'a', xmpp: ['bücher.example'] }).pem)
  directory.file('b.pem', makeCertificate({ name: 'b', srv: ['_xmpp-client.im.example'] }).pem)
  directory.file('c.pem', makeCertificate({ name: 'common.example' }).pem)
  directory.file('d.pem', makeCertificate({ name: 'd', xmpp: ['juliet@im2.example'] }).pem)
  const certificates = new Certificates(directory.sources(), new TestClock(Date.now()), silentLog)
  assert.equal(presented(certificates, 'xn--bcher-kva.example'), 'a')
  assert.equal(presented(certificates, 'bücher.example'), 'a')
  assert.equal(presented(certificates, 'im.example'), 'b')
  assert.equal(presented(certificates, 'common.example'), 'common.example')
  assert.notEqual(presented(certificates, 'im2.example'), 'd')
})

test('matches keys and builds chains from files in any order', async () => {
  using directory = new Directory()
  const leaf = makeCertificate({ name: 'leaf', dns: ['example.org'], issuer: intermediate })
  directory.file('1.pem', leaf.key + authority.certificate)
  directory.file('2.pem', intermediate.certificate)
  directory.file('3.pem', leaf.certificate)
  const certificates = new Certificates(directory.sources(), new TestClock(Date.now()), silentLog)
  assert.deepEqual(certificates.problems, [])
  using server = await serve(certificates)
  // The client knows the root only.
  const socket = await server.connect({
    ca: authority.certificate,
    servername: 'example.org',
    rejectUnauthorized: true,
  })
  assert.equal(socket.authorized, true)
})

test('completes chains from ca_file', async () => {
  using directory = new Directory()
  const leaf = makeCertificate({ name: 'leaf', dns: ['example.org'], issuer: intermediate })
  directory.file('leaf.pem', leaf.pem)
  const caFile = directory.file('ca.crt', authority.certificate + intermediate.certificate)
  const clock = new TestClock(Date.now())
  const certificates = new Certificates(directory.sources({ caFile }), clock, silentLog)
  assert.deepEqual(certificates.problems, [])
  using server = await serve(certificates)
  const options = { ca: authority.certificate, servername: 'example.org', rejectUnauthorized: true }
  assert.equal((await server.connect(options)).authorized, true)
})

test('prefers a certificate that is valid now', () => {
  using directory = new Directory()
  const dns = ['example.org']
  const past = { notBefore: new Date(0), notAfter: new Date(86_400_000) }
  directory.file('a.pem', makeCertificate({ name: 'old', dns, issuer: authority, ...past }).pem)
  directory.file('b.pem', makeCertificate({ name: 'own', dns }).pem)
  directory.file('c.pem', makeCertificate({ name: 'good', dns, issuer: authority }).pem)
  const certificates = new Certificates(directory.sources(), new TestClock(Date.now()), silentLog)
  assert.equal(presented(certificates, 'example.org'), 'good')
})

test('says what is wrong with certificates', () => {
  using directory = new Directory()
  const old = { notBefore: new Date(0), notAfter: new Date(86_400_000) }
  const one = makeCertificate({ name: 'one', dns: ['one.example'], issuer: authority, ...old })
  const two = makeCertificate({ name: 'two', dns: ['two.example'] })
  directory.file('a.pem', one.pem)
  directory.file('b.pem', two.certificate)
  directory.file('c.pem', makeCertificate({}).key)
  directory.file('d.pem', two.key)
  const three = makeCertificate({ name: 'three', dns: ['three.example'], issuer: authority })
  directory.file('e.pem', three.certificate)
  directory.file('f.pem', 'nothing')
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  directory.file('g.pem', broken)
  const sources = directory.sources({ hosts: ['one.example', 'four.example'] })
  const certificates = new Certificates(sources, new TestClock(Date.now()), silentLog)
  const messages = certificates.problems.map(({ message }) =>
    message.replaceAll(directory.path, ''),
  )
  for (const expected of [
    /^The certificate in "\/a\.pem" expired on 1970-01-02$/,
    /^The certificate in "\/b\.pem" is self-signed/,
    /^There is no certificate for the key in "\/c\.pem"$/,
    /^There is no key for the certificate in "\/e\.pem"$/,
    /^There is no certificate or key in "\/f\.pem"$/,
    /^Cannot read a certificate in "\/g\.pem": /,
    /^There is no certificate for the host "four\.example"$/,
  ]) {
    assert.equal(messages.filter((message) => expected.test(message)).length, 1, String(expected))
  }
  assert.equal(messages.length, 7, messages.join('\n'))
})

test('presents new certificates after a reload, and leaves connections alone', async () => {
  using directory = new Directory()
  const path = directory.file('a.pem', makeCertificate({ name: 'first', dns: ['example.org'] }).pem)
  const clock = new TestClock(Date.now())
  const certificates = new Certificates(directory.sources(), clock, silentLog)
  const contexts = certificates.withSettings({ protocolOptions: ['no_tlsv1_3'] })
  assert.ok(contexts.ok)
  using server = await serve(contexts.value)
  const before = await server.connect({ servername: 'example.org' })
  writeFileSync(path, makeCertificate({ name: 'second', dns: ['example.org'] }).pem)
  assert.equal(certificates.reload(), true)
  const after = await server.connect({ servername: 'example.org' })
  assert.equal(before.getPeerCertificate().subject.CN, 'first')
  assert.equal(after.getPeerCertificate().subject.CN, 'second')
  assert.equal(after.getProtocol(), 'TLSv1.2')
  before.write('still there')
  assert.equal(String((await once(before, 'data'))[0]), 'still there')
})

test('stays as it was when a file cannot be read at a reload', () => {
  using directory = new Directory()
  const path = directory.file('a.pem', makeCertificate({ name: 'first', dns: ['example.org'] }).pem)
  const clock = new TestClock(Date.now())
  const certificates = new Certificates(directory.sources(), clock, silentLog)
  writeFileSync(path, '')
  assert.equal(certificates.reload(), false)
  assert.equal(presented(certificates, 'example.org'), 'first')
})

test('applies the TLS options of a listener', async () => {
  using directory = new Directory()
  directory.file('a.pem', makeCertificate({ name: 'a', dns: ['example.org'] }).pem)
  const certificates = new Certificates(directory.sources(), new TestClock(Date.now()), silentLog)
  const contexts = certificates.withSettings({
    ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384',
    protocolOptions: ['no_sslv3', 'no_tlsv1_3', 'cipher_server_preference', 'no_compression'],
  })
  assert.ok(contexts.ok)
  using server = await serve(contexts.value)
  const socket = await server.connect({ servername: 'example.org' })
  assert.equal(socket.getCipher().name, 'ECDHE-ECDSA-AES256-GCM-SHA384')
  assert.equal(socket.getProtocol(), 'TLSv1.2')
  await assert.rejects(server.connect({ minVersion: 'TLSv1.3' }))
  const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' } as const
  await assert.rejects(server.connect(old))
})

test('refuses TLS options that make no sense', () => {
  using directory = new Directory()
  directory.file('a.pem', makeCertificate({ name: 'a', dns: ['example.org'] }).pem)
  const certificates = new Certificates(directory.sources(), new TestClock(Date.now()), silentLog)
  const problemOf = (settings: Parameters<Certificates['withSettings']>[0]): string => {
    const result = certificates.withSettings(settings)
    return result.ok ? '' : result.error
  }
  assert.equal(problemOf({ protocolOptions: ['no_tslv1'] }), 'Unknown TLS option "no_tslv1"')
  assert.match(problemOf({ protocolOptions: ['no_tlsv1_2', 'no_tlsv1_3'] }), /neither/)
  assert.notEqual(problemOf({ ciphers: 'NO-SUCH-CIPHER' }), '')
  assert.match(problemOf({ dhfile: join(directory.path, 'none') }), /ENOENT/)
  assert.match(problemOf({ cafile: join(directory.path, 'none') }), /ENOENT/)
})

test('makes a certificate of its own, keeps it, and renews it in time', () => {
  using directory = new Directory()
  const clock = new TestClock(Date.now())
  const hosts = ['localhost', 'example.org']
  const sources = directory.sources({ certfiles: [], hosts })
  const certificates = new Certificates(sources, clock, silentLog)
  const path = join(directory.path, 'certs', 'self-signed.pem')
  const first = readFileSync(path, 'utf8')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const { dns, xmpp } = certificateNames(new X509Certificate(first))
  assert.deepEqual(dns, ['localhost', 'example.org', '*.example.org'])
  assert.deepEqual(xmpp, hosts)
  assert.equal(new X509Certificate(first).checkIP('127.0.0.1'), '127.0.0.1')
  assert.equal(new X509Certificate(first).checkIP('::1'), '::1')
  clock.advance(700 * 86_400_000)
  certificates.reload()
  assert.equal(readFileSync(path, 'utf8'), first)
  clock.advance(80 * 86_400_000)
  certificates.reload()
  const second = readFileSync(path, 'utf8')
  assert.notEqual(second, first)
  certificates.reload(directory.sources({ certfiles: [], hosts: ['localhost'] }))
  assert.notEqual(readFileSync(path, 'utf8'), second)
  writeFileSync(path, 'damaged')
  certificates.reload()
  assert.match(readFileSync(path, 'utf8'), /BEGIN CERTIFICATE/)
})

test(
  'its own certificate is one that OpenSSL trusts when told to',
  { skip: !has('openssl') },
  () => {
    using directory = new Directory()
    const sources = directory.sources({ certfiles: [], hosts: ['localhost'] })
    assert.ok(new Certificates(sources, systemClock(), silentLog).find('localhost'))
    const path = join(directory.path, 'certs', 'self-signed.pem')
    const checks = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'localhost']
    const output = execFileSync('openssl', ['verify', '-CAfile', path, ...checks, path])
    assert.match(output.toString(), /OK/)
  },
)

test('mosquitto_sub trusts it as --cafile', { skip: !has('mosquitto_sub') }, async () => {
  using directory = new Directory()
  const sources = directory.sources({ certfiles: [], hosts: ['localhost'] })
  const certificates = new Certificates(sources, systemClock(), silentLog)
  const { promise: connected, resolve } = Promise.withResolvers<Buffer>()
  const server = createServer((raw) => {
    const socket = wrapServerTls(raw, { contexts: certificates, requestCertificate: false })
    socket?.on('data', (chunk: Buffer) => {
      resolve(chunk)
      // CONNACK that refuses: all this is about TLS.
      socket.end(Buffer.from('20020005', 'hex'))
    })
    socket?.on('error', () => raw.destroy())
  })
  const port = await listen(server)
  const cafile = join(directory.path, 'certs', 'self-signed.pem')
  const options = ['-h', '127.0.0.1', '-p', String(port), '--cafile', cafile, '-t', 'x', '-W', '20']
  const client = spawn('mosquitto_sub', options)
  let said = ''
  client.stderr.on('data', (chunk) => (said += String(chunk)))
  const [first] = await Promise.race([connected, once(client, 'exit').then(() => Buffer.alloc(0))])
  assert.equal(first, 0x10, said) // the CONNECT came through, so the handshake succeeded
  client.kill()
  server.close()
})

test('tells who a client is by its certificate (XEP-0178)', () => {
  const own = makeCertificate({ name: 'Juliet', xmpp: ['juliet@example.org'], dns: ['d.example'] })
  const info = {
    version: 'TLSv1.3',
    cipher: '',
    serverName: undefined,
    alpn: undefined,
    peerCertificate: new X509Certificate(own.certificate),
    peerCertificateError: undefined,
    exporter: () => undefined,
    serverEndPoint: () => undefined,
  }
  assert.deepEqual(clientIdentity(info), {
    kind: 'verified',
    addresses: ['juliet@example.org'],
    commonName: 'Juliet',
  })
  const error = 'CERT_HAS_EXPIRED'
  assert.deepEqual(clientIdentity({ ...info, peerCertificateError: error }), {
    kind: 'unverified',
    error,
  })
  assert.deepEqual(clientIdentity({ ...info, peerCertificate: undefined }), { kind: 'none' })
  assert.deepEqual(clientIdentity(undefined), { kind: 'none' })
})

function has(program: string): boolean {
  return spawnSync(program, ['--help']).error === undefined
}
