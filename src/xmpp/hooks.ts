import { defineDecision, defineFilter, defineHook } from '../core/hooks.ts'
import type { Element } from './xml/element.ts'
import type { BareJid, Jid } from './jid/jid.ts'
import type { Session } from './session.ts'
import type { StanzaErrorCondition } from './stanza/stanza-error.ts'
import type { Iq, Message, Presence, Stanza } from './stanza/stanza.ts'
import type { ClientStream } from './c2s/client-stream.ts'

/*
 * All of these run on the hooks of the virtual host that the session or account belongs to. In the order in which a stanza
 * meets them: stanzaSent, stanzaBlocked (out), then (in the recipient's host) stanzaBlocked (in), and either stanzaReceived
 * and stanzaQueued for each session, or messageUndeliverable; at the end stanzaRouted.
 */

/**
 * A client sent a stanza; `from` is stamped, nothing has happened to it yet. What is left of it goes on; `drop` ends it
 * without an answer.
 */
export const stanzaSent = defineFilter<Stanza, [session: Session]>('xmpp.stanza.sent')

/** A stanza is about to be handed to one session. `drop`: this session does not get it. */
export const stanzaReceived = defineFilter<Stanza, [session: Session]>('xmpp.stanza.received')

/** A stanza goes into the queue of a session's stream, or nowhere if `session.stream` is undefined: XEP-0198 keeps it. */
export const stanzaQueued = defineHook<[stanza: Stanza, session: Session]>('xmpp.stanza.queued')

/**
 * May this stanza pass between the account and the other side (`stanza.to` when it goes out, `stanza.from` when it comes
 * in)? `block` stops it, and the core answers as XEP-0191 §3.2 and XEP-0016 §2.14 say. Asked once for a stanza that
 * comes in, not for each session. Answer at once where that is possible: with a promise all handlers are asked again, in
 * order, while the stanzas for that account wait.
 */
export const stanzaBlocked = defineDecision<
  'block' | Promise<'block' | undefined>,
  [stanza: Stanza, account: BareJid, direction: 'in' | 'out', session: Session | undefined]
>('xmpp.stanza.blocked', 'block')

/**
 * A message for an account found no session that takes it (RFC 6121 §8.5.2.2). `stored`: somebody keeps it, the promise
 * resolves after the commit; `dropped`: it ends without an answer; a condition: it goes back with that error. Nobody
 * answers: `service-unavailable`. Not asked for accounts that do not exist.
 */
export const messageUndeliverable = defineDecision<
  'stored' | 'dropped' | StanzaErrorCondition,
  [message: Message, account: BareJid]
>('xmpp.message.undeliverable', 'internal-server-error')

/**
 * A message has come for an account of this host, whether somebody is there for it or not, and nobody has blocked it. Whoever
 * keeps an archive answers with the message as it is from now on, with the id that it has there. While nobody is there for
 * it the answer has to wait until it is durable; else `Session.commits` is enough. `failed`: it goes back to its sender.
 * Without a `sender` it comes from the server itself, perhaps for the second time.
 */
export const messageArchived = defineDecision<
  Message | 'failed' | Promise<Message | 'failed' | undefined>,
  [message: Message, account: BareJid, sender: Session | undefined]
>('xmpp.message.archived', 'failed')

/** A message for an account is about to go to these of its sessions (none left out yet by `stanzaReceived`). */
export const messageDelivered =
  defineHook<[message: Message, account: BareJid, sessions: readonly Session[]]>(
    'xmpp.message.delivered',
  )

/** What became of a stanza: for counters, receipts and acknowledgements. */
export type Outcome = 'delivered' | 'stored' | 'bounced' | 'dropped' | 'handed-on'

/** `handed-on`: to a service, a component or another server. Runs once for each stanza that was routed on this host. */
export const stanzaRouted = defineHook<[stanza: Stanza, outcome: Outcome]>('xmpp.stanza.routed')

/** A resource was bound; the client knows it, and nothing came from the session yet. */
export const sessionBound = defineHook<[session: Session]>('xmpp.session.bound')

/** A session ended, for whatever reason; its unavailable presence has been sent. After it nothing is delivered. */
export const sessionEnded = defineHook<[session: Session]>('xmpp.session.ended')

