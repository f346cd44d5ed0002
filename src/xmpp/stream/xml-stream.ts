import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Rate } from '../../core/options/shaper-types.ts'
import { TokenBucket } from '../../core/shaper.ts'
import type {
  CloseReason,
  TlsServerSettings,
  Transport,
  TransportHandler,
} from '../../core/transport.ts'
import type { Jid } from '../jid/jid.ts'
import type { StanzaBytes } from '../stanza/stanza-bytes.ts'
import type { Element } from '../xml/element.ts'
import type { XmlCondition } from '../xml/errors.ts'
import type { XmlLimits } from '../xml/limits.ts'
import type { StreamHandler, StreamHead } from '../xml/stream-parser.ts'
import { writeElement } from '../xml/write.ts'
import type { Framing, OutgoingHead, StreamReader } from './framing.ts'
import { streamError } from './stream-error.ts'
import type { StreamCondition } from './stream-error.ts'

/** How a stream came to its end. */
export type StreamEnd =
  | { readonly kind: 'closed-by-peer' }
  | { readonly kind: 'closed-by-us'; readonly condition: StreamCondition | undefined }
  | { readonly kind: 'lost'; readonly reason: CloseReason | 'overflow' }

/** Who negotiates and uses a stream. */
export interface StreamOwner {
  /** The peer opened its stream, the first time or after a restart. */
  headReceived(head: StreamHead): void
  elementReceived(element: Element): void
  /** What our head says when an error comes before it could be worked out (RFC 6120 §4.9.1.2). */
  headForError(): OutgoingHead
  /** Called once, at once: nothing more is received or sent. */
  ended(end: StreamEnd): void
}

/** What the streams of one listener or kind have in common. */
export interface StreamSettings {
  readonly clock: Clock
  readonly log: Log
  readonly framing: Framing
  /** On the wire; behind the stream every stanza is of `jabber:client`. */
  readonly contentNs: string
  /** Stanzas that may wait for a peer that does not read (`max_fsm_queue`). */
  readonly maxQueued: number
}

/**
 * What may wait when another stanza comes, however few that are. A single one may be larger: whoever may send it must not
 * be able to end the streams of those who get it.
 */
const maxQueuedBytes = 8 * 1024 * 1024

/** Why nothing is read at the moment. */
const stop = { hold: 1, shaper: 2, output: 4 } as const

/**
 * One XML stream in both directions over one transport, for either side of it and for any kind of peer: framing, restarts, errors,
 * order and limits. What the elements mean is the owner's business.
 */
export class XmlStream implements TransportHandler, StreamHandler {
  readonly transport: Transport
  readonly #settings: StreamSettings
  readonly #owner: StreamOwner
  readonly #reader: StreamReader
  #isOpen = false
  #isEnded = false
  /** Bits of `stop`. */
  #stops = 0
  /** Read, but not looked at, because reading has stopped: in the pieces in which it came. */
  #rest: Buffer[] = []
  #bucket: TokenBucket | undefined
  /** Stanzas since the transport had enough. */
  #queued = 0
  #drained: PromiseWithResolvers<void> | undefined

