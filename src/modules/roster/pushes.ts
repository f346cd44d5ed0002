import type { BareJid } from '../../xmpp/jid/jid.ts'
import type { Sessions } from '../../xmpp/sessions.ts'
import { createIq } from '../../xmpp/stanza/stanza.ts'
import { xml } from '../../xmpp/xml/element.ts'
import type { Element } from '../../xmpp/xml/element.ts'
import { itemElement, removedElement, rosterNs } from './item.ts'
import type { RosterItem } from './item.ts'

/** What clients are told of a changed item. */
export function changeElement(after: RosterItem): Element {
  return after.isListed ? itemElement(after) : removedElement(after.jid)
}

/** Tells all interested resources (RFC 6121 §2.1.6); what they answer does not matter. */
export function pushItem(
  sessions: Sessions,
  account: BareJid,
  item: Element,
  version: string | undefined,
): void {
  const query = xml('query', rosterNs, { ver: version }, item)
  for (const session of sessions.forAccount(account)) {
    if (!session.rosterRequested) continue
    session.deliver(createIq('set', { from: account, to: session.jid }, query))
  }
}
