import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TestClock } from '../../src/core/clock.ts'
import type { Clock } from '../../src/core/clock.ts'
import type { PortListener } from '../../src/core/net/port-listener.ts'
import { runControl } from '../../src/admin/control.ts'
import type { ControlAnswer } from '../../src/admin/control-socket.ts'
import { commandRegistry, logs } from '../../src/core/shared.ts'
import { createServer } from '../../src/server.ts'
import type { LinnetServer } from '../../src/server.ts'

export interface TestServerOptions {
  /** Options as they would stand in the file; `hosts: [localhost]`, no listeners and no modules unless given. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Kept after the server has stopped, for another one to start on; a fresh folder otherwise. */
  readonly dataDir?: string
  readonly clock?: Clock
}

/** The whole server in this process, on ports that the kernel chose. */
export class TestServer implements AsyncDisposable {
  readonly server: LinnetServer
  readonly dataDir: string
  /** Lines of the log, as JSON. */
  readonly log: readonly string[]
  readonly #ownsData: boolean
  readonly #options: Record<string, unknown>

  private constructor(
    server: LinnetServer,
    options: Record<string, unknown>,
    dataDir: string,
    ownsData: boolean,
    log: string[],
  ) {
    this.server = server
    this.#options = options
    this.dataDir = dataDir
    this.#ownsData = ownsData
    this.log = log
  }

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'linnet-test-'))
    const lines: string[] = []
    const written = { hosts: ['localhost'], loglevel: 'debug', ...options.config }
    const server = await createServer({
      source: { options: written },
      dataDir,
      log: { format: 'json', destination: { write: (line) => void lines.push(line) } },
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    })
    await server.start()
    return new TestServer(server, written, dataDir, options.dataDir === undefined, lines)
  }

  /** The port of the nth listener of that module; throws when there is none. */
  port(module: string, nth = 0): number {
    return this.listener(module, nth).address.port
  }

  listener(module: string, nth = 0): PortListener {
    const found = this.server.network.open.filter(({ entry }) => entry.module === module)[nth]
    if (found === undefined) throw new Error(`No listener of ${module} is open`)
    return found
  }

  /** Reads the configuration again, after these options were changed in it; those that are undefined are taken out. */
  reload(changes: Readonly<Record<string, unknown>>): Promise<string | undefined> {
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) Reflect.deleteProperty(this.#options, name)
      else this.#options[name] = value
    }
    return this.server.reload()
  }

  /** Runs a command as the shell would. */
  run(...words: string[]): Promise<ControlAnswer> {
    const { services } = this.server
    return runControl(
      {
        commands: services.get(commandRegistry),
        services,
        log: services.get(logs).for('control'),
      },
      { words },
    )
  }

  /** Runs a command that has to succeed; returns what it prints. */
  async ok(...words: string[]): Promise<string> {
    const { exit, output } = await this.run(...words)
    if (exit !== 0) throw new Error(`${words.join(' ')} ended with ${exit}: ${output}`)
    return output
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    if (this.#ownsData) rmSync(this.dataDir, { recursive: true, force: true })
  }
}

export { TestClock }
