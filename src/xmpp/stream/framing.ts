import { xml } from '../xml/element.ts'
import { streamsNs } from '../xml/namespaces.ts'
import { toXml } from '../xml/write.ts'

/** What the head of a stream that we send says (RFC 6120 §4.7). */
export interface OutgoingHead {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly id?: string | undefined
  readonly version?: string | undefined
  readonly lang?: string | undefined
}

/** How a stream begins, ends and tells its elements apart on the wire. */
export interface Framing {
  head(contentNs: string, head: OutgoingHead): string
  readonly foot: string
  /** The namespace that elements can leave out because the stream's head names it. */
  elementNs(contentNs: string): string
}

/** One XML document for the whole stream (RFC 6120 §4). */
export const documentFraming: Framing = {
  head(contentNs, { from, to, id, version, lang }) {
    const attributes = { id, from, to, version, 'xml:lang': lang }
    const start = toXml(xml('stream', streamsNs, attributes)).replace(/\/>$/, '')
    // Old peers look for these two first.
    return `<?xml version='1.0'?>${start.replace(' ', ` xmlns='${contentNs}' `)}>`
  },
  foot: '</stream:stream>',
  elementNs: (contentNs) => contentNs,
}
