import { createHash } from 'node:crypto'
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { SecureContext } from 'node:tls'
import type { Clock } from '../clock.ts'
import type { TlsInfo, TlsServerSettings } from '../transport.ts'
import { signatureHash } from './certificate-fields.ts'
import { derContent, derValues } from './der.ts'

/** How long a peer may take for the TLS handshake, unless somebody says otherwise. */
export const handshakeTimeoutMs = 30_000

const contextOf = Symbol('context')

/** The connection knows which of the contexts serves it; each has one certificate (`secureContext`). */
type ServedSocket = TLSSocket & { [contextOf]?: SecureContext }

/** The same for all connections with a certificate, and dear: Node makes a certificate object each time it is asked. */
const endPoints = new WeakMap<SecureContext, Buffer>()

/**
 * Makes a TLS server's end of a TCP connection; undefined when there is no certificate. Bytes in the socket's read buffer
 * are part of the handshake.
 */
export function wrapServerTls(raw: Socket, settings: TlsServerSettings): TLSSocket | undefined {
  const secureContext = settings.contexts.contextFor(settings.defaultDomain)
  if (secureContext === undefined) return undefined
  const socket: ServedSocket = new TLSSocket(raw, {
    isServer: true,
    secureContext,
    SNICallback: (name: string, done: (error: null, context?: SecureContext) => void) => {
      const context = settings.contexts.contextFor(name)
      if (context !== undefined) socket[contextOf] = context
      done(null, context)
    },
    requestCert: settings.requestCertificate,
    // Whether a certificate suffices is the protocol's to say: it may also ask for a password.
    rejectUnauthorized: false,
    // RFC 7301 §3.2: without a common protocol the handshake fails, so that nobody is talked into another (ALPACA).
    ...(settings.alpn === undefined ? {} : { ALPNProtocols: [...settings.alpn] }),
  })
  socket[contextOf] = secureContext
  return socket
}

/** Resolves when TLS is up, or with what went wrong; the socket is destroyed then. */
export function handshake(
  socket: TLSSocket,
  clock: Clock,
  limitMs: number,
): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const settle = (error: Error | undefined): void => {
      timer.cancel()
      socket.off('secure', onSecure)
      socket.off('close', onClose)
      socket.off('end', onClose)
      if (error !== undefined) socket.destroy()
      resolve(error)
    }
    let failure: Error | undefined
    const onSecure = (): void => {
      socket.off('error', onError)
      settle(undefined)
    }
    const onError = (error: Error): void => {
      failure = error
    }
    const onClose = (): void => settle(failure ?? new Error('Closed during the TLS handshake'))
    const timer = clock.after(limitMs, () => settle(new Error('TLS handshake timed out')))
    socket.on('secure', onSecure)
    // Stays after a failure: whatever comes late must not be an unhandled error.
    socket.on('error', onError)
    socket.on('close', onClose)
    // Sockets are half-open: somebody who left would be waited for until the time is up.
    socket.on('end', onClose)
  })
}

/** What is known of a TLS connection once it is up. */
export class SocketTlsInfo implements TlsInfo {
  readonly version: string
  readonly cipher: string
  readonly serverName: string | undefined
  readonly alpn: string | undefined
  readonly peerCertificate: X509Certificate | undefined
  readonly peerCertificateError: string | undefined
  readonly #socket: ServedSocket
  /** Asked for by the offer of mechanisms, and again by the one that is chosen. */
  #exporter: Buffer | undefined

  constructor(socket: ServedSocket) {
    this.#socket = socket
    this.version = socket.getProtocol() ?? ''
    this.cipher = socket.getCipher()?.standardName ?? ''
    this.serverName = textOf(Reflect.get(socket, 'servername'))
    this.alpn = textOf(socket.alpnProtocol)
    this.peerCertificate = socket.getPeerX509Certificate()
    if (this.peerCertificate !== undefined) this.peerCertificateError = verificationError(socket)
  }

  exporter(): Buffer | undefined {
    // RFC 9266 §4.2: without the extended master secret the exporter does not identify one connection.
    if (this.version !== 'TLSv1.3' && !hasExtendedMasterSecret(this.#socket)) return undefined
    if (this.#socket.destroyed) return undefined
    this.#exporter ??= this.#socket.exportKeyingMaterial(
      32,
      'EXPORTER-Channel-Binding',
      Buffer.alloc(0),
    )
    return this.#exporter
  }

  serverEndPoint(): Buffer | undefined {
    const context = this.#socket[contextOf]
    const known = context && endPoints.get(context)
    if (known !== undefined) return known
    const certificate = this.#socket.getX509Certificate()
    const hash = certificate && signatureHash(certificate.raw)
    if (certificate === undefined || hash === undefined) return undefined
    const endPoint = createHash(hash).update(certificate.raw).digest()
    if (context !== undefined) endPoints.set(context, endPoint)
    return endPoint
  }

  unique(): Buffer | undefined {
    // Without the extended master secret it does not identify one connection (RFC 9266 §3). In TLS 1.3 the Finished
    // message covers the whole handshake, although nobody defined it as a channel binding there.
    const isBound = this.version === 'TLSv1.3' || hasExtendedMasterSecret(this.#socket)
    if (!isBound || this.#socket.destroyed) return undefined
    // RFC 5929 §3.1: the first Finished message, which is the server's when a session is resumed.
    return this.#socket.isSessionReused()
      ? this.#socket.getFinished()
      : this.#socket.getPeerFinished()
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** OpenSSL's code for why the peer's certificate is not to be trusted; undefined if it is. */
function verificationError(socket: TLSSocket): string | undefined {
  // `authorizationError` is set by tls.Server only. When this way to ask goes, nobody is trusted.
  const ssl: unknown = Reflect.get(socket, 'ssl')
  if (typeof ssl !== 'object' || ssl === null) return 'UNKNOWN'
  const verifyError: unknown = Reflect.get(ssl, 'verifyError')
  if (typeof verifyError !== 'function') return 'UNKNOWN'
  const error: unknown = verifyError.call(ssl)
  if (error === null || error === undefined) return undefined
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  return typeof code === 'string' ? code : 'UNKNOWN'
}

/** SSL_SESS_FLAG_EXTMS, a bit of the flags that OpenSSL writes as field [13] of a session. */
const extendedMasterSecretFlag = 1

function hasExtendedMasterSecret(socket: TLSSocket): boolean {
  const session = socket.getSession()
  const fields = session === undefined ? undefined : derContent(session, 0x30)
  const flags = derValues(fields ?? Buffer.alloc(0)).find(({ tag }) => tag === 0xad)
  const number = flags === undefined ? undefined : derContent(flags.content, 0x02)
  return number !== undefined && ((number.at(-1) ?? 0) & extendedMasterSecretFlag) !== 0
}
