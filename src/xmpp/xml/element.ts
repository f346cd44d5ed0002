import { isNcName } from './characters.ts'
import type { BinaryString } from './binary.ts'
import type { Prefixes } from './namespace-scope.ts'

/** What an element holds: elements and character data. */
export type Node = Element | string

/** Attribute names are local names, `xml:lang` (or any `xml:…`), or `{namespace}name`. */
export type Attributes = Readonly<Record<string, string>>

/** For changes: an attribute whose value is undefined is left out. */
export type AttributeChanges = Readonly<Record<string, string | undefined>>

/** Names and values in turn: `['to', 'a@b', 'type', 'chat']`. Half the memory of an object. */
export type FlatAttributes = readonly string[]

/** The checked bytes of one stanza or document. */
export interface Source {
  readonly bytes: BinaryString
  /** The root element's namespace as the bytes have it. */
  readonly wireNs: string
  /** The root element's namespace as `Element.ns` has it; so are its heirs'. */
  readonly ns: string
  /** Some element below the root names a namespace of stanzas, instead of inheriting it. */
  readonly namesContentNs: boolean
  readTree(slice: Slice): readonly Node[]
}

/**
 * Where in its source an element was read from, so that what stayed the same is copied, not written
 * anew; and the tree of it, made when first asked for.
 */
export interface Slice {
  readonly source: Source
  readonly start: number
  readonly bodyStart: number
  readonly bodyEnd: number
  readonly end: number
  /** The default namespace in the body: not the element's own if its name has a prefix. */
  readonly bodyNs: string
  /** The start tag has an `xmlns` attribute. */
  readonly declaresNs: boolean
  /** The start tag does not mean the same elsewhere, even where the default namespace is the same. */
  readonly headBound: boolean
  /** Prefixes that the body uses and does not declare itself. */
  readonly needs: Prefixes | undefined
  /** `xml:lang` as it is in force around the element. */
  readonly lang: string | undefined
  readonly attributes: FlatAttributes
  /** The children, once somebody has asked for them. */
  tree: readonly Node[] | undefined
}

function treeOf(slice: Slice): readonly Node[] {
  slice.tree ??= slice.source.readTree(slice)
  return slice.tree
}

const noNodes: readonly Node[] = []

/**
 * An XML element that never changes: what looks like a change answers a new element that shares with
 * the old one all that stayed the same. One that came from a stream is a view of the stanza's bytes;
 * its children become a tree when first asked for.
 */
export class Element {
  /** Without prefix. */
  readonly name: string
  /** The namespace's URI, '' for none. */
  readonly ns: string
  /** For the writer. */
  readonly flatAttributes: FlatAttributes
  /** For the writer: where the body is, apart from `added`. */
  readonly slice: Slice | undefined
  /** For the writer: the children if there is no slice, else those that come after it. */
  readonly added: readonly Node[]
  #children: readonly Node[] | undefined
  #attrs: Attributes | undefined

  /** For this folder; others build elements with `xml`. */
  constructor(
    name: string,
    ns: string,
    flatAttributes: FlatAttributes,
    slice: Slice | undefined,
    added: readonly Node[] = noNodes,
  ) {
    this.name = name
    this.ns = ns
    this.flatAttributes = flatAttributes
    this.slice = slice
    this.added = added
    this.#children = undefined
    this.#attrs = undefined
  }

  is(name: string, ns: string): boolean {
    return this.name === name && this.ns === ns
  }

  attr(name: string): string | undefined {
    const flat = this.flatAttributes
    for (let index = 0; index < flat.length; index += 2) {
      if (flat[index] === name) return flat[index + 1]
    }
    return undefined
  }

