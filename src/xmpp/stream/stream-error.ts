import { xml } from '../xml/element.ts'
import type { Element } from '../xml/element.ts'
import { streamsNs } from '../xml/namespaces.ts'

export const streamErrorsNs = 'urn:ietf:params:xml:ns:xmpp-streams'

/** RFC 6120 §4.9.3, with what is told when nothing better is known. */
export const streamErrors = {
  'bad-format': 'XML that cannot be processed',
  'bad-namespace-prefix': 'Namespace prefix is not supported',
  conflict: 'Replaced by new connection',
  'connection-timeout': 'Idle connection',
  'host-gone': 'The host is no longer served',
  'host-unknown': 'The host is not served here',
  'improper-addressing': 'Missing or invalid address',
  'internal-server-error': 'Internal error',
  'invalid-from': 'The address in "from" is not yours',
  'invalid-namespace': 'Invalid namespace',
  'invalid-xml': 'Invalid XML',
  'not-authorized': 'Authentication is needed first',
  'not-well-formed': 'XML is not well-formed',
  'policy-violation': 'Against the policy of this server',
  'remote-connection-failed': 'Cannot reach another server that is needed',
  reset: 'The stream has to be set up anew',
  'resource-constraint': 'Too much is in use',
  'restricted-xml': 'XML feature that is not allowed',
  'see-other-host': 'Go to another host',
  'system-shutdown': 'The server is shutting down',
  'undefined-condition': 'Error',
  'unsupported-encoding': 'Only UTF-8 is understood',
  'unsupported-feature': 'A mandatory feature is not supported',
  'unsupported-stanza-type': 'Element is not understood',
  'unsupported-version': 'Version of XMPP is not supported',
} as const

export type StreamCondition = keyof typeof streamErrors

/** `application`: a condition of some protocol's own (RFC 6120 §4.9.4). */
export function streamError(
  condition: StreamCondition,
  text?: string,
  application?: Element,
): Element {
  return xml(
    'error',
    streamsNs,
    {},
    xml(condition, streamErrorsNs),
    text === undefined ? undefined : xml('text', streamErrorsNs, { 'xml:lang': 'en' }, text),
    application,
  )
}
