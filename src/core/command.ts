import type { BareJid } from '../xmpp/jid/jid.ts'
import type { Services, ServiceToken } from './service.ts'

/**
 * An operator's action, defined once and served by all faces: the shell (`linnet register …`), the HTTP API, ad-hoc commands
 * and the console. Names, arguments and results are ejabberd's (reference of commands); types use its words.
 */
export type CommandType =
  | 'integer'
  | 'binary' // UTF-8 text
  | 'string' // UTF-8 text as well; ejabberd prints both alike
  | 'atom'
  | { readonly list: Field }
  | { readonly tuple: readonly Field[] }

export interface Field {
  readonly name: string
  readonly type: CommandType
}

/** `rescode`: done or not, no words. `restuple`: done or not, with a sentence. */
export type ResultType = 'rescode' | 'restuple' | Field

/** The value of an argument or result: integers are numbers, tuples arrays in the order of their fields. */
export type CommandValue = number | string | readonly CommandValue[]

/** Who called, so that `api_permissions` can judge and an action can say who did it. */
export interface Caller {
  /** `ejabberd_ctl`, `mod_http_api`, `mod_adhoc_api`, `ejabberd_web_admin`, `mod_cron`. */
  readonly from: string
  readonly jid?: BareJid
  readonly ip?: string
  readonly tag?: string
  readonly oauthScopes?: readonly string[]
}

/** What an action may use. */
export interface CommandContext {
  readonly caller: Caller
  readonly services: Services
  service<T>(token: ServiceToken<T>): T
}

export interface Command {
  readonly name: string
  readonly tags: readonly string[]
  /** The API version of this definition; 0 when it never changed. */
  readonly version: number
  readonly summary: string
  readonly args: readonly Field[]
  /** Old argument names that HTTP still accepts: old → new. */
  readonly renamed: Readonly<Record<string, string>>
  readonly result: ResultType
  /** `user`: the caller's own account stands in for `user` and `host` (see the definition model). */
  readonly policy: 'open' | 'restricted' | 'admin' | 'user'
  /** For `rescode` returns 0 or throws; for `restuple` returns the sentence. */
  run(args: readonly CommandValue[], context: CommandContext): Promise<CommandValue> | CommandValue
}

/** A failure that the caller should read. */
export class CommandError extends Error {
  override name = 'CommandError'
  /** `conflict`, `not_exists`, `not_allowed`, `not_found`, `error`, … as ejabberd's atoms. */
  readonly code: string
  /** ejabberd's numeric code, where it has one (10090 for an existing account). */
  readonly number: number

  constructor(code: string, message: string, number = 0) {
    super(message)
    this.code = code
    this.number = number
  }
}

type CommandDefinition = Partial<Command> &
  Pick<Command, 'name' | 'tags' | 'summary' | 'result' | 'run'>

export function defineCommand(definition: CommandDefinition): Command {
  return { version: 0, args: [], renamed: {}, policy: 'restricted', ...definition }
}

/** Every command of the server; modules add theirs through their context. */
export class CommandRegistry {
  readonly #commands = new Map<string, Command[]>()
  /** How many owners (a module runs once per host) hold a definition. */
  readonly #owners = new Map<Command, number>()

  /** Adds a definition; the function returned takes it out again. The same one may be added for several hosts. */
  add(command: Command): () => void {
    const owners = this.#owners.get(command) ?? 0
    this.#owners.set(command, owners + 1)
    const versions = this.#commands.get(command.name) ?? []
    if (owners === 0) {
      if (versions.some((other) => other.version === command.version)) {
        throw new Error(`Command "${command.name}" version ${command.version} is defined twice`)
      }
      this.#commands.set(
        command.name,
        [...versions, command].sort((a, b) => b.version - a.version),
      )
    }
    let isRemoved = false
    return () => {
      if (isRemoved) return
      isRemoved = true
      this.#remove(command)
    }
  }

  /** The newest definition whose version is at most `version`; without one, the newest. */
  find(name: string, version = Infinity): Command | undefined {
    return this.#commands.get(name)?.find((command) => command.version <= version)
  }

  /** The newest definition of each command, by name. */
  list(): readonly Command[] {
    return [...this.#commands.values()]
      .flatMap((versions) => versions[0] ?? [])
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #remove(command: Command): void {
    const owners = (this.#owners.get(command) ?? 1) - 1
    if (owners > 0) {
      this.#owners.set(command, owners)
      return
    }
    this.#owners.delete(command)
    const left = (this.#commands.get(command.name) ?? []).filter((other) => other !== command)
    if (left.length === 0) this.#commands.delete(command.name)
    else this.#commands.set(command.name, left)
  }
}
