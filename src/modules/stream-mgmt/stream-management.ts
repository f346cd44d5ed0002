import { randomBytes } from 'node:crypto'
import type { LRUCache } from 'lru-cache'
import type { Clock, Timer } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { ValuesOf } from '../../core/options.ts'
import type { ServerControl } from '../../core/shared.ts'
import type { ClientStream } from '../../xmpp/c2s/client-stream.ts'
import { bareJid, localpart } from '../../xmpp/jid/jid.ts'
import type { BareJid, HostName } from '../../xmpp/jid/jid.ts'
import { delayElement, delayOf } from '../../xmpp/payloads/delay.ts'
import type { Router } from '../../xmpp/router.ts'
import type { Session } from '../../xmpp/session.ts'
import { SharedStanza } from '../../xmpp/stanza/stanza-bytes.ts'
import { withAddresses } from '../../xmpp/stanza/stanza.ts'
import type { Message, Stanza } from '../../xmpp/stanza/stanza.ts'
import { xml } from '../../xmpp/xml/element.ts'
import type { Element } from '../../xmpp/xml/element.ts'
import { formatStored, parseStored } from '../offline/stored-message.ts'
import { storability } from '../offline/storability.ts'
import { countOf, failedElement, wantsToResume } from './elements.ts'
import type { SmNs } from './elements.ts'
import type { KeptMessages } from './kept-messages.ts'
import type { streamMgmtOptions } from './options.ts'
import { Unacknowledged, countOnWire } from './unacknowledged.ts'
import type { Sent } from './unacknowledged.ts'

/** Messages that are read and routed again at a time. */
const batchSize = 100

/** What is remembered of a session that has ended (XEP-0198 §5, `h` of `<failed/>`). */
export interface EndedSession {
  readonly account: BareJid
  readonly h: number
}

export interface StreamManagementParts {
  readonly host: HostName
  readonly router: Router
  readonly kept: KeptMessages
  readonly ended: LRUCache<string, EndedSession>
  readonly control: ServerControl
  readonly clock: Clock
  readonly log: Log
  readonly options: () => ValuesOf<typeof streamMgmtOptions>
}

/** A session whose stanzas are counted. */
interface Managed {
  readonly ns: SmNs
  readonly unacknowledged: Unacknowledged
  /** What the client shows to come back; undefined if it cannot. */
  readonly token: string | undefined
  /** How long it may stay away, in milliseconds. */
  readonly timeoutMs: number
  /** Runs while the client has been asked and has not answered. */
  asked: Timer | undefined
  /** A question goes out at the end of this turn. */
  isAsking: boolean
  /** An answer to the client's question waits for a commit. */
  isOwing: boolean
  /** Runs while there is no stream. */
  waiting: Timer | undefined
}

/** Counts stanzas in both directions, and lets sessions outlive their streams (XEP-0198). */
export class StreamManagement {
  readonly #parts: StreamManagementParts
  readonly #managed = new Map<Session, Managed>()
  readonly #tokens = new Map<string, Session>()

  constructor(parts: StreamManagementParts) {
    this.#parts = parts
  }

  /** XEP-0198 §3 */
  enable(stream: ClientStream, ns: SmNs, element: Element): void {
    const { session } = stream
    if (session === undefined || this.#managed.has(session)) {
      stream.sendElement(failedElement(ns, 'unexpected-request'))
      return
    }
    const timeoutMs = wantsToResume(element) ? this.#timeout(countOf(element.attr('max'))) : 0
    // Whoever knows it can take the session over, after signing in to the same account.
    const token = timeoutMs > 0 ? randomBytes(18).toString('base64url') : undefined
    if (token !== undefined) this.#tokens.set(token, session)
    const unacknowledged = new Unacknowledged()
    const timers = { asked: undefined, isAsking: false, isOwing: false, waiting: undefined }
    this.#managed.set(session, { ns, unacknowledged, token, timeoutMs, ...timers })
    session.countHandled()
    const resumption =
      token === undefined
        ? {}
        : { id: token, resume: 'true', max: String(Math.floor(timeoutMs / 1000)) }
    stream.sendElement(xml('enabled', ns, resumption))
  }

