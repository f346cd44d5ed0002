import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import type { HostName } from '../../xmpp/jid/jid.ts'
import { delayElement, delayOf } from '../../xmpp/payloads/delay.ts'
import { parseStanza } from '../../xmpp/stanza/stanza.ts'
import type { Message } from '../../xmpp/stanza/stanza.ts'
import { parseElement } from '../../xmpp/xml/parse-element.ts'
import { toXml } from '../../xmpp/xml/write.ts'

const expireNs = 'jabber:x:expire'

/** The message as ejabberd keeps it: with both addresses, and with the time at which it came (XEP-0160 §2, XEP-0203 §3). */
export function formatStored({ element }: Message, host: HostName, nowMs: number): string {
  const isStamped = delayOf(element, host) !== undefined
  return toXml(isStamped ? element : element.append(delayElement(host, nowMs, 'Offline Storage')))
}

export function parseStored(text: string): Result<Message, string> {
  const element = parseElement(text)
  if (!element.ok) return err(element.error.detail)
  const stanza = parseStanza(element.value)
  if (!stanza.ok) return err(stanza.error)
  return stanza.value.kind === 'message' ? ok(stanza.value) : err('not a message')
}

/** Whether the time that its sender gave it is over (XEP-0023 §2), counted from when it came. */
export function isExpired({ element }: Message, host: HostName, nowMs: number): boolean {
  const text = element.child('x', expireNs)?.attr('seconds')
  if (text === undefined || !/^\d{1,10}$/.test(text)) return false
  const stampMs = delayOf(element, host)?.stampMs ?? nowMs
  return stampMs + Number(text) * 1000 <= nowMs
}
