import { subjectOf } from '../core/access.ts'
import type { AccessRule } from '../core/options/rule-types.ts'
import type { Broker } from './broker.ts'
import type { Publisher } from './hooks.ts'
import { ReasonCode } from './packet/reason-code.ts'

/** Where clients are sent instead (MQTT5 4.11), and which. */
export interface RedirectSettings {
  /** For instance `broker.example.org:8883`; several with blanks between. */
  readonly serverReference: string | undefined
  /** Who is turned away when connecting. */
  readonly redirect: AccessRule
  /** For good, so that the client should remember. */
  readonly isMoved: boolean
  /** Everybody, when the server stops. */
  readonly atStop: boolean
}

export const noRedirect: RedirectSettings = {
  serverReference: undefined,
  redirect: { kind: 'none' },
  isMoved: false,
  atStop: false,
}

/** For CONNACK or DISCONNECT. */
export interface Redirection {
  readonly reason: ReasonCode
  readonly detail: string
  readonly serverReference: string | undefined
}

/** Where a client has to go that is about to be let in; undefined: it may stay. */
export function redirection(broker: Broker, client: Publisher): Redirection | undefined {
  const settings = broker.settings.redirect
  const { redirect } = settings
  if (redirect.kind === 'none') return undefined
  const subject = subjectOf(client.jid, client.ip === '' ? undefined : client.ip)
  return broker.access.isAllowed(redirect, subject) ? elsewhere(settings) : undefined
}

/** What clients hear when the server stops. */
export function farewell(settings: RedirectSettings): Redirection {
  if (settings.atStop) return elsewhere(settings)
  return {
    reason: ReasonCode.serverShuttingDown,
    detail: 'The server is shutting down',
    serverReference: undefined,
  }
}

function elsewhere({ isMoved, serverReference }: RedirectSettings): Redirection {
  return isMoved
    ? { reason: ReasonCode.serverMoved, detail: 'The server has moved', serverReference }
    : { reason: ReasonCode.useAnotherServer, detail: 'Use another server', serverReference }
}
