import type { Localpart } from '../xmpp/jid/jid.ts'

/** A backend that does not answer, or answers nonsense: nobody is let in by it, and nobody is told that a password is wrong. */
export class BackendError extends Error {
  override readonly name = 'BackendError'

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
  }
}

/** `stop`: wrong, and no other backend may say otherwise. */
export type Verdict = 'right' | 'wrong' | 'stop'

/**
 * One way of `auth_method`, for one host. What a backend cannot do it leaves out. All functions reject with a `BackendError`
 * when the backend is out of order.
 */
export interface Backend {
  readonly name: string
  /** Whether what it says about unknown accounts may be incomplete (`auth_external_user_exists_check`). */
  readonly isExternal: boolean
  exists(local: Localpart): Promise<boolean>
  verify(local: Localpart, password: string): Promise<Verdict>
  register?(local: Localpart, password: string): Promise<'ok' | 'exists' | 'refused'>
  setPassword?(local: Localpart, password: string): Promise<'ok' | 'not-found' | 'refused'>
  /** Whether there was one. */
  remove?(local: Localpart): Promise<boolean>
  list?(): Promise<readonly string[]>
  count?(): Promise<number>
  /** Forgets what it would otherwise not ask again. */
  clearCache?(): void
  close?(): Promise<void>
}
