import { jidAccount } from '../../auth/sasl/account-name.ts'
import type { SaslStep } from '../../auth/sasl/mechanism.ts'
import { parseClientFirst } from '../../auth/sasl/scram-message.ts'
import { signIns } from '../../core/account.ts'
import { bareJid, domainpart } from '../../xmpp/jid/jid.ts'
import type { HostName } from '../../xmpp/jid/jid.ts'
import type { Connection } from '../connection.ts'
import { stop } from '../stop.ts'
import type { Claim } from '../enhanced-authentication.ts'
import { EnhancedAuthentication, reasonOfFailure } from '../enhanced-authentication.ts'
import { claimedAccount } from '../identity.ts'
import type { Auth } from '../packet/packet.ts'
import { ReasonCode, reasonName } from '../packet/reason-code.ts'
import type { Newcomer } from './admission.ts'
import { admit, findHost, refuse } from './admission.ts'
import { attemptOf } from './credentials.ts'
import { refusal } from './refusal.ts'

/** A CONNECT that names a method (MQTT5 4.12): its Authentication Data is the first message of SCRAM, or that comes by AUTH. */
export function authenticate(
  connection: Connection,
  newcomer: Newcomer,
  firstHost: HostName,
): void {
  const { connect, name } = newcomer
  const { authenticationMethod = '', authenticationData } = connect.properties
  const accountOf = jidAccount(firstHost)
  const isNamed = connect.userName !== undefined && connect.userName !== ''
  const account = isNamed ? claimedAccount(connect, name, firstHost) : undefined
  if (isNamed && account === undefined) {
    refuse(connection, refusal(ReasonCode.badUserNameOrPassword).error)
    return
  }
  // Without a user name the message of SCRAM has one. Its host decides what is offered.
  const parsed = authenticationData === undefined ? undefined : parseClientFirst(authenticationData)
  const meant = account ?? (parsed?.ok === true ? accountOf(parsed.value.userName) : undefined)
  const host = meant === undefined ? firstHost : domainpart(meant)
  const found = findHost(connection, name, host)
  if (!found.ok) {
    refuse(connection, found.error)
    return
  }
  const authentication = new EnhancedAuthentication(connection, newcomer, authenticationMethod)
  connection.authentication = authentication
  const claim: Claim = { host, account, accountOf }
  const begin = async (): Promise<void> => {
    const { services } = connection.profile.brokers
    const mayTry = await services.get(signIns).mayTry(host, account, attemptOf(connection))
    if (mayTry.ok) answerConnect(connection, await authentication.begin(claim, authenticationData))
    else refuse(connection, refusal(ReasonCode.banned, mayTry.error).error)
  }
  run(connection, begin())
}

/** MQTT5 3.15: a message of the exchange that CONNECT began, or of one that proves the identity once more (MQTT5 4.12.1). */
export function handleAuth(connection: Connection, packet: Auth): void {
  const { authentication } = connection
  if (authentication === undefined) {
    const why = 'CONNECT named no authentication method (MQTT5 4.12.0-7)'
    connection.reject(ReasonCode.protocolError, why)
    return
  }
  const { authenticationMethod, authenticationData = new Uint8Array(0) } = packet.properties
  if (authenticationMethod === undefined) {
    connection.reject(ReasonCode.protocolError, 'AUTH names no method (MQTT5 3.15.2.2.2)')
    return
  }
  if (authenticationMethod !== authentication.method) {
    const why = `The authentication method is not "${authentication.method}" (MQTT5 4.12.0-5, 4.12.1-1)`
    connection.reject(ReasonCode.badAuthenticationMethod, why)
    return
  }
  const { reasonCode } = packet
  const { isUnderWay } = authentication
  const fits =
    reasonCode === ReasonCode.continueAuthentication
      ? isUnderWay && !authentication.isBusy
      : // MQTT5 3.15.2-1: "success" is the server's word.
        reasonCode === ReasonCode.reAuthenticate && connection.isOpen && !isUnderWay
  if (!fits) {
    const what = reasonName(reasonCode, 'auth')
    connection.reject(
      ReasonCode.protocolError,
      `AUTH with "${what}" may not come here (MQTT5 4.12)`,
    )
    return
  }
  if (!connection.isOpen) {
    connection.phase = 'signing-in'
    connection.pauseReading(stop.signIn)
    run(
      connection,
      (async () => {
        answerConnect(connection, await authentication.next(authenticationData))
      })(),
    )
  } else if (reasonCode === ReasonCode.reAuthenticate) {
    run(
      connection,
      (async () => {
        const first = packet.properties.authenticationData
        answerAgain(connection, await authentication.begin(ownClaim(connection), first))
      })(),
    )
  } else {
    run(
      connection,
      (async () => {
        answerAgain(connection, await authentication.next(authenticationData))
      })(),
    )
  }
}

/** Packets go on in between (MQTT5 4.12.1); who it is stays the same. */
function ownClaim({ client, profile }: Connection): Claim {
  const { firstHost } = profile.brokers
  if (client === undefined || firstHost === undefined) throw new Error('Nobody is signed in')
  const account = bareJid(client.jid)
  return { host: domainpart(account), account, accountOf: jidAccount(firstHost) }
}

function answerConnect(connection: Connection, step: SaslStep): void {
  const { authentication } = connection
  if (connection.phase === 'closed' || authentication === undefined) return
  const { method, newcomer } = authentication
  switch (step.kind) {
    case 'challenge':
      connection.phase = 'authenticating'
      sendAuth(connection, ReasonCode.continueAuthentication, method, step.data)
      connection.resumeReading(stop.signIn)
      return
    case 'success': {
      const { account, data } = step
      const proof = {
        authenticationMethod: method,
        ...(data !== undefined && { authenticationData: data }),
      }
      admit(connection, { ...newcomer, proof }, account)
      return
    }
    case 'failure':
      refuse(connection, refusal(reasonOfFailure(step, 'connack'), step.text).error)
      return
  }
}

function answerAgain(connection: Connection, step: SaslStep): void {
  const { authentication } = connection
  if (!connection.isOpen || authentication === undefined) return
  const { method } = authentication
  switch (step.kind) {
    case 'challenge':
      sendAuth(connection, ReasonCode.continueAuthentication, method, step.data)
      return
    case 'success':
      sendAuth(connection, ReasonCode.success, method, step.data)
      return
    case 'failure': {
      // MQTT5 4.12.1-2.
      const reason = reasonOfFailure(step, 'disconnect')
      const words = step.text === '' ? reasonName(reason, 'disconnect') : step.text
      connection.fail(reason, `Re-authentication failed: ${words}`)
      return
    }
  }
}

/** MQTT5 4.12.0-2, 4.12.0-5. */
function sendAuth(
  connection: Connection,
  reasonCode: ReasonCode,
  method: string,
  data: Uint8Array | undefined,
): void {
  const authenticationData = data === undefined ? {} : { authenticationData: data }
  const properties = { authenticationMethod: method, ...authenticationData }
  connection.sendAnswer({ kind: 'auth', reasonCode, properties })
}

function run(connection: Connection, work: Promise<void>): void {
  work.catch((error: unknown) => {
    connection.profile.log.error({ err: error }, 'Cannot sign a client in')
    connection.reject(ReasonCode.unspecifiedError, 'Internal error')
  })
}
