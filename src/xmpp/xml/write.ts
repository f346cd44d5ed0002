import { fromBinary } from './binary.ts'
import type { BinaryString } from './binary.ts'
import type { Element, FlatAttributes, Slice } from './element.ts'
import { conventionalPrefix, isContentNs, streamsNs, xmlNs } from './namespaces.ts'
import type { Prefixes } from './namespace-scope.ts'
import { encodeName, encodeText, encodeValue } from './text.ts'

/**
 * The element as XML for a place where `contextNs` is the default namespace ('' for a document of its
 * own). If both are namespaces of stanzas, the element and those of its children that share its
 * namespace go over into the target's (RFC 6120 §4.8.3): `jabber:client` becomes `jabber:server`.
 *
 * On a stream, that is if `contextNs` is a namespace of stanzas, the prefix `stream` is taken as declared.
 */
export function toXml(element: Element, contextNs = ''): string {
  const binary = writeBinary(element, contextNs)
  return /[\x80-\xff]/.test(binary) ? fromBinary(binary) : binary
}

/** `toXml` as bytes in UTF-8, which the caller owns. */
export function writeElement(element: Element, contextNs = ''): Buffer {
  return Buffer.from(writeBinary(element, contextNs), 'latin1')
}

export function writeBinary(element: Element, contextNs: string): BinaryString {
  const heirsOf = isContentNs(contextNs) && isContentNs(element.ns) ? element.ns : undefined
  return write(element, contextNs, heirsOf, isContentNs(contextNs))
}

/**
 * `heirsOf` is the namespace that is written as `contextNs`, for as long as it goes on from parent to
 * child.
 */
function write(
  element: Element,
  contextNs: string,
  heirsOf: string | undefined,
  onStream: boolean,
): BinaryString {
  const { slice, added, ns } = element
  const isHeir = ns === heirsOf
  const targetNs = isHeir ? contextNs : ns
  const copied = slice !== undefined && !isBound(slice, ns, targetNs) ? slice : undefined
  if (copied !== undefined && added.length === 0 && isWhole(copied, element, targetNs, contextNs)) {
    return copied.source.bytes.slice(copied.start, copied.end)
  }

  const prefix = conventionalPrefix(ns)
  let name = encodeName(element.name)
  let head: BinaryString
  if (prefix === undefined) {
    head = `<${name}`
    if (targetNs !== contextNs) head += ` xmlns='${encodeValue(targetNs)}'`
  } else {
    name = `${prefix}:${name}`
    head = `<${name}`
    if (ns !== xmlNs && !(onStream && ns === streamsNs)) head += ` xmlns:${prefix}='${ns}'`
  }
  head += writeAttributes(element.flatAttributes, slice?.needs)

  let body = ''
  let nodes = added
  if (copied !== undefined && prefix === undefined && copied.bodyNs === ns) {
    if (copied.needs !== undefined) head += declarations(copied.needs)
    body = copied.source.bytes.slice(copied.bodyStart, copied.bodyEnd)
  } else nodes = element.children
  const innerNs = prefix === undefined ? targetNs : contextNs
  for (const node of nodes) {
    body +=
      typeof node === 'string'
        ? encodeText(node)
        : write(node, innerNs, isHeir ? heirsOf : undefined, onStream)
  }
  return body === '' ? `${head}/>` : `${head}>${body}</${name}>`
}

/**
 * Whether a copy of the bytes could keep a namespace that has to change, as the target's is another or
 * as it was changed in reading.
 */
function isBound(slice: Slice, ns: string, targetNs: string): boolean {
  const { namesContentNs, wireNs, ns: sourceNs } = slice.source
  return namesContentNs && (targetNs !== ns || (wireNs !== sourceNs && ns === sourceNs))
}

/** Whether the start tag can be copied too. */
function isWhole(slice: Slice, element: Element, targetNs: string, contextNs: string): boolean {
  return (
    slice.attributes === element.flatAttributes &&
    !slice.headBound &&
    slice.needs === undefined &&
    (slice.declaresNs ? targetNs === element.ns : targetNs === contextNs)
  )
}

function declarations(prefixes: Prefixes): BinaryString {
  let written = ''
  for (const [prefix, uri] of prefixes) {
    written += ` xmlns:${encodeName(prefix)}='${encodeValue(uri)}'`
  }
  return written
}

function writeAttributes(flat: FlatAttributes, taken: Prefixes | undefined): BinaryString {
  let written = ''
  for (let index = 0; index < flat.length; index += 2) {
    let name = flat[index] ?? ''
    if (name.startsWith('{')) {
      const brace = name.lastIndexOf('}')
      let prefix = `a${index}`
      while (taken?.has(prefix) === true) prefix += '_'
      written += ` xmlns:${prefix}='${encodeValue(name.slice(1, brace))}'`
      name = `${prefix}:${name.slice(brace + 1)}`
    }
    written += ` ${encodeName(name)}='${encodeValue(flat[index + 1] ?? '')}'`
  }
  return written
}

/**
 * A stanza for many recipients, written once: each copy differs in `to` only, and in `id` if the
 * template is made so.
 */
export class StanzaTemplate {
  readonly #head: BinaryString
  readonly #tail: BinaryString
  readonly #withId: boolean

  constructor(stanza: Element, contextNs: string, holes: 'to' | 'to+id' = 'to') {
    this.#withId = holes === 'to+id'
    const changes = this.#withId ? { to: undefined, id: undefined } : { to: undefined }
    const written = writeBinary(stanza.withAttrs(changes), contextNs)
    const prefix = conventionalPrefix(stanza.ns)
    const name = prefix === undefined ? stanza.name : `${prefix}:${stanza.name}`
    const hole = 1 + encodeName(name).length
    this.#head = `${written.slice(0, hole)} to='`
    this.#tail = written.slice(hole)
  }

  /** The stanza for one recipient, as bytes that the caller owns. */
  for(to: string, id?: string): Buffer {
    let head = `${this.#head}${encodeValue(to)}'`
    if (this.#withId && id !== undefined) head += ` id='${encodeValue(id)}'`
    return Buffer.from(head + this.#tail, 'latin1')
  }
}
