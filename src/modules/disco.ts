import { drop } from '../core/hooks.ts'
import type { FilterHook } from '../core/hooks.ts'
import { defineModule } from '../core/module.ts'
import type { ModuleContext } from '../core/module.ts'
import { list, t, text } from '../core/options.ts'
import type { ValuesOf } from '../core/options.ts'
import { contactOf, isSubscriber } from '../xmpp/contacts.ts'
import { discoInfo, discoItems } from '../xmpp/hooks.ts'
import type { DiscoInfo, DiscoItem, DiscoQuery } from '../xmpp/hooks.ts'
import type { HandlerTable } from '../xmpp/handlers.ts'
import { bareJid } from '../xmpp/jid/jid.ts'
import type { Jid } from '../xmpp/jid/jid.ts'
import { resultForm } from '../xmpp/payloads/data-form.ts'
import { router } from '../xmpp/router.ts'
import type { XmppHost } from '../xmpp/router.ts'
import { errorReply, result } from '../xmpp/stanza/stanza-error.ts'
import { payloadOf } from '../xmpp/stanza/stanza.ts'
import type { Iq } from '../xmpp/stanza/stanza.ts'
import { xml } from '../xmpp/xml/element.ts'
import type { Element } from '../xmpp/xml/element.ts'

const infoNs = 'http://jabber.org/protocol/disco#info'
const itemsNs = 'http://jabber.org/protocol/disco#items'
const serverInfo = 'http://jabber.org/network/serverinfo'

const options = {
  extra_domains: list(t.jid, [], 'Addresses listed among the items of the host besides its own.'),
  name: text('Linnet', 'The name of the server in its identity.'),
  server_info: list(
    t.record({
      modules: list(t.text, ['all'], 'The modules whose services tell it, or "all".'),
      name: text('', 'The field that the addresses stand in: "abuse-addresses".'),
      urls: list(t.text, [], 'Addresses, as URIs.'),
    }),
    [],
    'How to reach those who run the server (XEP-0157).',
  ),
} as const

type Context = ModuleContext<ValuesOf<typeof options>>

/** Answers what the host and its accounts are, can do and have. */
export const disco = defineModule({
  name: 'mod_disco',
  specs: ['XEP-0030 2.5.0', 'XEP-0128 1.0.1', 'XEP-0157 1.1.1'],
  options,
  start(ctx) {
    const own = ctx.service(router).host(ctx.host)
    if (own === undefined) throw new Error(`The host "${ctx.host}" has no XMPP router`)
    for (const feature of [infoNs, itemsNs]) ctx.advertise(feature, { on: ['host', 'account'] })
    for (const feature of ['iq', 'presence']) ctx.advertise(feature)
    ctx.identity({ category: 'account', type: 'registered' }, { on: 'account' })
    ctx.handleIq('get', infoNs, 'query', (iq) => hostInfo(ctx, own, iq))
    ctx.handleIq('get', itemsNs, 'query', (iq) => hostItems(ctx, own, iq))
    ctx.handleIq('get', infoNs, 'query', (iq) => accountInfo(own, iq), { on: 'account' })
    ctx.handleIq('get', itemsNs, 'query', (iq) => accountItems(ctx, own, iq), { on: 'account' })
  },
  reload() {
    // Options are read with each request.
  },
})

function hostInfo(ctx: Context, own: XmppHost, iq: Iq): Iq {
  const { name, server_info } = ctx.options
  const fields = server_info
    .filter(({ modules }) => modules.includes('all') || modules.includes(ctx.name))
    .map((entry) => ({ name: entry.name, type: 'list-multi' as const, values: entry.urls }))
  const info = infoOf(own.tables.host)
  return answerInfo(own, iq, {
    ...info,
    identities: [{ category: 'server', type: 'im', name }, ...info.identities],
    // XEP-0157 §3
    forms: fields.length === 0 ? [] : [resultForm(serverInfo, fields)],
  })
}

function hostItems(ctx: Context, own: XmppHost, iq: Iq): Iq {
  const services: readonly DiscoItem[] = ctx
    .service(router)
    .servicesOf(ctx.host)
    .filter(({ isListed }) => isListed)
    .map(({ domain, name }) => (name === undefined ? { jid: domain } : { jid: domain, name }))
  const listed = new Set<Jid>(services.map(({ jid }) => jid))
  const extra = ctx.options.extra_domains.filter((jid) => !listed.has(jid))
  const items = [...services, ...extra.map((jid) => ({ jid }))]
  return answerItems(
    own,
    iq,
    items.sort((a, b) => (a.jid < b.jid ? -1 : 1)),
  )
}

/** XEP-0030 §8, rule 1: who may not see the account's presence learns nothing of it. */
async function accountInfo(own: XmppHost, iq: Iq): Promise<Iq> {
  return (await maySee(own, iq))
    ? answerInfo(own, iq, infoOf(own.tables.account))
    : errorReply(iq, 'service-unavailable')
}

/** XEP-0030 §8, rule 2: resources are shown to those only who may see them; modules judge about what they add. */
async function accountItems(ctx: Context, own: XmppHost, iq: Iq): Promise<Iq> {
  const account = bareJid(iq.to)
  const sessions = ctx.service(router).sessions.available(account)
  const items = (await maySee(own, iq)) ? sessions.map(({ jid }) => ({ jid })) : []
  return answerItems(own, iq, items)
}

async function maySee(own: XmppHost, iq: Iq): Promise<boolean> {
  const account = bareJid(iq.to)
  if (bareJid(iq.from) === account) return true
  return isSubscriber(await contactOf(own.hooks, account, iq.from))
}

function infoOf({ identities, features }: HandlerTable): DiscoInfo {
  return { identities, features, forms: [] }
}

function answerInfo(own: XmppHost, iq: Iq, withoutNode: DiscoInfo): Iq {
  const query = queryOf(iq)
  const info = asked(own, discoInfo, query, withoutNode)
  if (info === undefined) return errorReply(iq, 'item-not-found')
  return result(
    iq,
    xml(
      'query',
      infoNs,
      { node: query.node === '' ? undefined : query.node },
      ...info.identities.map(({ category, type, name, lang }) =>
        xml('identity', infoNs, { category, type, name, 'xml:lang': lang }),
      ),
      ...info.features.map((feature) => xml('feature', infoNs, { var: feature })),
      ...info.forms,
    ),
  )
}

function answerItems(own: XmppHost, iq: Iq, withoutNode: readonly DiscoItem[]): Iq {
  const query = queryOf(iq)
  const items = asked(own, discoItems, query, withoutNode)
  if (items === undefined) return errorReply(iq, 'item-not-found')
  const elements: readonly Element[] = items.map(({ jid, node, name }) =>
    xml('item', itemsNs, { jid, node, name }),
  )
  const attrs = { node: query.node === '' ? undefined : query.node }
  return result(iq, xml('query', itemsNs, attrs, ...elements))
}

function queryOf(iq: Iq): DiscoQuery {
  return { to: iq.to, from: iq.from, node: payloadOf(iq)?.attr('node') ?? '' }
}

/** What the modules make of an answer; undefined when there is no such node. */
function asked<T>(
  { hooks }: XmppHost,
  hook: FilterHook<T | undefined, [query: DiscoQuery]>,
  query: DiscoQuery,
  withoutNode: T,
): T | undefined {
  const answer = hooks.apply(hook, query.node === '' ? withoutNode : undefined, query)
  return answer === drop ? undefined : answer
}
