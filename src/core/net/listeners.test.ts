import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import type { NetConnectOpts, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { TestClock, systemClock } from '../clock.ts'
import type { Clock } from '../clock.ts'
import { listenerOptions, tlsListenerOptions } from '../config/listener-options.ts'
import { defineListener } from '../listener.ts'
import type { ListenerContext, ListenerModule } from '../listener.ts'
import { Logs } from '../log.ts'
import { Metrics } from '../metrics.ts'
import { text, valuesOf } from '../options.ts'
import type { ValuesOf } from '../options.ts'
import { Services } from '../service.ts'
import type { Transport } from '../transport.ts'
import { Certificates } from './certificates.ts'
import { Listeners } from './listeners.ts'
import type { ListenerEntry, ListenerParts } from './port-listener.ts'
import { listen, readAll, readBytes } from './test-support.ts'
import { SocketTlsInfo } from './tls-socket.ts'

const echoOptions = { ...tlsListenerOptions, greeting: text('', 'Said first.') }

/** Says its greeting and the address that it sees, then repeats what it hears. */
class Echo {
  readonly transports: Transport[] = []
  readonly contexts: ListenerContext<ValuesOf<typeof echoOptions>>[] = []
  closed = 0
  canReload = true

  readonly module: ListenerModule<typeof echoOptions> = defineListener({
    name: 'echo',
    options: echoOptions,
    transports: ['tcp'],
    tls: ({ tls }) => ({ direct: tls, requestCertificate: false }),
    open: (context) => {
      this.contexts.push(context)
      let { greeting } = context.options
      const acceptor = {
        accept: (transport: Transport) => {
          this.transports.push(transport)
          transport.attach({
            data: (buffer, start, end) => void transport.writeCopy(buffer, start, end),
            closed() {},
          })
          if (greeting !== '') transport.writeText(`${greeting} ${transport.peer.ip}\n`)
        },
        close: () => void this.closed++,
      }
      if (!this.canReload) return acceptor
      const reload = (options: ValuesOf<typeof echoOptions>): void => {
        greeting = options.greeting
      }
      return { ...acceptor, reload }
    },
  })
}

interface Setting extends AsyncDisposable {
  readonly listeners: Listeners
  readonly echo: Echo
  readonly metrics: Metrics
  readonly directory: string
  readonly logged: string[]
  open(...written: Record<string, unknown>[]): Promise<readonly string[]>
  /** Connects to the first listener. */
  connect(options?: Partial<NetConnectOpts>): Promise<Socket>
}

function entry(written: Record<string, unknown>): ListenerEntry {
  const own = Object.entries(written).filter(([name]) => Object.hasOwn(echoOptions, name))
  const common = Object.entries(written).filter(([name]) => !Object.hasOwn(echoOptions, name))
  const values = valuesOf(echoOptions, Object.fromEntries(own))
  const commonValues = valuesOf(listenerOptions, {
    module: 'echo',
    ip: '127.0.0.1',
    ...Object.fromEntries(common),
  })
  return {
    id: `${commonValues.transport} ${commonValues.ip} ${commonValues.port}`,
    module: commonValues.module,
    common: commonValues,
    // The map is the one of the only module there is.
    options: { values, as: <M>() => values as ValuesOf<M & typeof echoOptions> as never },
  }
}

function start(parts: Partial<ListenerParts> & { clock?: Clock } = {}): Setting {
  const directory = mkdtempSync(join(tmpdir(), 'linnet-'))
  const clock = parts.clock ?? systemClock()
  const logged: string[] = []
  const log = new Logs({
    level: 'info',
    destination: { write: (line) => void logged.push(line) },
  }).for('net')
  const sources = { hosts: ['localhost'], certfiles: [], caFile: undefined, dataDir: directory }
  const metrics = new Metrics()
  const echo = new Echo()
  const listeners = new Listeners([echo.module], {
    certificates: new Certificates(sources, systemClock(), log),
    clock,
    log,
    metrics,
    services: new Services(),
    dataDir: directory,
    ...parts,
  })
  const clients: Socket[] = []
  return {
    listeners,
    echo,
    metrics,
    directory,
    logged,
    open: (...written) => listeners.reload(written.map(entry)),
    async connect(options = {}) {
      const port = listeners.open[0]?.address.port ?? 0
      const socket = connect({ port, host: '127.0.0.1', ...options })
      socket.on('error', () => {})
      clients.push(socket)
      await once(socket, 'connect')
      return socket
    },
    async [Symbol.asyncDispose]() {
      await listeners.close()
      for (const client of clients) client.destroy()
      await listeners.closeConnections(0)
      rmSync(directory, { recursive: true })
    },
  }
}

async function line(socket: Socket): Promise<string> {
  let said = ''
  while (!said.endsWith('\n')) said += (await readBytes(socket, 1)).toString()
  return said.slice(0, -1)
}

async function closed(socket: Socket): Promise<void> {
  socket.resume()
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
}

// shows: listener *.port
test('opens any free port and hands connections to the protocol', async () => {
  await using setting = start()
  assert.deepEqual(await setting.open({ port: 0, greeting: 'hello' }, { port: 0 }), [])
  const [first, second] = setting.listeners.open
  assert.ok(first && second)
  assert.notEqual(first.address.port, second.address.port)
  assert.equal(first.name, `127.0.0.1:${first.address.port}`)
  const client = await setting.connect()
  assert.equal(await line(client), 'hello 127.0.0.1')
  client.write('again')
  assert.equal((await readBytes(client, 5)).toString(), 'again')
  assert.equal(setting.listeners.connections, 1)
  assert.equal(first.connections, 1)
  assert.match(setting.metrics.render(), /linnet_listener_accepted_total\{module="echo",.*\} 1/)
})

// shows: listener *.ip
test('shows IPv4 peers of a dual-stack port as IPv4', async () => {
  await using setting = start()
  const problems = await setting.open({ port: 0, ip: '::', greeting: 'hello' })
  assert.deepEqual(problems, [])
  const client = await setting.connect()
  assert.equal(await line(client), 'hello 127.0.0.1')
})

test('says why a port cannot be opened, and opens nothing at start then', async () => {
  const taken = createServer()
  const port = await listen(taken)
  await using setting = start()
  const entries = [entry({ port: 0 }), entry({ port })]
  assert.deepEqual(await setting.listeners.start(entries), [
    `Cannot listen on "127.0.0.1:${port}" (echo): address in use`,
  ])
  assert.deepEqual(setting.listeners.open, [])
  taken.close()
})

// shows: listener *.module
// shows: listener *.transport
test('refuses what a module does not offer', async () => {
  await using setting = start()
  assert.deepEqual(await setting.open({ port: 0, transport: 'udp' }, { port: 0, module: 'none' }), [
    'Cannot listen on "127.0.0.1:0" (echo): it does not work over udp',
    'There is no listener module "none"',
  ])
  const [problem] = await setting.open({ port: 0, tls: true, protocol_options: ['nonsense'] })
  assert.match(problem ?? '', /Unknown TLS option "nonsense"/)
})

// shows: option listen
test('a reload closes what is gone, keeps what stayed, and drops no connection', async () => {
  await using setting = start()
  const free = createServer()
  const port = await listen(free)
  free.close()
  await once(free, 'close')
  assert.deepEqual(await setting.open({ port: 0, greeting: 'one' }, { port, greeting: 'two' }), [])
  const [kept, gone] = setting.listeners.open
  const client = await setting.connect({ port })
  assert.equal(await line(client), 'two 127.0.0.1')
  assert.deepEqual(await setting.open({ port: 0, greeting: 'one' }), [])
  assert.deepEqual(setting.listeners.open, [kept])
  assert.equal(setting.echo.closed, 1)
  assert.ok(gone)
  await assert.rejects(setting.connect({ port }))
  client.write('alive')
  assert.equal((await readBytes(client, 5)).toString(), 'alive')
  assert.equal(setting.listeners.connections, 1)
})

test('a reload gives changed options to a protocol that takes them', async () => {
  await using setting = start()
  await setting.open({ port: 0, greeting: 'one' })
  const [before] = setting.listeners.open
  await setting.open({ port: 0, greeting: 'two' })
  assert.deepEqual(setting.listeners.open, [before])
  assert.equal(await line(await setting.connect()), 'two 127.0.0.1')
  // The entry in use is the new one: going back is a change again.
  await setting.open({ port: 0, greeting: 'one' })
  assert.equal(await line(await setting.connect()), 'one 127.0.0.1')
})

test('a reload opens the port anew for other changes', async () => {
  await using setting = start()
  setting.echo.canReload = false
  await setting.open({ port: 0, greeting: 'one' })
  const [before] = setting.listeners.open
  const port = before?.address.port ?? 0
  await setting.open({ port, greeting: 'one' })
  assert.notEqual(setting.listeners.open[0], before)
  await setting.open({ port, greeting: 'two' })
  assert.equal(await line(await setting.connect()), 'two 127.0.0.1')
  await setting.open({ port, greeting: 'two', tls: true })
  assert.equal(setting.echo.contexts.length, 4)
  assert.equal(setting.listeners.open[0]?.address.port, port)
})

test('speaks TLS from the first byte when told to', async () => {
  await using setting = start()
  assert.deepEqual(await setting.open({ port: 0, tls: true, greeting: 'secure' }), [])
  const port = setting.listeners.open[0]?.address.port ?? 0
  const ca = readFileSync(join(setting.directory, 'certs', 'self-signed.pem'))
  const client = connectTls({ port, host: 'localhost', ca, servername: 'localhost' })
  assert.equal(await line(client), 'secure 127.0.0.1')
  assert.equal(setting.echo.transports[0]?.kind, 'tls')
  assert.equal(setting.echo.transports[0]?.tls?.serverName, 'localhost')
  client.destroy()
})

test('gives the socket itself to a protocol that wants it, and what TLS knows', async () => {
  await using setting = start()
  const { promise, resolve } = Promise.withResolvers<unknown[]>()
  const open = setting.echo.module.open
  Object.assign(setting.echo.module, {
    open: () => ({
      acceptSocket: (socket: Socket, ...rest: unknown[]) => {
        socket.end('raw\n')
        resolve(rest)
      },
      close() {},
    }),
  })
  assert.deepEqual(await setting.open({ port: 0, tls: true, use_proxy_protocol: true }), [])
  Object.assign(setting.echo.module, { open })
  const client = await setting.connect()
  client.write(proxyV1)
  const secure = connectTls({ socket: client, rejectUnauthorized: false, servername: 'localhost' })
  assert.equal(await line(secure), 'raw')
  const [peer, isTls, tls] = await promise
  assert.deepEqual(peer, { ip: '192.0.2.7', port: 56324 })
  assert.equal(isTls, true)
  assert.equal(tls instanceof SocketTlsInfo && tls.serverName, 'localhost')
  secure.destroy()
})

test('several processes, or several servers in one, share a port when told to', async () => {
  await using first = start({ reusePort: true })
  await using second = start({ reusePort: true })
  const free = createServer()
  const port = await listen(free)
  free.close()
  await once(free, 'close')
  assert.deepEqual(await first.open({ port }), [])
  assert.deepEqual(await second.open({ port }), [])
})

test('gives up a slow TLS handshake before the protocol sees it', async () => {
  const clock = new TestClock()
  await using setting = start({ clock })
  await setting.open({ port: 0, tls: true })
  const client = await setting.connect()
  client.write(Buffer.from('160301', 'hex'))
  while (setting.listeners.connections === 0) await new Promise((done) => setImmediate(done))
  clock.advance(30_000)
  await closed(client)
  assert.deepEqual(setting.echo.transports, [])
  assert.match(setting.metrics.render(), /linnet_listener_refused_total\{.*reason="tls"\} 1/)
})

const proxyV1 = 'PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n'
/** 192.0.2.7:56324 to 198.51.100.1:443. */
const proxyV2 = Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000207c6336401dc0401bb', 'hex')

for (const [version, header] of [
  [1, Buffer.from(proxyV1)],
  [2, proxyV2],
] as const) {
  // shows: listener *.use_proxy_protocol
  test(`takes the address from PROXY protocol version ${version}, with data behind it`, async () => {
    await using setting = start()
    await setting.open({ port: 0, use_proxy_protocol: true, greeting: 'hello' })
    const client = await setting.connect()
    client.write(Buffer.concat([header, Buffer.from('first')]))
    assert.equal(await line(client), 'hello 192.0.2.7')
    assert.equal((await readBytes(client, 5)).toString(), 'first')
    assert.equal(setting.echo.transports[0]?.peer.port, 56324)
  })
}

test('takes a PROXY header that comes byte by byte, and TLS behind it', async () => {
  await using setting = start()
  await setting.open({ port: 0, use_proxy_protocol: true, tls: true, greeting: 'hello' })
  const client = await setting.connect({ noDelay: true })
  for (const byte of Buffer.from(proxyV1)) client.write(Buffer.from([byte]))
  const secure = connectTls({ socket: client, rejectUnauthorized: false })
  assert.equal(await line(secure), 'hello 192.0.2.7')
  secure.destroy()
})

test('closes connections without a good PROXY header', async () => {
  const local = Buffer.concat([proxyV2.subarray(0, 12), Buffer.from('20000000', 'hex')])
  await using setting = start()
  await setting.open({ port: 0, use_proxy_protocol: true, greeting: 'hello' })
  for (const bytes of [
    'GET / HTTP/1.1\r\n\r\n',
    'PROXY UNKNOWN\r\n',
    'PROXY TCP4 nonsense\r\n',
    local,
  ]) {
    const client = await setting.connect()
    client.write(bytes)
    await closed(client)
  }
  const client = await setting.connect()
  client.end('PROXY TCP4')
  await closed(client)
  assert.deepEqual(setting.echo.transports, [])
  assert.match(setting.metrics.render(), /linnet_listener_refused_total\{.*reason="proxy"\} 5/)
})

test('waits ten seconds for the PROXY header', async () => {
  const clock = new TestClock()
  await using setting = start({ clock })
  await setting.open({ port: 0, use_proxy_protocol: true })
  const client = await setting.connect()
  while (setting.listeners.connections === 0) await new Promise((done) => setImmediate(done))
  clock.advance(9999)
  assert.equal(setting.listeners.connections, 1)
  clock.advance(1)
  await closed(client)
})

// shows: listener *.unix_socket
test('listens on a Unix socket with the mode asked for, and takes it away', async () => {
  await using setting = start()
  const path = join(setting.directory, 'run', 'echo.sock')
  const unix = { port: 'unix:run/echo.sock', greeting: 'hello', unix_socket: { mode: '0660' } }
  assert.deepEqual(await setting.open(unix), [])
  assert.equal(statSync(path).mode & 0o777, 0o660)
  assert.equal(statSync(join(setting.directory, 'run')).mode & 0o777, 0o700)
  assert.equal(setting.listeners.open[0]?.name, 'unix:run/echo.sock')
  const client = connect(path)
  assert.equal(await line(client), 'hello ')
  client.destroy()
  await setting.open()
  assert.equal(existsSync(path), false)
})

test('replaces a stale Unix socket, but not a file', async () => {
  await using setting = start()
  const path = join(setting.directory, 'stale.sock')
  // A socket whose process is gone looks just like this one.
  const old = createServer().listen(path)
  await once(old, 'listening')
  const { ino } = lstatSync(path)
  assert.deepEqual(await setting.open({ port: `unix:${path}`, greeting: 'new' }), [])
  assert.notEqual(lstatSync(path).ino, ino)
  const client = connect(path)
  assert.equal(await line(client), 'new ')
  client.destroy()
  old.close()
  const file = join(setting.directory, 'file')
  writeFileSync(file, 'precious')
  const [problem] = await setting.open({ port: `unix:${file}` })
  assert.match(problem ?? '', /there is a file that is no socket/)
  assert.equal(readFileSync(file, 'utf8'), 'precious')
})

test('refuses a path that is too long for a Unix socket', async () => {
  await using setting = start()
  const [problem] = await setting.open({ port: `unix:${'x'.repeat(108)}` })
  assert.match(problem ?? '', /longer than 107/)
})

// shows: listener *.accept_interval
test('keeps the least time between two connections', async () => {
  const clock = new TestClock()
  await using setting = start({ clock })
  await setting.open({ port: 0, accept_interval: 100, greeting: 'hello' })
  await setting.connect()
  const second = await setting.connect()
  while (setting.listeners.connections < 2) await new Promise((done) => setImmediate(done))
  assert.equal(setting.echo.transports.length, 1)
  clock.advance(99)
  assert.equal(setting.echo.transports.length, 1)
  clock.advance(1)
  assert.equal(await line(second), 'hello 127.0.0.1')
})

test('refuses connections beyond the limit, says so once, and goes on', async () => {
  await using setting = start({ maxConnections: 2 })
  await setting.open({ port: 0, greeting: 'hello' })
  const first = await setting.connect()
  const second = await setting.connect()
  await line(first)
  await line(second)
  for (let i = 0; i < 3; i++) await closed(await setting.connect())
  const lines = setting.logged.filter((line) => line.includes('Cannot accept connections'))
  assert.equal(lines.length, 1)
  first.destroy()
  while (setting.listeners.connections > 1) await new Promise((done) => setImmediate(done))
  assert.equal(await line(await setting.connect()), 'hello 127.0.0.1')
})

test('waits for connections to end and destroys those that do not', async () => {
  const clock = new TestClock()
  await using setting = start({ clock })
  await setting.open({ port: 0, greeting: 'hello' })
  const client = await setting.connect()
  await line(client)
  await setting.listeners.close()
  const done = setting.listeners.closeConnections(5000)
  setting.echo.transports[0]?.writeText('bye')
  setting.echo.transports[0]?.flush()
  clock.advance(4999)
  assert.equal((await readBytes(client, 3)).toString(), 'bye')
  clock.advance(1)
  await done
  assert.equal(setting.listeners.connections, 0)
  assert.equal((await readAll(client)).length, 0)
})

test('a protocol that fails to open closes its port', async () => {
  await using setting = start()
  const broken = defineListener({
    name: 'echo',
    options: echoOptions,
    transports: ['tcp'],
    open() {
      throw new Error('no such rule')
    },
  })
  const listeners = new Listeners([broken], {
    certificates: new Certificates(
      { hosts: ['localhost'], certfiles: [], caFile: undefined, dataDir: setting.directory },
      systemClock(),
      new Logs({ level: 'none' }).for('net'),
    ),
    clock: systemClock(),
    log: new Logs({ level: 'none' }).for('net'),
    metrics: new Metrics(),
    services: new Services(),
    dataDir: setting.directory,
  })
  assert.deepEqual(await listeners.start([entry({ port: 0 })]), [
    'Cannot listen on "127.0.0.1:0" (echo): no such rule',
  ])
})