  /** `<r/>`: what of the client's stanzas is done with (XEP-0198 §4). */
  answer(stream: ClientStream, ns: SmNs): void {
    const { session } = stream
    const managed = session && this.#managed.get(session)
    if (session === undefined || managed === undefined) {
      stream.sendElement(failedElement(ns, 'unexpected-request'))
      return
    }
    const open = session.handled?.settled()
    if (open === undefined || managed.isOwing) {
      this.#sendCount(session, managed)
      return
    }
    // A commit away: one answer that counts all is better than two. Who asks again gets what there is.
    managed.isOwing = true
    void open.then(() => {
      managed.isOwing = false
      this.#sendCount(session, managed)
    })
  }

  /** `<a/>`: what of ours the client has (XEP-0198 §4). */
  acknowledged(stream: ClientStream, ns: SmNs, element: Element): void {
    const { session } = stream
    const managed = session && this.#managed.get(session)
    if (session === undefined || managed === undefined) {
      stream.sendElement(failedElement(ns, 'unexpected-request'))
      return
    }
    const h = countOf(element.attr('h'))
    if (h === undefined) {
      stream.close('bad-format', 'Attribute "h" is not a count')
      return
    }
    managed.asked?.cancel()
    managed.asked = undefined
    if (!this.#release(stream, managed, h)) return
    if (managed.unacknowledged.length > 0) this.#askSoon(session, managed)
  }

  /** XEP-0198 §5. A promise while something that the client sent before is still under way. */
  resume(stream: ClientStream, ns: SmNs, element: Element): Promise<'handled'> | 'handled' {
    const session = this.#resumable(stream, ns, element)
    const open = session?.handled?.settled()
    if (open === undefined) {
      if (session !== undefined) this.#resume(stream, ns, element, session)
      return 'handled'
    }
    // What is under way may not be counted as lost: the client would send it again.
    return open.then(() => {
      const still = this.#resumable(stream, ns, element)
      if (still !== undefined) this.#resume(stream, ns, element, still)
      return 'handled'
    })
  }

  /** A stanza goes into a session's queue, or would if there were a stream. */
  queued(stanza: Stanza, session: Session): void {
    const managed = this.#managed.get(session)
    if (managed === undefined) return
    const { clock, options } = this.#parts
    const row = stanza.kind === 'message' ? this.#keep(stanza, session) : undefined
    managed.unacknowledged.add({ stanza, sentAt: clock.now(), row })
    if (managed.unacknowledged.length > options().max_ack_queue) {
      // Not here: whoever delivers goes through the account's sessions.
      queueMicrotask(() =>
        session.close('policy-violation', 'Too many stanzas are not acknowledged'),
      )
    } else this.#askSoon(session, managed)
  }

  /** A session has lost its stream: whether it waits for another. */
  lost(session: Session): 'keep' | undefined {
    const managed = this.#managed.get(session)
    if (managed?.token === undefined) return undefined
    managed.asked?.cancel()
    managed.asked = undefined
    managed.waiting = this.#parts.clock.after(managed.timeoutMs, () =>
      session.close('connection-timeout', 'Nobody resumed the session in time'),
    )
    this.#parts.log.info({ jid: session.jid }, 'Session waits for its client to come back')
    return 'keep'
  }

