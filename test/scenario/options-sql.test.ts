import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, suite, test } from 'node:test'
import { TLSSocket, createSecureContext } from 'node:tls'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { TestServer } from '../support/server.ts'

let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'linnet-options-sql-'))
})
after(() => rmSync(dir, { recursive: true }))

let files = 0
function file(content?: string): string {
  const path = join(dir, `${++files}`)
  if (content !== undefined) writeFileSync(path, content)
  return path
}

/** What a database that plays PostgreSQL learns of who connects. */
interface Visit {
  /** The parameters of the startup message, as `name=value`. */
  readonly startup: string
  readonly password: string
  /** How the connection is encrypted; the common name of the client's certificate, if it shows one. */
  readonly tls: string
}

const authority = makeCertificate({ name: 'Authority', isAuthority: true })
const own = makeCertificate({ name: 'database', ips: ['127.0.0.1'], issuer: authority })
const client = makeCertificate({ name: 'chat server', issuer: authority })

/** Asks whoever connects for the password, in the clear or over TLS, and then turns it away. */
class Doorkeeper implements AsyncDisposable {
  readonly visits: Visit[] = []
  isSilent = false
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => socket.destroy())
      if (!this.isSilent) void this.#receive(socket)
    })
  }

  static async open(): Promise<Doorkeeper> {
    const doorkeeper = new Doorkeeper()
    doorkeeper.#server.listen(0, '127.0.0.1')
    await once(doorkeeper.#server, 'listening')
    return doorkeeper
  }

  /** The options that lead here. */
  get options(): Readonly<Record<string, unknown>> {
    // It listens on TCP.
    const { port } = this.#server.address() as AddressInfo
    return { default_db: 'sql', sql_type: 'pgsql', sql_server: '127.0.0.1', sql_port: port }
  }

  async #receive(socket: Socket): Promise<void> {
    let first = await chunk(socket)
    let tls = 'none'
    let secure: Socket = socket
    if (first.length === 8) {
      // SSLRequest
      socket.write('S')
      const context = createSecureContext({
        cert: own.certificate,
        key: own.key,
        ca: authority.certificate,
      })
      const wrapped = new TLSSocket(socket, {
        isServer: true,
        secureContext: context,
        requestCert: true,
        rejectUnauthorized: false,
      })
      wrapped.on('error', () => wrapped.destroy())
      secure = wrapped
      first = await chunk(wrapped)
      tls = String(wrapped.getPeerCertificate().subject?.CN ?? 'without certificate')
    }
    const fields = first.subarray(8).toString().split('\0')
    const startup = fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}=${fields[i + 1]}`] : []))
    secure.write(message('R', Buffer.from([0, 0, 0, 3]))) // AuthenticationCleartextPassword
    const password = (await chunk(secure)).subarray(5, -1).toString()
    this.visits.push({ startup: startup.join(' '), password, tls })
    secure.end(message('E', Buffer.from('SFATAL\0C28P01\0MTurned away\0\0')))
  }

  async turnAway(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.turnAway()
  }
}

async function chunk(socket: Socket): Promise<Buffer> {
  const [data] = await once(socket, 'data')
  return Buffer.isBuffer(data) ? data : Buffer.alloc(0)
}

function message(type: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length + 4)
  return Buffer.concat([Buffer.from(type), length, body])
}

/** Starts with these options, which fails, and returns what the doorkeeper saw. */
async function visit(options: Readonly<Record<string, unknown>>, why: RegExp): Promise<Visit[]> {
  await using doorkeeper = await Doorkeeper.open()
  await assert.rejects(TestServer.start({ config: { ...doorkeeper.options, ...options } }), why)
  return doorkeeper.visits
}

suite('a database server', () => {
  // shows: option sql_server
  // shows: option sql_port
  // shows: option sql_database
  // shows: option sql_username
  // shows: option sql_password
  test('is visited where it is said to be, under the name and password given', async () => {
    const options = { sql_database: 'chats', sql_username: 'linnet', sql_password: 'rose' }
    const [seen] = await visit(options, /Turned away/)
    assert.match(seen?.startup ?? '', /\buser=linnet\b.*\bdatabase=chats\b/)
    assert.equal(seen?.password, 'rose')
    const [other] = await visit({ sql_password: 'thorn' }, /Turned away/)
    assert.match(other?.startup ?? '', /\buser=ejabberd\b.*\bdatabase=ejabberd\b/)
    assert.equal(other?.password, 'thorn')
  })

  // shows: option sql_ssl
  // shows: option sql_ssl_verify
  // shows: option sql_ssl_cafile
  // shows: option sql_ssl_certfile
  test('is talked to in the clear or over TLS, checked or not, with a certificate or without', async () => {
    const sql_password = 'rose'
    const sql_ssl_cafile = file(authority.certificate)
    const sql_ssl_certfile = file(client.certificate + client.key)
    const tls = async (options: object, why = /Turned away/): Promise<string | undefined> =>
      (await visit({ sql_password, ...options }, why))[0]?.tls
    assert.equal(await tls({}), 'none')
    assert.equal(await tls({ sql_ssl: true }), 'without certificate')
    // Nobody knows that authority, until it is named.
    assert.equal(await tls({ sql_ssl: true, sql_ssl_verify: true }, /certificate/), undefined)
    const verified = { sql_ssl: true, sql_ssl_verify: true, sql_ssl_cafile }
    assert.equal(await tls(verified), 'without certificate')
    const other = file(makeCertificate({ name: 'Another', isAuthority: true }).certificate)
    assert.equal(await tls({ ...verified, sql_ssl_cafile: other }, /certificate/), undefined)
    assert.equal(await tls({ sql_ssl: true, sql_ssl_certfile }), 'chat server')
  })

  // shows: option sql_connect_timeout
  test('that does not answer is given up', async () => {
    await using doorkeeper = await Doorkeeper.open()
    doorkeeper.isSilent = true
    const start = (sql_connect_timeout: string): Promise<unknown> =>
      TestServer.start({ config: { ...doorkeeper.options, sql_connect_timeout } })
    const patient = start('1 hour')
    await assert.rejects(Promise.race([start('1 s'), patient]), /Cannot connect.*timeout/)
    await doorkeeper.turnAway()
    await assert.rejects(patient, /Cannot connect/)
  })

  test('of a kind that is not supported ends the start', async () => {
    for (const sql_type of ['mssql', 'odbc']) {
      const start = TestServer.start({ config: { default_db: 'sql', sql_type } })
      await assert.rejects(start, /not supported: use sqlite, pgsql or mysql/)
    }
  })
})

suite('a SQLite file', () => {
  const rows = (path: string, query: string): unknown[] => {
    const database = new DatabaseSync(path, { readOnly: true })
    try {
      return database
        .prepare(query)
        .all()
        .map((row) => ({ ...row }))
    } finally {
      database.close()
    }
  }
  const hasHosts = (path: string): boolean =>
    rows(path, `SELECT 1 FROM pragma_table_info('users') WHERE name = 'server_host'`).length > 0

  // shows: option default_db
  // shows: option sql_type
  // shows: option sql_database
  test('holds accounts where default_db says so, and no others', async () => {
    for (const [default_db, expected] of [
      ['sql', [{ username: 'juliet' }]],
      ['mnesia', undefined],
    ] as const) {
      const path = file()
      const config = { default_db, sql_type: 'sqlite', sql_database: path }
      {
        await using server = await TestServer.start({ config })
        await server.ok('register', 'juliet', 'localhost', 'secret')
      }
      const found = existsSync(path) ? rows(path, 'SELECT DISTINCT username FROM users') : undefined
      assert.deepEqual(found, expected)
    }
  })

  // shows: option sql_schema_multihost
  test('has a column for the host where sql_schema_multihost says so', async () => {
    for (const sql_schema_multihost of [true, false]) {
      const path = file()
      const config = { default_db: 'sql', sql_type: 'sqlite', sql_database: path }
      await using server = await TestServer.start({ config: { ...config, sql_schema_multihost } })
      await server.ok('register', 'juliet', 'localhost', 'secret')
      assert.equal(hasHosts(path), sql_schema_multihost)
    }
  })

  // shows: option update_sql_schema
  test('gets no tables where update_sql_schema is false', async () => {
    const path = file()
    const config = { default_db: 'sql', sql_type: 'sqlite', sql_database: path }
    const start = TestServer.start({ config: { ...config, update_sql_schema: false } })
    await assert.rejects(start, /update_sql_schema is false: CREATE TABLE/)
    assert.deepEqual(rows(path, `SELECT name FROM sqlite_master WHERE name = 'users'`), [])
    await using server = await TestServer.start({ config })
    await server.ok('register', 'juliet', 'localhost', 'secret')
    assert.equal(rows(path, 'SELECT DISTINCT username FROM users').length, 1)
  })
})
