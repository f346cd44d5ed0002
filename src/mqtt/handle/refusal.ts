import type { SignInError } from '../../core/account.ts'
import { ReasonCode, reasonName } from '../packet/reason-code.ts'

/** Why a client is not let in, as CONNACK says it. */
export interface Refusal {
  readonly reason: ReasonCode
  readonly detail: string
  /** Where else it may try (MQTT5 4.11). */
  readonly serverReference?: string | undefined
}

/** Without words of its own a reason is told by its name. */
export function refusal(
  reason: ReasonCode,
  detail = '',
): { readonly ok: false; readonly error: Refusal } {
  const words = detail === '' ? reasonName(reason, 'connack') : detail
  return { ok: false, error: { reason, detail: words } }
}

/** `notAuthorized` is the reason for who has not proved to be the account. */
export function reasonOfSignIn(error: SignInError, notAuthorized: ReasonCode): ReasonCode {
  switch (error) {
    case 'not-authorized':
      return notAuthorized
    case 'account-disabled':
      return ReasonCode.banned
    case 'unavailable':
      return ReasonCode.serverUnavailable
  }
}
