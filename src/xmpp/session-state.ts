import type { Session } from './session.ts'

/**
 * What one module keeps with each session: a typed slot, made when first asked for and gone with the session. The value
 * has to be data that can be copied (no functions, sockets or timers), because a session may move to another connection
 * or node.
 */
export interface SessionState<T> {
  readonly name: string
  readonly create: (session: Session) => T
}

export function defineSessionState<T>(
  name: string,
  create: (session: Session) => T,
): SessionState<T> {
  return { name, create }
}
