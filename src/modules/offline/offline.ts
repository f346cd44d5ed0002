import { accountRemoved } from '../../core/account.ts'
import { cachesCleared } from '../../core/caches.ts'
import { defineModule } from '../../core/module.ts'
import { shapers } from '../../core/shared.ts'
import { messageUndeliverable, presenceChanged, presenceUnavailable } from '../../xmpp/hooks.ts'
import { router } from '../../xmpp/router.ts'
import { defineSessionState } from '../../xmpp/session-state.ts'
import { offlineCommands } from './commands.ts'
import { HeldMessages } from './held-messages.ts'
import { OfflineMessages } from './offline-messages.ts'
import { offlineOptions } from './offline-options.ts'
import { SpoolTable } from './spool-table.ts'

/** Whether the session takes messages for the account, that is, has a priority that is not negative. */
const reception = defineSessionState('mod_offline.reception', () => ({ isOpen: false }))

/** Keeps messages for accounts that are not there. */
export const offline = defineModule({
  name: 'mod_offline',
  specs: ['XEP-0160 1.0.1', 'XEP-0203 2.0', 'XEP-0334 1.0.0', 'XEP-0023 1.3'],
  options: offlineOptions,
  start(ctx) {
    const routes = ctx.service(router)
    const own = routes.host(ctx.host)
    if (own === undefined) throw new Error(`The host "${ctx.host}" has no XMPP router`)
    const held = new HeldMessages(routes, own.hooks)
    ctx.onStop(() => held.endAll())
    const messages = new OfflineMessages({
      host: ctx.host,
      table: new SpoolTable(ctx.store),
      router: routes,
      held,
      shapers: ctx.service(shapers),
      clock: ctx.clock,
      log: ctx.log,
      metrics: ctx.metrics,
      options: ctx.options,
    })
    ctx.on(cachesCleared, () => messages.clearCache())
    ctx.advertise('msgoffline', { on: ['host', 'account'] })
    ctx.on(messageUndeliverable, (message, account) => messages.store(message, account))
    // XEP-0160 §2, step 5
    ctx.on(presenceChanged, (session) => {
      const state = session.state(reception)
      const wasOpen = state.isOpen
      state.isOpen = (session.priority ?? -1) >= 0
      return state.isOpen && !wasOpen ? messages.deliver(session) : undefined
    })
    ctx.on(presenceUnavailable, (session) => {
      session.state(reception).isOpen = false
    })
    ctx.on(accountRemoved, (account) => messages.removeAll(account))
    for (const command of offlineCommands) ctx.command(command)
    return messages
  },
})
