import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { parseJid } from '../jid/jid.ts'
import type { Jid } from '../jid/jid.ts'
import { xml } from '../xml/element.ts'
import type { AttributeChanges, Element, Node } from '../xml/element.ts'
import { clientNs } from '../xml/namespaces.ts'

export type MessageType = 'normal' | 'chat' | 'groupchat' | 'headline' | 'error'

/** `available` is the absent type (RFC 6121 §4.7.1). */
export type PresenceType =
  | 'available'
  | 'unavailable'
  | 'subscribe'
  | 'subscribed'
  | 'unsubscribe'
  | 'unsubscribed'
  | 'probe'
  | 'error'

export type IqType = 'get' | 'set' | 'result' | 'error'

interface StanzaHead<Kind, Type> {
  readonly kind: Kind
  readonly type: Type
  readonly from: Jid
  /** A client that names nobody means its own account (RFC 6120 §10.3). */
  readonly to: Jid
  readonly id: string | undefined
  /** As it is sent, in the namespace `jabber:client` whatever stream it came from. */
  readonly element: Element
}

export type Message = StanzaHead<'message', MessageType>
export type Presence = StanzaHead<'presence', PresenceType>
export type Iq = StanzaHead<'iq', IqType>

/** What is routed. It never changes: what looks like a change answers a new one. */
export type Stanza = Message | Presence | Iq

export type StanzaProblem =
  | 'not-a-stanza'
  | 'bad-type' // no type that the kind has; for messages RFC 6121 §5.2.2 says "normal"
  | 'no-id' // of an iq (RFC 6120 §8.1.3)

const messageTypes: ReadonlySet<string> = new Set([
  'normal',
  'chat',
  'groupchat',
  'headline',
  'error',
] satisfies MessageType[])

const presenceTypes: ReadonlySet<string> = new Set([
  'unavailable',
  'subscribe',
  'subscribed',
  'unsubscribe',
  'unsubscribed',
  'probe',
  'error',
] satisfies PresenceType[])

const iqTypes: ReadonlySet<string> = new Set(['get', 'set', 'result', 'error'] satisfies IqType[])

/** Whether an element is a stanza, apart from its namespace. */
export function isStanzaName(name: string): name is Stanza['kind'] {
  return name === 'message' || name === 'presence' || name === 'iq'
}

/**
 * Makes a stanza of an element, with the addresses that the stream has made sure of: the element gets them as its
 * attributes if it has others.
 */
export function readStanza(element: Element, from: Jid, to: Jid): Result<Stanza, StanzaProblem> {
  const type = element.attr('type')
  const id = element.attr('id')
  // The casts below are backed by the tables of types.
  switch (element.name) {
    case 'message': {
      const known = type !== undefined && messageTypes.has(type) ? (type as MessageType) : 'normal'
      return ok({
        kind: 'message',
        type: known,
        from,
        to,
        id,
        element: addressed(element, from, to),
      })
    }
    case 'presence': {
      if (type !== undefined && !presenceTypes.has(type)) return err('bad-type')
      const known = (type ?? 'available') as PresenceType
      return ok({
        kind: 'presence',
        type: known,
        from,
        to,
        id,
        element: addressed(element, from, to),
      })
    }
    case 'iq': {
      if (type === undefined || !iqTypes.has(type)) return err('bad-type')
      if (id === undefined) return err('no-id')
      const known = type as IqType
      return ok({ kind: 'iq', type: known, from, to, id, element: addressed(element, from, to) })
    }
    default:
      return err('not-a-stanza')
  }
}

/** Reads a stanza whose attributes hold both addresses: from storage, from inside another stanza. */
export function parseStanza(
  element: Element,
): Result<Stanza, StanzaProblem | 'jid-malformed' | 'no-address'> {
  const fromText = element.attr('from')
  const toText = element.attr('to')
  if (fromText === undefined || toText === undefined) return err('no-address')
  const from = parseJid(fromText)
  const to = parseJid(toText)
  return from.ok && to.ok ? readStanza(element, from.value, to.value) : err('jid-malformed')
}

function addressed(element: Element, from: Jid, to: Jid): Element {
  return element.attr('from') === from && element.attr('to') === to
    ? element
    : element.withAttrs({ from, to })
}

/** The same stanza under other addresses; those left out stay. */
export function withAddresses<S extends Stanza>(
  stanza: S,
  { from = stanza.from, to = stanza.to }: { readonly from?: Jid; readonly to?: Jid },
): S {
  return { ...stanza, from, to, element: stanza.element.withAttrs({ from, to }) }
}

/** The same stanza with other content; the attributes that make up its head have to stay as they are. */
export function withElement<S extends Stanza>(stanza: S, element: Element): S {
  return { ...stanza, element }
}

export interface Addresses {
  readonly from: Jid
  readonly to: Jid
  readonly id?: string | undefined
}

export function createMessage(
  type: MessageType,
  { from, to, id }: Addresses,
  ...children: readonly (Node | undefined)[]
): Message {
  const attrs = { type: type === 'normal' ? undefined : type, from, to, id }
  return { kind: 'message', type, from, to, id, element: build('message', attrs, children) }
}

export function createPresence(
  type: PresenceType,
  { from, to, id }: Addresses,
  ...children: readonly (Node | undefined)[]
): Presence {
  const attrs = { type: type === 'available' ? undefined : type, from, to, id }
  return { kind: 'presence', type, from, to, id, element: build('presence', attrs, children) }
}

/** Without an id it gets a new one. */
export function createIq(
  type: IqType,
  { from, to, id = createId() }: Addresses,
  payload?: Element,
): Iq {
  const attrs = { type, from, to, id }
  return { kind: 'iq', type, from, to, id, element: build('iq', attrs, [payload]) }
}

function build(
  name: string,
  attrs: AttributeChanges,
  children: readonly (Node | undefined)[],
): Element {
  return xml(name, clientNs, attrs, ...children)
}

/** The element that a request is about, or that its result brings (RFC 6120 §8.2.3). */
export function payloadOf(iq: Iq): Element | undefined {
  for (const node of iq.element.children) {
    if (typeof node !== 'string' && node.name !== 'error') return node
  }
  return undefined
}

/** `get` or `set`: somebody waits for an answer. */
export function isRequest(iq: Iq): boolean {
  return iq.type === 'get' || iq.type === 'set'
}

const idAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const idLength = 15
let idPool = new Uint8Array(0)
let idPoolAt = 0

/** 90 random bits: ids of stanzas that we send must not be guessed by who would forge an answer. */
export function createId(): string {
  if (idPoolAt + idLength > idPool.length) {
    idPool = crypto.getRandomValues(new Uint8Array(idLength * 256))
    idPoolAt = 0
  }
  let id = ''
  for (let i = 0; i < idLength; i++) id += idAlphabet[(idPool[idPoolAt++] ?? 0) & 63]
  return id
}
