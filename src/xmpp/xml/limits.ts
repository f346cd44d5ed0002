/**
 * What a peer may send at most. A stream starts with small limits and gets larger ones once the peer
 * is authenticated; bytes count from the `<` of a stanza (or of the stream head) to its last `>`.
 */
export interface XmlLimits {
  readonly maxStanzaBytes: number
  /** The stanza itself is at depth 1. */
  readonly maxDepth: number
  /** Elements in one stanza, itself included. */
  readonly maxElements: number
  /** Attributes of one element, namespace declarations included. */
  readonly maxAttributes: number
  /** Bytes in the name of an element or attribute, prefix included. */
  readonly maxNameBytes: number
  /** Bytes in the value of one attribute as sent, before references are resolved. */
  readonly maxAttributeBytes: number
}

export const defaultLimits: XmlLimits = {
  maxStanzaBytes: 262_144,
  maxDepth: 64,
  maxElements: 10_000,
  maxAttributes: 64,
  maxNameBytes: 256,
  maxAttributeBytes: 32_768,
}

/** Enough for a stream head, STARTTLS and SASL, and little for who only wants our memory. */
export const unauthenticatedLimits: XmlLimits = {
  maxStanzaBytes: 16_384,
  maxDepth: 8,
  maxElements: 64,
  maxAttributes: 16,
  maxNameBytes: 128,
  maxAttributeBytes: 2048,
}

/** For text of our own (database columns): only depth is bounded, as the writer recurses. */
export const trustedLimits: XmlLimits = {
  maxStanzaBytes: 0x3fff_ffff,
  maxDepth: 1000,
  maxElements: 0x3fff_ffff,
  maxAttributes: 1000,
  maxNameBytes: 65_536,
  maxAttributeBytes: 0x3fff_ffff,
}
