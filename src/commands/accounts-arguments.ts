import { accounts } from '../core/account.ts'
import type { AccountError } from '../core/account.ts'
import type { CommandContext, CommandValue, Field } from '../core/command.ts'
import { CommandError } from '../core/command.ts'
import { hosts } from '../core/shared.ts'
import type { BareJid, HostName } from '../xmpp/jid/jid.ts'
import { isBare, localpart, parseHostName, parseJidParts } from '../xmpp/jid/jid.ts'

/* What commands on accounts take and how they fail, in ejabberd's words. */

export const user: Field = { name: 'user', type: 'binary' }
export const host: Field = { name: 'host', type: 'binary' }
export const unknownHost = 'Unknown virtual host'

export function accountOf(
  name: CommandValue | undefined,
  domain: CommandValue | undefined,
): BareJid | undefined {
  const jid = parseJidParts(String(name), String(domain), '')
  if (!jid.ok || !isBare(jid.value) || localpart(jid.value) === '') return undefined
  return jid.value
}

export function servedHost(
  domain: CommandValue | undefined,
  context: CommandContext,
): HostName | undefined {
  const name = parseHostName(String(domain))
  if (!name.ok || context.service(hosts).find(name.value) === undefined) return undefined
  return name.value
}

export function requireHost(domain: CommandValue | undefined, context: CommandContext): HostName {
  const name = servedHost(domain, context)
  if (name === undefined) throw new CommandError('error', unknownHost)
  return name
}

/** Sets a password and returns whose it is. */
export async function setPassword(
  name: CommandValue | undefined,
  domain: CommandValue | undefined,
  password: string,
  context: CommandContext,
): Promise<BareJid> {
  const account = accountOf(name, domain)
  if (account === undefined || !(await context.service(accounts).exists(account))) {
    throw new CommandError('not_found', 'unknown_user')
  }
  const changed = await context.service(accounts).setPassword(account, password)
  if (!changed.ok) throw failure(changed.error)
  return account
}

/** In ejabberd's words. */
export function failure(error: AccountError): CommandError {
  const words: Record<AccountError, string> = {
    exists: 'exists',
    'not-found': 'unknown_user',
    'not-allowed': 'not_allowed',
    'invalid-jid': 'invalid_jid',
    'invalid-password': 'invalid_password',
    unavailable: 'db_failure',
  }
  if (error === 'not-found') return new CommandError('not_found', words[error])
  return word(words[error])
}

/** A failure whose only text is its word. */
export function word(name: string): CommandError {
  return new CommandError(name === 'not_allowed' ? 'not_allowed' : 'error', name)
}
