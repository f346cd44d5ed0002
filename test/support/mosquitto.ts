import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { FieldServer } from './field-server.ts'
import { password } from './field-server.ts'
import { Process, run } from './process.ts'
import type { Ended } from './process.ts'

/** Why tests with mosquitto's clients cannot run here, for `skip`. */
export const noMosquitto: string | false =
  !existsSync('/usr/bin/mosquitto_rr') &&
  'mosquitto_rr (Debian package mosquitto-clients) is not installed'

export type MosquittoVersion = 'mqttv31' | 'mqttv311' | 'mqttv5'

export const mosquittoVersions: readonly MosquittoVersion[] = ['mqttv31', 'mqttv311', 'mqttv5']

export interface MosquittoOptions {
  readonly way?: 'mqtt' | 'mqtts'
  readonly user?: string
  readonly version?: MosquittoVersion
}

/** What marks messages among the lines that `-d` prints. */
const mark = '> '

/** Long enough for a busy machine, in seconds: only a test that fails waits for it. */
const patience = '60'

/** mosquitto's clients, each told where the server is and who they are. */
export class Mosquitto {
  readonly #options: readonly string[]

  constructor(server: FieldServer, options: MosquittoOptions = {}) {
    const { way = 'mqtt', user = 'juliet', version = 'mqttv311' } = options
    this.#options = [
      ...['-h', 'localhost', '-p', `${server.port(way)}`, '-V', version],
      ...['-u', `${user}@localhost`, '-P', password],
      ...(way === 'mqtts' ? ['--cafile', server.cafile] : []),
    ]
  }

  pub(...args: readonly string[]): Promise<Ended> {
    return run([...this.#options, ...args], { program: 'mosquitto_pub' })
  }

  /** Publishes, which has to succeed. */
  async publish(...args: readonly string[]): Promise<void> {
    const { status, stderr } = await this.pub(...args)
    assert.equal(stderr, '')
    assert.equal(status, 0)
  }

  /** The file is its standard input. */
  async publishFrom(file: string, ...args: readonly string[]): Promise<void> {
    const words = ['-c', 'exec mosquitto_pub "$@" < "$0"', file, ...this.#options, ...args]
    const { status, stderr } = await run(words, { program: 'sh' })
    assert.equal(stderr, '')
    assert.equal(status, 0)
  }

  sub(...args: readonly string[]): Promise<Ended> {
    return run([...this.#options, ...args], { program: 'mosquitto_sub' })
  }

  /** Resolves when its subscriptions were answered. `format` is for each message, as `-F` takes it. */
  async subscribe(format: string, ...args: readonly string[]): Promise<Subscriber> {
    const subscriber = this.#subscriber(format, args)
    try {
      await subscriber.says(/^Subscribed /m)
    } catch (error) {
      await subscriber[Symbol.asyncDispose]()
      throw error
    }
    return subscriber
  }

  /** All messages that it shows until it ends by itself. */
  async collect(format: string, ...args: readonly string[]): Promise<string[]> {
    await using subscriber = this.#subscriber(format, args)
    return await subscriber.collect()
  }

  rr(...args: readonly string[]): Process {
    return new Process([...this.#options, ...args], { program: 'mosquitto_rr' })
  }

  #subscriber(format: string, args: readonly string[]): Subscriber {
    return new Subscriber([
      '-d',
      '-W',
      patience,
      '-F',
      `${mark}${format}`,
      ...this.#options,
      ...args,
    ])
  }
}

/** `mosquitto_sub`. */
export class Subscriber extends Process {
  constructor(args: readonly string[]) {
    // Into a pipe it would write only when it has a lot to say.
    super(['-oL', 'mosquitto_sub', ...args], { program: 'stdbuf' })
  }

  /** What it has shown so far. */
  get messages(): string[] {
    return this.stdout
      .split('\n')
      .filter((line) => line.startsWith(mark))
      .map((line) => line.slice(mark.length))
  }

  /** All messages, when it has had enough of them (`-C`). */
  async collect(): Promise<string[]> {
    const { status, stderr } = await this.ended()
    assert.equal(stderr, '')
    assert.equal(status, 0, this.stdout)
    return this.messages
  }
}
