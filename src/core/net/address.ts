import type { PeerAddress } from '../transport.ts'

/** A Unix socket has no address. */
const none: PeerAddress = { ip: '', port: 0 }

const mappedPrefix = '::ffff:'

/** An address as the kernel tells it; an IPv4 peer of a socket of both families shows as IPv4. */
export function addressOf(ip: string | undefined, port: number | undefined): PeerAddress {
  if (ip === undefined || port === undefined) return none
  const isMapped = ip.startsWith(mappedPrefix) && ip.includes('.')
  return { ip: isMapped ? ip.slice(mappedPrefix.length) : ip, port }
}
