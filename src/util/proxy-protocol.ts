import { isIPv4, isIPv6 } from 'node:net'
import { formatIpAddress } from './cidr.ts'

export interface ProxiedAddress {
  readonly ip: string
  readonly port: number
}

export type ProxyHeader =
  | {
      readonly kind: 'proxied'
      readonly source: ProxiedAddress
      readonly destination: ProxiedAddress
    }
  /** The proxy speaks for itself, such as for a health check (version 2, command LOCAL). */
  | { readonly kind: 'local' }
  /**
   * A proxied connection of which the proxy does not tell an IP address (UNKNOWN, UNSPEC, a UNIX
   * socket).
   */
  | { readonly kind: 'unknown' }

export type ProxyProtocolError = 'not-proxy-protocol' | 'malformed' | 'too-long'

export type ProxyHeaderResult =
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly bytes: number }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'malformed'; readonly error: ProxyProtocolError }

/** PROXY protocol §2.1: the longest line of version 1, with its end. */
const maxLineBytes = 107
/** Version 2 allows 64 KiB, for extensions. Nothing that is sent comes near this. */
const maxExtendedBytes = 4096

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const linePrefix = Buffer.from('PROXY ')

/**
 * Decodes the header, of version 1 or 2, with which a proxy starts a connection. What follows its
 * `bytes` belongs to the protocol behind.
 */
export function decodeProxyHeader(input: Uint8Array): ProxyHeaderResult {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  if (startsLike(bytes, signature)) return decodeVersion2(bytes)
  if (startsLike(bytes, linePrefix)) return decodeVersion1(bytes)
  return { kind: 'malformed', error: 'not-proxy-protocol' }
}

/** Is one of the two the start of the other? */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, length, 0, length) === 0
}

const malformed: ProxyHeaderResult = { kind: 'malformed', error: 'malformed' }

/** PROXY protocol §2.1: one line, as in `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`. */
function decodeVersion1(bytes: Buffer): ProxyHeaderResult {
  const end = bytes.subarray(0, maxLineBytes).indexOf('\r\n')
  if (end < 0) {
    if (bytes.length < maxLineBytes) return { kind: 'incomplete' }
    return { kind: 'malformed', error: 'too-long' }
  }
  const consumed = end + 2
  const line = bytes.toString('latin1', 0, end)
  const [, protocol, sourceIp = '', destinationIp = '', sourcePort = '', destinationPort = ''] =
    line.split(' ')
  // The rest of such a line is to be ignored.
  if (protocol === 'UNKNOWN')
    return { kind: 'header', header: { kind: 'unknown' }, bytes: consumed }
  const isAddress = protocol === 'TCP4' ? isIPv4 : protocol === 'TCP6' ? isIPv6 : () => false
  const areAddresses = [sourceIp, destinationIp].every((ip) => isAddress(ip) && !ip.includes('%'))
  const arePorts = [sourcePort, destinationPort].every(isPort)
  if (!areAddresses || !arePorts || line.split(' ').length !== 6) return malformed
  const source = { ip: sourceIp, port: Number(sourcePort) }
  const destination = { ip: destinationIp, port: Number(destinationPort) }
  return { kind: 'header', header: { kind: 'proxied', source, destination }, bytes: consumed }
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65535
}

/**
 * PROXY protocol §2.2: signature, version and command, family and protocol, length, addresses,
 * extensions.
 */
function decodeVersion2(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length < 16) return { kind: 'incomplete' }
  const versionAndCommand = bytes.readUInt8(12)
  const familyAndProtocol = bytes.readUInt8(13)
  const length = bytes.readUInt16BE(14)
  if (versionAndCommand >> 4 !== 2) return malformed
  if (length > maxExtendedBytes) return { kind: 'malformed', error: 'too-long' }
  const consumed = 16 + length
  if (bytes.length < consumed) return { kind: 'incomplete' }
  const command = versionAndCommand & 15
  if (command === 0) return { kind: 'header', header: { kind: 'local' }, bytes: consumed }
  if (command !== 1) return malformed
  const header = decodeAddresses(familyAndProtocol, bytes.subarray(16, consumed))
  return header === undefined ? malformed : { kind: 'header', header, bytes: consumed }
}

function decodeAddresses(familyAndProtocol: number, bytes: Buffer): ProxyHeader | undefined {
  const family = familyAndProtocol >> 4
  const protocol = familyAndProtocol & 15
  if (family > 3 || protocol > 2) return undefined
  if (family === 0 || family === 3 || protocol === 0) return { kind: 'unknown' }
  const size = family === 1 ? 4 : 16
  if (bytes.length < 2 * size + 4) return undefined
  const address = (at: number, portAt: number): ProxiedAddress => ({
    ip: size === 4 ? decodeIPv4(bytes, at) : decodeIPv6(bytes, at),
    port: bytes.readUInt16BE(portAt),
  })
  return {
    kind: 'proxied',
    source: address(0, 2 * size),
    destination: address(size, 2 * size + 2),
  }
}

function decodeIPv4(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join('.')
}

function decodeIPv6(bytes: Buffer, at: number): string {
  const word = (i: number): number => bytes.readUInt32BE(at + 4 * i)
  const isMapped = word(0) === 0 && word(1) === 0 && word(2) === 0xffff
  return formatIpAddress({
    family: isMapped ? 4 : 6,
    words: [word(0), word(1), word(2), word(3)],
  })
}
