import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createSecureContext } from 'node:tls'
import { Access } from '../../src/core/access.ts'
import { accountRemoved, accounts, signIns } from '../../src/core/account.ts'
import { TestClock } from '../../src/core/clock.ts'
import type { Config } from '../../src/core/config/config.ts'
import { loadConfig } from '../../src/core/config/load.ts'
import { createSchema } from '../../src/core/config/schema.ts'
import { currentConfig } from '../../src/core/current-config.ts'
import { Hooks } from '../../src/core/hooks.ts'
import type { StreamAcceptor } from '../../src/core/listener.ts'
import { Logs } from '../../src/core/log.ts'
import type { Log } from '../../src/core/log.ts'
import { Metrics } from '../../src/core/metrics.ts'
import { addressOf } from '../../src/core/net/address.ts'
import type { IssuedCertificate } from '../../src/core/net/issue-certificate.ts'
import { TcpTransport, transportSettings } from '../../src/core/net/tcp-transport.ts'
import type { TransportSettings } from '../../src/core/net/tcp-transport.ts'
import { makeCertificate } from '../../src/core/net/test-support.ts'
import { SocketTlsInfo, handshake, wrapServerTls } from '../../src/core/net/tls-socket.ts'
import { formatProblem } from '../../src/core/options/problem.ts'
import { Services } from '../../src/core/service.ts'
import { SessionRegistry, sessionRegistry } from '../../src/core/sessions.ts'
import { access, clock, logs, metrics, shapers } from '../../src/core/shared.ts'
import { Shapers } from '../../src/core/shaper.ts'
import type { TlsServerSettings } from '../../src/core/transport.ts'
import { c2s } from '../../src/xmpp/c2s/c2s.ts'
import { bareJid, jid } from '../../src/xmpp/jid/jid.ts'
import type { BareJid } from '../../src/xmpp/jid/jid.ts'
import type { Router } from '../../src/xmpp/router.ts'
import { Xmpp } from '../../src/xmpp/xmpp.ts'
import { MemoryAccounts } from './memory-accounts.ts'
import { XmppClient } from './xmpp-client.ts'
import type { LoginOptions } from './xmpp-client.ts'

export interface XmppServerOptions {
  readonly hosts?: readonly string[]
  /** Of the listener `ejabberd_c2s`. */
  readonly listener?: Readonly<Record<string, unknown>>
  /** Top-level options. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Whether there are certificates for the hosts; true unless given. */
  readonly hasCertificates?: boolean
  /** Signs certificates of clients. */
  readonly authority?: IssuedCertificate
  readonly transport?: Partial<TransportSettings>
}

const schema = createSchema({ modules: [], listeners: [['ejabberd_c2s', c2s.options]] })

/**
 * Router, sessions and a listener for clients, without modules and database: for tests of the core of XMPP. Accounts
 * `juliet`, `romeo` and `nurse` exist on the first host, with the password `secret`.
 */
export class XmppServer implements AsyncDisposable {
  readonly clock = new TestClock()
  readonly accounts = new MemoryAccounts()
  readonly services = new Services()
  readonly registry = new SessionRegistry()
  readonly metrics = new Metrics()
  /** What was logged, a line each. */
  readonly logged: string[] = []
  readonly config: Config
  readonly xmpp: Xmpp
  readonly #hooks = new Map<string, Hooks>()
  readonly #undo = new Map<string, () => void>()
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  readonly #acceptor: StreamAcceptor
  readonly #tls: TlsServerSettings | undefined
  readonly #transports: TransportSettings
  readonly #isDirect: boolean

