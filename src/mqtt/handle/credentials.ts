import { jidAccount } from '../../auth/sasl/account-name.ts'
import { accounts, signIns } from '../../core/account.ts'
import type { AuthAttempt } from '../../core/account.ts'
import { clientIdentity } from '../../core/net/client-identity.ts'
import type { ClientIdentity } from '../../core/net/client-identity.ts'
import type { Result } from '../../util/result.ts'
import { err, ok } from '../../util/result.ts'
import { domainpart } from '../../xmpp/jid/jid.ts'
import type { BareJid, HostName } from '../../xmpp/jid/jid.ts'
import type { Connection } from '../connection.ts'
import type { ClientName } from '../identity.ts'
import { claimedAccount } from '../identity.ts'
import type { Connect } from '../packet/packet.ts'
import { ReasonCode } from '../packet/reason-code.ts'
import { isUtf8 } from '../packet/utf8.ts'
import { findHost } from './admission.ts'
import type { Refusal } from './refusal.ts'
import { reasonOfSignIn, refusal } from './refusal.ts'

/** Who proved to be an account by what CONNECT holds: by the password, or, without one, by the certificate of the connection. */
export async function checkCredentials(
  connection: Connection,
  connect: Connect,
  name: ClientName,
  firstHost: HostName,
): Promise<Result<BareJid, Refusal>> {
  const { profile, transport } = connection
  const { password = new Uint8Array(0) } = connect
  const claimed = claimedAccount(connect, name, firstHost)
  let account = claimed
  let certificate: ClientIdentity = { kind: 'none' }
  if (password.length === 0 && profile.verifiesCertificates) {
    certificate = clientIdentity(transport.tls)
  }
  const certified = accountsOf(certificate, firstHost)
  const [only] = certified
  // Without a user name the certificate may say who it is, too; ejabberd wants the client identifier to.
  const isNamed = connect.userName !== undefined && connect.userName !== ''
  const isClaimed = claimed !== undefined && certified.includes(claimed)
  if (!isNamed && !isClaimed && only !== undefined && certified.length === 1) account = only
  if (account === undefined) return refusal(ReasonCode.badUserNameOrPassword)
  const found = findHost(connection, name, domainpart(account))
  if (!found.ok) return found
  if (certificate.kind !== 'none') {
    return admitByCertificate(connection, account, certified.includes(account))
  }
  return checkPassword(connection, account, password)
}

async function checkPassword(
  connection: Connection,
  account: BareJid,
  password: Uint8Array,
): Promise<Result<BareJid, Refusal>> {
  // A password is text, whatever MQTT lets through.
  if (!isUtf8(password, 0, password.length)) return refusal(ReasonCode.badUserNameOrPassword)
  const { services } = connection.profile.brokers
  const attempt = attemptOf(connection)
  const mayTry = await services.get(signIns).mayTry(domainpart(account), account, attempt)
  if (!mayTry.ok) return refusal(ReasonCode.banned, mayTry.error)
  const text = Buffer.from(password).toString('utf8')
  const checked = await services.get(accounts).checkPassword(account, text, attempt)
  if (checked.ok) return ok(account)
  return refusal(reasonOfSignIn(checked.error, ReasonCode.badUserNameOrPassword))
}

async function admitByCertificate(
  connection: Connection,
  account: BareJid,
  isOwner: boolean,
): Promise<Result<BareJid, Refusal>> {
  const gate = connection.profile.brokers.services.get(signIns)
  const host = domainpart(account)
  const attempt = attemptOf(connection)
  const mayTry = await gate.mayTry(host, account, attempt)
  if (!mayTry.ok) return refusal(ReasonCode.banned, mayTry.error)
  const admitted = isOwner ? await gate.admit(account) : err('not-authorized' as const)
  gate.tried(host, account, attempt, admitted.ok)
  if (admitted.ok) return ok(account)
  return refusal(reasonOfSignIn(admitted.error, ReasonCode.notAuthorized))
}

export function attemptOf({ transport }: Connection): AuthAttempt {
  return { protocol: 'mqtt', ip: transport.peer.ip }
}

/** Whom a certificate was issued for: its XMPP addresses, and its common name, which may be a user of the first host. */
function accountsOf(identity: ClientIdentity, firstHost: HostName): readonly BareJid[] {
  if (identity.kind !== 'verified') return []
  const { commonName } = identity
  // An address without a user is a server's (RFC 6120 §13.7.1.4).
  const addresses = identity.addresses.filter((address) => address.includes('@'))
  const names = commonName === undefined ? addresses : [...addresses, commonName]
  return [...new Set(names.flatMap((name) => jidAccount(firstHost)(name) ?? []))]
}
