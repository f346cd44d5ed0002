import type { Hooks } from '../core/hooks.ts'
import type { ClientSession } from '../core/sessions.ts'
import { bareJid, domainpart } from './jid/jid.ts'
import type { BareJid, FullJid, HostName, Jid } from './jid/jid.ts'
import { HandledStanzas } from './handled-stanzas.ts'
import { stanzaQueued, stanzaReceived } from './hooks.ts'
import type { SessionState } from './session-state.ts'
import { SharedStanza } from './stanza/stanza-bytes.ts'
import type { StanzaBytes } from './stanza/stanza-bytes.ts'
import type { Presence, Stanza } from './stanza/stanza.ts'
import type { StreamCondition } from './stream/stream-error.ts'
import { drop } from '../core/hooks.ts'
import type { Element } from './xml/element.ts'

/** What a session needs of the stream that carries it: TCP, WebSocket and BOSH are alike from here. */
export interface SessionStream {
  /** ejabberd's words: `c2s`, `c2s_tls`, `websocket`, `http_bind`, … */
  readonly connection: string
  readonly ip: string
  readonly port: number
  /** Queues a stanza's bytes; a client that does not read them is closed in the end. */
  sendStanza(to: Jid, bytes: StanzaBytes): void
  /** Queues an element that is no stanza (`<a/>` of XEP-0198, …). */
  sendElement(element: Element): void
  /** Undefined while the client keeps up; else settles when it does again, or when the stream has ended. */
  drained(): Promise<void> | undefined
  close(condition: StreamCondition, text?: string): void
  /** Gives the stream up: the session may outlive it, as when the connection breaks. */
  abandon(condition: StreamCondition, text?: string): void
}

/** What a session is without its stream; everything in it can be copied. */
export interface SessionParts {
  readonly jid: FullJid
  /** Milliseconds since 1970. */
  readonly connectedAt: number
  readonly hooks: Hooks
  /** Ends it where it stands in tables. */
  readonly life: { end(session: Session): void }
}

/** A resource that is bound (RFC 6120 §7). It may outlive its stream (XEP-0198), so the two are kept apart. */
export class Session implements ClientSession {
  readonly protocol = 'xmpp'
  readonly jid: FullJid
  readonly account: BareJid
  readonly host: HostName
  readonly connectedAt: number
  readonly hooks: Hooks
  /** The last presence for everybody; undefined until the first one and after `unavailable` (RFC 6121 §4.1). */
  available: Presence | undefined
  /** It asked for its roster, so it gets pushes (RFC 6121 §2.1.6). Kept by the roster's module. */
  rosterRequested = false
  /** Who got presence of their own, and has to hear of the end (RFC 6121 §4.6). */
  readonly directed = new Set<Jid>()
  /** When the client last sent anything: milliseconds of the clock that never jumps. */
  lastHeardMs = 0
  /** What came from the client; undefined while nobody counts (XEP-0198). */
  handled: HandledStanzas | undefined
  #committing: Promise<unknown> | undefined
  /** Nothing is delivered any more. */
  isEnded = false
  /** Undefined while no stream carries the session, and after its end. */
  stream: SessionStream | undefined
  readonly #life: SessionParts['life']
  #priority = 0
  #last: Pick<SessionStream, 'connection' | 'ip' | 'port'>
  #states: Map<SessionState<unknown>, unknown> | undefined

  constructor({ jid, connectedAt, hooks, life }: SessionParts, stream: SessionStream) {
    this.jid = jid
    this.account = bareJid(jid)
    this.host = domainpart(jid)
    this.connectedAt = connectedAt
    this.hooks = hooks
    this.#life = life
    this.stream = stream
    this.#last = pick(stream)
  }

  /** Settles when what was written for this session is durable; undefined when all of it is. */
  get committing(): Promise<unknown> | undefined {
    return this.#committing
  }

