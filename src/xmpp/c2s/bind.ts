import { subjectOf } from '../../core/access.ts'
import type { Access } from '../../core/access.ts'
import type { AccessRule } from '../../core/options/rule-types.ts'
import type { Shapers } from '../../core/shaper.ts'
import { err, ok } from '../../util/result.ts'
import type { Result } from '../../util/result.ts'
import { domainpart, prepResource, withResource } from '../jid/jid.ts'
import type { BareJid, FullJid, Resourcepart } from '../jid/jid.ts'
import type { Sessions } from '../sessions.ts'
import type { StanzaErrorCondition } from '../stanza/stanza-error.ts'
import { createId } from '../stanza/stanza.ts'

/** `resource_conflict` */
export type ConflictPolicy = 'setresource' | 'closeold' | 'closenew' | 'acceptnew'

export interface BindRequest {
  readonly account: BareJid
  /** What the client asked for; undefined or '' leaves it to us (RFC 6120 §7.6). */
  readonly resource: string | undefined
  readonly ip: string
  readonly conflict: ConflictPolicy
  readonly access: AccessRule
}

/** Told to a client whose place another takes. */
export const replacedText = 'Replaced by new connection'

/**
 * Chooses the full JID of a new session (RFC 6120 §7). A session that has the resource already is ended, refuses the new one,
 * or makes it take another, as the policy says.
 */
export function bindResource(
  { account, resource, ip, conflict, access: rule }: BindRequest,
  sessions: Sessions,
  access: Access,
): Result<FullJid, StanzaErrorCondition> {
  const wanted =
    resource === undefined || resource === '' ? ok(newResource()) : prepResource(resource)
  if (!wanted.ok) return err('bad-request')
  let jid = withResource(account, wanted.value)
  const other = sessions.find(jid)
  if (other !== undefined) {
    // RFC 6120 §7.7.2.2
    if (conflict === 'closenew') return err('conflict')
    if (conflict === 'setresource') jid = withResource(account, newResource())
  }
  if (!access.isAllowed(rule, subjectOf(jid, ip), domainpart(account))) return err('not-allowed')
  if (other?.jid === jid) other.close('conflict', replacedText)
  return ok(jid)
}

/** `max_user_sessions` of the shaper rules: above it the oldest sessions have to go. */
export function endOldest(account: BareJid, sessions: Sessions, shapers: Shapers): void {
  const host = domainpart(account)
  const most = shapers.namedLimit('max_user_sessions', subjectOf(account), host, Infinity)
  const all = sessions.forAccount(account)
  for (const session of all.slice(0, Math.max(0, all.length - Math.max(1, most)))) {
    session.close('conflict', replacedText)
  }
}

function newResource(): Resourcepart {
  const prepared = prepResource(createId())
  if (!prepared.ok) throw new Error('An id of ours is no resource')
  return prepared.value
}
