import {
  accountBanned,
  accountRemoved,
  accounts,
  passwordChanged,
  signIns,
} from '../core/account.ts'
import { currentConfig } from '../core/current-config.ts'
import type { Hooks } from '../core/hooks.ts'
import type { ContextExtension } from '../core/module.ts'
import { defineService } from '../core/service.ts'
import type { Services } from '../core/service.ts'
import { sessionRegistry } from '../core/sessions.ts'
import { access, clock, logs, metrics, shapers } from '../core/shared.ts'
import type { ClientParts } from './c2s/client-settings.ts'
import { ClientStreams } from './c2s/client-streams.ts'
import type { HostName } from './jid/jid.ts'
import { xmppContext } from './module-context.ts'
import { Router, router } from './router.ts'
import { SessionLife } from './session-life.ts'
import { Sessions, sessions } from './sessions.ts'
import { createIq } from './stanza/stanza.ts'
import { sessionNs } from './stream/features.ts'

/** The XMPP side of the server: one for all hosts. */
export class Xmpp {
  readonly router: Router
  /** What streams of clients need, whatever carries them. */
  readonly clients: ClientParts
  /** Gives modules `handleIq` and its kin. */
  readonly context: ContextExtension

  /** Needs the services of the core and of the accounts, and provides those of XMPP. */
  constructor(services: Services) {
    const log = services.get(logs).for('xmpp')
    const counts = services.get(metrics)
    const parts = { clock: services.get(clock), log, metrics: counts }
    const table = new Sessions()
    const streams = new ClientStreams()
    this.router = new Router({ ...parts, sessions: table, accounts: services.get(accounts) })
    this.context = xmppContext(this.router)
    this.clients = {
      router: this.router,
      life: new SessionLife(this.router, services.get(sessionRegistry)),
      streams,
      accounts: services.get(accounts),
      signIns: services.get(signIns),
      access: services.get(access),
      shapers: services.get(shapers),
      config: services.get(currentConfig),
      clock: parts.clock,
      log: services.get(logs).for('c2s'),
    }
    counts.gauge('linnet_xmpp_sessions', 'Bound resources', () => table.count)
    counts.gauge('linnet_xmpp_client_streams', 'Streams of clients', () => streams.count)
    services.provide(router, this.router)
    services.provide(sessions, table)
    services.provide(xmppService, this)
  }

  /** Serves a virtual host; before its modules start. The function returned ends its streams and forgets it. */
  addHost(name: HostName, hooks: Hooks): () => void {
    const remove = this.router.addHost(name, hooks)
    const { streams } = this.clients
    const undo = [
      hooks.on(
        accountRemoved,
        (account) => {
          const text = 'The account was removed'
          for (const session of this.router.sessions.forAccount(account)) {
            session.kick(text, 'account-removed')
          }
          streams.endSignIns(account, 'not-authorized', text)
        },
        'xmpp',
      ),
      hooks.on(
        accountBanned,
        (account, reason) => streams.endSignIns(account, 'policy-violation', reason),
        'xmpp',
      ),
      hooks.on(
        passwordChanged,
        (account) => streams.endSignIns(account, 'not-authorized', 'The password was changed'),
        'xmpp',
      ),
    ]
    const tables = this.router.host(name)?.tables
    for (const table of [tables?.host, tables?.account]) {
      // RFC 3921 §3, for old clients: a bound resource is a session already.
      table?.addIqHandler('set', sessionNs, 'session', (iq) =>
        createIq('result', { from: name, to: iq.from, id: iq.id }),
      )
    }
    return () => {
      this.clients.streams.closeAll('host-gone', undefined, name)
      for (const forget of undo) forget()
      remove()
    }
  }

  /** Tells every client that the server stops, and ends its stream (RFC 6120 §4.9.3.20). */
  shutDown(): void {
    this.clients.streams.closeAll('system-shutdown')
  }
}

export const xmppService = defineService<Xmpp>('xmpp')
