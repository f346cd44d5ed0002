import type { Command } from '../../core/command.ts'
import { CommandError, defineCommand } from '../../core/command.ts'
import { hosts } from '../../core/shared.ts'
import { bareJid, domainpart, parseJidParts } from '../../xmpp/jid/jid.ts'
import type { OfflineMessages } from './offline-messages.ts'

export const offlineCommands: readonly Command[] = [
  defineCommand({
    name: 'get_offline_count',
    tags: ['offline'],
    summary: 'Get the number of unread offline messages',
    args: [
      { name: 'user', type: 'binary' },
      { name: 'host', type: 'binary' },
    ],
    renamed: { server: 'host' },
    policy: 'user',
    result: { name: 'value', type: 'integer' },
    run: ([user, host], context) => {
      const parsed = parseJidParts(String(user), String(host), '')
      if (!parsed.ok) throw new CommandError('error', `"${user}@${host}" is no address`)
      const account = bareJid(parsed.value)
      const served = context.service(hosts).find(domainpart(account))
      const messages = served?.modules.find<OfflineMessages>('mod_offline')
      if (messages === undefined) {
        throw new CommandError('error', `mod_offline does not run on ${domainpart(account)}`)
      }
      return messages.count(account)
    },
  }),
]
