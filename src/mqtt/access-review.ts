import { anyAddress } from '../core/access.ts'
import type { Broker } from './broker.ts'
import type { Publisher } from './hooks.ts'
import { mqttUnsubscribe } from './hooks.ts'
import type { QoS } from './packet/packet-type.ts'
import { ReasonCode } from './packet/reason-code.ts'
import type { Session } from './session.ts'
import { Subscription } from './subscription.ts'
import { sharedFilterOf, sysLevel } from './topic.ts'

/** Subscriptions and clients looked at before others have their turn. */
const stepsAtOnce = 1000

/**
 * After a change of access rules: ends the connections that are not allowed any more, and the subscriptions, or lowers their
 * QoS. Nothing in MQTT tells a client that a subscription has ended; the log does.
 */
export class AccessReview {
  readonly #broker: Broker
  #work: Generator<void, void, undefined> | undefined
  #isScheduled = false

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Begins at once and goes on in later turns of the event loop; what was under way begins anew. */
  start(): void {
    if (!this.#mayEnd) {
      this.#work = undefined
      return
    }
    this.#work = this.#reviewAll()
    this.#continue()
  }

  stop(): void {
    this.#work = undefined
  }

  /** A client has come back to its session, perhaps from another address and after a restart with other rules. */
  resumed(session: Session): void {
    if (this.#mayEnd) for (const _ of this.#review(session)) continue
  }

  /** Whether there is anything that a change of rules could end. */
  get #mayEnd(): boolean {
    const { authorization, tree } = this.#broker
    return authorization.hasLastingRules || tree.hasLevel(sysLevel)
  }

  #continue(): void {
    const work = this.#work
    if (work === undefined) return
    for (let left = stepsAtOnce; left > 0; left--) {
      if (work.next().done === true) {
        this.#work = undefined
        return
      }
    }
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#continue()
    })
  }

  *#reviewAll(): Generator<void, void, undefined> {
    const { authorization, log, sessions } = this.#broker
    for (const session of sessions.byKey.values()) {
      const { connection } = session
      const client = connection?.isCounted === true ? connection.client : undefined
      if (client !== undefined && !authorization.mayConnect(client)) {
        log.info({ jid: client.jid, ip: client.ip }, 'Disconnected: "access" does not allow it')
        connection?.fail(ReasonCode.notAuthorized, 'The access rules were changed')
      }
      yield
      yield* this.#review(session)
    }
  }

  *#review(session: Session): Generator<void, void, undefined> {
    const broker = this.#broker
    const ended: string[] = []
    for (const subscription of session.subscriptions?.values() ?? []) {
      const allowed = this.#allowedQoS(subscription)
      if (allowed === undefined) {
        ended.push(subscription.filter)
        broker.sessions.unsubscribe(session, subscription.filter)
        broker.hooks.emit(mqttUnsubscribe, clientOf(session), subscription.filter)
      } else if (allowed < subscription.qos) {
        const { filter, number, noLocal, retainAsPublished, identifier } = subscription
        const lowered = { qos: allowed, noLocal, retainAsPublished, identifier }
        broker.sessions.subscribe(new Subscription(session, filter, lowered, number))
      }
      yield
    }
    if (ended.length === 0) return
    const some = ended.slice(0, 10)
    broker.log.info(
      { jid: session.key, filters: some, count: ended.length },
      'Subscriptions ended: "access_subscribe" does not allow them any more',
    )
  }

  /** Undefined when it is not allowed at all. */
  #allowedQoS({ session, filter }: Subscription): QoS | undefined {
    const { authorization } = this.#broker
    const selected = sharedFilterOf(filter)?.filter ?? filter
    let { qos } = authorization.subscribing(selected, clientOf(session))
    if (qos < 2 && session.connection?.client === undefined) {
      // Where it will come from is not known: then the rules are asked again.
      const anywhere = { jid: session.key, ip: anyAddress }
      qos = Math.max(qos, authorization.subscribing(selected, anywhere).qos)
    }
    return qos === 2 || qos === 1 || qos === 0 ? qos : undefined
  }
}

function clientOf(session: Session): Publisher {
  return session.connection?.client ?? { jid: session.key, ip: '' }
}
