import { globalScope, subjectOf } from './access.ts'
import type { Access, AccessScope, Subject } from './access.ts'
import type { Caller, Command } from './command.ts'
import type { ApiGroup, CallerTest, CommandPattern } from './options/api-permission-types.ts'

export type CommandDecision =
  | { readonly allowed: true; readonly by: string }
  | {
      readonly allowed: false
      readonly error: 'frontend_cannot_call_an_internal_command' | 'access_rules_unauthorized'
      readonly reason: string
    }

const consoleCommands = 'console commands'
const configure = { kind: 'named', name: 'configure' } as const

/** Decides who may call which command, by `api_permissions`. */
export class ApiPermissions {
  readonly #access: Access
  #groups: readonly ApiGroup[]

  constructor(groups: readonly ApiGroup[], access: Access) {
    this.#access = access
    this.#groups = withConsole(groups)
  }

  reload(groups: readonly ApiGroup[]): void {
    this.#groups = withConsole(groups)
  }

  /**
   * The order of the checks is ejabberd's: the first that decides ends them. `hostArguments` are the values of the
   * arguments that are called `host`.
   */
  check(
    command: Pick<Command, 'name' | 'tags'>,
    caller: Caller,
    hostArguments: readonly string[],
  ): CommandDecision {
    if (command.name === 'echo') return { allowed: true, by: 'echo is for everybody' }
    const isWebAdmin = caller.from === 'ejabberd_web_admin'
    if (command.name === 'registered_vhosts' && isWebAdmin) {
      return { allowed: true, by: 'the web admin needs the list of hosts' }
    }
    if (command.tags.includes('internal') && !isWebAdmin) {
      return {
        allowed: false,
        error: 'frontend_cannot_call_an_internal_command',
        reason: `"${command.name}" is an internal command`,
      }
    }
    const host = this.#missingConfigure(caller, hostArguments)
    if (host !== undefined) return refused(`the access rule "configure" of "${host}" denies`)
    const subject = callerSubject(caller)
    // The caller's own host says which tables count, but without a host in question they are the global ones.
    const scope = hostArguments.length === 0 ? globalScope : (subject.host ?? globalScope)
    const group = this.#groups.find(
      (candidate) =>
        covers(candidate, command) &&
        comesFrom(candidate, caller) &&
        candidate.who.some((who) => this.#isMeant(who, caller, subject, scope)),
    )
    if (group !== undefined) return { allowed: true, by: group.name }
    return refused('no group of api_permissions allows it')
  }

  /** The host on which an account would act without being allowed to configure it. */
  #missingConfigure({ jid }: Caller, hostArguments: readonly string[]): string | undefined {
    const [host, ...others] = hostArguments
    if (host === undefined || others.length > 0 || jid === undefined) return undefined
    // ejabberd asks about the account alone, so an `ip` item does not hold here.
    return this.#access.isAllowed(configure, subjectOf(jid), host) ? undefined : host
  }

  #isMeant(who: CallerTest, caller: Caller, subject: Subject, scope: AccessScope): boolean {
    const { oauthScopes } = caller
    if (who.kind !== 'oauth') return oauthScopes === undefined && this.#admits(who, subject, scope)
    return (
      oauthScopes !== undefined &&
      who.scopes.some((needed) => oauthScopes.includes(needed)) &&
      who.inner.some((inner) => this.#admits(inner, subject, scope))
    )
  }

  #admits(
    who: Exclude<CallerTest, { kind: 'oauth' }>,
    subject: Subject,
    scope: AccessScope,
  ): boolean {
    if (who.kind === 'access') return this.#access.isAllowed(who.rule, subject, scope)
    return this.#access.matches(who.item, subject, scope)
  }
}

function callerSubject({ jid, ip }: Caller): Subject {
  return jid === undefined ? { ip } : subjectOf(jid, ip)
}

function refused(reason: string): CommandDecision {
  return { allowed: false, error: 'access_rules_unauthorized', reason }
}

/** Whoever may run the command line on this machine may call everything, unless a group of that name says otherwise. */
function withConsole(groups: readonly ApiGroup[]): readonly ApiGroup[] {
  if (groups.some(({ name }) => name === consoleCommands)) return groups
  const everybody = { kind: 'access', rule: { kind: 'all' } } as const
  return [
    {
      name: consoleCommands,
      frontEnds: ['ejabberd_ctl'],
      tags: [],
      who: [everybody],
      allowed: 'all',
      refused: [],
    },
    ...groups,
  ]
}

function covers(group: ApiGroup, command: Pick<Command, 'name' | 'tags'>): boolean {
  const isNamed = (pattern: CommandPattern): boolean =>
    pattern.kind === 'name' ? pattern.name === command.name : command.tags.includes(pattern.tag)
  return (group.allowed === 'all' || group.allowed.some(isNamed)) && !group.refused.some(isNamed)
}

function comesFrom(group: ApiGroup, { from, tag }: Caller): boolean {
  return (
    (group.frontEnds.length === 0 || group.frontEnds.some((frontEnd) => frontEnd === from)) &&
    (group.tags.length === 0 || (tag !== undefined && group.tags.includes(tag)))
  )
}
