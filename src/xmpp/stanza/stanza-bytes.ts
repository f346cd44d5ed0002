import type { Jid } from '../jid/jid.ts'
import { StanzaTemplate, writeElement } from '../xml/write.ts'
import type { Element } from '../xml/element.ts'

/** The bytes of one stanza for many streams: each form that it takes on the wire is written once. */
export interface StanzaBytes {
  /** For a stream whose default namespace is `contextNs`; nobody may change the bytes. */
  for(to: Jid, contextNs: string): Uint8Array
}

/** The same bytes for everybody, `to` included. */
export class SharedStanza implements StanzaBytes {
  readonly #element: Element
  #contextNs = ''
  #bytes: Uint8Array | undefined

  constructor(element: Element) {
    this.#element = element
  }

  for(_to: Jid, contextNs: string): Uint8Array {
    if (this.#bytes === undefined || this.#contextNs !== contextNs) {
      this.#bytes = writeElement(this.#element, contextNs)
      this.#contextNs = contextNs
    }
    return this.#bytes
  }
}

/** Bytes that differ from one recipient to the next in `to` only. */
export class BroadcastStanza implements StanzaBytes {
  readonly #element: Element
  #contextNs = ''
  #template: StanzaTemplate | undefined

  constructor(element: Element) {
    this.#element = element
  }

  for(to: Jid, contextNs: string): Uint8Array {
    if (this.#template === undefined || this.#contextNs !== contextNs) {
      this.#template = new StanzaTemplate(this.#element, contextNs)
      this.#contextNs = contextNs
    }
    return this.#template.for(to)
  }
}
