import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import { silentLog } from '../../src/core/log.ts'
import { addressOf } from '../../src/core/net/address.ts'
import { TcpTransport, transportSettings } from '../../src/core/net/tcp-transport.ts'
import type { HandlerContext, UpgradeRequest } from '../../src/http/handler.ts'
import { WebSocket as ServerWebSocket } from '../../src/http/websocket.ts'
import { KeepAlive } from '../../src/http/websocket/keep-alive.ts'
import { webSocket } from '../../src/xmpp/c2s/websocket.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import { ScramClient } from '../support/scram-client.ts'
import { XmppServer } from '../support/xmpp-server.ts'

const framing = `xmlns="urn:ietf:params:xml:ns:xmpp-framing"`
const client = `xmlns="jabber:client"`
const sasl = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`

/** A WebSocket in text mode, as a browser has it. */
class Browser implements AsyncDisposable {
  readonly #socket: WebSocket
  readonly #close: () => void
  readonly #messages: (string | undefined)[] = []
  #wake: (() => void) | undefined
  closeCode = 0

  private constructor(socket: WebSocket, close: () => void) {
    this.#socket = socket
    this.#close = close
    socket.addEventListener('message', ({ data }) => this.#add(String(data)))
    socket.addEventListener('close', ({ code }) => {
      this.closeCode = code
      this.#add(undefined)
    })
  }

  static async connect(server: XmppServer): Promise<Browser> {
    const http = createServer()
    const context = { services: server.services, clock: server.clock, log: silentLog }
    http.on('upgrade', (request, socket: Socket) => {
      const key = `${request.headers['sec-websocket-key'] ?? ''}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
      const accept = createHash('sha1').update(key).digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n`,
      )
      // What the handler looks at.
      const asked = { subprotocols: ['xmpp'] } as unknown as UpgradeRequest
      const answer = webSocket.upgrade?.(asked, context as unknown as HandlerContext)
      if (answer === undefined || !('open' in answer)) assert.fail('Refused')
      assert.equal(answer.subprotocol, 'xmpp')
      const peer = addressOf(socket.remoteAddress, socket.remotePort)
      const inner = new TcpTransport(
        socket,
        peer,
        transportSettings(server.clock, { poison: true }),
      )
      answer.open(
        new ServerWebSocket(inner, answer, {
          clock: server.clock,
          keepAlive: new KeepAlive(server.clock),
          log: silentLog,
          pingIntervalMs: Infinity,
          timeoutMs: Infinity,
          graceMs: 1000,
          isStopping: false,
          poison: true,
        }),
      )
    })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    // Of a server that listens on TCP.
    const { port } = http.address() as AddressInfo
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, 'xmpp')
    await once(socket, 'open')
    return new Browser(socket, () => void http.close())
  }

  send(text: string): void {
    this.#socket.send(text)
  }

  async next(): Promise<string | undefined> {
    while (this.#messages.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#messages.shift()
  }

  async matches(pattern: RegExp): Promise<string> {
    const message = await this.next()
    assert.match(message ?? 'closed', pattern)
    return message ?? ''
  }

  async open(): Promise<void> {
    this.send(`<open ${framing} to="localhost" version="1.0"/>`)
    await this.matches(
      /^<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='[^']+' from='localhost' version='1.0' xml:lang='en'\/>$/,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close()
    if (this.#socket.readyState !== WebSocket.CLOSED) await once(this.#socket, 'close')
    this.#close()
  }

  #add(message: string | undefined): void {
    this.#messages.push(message)
    this.#wake?.()
  }
}

function contentOf(xml: string): Buffer {
  return Buffer.from(/>([^<]*)</.exec(xml)?.[1] ?? '', 'base64')
}

// shows: handler ejabberd_http_ws
test('carries a session over a WebSocket, one element a message (RFC 7395 §3)', async () => {
  await using server = await XmppServer.start()
  await using browser = await Browser.connect(server)
  await browser.open()
  await browser.matches(/^<stream:features xmlns:stream='http:\/\/etherx.jabber.org\/streams'>/)
  const scram = new ScramClient({ hash: 'sha1', userName: 'juliet', password: 'secret' })
  browser.send(`<auth ${sasl} mechanism='SCRAM-SHA-1'>${scram.first().toString('base64')}</auth>`)
  const challenge = contentOf(await browser.matches(/^<challenge /))
  browser.send(`<response ${sasl}>${scram.final(challenge).toString('base64')}</response>`)
  await browser.matches(/^<success /)
  // RFC 7395 §3.7: the stream is opened anew, without an end of the one before.
  await browser.open()
  await browser.matches(/<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'\/>/)
  browser.send(
    `<iq ${client} type="set" id="1"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>web</resource></bind></iq>`,
  )
  await browser.matches(/^<iq xmlns='jabber:client' .*juliet@localhost\/web/)
  assert.equal(
    server.registry.forAccount(bareJid(jid('juliet@localhost')))[0]?.connection,
    'websocket',
  )

  await using romeo = await server.login('romeo', { resource: 'r' })
  browser.send(`<message ${client} to="romeo@localhost/r"><body>hi</body></message>`)
  await romeo.receives(`<message from='juliet@localhost/web'><body>hi</body></message>`)
  romeo.send(`<message to='juliet@localhost/web'><body>ho</body></message>`)
  await browser.matches(
    /^<message xmlns='jabber:client' [^>]*from='romeo@localhost\/r'[^>]*><body>ho<\/body><\/message>$/,
  )

  browser.send(`<close ${framing}/>`)
  await browser.matches(/^<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'\/>$/)
  assert.equal(await browser.next(), undefined)
  assert.equal(browser.closeCode, 1000)
  assert.equal(server.router.sessions.count, 1)
})

test('ends a stream over a WebSocket with its error and <close/> (RFC 7395 §3.5)', async () => {
  await using server = await XmppServer.start()
  for (const [sent, condition] of [
    [`<message ${client}/>`, 'bad-format'],
    [`<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>`, 'not-well-formed'],
    [`<open ${framing} to="example.org" version="1.0"/>`, 'host-unknown'],
    [`<open ${framing} version="1.0"/>`, 'improper-addressing'],
    [`<!DOCTYPE a [<!ENTITY b "c">]><open ${framing}/>`, 'restricted-xml'],
  ] as const) {
    await using browser = await Browser.connect(server)
    browser.send(sent)
    await browser.matches(/^<open /)
    await browser.matches(new RegExp(`^<stream:error [^>]*><${condition} `))
    await browser.matches(/^<close /)
    assert.equal(await browser.next(), undefined)
  }
})

test('takes messages that came together one by one, and overlooks white space', async () => {
  await using server = await XmppServer.start()
  await using browser = await Browser.connect(server)
  browser.send(' ')
  browser.send(`<open ${framing} to="localhost" version="1.0"/>`)
  browser.send(`<auth ${sasl} mechanism="X-NONE"/>`)
  browser.send(`<auth ${sasl} mechanism="X-NONE"/>`)
  await browser.matches(/^<open /)
  await browser.matches(/^<stream:features /)
  await browser.matches(/invalid-mechanism/)
  await browser.matches(/invalid-mechanism/)
})
