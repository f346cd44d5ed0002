import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Element } from '../../src/xmpp/xml/element.ts'
import { xml } from '../../src/xmpp/xml/element.ts'
import { StreamParser } from '../../src/xmpp/xml/stream-parser.ts'
import { writeElement } from '../../src/xmpp/xml/write.ts'
import { ScramClient } from '../support/scram-client.ts'

const clientNs = 'jabber:client'
const saslNs = 'urn:ietf:params:xml:ns:xmpp-sasl'
const bindNs = 'urn:ietf:params:xml:ns:xmpp-bind'
const streamsNs = 'http://etherx.jabber.org/streams'

export interface XmppClientOptions {
  readonly port: number
  readonly user: string
  readonly password: string
  /** `localhost` unless given. */
  readonly host?: string
  readonly resource?: string
  /** SCRAM-SHA-1 unless given. */
  readonly mechanism?: 'PLAIN' | 'SCRAM-SHA-1' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  /** TLS from the first byte on; whose certificate it is does not matter. */
  readonly tls?: boolean
}

/** The server refused to let somebody in; `condition` is SASL's. */
export class SignInError extends Error {
  override readonly name = 'SignInError'
  readonly condition: string

  constructor(condition: string) {
    super(`Cannot sign in: ${condition}`)
    this.condition = condition
  }
}

/**
 * A client with nothing of its own: it says what it is told to, and an answer that never comes because the connection ended is
 * `undefined`, so that a killed server is no exception to those who kill it.
 */
export class XmppClient implements AsyncDisposable {
  readonly #socket: Socket
  readonly #parser: StreamParser
  readonly #host: string
  readonly #requests = new Map<string, (answer: Element | undefined) => void>()
  readonly #errors = new Map<string, () => void>()
  readonly #received: Element[] = []
  #waiting: ((element: Element | undefined) => void) | undefined
  #lastId = 0
  #isClosed = false
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  /** Takes every stanza that answers no request; without it they wait for `next`. */
  onStanza: ((stanza: Element) => void) | undefined

  private constructor(socket: Socket, host: string) {
    this.#socket = socket
    this.#host = host
    this.#parser = new StreamParser({
      handler: {
        streamOpen: () => undefined,
        stanza: (element) => this.#take(element),
        streamClose: () => socket.end(),
        error: (condition, detail) =>
          socket.destroy(new Error(`Cannot read the server: ${condition}: ${detail}`)),
      },
    })
    socket.on('data', (bytes: Buffer) => void this.#parser.push(bytes))
    socket.on('error', () => socket.destroy())
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true
        for (const answer of this.#requests.values()) answer(undefined)
        this.#requests.clear()
        this.#waiting?.(undefined)
        this.#waiting = undefined
        resolve()
      })
    })
  }

  /** Signs in and binds a resource. Rejects with a `SignInError` when the server says no. */
  static async connect(options: XmppClientOptions): Promise<XmppClient> {
    const { port, host = 'localhost' } = options
    const socket =
      options.tls === true
        ? connectTls({ port, host: '127.0.0.1', servername: host, rejectUnauthorized: false })
        : connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    const client = new XmppClient(socket, host)
    try {
      await once(socket, options.tls === true ? 'secureConnect' : 'connect')
      await client.#openStream()
      await client.#signIn(options)
      client.#parser.reset()
      await client.#openStream()
      const resource = xml('resource', bindNs, {}, options.resource ?? 'test')
      const bound = await client.request('set', xml('bind', bindNs, {}, resource))
      if (bound?.attr('type') !== 'result') throw new Error('Cannot bind a resource')
    } catch (error) {
      socket.destroy()
      throw error
    }
    return client
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  send(element: Element): void {
    if (!this.#isClosed) this.#socket.write(writeElement(element, clientNs))
  }

  /** As it is, well-formed or not. */
  sendText(text: string): void {
    if (!this.#isClosed) this.#socket.write(text)
  }

  /** The answer, also one of type error; undefined when the connection ends before. */
  request(type: 'get' | 'set', payload: Element, to?: string): Promise<Element | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined)
    const id = `q${++this.#lastId}`
    const answer = new Promise<Element | undefined>((resolve) => this.#requests.set(id, resolve))
    this.send(xml('iq', clientNs, { type, id, to }, payload))
    return answer
  }

  /** Calls back when a message comes back with an error; the function returned ends that. */
  onError(id: string, listener: () => void): () => void {
    this.#errors.set(id, listener)
    return () => this.#errors.delete(id)
  }

  /** The next element that answers no request, in the order of the stream; undefined when the stream has ended. */
  next(): Promise<Element | undefined> {
    const first = this.#received.shift()
    if (first !== undefined || this.#isClosed) return Promise.resolve(first)
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  /** Says goodbye and waits until the server has done so, too. */
  async end(): Promise<void> {
    this.sendText('</stream:stream>')
    await this.closed
  }

  /** Stops reading: what the server sends from now on piles up, first in the kernel and then with the server. */
  freeze(): void {
    this.#socket.pause()
  }

  thaw(): void {
    this.#socket.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await this.closed
  }

  #take(element: Element): void {
    const id = element.attr('id')
    const type = element.attr('type')
    if (element.name === 'iq' && id !== undefined && (type === 'result' || type === 'error')) {
      const answer = this.#requests.get(id)
      if (answer !== undefined) {
        this.#requests.delete(id)
        answer(element)
        return
      }
    }
    const failed = type === 'error' ? this.#errors.get(id ?? '') : undefined
    if (failed !== undefined) failed()
    else if (this.#waiting !== undefined) {
      const waiting = this.#waiting
      this.#waiting = undefined
      waiting(element)
    } else if (this.onStanza === undefined) this.#received.push(element)
    else this.onStanza(element)
  }

  /** Resolves with the features of the new stream. */
  async #openStream(): Promise<Element> {
    this.sendText(
      `<?xml version='1.0'?><stream:stream to='${this.#host}' version='1.0' xmlns='${clientNs}' xmlns:stream='${streamsNs}'>`,
    )
    return this.#expect('features')
  }

  async #expect(name: string): Promise<Element> {
    const element = await this.next()
    if (element?.name === name) return element
    if (element?.name === 'failure') throw new SignInError(element.elements()[0]?.name ?? 'failure')
    throw new Error(`Expected ${name}, the server sent ${element?.name ?? 'nothing'}`)
  }

  async #signIn(options: XmppClientOptions): Promise<void> {
    const { user, password, mechanism = 'SCRAM-SHA-1' } = options
    const auth = (bytes: Buffer): void =>
      this.send(xml('auth', saslNs, { mechanism }, bytes.toString('base64')))
    if (mechanism === 'PLAIN') {
      auth(Buffer.from(`\0${user}\0${password}`))
      await this.#expect('success')
      return
    }
    const hash = hashes[mechanism]
    const nonce = randomBytes(12).toString('hex')
    const scram = new ScramClient({ hash, userName: user, password, nonce })
    auth(scram.first())
    const challenge = await this.#expect('challenge')
    const response = scram.final(Buffer.from(challenge.text(), 'base64')).toString('base64')
    this.send(xml('response', saslNs, {}, response))
    const success = await this.#expect('success')
    if (!scram.accepts(Buffer.from(success.text(), 'base64'))) {
      throw new Error('The server does not know the keys of the account')
    }
  }
}

const hashes = {
  'SCRAM-SHA-1': 'sha1',
  'SCRAM-SHA-256': 'sha256',
  'SCRAM-SHA-512': 'sha512',
} as const
