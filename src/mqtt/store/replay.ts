import type { HostStore } from '../../core/store.ts'
import type { FullJid } from '../../xmpp/jid/jid.ts'
import { isFull, parseJid } from '../../xmpp/jid/jid.ts'
import { Delivery } from '../delivery.ts'
import type { Ledger } from '../ledger.ts'
import type { Message } from '../message.ts'
import type { QoS } from '../packet/packet-type.ts'
import { awaitRetained } from '../retained-delivery.ts'
import { Session } from '../session.ts'
import { Subscription } from '../subscription.ts'
import { parseTopicFilter } from '../topic.ts'
import { decodeWill } from '../will.ts'
import type { IdSource } from './ids.ts'
import { RecordReader } from './record-writer.ts'
import { readBody, readEnqueued, readReceivedReason, RecordType } from './records.ts'
import { awaitsRetainedOf, subscriptionFlag } from './session-rows.ts'

/**
 * For the control runs of the crash tests only: `incoming` forgets which messages of QoS 2 clients have sent already, `outgoing`
 * under which packet identifiers they were sent some.
 */
export const forgottenPacketIds = process.env['LINNET_TEST_FORGET_PACKET_IDS']

const pageRows = 32
const manyRows = 1000

/** What was there when the server went down. */
export interface RestoredState {
  readonly sessions: readonly Session[]
  /** Bytes of the journal. */
  readonly journalBytes: number
}

/** Reads sessions, subscriptions and the journal. Throws on what cannot be read: losing messages silently is worse. */
export async function restoreState(
  store: HostStore,
  ids: IdSource,
  ledger: Ledger,
): Promise<RestoredState> {
  const sessions = new Map<number, Session>()
  await readSessions(store, ledger, (session) => {
    ids.skip(session.id)
    sessions.set(session.id, session)
  })
  await readSubscriptions(store, sessions)
  const replay = new Replay(sessions, ids)
  let journalBytes = 0
  for (let last = 0; ;) {
    const rows = await store.read(
      store
        .table('linnet_mqtt_journal')
        .select()
        .selectAll()
        .where('id', '>', last)
        .orderBy('id')
        .limit(pageRows),
    )
    for (const { id, records } of rows) {
      ids.skip(id)
      journalBytes += records.length
      replay.apply(records)
      last = id
    }
    if (rows.length < pageRows) break
  }
  replay.finish()
  return { sessions: [...sessions.values()], journalBytes }
}

async function readSessions(
  store: HostStore,
  ledger: Ledger,
  each: (session: Session) => void,
): Promise<void> {
  for (let last = 0; ;) {
    const rows = await store.read(
      store
        .table('linnet_mqtt_session')
        .select()
        .selectAll()
        .where('id', '>', last)
        .orderBy('id')
        .limit(manyRows),
    )
    for (const row of rows) {
      last = row.id
      const session = new Session(parseKey(row.jid), row.id, ledger)
      session.expirySeconds = row.expiry
      session.disconnectedAt = row.disconnected_at ?? undefined
      session.will = row.will === null ? undefined : decodeWill(row.will)
      session.willAt = row.will_at ?? Infinity
      session.hasRow = true
      session.isStored = row.expiry > 0
      each(session)
    }
    if (rows.length < manyRows) return
  }
}

function parseKey(text: string): FullJid {
  const jid = parseJid(text)
  if (!jid.ok || !isFull(jid.value))
    throw new Error(`Stored MQTT session "${text}" has no valid JID`)
  return jid.value
}

async function readSubscriptions(
  store: HostStore,
  sessions: ReadonlyMap<number, Session>,
): Promise<void> {
  for (let last = { session: 0, number: 0 }; ;) {
    const { session, number } = last
    const rows = await store.read(
      store
        .table('linnet_mqtt_subscription')
        .select()
        .selectAll()
        .where((where) =>
          where.or([
            where('session', '>', session),
            where.and([where('session', '=', session), where('number', '>', number)]),
          ]),
        )
        .orderBy('session')
        .orderBy('number')
        .limit(manyRows),
    )
    for (const row of rows) {
      last = row
      const owner = sessions.get(row.session)
      const filter = parseTopicFilter(row.filter)
      if (owner === undefined || !filter.ok) continue
      const options = {
        qos: qosOf(row.qos),
        noLocal: (row.flags & subscriptionFlag.noLocal) !== 0,
        retainAsPublished: (row.flags & subscriptionFlag.retainAsPublished) !== 0,
        identifier: row.identifier,
      }
      owner.subscriptions ??= new Map()
      const subscription = new Subscription(owner, filter.value, options, row.number)
      owner.subscriptions.set(filter.value, subscription)
      subscription.awaitsRetained = awaitsRetainedOf(row.flags)
      if (subscription.awaitsRetained !== undefined) awaitRetained(subscription)
      owner.lastSubscription = Math.max(owner.lastSubscription, row.number)
    }
    if (rows.length < manyRows) return
  }
}

