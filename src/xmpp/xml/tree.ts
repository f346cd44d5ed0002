import { fromBinary, internSlice, ownSlice } from './binary.ts'
import type { BinaryString } from './binary.ts'
import { Element } from './element.ts'
import type { FlatAttributes, Node, Slice, Source } from './element.ts'
import { xmlNs } from './namespaces.ts'
import type { ElementScanner } from './scanner.ts'
import type { Prefixes } from './namespace-scope.ts'
import { decodeCdata, decodeText, decodeValue } from './text.ts'

const noNodes: readonly Node[] = []
const noAttributes: FlatAttributes = []

const SPACE = 0x20
const BANG_MARK = 0x21
const QUOTE = 0x22
const APOSTROPHE = 0x27
const SLASH = 0x2f
const COLON = 0x3a
const EQUALS = 0x3d
const GREATER = 0x3e

/** The bytes of an element that `ElementScanner` has checked: the readers here check nothing. */
export class CheckedSource implements Source {
  readonly bytes: BinaryString
  readonly wireNs: string
  readonly ns: string
  readonly namesContentNs: boolean
  /** Prefixes declared around the root element or by its start tag. */
  readonly prefixes: Prefixes | undefined
  readonly textPlain: boolean
  readonly #namesPlain: boolean
  readonly #valuesPlain: boolean

  constructor(
    bytes: BinaryString,
    scanner: ElementScanner,
    ns: string,
    prefixes: Prefixes | undefined,
  ) {
    this.bytes = bytes
    this.wireNs = scanner.scope.rootNs
    this.ns = ns
    this.namesContentNs = scanner.scope.namesContentNs
    this.prefixes = prefixes
    this.textPlain = scanner.textPlain
    this.#namesPlain = scanner.namesPlain
    this.#valuesPlain = scanner.valuesPlain
  }

  /** Answers the same string object for the same name, which makes comparing cheap. */
  name(start: number, end: number): string {
    const name = internSlice(this.bytes, start, end)
    return this.#namesPlain ? name : fromBinary(name)
  }

  value(start: number, end: number): string {
    return this.#valuesPlain
      ? ownSlice(this.bytes, start, end)
      : decodeValue(this.bytes, start, end)
  }

  namespace(start: number, end: number): string {
    return this.#valuesPlain
      ? internSlice(this.bytes, start, end)
      : decodeValue(this.bytes, start, end)
  }

  readTree(slice: Slice): readonly Node[] {
    if (slice.bodyStart === slice.bodyEnd) return noNodes
    const lang = langOf(slice.attributes) ?? slice.lang
    return new TreeReader(this).read(slice.bodyStart, slice.bodyNs, lang)
  }
}

function langOf(flat: FlatAttributes): string | undefined {
  for (let index = 0; index < flat.length; index += 2) {
    if (flat[index] === 'xml:lang') return flat[index + 1]
  }
  return undefined
}

/** A prefix that some open element declares; the root's are at depth 0. */
interface Binding {
  readonly prefix: string
  readonly uri: string
  readonly depth: number
  readonly outer: Binding | undefined
}

/** Reads the whole tree below a root element. It recurses as deep as the limits let elements nest. */
class TreeReader {
  readonly #source: CheckedSource
  readonly #bytes: BinaryString
  #at = 0
  /** Depth of the element being read; the root's is 0. */
  #depth = 0
  #bindings: Binding | undefined
  /** What the open elements' bodies need from outside, by depth; rarely anything. */
  #needs: (Map<string, string> | undefined)[] | undefined

  constructor(source: CheckedSource) {
    this.#source = source
    this.#bytes = source.bytes
  }

  read(start: number, ns: string, lang: string | undefined): Node[] {
    this.#at = start
    return this.#content(ns, lang, true)
  }

  /** Reads up to the end tag. `heir`: the element around belongs to the root's namespace by descent. */
  #content(ns: string, lang: string | undefined, heir: boolean): Node[] {
    const bytes = this.#bytes
    const nodes: Node[] = []
    let text = ''
    for (;;) {
      const at = this.#at
      const markup = bytes.indexOf('<', at)
      if (markup > at) {
        const plain = this.#source.textPlain
        text += plain ? ownSlice(bytes, at, markup) : decodeText(bytes, at, markup)
      }
      const kind = bytes.charCodeAt(markup + 1)
      if (kind === BANG_MARK) {
        const start = markup + '<![CDATA['.length
        const end = bytes.indexOf(']]>', start)
        text += decodeCdata(bytes, start, end)
        this.#at = end + 3
        continue
      }
      if (text !== '') {
        nodes.push(text)
        text = ''
      }
      if (kind === SLASH) {
        this.#at = markup
        return nodes
      }
      nodes.push(this.#element(markup, ns, lang, heir))
    }
  }

