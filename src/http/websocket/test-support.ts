/* What tests of WebSockets share: a listener, clients, and frames as clients write them, legal or not. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { WebSocket as Client } from 'ws'
import { RecordingHandler } from '../../core/net/test-support.ts'
import type { TransportHandler } from '../../core/transport.ts'
import type { HttpAnswer, RequestHandler, UpgradeRequest, WebSocketTransport } from '../handler.ts'
import { readUntil, startHttp } from '../test-support.ts'
import type { HttpSetting, HttpSettings } from '../test-support.ts'

export interface Setting extends AsyncDisposable {
  readonly http: HttpSetting
  readonly requests: UpgradeRequest[]
  /** In the order in which they were opened. */
  readonly sockets: WebSocketTransport[]
  readonly handlers: RecordingHandler[]
}

export interface Settings extends Partial<HttpSettings> {
  readonly mode?: 'binary' | 'text'
  readonly maxMessageBytes?: number
  readonly refuse?: HttpAnswer
  readonly handlerFor?: (transport: WebSocketTransport) => TransportHandler
}

/** A listener whose only handler opens WebSockets. Read buffers are poisoned: views that outlive their callback are found. */
export async function start(settings: Settings = {}): Promise<Setting> {
  process.env['LINNET_TEST_POISON'] = '1'
  const { mode = 'binary', maxMessageBytes = Infinity, refuse, handlerFor } = settings
  const requests: UpgradeRequest[] = []
  const sockets: WebSocketTransport[] = []
  const handlers: RecordingHandler[] = []
  const handler: RequestHandler = {
    name: 'test',
    upgrade(request) {
      requests.push(request)
      if (refuse !== undefined) return refuse
      return {
        subprotocol: request.subprotocols[0],
        mode,
        maxMessageBytes,
        open(transport) {
          sockets.push(transport)
          const recording = new RecordingHandler()
          handlers.push(recording)
          transport.attach(handlerFor?.(transport) ?? recording)
        },
      }
    },
  }
  const http = await startHttp({
    handlers: [handler],
    options: 'request_handlers: {/ws: test}',
    ...settings,
  })
  return {
    http,
    requests,
    sockets,
    handlers,
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  }
}

export const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const asked = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${key}`,
]

/** A whole request for a WebSocket. */
export function handshake(...more: readonly string[]): string {
  return `${['GET /ws/a?b HTTP/1.1', 'Host: localhost', ...asked, ...more].join('\r\n')}\r\n\r\n`
}

export interface Opened {
  readonly client: Socket
  readonly server: WebSocketTransport
  readonly handler: RecordingHandler
}

/** A raw connection after the handshake. */
export async function open(setting: Setting): Promise<Opened> {
  const client = await setting.http.connect()
  client.on('error', () => undefined)
  client.write(handshake())
  await readUntil(client, '\r\n\r\n')
  const server = setting.sockets.at(-1)
  const handler = setting.handlers.at(-1)
  assert.ok(server !== undefined && handler !== undefined)
  return { client, server, handler }
}

/** A client of the `ws` package. */
export async function connected(setting: Setting, protocols: string[] = []): Promise<Client> {
  const client = new Client(`ws://127.0.0.1:${setting.http.port}/ws`, protocols)
  await once(client, 'open')
  return client
}

/** What a Close frame of the server says, as `code reason`. */
export function closeOf(bytes: string): string {
  const at = bytes.lastIndexOf('\x88')
  const payload = Buffer.from(bytes.slice(at + 2), 'latin1')
  return at < 0 ? 'none' : `${payload.readUInt16BE()} ${payload.toString('utf8', 2)}`.trim()
}

export interface ClientFrameSettings {
  readonly isFinal?: boolean
  readonly mask?: number
}

/** A masked frame; `payload` is text of one byte a character. */
export function clientFrame(
  opcode: number,
  payload: string | Buffer,
  settings: ClientFrameSettings = {},
): Buffer {
  const { isFinal = true, mask = 0x37fa213d } = settings
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const key = Buffer.alloc(4)
  key.writeUInt32BE(mask)
  const masked = bytes.map((byte, i) => byte ^ (key[i & 3] ?? 0))
  return Buffer.concat([header(opcode, bytes.length, isFinal), key, masked])
}

function header(opcode: number, length: number, isFinal: boolean): Buffer {
  const first = (isFinal ? 0x80 : 0) | opcode
  if (length < 126) return Buffer.from([first, 0x80 | length])
  if (length <= 0xffff) return Buffer.from([first, 0xfe, length >> 8, length & 0xff])
  const long = Buffer.alloc(10)
  long[0] = first
  long[1] = 0xff
  long.writeBigUInt64BE(BigInt(length), 2)
  return long
}
