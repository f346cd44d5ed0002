import { accountRemoved } from '../../core/account.ts'
import { cachesCleared } from '../../core/caches.ts'
import { defineModule } from '../../core/module.ts'
import type { ModuleContext } from '../../core/module.ts'
import { access } from '../../core/shared.ts'
import { contactAsked, contactChanged, noContact } from '../../xmpp/contacts.ts'
import {
  initialPresence,
  presenceChanged,
  presenceUnavailable,
  probeReceived,
  streamFeatures,
  subscriptionReceived,
  subscriptionSent,
} from '../../xmpp/hooks.ts'
import { bareJid } from '../../xmpp/jid/jid.ts'
import type { BareJid } from '../../xmpp/jid/jid.ts'
import { router } from '../../xmpp/router.ts'
import { xml } from '../../xmpp/xml/element.ts'
import { rosterCommands } from './commands.ts'
import { contactOfItem, rosterNs } from './item.ts'
import type { RosterItem } from './item.ts'
import { RosterQueries } from './queries.ts'
import { rosterOptions } from './roster-options.ts'
import type { RosterOptions } from './roster-options.ts'
import { RosterPresence } from './roster-presence.ts'
import { RosterTable, rosterMigrations } from './roster-table.ts'
import { Rosters } from './rosters.ts'
import { Subscriptions } from './subscriptions.ts'

const versioningFeature = xml('ver', 'urn:xmpp:features:rosterver')
const preApprovalFeature = xml('sub', 'urn:xmpp:features:pre-approval')

/** What others may ask of the roster: commands, above all. */
export interface RosterApi {
  readonly queries: RosterQueries
  /** What clients see. */
  items(account: BareJid): Promise<readonly RosterItem[]>
}

/** Contacts of accounts, their subscriptions, and presence for those who have one (RFC 6121 §2 to §4). */
export const roster = defineModule({
  name: 'mod_roster',
  specs: ['RFC 6121', 'XEP-0237 1.3'],
  options: rosterOptions,
  async start(ctx): Promise<RosterApi> {
    const table = new RosterTable(ctx.store, ctx.log)
    await table.store.migrate(ctx.name, rosterMigrations)
    const routes = ctx.service(router)
    const hooks = routes.host(ctx.host)?.hooks
    const rosters = new Rosters(table, ctx.options, ctx.clock, (account, before, after) => {
      hooks?.emit(contactChanged, account, before.jid, contactOfItem(before), contactOfItem(after))
    })
    ctx.on(cachesCleared, () => rosters.clearCache())
    const presence = new RosterPresence(routes, rosters, ctx.log)
    const parts = {
      router: routes,
      rosters,
      presence,
      access: ctx.service(access),
      log: ctx.log,
      refused: ctx.metrics.counter(
        'linnet_roster_requests_refused_total',
        'Subscription requests for accounts that have too many waiting already',
        { host: ctx.host },
      ),
      options: () => ctx.options,
    }
    const queries = new RosterQueries(parts)
    handleQueries(ctx, queries)
    handleSubscriptions(ctx, new Subscriptions(parts))
    handlePresence(ctx, presence)
    ctx.on(contactAsked, async (account, other) => {
      const items = rosters.find(account) ?? (await rosters.read(account))
      const item = items.get(other) ?? items.get(bareJid(other))
      return item === undefined ? noContact : contactOfItem(item)
    })
    ctx.on(accountRemoved, (account) => queries.removeAll(account))
    for (const command of rosterCommands) ctx.command(command)
    for (const session of routes.sessions.onHost(ctx.host)) {
      if (session.available !== undefined) ctx.background(presence.adopt(session))
    }
    return { queries, items: async (account) => (await rosters.read(account)).listed }
  },
})

type Context = ModuleContext<RosterOptions>

function handleQueries(ctx: Context, queries: RosterQueries): void {
  ctx.handleIq('get', rosterNs, 'query', (iq, session) => queries.get(iq, session), {
    on: 'account',
  })
  ctx.handleIq('set', rosterNs, 'query', (iq, session) => queries.set(iq, session), {
    on: 'account',
  })
  ctx.on(streamFeatures, (features, stream) => {
    if (stream.phase !== 'authenticated') return undefined
    return ctx.options.versioning
      ? [...features, versioningFeature, preApprovalFeature]
      : [...features, preApprovalFeature]
  })
}

function handleSubscriptions(ctx: Context, subscriptions: Subscriptions): void {
  ctx.on(subscriptionSent, (presence, session) => subscriptions.sent(presence, session))
  ctx.on(subscriptionReceived, (presence, account) => subscriptions.received(presence, account))
}

function handlePresence(ctx: Context, presence: RosterPresence): void {
  ctx.on(initialPresence, (session) => presence.begin(session))
  ctx.on(presenceChanged, (session, stanza) => presence.changed(session, stanza))
  ctx.on(presenceUnavailable, (session, stanza) => presence.ended(session, stanza))
  ctx.on(probeReceived, (probe, account) => presence.probed(probe, account))
}
