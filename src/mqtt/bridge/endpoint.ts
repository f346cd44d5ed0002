import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'

/** ejabberd's URL schemes: what carries MQTT, and its version. */
const schemes = {
  mqtt: { version: 4, isSecure: false, isWebSocket: false, port: 1883 },
  mqtts: { version: 4, isSecure: true, isWebSocket: false, port: 8883 },
  mqtt5: { version: 5, isSecure: false, isWebSocket: false, port: 1883 },
  mqtt5s: { version: 5, isSecure: true, isWebSocket: false, port: 8883 },
  ws: { version: 4, isSecure: false, isWebSocket: true, port: 80 },
  wss: { version: 4, isSecure: true, isWebSocket: true, port: 443 },
  ws5: { version: 5, isSecure: false, isWebSocket: true, port: 80 },
  wss5: { version: 5, isSecure: true, isWebSocket: true, port: 443 },
} as const

type Scheme = keyof typeof schemes

export const endpointSchemes: readonly string[] = Object.keys(schemes)

/** Where another broker is and how it is spoken to. */
export interface Endpoint {
  /** As it was written. */
  readonly url: string
  readonly version: 4 | 5
  readonly isSecure: boolean
  readonly isWebSocket: boolean
  /** A name or an address, that of IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Of the WebSocket. */
  readonly path: string
}

export type EndpointFault = 'not-a-url' | 'unknown-scheme' | 'credentials' | 'path' | 'fragment'

export function parseEndpoint(text: string): Result<Endpoint, EndpointFault> {
  const url = URL.parse(text)
  if (url === null) return err('not-a-url')
  const scheme = url.protocol.slice(0, -1)
  if (!isScheme(scheme)) return err('unknown-scheme')
  if (url.hostname === '' || url.port === '0') return err('not-a-url')
  // They would stand in logs and lists.
  if (url.username !== '' || url.password !== '') return err('credentials')
  if (url.hash !== '') return err('fragment')
  const { port, ...way } = schemes[scheme]
  const path = `${url.pathname}${url.search}`
  // It would mean nothing there.
  if (!way.isWebSocket && path !== '' && path !== '/') return err('path')
  return ok({
    ...way,
    url: text,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? port : Number(url.port),
    path: path === '' ? '/' : path,
  })
}

/** Host and port as they stand in a URL. */
export function authorityOf({ host, port }: Pick<Endpoint, 'host' | 'port'>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

function isScheme(text: string): text is Scheme {
  return Object.hasOwn(schemes, text)
}
