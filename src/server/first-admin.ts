import { randomBytes } from 'node:crypto'
import { accounts } from '../core/account.ts'
import type { LinnetServer } from '../server.ts'
import { isBare, parseJidParts } from '../xmpp/jid/jid.ts'

/**
 * On a server without any account, makes the first one, `admin` on the first host, with a password that is printed once. The
 * built-in configuration lets that account administer. Returns what to print, or undefined when there are accounts already.
 */
export async function firstAdmin(server: LinnetServer): Promise<string | undefined> {
  const [host] = server.config.hosts
  if (host === undefined || !server.isBuiltInConfig) return undefined
  const registry = server.services.get(accounts)
  if ((await registry.count(host)) > 0) return undefined
  const account = parseJidParts('admin', host, '')
  if (!account.ok || !isBare(account.value)) return undefined
  const password = randomBytes(12).toString('base64url')
  const registered = await registry.register(account.value, password)
  if (!registered.ok) return undefined
  return [
    '',
    'The first account, which may administer the server:',
    `  ${account.value}`,
    `  password: ${password}    (shown only now; change it with "linnet change_password")`,
    '',
    '',
  ].join('\n')
}
