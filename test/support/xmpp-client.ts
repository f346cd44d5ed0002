import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { trustedLimits } from '../../src/xmpp/xml/limits.ts'
import { parseElement } from '../../src/xmpp/xml/parse-element.ts'
import type { Element } from '../../src/xmpp/xml/element.ts'
import { streamsNs } from '../../src/xmpp/xml/namespaces.ts'
import { StreamParser } from '../../src/xmpp/xml/stream-parser.ts'
import type { StreamHead } from '../../src/xmpp/xml/stream-parser.ts'
import { toXml } from '../../src/xmpp/xml/write.ts'
import { ScramClient } from './scram-client.ts'

type Event =
  | { readonly kind: 'head'; readonly head: StreamHead }
  | { readonly kind: 'element'; readonly element: Element }
  | { readonly kind: 'stream-end' }
  | { readonly kind: 'broken'; readonly detail: string }
  | { readonly kind: 'disconnected' }

/** Long enough for a busy machine: only a test that fails waits for it. */
const patienceMs = 10_000

/** Written in patterns for what may be anything. */
const any = '{any}'
const ignoredWhenAbsent = new Set(['from', 'to', 'id', 'xml:lang'])

export interface LoginOptions {
  readonly password?: string
  readonly resource?: string
  readonly host?: string
  /** Sends initial presence, and takes it back in. */
  readonly isAvailable?: boolean
}

/**
 * A client that sends text and compares what comes back as XML: for the conversations that a library would not have. It knows
 * just enough of XMPP to sign in.
 */
export class XmppClient implements AsyncDisposable {
  /** Known after `bind`. */
  jid = ''
  readonly #host: string
  #socket: Socket | TLSSocket
  #parser: StreamParser
  readonly #events: Event[] = []
  #wake: (() => void) | undefined
  #syncs = 0

  constructor(socket: Socket, host: string) {
    this.#socket = socket
    this.#host = host
    this.#parser = this.#newParser()
    this.#listen(socket)
  }

