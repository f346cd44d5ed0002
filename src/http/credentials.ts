/** What the `Authorization` header says; whether it is right is for the handler to find out. */
export type Credentials =
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'malformed' }

const malformed: Credentials = { kind: 'malformed' }
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads the header's value: Basic (RFC 7617, in UTF-8) or Bearer (RFC 6750 §2.1). Undefined when there is none. */
export function parseAuthorization(header: string | undefined): Credentials | undefined {
  if (header === undefined) return undefined
  const [, scheme = '', value = ''] = /^([^ ]+) +([^ ]+)$/.exec(header.trim()) ?? []
  switch (scheme.toLowerCase()) {
    case 'basic':
      return parseBasic(value)
    case 'bearer':
      return /^[A-Za-z0-9\-._~+/]+=*$/.test(value) ? { kind: 'bearer', token: value } : malformed
    default:
      return malformed
  }
}

function parseBasic(value: string): Credentials {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return malformed
  let text: string
  try {
    text = utf8.decode(Buffer.from(value, 'base64'))
  } catch {
    // Bytes that are not UTF-8 can be nobody's password here.
    return malformed
  }
  // RFC 7617 §2: the first colon ends the user's name; neither part holds control characters.
  const colon = text.indexOf(':')
  if (colon < 0 || /[\x00-\x1f\x7f]/.test(text)) return malformed
  return { kind: 'basic', user: text.slice(0, colon), password: text.slice(colon + 1) }
}