  ended(session: Session): void {
    const managed = this.#managed.get(session)
    if (managed === undefined) return
    this.#managed.delete(session)
    managed.asked?.cancel()
    managed.waiting?.cancel()
    if (managed.token !== undefined) {
      this.#tokens.delete(managed.token)
      this.#parts.ended.set(managed.token, { account: session.account, h: countFor(session) })
    }
    // What is kept goes to the spool at the next start; it cannot be asked now who else is there.
    if (this.#parts.control.state === 'stopping') return
    const mode = this.#parts.options().resend_on_timeout
    const others = this.#parts.router.sessions.forAccount(session.account).length
    const resends = mode === true || (mode === 'if_offline' && others === 0)
    for (const sent of managed.unacknowledged.takeAll()) this.#dispose(sent, session, resends)
  }

  /** Routes again what an earlier run of the server had handed to clients that never acknowledged it. */
  async restore(): Promise<void> {
    const { kept, log } = this.#parts
    const { last } = kept
    let after = 0
    let count = 0
    for (;;) {
      const rows = await kept.read(after, last, batchSize)
      const unreadable: number[] = []
      const routed: Promise<void>[] = []
      for (const { id, xml: text } of rows) {
        after = id
        const message = parseStored(text)
        if (message.ok) {
          count++
          routed.push(this.#routeAgain(message.value, id))
        } else {
          log.error({ id, reason: message.error }, 'Kept message cannot be read and is lost')
          unreadable.push(id)
        }
      }
      if (unreadable.length > 0) this.#forget(unreadable)
      await Promise.all(routed)
      if (rows.length < batchSize) break
    }
    if (count > 0) log.info({ count }, 'Routed messages again that nobody had acknowledged')
  }

  /** Ends the sessions that nobody would wait for any longer. */
  stop(): void {
    for (const [session, { asked, waiting }] of this.#managed) {
      asked?.cancel()
      waiting?.cancel()
      if (session.stream === undefined && this.#parts.control.state !== 'stopping') {
        session.close('reset')
      }
    }
    this.#managed.clear()
    this.#tokens.clear()
  }

  #timeout(wantedSeconds: number | undefined): number {
    const { resume_timeout: usual, max_resume_timeout: most = usual } = this.#parts.options()
    if (usual === 0) return 0
    return wantedSeconds === undefined || wantedSeconds === 0
      ? usual
      : Math.min(wantedSeconds * 1000, most)
  }

  /** The session that may be resumed, or undefined after the client was told why not. */
  #resumable(stream: ClientStream, ns: SmNs, element: Element): Session | undefined {
    if (stream.phase !== 'authenticated') {
      stream.sendElement(failedElement(ns, 'unexpected-request'))
      return undefined
    }
    const token = element.attr('previd') ?? ''
    const session = this.#tokens.get(token)
    // Another's session is answered as one that is not there.
    if (session !== undefined && session.account === stream.account) return session
    const past = this.#parts.ended.get(token)
    const h = past?.account === stream.account ? past?.h : undefined
    stream.sendElement(failedElement(ns, 'item-not-found', h))
    return undefined
  }

  #resume(stream: ClientStream, ns: SmNs, element: Element, session: Session): void {
    const managed = this.#managed.get(session)
    if (managed === undefined) return
    const h = countOf(element.attr('h'))
    if (h === undefined) {
      stream.sendElement(failedElement(ns, 'bad-request'))
      return
    }
    if (!this.#release(stream, managed, h)) return
    managed.waiting?.cancel()
    managed.waiting = undefined
    managed.asked?.cancel()
    managed.asked = undefined
    const previd = managed.token ?? ''
    stream.sendElement(xml('resumed', ns, { previd, h: String(countFor(session)) }))
    stream.adopt(session)
    const { log } = this.#parts
    const resent = managed.unacknowledged.all()
    for (const sent of resent) {
      const stanza = this.#delayed(sent)
      session.stream?.sendStanza(stanza.to, new SharedStanza(stanza.element))
    }
    log.info({ jid: session.jid, ip: stream.ip, resent: resent.length }, 'Session resumed')
    if (resent.length > 0) this.#askSoon(session, managed)
  }

