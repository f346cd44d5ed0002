import type { Socket } from 'node:net'
import { decodeProxyHeader } from '../../util/proxy-protocol.ts'
import type { ProxyHeader } from '../../util/proxy-protocol.ts'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import type { Clock } from '../clock.ts'

/** How long a proxy may take to say for whom it speaks. */
export const proxyHeaderTimeoutMs = 10_000

/**
 * Reads the PROXY protocol's header from a new connection, version 1 or 2. What came behind it is put back, and the socket
 * is paused.
 */
export function readProxyHeader(
  socket: Socket,
  clock: Clock,
): Promise<Result<Extract<ProxyHeader, { kind: 'proxied' }>, string>> {
  return new Promise((resolve) => {
    let held: Buffer = Buffer.alloc(0)
    const settle = (result: Result<Extract<ProxyHeader, { kind: 'proxied' }>, string>): void => {
      timer.cancel()
      socket.off('data', onData)
      socket.off('end', onEnd)
      socket.off('close', onEnd)
      resolve(result)
    }
    const onData = (chunk: Buffer): void => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      const decoded = decodeProxyHeader(held)
      if (decoded.kind === 'incomplete') return
      socket.pause()
      if (decoded.kind === 'malformed') {
        settle(err(decoded.error))
        return
      }
      if (held.length > decoded.bytes) socket.unshift(held.subarray(decoded.bytes))
      // ejabberd closes connections for which no address is told, health checks included.
      if (decoded.header.kind === 'proxied') settle(ok(decoded.header))
      else settle(err(`no address (${decoded.header.kind})`))
    }
    const onEnd = (): void => settle(err('closed before the header was complete'))
    const timer = clock.after(proxyHeaderTimeoutMs, () => settle(err('timeout')))
    socket.on('data', onData)
    socket.on('end', onEnd)
    socket.on('close', onEnd)
  })
}