  #element(start: number, outerNs: string, outerLang: string | undefined, heir: boolean): Element {
    const source = this.#source
    const bytes = this.#bytes
    const outerBindings = this.#bindings
    const depth = ++this.#depth
    let at = start + 1
    let code = bytes.charCodeAt(at)
    let colon = -1
    while (code > SPACE && code !== GREATER && code !== SLASH) {
      if (code === COLON) colon = at
      code = bytes.charCodeAt(++at)
    }
    const nameEnd = at
    let attributes: string[] | undefined
    let prefixed: string[] | undefined
    let bodyNs = outerNs
    let declaresNs = false
    let headBound = false
    let lang = outerLang
    for (;;) {
      while (code <= SPACE) code = bytes.charCodeAt(++at)
      if (code === GREATER || code === SLASH) break
      const nameStart = at
      let prefixEnd = -1
      while (code !== EQUALS && code > SPACE) {
        if (code === COLON) prefixEnd = at
        code = bytes.charCodeAt(++at)
      }
      const name = source.name(nameStart, at)
      while (code !== QUOTE && code !== APOSTROPHE) code = bytes.charCodeAt(++at)
      const valueStart = at + 1
      const valueEnd = bytes.indexOf(code === QUOTE ? '"' : "'", valueStart)
      at = valueEnd + 1
      code = bytes.charCodeAt(at)
      if (name === 'xmlns') {
        declaresNs = true
        bodyNs = source.namespace(valueStart, valueEnd)
      } else if (prefixEnd < 0 || name.startsWith('xml:')) {
        const value = source.value(valueStart, valueEnd)
        attributes ??= []
        attributes.push(name, value)
        if (prefixEnd >= 0 && name === 'xml:lang') lang = value
      } else if (name.startsWith('xmlns:')) {
        const uri = source.namespace(valueStart, valueEnd)
        this.#bindings = { prefix: name.slice(6), uri, depth, outer: this.#bindings }
      } else {
        prefixed ??= []
        prefixed.push(name, source.value(valueStart, valueEnd))
      }
    }
    if (prefixed !== undefined) {
      attributes ??= []
      for (let index = 0; index < prefixed.length; index += 2) {
        const [prefix = '', local = ''] = (prefixed[index] ?? '').split(':')
        attributes.push(`{${this.#resolve(prefix, depth)}}${local}`, prefixed[index + 1] ?? '')
      }
      headBound = true
    }
    let ns = bodyNs
    if (colon >= 0) {
      ns = this.#resolve(source.name(start + 1, colon), depth)
      headBound = true
    }
    // Who descends from the root and names its namespace anew goes by the same name as the root.
    let inherits = heir && ns === source.ns
    if (heir && (declaresNs || colon >= 0) && ns === source.wireNs) {
      inherits = true
      headBound ||= ns !== source.ns
      ns = source.ns
      if (colon < 0) bodyNs = ns
    }
    const name = colon < 0 ? source.name(start + 1, nameEnd) : source.name(colon + 1, nameEnd)
    let end = at + 2
    let bodyStart = end
    let bodyEnd = end
    let tree = noNodes
    if (code === GREATER) {
      bodyStart = at + 1
      this.#at = bodyStart
      if (this.#needs !== undefined) this.#needs[depth] = undefined
      tree = this.#content(bodyNs, lang, inherits)
      bodyEnd = this.#at
      end = bytes.indexOf('>', bodyEnd) + 1
    }
    this.#at = end
    this.#bindings = outerBindings
    this.#depth = depth - 1
    const flat = attributes ?? noAttributes
    const slice: Slice = {
      source,
      start,
      bodyStart,
      bodyEnd,
      end,
      bodyNs,
      declaresNs,
      headBound,
      needs: bodyStart === end ? undefined : this.#needs?.[depth],
      lang: outerLang,
      attributes: flat,
      tree,
    }
    return new Element(name, ns, flat, slice)
  }

  #resolve(prefix: string, depth: number): string {
    if (prefix === 'xml') return xmlNs
    let binding = this.#bindings
    while (binding !== undefined && binding.prefix !== prefix) binding = binding.outer
    const uri = binding?.uri ?? this.#source.prefixes?.get(prefix) ?? ''
    // All that are open inside the declaring element, and that element's own body, need the prefix.
    // What the root needs was found out by the scanner.
    this.#needs ??= []
    for (let open = Math.max(binding?.depth ?? 0, 1); open < depth; open++) {
      ;(this.#needs[open] ??= new Map()).set(prefix, uri)
    }
    return uri
  }
}
