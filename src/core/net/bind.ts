import { once } from 'node:events'
import { createServer } from 'node:net'
import type { ListenOptions, Server } from 'node:net'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import type { ListenerValues } from '../config/listener-options.ts'
import type { Log } from '../log.ts'
import type { PeerAddress } from '../transport.ts'
import { addressOf } from './address.ts'
import { highWaterBytes } from './tcp-transport.ts'
import { prepareUnixSocket, publishUnixSocket } from './unix-socket.ts'

export interface BindSettings {
  readonly log: Log
  readonly dataDir: string
  readonly reusePort?: boolean
}

/** A port, or Unix socket, that is open. */
export interface Bound {
  readonly server: Server
  /** Takes a Unix socket's name away. */
  readonly unpublish: () => void
}

/** Opens what a listener asks for; an IPv6 wildcard takes IPv4 as well. */
export async function bind(
  common: ListenerValues,
  parts: BindSettings,
): Promise<Result<Bound, string>> {
  const { port, ip, backlog, unix_socket: access } = common
  if (typeof port === 'number') {
    const share = parts.reusePort === true && port !== 0
    const options = { port, backlog, ...(share ? { reusePort: true } : { exclusive: true }) }
    const server = await listen({ ...options, host: ip })
    if (server instanceof Error && ip === '::' && hasNoIPv6(server)) {
      parts.log.warn({ port }, 'There is no IPv6 on this machine, listening on IPv4 only')
      return result(await listen({ ...options, host: '0.0.0.0' }))
    }
    return result(server)
  }
  const paths = prepareUnixSocket(port, parts.dataDir)
  if (!paths.ok) return paths
  const server = await listen({ path: paths.value.temporary, backlog })
  if (server instanceof Error) return err(reasonOf(server))
  try {
    return ok({ server, unpublish: publishUnixSocket(paths.value, access) })
  } catch (error) {
    server.close()
    return err(error instanceof Error ? reasonOf(error) : String(error))
  }
}

function result(server: Server | Error): Result<Bound, string> {
  return server instanceof Error ? err(reasonOf(server)) : ok({ server, unpublish() {} })
}

async function listen(options: ListenOptions): Promise<Server | Error> {
  const server = createServer({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    highWaterMark: highWaterBytes,
  })
  try {
    server.listen(options)
    await once(server, 'listening')
    return server
  } catch (error) {
    return error instanceof Error ? error : new Error('Cannot listen', { cause: error })
  }
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}

function hasNoIPv6(error: Error): boolean {
  return ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(codeOf(error))
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address in use',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
}

function reasonOf(error: Error): string {
  return reasons[codeOf(error)] ?? error.message
}

export function boundAddress(server: Server): PeerAddress {
  const address = server.address()
  if (typeof address !== 'object' || address === null) return addressOf(undefined, undefined)
  return addressOf(address.address, address.port)
}

export function whereOf(common: Pick<ListenerValues, 'port' | 'ip'>): string {
  const { port, ip } = common
  return typeof port === 'string' ? port : nameOf({ ip, port })
}

export function nameOf({ ip, port }: PeerAddress): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}
