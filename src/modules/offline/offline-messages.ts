import { setImmediate } from 'node:timers/promises'
import type { LRUCache } from 'lru-cache'
import { subjectOf } from '../../core/access.ts'
import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Counter, Metrics } from '../../core/metrics.ts'
import type { Shapers } from '../../core/shaper.ts'
import type { ValuesOf } from '../../core/options.ts'
import { stanzaBlocked } from '../../xmpp/hooks.ts'
import type { BareJid, HostName } from '../../xmpp/jid/jid.ts'
import { localpart } from '../../xmpp/jid/jid.ts'
import type { Router } from '../../xmpp/router.ts'
import { nonNegativeSessions } from '../../xmpp/sessions.ts'
import type { Session } from '../../xmpp/session.ts'
import type { StanzaErrorCondition } from '../../xmpp/stanza/stanza-error.ts'
import type { Message } from '../../xmpp/stanza/stanza.ts'
import { createCache } from '../cache.ts'
import { KeyedQueue } from '../keyed-queue.ts'
import type { offlineOptions } from './offline-options.ts'
import type { SpoolRow, SpoolTable } from './spool-table.ts'
import { storability } from './storability.ts'
import type { HeldMessages } from './held-messages.ts'
import { formatStored, isExpired, parseStored } from './stored-message.ts'

/** Messages that are read, handed over and removed at a time. */
const batchSize = 50

/** However many an administrator allows ("infinity"). */
const maxMessages = 100_000

export interface OfflineParts {
  readonly host: HostName
  readonly table: SpoolTable
  readonly router: Router
  readonly held: HeldMessages
  readonly shapers: Shapers
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly options: ValuesOf<typeof offlineOptions>
}

/** Keeps messages for accounts that are not there, and hands them out when they are (RFC 6121 §8.5.2.2, XEP-0160). */
export class OfflineMessages {
  readonly #parts: OfflineParts
  /** Of one account one thing after the other: what is stored comes behind what is being handed out. */
  readonly #queue = new KeyedQueue<BareJid>()
  readonly #counts: LRUCache<string, number> | undefined
  readonly #stored: Counter
  readonly #delivered: Counter
  readonly #refused: Counter
  readonly #expired: Counter

  constructor(parts: OfflineParts) {
    this.#parts = parts
    this.#counts = createCache(parts.options, parts.clock)
    const counter = (name: string, help: string): Counter =>
      parts.metrics.counter(`linnet_offline_${name}_total`, help, { host: parts.host })
    this.#stored = counter('stored', 'Messages kept for accounts that were not there')
    this.#delivered = counter('delivered', 'Kept messages that were handed out')
    this.#refused = counter('refused', 'Messages that found too many kept already')
    this.#expired = counter('expired', 'Kept messages that were not wanted any more')
  }

  clearCache(): void {
    this.#counts?.clear()
  }

