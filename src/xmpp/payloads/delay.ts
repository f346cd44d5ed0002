import { parseJid } from '../jid/jid.ts'
import type { Jid } from '../jid/jid.ts'
import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'
import { formatDateTime, parseDateTime } from './date-time.ts'

export const delayNs = 'urn:xmpp:delay'

export interface Delay {
  /** When the stanza was first sent: milliseconds since 1970. */
  readonly stampMs: number
  /** Who held it back. */
  readonly from: Jid | undefined
  readonly reason: string
}

/** `<delay/>` (XEP-0203 §4). */
export function delayElement(from: Jid, stampMs: number, reason?: string): Element {
  return xml('delay', delayNs, { from, stamp: formatDateTime(stampMs) }, reason)
}

/** The delay that `from` put on a stanza, or the first one if it does not matter who did; undefined without one that is well-formed. */
export function delayOf(stanza: Element, from?: Jid): Delay | undefined {
  for (const element of stanza.childrenNamed('delay', delayNs)) {
    const stampMs = parseDateTime(element.attr('stamp') ?? '')
    if (stampMs === undefined) continue
    const parsed = parseJid(element.attr('from') ?? '')
    const by = parsed.ok ? parsed.value : undefined
    if (from === undefined || from === by) return { stampMs, from: by, reason: element.text() }
  }
  return undefined
}
