import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const program = join(import.meta.dirname, '../../bin/linnet')

/** Long enough for a busy machine: only a test that fails waits for it. */
const startMs = 60_000

export interface ServerProcessSettings {
  /** Must exist; the configuration is written there, too. */
  readonly dataDir: string
  readonly config: string
  readonly env?: Readonly<Record<string, string>>
  /** Put before the program's name, which it has to become: `strace -D …`. */
  readonly wrapper?: readonly string[]
}

/** The server as operators run it: `bin/linnet serve`, in a process of its own that may be killed. */
export class ServerProcess implements AsyncDisposable {
  readonly #child
  #output = ''
  /** Exit code or signal. */
  readonly ended: Promise<number | string>

  private constructor({ dataDir, config, env = {}, wrapper = [] }: Launch) {
    const words = [...wrapper, program, 'serve', '--config', config, '--data', dataDir]
    const [command = program, ...args] = words
    this.#child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const child = this.#child
    const kill = (): void => void child.kill('SIGKILL')
    process.on('exit', kill) // should the test end without having disposed of us
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        // Only the beginning, with the ports, and the end are ever looked at.
        this.#output = (this.#output + text).slice(0, 65_536)
      })
    }
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        process.off('exit', kill)
        resolve(code ?? signal ?? 'unknown')
      })
      child.once('error', (error) => resolve(error.message))
    })
  }

  /** Starts a server and does not wait for it to be ready. */
  static async launch(settings: ServerProcessSettings): Promise<ServerProcess> {
    const config = join(settings.dataDir, 'linnet.yml')
    await writeFile(config, settings.config)
    return new ServerProcess({ ...settings, config })
  }

  /** Resolves when the server serves. */
  static async start(settings: ServerProcessSettings): Promise<ServerProcess> {
    const server = await ServerProcess.launch(settings)
    try {
      await server.#untilReady()
    } catch (error) {
      await server.kill()
      throw error
    }
    return server
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('The server was not started')
    return this.#child.pid
  }

  /** What it has said so far. */
  get output(): string {
    return this.#output
  }

  /** The ports of all listeners, in the order of the configuration. */
  get ports(): readonly number[] {
    return [...this.#output.matchAll(/^ {2}\S*:(\d+) {2}/gm)].map(([, port]) => Number(port))
  }

  /** The port of the listener at that place of the configuration. */
  port(index: number): number {
    const port = this.ports[index]
    if (port === undefined) throw new Error(`No port ${index} in\n${this.#output}`)
    return port
  }

  /** As a crash would: no goodbye to anybody. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }

  /** As an operator would; resolves with the exit code. */
  async stop(): Promise<number | string> {
    this.#child.kill('SIGTERM')
    return this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  async #untilReady(): Promise<void> {
    const deadline = AbortSignal.timeout(startMs)
    const ended = this.ended.then((how) => {
      throw new Error(`The server ended (${how}) instead of starting:\n${this.#output}`)
    })
    ended.catch(() => undefined) // it ends one day, which is no failure then
    while (!/^Linnet \S+ is ready/m.test(this.#output)) {
      await Promise.race([once(this.#child.stdout, 'data', { signal: deadline }), ended])
    }
  }
}

interface Launch extends ServerProcessSettings {
  readonly config: string
}