  /** For `messageUndeliverable`: resolves when the message is durable. */
  store(
    message: Message,
    account: BareJid,
  ): Promise<'stored' | 'dropped' | StanzaErrorCondition | undefined> {
    return this.#queue.run(account, async () => {
      const { host, table, clock, log, options } = this.#parts
      const decision = storability(message, options.store_empty_body)
      if (decision === 'drop') return 'dropped'
      if (decision === 'refuse') return undefined
      const local = localpart(account)
      const count = await this.#count(local)
      if (count >= this.#limit(account)) {
        this.#refused.add()
        // XEP-0160 §2, step 3
        return 'service-unavailable'
      }
      const text = formatStored(message, host, clock.now())
      const outcome = await table.add(local, text).settled
      if (!outcome.ok) {
        this.#counts?.delete(local)
        log.error({ err: outcome.error, account }, 'Message cannot be kept')
        return outcome.error.code === 'overloaded' ? 'resource-constraint' : 'internal-server-error'
      }
      this.#stored.add()
      this.#counts?.set(local, count + 1)
      this.#deliverToNewcomer(account)
      return 'stored'
    })
  }

  /** Hands out what was kept, in the order in which it came. */
  async deliver(session: Session): Promise<void> {
    const { held } = this.#parts
    const { account } = session
    if (this.#counts?.get(localpart(account)) === 0 && !this.#queue.isBusy(account)) return
    held.begin(session)
    try {
      await this.#deliver(session)
    } finally {
      held.end(session)
    }
  }

  #deliver(session: Session): Promise<void> {
    return this.#queue.run(session.account, async () => {
      const local = localpart(session.account)
      if (this.#counts?.get(local) === 0) return
      for (;;) {
        const rows = await this.#parts.table.read(local, batchSize)
        if (!(await this.#handOut(session, rows))) return
        if (rows.length < batchSize) {
          this.#counts?.set(local, 0)
          return
        }
      }
    })
  }

  count(account: BareJid): Promise<number> {
    return this.#queue.run(account, () => this.#count(localpart(account)))
  }

  /** For an account that is gone. */
  removeAll(account: BareJid): Promise<void> {
    return this.#queue.run(account, async () => {
      const local = localpart(account)
      this.#counts?.delete(local)
      const outcome = await this.#parts.table.removeAll(local).settled
      if (!outcome.ok) throw outcome.error
    })
  }

  /** False when the session ended meanwhile: what it may not have got stays. */
  async #handOut(session: Session, rows: readonly SpoolRow[]): Promise<boolean> {
    const { host, clock, log, router, table } = this.#parts
    const done: number[] = []
    const handed: number[] = []
    for (const { seq, xml } of rows) {
      const parsed = parseStored(xml)
      if (!parsed.ok) {
        log.error(
          { account: session.account, seq, reason: parsed.error },
          'Kept message cannot be read and is lost',
        )
        done.push(seq)
        continue
      }
      const message = parsed.value
      if (isExpired(message, host, clock.now())) {
        this.#expired.add()
        done.push(seq)
        continue
      }
      if (await this.#isBlocked(message, session)) {
        done.push(seq)
        continue
      }
      if ((session.priority ?? -1) < 0) break
      this.#parts.held.pass(session, message)
      handed.push(seq)
      // A slow client must not be taken for one that hangs.
      await session.drained()
    }
    // Written at the end of the turn. A crash between that and the removal makes the client get them twice; the other way round
    // they could be lost.
    await setImmediate()
    const isThere = router.sessions.isLive(session)
    const removed = isThere ? [...done, ...handed] : done
    if (removed.length > 0) {
      const outcome = await table.remove(localpart(session.account), removed).settled
      this.#counts?.delete(localpart(session.account))
      if (!outcome.ok) throw outcome.error
    }
    if (isThere) this.#delivered.add(handed.length)
    return isThere && removed.length === rows.length
  }

  /** Somebody may have come while the message was on its way into the database: too late for who handed out the others. */
  #deliverToNewcomer(account: BareJid): void {
    const { router, log } = this.#parts
    const [session] = nonNegativeSessions(router.sessions.forAccount(account))
    if (session === undefined) return
    this.deliver(session).catch((error: unknown) => {
      log.error({ err: error, account }, 'Kept messages cannot be handed out')
    })
  }

  /** The account may have blocked the sender since. */
  async #isBlocked(message: Message, session: Session): Promise<boolean> {
    const { hooks, account } = session
    if (hooks.isIdle(stanzaBlocked)) return false
    return (await hooks.decideLater(stanzaBlocked, message, account, 'in', session)) === 'block'
  }

  async #count(local: string): Promise<number> {
    const known = this.#counts?.get(local)
    if (known !== undefined) return known
    const count = await this.#parts.table.count(local)
    this.#counts?.set(local, count)
    return count
  }

  #limit(account: BareJid): number {
    const { shapers, options, host } = this.#parts
    const rule = options.access_max_user_messages
    return Math.min(shapers.limit(rule, subjectOf(account), host, Infinity), maxMessages)
  }
}
