import { accountRemoved, accounts } from '../../../src/core/account.ts'
import { subjectOf } from '../../../src/core/access.ts'
import { CommandError, defineCommand } from '../../../src/core/command.ts'
import type { Command, CommandContext, CommandValue } from '../../../src/core/command.ts'
import { defineModule } from '../../../src/core/module.ts'
import { access, integer } from '../../../src/core/options.ts'
import { access as accessService, hosts } from '../../../src/core/shared.ts'
import type { HostStore, Migration } from '../../../src/core/store.ts'
import { err, ok } from '../../../src/util/result.ts'
import type { Result } from '../../../src/util/result.ts'
import { stanzaRouted } from '../../../src/xmpp/hooks.ts'
import {
  bareJid,
  domainpart,
  localpart,
  makeJid,
  parseJidParts,
} from '../../../src/xmpp/jid/jid.ts'
import type { BareJid, HostName, Localpart } from '../../../src/xmpp/jid/jid.ts'
import { router } from '../../../src/xmpp/router.ts'
import { errorReply, result } from '../../../src/xmpp/stanza/stanza-error.ts'
import { createMessage } from '../../../src/xmpp/stanza/stanza.ts'
import { xml } from '../../../src/xmpp/xml/element.ts'
import { clientNs } from '../../../src/xmpp/xml/namespaces.ts'

declare module '../../../src/core/store.ts' {
  interface Tables {
    linnet_keyword_alert: { username: string; keyword: string }
  }
}

const name = 'mod_keyword_alert'
const ns = 'urn:example:keywords'

/** A key column of MariaDB holds 191 characters. */
const maxKeywordLength = 100

const migrations: readonly Migration[] = [
  {
    version: 1,
    title: 'Keywords by account',
    tables: [
      {
        name: 'linnet_keyword_alert',
        columns: {
          server_host: { kind: 'key' },
          username: { kind: 'key' },
          keyword: { kind: 'key' },
        },
        keys: [{ kind: 'primary', columns: ['server_host', 'username', 'keyword'] }],
      },
    ],
  },
]

/** Tells accounts that somebody else's message has one of their keywords in it. */
export const keywordAlert = defineModule({
  name,
  options: {
    max_keywords: integer({ min: 0, orInfinity: true }, 10, 'Keywords that an account may have.'),
    access: access('all', 'Who may have keywords. Others get no alerts.'),
  },
  async start(ctx) {
    await ctx.store.migrate(name, migrations)
    const keywords = await Keywords.load(ctx.store, ctx.host)
    const mayHave = (account: BareJid): boolean =>
      ctx.service(accessService).isAllowed(ctx.options.access, subjectOf(account))

    ctx.on(stanzaRouted, (stanza, outcome) => {
      if (stanza.kind !== 'message') return
      if (outcome !== 'delivered' && outcome !== 'stored') return
      // In a room the sender is not known by an account's address, and each occupant gets a copy.
      if (stanza.type === 'error' || stanza.type === 'groupchat') return
      const sender = bareJid(stanza.from)
      const recipient = bareJid(stanza.to)
      if (domainpart(recipient) !== ctx.host || localpart(recipient) === '') return
      // Our own alerts name keywords.
      if (sender === ctx.host) return
      const body = stanza.element.childText('body')
      if (body === undefined) return
      for (const [account, found] of keywords.findIn(body)) {
        if (account === sender || account === recipient || !mayHave(account)) continue
        const words = `Keyword alert: ${found.join(', ')} (in a message from ${sender})`
        const alert = xml('body', clientNs, {}, words)
        ctx.service(router).route(createMessage('headline', { from: ctx.host, to: account }, alert))
      }
    })

    ctx.advertise(ns, { on: 'account' })
    ctx.handleIq(
      'get',
      ns,
      'query',
      (iq) => {
        const account = bareJid(iq.to)
        if (bareJid(iq.from) !== account || !mayHave(account)) return errorReply(iq, 'forbidden')
        const items = keywords.of(account).map((word) => xml('keyword', ns, {}, word))
        return result(iq, xml('query', ns, {}, ...items))
      },
      { on: 'account' },
    )

    ctx.on(accountRemoved, (account) => keywords.removeAll(account))
    for (const command of keywordCommands) ctx.command(command)

    return {
      async add(account: BareJid, text: string): Promise<void> {
        const keyword = readKeyword(text)
        if (!mayHave(account)) throw new CommandError('not_allowed', `${account} is not allowed`)
        if (!(await ctx.service(accounts).exists(account))) {
          throw new CommandError('not_exists', `There is no account ${account}`)
        }
        const { max_keywords } = ctx.options
        const added = await keywords.add(account, keyword, max_keywords)
        if (!added.ok) {
          throw new CommandError('not_allowed', `${account} has ${max_keywords} keywords already`)
        }
      },
      async remove(account: BareJid, text: string): Promise<void> {
        const keyword = readKeyword(text)
        if (await keywords.remove(account, keyword)) return
        throw new CommandError('not_exists', `${account} has no such keyword`)
      },
      list: (account: BareJid): readonly string[] => keywords.of(account),
    } satisfies Api
  },
})

/** What the commands use. */
interface Api {
  add(account: BareJid, text: string): Promise<void>
  remove(account: BareJid, text: string): Promise<void>
  list(account: BareJid): readonly string[]
}

/** The keywords of one host, in the database and in memory: every message is compared with them. */
class Keywords {
  readonly #store: HostStore
  /** Accounts by keyword, so that a keyword that many have is looked for once. */
  readonly #accounts = new Map<string, Set<BareJid>>()

