/** A request target taken apart (RFC 9112 §3.2). */
export interface Target {
  /** As sent, without the query. */
  readonly path: string
  /** Decoded, without empty, `.` and `..` segments. */
  readonly segments: readonly string[]
  readonly query: string
  /** Host and port of the absolute form, which is preferred to the Host header. */
  readonly authority: string | undefined
}

/** Undefined for what is no target of a request that is served here. */
export function parseTarget(text: string): Target | undefined {
  // A fragment is never sent; where parts of a URL end would be disputed.
  if (text.includes('#')) return undefined
  const question = text.indexOf('?')
  const beforeQuery = question < 0 ? text : text.slice(0, question)
  const query = question < 0 ? '' : text.slice(question + 1)
  // RFC 9112 §3.2.4: the server as a whole.
  if (text === '*') return { path: '*', segments: [], query: '', authority: undefined }
  if (beforeQuery.startsWith('/')) return fromPath(beforeQuery, query, undefined)
  const absolute = /^https?:\/\/([^/]*)(.*)$/i.exec(beforeQuery)
  if (absolute === null) return undefined
  const [, authority = '', path = ''] = absolute
  return fromPath(path === '' ? '/' : path, query, authority)
}

function fromPath(path: string, query: string, authority: string | undefined): Target | undefined {
  const segments = pathSegments(path)
  return segments === undefined ? undefined : { path, segments, query, authority }
}

/**
 * Decodes a path: what prefixes and handlers see has one form, however it was written. A segment may hold a slash that was
 * escaped. Undefined when an escape is malformed, is not UTF-8 or stands for NUL.
 */
export function pathSegments(path: string): readonly string[] | undefined {
  const segments: string[] = []
  for (const part of path.split('/')) {
    const segment = decode(part)
    if (segment === undefined || segment.includes('\0')) return undefined
    if (segment === '' || segment === '.') continue
    // Whatever is above the root is the root (RFC 3986 §5.2.4).
    if (segment === '..') segments.pop()
    else segments.push(segment)
  }
  return segments
}

function decode(part: string): string | undefined {
  if (!part.includes('%')) return part
  try {
    return decodeURIComponent(part)
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}
