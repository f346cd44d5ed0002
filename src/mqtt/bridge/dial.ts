import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { addressOf } from '../../core/net/address.ts'
import { TcpTransport } from '../../core/net/tcp-transport.ts'
import type { TransportSettings } from '../../core/net/tcp-transport.ts'
import { SocketTlsInfo } from '../../core/net/tls-socket.ts'
import type { Transport } from '../../core/transport.ts'
import { WebSocketClient } from '../../http/websocket-client.ts'
import { authorityOf } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'

/** How the other side has to prove who it is, and how we do. Files are read for each connection, so that renewed ones count. */
export interface DialTls {
  /** Whether its certificate has to be valid and for its name. */
  readonly verifies: boolean
  /** Authorities; those of the system otherwise. */
  readonly caFile: string | undefined
  /** Our certificate, and its key unless that has a file of its own. */
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
  /** The name in its certificate, when it is not the one in the URL. */
  readonly serverName: string | undefined
}

/** Connects to another server. Rejects with what went wrong; nothing is left open then. */
export async function dial(
  endpoint: Endpoint,
  tls: DialTls,
  settings: TransportSettings,
  signal: AbortSignal,
): Promise<Transport> {
  const { host, port } = endpoint
  const socket = connectTcp({ host, port, allowHalfOpen: true, noDelay: true })
  let current: Socket = socket
  const abort = (): void => void current.destroy()
  // Errors that come after one was dealt with.
  socket.on('error', () => undefined)
  signal.addEventListener('abort', abort)
  try {
    await once(socket, 'connect', { signal })
    const peer = addressOf(socket.remoteAddress, socket.remotePort)
    let transport: TcpTransport
    if (endpoint.isSecure) {
      const secure = connectTls({ ...(await tlsOptions(host, tls)), socket })
      secure.on('error', () => undefined)
      current = secure
      await once(secure, 'secureConnect', { signal })
      transport = new TcpTransport(secure, peer, settings, new SocketTlsInfo(secure))
    } else transport = new TcpTransport(socket, peer, settings)
    if (!endpoint.isWebSocket) return transport
    return await WebSocketClient.open(transport, {
      authority: authorityOf(endpoint),
      target: endpoint.path,
      subprotocol: 'mqtt',
    })
  } catch (error) {
    current.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function tlsOptions(host: string, tls: DialTls): Promise<ConnectionOptions> {
  const { caFile, certFile, keyFile, serverName, verifies } = tls
  const cert = certFile === undefined ? undefined : await readFile(certFile)
  const name = serverName ?? host
  return {
    // RFC 6066 §3: addresses are not sent as names. The certificate has to be for them all the same.
    ...(isIP(name) === 0 ? { servername: name } : { host: name }),
    rejectUnauthorized: verifies,
    minVersion: 'TLSv1.2',
    ...(caFile !== undefined && { ca: await readFile(caFile) }),
    ...(cert !== undefined && {
      cert,
      key: keyFile === undefined ? cert : await readFile(keyFile),
    }),
  }
}
