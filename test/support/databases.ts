import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** How a test reaches a database of its own on a test server. */
export interface TestDatabase {
  readonly server: string
  readonly username: string
  readonly database: string
}

/** A database server that belongs to the test: in a directory of its own, reachable by a unix socket only. */
export interface TestDatabaseServer extends AsyncDisposable {
  /** An empty database. */
  createDatabase(): Promise<TestDatabase>
  /** As a crash would: no goodbye to anybody. */
  kill(): Promise<void>
  start(): Promise<void>
}

/** The server programs refuse to run as root, so root runs them as somebody who may do nothing else. */
function unprivileged(...names: string[]): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of [...names, 'nobody']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':')
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  throw new Error('There is no user to run a database server as')
}

/** Debian keeps them out of the PATH. */
export function findPostgres(): string | undefined {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return undefined
  return readdirSync(root)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(root, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'postgres')) && existsSync(join(bin, 'initdb')))
}

export function findMariadb(): { server: string; install: string } | undefined {
  const find = (name: string): string | undefined =>
    ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin']
      .map((dir) => join(dir, name))
      .find((path) => existsSync(path))
  const server = find('mariadbd')
  const install = find('mariadb-install-db')
  return server === undefined || install === undefined ? undefined : { server, install }
}

/** Why tests over PostgreSQL cannot run here, for `skip`. */
export const noPostgres: string | false =
  findPostgres() === undefined && 'PostgreSQL (Debian package postgresql) is not installed'
export const noMariadb: string | false =
  findMariadb() === undefined && 'MariaDB (Debian package mariadb-server) is not installed'

export async function startPostgres(): Promise<TestDatabaseServer> {
  const bin = findPostgres()
  if (bin === undefined) throw new Error('PostgreSQL is not installed')
  const user = unprivileged('postgres')
  const dir = await makeDirectory('linnet-pg-', user)
  const data = join(dir, 'data')
  const options = { ...user, cwd: dir }
  const initArguments = ['-D', data, '-U', 'ejabberd', '-A', 'trust', '-E', 'UTF8']
  await run(join(bin, 'initdb'), [...initArguments, '--locale=C', '--no-sync'], options)
  const server = `unix:${join(dir, '.s.PGSQL.5432')}`
  return new Server({
    dir,
    server,
    username: 'ejabberd',
    ready: /database system is ready to accept connections/,
    launch: () =>
      spawn(join(bin, 'postgres'), ['-D', data, '-k', dir, '-c', 'listen_addresses='], options),
    stopSignal: 'SIGINT', // "fast": does not wait for clients to leave
    async create(database) {
      const { Client } = await import('pg')
      const client = new Client({ host: dir, user: 'ejabberd', database: 'postgres' })
      await client.connect()
      await client.query(`CREATE DATABASE ${database}`)
      await client.end()
    },
  }).started()
}

export async function startMariadb(): Promise<TestDatabaseServer> {
  const programs = findMariadb()
  if (programs === undefined) throw new Error('MariaDB is not installed')
  const user = unprivileged('mysql')
  const dir = await makeDirectory('linnet-my-', user)
  const data = join(dir, 'data')
  const socket = join(dir, 'mysql.sock')
  const options = { ...user, cwd: dir }
  const common = ['--no-defaults', `--datadir=${data}`]
  await run(
    programs.install,
    [...common, '--auth-root-authentication-method=normal', '--skip-test-db'],
    options,
  )
  return new Server({
    dir,
    server: `unix:${socket}`,
    username: 'root',
    ready: /ready for connections/,
    launch: () =>
      spawn(
        programs.server,
        [...common, `--socket=${socket}`, '--skip-networking', `--pid-file=${dir}/pid`],
        options,
      ),
    stopSignal: 'SIGTERM',
    async create(database) {
      const { createConnection } = await import('mysql2/promise')
      const connection = await createConnection({ socketPath: socket, user: 'root' })
      await connection.query(`CREATE DATABASE ${database}`)
      await connection.end()
    },
  }).started()
}

async function makeDirectory(
  prefix: string,
  user: { uid?: number; gid?: number },
): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), prefix))
  if (user.uid !== undefined && user.gid !== undefined) await chown(dir, user.uid, user.gid)
  return dir
}

interface ServerOptions {
  readonly dir: string
  readonly server: string
  readonly username: string
  /** What it says when it takes connections. */
  readonly ready: RegExp
  readonly launch: () => ChildProcess
  readonly stopSignal: NodeJS.Signals
  readonly create: (database: string) => Promise<void>
}

class Server implements TestDatabaseServer {
  readonly #options: ServerOptions
  #process: ChildProcess | undefined
  #databases = 0
  readonly #onExit = (): void => void this.#process?.kill('SIGKILL')

  constructor(options: ServerOptions) {
    this.#options = options
    // Should the test end without having disposed of us.
    process.once('exit', this.#onExit)
  }

  async started(): Promise<this> {
    await this.start()
    return this
  }

  start(): Promise<void> {
    const child = this.#options.launch()
    this.#process = child
    return new Promise((resolve, reject) => {
      let output = ''
      const onData = (data: Buffer): void => {
        output += data.toString()
        if (this.#options.ready.test(output)) resolve()
      }
      child.stdout?.on('data', onData)
      child.stderr?.on('data', onData)
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`The database server ended:\n${output}`)))
    })
  }

  async createDatabase(): Promise<TestDatabase> {
    const database = `test_${++this.#databases}`
    await this.#options.create(database)
    const { server, username } = this.#options
    return { server, username, database }
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#onExit)
    await this.#end(this.#options.stopSignal)
    await rm(this.#options.dir, { recursive: true, force: true })
  }

  #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return Promise.resolve()
    }
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill(signal)
    return ended
  }
}