/**
 * The stream of a session is gone without its end having been agreed on. `keep`: the session lives on without stream
 * (XEP-0198), and whoever said so ends it later by `sessions.end(session)` or gives it a new stream.
 */
export const streamLost = defineDecision<'keep' | 'end', [session: Session]>(
  'xmpp.session.stream-lost',
  'end',
)

/** Another stream carries the session on (XEP-0198 §5): its client knows nothing of what was agreed on the one before. */
export const sessionResumed = defineHook<[session: Session]>('xmpp.session.resumed')

/** A session became available (RFC 6121 §4.2): comes before `presenceChanged` for the same presence. */
export const initialPresence =
  defineHook<[session: Session, presence: Presence]>('xmpp.presence.initial')

/** A session broadcasts presence, the first time or again; `session.available` is the new one. */
export const presenceChanged =
  defineHook<[session: Session, presence: Presence, before: Presence | undefined]>(
    'xmpp.presence.changed',
  )

/**
 * A session is no longer available: by its own presence, or because it ended. Whoever tells those subscribed takes them out of
 * `session.directed`, at once, as the core then tells those who are left there (RFC 6121 §4.6.3).
 */
export const presenceUnavailable = defineHook<[session: Session, presence: Presence]>(
  'xmpp.presence.unavailable',
)

/**
 * A client sends `subscribe`, `subscribed`, `unsubscribe` or `unsubscribed`; `to` is bare, and so is `from` (RFC 6121
 * §3.1.2). `handled`: somebody routes it, or not. Else it is routed as it is.
 */
export const subscriptionSent = defineDecision<'handled', [presence: Presence, session: Session]>(
  'xmpp.subscription.sent',
  'handled',
)

/** The same four came in for an account that exists. Else all of its available sessions get them. */
export const subscriptionReceived = defineDecision<
  'handled',
  [presence: Presence, account: BareJid]
>('xmpp.subscription.received', 'handled')

/** Somebody asks for the presence of an account that exists (RFC 6121 §4.3). Nobody answers: it is ignored. */
export const probeReceived = defineDecision<'handled', [presence: Presence, account: BareJid]>(
  'xmpp.presence.probed',
  'handled',
)

/** A response came for an account or host that no request of ours waits for (`router.request`). */
export const responseReceived = defineDecision<'handled', [iq: Iq]>('xmpp.iq.response', 'handled')

/** A message or presence came for the host itself, or any stanza for a resource of it (`example.org/announce`). */
export const hostAddressed = defineDecision<
  'handled',
  [stanza: Stanza, session: Session | undefined]
>('xmpp.host.addressed', 'handled')

/** What a stream offers, before and after authentication (`stream.phase`); each handler adds to the list. */
export const streamFeatures = defineFilter<readonly Element[], [stream: ClientStream]>(
  'xmpp.stream.features',
)

/**
 * An element that is no stanza and that the core does not know came on a client's stream, in any phase: `<enable/>`,
 * `<r/>`, `<active/>`; before authentication stanzas, too (`jabber:iq:register`). `handled` or a promise when it is
 * somebody's: nothing more is read until that settles. Else the stream ends, with `unsupported-stanza-type` or
 * `not-authorized`.
 */
export const elementReceived = defineDecision<
  'handled' | Promise<'handled'>,
  [stream: ClientStream, element: Element]
>('xmpp.stream.element', 'handled')

export interface DiscoIdentity {
  readonly category: string
  readonly type: string
  readonly name?: string
  readonly lang?: string
}

export interface DiscoInfo {
  readonly identities: readonly DiscoIdentity[]
  readonly features: readonly string[]
  /** Data forms (XEP-0128). */
  readonly forms: readonly Element[]
}

export interface DiscoItem {
  readonly jid: Jid
  readonly node?: string
  readonly name?: string
}

/** Who asks whom about which node ('' is none). */
export interface DiscoQuery {
  readonly to: Jid
  readonly from: Jid
  readonly node: string
}

/** `disco#info` of a host or account; starts from what the tables say. Undefined: there is no such node (yet). */
export const discoInfo = defineFilter<DiscoInfo | undefined, [query: DiscoQuery]>('xmpp.disco.info')

/** `disco#items` of a host or account, likewise. */
export const discoItems = defineFilter<readonly DiscoItem[] | undefined, [query: DiscoQuery]>(
  'xmpp.disco.items',
)