  /** False when the client says that it has more than it was sent, which ends its stream (XEP-0198 §4). */
  #release(stream: ClientStream, managed: Managed, h: number): boolean {
    const { unacknowledged, ns } = managed
    const released = unacknowledged.acknowledge(h)
    if (released === undefined) {
      stream.close(
        'undefined-condition',
        'More was acknowledged than was sent',
        xml('handled-count-too-high', ns, {
          h: String(h),
          'send-count': String(countOnWire(unacknowledged.sent)),
        }),
      )
      return false
    }
    const rows = released.flatMap(({ row }) => (row === undefined ? [] : [row]))
    if (rows.length > 0) this.#forget(rows)
    return true
  }

  #sendCount(session: Session, managed: Managed): void {
    if (this.#managed.get(session) !== managed) return
    session.sendElement(xml('a', managed.ns, { h: String(countFor(session)) }))
  }

  /** Once in a turn, behind what goes out in it, and not while an answer is awaited. */
  #askSoon(session: Session, managed: Managed): void {
    if (managed.isAsking || managed.asked !== undefined) return
    managed.isAsking = true
    queueMicrotask(() => {
      managed.isAsking = false
      this.#ask(session, managed)
    })
  }

  #ask(session: Session, managed: Managed): void {
    const { stream } = session
    if (stream === undefined || managed.asked !== undefined) return
    stream.sendElement(xml('r', managed.ns))
    const { ack_timeout: timeoutMs } = this.#parts.options()
    if (!Number.isFinite(timeoutMs)) return
    managed.asked = this.#parts.clock.after(timeoutMs, () => {
      managed.asked = undefined
      session.stream?.abandon('connection-timeout', 'Acknowledgement took too long')
    })
  }

  /** Writes a message down that would be missed; the number of its row. */
  #keep(message: Message, session: Session): number | undefined {
    // What the account's own server says to one of its clients: copies, what was asked of the archive.
    if (message.from === session.account) return undefined
    if (storability(message, 'unless_chat_state') !== 'store') return undefined
    const { host, kept, clock, log } = this.#parts
    const text = formatStored(message, host, clock.now())
    const { id, ticket } = kept.add(localpart(session.account), text)
    session.commits(
      ticket.settled.then((outcome) => {
        if (outcome.ok) return
        log.error({ err: outcome.error, jid: session.jid }, 'Message is kept in memory only')
      }),
    )
    return id
  }

  #forget(rows: readonly number[]): void {
    void this.#parts.kept.remove(rows).settled.then((outcome) => {
      if (!outcome.ok) {
        this.#parts.log.error({ err: outcome.error }, 'Acknowledged messages may come again')
      }
    })
  }

  /** What becomes of a stanza whose session ended before its client acknowledged it. */
  #dispose(sent: Sent, { account }: Session, resends: boolean): void {
    const { router } = this.#parts
    const { stanza, row } = sent
    if (stanza.kind === 'message' && resends) {
      const again = this.#delayed(sent)
      if (again.kind === 'message')
        void this.#routeAgain(withAddresses(again, { to: account }), row)
      return
    }
    if (stanza.kind !== 'presence') {
      router.bounce(stanza, 'service-unavailable', { text: 'User session terminated' })
    }
    if (row !== undefined) this.#forget([row])
  }

  /** To the account, wherever it is now; its row goes when it has arrived or is kept elsewhere. */
  #routeAgain(message: Message, row: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    void this.#parts.router.dispatch(toAccount(message), undefined, undefined, () => {
      if (row !== undefined) this.#forget([row])
      resolve()
    })
    return promise
  }

  /** With the time at which it was first sent (XEP-0203). */
  #delayed({ stanza, sentAt }: Sent): Stanza {
    const { host } = this.#parts
    if (stanza.kind !== 'message' || delayOf(stanza.element, host) !== undefined) return stanza
    return { ...stanza, element: stanza.element.append(delayElement(host, sentAt, 'Resent')) }
  }
}

function countFor(session: Session): number {
  return countOnWire(session.handled?.handled ?? 0)
}

/** The resource that it was for may be gone. */
function toAccount(message: Message): Message {
  const to = bareJid(message.to)
  return message.to === to ? message : withAddresses(message, { to })
}
