import { isChatStateOnly } from '../../xmpp/payloads/chat-state.ts'
import type { Element } from '../../xmpp/xml/element.ts'
import type { Message } from '../../xmpp/stanza/stanza.ts'

const hintsNs = 'urn:xmpp:hints'
const flexibleNs = 'http://jabber.org/protocol/offline'

export type StoreEmptyBody = boolean | 'unless_chat_state'

/** `drop`: nobody misses it; `refuse`: the sender has to know that it did not arrive. */
export type Storability = 'store' | 'drop' | 'refuse'

/** Whether a message is kept for an account that is not there (XEP-0160 §3). */
export function storability(message: Message, emptyBody: StoreEmptyBody): Storability {
  const { element, type } = message
  if (type === 'error' || type === 'headline') return 'drop'
  if (type === 'groupchat') return 'refuse'
  // It was stored once, and came back.
  if (element.child('offline', flexibleNs) !== undefined) return 'refuse'
  // XEP-0334 §4.2, §4.4
  if (element.child('store', hintsNs) !== undefined) return 'store'
  if (element.elements().some(forbidsStoring)) return 'refuse'
  if (isChatStateOnly(element)) return emptyBody === true ? 'store' : 'drop'
  if (emptyBody === false && element.child('body') === undefined) return 'refuse'
  return 'store'
}

function forbidsStoring({ ns, name }: Element): boolean {
  return ns === hintsNs && (name === 'no-store' || name === 'no-storage')
}
