import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { systemClock } from '../core/clock.ts'
import { addressOf } from '../core/net/address.ts'
import { TcpTransport, transportSettings } from '../core/net/tcp-transport.ts'
import { listen, RecordingHandler } from '../core/net/test-support.ts'
import { WebSocketClient } from './websocket-client.ts'
import { acceptOf } from './websocket/handshake.ts'
import { start } from './websocket/test-support.ts'

async function dial(port: number): Promise<TcpTransport> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  await once(socket, 'connect')
  const peer = addressOf(socket.remoteAddress, socket.remotePort)
  return new TcpTransport(socket, peer, transportSettings(systemClock(), { poison: true }))
}

const request = { authority: 'localhost', target: '/ws', subprotocol: 'mqtt' } as const

async function open(port: number): Promise<[WebSocketClient, RecordingHandler]> {
  const client = await WebSocketClient.open(await dial(port), request)
  const handler = new RecordingHandler()
  client.attach(handler)
  return [client, handler]
}

/** A server of the `ws` package. */
class Server implements AsyncDisposable {
  readonly #server: WebSocketServer

  private constructor(server: WebSocketServer) {
    this.#server = server
  }

  static async start(): Promise<Server> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    return new Server(server)
  }

  async open(): Promise<{ there: WebSocket; client: WebSocketClient; handler: RecordingHandler }> {
    const connection = once(this.#server, 'connection')
    const address = this.#server.address()
    assert.ok(typeof address === 'object' && address !== null)
    const [client, handler] = await open(address.port)
    const [there] = (await connection) as [WebSocket] // what the event carries
    return { there, client, handler }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#server.clients) client.terminate()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

describe('a WebSocket of ours as the client', () => {
  test('carries bytes both ways, whatever their number', async () => {
    await using server = await Server.start()
    const { there, client, handler } = await server.open()
    assert.equal(there.protocol, 'mqtt')
    const received: Buffer[] = []
    there.on('message', (data: Buffer) => received.push(data))
    for (const size of [1, 125, 126, 65_535, 65_536, 200_000]) {
      received.length = 0
      const bytes = Buffer.alloc(size, `${size} `)
      client.write(bytes)
      while (Buffer.concat(received).length < size) await once(there, 'message')
      assert.ok(Buffer.concat(received).equals(bytes))
      handler.received = Buffer.alloc(0)
      there.send(bytes)
      await handler.until(() => handler.received.length === size)
      assert.ok(handler.received.equals(bytes))
    }
    client.writeText('text and ')
    client.writeCopy(Buffer.from('xcopyx'), 1, 5)
    const [together] = (await once(there, 'message')) as [Buffer]
    assert.equal(together.toString(), 'text and copy')
  })

  test('answers pings and the end (RFC 6455 §5.5)', async () => {
    await using server = await Server.start()
    const { there, handler } = await server.open()
    const pong = once(there, 'pong')
    there.ping('are you there')
    const [payload] = (await pong) as [Buffer]
    assert.equal(payload.toString(), 'are you there')
    const closed = once(there, 'close')
    there.close(1001, 'bye')
    assert.equal((await closed)[0], 1001)
    await handler.until(() => handler.reason !== undefined)
    assert.equal(handler.reason?.kind, 'ended')
  })

  test('says goodbye', async () => {
    await using server = await Server.start()
    const { there, client, handler } = await server.open()
    const closed = once(there, 'close')
    client.write(Buffer.from('last'))
    client.close()
    assert.equal((await closed)[0], 1000)
    await handler.until(() => handler.reason !== undefined)
    assert.equal(handler.reason?.kind, 'local')
  })

  test('stops reading on request, and tells when there is room again', async () => {
    await using server = await Server.start()
    const { there, client, handler } = await server.open()
    client.pause()
    there.send(Buffer.from('later'))
    there.pause()
    while (client.write(Buffer.alloc(65_536))) await new Promise(setImmediate)
    assert.equal(handler.received.length, 0)
    client.resume()
    await handler.until(() => handler.text === 'later')
    there.resume()
    await handler.until(() => handler.drains > 0)
    client.destroy()
    await handler.until(() => handler.reason !== undefined)
  })

  test("gets along with this server's own end", async () => {
    await using setting = await start()
    const [client, handler] = await open(setting.http.port)
    client.write(Buffer.from('hello'))
    const there = setting.handlers[0] ?? assert.fail('nobody came')
    await there.until(() => there.text === 'hello')
    setting.sockets[0]?.write(Buffer.from('welcome'))
    await handler.until(() => handler.text === 'welcome')
    client.close()
    await there.until(() => there.reason !== undefined)
  })
})

/** A server that answers a request with this; `KEY` becomes the right answer to the key. */
async function answering(answer: string): Promise<{ port: number; stop(): void }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.once('data', (bytes: Buffer) => {
      const key = /Sec-WebSocket-Key: (.*)\r/.exec(bytes.toString())?.[1] ?? ''
      socket.write(answer.replace('KEY', acceptOf(key)), 'latin1')
    })
  })
  const port = await listen(server)
  return {
    port,
    stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

const upgraded = 'HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n'

const refusals: readonly [name: string, answer: string, pattern: RegExp][] = [
  ['another status', 'HTTP/1.1 401 Unauthorized\r\n\r\n', /answered "HTTP\/1.1 401 Unauthorized"/],
  ['no upgrade', 'HTTP/1.1 101 OK\r\nSec-WebSocket-Accept: KEY\r\n\r\n', /did not upgrade/],
  ['a wrong key', `${upgraded}Sec-WebSocket-Accept: AAAA\r\n\r\n`, /key is wrong/],
  [
    'an extension',
    `${upgraded}Sec-WebSocket-Accept: KEY\r\nSec-WebSocket-Extensions: x\r\n\r\n`,
    /extension/,
  ],
  [
    'another subprotocol',
    `${upgraded}Sec-WebSocket-Accept: KEY\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n`,
    /subprotocol "xmpp"/,
  ],
  ['an answer without end', `${upgraded}X: ${'x'.repeat(20_000)}`, /too long/],
]

for (const [name, answer, pattern] of refusals) {
  test(`a WebSocket is not opened by ${name} (RFC 6455 §4.1)`, async () => {
    const server = await answering(answer)
    await assert.rejects(open(server.port), pattern)
    server.stop()
  })
}

test('what comes with the answer to the handshake is not lost', async () => {
  const frame = '\x82\x05early'
  const server = await answering(`${upgraded}Sec-WebSocket-Accept: KEY\r\n\r\n${frame}`)
  const client = await WebSocketClient.open(await dial(server.port), request)
  const handler = new RecordingHandler()
  client.attach(handler)
  await handler.until(() => handler.text === 'early')
  client.destroy()
  server.stop()
})

test('a masked frame of a server is refused (RFC 6455 §5.1)', async () => {
  const frame = '\x82\x81\0\0\0\0x'
  const server = await answering(`${upgraded}Sec-WebSocket-Accept: KEY\r\n\r\n${frame}`)
  const [, handler] = await open(server.port)
  server.stop()
  await handler.until(() => handler.reason !== undefined)
  assert.ok(handler.reason?.kind === 'error')
  assert.match(handler.reason.error.message, /not masked/)
})

test('a connection that ends before the answer is an error', async () => {
  const server = createServer((socket) => socket.end())
  const port = await listen(server)
  await assert.rejects(open(port), /ended before the WebSocket was open/)
  server.close()
})
