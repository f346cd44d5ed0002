import { randomBytes } from 'node:crypto'
import { accountAdministration } from '../core/account.ts'
import type { Command, CommandContext, CommandValue, Field } from '../core/command.ts'
import { defineCommand } from '../core/command.ts'
import { clock, hosts } from '../core/shared.ts'
import { sessionRegistry } from '../core/sessions.ts'
import type { BareJid } from '../xmpp/jid/jid.ts'
import { accountOf, failure, host, requireHost, setPassword, user } from './accounts-arguments.ts'

const reason: Field = { name: 'reason', type: 'binary' }
const done = 0

/** Bans of accounts: version 0 as ejabberd up to 24.02 knew it, the others with a record that can be read and taken away. */
export const banCommands: readonly Command[] = [
  defineCommand({
    name: 'ban_account',
    tags: ['accounts'],
    summary: 'Ban an account: kick sessions and set random password',
    args: [user, host, reason],
    result: 'rescode',
    run: async ([name, domain, text], context) => {
      const now = new Date(context.service(clock).now()).toISOString()
      const date = now.slice(0, 19).replaceAll('-', '')
      const secret = randomBytes(15).toString('base64url')
      // The reason is for who reads the table; what might be no password is left out.
      const shown = /^[ -~]{0,200}$/.test(String(text)) ? String(text) : ''
      const password = `BANNED_ACCOUNT--${date}--${secret}--${shown}`
      const account = await setPassword(name, domain, password, context)
      for (const session of context.service(sessionRegistry).forAccount(account)) {
        session.kick(String(text), 'banned')
      }
      return done
    },
  }),
  defineCommand({
    name: 'ban_account',
    version: 2,
    tags: ['accounts'],
    summary: 'Ban an account: kick its sessions and refuse sign-in until unban_account',
    args: [user, host, reason],
    result: 'rescode',
    run: async ([name, domain, text], context) => {
      const account = accountOf(name, domain)
      if (account === undefined) return 'account_does_not_exist'
      const banned = await context.service(accountAdministration).ban(account, String(text))
      if (banned.ok) return done
      if (banned.error === 'unavailable') throw failure('unavailable')
      return banned.error === 'not-found' ? 'account_does_not_exist' : 'account_was_already_banned'
    },
  }),
  defineCommand({
    name: 'unban_account',
    version: 2,
    tags: ['accounts'],
    summary: 'Remove the ban from an account',
    args: [user, host],
    result: 'rescode',
    run: async ([name, domain], context) => {
      const account = accountOf(name, domain)
      if (account === undefined) return 'account_does_not_exist'
      const unbanned = await context.service(accountAdministration).unban(account)
      if (unbanned.ok) return done
      if (unbanned.error === 'unavailable') throw failure('unavailable')
      return unbanned.error === 'not-found' ? 'account_does_not_exist' : 'account_was_not_banned'
    },
  }),
  defineCommand({
    name: 'get_ban_details',
    version: 2,
    tags: ['accounts'],
    summary: 'Get ban details about an account',
    args: [user, host],
    result: {
      name: 'ban_details',
      type: {
        list: {
          name: 'detail',
          type: {
            tuple: [
              { name: 'name', type: 'string' },
              { name: 'value', type: 'string' },
            ],
          },
        },
      },
    },
    run: async ([name, domain], context) => {
      const account = accountOf(name, domain)
      if (account === undefined) return []
      const ban = await context.service(accountAdministration).banDetails(account)
      if (ban === undefined) return []
      return [
        ['reason', ban.reason],
        ['bandate', ban.bandate],
        ['lastdate', ban.lastdate],
        ['lastreason', ban.lastreason],
      ]
    },
  }),
  defineCommand({
    name: 'list_banned',
    tags: ['accounts'],
    summary: 'List banned accounts of a host, or of "all"',
    args: [host],
    result: { name: 'banned', type: { list: { name: 'jid', type: 'string' } } },
    run: ([domain], context) => listBanned(domain, context),
  }),
  defineCommand({
    name: 'count_banned',
    tags: ['accounts'],
    summary: 'Count the banned accounts of a host, or of "all"',
    args: [host],
    result: { name: 'banned', type: 'integer' },
    run: async ([domain], context) => (await listBanned(domain, context)).length,
  }),
]

async function listBanned(
  domain: CommandValue | undefined,
  context: CommandContext,
): Promise<readonly BareJid[]> {
  const { names } = context.service(hosts)
  const wanted = domain === 'all' ? names : [String(domain)]
  const banned = await Promise.all(
    wanted.map((name) =>
      context.service(accountAdministration).listBanned(requireHost(name, context)),
    ),
  )
  return banned.flat()
}
