/* What tests of HTTP share: a listener on a free port, and clients that send what they like. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { TestClock } from '../core/clock.ts'
import type { Config } from '../core/config/config.ts'
import { loadConfig } from '../core/config/load.ts'
import { createSchema } from '../core/config/schema.ts'
import { currentConfig } from '../core/current-config.ts'
import type { StreamAcceptor } from '../core/listener.ts'
import { Logs } from '../core/log.ts'
import { Metrics } from '../core/metrics.ts'
import { addressOf } from '../core/net/address.ts'
import { highWaterBytes } from '../core/net/tcp-transport.ts'
import { listen } from '../core/net/test-support.ts'
import { Services } from '../core/service.ts'
import type { HttpAnswer, HttpRequest, RequestHandler } from './handler.ts'
import type { HttpLimits } from './limits.ts'
import { httpListener } from './listener.ts'
import { httpOptions } from './options.ts'

export interface HttpSetting extends AsyncDisposable {
  readonly port: number
  readonly clock: TestClock
  readonly metrics: Metrics
  readonly services: Services
  readonly logged: string[]
  readonly acceptor: StreamAcceptor
  readonly sockets: ReadonlySet<Socket>
  /** Connects, sends that and reads to the end. */
  say(text: string | Buffer): Promise<string>
  connect(): Promise<Socket>
}

export interface HttpSettings {
  readonly handlers: readonly RequestHandler[]
  /** YAML: options of the listener. */
  readonly options: string
  /** YAML: options at the top. */
  readonly global?: string
  readonly limits?: Partial<HttpLimits>
}

/** A handler that answers with the name it was given and what it was asked. */
export function echoHandler(name: string): RequestHandler {
  return {
    name,
    handle: ({ segments, method, host, peer }) => ({
      status: 200,
      body: [name, method, `/${segments.join('/')}`, host, peer.ip].join(' '),
    }),
  }
}

/** A handler that does that. */
export function handlerOf(
  handle: (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>,
): RequestHandler {
  return { name: 'test', handle }
}

/** A configuration with that listener. */
export async function configOf({
  handlers,
  options,
  global = '',
}: Pick<HttpSettings, 'handlers' | 'options' | 'global'>): Promise<Config> {
  const schema = createSchema({
    modules: [],
    listeners: [['ejabberd_http', httpOptions]],
    handlers: handlers.map(({ name }) => name),
  })
  const text = `hosts: [localhost, other.example]\n${global}
listen: [{port: 0, ip: 127.0.0.1, module: ejabberd_http, ${options}}]\n`
  const environment = { version: '0', variables: {} }
  const { config, problems } = await loadConfig({ text, file: 'test.yml' }, schema, environment)
  if (config === undefined) throw new Error(problems.map(({ message }) => message).join('\n'))
  return config
}

export async function startHttp(settings: HttpSettings): Promise<HttpSetting> {
  const module = httpListener(settings.handlers, settings.limits)
  const config = await configOf(settings)
  const services = new Services()
  services.provide(currentConfig, { value: config })
  const clock = new TestClock()
  const metrics = new Metrics()
  const logged: string[] = []
  const logs = new Logs({
    level: 'info',
    destination: { write: (line) => void logged.push(line) },
  })
  const server = createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: highWaterBytes })
  const port = await listen(server)
  const [listener] = config.listeners
  if (listener === undefined) throw new Error('There is no listener')
  const acceptor = module.open({
    options: listener.options.as(httpOptions),
    address: { ip: '127.0.0.1', port },
    log: logs.for('http'),
    clock,
    metrics,
    services,
    tls: undefined,
    sendTimeoutMs: 15_000,
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
    acceptor.acceptSocket?.(socket, addressOf(socket.remoteAddress, socket.remotePort), false)
  })
  const open = async (): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    await once(socket, 'connect')
    return socket
  }
  return {
    port,
    clock,
    metrics,
    services,
    logged,
    acceptor,
    sockets,
    connect: open,
    async say(text) {
      const socket = await open()
      socket.write(text)
      return readToEnd(socket)
    },
    async [Symbol.asyncDispose]() {
      await acceptor.close()
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** All that comes, also when the connection is reset at the end. */
export async function readToEnd(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  socket.on('error', () => undefined)
  if (!socket.readableEnded && !socket.destroyed) {
    await new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
  }
  socket.destroy()
  return text
}

/** Reads until something is there. */
export async function readUntil(socket: Socket, wanted: string): Promise<string> {
  let text = ''
  while (!text.includes(wanted)) {
    const chunk: Buffer | null = socket.read()
    if (chunk !== null) text += chunk.toString('latin1')
    else await once(socket, 'readable')
  }
  return text
}

/** A request without a body; closes afterwards unless the lines say otherwise. */
export function get(path: string, ...headers: readonly string[]): string {
  const lines = [`GET ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers]
  return `${lines.join('\r\n')}\r\n\r\n`
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
}

export function bodyOf(answer: string): string {
  return answer.slice(answer.indexOf('\r\n\r\n') + 4)
}

/** Resolves as soon as the condition holds, looking after each turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
