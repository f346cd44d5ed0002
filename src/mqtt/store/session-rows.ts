import type { HostStore, Query, Tables } from '../../core/store.ts'
import type { QoS } from '../packet/packet-type.ts'
import type { Session } from '../session.ts'
import type { Subscription } from '../subscription.ts'
import { encodeWill } from '../will.ts'

type SessionRow = Tables['linnet_mqtt_session']
type SubscriptionRow = Tables['linnet_mqtt_subscription']

export const subscriptionFlag = { noLocal: 1, retainAsPublished: 2 } as const
/** Where in the flags the QoS stands at which retained messages are still to be sent, plus one; 0 = none are. */
const awaitsRetainedShift = 2

export function awaitsRetainedOf(flags: number): QoS | undefined {
  const value = (flags >> awaitsRetainedShift) & 3
  return value === 1 ? 0 : value === 2 ? 1 : value === 3 ? 2 : undefined
}

/** Writes sessions and their subscriptions. What comes back is for `Journal.operation`. */
export class SessionRows {
  readonly #putSession: (row: SessionRow) => Query
  readonly #deleteSession: (key: { id: number }) => Query
  readonly #putSubscription: (row: SubscriptionRow) => Query
  readonly #deleteSubscription: (key: { session: number; number: number }) => Query
  readonly #deleteSubscriptions: (key: { session: number }) => Query

  constructor(store: HostStore) {
    const sessions = store.table('linnet_mqtt_session')
    const subscriptions = store.table('linnet_mqtt_subscription')
    this.#putSession = store.prepare<SessionRow, unknown>((value) =>
      sessions.upsert({
        key: { id: value('id') },
        set: {
          jid: value('jid'),
          expiry: value('expiry'),
          disconnected_at: value('disconnected_at'),
          will: value('will'),
          will_at: value('will_at'),
        },
      }),
    )
    this.#deleteSession = store.prepare<{ id: number }, unknown>((value) =>
      sessions.delete().where('id', '=', value('id')),
    )
    this.#putSubscription = store.prepare<SubscriptionRow, unknown>((value) =>
      subscriptions.upsert({
        key: { session: value('session'), number: value('number') },
        set: {
          filter: value('filter'),
          qos: value('qos'),
          flags: value('flags'),
          identifier: value('identifier'),
        },
      }),
    )
    this.#deleteSubscription = store.prepare<{ session: number; number: number }, unknown>(
      (value) =>
        subscriptions
          .delete()
          .where('session', '=', value('session'))
          .where('number', '=', value('number')),
    )
    this.#deleteSubscriptions = store.prepare<{ session: number }, unknown>((value) =>
      subscriptions.delete().where('session', '=', value('session')),
    )
  }

  put(session: Session): Query {
    const { will } = session
    return this.#putSession({
      id: session.id,
      jid: session.key,
      expiry: session.expirySeconds,
      disconnected_at: session.disconnectedAt ?? null,
      will: will === undefined ? null : encodeWill(will),
      will_at: session.willAt === Infinity ? null : session.willAt,
    })
  }

  /** The session with all its subscriptions. */
  remove(session: Session): readonly Query[] {
    return [
      this.#deleteSubscriptions({ session: session.id }),
      this.#deleteSession({ id: session.id }),
    ]
  }

  putSubscription({ session, number, filter, qos, ...options }: Subscription): Query {
    return this.#putSubscription({
      session: session.id,
      number,
      filter,
      qos,
      flags:
        (options.noLocal ? subscriptionFlag.noLocal : 0) |
        (options.retainAsPublished ? subscriptionFlag.retainAsPublished : 0) |
        ((options.awaitsRetained === undefined ? 0 : options.awaitsRetained + 1) <<
          awaitsRetainedShift),
      identifier: options.identifier,
    })
  }

  removeSubscription({ session, number }: Subscription): Query {
    return this.#deleteSubscription({ session: session.id, number })
  }
}
