import { globalScope } from './access.ts'
import type { Access, AccessScope, Subject } from './access.ts'
import type { ApiGroup, Caller, CommandPattern, FrontEnd } from './options/api-permission-types.ts'

/** Who calls, and through what. */
export interface CommandCaller {
  readonly frontEnd: FrontEnd
  /** Tag of the listener that the call came in by. */
  readonly tag?: string | undefined
  /** Whoever authenticated, and the address; the parts are absent where nobody did. */
  readonly subject: Subject
  /** Scopes of the OAuth token that was used; absent for callers without a token. */
  readonly scopes?: readonly string[] | undefined
}

/** What is called. */
export interface CalledCommand {
  readonly name: string
  readonly tags: readonly string[]
  /** Values of the arguments that are called `host`. */
  readonly hostArguments: readonly string[]
}

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

  /** The order of the checks is ejabberd's: the first that decides ends them. */
  check(command: CalledCommand, caller: CommandCaller): CommandDecision {
    if (command.name === 'echo') return { allowed: true, by: 'echo is for everybody' }
    const isWebAdmin = caller.frontEnd === 'ejabberd_web_admin'
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
    const host = this.#missingConfigure(command, caller)
    if (host !== undefined) return refused(`the access rule "configure" of "${host}" denies`)
    const scope = command.hostArguments.length === 0 ? globalScope : callerScope(caller)
    const group = this.#groups.find(
      (candidate) =>
        covers(candidate, command) &&
        comesFrom(candidate, caller) &&
        candidate.who.some((who) => this.#isCaller(who, caller, scope)),
    )
    if (group !== undefined) return { allowed: true, by: group.name }
    return refused('no group of api_permissions allows it')
  }

  /** The host on which an account would act without being allowed to configure it. */
  #missingConfigure(command: CalledCommand, { subject }: CommandCaller): string | undefined {
    const [host, ...others] = command.hostArguments
    if (host === undefined || others.length > 0) return undefined
    if (subject.user === undefined || subject.host === undefined) return undefined
    // ejabberd asks about the account alone, so an `ip` item does not hold here.
    const account = { user: subject.user, host: subject.host, resource: subject.resource }
    return this.#access.isAllowed(configure, account, host) ? undefined : host
  }

  #isCaller(who: Caller, caller: CommandCaller, scope: AccessScope): boolean {
    if (who.kind !== 'oauth')
      return caller.scopes === undefined && this.#admits(who, caller.subject, scope)
    if (caller.scopes === undefined) return false
    const { scopes } = caller
    return (
      who.scopes.some((needed) => scopes.includes(needed)) &&
      who.inner.some((inner) => this.#admits(inner, caller.subject, scope))
    )
  }

  #admits(who: Exclude<Caller, { kind: 'oauth' }>, subject: Subject, scope: AccessScope): boolean {
    if (who.kind === 'access') return this.#access.isAllowed(who.rule, subject, scope)
    return this.#access.matches(who.item, subject, scope)
  }
}

function refused(reason: string): CommandDecision {
  return { allowed: false, error: 'access_rules_unauthorized', reason }
}

/** The host whose tables count is that of the caller; nobody in particular has the global ones. */
function callerScope({ subject }: CommandCaller): AccessScope {
  return subject.host ?? globalScope
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

function covers(group: ApiGroup, command: CalledCommand): boolean {
  const isNamed = (pattern: CommandPattern): boolean =>
    pattern.kind === 'name' ? pattern.name === command.name : command.tags.includes(pattern.tag)
  return (group.allowed === 'all' || group.allowed.some(isNamed)) && !group.refused.some(isNamed)
}

function comesFrom(group: ApiGroup, { frontEnd, tag }: CommandCaller): boolean {
  return (
    (group.frontEnds.length === 0 || group.frontEnds.includes(frontEnd)) &&
    (group.tags.length === 0 || (tag !== undefined && group.tags.includes(tag)))
  )
}
