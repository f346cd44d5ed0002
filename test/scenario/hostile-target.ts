import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { callServer } from '../../src/admin/control-socket.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import { MqttClient } from '../crash/mqtt-client.ts'
import { ServerProcess } from '../crash/server-process.ts'
import { XmppClient } from '../crash/xmpp-client.ts'

export const password = 'secret'

/** Places of the listeners below. */
export const ports = { xmpp: 0, xmppTls: 1, mqtt: 2, mqttTls: 3, http: 4 } as const

/** With limits low enough to reach them, as operators may set them. */
const config = `
hosts: [localhost]
loglevel: error
negotiation_timeout: 5s
listen:
  - { port: 0, ip: 127.0.0.1, module: ejabberd_c2s, access: all, starttls: true, max_stanza_size: 262144 }
  - { port: 0, ip: 127.0.0.1, module: ejabberd_c2s, access: all, tls: true }
  - { port: 0, ip: 127.0.0.1, module: mod_mqtt, max_payload_size: 1048576 }
  - { port: 0, ip: 127.0.0.1, module: mod_mqtt, tls: true }
  - port: 0
    ip: 127.0.0.1
    module: ejabberd_http
    request_handlers: { /mqtt: mod_mqtt, /metrics: linnet_metrics }
modules:
  mod_mqtt: { max_queue: 1000 }
  mod_offline: {}
  mod_ping: {}
  mod_roster: {}
`

/**
 * The heap may not grow beyond this: a server that collected what a bad peer makes it collect would die of it, and garbage that
 * nobody has collected yet cannot be mistaken for growth.
 */
const heapMiB = 128

/** A server in a process of its own, with accounts `a` to `f`, that somebody is going to be unkind to. */
export class Target implements AsyncDisposable {
  readonly server: ServerProcess
  readonly #dir: string

  private constructor(server: ServerProcess, dir: string) {
    this.server = server
    this.#dir = dir
  }

  static async start(): Promise<Target> {
    const dir = await mkdtemp(join(tmpdir(), 'linnet-hostile-'))
    const env = { NODE_OPTIONS: `--max-old-space-size=${heapMiB}` }
    const server = await ServerProcess.start({ dataDir: dir, config, env })
    for (const user of 'abcdef') {
      const answer = await callServer(dir, { words: ['register', user, 'localhost', password] })
      assert.equal(answer?.exit, 0, answer?.output ?? 'no server')
    }
    return new Target(server, dir)
  }

  port(name: keyof typeof ports): number {
    return this.server.port(ports[name])
  }

  xmpp(user: string, resource = 'test'): Promise<XmppClient> {
    return XmppClient.connect({ port: this.port('xmpp'), user, password, resource })
  }

  mqtt(user: string, clientIdentifier: string): Promise<MqttClient> {
    const userName = `${user}@localhost`
    return MqttClient.connect({ port: this.port('mqtt'), userName, password, clientIdentifier })
  }

  /** Memory of the process that is really there (proc(5)). */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.server.pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  }

  /** Open files and sockets. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.server.pid}/fd`).length
  }

  /** By how much the process grows at most while something goes on. */
  async growthDuring(work: () => Promise<void>): Promise<number> {
    const before = this.residentBytes
    let most = before
    const timer = setInterval(() => {
      most = Math.max(most, this.residentBytes)
    }, 20)
    try {
      await work()
    } finally {
      clearInterval(timer)
    }
    return Math.max(most, this.residentBytes) - before
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    await rm(this.#dir, { recursive: true })
  }
}

/** Somebody who goes about their own business meanwhile: asks and is answered, publishes and is sent it, over and over. */
export class Bystander {
  readonly #xmpp: XmppClient
  readonly #mqtt: MqttClient
  #isStopping = false
  #rounds = 0
  #slowestMs = 0
  readonly #running: Promise<void>

  private constructor(xmpp: XmppClient, mqtt: MqttClient) {
    this.#xmpp = xmpp
    this.#mqtt = mqtt
    this.#running = this.#run()
    this.#running.catch(() => undefined) // told by `stop` and `goesOn`
  }

  static async start(target: Target): Promise<Bystander> {
    const xmpp = await target.xmpp('f', 'bystander')
    const mqtt = await target.mqtt('f', 'bystander')
    assert.equal(await mqtt.subscribe('bystander/own', 1), 'acknowledged')
    return new Bystander(xmpp, mqtt)
  }

  get rounds(): number {
    return this.#rounds
  }

  /** Resolves after so many more rounds. */
  async goesOn(rounds: number): Promise<void> {
    const goal = this.#rounds + rounds
    while (this.#rounds < goal) {
      await Promise.race([this.#running, new Promise((resolve) => setTimeout(resolve, 5))])
      assert.ok(!this.#isStopping)
    }
  }

  /** Fails if anything went wrong on the way. Says how long the slowest round took. */
  async stop(): Promise<string> {
    this.#isStopping = true
    await this.#running
    await this.#xmpp.end()
    await this.#mqtt.end()
    return `${this.#rounds} rounds of the bystander, the slowest in ${Math.round(this.#slowestMs)} ms`
  }

  async #run(): Promise<void> {
    let received: ((payload: string) => void) | undefined
    this.#mqtt.onPublish = ({ payload }) => received?.(Buffer.from(payload).toString())
    while (!this.#isStopping) {
      const startedAt = performance.now()
      const pong = await this.#xmpp.request('get', xml('ping', 'urn:xmpp:ping'), 'localhost')
      assert.equal(pong?.attr('type'), 'result')
      const text = `${this.#rounds}`
      const arrived = new Promise<string>((resolve) => {
        received = resolve
      })
      const payload = Buffer.from(text)
      const answer = await this.#mqtt.publish({ topic: 'bystander/own', payload, qos: 1 })
      assert.equal(answer, 'acknowledged')
      const lost = this.#mqtt.closed.then(() => 'the connection ended')
      assert.equal(await Promise.race([arrived, lost]), text)
      this.#rounds += 1
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startedAt)
    }
  }
}

/** A connection without manners: sends bytes, and knows when the server has had enough. */
export class Intruder {
  readonly socket: Socket
  readonly closed: Promise<void>
  #received = Buffer.alloc(0)

  constructor(port: number, first: Uint8Array | string = '') {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: false })
    // Being thrown out is what it is here for.
    this.socket.on('error', () => this.socket.destroy())
    this.socket.on('data', (bytes: Buffer) => {
      if (this.#received.length < 65_536) this.#received = Buffer.concat([this.#received, bytes])
    })
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()))
    if (first.length > 0) this.socket.write(first)
  }

  get received(): string {
    return this.#received.toString('latin1')
  }

  get isClosed(): boolean {
    return this.socket.destroyed
  }

  /** Sends as fast as the server reads, until there is no more, or the server has had enough. */
  async pour(pieces: Iterable<Uint8Array | string>): Promise<void> {
    for (const piece of pieces) {
      // Otherwise it would never hear what the server says.
      await nextTurn()
      if (this.isClosed) return
      if (this.socket.write(piece)) continue
      const drained = new Promise<void>((resolve) => this.socket.once('drain', () => resolve()))
      await Promise.race([drained, this.closed])
    }
  }

  leave(): Promise<void> {
    this.socket.destroy()
    return this.closed
  }
}

export const MiB = 1024 * 1024