/** Works through the journal, oldest row first. Records about sessions or messages that are gone mean nothing. */
class Replay {
  readonly #sessions: ReadonlyMap<number, Session>
  readonly #ids: IdSource
  readonly #messages = new Map<number, Message>()
  readonly #deliveries = new Map<Session, Map<number, Delivery>>()

  constructor(sessions: ReadonlyMap<number, Session>, ids: IdSource) {
    this.#sessions = sessions
    this.#ids = ids
  }

  apply(records: Uint8Array): void {
    const reader = new RecordReader(records)
    while (!reader.isAtEnd) this.#applyOne(reader)
  }

  /** Puts into each session what is still on its way, in order. */
  finish(): void {
    for (const [session, deliveries] of this.#deliveries) {
      const inOrder = [...deliveries.values()].sort((a, b) => a.sequence - b.sequence)
      for (const delivery of inOrder) {
        if (forgottenPacketIds === 'outgoing' && delivery.message !== undefined) {
          delivery.packetId = 0
        }
        if (delivery.packetId === 0) session.queue.push(delivery)
        else {
          delivery.wasSent = true
          session.inflight.restore(delivery)
        }
      }
    }
  }

  #applyOne(reader: RecordReader): void {
    const type = reader.u8()
    if (type === RecordType.message) {
      const id = reader.number()
      const message = readBody(reader)
      message.journalId = id
      // The first of the new journal: its record is there.
      message.journalGeneration = 1
      this.#ids.skip(id)
      if (!this.#messages.has(id)) this.#messages.set(id, message)
      return
    }
    const session = this.#sessions.get(reader.number())
    switch (type) {
      case RecordType.enqueued: {
        const record = readEnqueued(reader)
        const { sequence, message: id, qos, retain, packetId, identifiers, shared } = record
        const message = this.#messages.get(id)
        if (session === undefined || (message === undefined && id !== 0)) return
        const delivery = new Delivery(message, qos, retain, identifiers, shared)
        delivery.sequence = sequence
        delivery.packetId = packetId
        session.lastSequence = Math.max(session.lastSequence, sequence)
        this.#of(session).set(sequence, delivery)
        return
      }
      case RecordType.sent: {
        const delivery = this.#find(session, reader.number())
        const packetId = reader.number()
        if (delivery !== undefined) delivery.packetId = packetId
        return
      }
      case RecordType.released: {
        const delivery = this.#find(session, reader.number())
        if (delivery !== undefined) delivery.message = undefined
        return
      }
      case RecordType.done: {
        const sequence = reader.number()
        if (session !== undefined) this.#of(session).delete(sequence)
        return
      }
      case RecordType.received: {
        const packetId = reader.number()
        const reason = readReceivedReason(reader)
        if (session === undefined || forgottenPacketIds === 'incoming') return
        ;(session.incoming ??= new Map()).set(packetId, reason)
        return
      }
      case RecordType.completed: {
        const packetId = reader.number()
        session?.incoming?.delete(packetId)
        return
      }
      default:
        throw new Error(
          `The MQTT journal has a record of type ${type}: written by a newer version?`,
        )
    }
  }

  #of(session: Session): Map<number, Delivery> {
    let deliveries = this.#deliveries.get(session)
    if (deliveries === undefined) {
      deliveries = new Map()
      this.#deliveries.set(session, deliveries)
    }
    return deliveries
  }

  #find(session: Session | undefined, sequence: number): Delivery | undefined {
    return session === undefined ? undefined : this.#deliveries.get(session)?.get(sequence)
  }
}

function qosOf(value: number): QoS {
  return value === 2 ? 2 : value === 1 ? 1 : 0
}