  private constructor(config: Config, options: XmppServerOptions) {
    this.config = config
    const destination = { write: (line: string) => void this.logged.push(line) }
    const allLogs = new Logs({ level: 'info', destination })
    const rules = new Access(config)
    this.services.provide(clock, this.clock)
    this.services.provide(logs, allLogs)
    this.services.provide(metrics, this.metrics)
    this.services.provide(accounts, this.accounts)
    this.services.provide(signIns, this.accounts)
    this.services.provide(sessionRegistry, this.registry)
    this.services.provide(access, rules)
    this.services.provide(shapers, new Shapers(config, rules))
    this.services.provide(currentConfig, { value: config })
    this.xmpp = new Xmpp(this.services)
    for (const host of config.hosts) {
      const hooks = new Hooks(allLogs.for('hooks'))
      this.#hooks.set(host, hooks)
      this.#undo.set(host, this.xmpp.addHost(host, hooks))
    }
    for (const name of ['juliet', 'romeo', 'nurse']) {
      this.accounts.add(`${name}@${config.hosts[0] ?? ''}`)
    }
    const listener = config.listeners[0]
    assert.ok(listener !== undefined)
    const values = listener.options.as(c2s.options)
    const wanted = c2s.tls?.(values)
    this.#isDirect = wanted?.direct ?? false
    this.#tls =
      options.hasCertificates === false
        ? undefined
        : {
            contexts: certificates(config.hosts, options.authority),
            requestCertificate: wanted?.requestCertificate ?? false,
            ...(wanted?.alpn === undefined ? {} : { alpn: wanted.alpn }),
          }
    const log: Log = allLogs.for('c2s')
    this.#transports = transportSettings(this.clock, { log, poison: true, ...options.transport })
    this.#acceptor = c2s.open({
      options: values,
      address: { ip: '127.0.0.1', port: 0 },
      log,
      clock: this.clock,
      metrics: this.metrics,
      services: this.services,
      tls: this.#tls,
    })
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      if (this.#isDirect) void this.#acceptTls(socket)
      else this.#acceptor.accept?.(this.#transport(socket))
    })
  }

  static async start(options: XmppServerOptions = {}): Promise<XmppServer> {
    const written = {
      hosts: options.hosts ?? ['localhost'],
      listen: [{ port: 0, ip: '127.0.0.1', module: 'ejabberd_c2s', ...options.listener }],
      ...options.config,
    }
    const environment = { version: '0.0.0', variables: {}, checkFiles: false }
    const { config, problems } = await loadConfig({ options: written }, schema, environment)
    if (config === undefined) assert.fail(problems.map(formatProblem).join('\n'))
    const server = new XmppServer(config, options)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get port(): number {
    // Of a server that listens on TCP.
    return (this.#server.address() as AddressInfo).port
  }

  get router(): Router {
    return this.xmpp.router
  }

  hooks(host = 'localhost'): Hooks {
    return this.#hooks.get(host) ?? assert.fail(`No host ${host}`)
  }

  /** As the configuration's reload would. */
  removeHost(host: string): void {
    this.#undo.get(host)?.()
  }

  async removeAccount(account: string): Promise<void> {
    const bare: BareJid = bareJid(jid(account))
    await this.accounts.remove(bare)
    await this.hooks().emitAndWait(accountRemoved, bare)
  }

  connect(host: string | undefined = this.config.hosts[0]): Promise<XmppClient> {
    return XmppClient.connect(this.port, host)
  }

  async login(userName: string, options: LoginOptions = {}): Promise<XmppClient> {
    const client = await this.connect(options.host)
    await client.login(userName, options)
    return client
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#acceptor.close()
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    if (this.#server.listening) await once(this.#server, 'close')
  }

  #transport(socket: Socket): TcpTransport {
    const peer = addressOf(socket.remoteAddress, socket.remotePort)
    return new TcpTransport(socket, peer, this.#transports)
  }

  async #acceptTls(raw: Socket): Promise<void> {
    const socket = this.#tls === undefined ? undefined : wrapServerTls(raw, this.#tls)
    if (socket === undefined || (await handshake(socket, this.clock, 30_000)) !== undefined) {
      raw.destroy()
      return
    }
    const peer = addressOf(raw.remoteAddress, raw.remotePort)
    const transport = new TcpTransport(socket, peer, this.#transports, new SocketTlsInfo(socket))
    this.#acceptor.accept?.(transport)
  }
}

function certificates(
  hosts: readonly string[],
  authority: IssuedCertificate | undefined,
): TlsServerSettings['contexts'] {
  const contexts = new Map(
    hosts.map((host) => {
      const { certificate: cert, key } = makeCertificate({ name: host, dns: [host] })
      const ca = authority?.certificate
      return [
        host,
        createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) }),
      ] as const
    }),
  )
  return { contextFor: (domain) => contexts.get(domain ?? '') ?? contexts.get(hosts[0] ?? '') }
}
