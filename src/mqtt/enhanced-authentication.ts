import { channelBindingsOf } from '../auth/sasl/channel-binding.ts'
import { SaslExchange } from '../auth/sasl/exchange.ts'
import type { SaslContext, SaslFailure, SaslStep } from '../auth/sasl/mechanism.ts'
import { offerMechanisms } from '../auth/sasl/offer.ts'
import type { Offer } from '../auth/sasl/offer.ts'
import { accounts, signIns } from '../core/account.ts'
import { currentConfig } from '../core/current-config.ts'
import { domainpart } from '../xmpp/jid/jid.ts'
import type { BareJid, HostName } from '../xmpp/jid/jid.ts'
import type { Connection } from './connection.ts'
import type { Newcomer } from './handle/admission.ts'
import { ReasonCode } from './packet/reason-code.ts'

/** How long one exchange may take. */
const patienceMs = 30_000

/** Whom an exchange is to prove: this account, or any of the host that the user name in it means. */
export interface Claim {
  readonly host: HostName
  readonly account: BareJid | undefined
  readonly accountOf: (userName: string) => BareJid | undefined
}

/**
 * Extended authentication of one connection (MQTT5 4.12): AUTH packets carry the messages of SCRAM, as SASL does in XMPP. The
 * method stays the same as long as the connection lasts (MQTT5 4.12.0-5, 4.12.1-1).
 */
export class EnhancedAuthentication {
  readonly method: string
  /** Whose CONNECT it belongs to. */
  readonly newcomer: Newcomer
  readonly #connection: Connection
  #exchange: SaslExchange | undefined
  #beganAtMs = 0
  /** A message of the client is being looked at: it has to wait for the answer. */
  isBusy = false

  constructor(connection: Connection, newcomer: Newcomer, method: string) {
    this.#connection = connection
    this.newcomer = newcomer
    this.method = method
  }

  /** The client's next message belongs to an exchange. */
  get isUnderWay(): boolean {
    return this.#exchange !== undefined
  }

  isLate(nowMs: number): boolean {
    return this.#exchange !== undefined && nowMs - this.#beganAtMs > patienceMs
  }

  /** The first message, which may be absent: then the client is asked for it. */
  begin(claim: Claim, data: Uint8Array | undefined): Promise<SaslStep> {
    const { profile, transport } = this.#connection
    const { services, tickMs } = profile.brokers
    const context: SaslContext = {
      host: claim.host,
      attempt: { protocol: 'mqtt', ip: transport.peer.ip },
      accounts: services.get(accounts),
      signIns: services.get(signIns),
      offer: this.#offer(claim.host),
      accountOf(userName) {
        const account = claim.accountOf(userName)
        if (claim.account !== undefined) return claim.account === account ? account : undefined
        // The method was chosen by what this host offers.
        return account !== undefined && domainpart(account) === claim.host ? account : undefined
      },
      channelBindings: channelBindingsOf(transport.tls),
      certificateAddresses: [],
    }
    this.#beganAtMs = tickMs
    const exchange = new SaslExchange(this.method, context, profile.log)
    this.#exchange = exchange
    return this.#run(exchange.start(data))
  }

  next(data: Uint8Array): Promise<SaslStep> {
    const exchange = this.#exchange
    if (exchange === undefined) throw new Error('No authentication is under way')
    return this.#run(exchange.next(data))
  }

  async #run(step: Promise<SaslStep>): Promise<SaslStep> {
    this.isBusy = true
    const outcome = await step
    this.isBusy = false
    if (outcome.kind !== 'challenge') this.#exchange = undefined
    return outcome
  }

  /** SCRAM only: for everything else CONNECT has a password. Clients are not told what there is, so nobody can cut it down. */
  #offer(host: HostName): Offer {
    const { profile, transport } = this.#connection
    const { services } = profile.brokers
    const channelBindings = [...channelBindingsOf(transport.tls).keys()]
    const offer = offerMechanisms({
      policy: services.get(signIns).policy(host),
      profile: 'mqtt',
      disabled: services.get(currentConfig).value.forHost(host).disable_sasl_mechanisms,
      isEncrypted: transport.tls !== undefined,
      channelBindings,
      hasCertificate: false,
      protectsFromDowngrade: false,
    })
    const isChosen = (name: string): boolean => name === this.method && name.startsWith('SCRAM-')
    return { ...offer, mechanisms: offer.mechanisms.filter(isChosen) }
  }
}

/** Not every reason may stand in every packet (MQTT5 2.4). */
export function reasonOfFailure(
  { condition }: SaslFailure,
  packet: 'connack' | 'disconnect',
): ReasonCode {
  const isFirst = packet === 'connack'
  switch (condition) {
    case 'invalid-mechanism':
    case 'mechanism-too-weak':
      return ReasonCode.badAuthenticationMethod
    case 'account-disabled':
      return isFirst ? ReasonCode.banned : ReasonCode.administrativeAction
    case 'temporary-auth-failure':
      return isFirst ? ReasonCode.serverUnavailable : ReasonCode.serverBusy
    case 'aborted':
    case 'credentials-expired':
    case 'encryption-required':
    case 'incorrect-encoding':
    case 'invalid-authzid':
    case 'malformed-request':
    case 'not-authorized':
      return ReasonCode.notAuthorized
  }
}
