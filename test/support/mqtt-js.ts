import { connect, connectAsync } from 'mqtt'
import type { IClientOptions, IPublishPacket, MqttClient, MqttClientEventCallbacks } from 'mqtt'
import type { FieldServer, Way } from './field-server.ts'
import { password } from './field-server.ts'

/** Long enough for a busy machine: only a test that fails waits for it. */
const patienceMs = 60_000

/** The versions of MQTT that have clients today, by their level. */
export const levels = [4, 5] as const

export interface JsOptions extends IClientOptions {
  readonly way?: Way
  readonly user?: string
  /** By another method than a password. */
  readonly withoutPassword?: boolean
}

/** mqtt.js, which goes its way until the test ends. */
export class JsClient implements AsyncDisposable {
  readonly client: MqttClient
  readonly inbox: Inbox

  private constructor(client: MqttClient) {
    this.client = client
    this.inbox = new Inbox(client)
    // What is expected is awaited; the rest must not end the process.
    client.on('error', () => undefined)
  }

  /** Resolves when it is let in; fails when it is not. */
  static async connect(server: FieldServer, options: JsOptions = {}): Promise<JsClient> {
    const { url, settings } = settingsOf(server, options)
    return new JsClient(await connectAsync(url, settings))
  }

  /** Does not wait, so that nothing is missed of what comes right behind CONNACK. */
  static start(server: FieldServer, options: JsOptions = {}): JsClient {
    const { url, settings } = settingsOf(server, options)
    return new JsClient(connect(url, settings))
  }

  /** The connection breaks without a word. */
  drop(): void {
    this.client.stream.destroy()
  }

  /** What the next event of that name comes with. */
  next<E extends 'close' | 'connect' | 'disconnect' | 'error' | 'packetreceive' | 'packetsend'>(
    event: E,
  ): Promise<Parameters<MqttClientEventCallbacks[E]>[0]> {
    return new Promise((resolve) => {
      const happened = (value?: Parameters<MqttClientEventCallbacks[E]>[0]): void => resolve(value)
      this.client.once(event, happened)
    })
  }

  /** Resolves when that many more packets have come. */
  receives(count: number): Promise<void> {
    let left = count
    return new Promise((resolve) => {
      const received = (): void => {
        left -= 1
        if (left > 0) return
        this.client.off('packetreceive', received)
        resolve()
      }
      this.client.on('packetreceive', received)
    })
  }

  async end(): Promise<void> {
    await this.client.endAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.endAsync(true)
  }
}

function settingsOf(
  server: FieldServer,
  { way = 'mqtt', user = 'juliet', withoutPassword = false, ...options }: JsOptions,
): { url: string; settings: IClientOptions } {
  return {
    url: server.url(way),
    settings: {
      username: `${user}@localhost`,
      ...(!withoutPassword && { password }),
      protocolVersion: 5,
      reconnectPeriod: 0,
      ca: server.ca,
      ...options,
    },
  }
}

/** A message in a line: `topic=payload qos`, and `r` when it is an old one. */
function lineOf(topic: string, payload: Buffer, { qos, retain }: IPublishPacket): string {
  return `${topic}=${payload.toString()} ${qos}${retain ? 'r' : ''}`
}

/** Collects messages, in the order in which they come. */
export class Inbox {
  /** Those that nobody took. */
  readonly lines: string[] = []
  readonly packets: IPublishPacket[] = []
  #wake = (): void => undefined

  constructor(client: MqttClient) {
    client.on('message', (topic, payload, packet) => {
      this.lines.push(lineOf(topic, payload, packet))
      this.packets.push(packet)
      this.#wake()
    })
  }

  async take(count: number): Promise<string[]> {
    await this.#until(count)
    this.packets.splice(0, count)
    return this.lines.splice(0, count)
  }

  /** The next message as it came. */
  async packet(): Promise<IPublishPacket> {
    await this.#until(1)
    this.lines.shift()
    const packet = this.packets.shift()
    if (packet === undefined) throw new Error('There is no message')
    return packet
  }

  async #until(count: number): Promise<void> {
    while (this.lines.length < count) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      this.#wake = resolve
      const late = (): void =>
        reject(
          new Error(`Only ${this.lines.length} of ${count} messages:\n${this.lines.join('\n')}`),
        )
      const timer = setTimeout(late, patienceMs)
      await promise.finally(() => clearTimeout(timer))
    }
  }
}
