import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'
import { streamsNs } from '../xml/namespaces.ts'

export const tlsNs = 'urn:ietf:params:xml:ns:xmpp-tls'
export const saslNs = 'urn:ietf:params:xml:ns:xmpp-sasl'
export const bindNs = 'urn:ietf:params:xml:ns:xmpp-bind'
export const sessionNs = 'urn:ietf:params:xml:ns:xmpp-session'
const channelBindingNs = 'urn:xmpp:sasl-cb:0'

export function streamFeaturesElement(features: readonly Element[]): Element {
  return xml('features', streamsNs, {}, ...features)
}

/** RFC 6120 §5.4.1 */
export function startTlsFeature(isRequired: boolean): Element {
  return xml('starttls', tlsNs, {}, isRequired ? xml('required', tlsNs) : undefined)
}

/** RFC 6120 §6.4.1; with the kinds of channel binding beside it (XEP-0440 §2). */
export function saslFeatures(
  mechanisms: readonly string[],
  channelBindings: readonly string[],
): readonly Element[] {
  if (mechanisms.length === 0) return []
  const names = mechanisms.map((name) => xml('mechanism', saslNs, {}, name))
  const list = xml('mechanisms', saslNs, {}, ...names)
  if (channelBindings.length === 0) return [list]
  const types = channelBindings.map((type) => xml('channel-binding', channelBindingNs, { type }))
  return [list, xml('sasl-channel-binding', channelBindingNs, {}, ...types)]
}

/** RFC 6120 §7.4, and RFC 3921 §3 for old clients, who need not do it (draft-cridland-xmpp-session-01). */
export const bindFeatures: readonly Element[] = [
  xml('bind', bindNs),
  xml('session', sessionNs, {}, xml('optional', sessionNs)),
]
