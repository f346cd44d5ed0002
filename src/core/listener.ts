import type { Duplex } from 'node:stream'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { OptionMap, ValuesOf } from './options.ts'
import type { Services } from './service.ts'
import type { PeerAddress, TlsInfo, TlsServerSettings, Transport } from './transport.ts'

/** What a listener's protocol gets when its port opens. */
export interface ListenerContext<Options> {
  readonly options: Options
  /** As bound: the real port when the configuration said 0. */
  readonly address: PeerAddress
  readonly log: Log
  readonly clock: Clock
  readonly metrics: Metrics
  readonly services: Services
  /** Certificates for STARTTLS and TLS on this listener; undefined when there is none. */
  readonly tls: TlsServerSettings | undefined
  /** `send_timeout`, for those who make transports of the sockets they were given. */
  readonly sendTimeoutMs?: number
}

/** A protocol behind one open port. */
export interface StreamAcceptor {
  /** A new connection (after PROXY protocol, and after TLS on a `tls: true` listener). */
  accept?(transport: Transport): void
  /** Instead of `accept`, for protocols that want the socket itself (node:http). */
  acceptSocket?(socket: Duplex, peer: PeerAddress, isTls: boolean, tls?: TlsInfo): void
  /** The listener's own options changed at a reload; undefined = close the port and open it anew. */
  reload?(options: never): void
  /** The port is closed; connections live on until the server drains them. */
  close(): Promise<void> | void
}

/**
 * One listener module under `listen:`. Protocols export a constant and `server.ts` lists them; the name is ejabberd's
 * (`ejabberd_c2s`, `mod_mqtt`, `ejabberd_http`). Options common to all listeners (listeners.md §1.1) are the core's.
 */
export interface ListenerModule<Options extends OptionMap = OptionMap> {
  readonly name: string
  readonly options: Options
  readonly transports: readonly ('tcp' | 'udp')[]
  /** Says whether TLS starts with the first byte, and whether a client certificate is asked for. */
  tls?(options: ValuesOf<Options>): {
    readonly direct: boolean
    readonly requestCertificate: boolean
    readonly alpn?: readonly string[]
  }
  open(context: ListenerContext<ValuesOf<Options>>): StreamAcceptor
}

export function defineListener<const Options extends OptionMap>(
  definition: ListenerModule<Options>,
): ListenerModule<Options> {
  return definition
}