  get attrs(): Attributes {
    if (this.#attrs !== undefined) return this.#attrs
    // Without a prototype, as the names are the peer's.
    const attrs: Record<string, string> = Object.create(null)
    const flat = this.flatAttributes
    for (let index = 0; index < flat.length; index += 2) {
      attrs[flat[index] ?? ''] = flat[index + 1] ?? ''
    }
    this.#attrs = attrs
    return attrs
  }

  /** The language of the element's text, its own or that of what it was read from. */
  get lang(): string | undefined {
    return this.attr('xml:lang') ?? this.slice?.lang
  }

  get children(): readonly Node[] {
    if (this.slice === undefined) return this.added
    if (this.added.length === 0) return treeOf(this.slice)
    this.#children ??= [...treeOf(this.slice), ...this.added]
    return this.#children
  }

  elements(): Element[] {
    return this.children.filter((node) => typeof node !== 'string')
  }

  /** The first such child; `ns` is this element's own unless given, '*' is any. */
  child(name: string, ns: string = this.ns): Element | undefined {
    for (const node of this.children) {
      if (typeof node !== 'string' && node.name === name && (ns === '*' || node.ns === ns)) {
        return node
      }
    }
    return undefined
  }

  childrenNamed(name: string, ns: string = this.ns): Element[] {
    return this.elements().filter((node) => node.name === name && (ns === '*' || node.ns === ns))
  }

  /** The character data directly inside, without that of child elements. */
  text(): string {
    const children = this.children
    const only = children[0]
    if (children.length === 1) return typeof only === 'string' ? only : ''
    return children.filter((node) => typeof node === 'string').join('')
  }

  childText(name: string, ns: string = this.ns): string | undefined {
    return this.child(name, ns)?.text()
  }

  /** The same element with some attributes set or (undefined) removed. */
  withAttrs(changes: AttributeChanges): Element {
    const flat: string[] = []
    const old = this.flatAttributes
    for (let index = 0; index < old.length; index += 2) {
      const name = old[index] ?? ''
      if (!Object.hasOwn(changes, name)) flat.push(name, old[index + 1] ?? '')
    }
    return new Element(this.name, this.ns, flattenInto(flat, changes), this.slice, this.added)
  }

  /** The same element with other children. */
  withChildren(...children: readonly (Node | undefined)[]): Element {
    return new Element(this.name, this.ns, this.flatAttributes, undefined, present(children))
  }

  append(...children: readonly (Node | undefined)[]): Element {
    const added = [...this.added, ...present(children)]
    return new Element(this.name, this.ns, this.flatAttributes, this.slice, added)
  }

  /** The same element without the child elements that `unwanted` picks; itself if that is none. */
  without(unwanted: (child: Element) => boolean): Element {
    const kept = this.children.filter((node) => typeof node === 'string' || !unwanted(node))
    if (kept.length === this.children.length) return this
    return new Element(this.name, this.ns, this.flatAttributes, undefined, kept)
  }
}

function present(nodes: readonly (Node | undefined)[]): readonly Node[] {
  return nodes.filter((node): node is Node => node !== undefined && node !== '')
}

const attributeName = /^(?:xml:|\{[^{}]+\})?([^:{}]+)$/
const simpleName = /^[A-Za-z_][-.\w]*$/

function flattenInto(flat: string[], attributes: AttributeChanges): FlatAttributes {
  for (const name in attributes) {
    const value = attributes[name]
    if (value === undefined) continue
    if (!simpleName.test(name) && !isNcName(attributeName.exec(name)?.[1] ?? '')) {
      throw new RangeError(`Not an attribute's name: ${JSON.stringify(name)}`)
    }
    if (name === 'xmlns') throw new RangeError('A namespace is no attribute')
    flat.push(name, value)
  }
  return flat
}

/**
 * Builds an element. Children and attributes that are undefined are left out, and so is the empty
 * text. Throws if a name is none that XML allows, as only our own mistake can cause that.
 */
export function xml(
  name: string,
  ns: string,
  attributes?: AttributeChanges,
  ...children: readonly (Node | undefined)[]
): Element {
  if (!simpleName.test(name) && !isNcName(name)) {
    throw new RangeError(`Not an element's name: ${JSON.stringify(name)}`)
  }
  const flat = attributes === undefined ? [] : flattenInto([], attributes)
  return new Element(name, ns, flat, undefined, present(children))
}
