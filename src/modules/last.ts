import { accountRegistered, accountRemoved } from '../core/account.ts'
import type { Command, CommandContext, CommandValue } from '../core/command.ts'
import { CommandError, defineCommand } from '../core/command.ts'
import { defineModule } from '../core/module.ts'
import { accepted, flag, from } from '../core/options.ts'
import { clock, hosts, serverControl } from '../core/shared.ts'
import type { HostStore, WriteTicket } from '../core/store.ts'
import { contactOf, isSubscriber } from '../xmpp/contacts.ts'
import { presenceUnavailable, stanzaBlocked } from '../xmpp/hooks.ts'
import { bareJid, domainpart, isFull, localpart, parseJidParts } from '../xmpp/jid/jid.ts'
import type { BareJid } from '../xmpp/jid/jid.ts'
import { router } from '../xmpp/router.ts'
import { errorReply, result } from '../xmpp/stanza/stanza-error.ts'
import { payloadOf } from '../xmpp/stanza/stanza.ts'
import { sessions } from '../xmpp/sessions.ts'
import { xml } from '../xmpp/xml/element.ts'
import { formatDateTime } from '../xmpp/payloads/date-time.ts'
import { cacheOptions } from './cache.ts'
import { dbTypeOption } from './db-type.ts'

const ns = 'jabber:iq:last'

const notCached = 'last activity is read when somebody asks'

/** When an account was last seen. */
interface LastActivity {
  readonly seconds: number
  readonly status: string
}

/** ejabberd's table `last`. */
class LastTable {
  readonly #store: HostStore

  constructor(store: HostStore) {
    this.#store = store
  }

  async read(account: BareJid): Promise<LastActivity | undefined> {
    const rows = this.#store.table('last').select().select(['seconds', 'state'])
    const row = await this.#store.first(rows.where('username', '=', localpart(account)))
    const seconds = Number(row?.seconds)
    return row === undefined || Number.isNaN(seconds) ? undefined : { seconds, status: row.state }
  }

  write(account: BareJid, { seconds, status }: LastActivity): WriteTicket {
    return this.#store.write(
      this.#store.table('last').upsert({
        key: { username: localpart(account) },
        set: { seconds: String(seconds), state: status },
      }),
    )
  }

  remove(account: BareJid): WriteTicket {
    const rows = this.#store.table('last').delete()
    return this.#store.write(rows.where('username', '=', localpart(account)))
  }
}

/** Tells when an account was last seen, to those who may see its presence, and how long the server has been up. */
export const last = defineModule({
  name: 'mod_last',
  specs: ['XEP-0012 2.0'],
  options: {
    ...dbTypeOption,
    use_cache: accepted(cacheOptions.use_cache, notCached),
    cache_size: accepted(cacheOptions.cache_size, notCached),
    cache_life_time: accepted(cacheOptions.cache_life_time, notCached),
    cache_missed: accepted(
      flag(from('cache_missed'), 'Whether it is cached that nothing is known.'),
      notCached,
    ),
  },
  start(ctx) {
    const table = new LastTable(ctx.store)
    const routes = ctx.service(router)
    const hooks = routes.host(ctx.host)?.hooks
    const now = (): number => Math.floor(ctx.clock.now() / 1000)
    const note = (account: BareJid, status: string): void => {
      table.write(account, { seconds: now(), status }).after((outcome) => {
        if (outcome.ok) return
        ctx.log.error({ err: outcome.error, account }, 'Last activity cannot be stored')
      })
    }
    const maySee = async (account: BareJid, other: BareJid): Promise<boolean> =>
      other === account || isSubscriber(await contactOf(hooks, account, other))

    ctx.advertise(ns, { on: ['host', 'account'] })
    ctx.handleIq('get', ns, 'query', (iq) => {
      const seconds = String(Math.floor(ctx.service(serverControl).uptimeMs / 1000))
      return result(iq, xml('query', ns, { seconds }))
    })
    ctx.handleIq(
      'get',
      ns,
      'query',
      async (iq) => {
        const account = bareJid(iq.to)
        // XEP-0012 §3: whoever may not see the presence may not learn it this way.
        if (!(await maySee(account, bareJid(iq.from)))) return errorReply(iq, 'forbidden')
        if (routes.sessions.forAccount(account).length > 0) {
          return result(iq, xml('query', ns, { seconds: '0' }))
        }
        const found = await table.read(account)
        if (found === undefined) return errorReply(iq, 'service-unavailable')
        const seconds = String(Math.max(0, now() - found.seconds))
        return result(iq, xml('query', ns, { seconds }, found.status))
      },
      { on: 'account' },
    )
    // XEP-0012 §4: nor by asking a resource.
    ctx.on(stanzaBlocked, (stanza, account, direction) => {
      if (direction === 'out' || stanza.kind !== 'iq' || stanza.type !== 'get') return undefined
      if (!isFull(stanza.to) || payloadOf(stanza)?.is('query', ns) !== true) return undefined
      return maySee(account, bareJid(stanza.from)).then((may) => (may ? undefined : 'block'))
    })
    ctx.on(presenceUnavailable, (session, presence) => {
      note(session.account, presence.element.childText('status') ?? '')
    })
    ctx.on(accountRegistered, (account) => note(account, "Registered but didn't login"))
    ctx.on(accountRemoved, async (account) => {
      const outcome = await table.remove(account).settled
      if (!outcome.ok) throw outcome.error
    })
    for (const command of lastCommands) ctx.command(command)
    return table
  },
})

const owner = [
  { name: 'user', type: 'binary' },
  { name: 'host', type: 'binary' },
] as const

export const lastCommands: readonly Command[] = [
  defineCommand({
    name: 'get_last',
    tags: ['last'],
    summary: 'Get last activity information',
    args: owner,
    result: {
      name: 'last_activity',
      type: {
        tuple: [
          { name: 'timestamp', type: 'string' },
          { name: 'status', type: 'string' },
        ],
      },
    },
    run: async ([user, host], context) => {
      const account = accountOf(user, host)
      const now = context.service(clock).now()
      if (context.service(sessions).forAccount(account).length > 0) {
        return [formatDateTime(now), 'ONLINE']
      }
      const found = await tableOf(account, context).read(account)
      return found === undefined
        ? [formatDateTime(now), 'NOT FOUND']
        : [formatDateTime(found.seconds * 1000), found.status]
    },
  }),
  defineCommand({
    name: 'set_last',
    tags: ['last'],
    summary: 'Set last activity information',
    args: [...owner, { name: 'timestamp', type: 'integer' }, { name: 'status', type: 'binary' }],
    result: 'rescode',
    run: async ([user, host, timestamp, status], context) => {
      const account = accountOf(user, host)
      const activity = { seconds: Number(timestamp), status: String(status) }
      const outcome = await tableOf(account, context).write(account, activity).settled
      if (!outcome.ok) throw new CommandError('error', outcome.error.message)
      return 0
    },
  }),
]

function accountOf(user: CommandValue | undefined, host: CommandValue | undefined): BareJid {
  const parsed = parseJidParts(String(user), String(host), '')
  if (!parsed.ok) throw new CommandError('error', `"${user}@${host}" is no address`)
  return bareJid(parsed.value)
}

function tableOf(account: BareJid, context: CommandContext): LastTable {
  const host = context.service(hosts).find(domainpart(account))
  if (host === undefined) {
    throw new CommandError('unknown_host', `the host "${domainpart(account)}" is not served`)
  }
  const table = host.modules.find<LastTable>('mod_last')
  if (table === undefined) throw new CommandError('error', `mod_last does not run on ${host.name}`)
  return table
}
