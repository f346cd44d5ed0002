import type { XmlError } from './errors.ts'
import { clientNs, componentNs, isContentNs, serverNs, xmlNs, xmlnsNs } from './namespaces.ts'
import { decodeValue } from './text.ts'

/** Prefixes in force, and what they stand for; `xml` goes without saying. */
export type Prefixes = ReadonlyMap<string, string>

/** Where names and values of the tag at hand are in the bytes. */
export interface TagPositions {
  readonly attributeStart: readonly number[]
  readonly attributeEnd: readonly number[]
  readonly valueStart: readonly number[]
  readonly valueEnd: readonly number[]
}

interface Declaration {
  readonly prefix: string
  readonly uri: string
  readonly depth: number
}

const watched = [xmlNs, xmlnsNs, clientNs, serverNs, componentNs]
const watchedLengths = new Uint8Array(64)
for (const ns of watched) watchedLengths[ns.length] = 1

const reserved: XmlError = {
  condition: 'bad-namespace-prefix',
  detail: 'Declaration of a reserved prefix or namespace',
}
const unbound: XmlError = {
  condition: 'bad-namespace-prefix',
  detail: 'Prefix without a namespace',
}

function valueAt(bytes: Buffer, start: number, end: number): string {
  return decodeValue(bytes.toString('latin1', start, end), 0, end - start)
}

/**
 * Checks namespaces while an element is scanned (Namespaces in XML 1.0), and finds out what its body
 * needs from outside. Most tags have no prefix and come here only if they have an `xmlns` attribute.
 */
export class NamespaceScope {
  /** The root element's namespace. */
  rootNs = ''
  /** The default namespace in the root's body: not `rootNs` if the root's name has a prefix. */
  bodyNs = ''
  /** The root's start tag has an `xmlns` attribute. */
  rootDeclaresNs = false
  /** The root's start tag uses a prefix other than `xml`. */
  rootPrefixed = false
  /** Prefixes that the root's start tag declares. */
  rootPrefixes: Map<string, string> | undefined
  /** Prefixes that the root's body uses and does not declare itself. */
  needs: Map<string, string> | undefined
  /** Some element below the root names a namespace of stanzas, instead of inheriting it. */
  namesContentNs = false

  #outer: Prefixes | undefined
  readonly #declared: Declaration[] = []

  begin(outer: Prefixes | undefined, defaultNs: string): void {
    this.rootNs = defaultNs
    this.bodyNs = defaultNs
    this.rootDeclaresNs = false
    this.rootPrefixed = false
    this.rootPrefixes = undefined
    this.needs = undefined
    this.namesContentNs = false
    this.#outer = outer
    if (this.#declared.length > 0) this.#declared.length = 0
  }

  leave(depth: number): void {
    const declared = this.#declared
    while (declared.length > 0 && (declared.at(-1)?.depth ?? 0) >= depth) declared.pop()
  }

  /**
   * For a start tag without prefixes whose `xmlns` value is at `start`. `asIs` tells that the value
   * needs no decoding.
   */
  enterDefault(
    depth: number,
    bytes: Buffer,
    start: number,
    end: number,
    asIs: boolean,
  ): XmlError | undefined {
    if (depth > 0 && asIs) {
      // Seen by its length alone, nearly every namespace is nothing special.
      if (watchedLengths[end - start] !== 1) return undefined
      for (const ns of watched) {
        if (ns.length !== end - start) continue
        let at = 0
        while (at < ns.length && bytes[start + at] === ns.charCodeAt(at)) at++
        if (at === ns.length) return this.#declareDefault(depth, ns)
      }
      return undefined
    }
    return this.#declareDefault(depth, valueAt(bytes, start, end))
  }

  #declareDefault(depth: number, uri: string): XmlError | undefined {
    if (uri === xmlNs || uri === xmlnsNs) return reserved
    if (depth > 0) {
      if (isContentNs(uri)) this.namesContentNs = true
      return undefined
    }
    this.rootNs = uri
    this.bodyNs = uri
    this.rootDeclaresNs = true
    return undefined
  }

  /** For a start tag with prefixes, whose attributes are those from `first` up to `last`. */
  enter(
    depth: number,
    bytes: Buffer,
    name: string,
    tag: TagPositions,
    first: number,
    last: number,
  ): XmlError | undefined {
    const prefixed: string[] = []
    for (let index = first; index < last; index++) {
      const attribute = bytes.toString('utf8', tag.attributeStart[index], tag.attributeEnd[index])
      const isDefault = attribute === 'xmlns'
      if (isDefault || attribute.startsWith('xmlns:')) {
        const uri = valueAt(bytes, tag.valueStart[index] ?? 0, tag.valueEnd[index] ?? 0)
        const error = isDefault
          ? this.#declareDefault(depth, uri)
          : this.#declare(attribute.slice(6), uri, depth)
        if (error !== undefined) return error
      } else if (attribute.includes(':')) prefixed.push(attribute)
    }
    const colon = name.indexOf(':')
    if (depth === 0) this.rootPrefixed = colon >= 0 || prefixed.length > 0
    if (colon >= 0) {
      const uri = this.#resolve(name.slice(0, colon), depth)
      if (uri === undefined) return unbound
      if (depth === 0) this.rootNs = uri
      else if (isContentNs(uri)) this.namesContentNs = true
    }
    const expanded = new Set<string>()
    for (const attribute of prefixed) {
      const colon = attribute.indexOf(':')
      const uri = this.#resolve(attribute.slice(0, colon), depth)
      if (uri === undefined) return unbound
      // Namespaces in XML §6.3: two prefixes of one namespace do not make two attributes.
      expanded.add(`{${uri}}${attribute.slice(colon + 1)}`)
    }
    if (expanded.size === prefixed.length) return undefined
    return { condition: 'not-well-formed', detail: 'Attribute given twice' }
  }

  /** Namespaces in XML §3, "Reserved Prefixes and Namespace Names", and §5: no prefix without a URI. */
  #declare(prefix: string, uri: string, depth: number): XmlError | undefined {
    if ((prefix === 'xml') !== (uri === xmlNs)) return reserved
    if (prefix === 'xmlns' || uri === xmlnsNs || uri === '') return reserved
    this.#declared.push({ prefix, uri, depth })
    if (depth === 0) (this.rootPrefixes ??= new Map()).set(prefix, uri)
    return undefined
  }

  #resolve(prefix: string, depth: number): string | undefined {
    if (prefix === 'xml') return xmlNs
    const declaration = this.#declared.findLast((declared) => declared.prefix === prefix)
    const uri = declaration?.uri ?? this.#outer?.get(prefix)
    if (uri !== undefined && depth > 0 && (declaration?.depth ?? 0) === 0) {
      ;(this.needs ??= new Map()).set(prefix, uri)
    }
    return uri
  }
}
