import { parseHostName, parseJid, prepLocalpart, prepResource } from '../../xmpp/jid/jid.ts'
import type { HostName, Jid } from '../../xmpp/jid/jid.ts'

/** The canonical form of a host name, `undefined` when the text is none. */
export function prepareDomain(text: string): HostName | undefined {
  const prepared = parseHostName(text)
  return prepared.ok ? prepared.value : undefined
}

/** The canonical form of a user name; the empty one, which stands for a server, is accepted. */
export function prepareUser(text: string): string | undefined {
  if (text === '') return text
  const prepared = prepLocalpart(text)
  return prepared.ok ? prepared.value : undefined
}

/** The canonical form of a resource; the empty one, which stands for no resource, is accepted. */
export function prepareResource(text: string): string | undefined {
  if (text === '') return text
  const prepared = prepResource(text)
  return prepared.ok ? prepared.value : undefined
}

export function prepareJid(text: string): Jid | undefined {
  const parsed = parseJid(text)
  return parsed.ok ? parsed.value : undefined
}
