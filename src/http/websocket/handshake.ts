import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { textAnswer } from '../answer.ts'
import type { HttpAnswer } from '../handler.ts'

/** What a client asks for, checked. */
export interface Handshake {
  readonly key: string
  readonly subprotocols: readonly string[]
}

const version = '13'
const keySuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** Whether a request would turn into a WebSocket. */
export function wantsWebSocket(request: IncomingMessage): boolean {
  return (
    tokensOf(request.headers.upgrade).includes('websocket') &&
    tokensOf(request.headers.connection).includes('upgrade')
  )
}

/** Checks a client's opening handshake (RFC 6455 §4.2.1), or says how to answer it. */
export function checkHandshake(
  request: IncomingMessage,
  origins: readonly string[],
): Result<Handshake, HttpAnswer> {
  const { headers } = request
  const key = headers['sec-websocket-key'] ?? ''
  const subprotocols =
    headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
  if (request.method !== 'GET' || request.httpVersion !== '1.1') return err(textAnswer(400))
  // A body would be read as frames.
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) {
    return err(textAnswer(400))
  }
  if (headers['sec-websocket-version'] !== version) return err(upgradeRequired())
  // 16 bytes in Base64.
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) return err(textAnswer(400))
  if (!subprotocols.every((name) => token.test(name))) return err(textAnswer(400))
  if (!isAllowedOrigin(headers.origin, origins)) return err(textAnswer(403))
  return ok({ key, subprotocols })
}

/** RFC 6455 §4.4 for another version, RFC 9110 §15.5.22 for none. */
export function upgradeRequired(): HttpAnswer {
  const answer = textAnswer(426, 'This is a WebSocket')
  const headers = { upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-version': version }
  return { ...answer, headers: { ...answer.headers, ...headers } }
}

/** How a server shows that it has understood (RFC 6455 §4.2.2). */
export function acceptOf(key: string): string {
  // SHA-1 is what the protocol asks for; nothing is secret here.
  return createHash('sha1')
    .update(key + keySuffix)
    .digest('base64')
}

/** The head of the answer that opens a WebSocket (RFC 6455 §4.2.2). */
export function handshakeAnswer(
  key: string,
  subprotocol: string | undefined,
  customHeaders: ReadonlyMap<string, string>,
): string {
  const headers = new Map([
    ...customHeaders,
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Accept', acceptOf(key)],
  ])
  if (subprotocol !== undefined) headers.set('Sec-WebSocket-Protocol', subprotocol)
  let text = 'HTTP/1.1 101 Switching Protocols\r\n'
  for (const [name, value] of headers) text += `${name}: ${value}\r\n`
  return `${text}\r\n`
}

/**
 * RFC 6455 §10.2: keeps pages of other sites from using the browser of somebody who is let in. Other programs send no Origin, and
 * could send any.
 */
function isAllowedOrigin(origin: string | undefined, allowed: readonly string[]): boolean {
  if (allowed.length === 0 || origin === undefined) return true
  const asked = originOf(origin)
  return asked !== undefined && allowed.some((url) => originOf(url) === asked)
}

/** Scheme, host and port in one form; undefined for `null` and whatever is no web site. */
function originOf(url: string): string | undefined {
  const parsed = URL.parse(url)
  return parsed === null || parsed.origin === 'null' ? undefined : parsed.origin
}

function tokensOf(header: string | undefined): readonly string[] {
  return header?.split(',').map((text) => text.trim().toLowerCase()) ?? []
}
