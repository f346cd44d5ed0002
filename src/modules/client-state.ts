import type { Clock } from '../core/clock.ts'
import { drop } from '../core/hooks.ts'
import { defineModule } from '../core/module.ts'
import { flag } from '../core/options.ts'
import type { ValuesOf } from '../core/options.ts'
import {
  elementReceived,
  sessionEnded,
  sessionResumed,
  stanzaReceived,
  streamFeatures,
} from '../xmpp/hooks.ts'
import { localpart } from '../xmpp/jid/jid.ts'
import { isChatStateOnly } from '../xmpp/payloads/chat-state.ts'
import { delayElement, delayOf } from '../xmpp/payloads/delay.ts'
import { forwardNs, forwardedMessage } from '../xmpp/payloads/forwarded.ts'
import type { Session } from '../xmpp/session.ts'
import type { Message, Stanza } from '../xmpp/stanza/stanza.ts'
import { xml } from '../xmpp/xml/element.ts'
import type { Element } from '../xmpp/xml/element.ts'

const ns = 'urn:xmpp:csi:0'
const carbonsNs = 'urn:xmpp:carbons:2'
const eventNs = 'http://jabber.org/protocol/pubsub#event'

/** For one session: above it all of them go out. */
const maxHeld = 100

const options = {
  queue_presence: flag(true, 'Hold presence back from clients that say they are inactive.'),
  queue_chat_states: flag(true, 'Hold messages back that only tell of somebody typing.'),
  queue_pep: flag(true, 'Hold events of the personal kind back, but for the last of each.'),
} as const

const feature = xml('csi', ns)

/** Spares the radio of clients nobody looks at: what can wait is sent when something comes that cannot. */
export const clientState = defineModule({
  name: 'mod_client_state',
  specs: ['XEP-0352 1.0.0', 'XEP-0085 2.1'],
  options,
  start(ctx) {
    const states = new ClientStates(ctx.clock, () => ctx.options)
    const isUsed = (): boolean => Object.values(ctx.options).includes(true)
    ctx.on(streamFeatures, (list, stream) =>
      stream.phase === 'authenticated' && isUsed() ? [...list, feature] : undefined,
    )
    ctx.on(elementReceived, ({ session }, element) => {
      if (session === undefined || element.ns !== ns) return undefined
      if (element.name === 'active') states.activate(session)
      else if (element.name === 'inactive') states.deactivate(session)
      else return undefined
      return 'handled'
    })
    // Behind all that change or drop a stanza, before those that only hold it up.
    ctx.on(stanzaReceived, (stanza, session) => states.received(stanza, session), 90)
    // XEP-0352 §5: a client that comes back counts as active.
    ctx.on(sessionResumed, (session) => states.activate(session))
    ctx.on(sessionEnded, (session) => states.forget(session))
    ctx.onStop(() => states.stop())
  },
  // Every option is read when it is needed.
  reload: () => undefined,
})

interface Held {
  readonly stanza: Stanza
  readonly at: number
}

class ClientStates {
  readonly #clock: Clock
  readonly #options: () => ValuesOf<typeof options>
  /** What is held back from inactive sessions, by what a later one of its kind replaces. */
  readonly #inactive = new Map<Session, Map<string, Held>>()

  constructor(clock: Clock, values: () => ValuesOf<typeof options>) {
    this.#clock = clock
    this.#options = values
  }

  deactivate(session: Session): void {
    if (!this.#inactive.has(session)) this.#inactive.set(session, new Map())
  }

  activate(session: Session): void {
    this.#release(session)
    this.#inactive.delete(session)
  }

  forget(session: Session): void {
    this.#inactive.delete(session)
  }

  stop(): void {
    for (const session of [...this.#inactive.keys()]) this.activate(session)
  }

  received(stanza: Stanza, session: Session): typeof drop | undefined {
    const held = this.#inactive.get(session)
    if (held === undefined) return undefined
    const key = this.#keyOf(stanza)
    if (key === undefined) {
      this.#release(session)
      return undefined
    }
    // Behind what came in between.
    held.delete(key)
    held.set(key, { stanza, at: this.#clock.now() })
    if (held.size > maxHeld) this.#release(session)
    return drop
  }

  /** Undefined for what cannot wait. */
  #keyOf(stanza: Stanza): string | undefined {
    const { queue_presence, queue_chat_states, queue_pep } = this.#options()
    if (stanza.kind === 'presence') {
      const isState = stanza.type === 'available' || stanza.type === 'unavailable'
      return isState && queue_presence ? `presence ${stanza.from}` : undefined
    }
    if (stanza.kind === 'iq' || stanza.type === 'error') return undefined
    if (queue_pep) {
      const node = eventNode(stanza)
      if (node !== undefined) return `event ${stanza.from} ${node}`
    }
    return queue_chat_states && isTyping(stanza.element) ? `state ${stanza.from}` : undefined
  }

  #release(session: Session): void {
    const held = this.#inactive.get(session)
    if (held === undefined) return
    const all = [...held.values()]
    held.clear()
    for (const { stanza, at } of all) session.queue(delayed(stanza, session, at))
  }
}

/** The node whose event a message tells, if it is one of an account (XEP-0163 §4.3). */
function eventNode({ element, from }: Message): string | undefined {
  if (localpart(from) === '') return undefined
  const [item] = element.child('event', eventNs)?.elements() ?? []
  return item?.attr('node')
}

function isTyping(message: Element): boolean {
  if (message.elements().length === 0) return false
  const copy = message.child('received', carbonsNs) ?? message.child('sent', carbonsNs)
  const copied = forwardedMessage(copy?.child('forwarded', forwardNs))
  return isChatStateOnly(copied ?? message)
}

/** With the time at which it came (XEP-0203 §4). */
function delayed(stanza: Stanza, { host }: Session, at: number): Stanza {
  if (delayOf(stanza.element, host) !== undefined) return stanza
  const element = stanza.element.append(delayElement(host, at, 'Client was inactive'))
  return { ...stanza, element }
}
