import { createHash } from 'node:crypto'
import type { ScramHash, SignInPolicy } from '../../core/account.ts'
import { scramMechanisms } from './mechanism.ts'
import type { MechanismName } from './mechanism.ts'

/** Where mechanisms are offered: SASL in XMPP, its second profile (XEP-0388), or MQTT 5's AUTH. */
export type SaslProfile = 'sasl1' | 'sasl2' | 'mqtt'

export interface OfferInput {
  readonly policy: SignInPolicy
  readonly profile: SaslProfile
  /** `disable_sasl_mechanisms`, in any case. */
  readonly disabled: readonly string[]
  readonly isEncrypted: boolean
  /** The types that the connection has, best first. */
  readonly channelBindings: readonly string[]
  /** The client showed a certificate that was verified and holds an address (XEP-0178). */
  readonly hasCertificate: boolean
  /** Lets PLAIN pass without TLS; for connections that are safe by other means, such as loopback. */
  readonly allowPlainWithoutTls?: boolean
  /** Whether SCRAM says what was offered (XEP-0474); not with `disable_sasl_scram_downgrade_protection`. */
  readonly protectsFromDowngrade: boolean
}

/** What a client may choose from. */
export interface Offer {
  /** Strongest first. */
  readonly mechanisms: readonly MechanismName[]
  /** The types to announce (XEP-0440); none unless a mechanism uses them. */
  readonly channelBindings: readonly string[]
  readonly protectsFromDowngrade: boolean
}

/** Chooses the mechanisms for a connection. */
export function offerMechanisms(input: OfferInput): Offer {
  const { policy, profile } = input
  const disabled = new Set(input.disabled.map((name) => name.toUpperCase()))
  const hidden: readonly string[] = profile === 'sasl1' ? policy.hiddenInSasl1 : []
  const scram = scramMechanisms.filter(
    ({ hash, form }) => policy.scram.includes(hash) && !hidden.includes(form),
  )
  const canBind = input.isEncrypted && input.channelBindings.length > 0
  const candidates: MechanismName[] = []
  if (input.hasCertificate && profile !== 'mqtt') candidates.push('EXTERNAL')
  if (canBind) candidates.push(...scram.map(({ base }) => `${base}-PLUS` as const))
  candidates.push(...scram.map(({ base }) => base))
  // RFC 4616 §4: PLAIN shows the password to whoever reads along.
  const hidesPassword = input.isEncrypted || input.allowPlainWithoutTls === true
  if (policy.checksPasswords && hidesPassword && !hidden.includes('plain')) candidates.push('PLAIN')
  if (policy.allowsGuests) candidates.push('ANONYMOUS')
  const mechanisms = candidates.filter((name) => !disabled.has(name))
  return {
    mechanisms,
    channelBindings: offersPlus(mechanisms) ? input.channelBindings : [],
    protectsFromDowngrade: input.protectsFromDowngrade && profile !== 'mqtt',
  }
}

/** RFC 5802 §6: whether the client was told that we can bind to the channel. */
export function offersPlus(mechanisms: readonly string[]): boolean {
  return mechanisms.some((name) => name.endsWith('-PLUS'))
}

/** The hash over what was offered that SCRAM's challenge carries in its attribute `h` (XEP-0474 §5.1), in base64. */
export function downgradeHash(offer: Offer, hash: ScramHash): string {
  // All names are ASCII, so that the default order is that of i;octet.
  let text = [...offer.mechanisms].sort().join('\u001E')
  if (offer.channelBindings.length > 0) {
    text += `\u001F${[...offer.channelBindings].sort().join('\u001E')}`
  }
  return createHash(hash).update(text).digest('base64')
}
