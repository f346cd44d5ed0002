import type { MqttServer } from '../../support/mqtt-broker.ts'
import type { ConnectOptions, MqttClient } from '../../support/mqtt-client.ts'
import { bytes, field, packet } from '../../support/mqtt-raw.ts'
import type { Part } from '../../support/mqtt-raw.ts'

/** A client of MQTT 3.1.1 that is connected and let in. */
export function login(
  server: MqttServer,
  clientId: string,
  options: ConnectOptions = {},
): Promise<MqttClient> {
  return server.login({ version: 4, clientId, ...options })
}

/** The same with a session that outlives the connection. */
export function loginToStay(server: MqttServer, clientId: string): Promise<MqttClient> {
  return login(server, clientId, { cleanStart: false })
}

/** A client that expects answers of MQTT 3.1.1 and has said nothing yet. */
export async function stranger(server: MqttServer): Promise<MqttClient> {
  const client = await server.connect()
  client.speak(4)
  return client
}

/** The end of a CONNECT: user name and password of an account. */
export const credentials: Buffer = bytes(field('juliet'), field('secret'))

/** Connect flags: a user name and a password, CleanSession. */
export const flags = 0xc2

export interface RawConnect {
  readonly name?: string
  readonly level?: number
  readonly flags?: number
  /** In place of client identifier, user name and password. */
  readonly payload?: readonly Part[]
}

/** A CONNECT as a client would send it that does not know better. */
export function rawConnect(options: RawConnect = {}): Buffer {
  const { name = 'MQTT', level = 4, payload = [field('raw'), credentials] } = options
  const head = Buffer.from([level, options.flags ?? flags, 0, 0])
  return packet(0x10, field(name), head, ...payload)
}

/** The texts of the next messages, each acknowledged. */
export async function texts(client: MqttClient, count: number): Promise<string[]> {
  const received: string[] = []
  while (received.length < count) received.push((await client.receiveMessage()).text)
  return received
}

/** Resolves when the server knows that the client has gone. */
export async function gone(server: MqttServer, clientId: string): Promise<void> {
  const jid = `juliet@localhost/${clientId}`
  const isConnected = (): boolean =>
    [...server.broker().listSessions()].some((info) => info.jid === jid && info.isConnected)
  while (isConnected()) await new Promise((resolve) => setImmediate(resolve))
}
