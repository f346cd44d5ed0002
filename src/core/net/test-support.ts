/* What tests of the network floor share: real sockets on loopback, certificates made on the spot. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { systemClock } from '../clock.ts'
import type { CloseReason, TransportHandler } from '../transport.ts'
import { addressOf } from './address.ts'
import { issueCertificate } from './issue-certificate.ts'
import type { CertificateRequest, IssuedCertificate } from './issue-certificate.ts'
import { TcpTransport, highWaterBytes, transportSettings } from './tcp-transport.ts'
import type { TransportSettings } from './tcp-transport.ts'

/** Collects what a transport tells, copying what it hears. */
export class RecordingHandler implements TransportHandler {
  received: Buffer = Buffer.alloc(0)
  drains = 0
  reason: CloseReason | undefined
  #waiting: (() => void)[] = []

  data(buffer: Buffer, start: number, end: number): void {
    this.received = Buffer.concat([this.received, buffer.subarray(start, end)])
    this.#changed()
  }

  drain(): void {
    this.drains++
    this.#changed()
  }

  closed(reason: CloseReason): void {
    if (this.reason !== undefined) throw new Error('closed was called twice')
    this.reason = reason
    this.#changed()
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  /** Resolves as soon as the condition holds. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #changed(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

export interface Pair extends AsyncDisposable {
  readonly server: TcpTransport
  readonly handler: RecordingHandler
  /** The other end, an ordinary socket. */
  readonly client: Socket
}

/** A connection over loopback with a transport at its server's end, attached to a recording handler. */
export async function openPair(settings: Partial<TransportSettings> = {}): Promise<Pair> {
  const listener = createServer({
    allowHalfOpen: true,
    noDelay: true,
    highWaterMark: highWaterBytes,
  })
  const port = await listen(listener)
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const [socket] = await acceptOne(listener)
  if (client.connecting) await once(client, 'connect')
  listener.close()
  const peer = addressOf(socket.remoteAddress, socket.remotePort)
  const clock = settings.clock ?? systemClock()
  const server = new TcpTransport(
    socket,
    peer,
    transportSettings(clock, { poison: true, ...settings }),
  )
  const handler = new RecordingHandler()
  server.attach(handler)
  return {
    server,
    handler,
    client,
    async [Symbol.asyncDispose]() {
      client.destroy()
      server.destroy()
      await handler.until(() => handler.reason !== undefined)
    },
  }
}

async function acceptOne(listener: Server): Promise<[Socket]> {
  const [socket] = await once(listener, 'connection')
  return [socket]
}

export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // Of a server that listens on TCP.
  return (server.address() as AddressInfo).port
}

/** Everything a socket says until its end. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Reads that many bytes, and no more. */
export async function readBytes(socket: Socket, count: number): Promise<Buffer> {
  let all = Buffer.alloc(0)
  while (all.length < count) {
    const there = Math.min(count - all.length, socket.readableLength)
    const chunk: Buffer | null = there === 0 ? null : socket.read(there)
    if (chunk !== null) all = Buffer.concat([all, chunk])
    else await once(socket, 'readable')
  }
  return all
}

/** A certificate that is valid today unless it says otherwise. */
export function makeCertificate(
  request: Partial<CertificateRequest>,
): IssuedCertificate & { readonly pem: string } {
  const issued = issueCertificate({
    name: 'test',
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 60 * 86_400_000),
    ...request,
  })
  return { ...issued, pem: issued.certificate + issued.key }
}
