import { createHash, randomBytes } from 'node:crypto'
import type { Result } from '../util/result.ts'
import { err, ok } from '../util/result.ts'
import type { FullJid, HostName } from '../xmpp/jid/jid.ts'
import {
  domainpart,
  isBare,
  localpart,
  makeJid,
  parseJid,
  prepLocalpart,
  prepResource,
} from '../xmpp/jid/jid.ts'
import type { Connect } from './packet/packet.ts'
import { ReasonCode } from './packet/reason-code.ts'

/** Client identifiers have 1 to 23 characters (MQTT 3.1 §3.1, MQTT5 3.1.3-5); longer ones are accepted, as everywhere. */
export interface ClientIdentity {
  /** The account with the client identifier as its resource. */
  readonly jid: FullJid
  /** Set when the server chose the client identifier. */
  readonly assigned: string | undefined
}

/**
 * Who a CONNECT says it comes from. The user name is the account: `user@host`, or a user of the first host; without a user
 * name the client identifier is the user. Account and client identifier name the session (MQTT5 3.1.3-2).
 */
export function identify(
  connect: Connect,
  firstHost: HostName,
): Result<ClientIdentity, ReasonCode> {
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
  const { userName = '' } = connect
  if (userName === '') {
    const user = prepLocalpart(clientId)
    // A client identifier may be anything, a user may not.
    const local = user.ok ? user : prepLocalpart(createHash('sha1').update(clientId).digest('hex'))
    if (!local.ok) return err(ReasonCode.badUserNameOrPassword)
    return ok({ jid: makeJid(local.value, firstHost, resource.value), assigned })
  }
  if (!userName.includes('@')) {
    const user = prepLocalpart(userName)
    if (!user.ok) return err(ReasonCode.badUserNameOrPassword)
    return ok({ jid: makeJid(user.value, firstHost, resource.value), assigned })
  }
  const account = parseJid(userName)
  if (!account.ok || !isBare(account.value)) return err(ReasonCode.badUserNameOrPassword)
  const jid = makeJid(localpart(account.value), domainpart(account.value), resource.value)
  return ok({ jid, assigned })
}