  /** Begins to read once `start` is called. */
  constructor(
    transport: Transport,
    owner: StreamOwner,
    settings: StreamSettings,
    limits: XmlLimits,
  ) {
    this.transport = transport
    this.#owner = owner
    this.#settings = settings
    this.#reader = settings.framing.createReader(this, limits)
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  start(): void {
    this.transport.attach(this)
  }

  set limits(limits: XmlLimits) {
    this.#reader.limits = limits
  }

  /** How fast may be read; undefined is without limit. */
  limitRate(rate: Rate | undefined): void {
    this.#bucket =
      rate === undefined ? undefined : new TokenBucket(rate, this.#settings.clock.monotonic())
  }

  sendHead(head: OutgoingHead): void {
    this.#isOpen = true
    const { framing, contentNs } = this.#settings
    this.#sent(this.transport.writeText(framing.head(contentNs, head)), 0)
  }

  sendElement(element: Element): void {
    if (this.#isEnded) return
    const { framing, contentNs } = this.#settings
    this.#write(writeElement(element, framing.elementNs(contentNs)))
  }

  sendStanza(to: Jid, bytes: StanzaBytes): void {
    if (this.#isEnded) return
    const { framing, contentNs } = this.#settings
    this.#write(bytes.for(to, framing.elementNs(contentNs)))
  }

  /** Undefined while the peer keeps up; else settles when it does again, or when the stream has ended. */
  drained(): Promise<void> | undefined {
    if (this.#isEnded || (this.#stops & stop.output) === 0) return undefined
    this.#drained ??= Promise.withResolvers()
    return this.#drained.promise
  }

  /** Reads nothing more until the promise settles, which must not reject for what a peer can cause. */
  hold(work: Promise<void>): void {
    this.#stop(stop.hold)
    work.then(
      () => this.#go(stop.hold),
      (error: unknown) => this.#failed(error),
    )
  }

  /** Both sides open their streams anew (RFC 6120 §4.3.3). */
  restart(): void {
    this.#isOpen = false
    this.#reader.reset()
  }

  /**
   * Goes over to TLS, as the server. Call it while the stream is held, after the callback that read the request has returned.
   * `premature`: the peer did not wait for our consent. What it sent in the clear must not be taken as if it had come
   * through TLS (RFC 6120 §5.4.3.1), so the stream has to end.
   */
  async startTls(consent: Element, settings: TlsServerSettings): Promise<'done' | 'premature'> {
    const rest = Buffer.concat(this.#rest)
    this.#rest = []
    if (!/^[ \t\r\n]*$/.test(rest.toString('latin1'))) return 'premature'
    this.sendElement(consent)
    await this.transport.startTls(settings)
    this.restart()
    return 'done'
  }

  /** Ends the stream in order, with an error if a condition is given, and the connection with it. */
  close(condition?: StreamCondition, text?: string, application?: Element): void {
    if (this.#isEnded) return
    // RFC 6120 §4.9.1.2: an error needs a stream to stand in.
    if (!this.#isOpen) this.sendHead(this.#owner.headForError())
    if (condition !== undefined) this.sendElement(streamError(condition, text, application))
    this.#end({ kind: 'closed-by-us', condition })
  }

  // From the transport.

  data(buffer: Buffer, start: number, end: number): void {
    if (this.#isEnded) return
    const bytes = buffer.subarray(start, end)
    if (this.#stops === 0) this.#feed(bytes)
    // Little: reading was paused, this was on its way already.
    else this.#rest.push(Buffer.from(bytes))
    const pauseMs = this.#bucket?.take(bytes.length, this.#settings.clock.monotonic()) ?? 0
    if (pauseMs === 0 || this.#isEnded) return
    this.#stop(stop.shaper)
    this.#settings.clock.after(pauseMs, () => this.#go(stop.shaper))
  }

  drain(): void {
    this.#queued = 0
    this.#go(stop.output)
    this.#settleDrained()
  }

  closed(reason: CloseReason): void {
    if (this.#isEnded) return
    this.#over({ kind: 'lost', reason })
  }

  // From the parser.

  streamOpen(head: StreamHead): void {
    this.#owner.headReceived(head)
  }

  stanza(element: Element): void {
    if (!this.#isEnded) this.#owner.elementReceived(element)
  }

  streamClose(): void {
    if (!this.#isEnded) this.#end({ kind: 'closed-by-peer' })
  }

  error(condition: XmlCondition, detail: string): void {
    this.close(condition, detail)
  }

  #feed(bytes: Uint8Array): void {
    try {
      const rest = this.#reader.push(bytes)
      if (rest !== undefined && !this.#isEnded) this.#rest.unshift(Buffer.from(rest))
    } catch (error) {
      this.#failed(error)
    }
  }

  #stop(why: number): void {
    if (this.#stops === 0) {
      this.#reader.pause()
      this.transport.pause()
    }
    this.#stops |= why
  }

  #go(why: number): void {
    if (this.#stops === 0 || this.#isEnded) return
    this.#stops &= ~why
    if (this.#stops !== 0) return
    this.#reader.resume()
    while (this.#stops === 0 && !this.#isEnded) {
      const rest = this.#rest.shift()
      if (rest === undefined) {
        this.transport.resume()
        return
      }
      this.#feed(rest)
    }
  }

  #write(bytes: Uint8Array): void {
    this.#sent(this.transport.write(bytes), bytes.length)
  }

  /** Who does not read its answers gets no more of them: its own requests wait, too. */
  #sent(hasRoom: boolean, length: number): void {
    if (hasRoom || this.#isEnded) return
    this.#stop(stop.output)
    this.#queued++
    const isFull = this.#queued > this.#settings.maxQueued
    if (!isFull && this.transport.bufferedBytes - length <= maxQueuedBytes) return
    this.#settings.log.warn(
      { ip: this.transport.peer.ip, queued: this.#queued, bytes: this.transport.bufferedBytes },
      'Closing a stream whose peer does not read',
    )
    this.#isEnded = true
    // A stream error would wait behind all that it does not read.
    this.transport.destroy()
    this.#over({ kind: 'lost', reason: 'overflow' })
  }

  #end(end: StreamEnd): void {
    if (!this.#isOpen) this.sendHead(this.#owner.headForError())
    this.transport.writeText(this.#settings.framing.foot)
    this.#isEnded = true
    this.transport.close()
    this.#over(end)
  }

  #over(end: StreamEnd): void {
    this.#isEnded = true
    this.#rest = []
    this.#settleDrained()
    this.#owner.ended(end)
  }

  #settleDrained(): void {
    this.#drained?.resolve()
    this.#drained = undefined
  }

  /** One bad peer, or one bug of ours that it met, ends one stream. */
  #failed(error: unknown): void {
    this.#settings.log.error({ err: error, ip: this.transport.peer.ip }, 'Stream failed')
    this.close('internal-server-error')
  }
}
