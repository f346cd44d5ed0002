import { createHash, randomBytes } from 'node:crypto'
import { jidAccount } from '../auth/sasl/account-name.ts'
import type { Result } from '../util/result.ts'
import { err, ok } from '../util/result.ts'
import type { BareJid, HostName, Resourcepart } from '../xmpp/jid/jid.ts'
import { makeJid, prepLocalpart, prepResource } from '../xmpp/jid/jid.ts'
import type { Connect } from './packet/packet.ts'
import { ReasonCode } from './packet/reason-code.ts'

/** Client identifiers have 1 to 23 characters (MQTT 3.1 §3.1, MQTT5 3.1.3-5); longer ones are accepted, as everywhere. */
export interface ClientName {
  readonly clientId: string
  /** The client identifier as the resource of the account: both together name the session (MQTT5 3.1.3-2). */
  readonly resource: Resourcepart
  /** Set when the server chose the client identifier. */
  readonly assigned: string | undefined
}

export function nameOf(connect: Connect): Result<ClientName, ReasonCode> {
  let clientId = connect.clientIdentifier
  let assigned: string | undefined
  if (clientId === '') {
    // MQTT 3.1 has no empty identifiers; MQTT3 3.1.3-8: not with a session that is to last.
    if (connect.version === 3 || (connect.version === 4 && !connect.cleanStart)) {
      return err(ReasonCode.clientIdentifierNotValid)
    }
    // MQTT5 3.1.3-6, 3.1.3-7, 3.2.2-16.
    assigned = clientId = randomBytes(16).toString('hex')
  }
  const resource = prepResource(clientId)
  // MQTT5 3.1.3-8.
  if (!resource.ok) return err(ReasonCode.clientIdentifierNotValid)
  return ok({ clientId, resource: resource.value, assigned })
}

/**
 * Whom a CONNECT claims to come from: the user name is the account, `user@host` or a user of the first host; without a user
 * name the client identifier is the user. Undefined when there can be no such account.
 */
export function claimedAccount(
  { userName = '' }: Connect,
  { clientId }: ClientName,
  firstHost: HostName,
): BareJid | undefined {
  if (userName !== '') return jidAccount(firstHost)(userName)
  const user = prepLocalpart(clientId)
  // A client identifier may be anything, a user may not.
  const local = user.ok ? user : prepLocalpart(createHash('sha1').update(clientId).digest('hex'))
  return local.ok ? makeJid(local.value, firstHost, '') : undefined
}
