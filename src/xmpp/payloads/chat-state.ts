import { clientNs } from '../xml/namespaces.ts'
import type { Element } from '../xml/element.ts'

/** What says nothing by itself: it goes with something else. */
const accessoryNs: ReadonlySet<string> = new Set([
  'http://jabber.org/protocol/chatstates',
  'urn:xmpp:hints',
  'urn:xmpp:delay',
  'jabber:x:event',
  'urn:xmpp:sid:0',
])

/** Whether a message tells no more than that somebody is typing, or not (XEP-0085 §5.6); one that is empty counts, too. */
export function isChatStateOnly(message: Element): boolean {
  return message
    .elements()
    .every(({ ns, name }) => accessoryNs.has(ns) || (ns === clientNs && name === 'thread'))
}
