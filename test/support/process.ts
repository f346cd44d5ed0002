import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

/** The program in this checkout. */
export const linnet = join(import.meta.dirname, '../../bin/linnet')

/** Long enough for a busy machine: only a test that fails waits for it. */
const patienceMs = 60_000

/** What decides where a server looks for its files must not come from whoever runs the tests. */
const cleared = [
  'LINNET_CONFIG_PATH',
  'EJABBERD_CONFIG_PATH',
  'LINNET_DATA_DIR',
  'LINNET_LOG_PATH',
  'LINNET_LOG_FORMAT',
]

export interface RunOptions {
  readonly program?: string
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
}

export interface Ended {
  /** Exit code, or the signal that ended it. */
  readonly status: number | string
  readonly stdout: string
  readonly stderr: string
}

/** A child process, with what it has said. */
export class Process implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #ended: Promise<number | string>
  readonly #said = { stdout: '', stderr: '' }
  #wake: (() => void) | undefined
  #isOver = false

  constructor(args: readonly string[], { program = linnet, cwd, env }: RunOptions = {}) {
    const inherited = { ...process.env, ...Object.fromEntries(cleared.map((name) => [name])) }
    this.#child = spawn(program, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...inherited, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const child = this.#child
    const kill = (): void => void child.kill('SIGKILL')
    process.on('exit', kill) // should the test end without having disposed of us
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        this.#said[name] += text
        this.#wake?.()
      })
    }
    this.#ended = new Promise((resolve) => {
      const end = (status: number | string): void => {
        process.off('exit', kill)
        this.#isOver = true
        this.#wake?.()
        resolve(status)
      }
      child.once('close', (code, signal) => end(code ?? signal ?? 'unknown'))
      child.once('error', (error) => end(error.message))
    })
  }

  get pid(): number {
    return this.#child.pid ?? assert.fail('The process was not started')
  }

  get stdout(): string {
    return this.#said.stdout
  }

  get stderr(): string {
    return this.#said.stderr
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Resolves when the process is over. */
  async ended(): Promise<Ended> {
    return { status: await this.#ended, ...this.#said }
  }

  /** Resolves when what was said so far matches; fails when the process ends without. */
  async says(pattern: RegExp, from: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#said[from])
      if (found !== null) return found
      if (this.#isOver) {
        assert.fail(`It ended without saying ${pattern}:\n${this.stdout}\n${this.stderr}`)
      }
      await this.#woken(`Nothing like ${pattern} was said:\n${this.stdout}\n${this.stderr}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async #woken(late: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => reject(new Error(late)), patienceMs)
    this.#wake = resolve
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#wake = undefined
    }
  }
}

/** Runs a program to its end. */
export async function run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  await using child = new Process(args, options)
  return await child.ended()
}

/** A server in a process of its own, as operators run it. */
export class ServerProcess extends Process {
  readonly dataDir: string

  private constructor(args: readonly string[], dataDir: string, options: RunOptions) {
    super(args, options)
    this.dataDir = dataDir
  }

  /** `linnet serve`; does not wait for anything. */
  static launch(dataDir: string, config: string | undefined, options?: RunOptions): ServerProcess {
    const named = config === undefined ? [] : ['--config', config]
    return new ServerProcess(['serve', ...named, '--data', dataDir], dataDir, options ?? {})
  }

  /** Resolves when the server serves. */
  static async start(
    dataDir: string,
    config: string | undefined,
    options?: RunOptions,
  ): Promise<ServerProcess> {
    const server = ServerProcess.launch(dataDir, config, options)
    try {
      await server.says(/^Linnet \S+ is ready/m)
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
    return server
  }

  /** The port of the listener at that place of the configuration. */
  port(index: number): number {
    const ports = [...this.stdout.matchAll(/^ {2}\S*:(\d+) {2}/gm)].map(([, port]) => Number(port))
    return ports[index] ?? assert.fail(`No port ${index} in\n${this.stdout}`)
  }

  /** Runs `linnet COMMAND …` against it. */
  tell(...words: string[]): Promise<Ended> {
    return run(['--data', this.dataDir, ...words])
  }

  /** As `tell`, for what has to succeed; returns what it prints. */
  async ok(...words: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.tell(...words)
    assert.equal(status, 0, `${words.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }
}

/** A folder that goes with the test. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'linnet-run-'))

  join(...names: string[]): string {
    return join(this.path, ...names)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
