import { stanzaErrorsNs } from '../../xmpp/stanza/stanza-error.ts'
import { xml } from '../../xmpp/xml/element.ts'
import type { Element } from '../../xmpp/xml/element.ts'

/** Both versions are alike but for their name: older clients know the first only. */
export const smNamespaces = ['urn:xmpp:sm:3', 'urn:xmpp:sm:2'] as const

export type SmNs = (typeof smNamespaces)[number]

/** `<failed/>` (XEP-0198 §3, §5); `h` tells what of a session that is gone was handled. */
export function failedElement(
  ns: SmNs,
  condition: 'item-not-found' | 'unexpected-request' | 'bad-request',
  h?: number,
): Element {
  return xml(
    'failed',
    ns,
    { h: h === undefined ? undefined : String(h) },
    xml(condition, stanzaErrorsNs),
  )
}

/** The count in an `h`; undefined if it is none (xs:unsignedInt). */
export function countOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text.trim())) return undefined
  const count = Number(text)
  return count < 2 ** 32 ? count : undefined
}

/** Whether a client wants to be able to come back: `resume` is an xs:boolean. */
export function wantsToResume(enable: Element): boolean {
  const value = enable.attr('resume')
  return value === 'true' || value === '1'
}
