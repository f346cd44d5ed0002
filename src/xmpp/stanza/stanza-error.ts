import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'
import { createIq, isRequest } from './stanza.ts'
import type { Iq, Stanza } from './stanza.ts'

export const stanzaErrorsNs = 'urn:ietf:params:xml:ns:xmpp-stanzas'

export type StanzaErrorType = 'auth' | 'cancel' | 'continue' | 'modify' | 'wait'

/** The conditions with the type that RFC 6120 §8.3.3 says, and the number that old clients know (XEP-0086). */
export const stanzaErrors = {
  'bad-request': { type: 'modify', code: 400 },
  conflict: { type: 'cancel', code: 409 },
  'feature-not-implemented': { type: 'cancel', code: 501 },
  forbidden: { type: 'auth', code: 403 },
  gone: { type: 'cancel', code: 302 },
  'internal-server-error': { type: 'cancel', code: 500 },
  'item-not-found': { type: 'cancel', code: 404 },
  'jid-malformed': { type: 'modify', code: 400 },
  'not-acceptable': { type: 'modify', code: 406 },
  'not-allowed': { type: 'cancel', code: 405 },
  'not-authorized': { type: 'auth', code: 401 },
  'policy-violation': { type: 'modify', code: 405 },
  'recipient-unavailable': { type: 'wait', code: 404 },
  redirect: { type: 'modify', code: 302 },
  'registration-required': { type: 'auth', code: 407 },
  'remote-server-not-found': { type: 'cancel', code: 404 },
  'remote-server-timeout': { type: 'wait', code: 504 },
  'resource-constraint': { type: 'wait', code: 500 },
  'service-unavailable': { type: 'cancel', code: 503 },
  'subscription-required': { type: 'auth', code: 407 },
  'undefined-condition': { type: 'cancel', code: 500 },
  'unexpected-request': { type: 'wait', code: 400 },
} as const satisfies Record<string, { readonly type: StanzaErrorType; readonly code: number }>

export type StanzaErrorCondition = keyof typeof stanzaErrors

export interface StanzaErrorDetails {
  /** Where it is not the one that the RFC gives with the condition. */
  readonly type?: StanzaErrorType
  readonly text?: string
  /** Of the text; `en` unless given. */
  readonly lang?: string
  /** The condition of an extension (RFC 6120 §8.3.2). */
  readonly application?: Element
}

/** The `<error/>` itself, in the namespace of stanzas. */
export function errorElement(
  ns: string,
  condition: StanzaErrorCondition,
  { type, text, lang = 'en', application }: StanzaErrorDetails = {},
): Element {
  const { type: usualType, code } = stanzaErrors[condition]
  return xml(
    'error',
    ns,
    { type: type ?? usualType, code: String(code) },
    xml(condition, stanzaErrorsNs),
    text === undefined ? undefined : xml('text', stanzaErrorsNs, { 'xml:lang': lang }, text),
    application,
  )
}

/**
 * The error that answers a stanza: back to its sender, with what it held (RFC 6120 §8.3.1). Nobody may answer errors and
 * results with it: ask `mayBounce` first unless the stanza is known to be a request.
 */
export function errorReply<S extends Stanza>(
  stanza: S,
  condition: StanzaErrorCondition,
  details?: StanzaErrorDetails,
): S {
  const { from, to, element } = stanza
  const reply = element
    .without((child) => child.name === 'error' && child.ns === element.ns)
    .withAttrs({ from: to, to: from, type: 'error' })
    .append(errorElement(element.ns, condition, details))
  return { ...stanza, type: 'error', from: to, to: from, element: reply }
}

/** RFC 6120 §8.3.1: an error never answers an error; nor does it answer a result (§8.2.3). */
export function mayBounce(stanza: Stanza): boolean {
  return stanza.kind === 'iq' ? isRequest(stanza) : stanza.type !== 'error'
}

/** The result that answers a request. */
export function result(iq: Iq, payload?: Element): Iq {
  return createIq('result', { from: iq.to, to: iq.from, id: iq.id }, payload)
}

export interface ReceivedError {
  readonly condition: StanzaErrorCondition
  readonly type: string
  readonly text: string | undefined
}

/** What an error stanza says; `undefined-condition` for what the RFC does not know. */
export function readError(stanza: Stanza): ReceivedError {
  const error = stanza.element.child('error')
  const named = error
    ?.elements()
    .find((child) => child.ns === stanzaErrorsNs && child.name !== 'text')?.name
  const condition: StanzaErrorCondition =
    named !== undefined && isCondition(named) ? named : 'undefined-condition'
  return {
    condition,
    type: error?.attr('type') ?? stanzaErrors[condition].type,
    text: error?.childText('text', stanzaErrorsNs),
  }
}

function isCondition(name: string): name is StanzaErrorCondition {
  return Object.hasOwn(stanzaErrors, name)
}
