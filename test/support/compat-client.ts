import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { ScramClient } from './scram-client.ts'

/** How long an answer may take before the test gives up. */
const patienceMs = 30_000

/**
 * A small XMPP client that knows nothing of Linnet's own code, so that it treats ejabberd and Linnet alike: no TLS,
 * SCRAM-SHA-1, one resource. Only good for servers that behave.
 */
export class CompatClient implements AsyncDisposable {
  readonly #socket: Socket
  #received = ''
  #waiting: (() => void) | undefined
  readonly jid: string

  private constructor(socket: Socket, jid: string) {
    this.#socket = socket
    this.jid = jid
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      this.#received += text
      this.#waiting?.()
    })
    socket.on('close', () => this.#waiting?.())
    socket.on('error', () => socket.destroy())
  }

  /** Signs in as the full JID `user@host/resource` and binds that resource. */
  static async signIn(port: number, jid: string, password: string): Promise<CompatClient> {
    const [, user = '', host = '', resource = ''] = /^(.*?)@(.*?)\/(.*)$/.exec(jid) ?? []
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const client = new CompatClient(socket, jid)
    try {
      await client.#signIn(user, host, resource, password)
    } catch (error) {
      socket.destroy()
      throw error
    }
    return client
  }

  async #signIn(user: string, host: string, resource: string, password: string): Promise<void> {
    await this.#openStream(host)
    const scram = new ScramClient({ hash: 'sha1', userName: user, password })
    const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl'
    const first = scram.first().toString('base64')
    this.send(`<auth xmlns="${sasl}" mechanism="SCRAM-SHA-1">${first}</auth>`)
    const challenge = await this.receives(/<challenge [^>]*>([^<]*)<\/challenge>/)
    const final = scram.final(Buffer.from(challenge[1] ?? '', 'base64'))
    this.send(`<response xmlns="${sasl}">${final.toString('base64')}</response>`)
    const outcome = await this.receives(/<(success|failure) [^]*?(?:\/>|<\/\1>)/)
    if (outcome[1] === 'failure') throw new Error(`${this.jid} was refused: ${outcome[0]}`)
    await this.#openStream(host)
    const bind = 'urn:ietf:params:xml:ns:xmpp-bind'
    this.send(
      `<iq type="set" id="b"><bind xmlns="${bind}"><resource>${resource}</resource></bind></iq>`,
    )
    await this.receives(/<jid>[^<]*<\/jid>[^]*?<\/iq>/)
  }

  async #openStream(host: string): Promise<void> {
    this.send(
      `<stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" version="1.0" to="${host}">`,
    )
    await this.receives(/<\/stream:features>/)
  }

  send(xml: string): void {
    this.#socket.write(xml)
  }

  /** Waits for something in what comes in, and takes it out. */
  async receives(pattern: RegExp): Promise<RegExpExecArray> {
    const patience = setTimeout(() => this.#socket.destroy(), patienceMs)
    for (;;) {
      const found = pattern.exec(this.#received)
      if (found !== null) {
        clearTimeout(patience)
        this.#received = this.#received.replace(found[0], '')
        return found
      }
      if (this.#socket.closed) {
        clearTimeout(patience)
        throw new Error(`${this.jid} was disconnected before ${pattern}, after: ${this.#received}`)
      }
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }

  /** Sends a stanza and waits until the server has dealt with it. */
  async sendAndWait(xml: string): Promise<void> {
    this.send(xml)
    this.send('<iq type="get" id="sync"><query xmlns="jabber:iq:roster"/></iq>')
    await this.receives(/<iq [^>]*id=['"]sync['"][^]*?(?:\/>|<\/iq>)/)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.closed) return
    const closed = once(this.#socket, 'close')
    this.#socket.end('</stream:stream>')
    this.#socket.resume()
    await closed
  }
}