  static async connect(port: number, host = 'localhost'): Promise<XmppClient> {
    const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true })
    const client = new XmppClient(socket, host)
    await once(socket, 'connect')
    return client
  }

  /** TLS from the first byte (XEP-0368). */
  static async connectTls(
    port: number,
    options: ConnectionOptions = {},
    host = 'localhost',
  ): Promise<XmppClient> {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      servername: host,
      rejectUnauthorized: false,
      ALPNProtocols: ['xmpp-client'],
      ...options,
    })
    await once(socket, 'secureConnect')
    return new XmppClient(socket, host)
  }

  get tls(): TLSSocket | undefined {
    return 'getPeerCertificate' in this.#socket ? this.#socket : undefined
  }

  send(text: string): void {
    this.#socket.write(text)
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Opens a stream (RFC 6120 §4.2); attributes that are undefined are left out. */
  open(attributes: Readonly<Record<string, string | undefined>> = {}): void {
    const all = { to: this.#host, version: '1.0', xmlns: 'jabber:client', ...attributes }
    const written = Object.entries(all).map(([name, value]) =>
      value === undefined ? '' : ` ${name}='${value}'`,
    )
    this.#parser = this.#newParser()
    this.send(`<?xml version='1.0'?><stream:stream xmlns:stream='${streamsNs}'${written.join('')}>`)
  }

  /** Opens a stream and takes in the head and the features that answer. */
  async opens(): Promise<Element> {
    this.open()
    await this.head()
    return this.next('features')
  }

  async head(): Promise<StreamHead> {
    const event = await this.#next('a stream head')
    assert.equal(event.kind, 'head', `Expected a stream head, not ${describe(event)}`)
    return event.kind === 'head' ? event.head : assert.fail()
  }

  /** The next element, whose name is checked if given. */
  async next(name?: string): Promise<Element> {
    const event = await this.#next(name ?? 'an element')
    if (event.kind !== 'element')
      assert.fail(`Expected ${name ?? 'an element'}, not ${describe(event)}`)
    if (name !== undefined) assert.equal(event.element.name, name, describe(event))
    return event.element
  }

  /**
   * Takes the next element, which has to be like `pattern`: `{any}` stands for any value or text, and beside elements for any
   * others; of the attributes `from`, `to`, `id` and `xml:lang` those count that the pattern has, of all others every one.
   */
  async receives(pattern: string): Promise<Element> {
    const event = await this.#next(pattern)
    if (event.kind !== 'element') assert.fail(`Expected ${pattern}, not ${describe(event)}`)
    const difference = differenceOf(parsePattern(pattern), event.element)
    if (difference !== undefined) {
      assert.fail(`${difference}\nexpected ${pattern}\nreceived ${describe(event)}`)
    }
    return event.element
  }

  /** The same for several that may come in any order. */
  async receivesAll(...patterns: readonly string[]): Promise<void> {
    const missing = [...patterns]
    while (missing.length > 0) {
      const element = await this.next()
      const index = missing.findIndex(
        (pattern) => differenceOf(parsePattern(pattern), element) === undefined,
      )
      if (index < 0)
        assert.fail(
          `Expected one of\n${missing.join('\n')}\nnot ${describe({ kind: 'element', element })}`,
        )
      missing.splice(index, 1)
    }
  }

  /** Makes sure that nothing came that was not taken yet: only the answer to a request of its own may be next. */
  async receivesNothing(): Promise<void> {
    const id = `sync-${++this.#syncs}`
    this.send(`<iq type='get' id='${id}' to='${this.#host}'><sync xmlns='urn:example:sync'/></iq>`)
    const element = await this.next()
    assert.equal(
      element.attr('id'),
      id,
      `Expected nothing, not ${describe({ kind: 'element', element })}`,
    )
  }

  /** The stream and the connection end, after a stream error if a condition is given. */
  async isClosed(condition?: string): Promise<void> {
    if (condition !== undefined) {
      await this.receives(
        `<stream:error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>${any}</stream:error>`,
      )
    }
    const event = await this.#next('the end of the stream')
    assert.equal(event.kind, 'stream-end', describe(event))
    await this.isDisconnected()
  }

  async isDisconnected(): Promise<void> {
    const event = await this.#next('the end of the connection')
    assert.equal(event.kind, 'disconnected', describe(event))
  }

  /** After `<proceed/>`: goes over to TLS. */
  async startTls(options: ConnectionOptions = {}): Promise<void> {
    const plain = this.#socket
    plain.removeAllListeners('data')
    plain.removeAllListeners('close')
    const socket = connectTls({
      socket: plain,
      servername: this.#host,
      rejectUnauthorized: false,
      ...options,
    })
    this.#socket = socket
    this.#listen(socket)
    await once(socket, 'secureConnect')
  }

  /** `signsIn` and the stream behind it; returns the features that come then. */
  async authenticates(userName: string, password = 'secret'): Promise<Element> {
    await this.signsIn(userName, password)
    return this.opens()
  }

  /** SCRAM-SHA-1 (RFC 5802) */
  async signsIn(userName: string, password = 'secret'): Promise<void> {
    const scram = new ScramClient({ hash: 'sha1', userName, password })
    const sasl = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`
    const first = scram.first().toString('base64')
    this.send(`<auth ${sasl} mechanism='SCRAM-SHA-1'>${first}</auth>`)
    const challenge = Buffer.from((await this.next('challenge')).text(), 'base64')
    this.send(`<response ${sasl}>${scram.final(challenge).toString('base64')}</response>`)
    const success = await this.next('success')
    assert.ok(scram.accepts(Buffer.from(success.text(), 'base64')))
  }

  /** RFC 6120 §7 */
  async binds(resource?: string): Promise<string> {
    const wanted = resource === undefined ? '' : `<resource>${resource}</resource>`
    this.send(
      `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>${wanted}</bind></iq>`,
    )
    const answer = await this.receives(
      `<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>${any}</jid></bind></iq>`,
    )
    this.jid = answer.elements()[0]?.childText('jid') ?? ''
    return this.jid
  }

  async login(userName: string, options: LoginOptions = {}): Promise<void> {
    await this.opens()
    await this.authenticates(userName, options.password)
    await this.binds(options.resource)
    if (options.isAvailable !== true) return
    this.send('<presence/>')
    await this.receives(`<presence from='${this.jid}'/>`)
  }

  /** Stops reading, as a client does that hangs. */
  freeze(): void {
    this.#socket.pause()
  }

  thaw(): void {
    this.#socket.resume()
  }

  /** Ends the connection without a word. */
  async vanish(): Promise<void> {
    this.#socket.destroy()
    if (!this.#socket.closed) await once(this.#socket, 'close')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vanish()
  }

  #listen(socket: Socket | TLSSocket): void {
    socket.on('data', (chunk: Buffer) => this.#parser.push(chunk))
    socket.on('close', () => this.#add({ kind: 'disconnected' }))
    // What an error means for the client is told by `close`, which follows it.
    socket.on('error', () => undefined)
  }

  #newParser(): StreamParser {
    return new StreamParser({
      limits: trustedLimits,
      handler: {
        streamOpen: (head) => this.#add({ kind: 'head', head }),
        stanza: (element) => this.#add({ kind: 'element', element }),
        streamClose: () => this.#add({ kind: 'stream-end' }),
        error: (condition, detail) =>
          this.#add({ kind: 'broken', detail: `${condition}: ${detail}` }),
      },
    })
  }

  #add(event: Event): void {
    this.#events.push(event)
    this.#wake?.()
  }

  async #next(wanted: string): Promise<Event> {
    while (this.#events.length === 0) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const timer = setTimeout(
        () => reject(new assert.AssertionError({ message: `Nothing came, expected ${wanted}` })),
        patienceMs,
      )
      this.#wake = resolve
      try {
        await promise
      } finally {
        clearTimeout(timer)
        this.#wake = undefined
      }
    }
    return this.#events.shift() ?? assert.fail()
  }
}

function describe(event: Event): string {
  switch (event.kind) {
    case 'head':
      return `a stream head ${JSON.stringify(event.head.attrs)}`
    case 'element':
      return toXml(event.element).slice(0, 2000)
    case 'broken':
      return `broken XML (${event.detail})`
    case 'stream-end':
      return 'the end of the stream'
    case 'disconnected':
      return 'the end of the connection'
  }
}

function parsePattern(pattern: string): Element {
  const prefixes = new Map([['stream', streamsNs]])
  const parsed = parseElement(pattern, { defaultNs: 'jabber:client', prefixes })
  if (!parsed.ok) throw new TypeError(`Not XML (${parsed.error.detail}): ${pattern}`)
  return parsed.value
}

/** What is not as the pattern wants it; undefined if all is. */
function differenceOf(pattern: Element, actual: Element): string | undefined {
  if (pattern.name !== actual.name || pattern.ns !== actual.ns) {
    return `It is {${actual.ns}}${actual.name}, not {${pattern.ns}}${pattern.name}`
  }
  for (const name of new Set([...Object.keys(pattern.attrs), ...Object.keys(actual.attrs)])) {
    const wanted = pattern.attr(name)
    const found = actual.attr(name)
    if (wanted === undefined && ignoredWhenAbsent.has(name)) continue
    if (wanted === any && found !== undefined) continue
    if (wanted !== found) return `"${name}" of <${actual.name}/> is ${String(found)}`
  }
  const wantedText = pattern.text().trim()
  const isOpen = wantedText === any
  if (!isOpen && wantedText !== actual.text().trim()) {
    return `The text of <${actual.name}/> is "${actual.text()}"`
  }
  const children = actual.elements()
  const wantedChildren = pattern.elements()
  if (!isOpen && children.length !== wantedChildren.length) {
    return `<${actual.name}/> has ${children.length} children`
  }
  let at = 0
  for (const wanted of wantedChildren) {
    const index = isOpen
      ? children.findIndex((child, i) => i >= at && differenceOf(wanted, child) === undefined)
      : at
    const found = children[index]
    if (found === undefined) return `<${actual.name}/> lacks such a <${wanted.name}/>`
    const difference = differenceOf(wanted, found)
    if (difference !== undefined) return difference
    at = index + 1
  }
  return undefined
}
