import type { Command, CommandContext, CommandValue } from '../../core/command.ts'
import { CommandError, defineCommand } from '../../core/command.ts'
import { hosts } from '../../core/shared.ts'
import type { Subscription } from '../../xmpp/contacts.ts'
import type { BareJid, Jid } from '../../xmpp/jid/jid.ts'
import { bareJid, domainpart, parseJidParts } from '../../xmpp/jid/jid.ts'
import { checkTexts } from './item.ts'
import { subscriptionStates } from './subscription-states.ts'
import type { RosterApi } from './roster.ts'

const owner = [
  { name: 'user', type: 'binary' },
  { name: 'host', type: 'binary' },
] as const

const contactFields = [
  { name: 'jid', type: 'string' },
  { name: 'nick', type: 'string' },
  { name: 'subscription', type: 'string' },
  { name: 'pending', type: 'string' },
  { name: 'groups', type: { list: { name: 'group', type: 'string' } } },
] as const

const itemArgs = [
  { name: 'localuser', type: 'binary' },
  { name: 'localhost', type: 'binary' },
  { name: 'user', type: 'binary' },
  { name: 'host', type: 'binary' },
] as const

const renamedOwner = { server: 'host' }
const renamedItem = { localserver: 'localhost', server: 'host' }

export const rosterCommands: readonly Command[] = [
  defineCommand({
    name: 'get_roster',
    tags: ['roster'],
    summary: 'Get list of contacts in a local user roster',
    args: owner,
    renamed: renamedOwner,
    policy: 'user',
    result: {
      name: 'contacts',
      type: { list: { name: 'contact', type: { tuple: contactFields } } },
    },
    run: async ([user, host], context) => {
      const account = accountOf(user, host)
      const items = await rosterOf(account, context).items(account)
      return items.map(({ jid, name, state, groups }) => {
        const { subscription, isAsked } = subscriptionStates[state]
        // ejabberd prints its record's field, in which nothing is "undefined".
        return [jid, name, subscription, isAsked ? 'subscribe' : 'undefined', groups]
      })
    },
  }),
  defineCommand({
    name: 'get_roster_count',
    tags: ['roster'],
    summary: 'Get number of contacts in a local user roster',
    args: owner,
    renamed: renamedOwner,
    policy: 'user',
    result: { name: 'value', type: 'integer' },
    run: async ([user, host], context) => {
      const account = accountOf(user, host)
      return (await rosterOf(account, context).items(account)).length
    },
  }),
  defineCommand({
    name: 'add_rosteritem',
    tags: ['roster'],
    summary: "Add an item to a user's roster",
    args: [
      ...itemArgs,
      { name: 'nick', type: 'binary' },
      { name: 'group', type: 'binary' },
      { name: 'subs', type: 'binary' },
    ],
    renamed: renamedItem,
    result: 'rescode',
    run: (args, context) => {
      const groups = String(args[5]).split(';')
      return addItem(args, groups, context)
    },
  }),
  defineCommand({
    name: 'add_rosteritem',
    version: 1,
    tags: ['roster'],
    summary: "Add an item to a user's roster",
    args: [
      ...itemArgs,
      { name: 'nick', type: 'binary' },
      { name: 'groups', type: { list: { name: 'group', type: 'binary' } } },
      { name: 'subs', type: 'binary' },
    ],
    renamed: renamedItem,
    result: 'rescode',
    run: (args, context) => {
      const groups = Array.isArray(args[5]) ? args[5].map(String) : [String(args[5])]
      return addItem(args, groups, context)
    },
  }),
  defineCommand({
    name: 'delete_rosteritem',
    tags: ['roster'],
    summary: "Delete an item from a user's roster",
    args: itemArgs,
    renamed: renamedItem,
    result: 'rescode',
    run: async ([localuser, localhost, user, host], context) => {
      const account = accountOf(localuser, localhost)
      // That it was not there is no failure to ejabberd.
      await rosterOf(account, context).queries.remove(account, contactOf(user, host))
      return 0
    },
  }),
]

async function addItem(
  args: readonly CommandValue[],
  groupTexts: readonly string[],
  context: CommandContext,
): Promise<CommandValue> {
  const [localuser, localhost, user, host, nick, , subs] = args
  const account = accountOf(localuser, localhost)
  const contact = contactOf(user, host)
  const subscription = String(subs)
  if (!isSubscription(subscription)) {
    throw new CommandError('error', `"${subscription}" is none of none, from, to and both`)
  }
  const name = String(nick)
  const groups = [...new Set(groupTexts.filter((group) => group !== ''))]
  const wrong = checkTexts(name, groups)
  if (wrong !== undefined) throw new CommandError('error', wrong.text)
  const { queries } = rosterOf(account, context)
  const refusal = await queries.put(account, contact, { name, groups, subscription })
  if (refusal !== undefined) throw new CommandError('error', 'The roster is full')
  return 0
}

function isSubscription(text: string): text is Subscription {
  return ['none', 'from', 'to', 'both'].includes(text)
}

function accountOf(user: CommandValue | undefined, host: CommandValue | undefined): BareJid {
  const parsed = parseJidParts(String(user), String(host), '')
  if (!parsed.ok) throw new CommandError('error', "Invalid 'localuser'/'localserver'")
  return bareJid(parsed.value)
}

function contactOf(user: CommandValue | undefined, host: CommandValue | undefined): Jid {
  const parsed = parseJidParts(String(user), String(host), '')
  if (!parsed.ok) throw new CommandError('error', "Invalid 'user'/'server'")
  return parsed.value
}

function rosterOf(account: BareJid, context: CommandContext): RosterApi {
  const host = context.service(hosts).find(domainpart(account))
  if (host === undefined) {
    throw new CommandError('unknown_host', `the host "${domainpart(account)}" is not served`)
  }
  const api = host.modules.find<RosterApi>('mod_roster')
  if (api === undefined) throw new CommandError('error', `mod_roster does not run on ${host.name}`)
  return api
}
