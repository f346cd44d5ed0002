import { isIPv4, isIPv6 } from 'node:net'

/** A network: all addresses that share the first `bits` bits. IPv4 is held as 4 bytes, IPv6 as 16. */
export interface Cidr {
  readonly bytes: readonly number[]
  readonly bits: number
}

/** `127.0.0.0/8`, `::1/128`, or an address alone. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', mask, ...rest] = text.split('/')
  const bytes = addressBytes(address)
  if (bytes === undefined || rest.length > 0) return undefined
  if (mask === undefined) return { bytes, bits: bytes.length * 8 }
  const bits = /^\d{1,3}$/.test(mask) ? Number(mask) : Infinity
  return bits <= bytes.length * 8 ? { bytes, bits } : undefined
}

/** Whether the address lies in the network; an IPv4-mapped IPv6 address counts as its IPv4 address. */
export function cidrContains(network: Cidr, address: string): boolean {
  const bytes = addressBytes(address)
  return bytes !== undefined && containsBytes(network, bytes)
}

export function containsBytes(network: Cidr, address: readonly number[]): boolean {
  if (network.bytes.length === address.length) return samePrefix(network, address)
  const mapped = address.length === 16 ? mappedIPv4(address) : undefined
  if (mapped !== undefined) return samePrefix(network, mapped)
  // An IPv4 caller and a network such as ::ffff:10.0.0.0/104.
  const asIPv6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...address]
  return network.bytes.length === 16 && address.length === 4 && samePrefix(network, asIPv6)
}

function samePrefix(network: Cidr, address: readonly number[]): boolean {
  const whole = network.bits >> 3
  for (let i = 0; i < whole; i++) if (network.bytes[i] !== address[i]) return false
  const rest = network.bits & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return ((network.bytes[whole] ?? 0) & mask) === ((address[whole] ?? 0) & mask)
}

function mappedIPv4(bytes: readonly number[]): readonly number[] | undefined {
  const isMapped = bytes.every((byte, i) => i > 11 || byte === (i < 10 ? 0 : 255))
  return isMapped ? bytes.slice(12) : undefined
}

/** The bytes of an address in network order; a zone (`%eth0`) is left out. */
export function addressBytes(address: string): readonly number[] | undefined {
  if (isIPv4(address)) return address.split('.').map(Number)
  const text = address.split('%')[0] ?? ''
  if (!isIPv6(text)) return undefined
  const [head = '', tail] = text.split('::')
  const before = groupBytes(head)
  if (tail === undefined) return before
  const after = groupBytes(tail)
  const bytes = Array.from({ length: 16 }, () => 0)
  bytes.splice(0, before.length, ...before)
  if (after.length > 0) bytes.splice(16 - after.length, after.length, ...after)
  return bytes
}

function groupBytes(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
