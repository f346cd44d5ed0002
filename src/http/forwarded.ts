import { cidrContains, formatIpAddress, parseIpAddress } from '../util/cidr.ts'
import type { Cidr, IpAddress } from '../util/cidr.ts'
import type { PeerAddress } from '../core/transport.ts'

export type TrustedProxies = 'all' | readonly Cidr[]

/**
 * The client that `X-Forwarded-For` names first. It is believed only if the connection comes from a trusted proxy and so does every
 * other hop; otherwise the client is who is connected to us. A value that is not a list of addresses says nothing.
 */
export function clientAddress(
  peer: PeerAddress,
  header: string | undefined,
  trusted: TrustedProxies,
): PeerAddress {
  if (header === undefined || (trusted !== 'all' && trusted.length === 0)) return peer
  const hops: IpAddress[] = []
  for (const text of header.split(',')) {
    const address = parseIpAddress(text.trim())
    if (address === undefined) return peer
    hops.push(address)
  }
  const [client, ...proxies] = hops
  if (client === undefined) return peer
  if (trusted !== 'all') {
    const last = parseIpAddress(peer.ip)
    // A Unix socket has no address that could be trusted.
    if (last === undefined) return peer
    const areTrusted = [...proxies, last].every((hop) =>
      trusted.some((network) => cidrContains(network, hop)),
    )
    if (!areTrusted) return peer
  }
  return { ip: formatIpAddress(client), port: 0 }
}