  /** Something is being written that has to survive a crash before whoever sent it hears that it has arrived. */
  commits(writing: Promise<unknown>): void {
    const before = this.#committing
    const all = before === undefined ? writing : Promise.all([before, writing])
    this.#committing = all
    void all.finally(() => {
      if (this.#committing === all) this.#committing = undefined
    })
  }

  /** Counts from now on what comes from the client. */
  countHandled(): HandledStanzas {
    this.handled ??= new HandledStanzas()
    return this.handled
  }

  /** Another stream carries the session from now on. */
  moveTo(stream: SessionStream): void {
    this.stream = stream
    this.#last = pick(stream)
  }

  get connection(): string {
    return this.#last.connection
  }

  get ip(): string {
    return this.#last.ip
  }

  get port(): number {
    return this.#last.port
  }

  /** Of the last presence; undefined when the session is not available. */
  get priority(): number | undefined {
    return this.available === undefined ? undefined : this.#priority
  }

  get presence(): { readonly show: string; readonly status: string } | undefined {
    const element = this.available?.element
    if (element === undefined) return undefined
    return {
      show: element.childText('show') ?? 'available',
      status: element.childText('status') ?? '',
    }
  }

  /** For the session's own presence handling; modules only look. */
  setAvailable(presence: Presence | undefined): void {
    this.available = presence
    this.#priority = presence === undefined ? 0 : priorityOf(presence)
  }

  /** What a module keeps with this session. */
  state<T>(slot: SessionState<T>): T {
    const found = this.peekState(slot)
    if (found !== undefined || this.#states?.has(slot) === true) return found as T // it was made by `create`
    const made = slot.create(this)
    this.setState(slot, made)
    return made
  }

  /** The same, but undefined when nothing was kept yet. */
  peekState<T>(slot: SessionState<T>): T | undefined {
    return this.#states?.get(slot) as T | undefined // the only writer, `setState`, takes T for this slot
  }

  setState<T>(slot: SessionState<T>, value: T): void {
    this.#states ??= new Map()
    this.#states.set(slot, value)
  }

  /**
   * Hands a stanza to the client, whatever its `to` says: past the hook `stanzaReceived`, then into the stream's queue. `bytes`
   * are those that all recipients of the stanza share.
   */
  deliver(stanza: Stanza, bytes?: StanzaBytes): void {
    if (this.isEnded) return
    const { hooks } = this
    let current = stanza
    if (!hooks.isIdle(stanzaReceived)) {
      const filtered = hooks.apply(stanzaReceived, stanza, this)
      if (filtered === drop) return
      current = filtered
    }
    this.queue(current, current === stanza ? bytes : undefined)
  }

  /** Past the filters: what was held back by one (XEP-0352), or is sent again (XEP-0198). */
  queue(stanza: Stanza, bytes: StanzaBytes = new SharedStanza(stanza.element)): void {
    if (!this.hooks.isIdle(stanzaQueued)) this.hooks.emit(stanzaQueued, stanza, this)
    this.stream?.sendStanza(stanza.to, bytes)
  }

  sendElement(element: Element): void {
    this.stream?.sendElement(element)
  }

  /** Whoever has much for a client waits for this in between: a client that is slow is not one that hangs. */
  drained(): Promise<void> | undefined {
    return this.stream?.drained()
  }

  /** Ends the stream with a stream error, and the session with it. */
  close(condition: StreamCondition, text?: string): void {
    if (this.stream === undefined) this.#life.end(this)
    else this.stream.close(condition, text)
  }

  kick(reason: string, cause: 'kicked' | 'account-removed' | 'replaced' | 'banned'): void {
    this.close(kickConditions[cause], reason)
  }
}

/** What is told of a session whose stream is gone, without keeping the stream. */
function pick({
  connection,
  ip,
  port,
}: SessionStream): Pick<SessionStream, 'connection' | 'ip' | 'port'> {
  return { connection, ip, port }
}

const kickConditions = {
  kicked: 'policy-violation',
  banned: 'policy-violation',
  'account-removed': 'not-authorized',
  replaced: 'conflict',
} as const satisfies Record<string, StreamCondition>

/** RFC 6121 §4.7.2.3: -128 to 127, absent means 0. */
function priorityOf(presence: Presence): number {
  const text = presence.element.childText('priority')?.trim()
  if (text === undefined || !/^[+-]?\d{1,3}$/.test(text)) return 0
  return Math.max(-128, Math.min(127, Number(text)))
}
