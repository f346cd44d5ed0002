import type { Clock, Timer } from '../core/clock.ts'
import { defineModule } from '../core/module.ts'
import { choice, duration, flag } from '../core/options.ts'
import type { ValuesOf } from '../core/options.ts'
import { sessionBound, sessionEnded } from '../xmpp/hooks.ts'
import type { HostName } from '../xmpp/jid/jid.ts'
import { router } from '../xmpp/router.ts'
import type { Router } from '../xmpp/router.ts'
import type { Session } from '../xmpp/session.ts'
import { result } from '../xmpp/stanza/stanza-error.ts'
import { createIq } from '../xmpp/stanza/stanza.ts'
import { xml } from '../xmpp/xml/element.ts'

const ns = 'urn:xmpp:ping'

const options = {
  send_pings: flag(false, 'Ping clients that have been silent.'),
  ping_interval: duration('1 minute', 'How long a client may be silent before it is pinged.'),
  ping_ack_timeout: duration('32 seconds', 'How long a client may take to answer.'),
  timeout_action: choice(
    ['none', 'kill'],
    'none',
    'What happens to a client that does not answer.',
  ),
} as const

/** Answers pings, and pings silent clients so that dead connections are noticed. */
export const ping = defineModule({
  name: 'mod_ping',
  specs: ['XEP-0199 2.0.1'],
  options,
  start(ctx) {
    const on = ['host', 'account'] as const
    ctx.advertise(ns, { on })
    ctx.handleIq('get', ns, 'ping', (iq) => result(iq), { on })
    if (!ctx.options.send_pings) return
    const pinger = new Pinger(ctx.host, ctx.options, ctx.service(router), ctx.clock)
    ctx.on(sessionBound, (session) => pinger.watch(session))
    ctx.on(sessionEnded, (session) => pinger.forget(session))
    ctx.onStop(() => pinger.stop())
    for (const session of pinger.router.sessions.onHost(ctx.host)) pinger.watch(session)
  },
})

class Pinger {
  readonly router: Router
  readonly #host: HostName
  readonly #options: ValuesOf<typeof options>
  readonly #clock: Clock
  /** One for each session, also while an answer is waited for. */
  readonly #timers = new Map<Session, Timer>()

  constructor(host: HostName, values: ValuesOf<typeof options>, routes: Router, clock: Clock) {
    this.#host = host
    this.#options = values
    this.router = routes
    this.#clock = clock
  }

  watch(session: Session): void {
    this.#wait(session, this.#options.ping_interval)
  }

  forget(session: Session): void {
    this.#timers.get(session)?.cancel()
    this.#timers.delete(session)
  }

  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  #wait(session: Session, ms: number): void {
    this.#timers.set(
      session,
      this.#clock.after(ms, () => void this.#due(session)),
    )
  }

  /** Looks how long the client has been silent, instead of starting a timer anew with each of its stanzas. */
  async #due(session: Session): Promise<void> {
    const { ping_interval, ping_ack_timeout, timeout_action } = this.#options
    const silentMs = this.#clock.monotonic() - session.lastHeardMs
    // Without a stream there is nobody to ask: how long that may last is for XEP-0198 to say.
    if (silentMs < ping_interval || session.stream === undefined) {
      const leftMs = ping_interval - silentMs
      this.#wait(session, leftMs > 0 ? leftMs : ping_interval)
      return
    }
    const request = createIq('get', { from: this.#host, to: session.jid }, xml('ping', ns))
    // An error is an answer, too: it proves that the connection works (XEP-0199 §4.1).
    const answer = await this.router.request(request, ping_ack_timeout)
    if (!this.#timers.has(session)) return
    if (answer === undefined && timeout_action === 'kill') session.close('connection-timeout')
    else this.#wait(session, ping_interval)
  }
}
