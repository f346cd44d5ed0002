import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { freePort } from './ejabberd.ts'
import { Folder, Process } from './process.ts'

const program = '/usr/sbin/mosquitto'

/** Why tests against mosquitto itself cannot run here, for `skip`. */
export const noMosquittoBroker: string | false =
  !existsSync(program) && 'mosquitto (Debian package mosquitto) is not installed'

export interface MosquittoBrokerOptions {
  /** Lines of its configuration, after those that keep it to itself; `{dir}` is its folder. */
  readonly config?: readonly string[]
  /** Files that these name, by their names in the folder. */
  readonly files?: Readonly<Record<string, string>>
  /** Its port; one that was free a moment ago otherwise. */
  readonly port?: number
  /** Of one that has stopped: what that one kept. */
  readonly folder?: Folder
}

/** A mosquitto of the test's own, on the loopback address. It keeps what it has when it is stopped. */
export class MosquittoBroker implements AsyncDisposable {
  readonly port: number
  readonly #folder: Folder
  readonly #ownsFolder: boolean
  readonly #file: string
  #process: Process | undefined

  private constructor(port: number, folder: Folder, ownsFolder: boolean, file: string) {
    this.port = port
    this.#folder = folder
    this.#ownsFolder = ownsFolder
    this.#file = file
  }

  static async start(options: MosquittoBrokerOptions = {}): Promise<MosquittoBroker> {
    const folder = options.folder ?? new Folder()
    const port = options.port ?? (await freePort())
    for (const [name, content] of Object.entries(options.files ?? {})) {
      writeFileSync(folder.join(name), content)
    }
    const lines = [
      'persistence true',
      `persistence_location ${folder.path}/`,
      // It would give up root for a user who may not write here.
      'user root',
      // Its standard output is buffered.
      'log_dest stderr',
      'log_type all',
      'max_queued_messages 0',
      `listener ${port} 127.0.0.1`,
      ...(options.config ?? ['allow_anonymous true']),
    ]
    const file = folder.join('mosquitto.conf')
    writeFileSync(file, `${lines.join('\n').replaceAll('{dir}', folder.path)}\n`)
    const broker = new MosquittoBroker(port, folder, options.folder === undefined, file)
    await broker.run()
    return broker
  }

  /** What it has logged since it was started last. */
  get log(): string {
    return this.#process?.stderr ?? ''
  }

  file(name: string): string {
    return this.#folder.join(name)
  }

  /** Starts it again after `stop` or `kill`. */
  async run(): Promise<void> {
    assert.equal(this.#process, undefined, 'It is running')
    const process = new Process(['-c', this.#file], { program })
    this.#process = process
    try {
      await process.says(/mosquitto version \S+ running/, 'stderr')
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Resolves when its log has such a line. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return (this.#process ?? assert.fail('It does not run')).says(pattern, 'stderr')
  }

  /** An orderly stop: it writes down what it has. */
  async stop(): Promise<void> {
    const process = this.#process
    this.#process = undefined
    process?.signal('SIGTERM')
    await process?.ended()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const process = this.#process
    this.#process = undefined
    await process?.[Symbol.asyncDispose]()
    if (this.#ownsFolder) this.#folder[Symbol.dispose]()
  }
}
