import type { Message } from '../../xmpp/stanza/stanza.ts'
import type { Element } from '../../xmpp/xml/element.ts'

const hintsNs = 'urn:xmpp:hints'
const carbonsNs = 'urn:xmpp:carbons:2'

/** What has no body and belongs into a conversation all the same: encrypted messages, markers, receipts, reactions, retractions. */
const worthKeeping: ReadonlySet<string> = new Set([
  'eu.siacs.conversations.axolotl',
  'urn:xmpp:omemo:2',
  'urn:xmpp:openpgp:0',
  'jabber:x:encrypted',
  'urn:xmpp:chat-markers:0',
  'urn:xmpp:receipts',
  'urn:xmpp:reactions:0',
  'urn:xmpp:message-retract:1',
  'urn:xmpp:message-correct:0',
  'jabber:x:conference',
])

/** Whether a message belongs into an archive (XEP-0313 §5.1.1, XEP-0334 §4). */
export function isArchivable({ type, element }: Message): boolean {
  if (type === 'error' || type === 'headline' || type === 'groupchat') return false
  const children = element.elements()
  // A hint of the sender's; also what a server wraps for one client is no message of its own.
  if (children.some(forbids)) return false
  if (children.some(({ ns, name }) => ns === hintsNs && name === 'store')) return true
  const body = element.childText('body')
  return (body !== undefined && body !== '') || children.some(({ ns }) => worthKeeping.has(ns))
}

function forbids({ ns, name }: Element): boolean {
  if (ns === carbonsNs) return name === 'sent' || name === 'received'
  if (ns !== hintsNs) return ns.startsWith('urn:xmpp:mam:') && name === 'result'
  return name === 'no-store' || name === 'no-storage' || name === 'no-permanent-store'
}
