import { writeFileSync } from 'node:fs'
import type { Clock } from '../../src/core/clock.ts'
import type { IssuedCertificate } from '../../src/core/net/issue-certificate.ts'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { type ClientSession, sessionClosed } from '../../src/core/sessions.ts'
import { hosts } from '../../src/core/shared.ts'
import { mqttSubscribe } from '../../src/mqtt/hooks.ts'
import { resourcepart } from '../../src/xmpp/jid/jid.ts'
import { Folder } from './process.ts'
import { TestServer } from './server.ts'

/** How MQTT is carried. */
export type Way = 'mqtt' | 'mqtts' | 'ws' | 'wss'

export const ways: readonly Way[] = ['mqtt', 'mqtts', 'ws', 'wss']

const modules = { mqtt: 'mod_mqtt', mqtts: 'mod_mqtt', ws: 'ejabberd_http', wss: 'ejabberd_http' }

export interface FieldServerOptions {
  /** Of `mod_mqtt`. */
  readonly mqtt?: Readonly<Record<string, unknown>>
  /** Top-level options. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Of another one that has stopped: what that one kept. */
  readonly dataDir?: string
  /** Take certificates of clients over TLS instead of passwords. */
  readonly verifiesClients?: boolean
  /** Where the others connect without encryption; a port of the kernel unless given. */
  readonly port?: number
  readonly clock?: Clock
}

/** Each of them has the password `secret`. */
export const users = ['juliet', 'romeo', 'nurse'] as const

export const password = 'secret'

/**
 * The whole server as programs from elsewhere find it: MQTT in every way, with a certificate of `localhost` that an
 * authority has signed whom they are told to trust.
 */
export class FieldServer implements AsyncDisposable {
  readonly server: TestServer
  readonly #authority: IssuedCertificate
  readonly #folder: Folder

  private constructor(server: TestServer, folder: Folder, authority: IssuedCertificate) {
    this.server = server
    this.#folder = folder
    this.#authority = authority
  }

  static async start(options: FieldServerOptions = {}): Promise<FieldServer> {
    const folder = new Folder()
    const authority = makeCertificate({ name: 'Authority', isAuthority: true })
    const own = makeCertificate({
      name: 'localhost',
      dns: ['localhost'],
      ips: ['127.0.0.1'],
      issuer: authority,
    })
    writeFileSync(folder.join('authority.pem'), authority.certificate)
    writeFileSync(folder.join('localhost.pem'), own.pem)
    const common = { port: 0, ip: '127.0.0.1' }
    const web = { ...common, module: 'ejabberd_http', request_handlers: { '/mqtt': 'mod_mqtt' } }
    const things = { ...common, module: 'mod_mqtt' }
    const { dataDir, clock } = options
    const verify = options.verifiesClients
      ? { tls_verify: true, cafile: folder.join('authority.pem') }
      : {}
    const server = await TestServer.start({
      config: {
        loglevel: 'info',
        certfiles: [folder.join('localhost.pem')],
        listen: [
          { ...things, port: options.port ?? 0 },
          { ...things, tls: true, ...verify },
          web,
          { ...web, tls: true },
        ],
        modules: { mod_mqtt: options.mqtt ?? {} },
        ...options.config,
      },
      ...(dataDir !== undefined && { dataDir }),
      ...(clock !== undefined && { clock }),
    })
    const field = new FieldServer(server, folder, authority)
    try {
      const there = await server.ok('registered_users', 'localhost')
      for (const user of users) {
        if (!there.includes(user)) await server.ok('register', user, 'localhost', password)
      }
    } catch (error) {
      await field[Symbol.asyncDispose]()
      throw error
    }
    return field
  }

  /** The authority's certificate, as a file. */
  get cafile(): string {
    return this.#folder.join('authority.pem')
  }

  get ca(): string {
    return this.#authority.certificate
  }

  /** A certificate by that authority, as files. */
  clientCertificate(name: string): { readonly cert: string; readonly key: string } {
    const issued = makeCertificate({ name, issuer: this.#authority })
    return {
      cert: this.file(`${name}.crt`, issued.certificate),
      key: this.file(`${name}.key`, issued.key),
    }
  }

  /** A file with this content, as long as the server is there. */
  file(name: string, content: string): string {
    writeFileSync(this.#folder.join(name), content)
    return this.#folder.join(name)
  }

  port(way: Way): number {
    return this.server.port(modules[way], way === 'mqtts' || way === 'wss' ? 1 : 0)
  }

  url(way: Way): string {
    const path = way === 'ws' || way === 'wss' ? '/mqtt' : ''
    return `${way}://localhost:${this.port(way)}${path}`
  }

  /** Resolves when the server has noticed that the client is not connected any more. Asked for before it goes. */
  gone(clientId: string): Promise<void> {
    const { hooks } = this.server.server.services.get(hosts).get('localhost')
    return new Promise((resolve) => {
      const closed = ({ jid }: ClientSession): void => {
        if (resourcepart(jid) !== clientId) return
        remove()
        resolve()
      }
      const remove = hooks.on(sessionClosed, closed, 'test')
    })
  }

  /** Resolves when somebody subscribes to that filter. */
  subscribed(filter: string): Promise<void> {
    const { hooks } = this.server.server.services.get(hosts).get('localhost')
    return new Promise((resolve) => {
      const subscribed = (_client: unknown, requested: string): void => {
        if (requested !== filter) return
        remove()
        resolve()
      }
      const remove = hooks.on(mqttSubscribe, subscribed, 'test')
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    this.#folder[Symbol.dispose]()
  }
}
