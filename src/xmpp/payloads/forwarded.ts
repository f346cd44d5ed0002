import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'
import { clientNs } from '../xml/namespaces.ts'

export const forwardNs = 'urn:xmpp:forward:0'

/** A stanza inside another (XEP-0297 §3); `delay` says when it came. */
export function forwarded(stanza: Element, delay?: Element): Element {
  return xml('forwarded', forwardNs, {}, delay, stanza)
}

/** The message in a `<forwarded/>`. */
export function forwardedMessage(forward: Element | undefined): Element | undefined {
  return forward?.child('message', clientNs)
}
