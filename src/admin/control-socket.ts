import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { Server, Socket } from 'node:net'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Log } from '../core/log.ts'

/** What `linnet <command>` sends to the running server: one line of JSON, answered by one line. */
export interface ControlRequest {
  readonly words: readonly string[]
  /** API version (`--version N`). */
  readonly version?: number
  /** `--auth user host password` */
  readonly auth?: readonly [user: string, host: string, password: string]
}

export interface ControlAnswer {
  /** The exit code of the shell command. */
  readonly exit: number
  readonly output: string
}

/** A path longer than this cannot be bound (sun_path of unix(7), less its ending NUL). */
const maxSocketPath = 107
const maxRequestBytes = 16 * 1024 * 1024
const idleMs = 30_000

/** Where the socket lives: in the data directory, or where that name is too long, at a short path that is recorded there. */
export function controlSocketPath(dataDir: string): { path: string; isRecorded: boolean } {
  const path = join(resolve(dataDir), 'control.sock')
  if (Buffer.byteLength(path) <= maxSocketPath) return { path, isRecorded: false }
  const name = createHash('sha256').update(path).digest('hex').slice(0, 16)
  return { path: join(tmpdir(), `linnet-${name}`, 'control.sock'), isRecorded: true }
}

const recordName = 'control.path'

/** Serves the control socket; only the user that runs the server may connect (directory and socket modes). */
export class ControlSocket implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #path: string
  readonly #record: string | undefined

  private constructor(server: Server, path: string, record: string | undefined) {
    this.#server = server
    this.#path = path
    this.#record = record
  }

  static async open(
    dataDir: string,
    answer: (request: ControlRequest) => ControlAnswer | Promise<ControlAnswer>,
    log: Log,
  ): Promise<ControlSocket> {
    const { path, isRecorded } = controlSocketPath(dataDir)
    if (await isAnswering(path)) {
      throw new Error(`Another server is running with the data directory "${dataDir}"`)
    }
    await rm(path, { force: true })
    if (isRecorded) await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const server = createServer()
    const socket = new ControlSocket(
      server,
      path,
      isRecorded ? join(dataDir, recordName) : undefined,
    )
    server.on('connection', (connection) => socket.#serve(connection, answer, log))
    await new Promise<void>((listening, failed) => {
      server.once('error', failed)
      server.listen(path, listening)
    })
    await chmod(path, 0o600)
    if (isRecorded) await writeFile(join(dataDir, recordName), `${path}\n`, { mode: 0o600 })
    return socket
  }

  #serve(
    connection: Socket,
    answer: (request: ControlRequest) => ControlAnswer | Promise<ControlAnswer>,
    log: Log,
  ): void {
    this.#sockets.add(connection)
    const close = (): void => void connection.destroy()
    connection.setTimeout(idleMs, close)
    connection.on('error', close)
    connection.on('close', () => this.#sockets.delete(connection))
    let text = ''
    connection.setEncoding('utf8')
    connection.on('data', (chunk: string) => {
      text += chunk
      const end = text.indexOf('\n')
      if (end < 0) {
        if (text.length > maxRequestBytes) close()
        return
      }
      connection.pause()
      connection.setTimeout(0)
      answerLine(text.slice(0, end), answer)
        .then((reply) => connection.end(`${JSON.stringify(reply)}\n`))
        .catch((error) => {
          log.error({ err: error }, 'Control command failed')
          close()
        })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((closed) => {
      this.#server.close(() => closed())
      // A `stop` command is still waiting for its answer here: let it have that, the others were idle.
      for (const socket of this.#sockets) if (!socket.isPaused()) socket.destroy()
    })
    await rm(this.#path, { force: true })
    if (this.#record !== undefined) await rm(this.#record, { force: true })
  }
}

async function answerLine(
  line: string,
  answer: (request: ControlRequest) => ControlAnswer | Promise<ControlAnswer>,
): Promise<ControlAnswer> {
  const request = parseRequest(line)
  if (request === undefined) return { exit: 1, output: 'Error: malformed control request\n' }
  return answer(request)
}

function parseRequest(line: string): ControlRequest | undefined {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value !== 'object' || value === null || !('words' in value)) return undefined
    const { words } = value
    if (!Array.isArray(words) || !words.every((word) => typeof word === 'string')) return undefined
    return value as ControlRequest // the other fields are checked where they are used
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

async function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolved) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolved(true)
    })
    socket.once('error', () => resolved(false))
  })
}

/** Sends one request to the server of that data directory; undefined when none is running. */
export async function callServer(
  dataDir: string,
  request: ControlRequest,
): Promise<ControlAnswer | undefined> {
  let path = controlSocketPath(dataDir).path
  try {
    path = (await readFile(join(dataDir, recordName), 'utf8')).trim()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
  return new Promise((resolved, failed) => {
    const socket = connect(path)
    let text = ''
    socket.setEncoding('utf8')
    socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`))
    socket.on('data', (chunk: string) => {
      text += chunk
    })
    socket.once('error', () => resolved(undefined))
    socket.once('end', () => {
      if (text === '') resolved(undefined)
      else {
        try {
          resolved(JSON.parse(text) as ControlAnswer) // written by ControlSocket
        } catch (error) {
          failed(new Error('The server gave no readable answer', { cause: error }))
        }
      }
    })
  })
}
