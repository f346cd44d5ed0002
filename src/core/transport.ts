import type { X509Certificate } from 'node:crypto'
import type { SecureContext } from 'node:tls'

/** Who is at the other end, after the PROXY protocol has been heard. */
export interface PeerAddress {
  /** IPv4 in dotted form (never as `::ffff:…`), IPv6, or `''` for a Unix socket. */
  readonly ip: string
  readonly port: number
}

/** What TLS knows about a connection. */
export interface TlsInfo {
  /** `TLSv1.2`, `TLSv1.3`. */
  readonly version: string
  readonly cipher: string
  readonly serverName: string | undefined
  readonly alpn: string | undefined
  /** The peer's certificate and whether it verified against the listener's CA (undefined error = verified). */
  readonly peerCertificate: X509Certificate | undefined
  readonly peerCertificateError: string | undefined
  /** RFC 9266 tls-exporter; undefined where it is not secure (TLS 1.2 without extended master secret). */
  exporter(): Buffer | undefined
  /** RFC 5929 tls-server-end-point: hash of the certificate this server presented. */
  serverEndPoint(): Buffer | undefined
  /** RFC 5929 tls-unique, where the implementation has it; of TLS 1.2 only with the extended master secret. */
  unique?(): Buffer | undefined
}

export type CloseReason =
  | { readonly kind: 'local' } // we closed it
  | { readonly kind: 'ended' } // the peer closed it in order
  | { readonly kind: 'error'; readonly error: Error } // reset, TLS failure, …
  | { readonly kind: 'timeout' } // a write blocked longer than `send_timeout`

/** What a protocol puts behind a transport: one object per connection, its methods shared by all (no closures). */
export interface TransportHandler {
  /** Bytes `start` to `end` of `buffer`. The view is only good during the call: copy what has to last. */
  data(buffer: Buffer, start: number, end: number): void
  /** What was waiting to be written fell under the low-water mark again. */
  drain?(): void
  /** Called once; nothing is called afterwards. */
  closed(reason: CloseReason): void
}

export interface TlsServerSettings {
  /** Chooses the certificate by SNI; see core/certificates.ts. */
  readonly contexts: TlsContexts
  /** Used when the client sends no SNI, e.g. the stream's `to`. */
  readonly defaultDomain?: string | undefined
  readonly requestCertificate: boolean
  readonly alpn?: readonly string[]
}

/** Certificates by domain, reloaded from disk behind this interface. */
export interface TlsContexts {
  /** A context for that name, or the fallback's; undefined when there is no certificate at all. */
  contextFor(domain: string | undefined): SecureContext | undefined
}

/**
 * One connection's bytes, whatever carries them (TCP, TLS, WebSocket). Writes are gathered and leave in one system call per
 * turn of the event loop; flushed at once when the turn read little, after the whole turn when it read much.
 */
export interface Transport {
  readonly peer: PeerAddress
  readonly local: PeerAddress
  /** `tcp`, `tls`, `websocket` or `websocket-tls`. */
  readonly kind: 'tcp' | 'tls' | 'websocket' | 'websocket-tls'
  /** Set once TLS is up (also by a TLS-terminating WebSocket listener). */
  readonly tls: TlsInfo | undefined
  /** Bytes accepted by `write` that the kernel has not taken yet. Whoever feeds a slow reader looks here. */
  readonly bufferedBytes: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly isClosed: boolean

  /** Puts the protocol behind the transport and starts reading. May be called again to hand the connection over. */
  attach(handler: TransportHandler): void

  /**
   * Queues bytes that nobody will change any more (the transport keeps the reference; the same buffer may go to many
   * transports). Returns false above the high-water mark: stop feeding until `drain`.
   */
  write(bytes: Uint8Array): boolean
  /** Queues a copy of a range; for bytes that live in somebody's read buffer. */
  writeCopy(bytes: Uint8Array, start: number, end: number): boolean
  /** Queues text as UTF-8. */
  writeText(text: string): boolean
  /** Lets everything queued go now. */
  flush(): void

  /** Stops reading; the kernel's window closes behind it. Bytes that were already read still arrive. */
  pause(): void
  resume(): void

  /** Writes what is queued, then closes in order; destroys after a grace time when the peer does not take it. */
  close(): void
  /** Closes at once, throwing away what is queued. */
  destroy(): void

  /**
   * Turns a TCP connection into TLS as its server (STARTTLS). `already` are bytes that were read past the point of change. What
   * was written before goes out in plain text first; what is written meanwhile waits. Resolves when TLS is up, or when the
   * handshake failed and the transport is closed (`closed` was called with the error, or is about to be); never rejects for
   * what a peer does.
   */
  startTls(settings: TlsServerSettings, already?: Uint8Array): Promise<void>
}
