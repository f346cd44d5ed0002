import { clientNs, streamsNs } from '../xml/namespaces.ts'
import { xml } from '../xml/element.ts'
import { unauthenticatedLimits } from '../xml/limits.ts'
import type { XmlLimits } from '../xml/limits.ts'
import { parseElement } from '../xml/parse-element.ts'
import { StreamParser } from '../xml/stream-parser.ts'
import type { StreamHandler } from '../xml/stream-parser.ts'
import { toXml } from '../xml/write.ts'

/** What the head of a stream that we send says (RFC 6120 §4.7). */
export interface OutgoingHead {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly id?: string | undefined
  readonly version?: string | undefined
  readonly lang?: string | undefined
}

/** Reads one direction of a stream; see `StreamParser`, which is the reader of streams over TCP. */
export interface StreamReader {
  limits: XmlLimits
  push(bytes: Uint8Array): Uint8Array | undefined
  pause(): void
  resume(): void
  reset(): void
}

/** How a stream begins, ends and tells its elements apart on the wire. */
export interface Framing {
  createReader(handler: StreamHandler, limits: XmlLimits): StreamReader
  head(contentNs: string, head: OutgoingHead): string
  readonly foot: string
  /** The namespace that elements can leave out because the stream's head names it. */
  elementNs(contentNs: string): string
}

/** One XML document for the whole stream (RFC 6120 §4). */
export const documentFraming: Framing = {
  createReader: (handler, limits) => new StreamParser({ handler, limits, contentNs: clientNs }),
  head(contentNs, { from, to, id, version, lang }) {
    const attributes = { id, from, to, version, 'xml:lang': lang }
    const start = toXml(xml('stream', streamsNs, attributes)).replace(/\/>$/, '')
    // Old peers look for these two first.
    return `<?xml version='1.0'?>${start.replace(' ', ` xmlns='${contentNs}' `)}>`
  },
  foot: '</stream:stream>',
  elementNs: (contentNs) => contentNs,
}

const framingNs = 'urn:ietf:params:xml:ns:xmpp-framing'

/** Each message of a WebSocket is one element that stands for itself (RFC 7395 §3.3). */
export const messageFraming: Framing = {
  createReader: (handler, limits) => new MessageReader(handler, limits),
  head: (_, { from, to, id, version, lang }) =>
    toXml(xml('open', framingNs, { id, from, to, version, 'xml:lang': lang })),
  foot: toXml(xml('close', framingNs)),
  elementNs: () => '',
}

/** Takes one message at each `push`. */
class MessageReader implements StreamReader {
  limits: XmlLimits = unauthenticatedLimits
  readonly #handler: StreamHandler
  #isPaused = false
  #phase: 'before-stream' | 'in-stream' | 'ended' = 'before-stream'

  constructor(handler: StreamHandler, limits: XmlLimits) {
    this.#handler = handler
    this.limits = limits
  }

  push(message: Uint8Array): Uint8Array | undefined {
    if (this.#isPaused) return message
    // A client that keeps its connection alive with white space does no harm (RFC 7395 §3.8).
    if (this.#phase === 'ended' || message.every(isSpace)) return undefined
    const parsed = parseElement(message, { limits: this.limits })
    if (!parsed.ok) {
      this.#phase = 'ended'
      this.#handler.error(parsed.error.condition, parsed.error.detail)
      return undefined
    }
    const element = parsed.value
    if (element.is('close', framingNs)) {
      this.#phase = 'ended'
      this.#handler.streamClose()
    } else if (this.#phase === 'in-stream' && element.ns !== framingNs) {
      this.#handler.stanza(element)
    } else if (this.#phase === 'before-stream' && element.is('open', framingNs)) {
      this.#phase = 'in-stream'
      const { attrs } = element
      const prefixes = new Map<string, string>()
      // What the head of a document would have said.
      this.#handler.streamOpen({
        name: 'stream',
        ns: streamsNs,
        attrs,
        contentNs: clientNs,
        prefixes,
      })
    } else {
      this.#phase = 'ended'
      this.#handler.error('bad-format', 'Element out of place')
    }
    return undefined
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
  }

  reset(): void {
    this.#phase = 'before-stream'
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
