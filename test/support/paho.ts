import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { FieldServer, Way } from './field-server.ts'
import { password } from './field-server.ts'

const scripts = join(import.meta.dirname, '../interop/mqtt-clients')

/** Long enough for a busy machine: only a test that fails waits for it. */
const patienceMs = 60_000

/** A Python that has Paho; Debian's comes before one of the user's. */
const python = ['/usr/bin/python3', 'python3'].find(hasPaho)

/** Why tests with Paho cannot run here, for `skip`. */
export const noPaho: string | false =
  python === undefined && 'Paho for Python (Debian package python3-paho-mqtt) is not installed'

function hasPaho(program: string): boolean {
  try {
    execFileSync(program, ['-c', 'import paho.mqtt.client'], { stdio: 'ignore' })
    return true
  } catch {
    return false // not installed, or without Paho: that is what is asked
  }
}

export type Line = Readonly<Record<string, unknown>>

/** A script of `test/interop/mqtt-clients` that takes lines of JSON and gives lines of JSON. */
export class PythonClient implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #ended: Promise<unknown>
  #lines: Line[] = []
  #errors = ''
  #isOver = false
  #wake = (): void => undefined

  constructor(script: string, settings: object) {
    const args = [join(scripts, script), JSON.stringify(settings)]
    const child = spawn(python ?? 'python3', args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    const kill = (): void => void child.kill('SIGKILL')
    process.on('exit', kill) // should the test end without having disposed of us
    createInterface(child.stdout).on('line', (line) => {
      // What the scripts print.
      this.#lines.push(JSON.parse(line) as Line)
      this.#wake()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    child.stdin.on('error', () => undefined)
    this.#ended = once(child, 'close').then(() => {
      process.off('exit', kill)
      this.#isOver = true
      this.#wake()
    })
  }

  send(command: Line): void {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`)
  }

  /** The next line that is of interest; others stay. */
  async line(isWanted: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const at = this.#lines.findIndex(isWanted)
      const [found] = at < 0 ? [] : this.#lines.splice(at, 1)
      if (found !== undefined) return found
      if (this.#isOver) assert.fail(`The script has ended:\n${this.#errors}`)
      await this.#woken()
    }
  }

  /** The next line about that event. */
  event(name: string): Promise<Line> {
    return this.line(({ event }) => event === name)
  }

  /** Does something, and resolves to what came of it. */
  async does(command: string, values: Line = {}): Promise<unknown> {
    this.send({ do: command, ...values })
    return (await this.line((line) => 'reply' in line))['reply']
  }

  /** Ends it on the spot, as a power cut would. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  async #woken(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#wake = resolve
    const late = (): void =>
      reject(new Error(`Nothing came; there was ${JSON.stringify(this.#lines)}\n${this.#errors}`))
    const timer = setTimeout(late, patienceMs)
    await promise.finally(() => clearTimeout(timer))
  }
}

export interface PahoOptions {
  readonly way?: Way
  readonly version?: 3 | 4 | 5
  readonly user?: string
  readonly clientId?: string
  readonly clean?: boolean
  readonly keepAlive?: number
  readonly will?: {
    readonly topic: string
    readonly payload: string
    readonly qos: 0 | 1 | 2
    readonly retain: boolean
    readonly properties?: Line
  }
  /** Of CONNECT, by Paho's names. */
  readonly properties?: Line
}

/** What Paho has to know of the server. */
export function pahoSettings(server: FieldServer, options: PahoOptions): Line {
  const { way = 'mqtt', version = 4, user = 'juliet' } = options
  const isSecure = way === 'mqtts' || way === 'wss'
  return {
    version,
    transport: way === 'ws' || way === 'wss' ? 'websockets' : 'tcp',
    port: server.port(way),
    user: `${user}@localhost`,
    password,
    clientId: options.clientId ?? 'paho',
    clean: options.clean ?? true,
    keepalive: options.keepAlive ?? 60,
    ...(isSecure && { cafile: server.cafile }),
    ...(options.will !== undefined && { will: options.will }),
    ...(options.properties !== undefined && { properties: options.properties }),
  }
}

export interface PahoMessage {
  readonly topic: string
  readonly payload: string
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  readonly properties?: Line
}

/** Paho for Python. */
export class Paho extends PythonClient {
  private constructor(settings: Line) {
    super('paho_client.py', settings)
  }

  /** Resolves when the server has answered, whatever it said. */
  static async open(
    server: FieldServer,
    options: PahoOptions = {},
  ): Promise<{ paho: Paho; connect: Line }> {
    const paho = new Paho(pahoSettings(server, options))
    try {
      await paho.does('connect')
      return { paho, connect: await paho.event('connect') }
    } catch (error) {
      await paho.kill()
      throw error
    }
  }

  /** Resolves when it is let in. */
  static async connect(server: FieldServer, options: PahoOptions = {}): Promise<Paho> {
    const { paho, connect } = await Paho.open(server, options)
    assert.equal(connect['code'], 0)
    return paho
  }

  /** Subscribes by one packet; resolves to the reason codes. */
  async subscribe(
    filters: readonly (readonly [filter: string, qos: 0 | 1 | 2])[],
    more: Line = {},
  ): Promise<unknown> {
    return await this.does('subscribe', { filters, ...more })
  }

  /** Sends all at once, and waits until all are acknowledged. */
  async publish(...messages: readonly PahoMessage[]): Promise<void> {
    assert.equal(await this.does('publish', { messages }), true)
  }

  /** Messages in a line each: `topic=payload qos`, and `r` for old ones. */
  async take(count: number): Promise<string[]> {
    const lines: string[] = []
    while (lines.length < count) {
      const { topic, payload, qos, retain } = await this.event('message')
      lines.push(`${String(topic)}=${String(payload)} ${String(qos)}${retain === true ? 'r' : ''}`)
    }
    return lines
  }
}
