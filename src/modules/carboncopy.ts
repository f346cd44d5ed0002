import { defineModule } from '../core/module.ts'
import { messageDelivered, stanzaReceived, stanzaSent } from '../xmpp/hooks.ts'
import { bareJid } from '../xmpp/jid/jid.ts'
import { isChatStateOnly } from '../xmpp/payloads/chat-state.ts'
import { forwarded } from '../xmpp/payloads/forwarded.ts'
import { router } from '../xmpp/router.ts'
import { defineSessionState } from '../xmpp/session-state.ts'
import type { Session } from '../xmpp/session.ts'
import { errorReply, result } from '../xmpp/stanza/stanza-error.ts'
import { createMessage } from '../xmpp/stanza/stanza.ts'
import type { Message } from '../xmpp/stanza/stanza.ts'
import { xml } from '../xmpp/xml/element.ts'
import type { Element } from '../xmpp/xml/element.ts'

const ns = 'urn:xmpp:carbons:2'
const rulesNs = 'urn:xmpp:carbons:rules:0'
const hintsNs = 'urn:xmpp:hints'
const mucUserNs = 'http://jabber.org/protocol/muc#user'

/** Receipts and markers (XEP-0184, XEP-0333), and calls (XEP-0353): nothing to read, but every device has to know. */
const carriedNs: ReadonlySet<string> = new Set([
  'urn:xmpp:receipts',
  'urn:xmpp:chat-markers:0',
  'urn:xmpp:jingle-message:0',
])

const copies = defineSessionState('mod_carboncopy', () => ({ isWanted: false }))

/** Shows each client of an account what the others send and get. */
export const carboncopy = defineModule({
  name: 'mod_carboncopy',
  specs: ['XEP-0280 1.0.1', 'XEP-0297 1.0'],
  options: {},
  start(ctx) {
    const { sessions } = ctx.service(router)
    ctx.advertise(ns, { on: ['host', 'account'] })
    ctx.advertise(rulesNs, { on: ['host', 'account'] })
    for (const name of ['enable', 'disable'] as const) {
      ctx.handleIq(
        'set',
        ns,
        name,
        (iq, session) => {
          // XEP-0280 §5: for the session that asks, and nobody else's.
          if (session === undefined || bareJid(iq.to) !== session.account) {
            return errorReply(iq, 'not-allowed')
          }
          session.state(copies).isWanted = name === 'enable'
          return result(iq)
        },
        { on: ['host', 'account'] },
      )
    }
    // Behind those that change or drop what is sent.
    ctx.on(
      stanzaSent,
      (stanza, session) => {
        if (stanza.kind !== 'message' || bareJid(stanza.to) === session.account) return undefined
        const others = sessions.forAccount(session.account)
        if (others.length > 1 && isForAll(stanza, 'sent')) {
          copyTo(others, [session], stanza, 'sent')
        }
        return undefined
      },
      90,
    )
    ctx.on(messageDelivered, (message, account, recipients) => {
      const all = sessions.forAccount(account)
      if (all.length === recipients.length || !isForAll(message, 'received')) return
      copyTo(all, recipients, message, 'received')
    })
    // XEP-0280 §6.2: the mark is for servers.
    ctx.on(stanzaReceived, (stanza) => {
      if (stanza.kind !== 'message' || stanza.element.child('private', ns) === undefined) {
        return undefined
      }
      return { ...stanza, element: stanza.element.without(isPrivateMark) }
    })
  },
})

function isPrivateMark(child: Element): boolean {
  return child.name === 'private' && child.ns === ns
}

function copyTo(
  all: readonly Session[],
  except: readonly Session[],
  { type, element }: Message,
  direction: 'sent' | 'received',
): void {
  for (const session of all) {
    if (except.includes(session) || session.peekState(copies)?.isWanted !== true) continue
    const { account: from, jid: to } = session
    const wrapped = xml(direction, ns, {}, forwarded(element))
    // XEP-0280 §7, §8: from the account itself, which is what a client goes by.
    session.deliver(createMessage(type, { from, to }, wrapped))
  }
}

/** Which messages concern all clients of an account (XEP-0280 §6.1). */
function isForAll({ type, element }: Message, direction: 'sent' | 'received'): boolean {
  if (type === 'groupchat' || type === 'headline') return false
  if (element.child('private', ns) !== undefined) return false
  if (element.child('no-copy', hintsNs) !== undefined) return false
  // A copy is not copied again.
  if (element.child('sent', ns) ?? element.child('received', ns)) return false
  if (type === 'chat' || type === 'error') return !isOfRoom(element, direction)
  return isPlain(element) && !isOfRoom(element, direction)
}

/** Private messages of a room go to the client that is in it; invitations go to all. */
function isOfRoom(element: Element, direction: 'sent' | 'received'): boolean {
  const x = element.child('x', mucUserNs)
  if (x === undefined) return false
  return direction === 'sent' || x.child('invite') === undefined
}

/** A normal message that somebody reads, or that clients have to agree on. */
function isPlain(element: Element): boolean {
  if (element.child('body') !== undefined) return true
  if (element.child('x', mucUserNs)?.child('invite') !== undefined) return true
  const children = element.elements()
  if (children.some((child) => carriedNs.has(child.ns))) return true
  return children.length > 0 && isChatStateOnly(element)
}
