import type { Command, CommandContext, CommandValue } from '../../core/command.ts'
import { CommandError, defineCommand } from '../../core/command.ts'
import { clock, hosts } from '../../core/shared.ts'
import { bareJid, domainpart, localpart, parseJid, parseJidParts } from '../../xmpp/jid/jid.ts'
import type { BareJid } from '../../xmpp/jid/jid.ts'
import type { ArchiveTable } from './archive-table.ts'
import type { MamApi } from './mam.ts'

const userAndHost = [
  { name: 'user', type: 'binary' },
  { name: 'host', type: 'binary' },
] as const

const dayMicroseconds = 86_400_000_000

export const mamCommands: readonly Command[] = [
  defineCommand({
    name: 'get_mam_count',
    tags: ['mam'],
    summary: 'Get the number of archived messages of an account',
    args: [...userAndHost],
    result: { name: 'value', type: 'integer' },
    run: ([user, host], context) => {
      const account = accountOf(user, host)
      return tableOf(context, domainpart(account)).count(localpart(account), {})
    },
  }),
  defineCommand({
    name: 'remove_mam_for_user',
    tags: ['mam'],
    summary: 'Remove the archive of an account',
    args: [...userAndHost],
    renamed: { server: 'host' },
    result: 'restuple',
    async run([user, host], context) {
      const account = accountOf(user, host)
      const table = tableOf(context, domainpart(account))
      const outcome = await table.removeAll(localpart(account)).settled
      if (!outcome.ok) throw outcome.error
      return [0, `MAM archive removed`]
    },
  }),
  defineCommand({
    name: 'remove_mam_for_user_with_peer',
    tags: ['mam'],
    summary: 'Remove what is archived of the messages between an account and another address',
    args: [...userAndHost, { name: 'with', type: 'binary' }],
    renamed: { server: 'host' },
    result: 'restuple',
    async run([user, host, peer], context) {
      const account = accountOf(user, host)
      const jid = parseJid(String(peer))
      if (!jid.ok) throw new CommandError('error', 'Invalid peer JID')
      const isBare = jid.value === bareJid(jid.value)
      const table = tableOf(context, domainpart(account))
      const outcome = await table.removeAll(localpart(account), { jid: jid.value, isBare }).settled
      if (!outcome.ok) throw outcome.error
      return [0, `MAM archive removed`]
    },
  }),
  defineCommand({
    name: 'delete_old_mam_messages',
    tags: ['mam', 'purge'],
    summary: 'Remove archived messages that are older than some days, on all hosts',
    args: [
      { name: 'type', type: 'binary' },
      { name: 'days', type: 'integer' },
    ],
    result: 'rescode',
    async run([type, days], context) {
      const kind = String(type)
      if (kind !== 'chat' && kind !== 'groupchat' && kind !== 'all') {
        throw new CommandError('error', 'Type must be "chat", "groupchat" or "all"')
      }
      const before = context.service(clock).now() * 1000 - Number(days) * dayMicroseconds
      const served = context.service(hosts)
      for (const name of served.names) {
        const table = served.find(name)?.modules.find<MamApi>('mod_mam')?.table
        const outcome = await table?.removeOlder(before, kind === 'all' ? undefined : kind).settled
        if (outcome?.ok === false) throw outcome.error
      }
      return 0
    },
  }),
]

function accountOf(user: CommandValue | undefined, host: CommandValue | undefined): BareJid {
  const parsed = parseJidParts(String(user), String(host), '')
  if (!parsed.ok) throw new CommandError('error', `"${String(user)}@${String(host)}" is no address`)
  return bareJid(parsed.value)
}

function tableOf(context: CommandContext, host: string): ArchiveTable {
  const table = context.service(hosts).find(host)?.modules.find<MamApi>('mod_mam')?.table
  if (table === undefined) throw new CommandError('error', `mod_mam does not run on ${host}`)
  return table
}