  private constructor(store: HostStore) {
    this.#store = store
  }

  static async load(store: HostStore, host: HostName): Promise<Keywords> {
    const keywords = new Keywords(store)
    const table = store.table('linnet_keyword_alert')
    for (const row of await store.read(table.select().select(['username', 'keyword']))) {
      // What is stored was prepared when it was written.
      keywords.#remember(makeJid(row.username as Localpart, host, ''), row.keyword)
    }
    return keywords
  }

  /** Sorted. */
  of(account: BareJid): readonly string[] {
    return [...this.#accounts]
      .filter(([, accounts]) => accounts.has(account))
      .map(([keyword]) => keyword)
      .sort()
  }

  /** The keywords that are in a text, by account. */
  findIn(text: string): ReadonlyMap<BareJid, readonly string[]> {
    const found = new Map<BareJid, string[]>()
    if (this.#accounts.size === 0) return found
    const lowerCase = text.toLowerCase()
    for (const [keyword, accounts] of this.#accounts) {
      if (!lowerCase.includes(keyword)) continue
      for (const account of accounts) {
        const own = found.get(account)
        if (own === undefined) found.set(account, [keyword])
        else own.push(keyword)
      }
    }
    return found
  }

  /** Adding one that is there already changes nothing. */
  async add(account: BareJid, keyword: string, max: number): Promise<Result<void, 'too-many'>> {
    const username = localpart(account)
    const table = this.#store.table('linnet_keyword_alert')
    const isAdded = await this.#store.transaction(async (tx) => {
      const rows = await tx.read(table.select().select('keyword').where('username', '=', username))
      if (rows.some((row) => row.keyword === keyword)) return true
      if (rows.length >= max) return false
      await tx.write(table.insert({ username, keyword }))
      return true
    })
    if (!isAdded) return err('too-many')
    this.#remember(account, keyword)
    return ok(undefined)
  }

  /** Whether it was there. */
  async remove(account: BareJid, keyword: string): Promise<boolean> {
    const table = this.#store.table('linnet_keyword_alert')
    const outcome = await this.#store.write(
      table.delete().where('username', '=', localpart(account)).where('keyword', '=', keyword),
    ).settled
    if (!outcome.ok) throw outcome.error
    this.#forget(account, keyword)
    return outcome.changes > 0
  }

  async removeAll(account: BareJid): Promise<void> {
    const table = this.#store.table('linnet_keyword_alert')
    const outcome = await this.#store.write(
      table.delete().where('username', '=', localpart(account)),
    ).settled
    if (!outcome.ok) throw outcome.error
    for (const keyword of this.of(account)) this.#forget(account, keyword)
  }

  #remember(account: BareJid, keyword: string): void {
    const accounts = this.#accounts.get(keyword) ?? new Set()
    this.#accounts.set(keyword, accounts.add(account))
  }

  #forget(account: BareJid, keyword: string): void {
    const accounts = this.#accounts.get(keyword)
    accounts?.delete(account)
    if (accounts?.size === 0) this.#accounts.delete(keyword)
  }
}

const owner = [
  { name: 'user', type: 'binary' },
  { name: 'host', type: 'binary' },
] as const

/** Exported for `npm run docs`, which finds commands that way. */
export const keywordCommands: readonly Command[] = [
  defineCommand({
    name: 'keyword_add',
    tags: ['accounts'],
    summary: 'Add a keyword that an account is alerted of',
    args: [...owner, { name: 'keyword', type: 'binary' }],
    result: 'rescode',
    run: async ([user, host, keyword], context) => {
      const account = accountOf(user, host)
      await apiOf(account, context).add(account, String(keyword))
      return 0
    },
  }),
  defineCommand({
    name: 'keyword_remove',
    tags: ['accounts'],
    summary: 'Remove a keyword of an account',
    args: [...owner, { name: 'keyword', type: 'binary' }],
    result: 'rescode',
    run: async ([user, host, keyword], context) => {
      const account = accountOf(user, host)
      await apiOf(account, context).remove(account, String(keyword))
      return 0
    },
  }),
  defineCommand({
    name: 'keyword_list',
    tags: ['accounts'],
    summary: 'List the keywords of an account',
    args: owner,
    result: { name: 'keywords', type: { list: { name: 'keyword', type: 'string' } } },
    run: ([user, host], context) => {
      const account = accountOf(user, host)
      return apiOf(account, context).list(account)
    },
  }),
]

function accountOf(user: CommandValue | undefined, host: CommandValue | undefined): BareJid {
  const parsed = parseJidParts(String(user), String(host), '')
  if (!parsed.ok || localpart(parsed.value) === '') {
    throw new CommandError('error', `"${user}@${host}" is no address of an account`)
  }
  return bareJid(parsed.value)
}

/** What `start` returned on the account's host. */
function apiOf(account: BareJid, context: CommandContext): Api {
  const host = domainpart(account)
  const api = context.service(hosts).find(host)?.modules.find<Api>(name)
  if (api === undefined) throw new CommandError('error', `${name} does not run on "${host}"`)
  return api
}

/** The form in which keywords are kept and compared. */
function readKeyword(text: string): string {
  const keyword = text.trim().toLowerCase()
  if (keyword === '' || keyword.length > maxKeywordLength || /\p{Cc}/u.test(keyword)) {
    throw new CommandError('error', `A keyword has 1 to ${maxKeywordLength} printable characters`)
  }
  return keyword
}
