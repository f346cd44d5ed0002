import type { HostName } from './jid/jid.ts'
import type { DiscoIdentity } from './hooks.ts'
import type { Session } from './session.ts'
import type { Iq, Stanza } from './stanza/stanza.ts'
import type { Element } from './xml/element.ts'

/** What a handler returns when somebody else answers, or when it does later by `router.route`. */
export const answeredElsewhere: unique symbol = Symbol('answered elsewhere')

/** `result(iq, …)` or `errorReply(iq, …)`; undefined when the request is none of the handler's after all. */
export type IqAnswer = Iq | undefined | typeof answeredElsewhere

/**
 * Answers a request. `session` is the sender's if it is a client of this node. Until a promise settles nothing more is read from
 * the stream that the request came on, so that its order holds (RFC 6120 §10.1).
 */
export type IqHandler = (iq: Iq, session: Session | undefined) => IqAnswer | Promise<IqAnswer>

/** Requests to the host itself (`example.org`), or to an account (`juliet@example.org`, or no `to` at all). */
export type Target = 'host' | 'account'

export interface TargetOptions {
  /** `host` unless given. */
  readonly on?: Target | readonly Target[]
}

/** What is registered for one address or kind of address. */
export class HandlerTable {
  /** By type, namespace and name of the payload. Several may stand in line: the last one that was added is asked first. */
  readonly #iqHandlers = new Map<string, readonly IqHandler[]>()
  readonly #features = new Map<string, number>()
  readonly #identities = new Set<DiscoIdentity>()
  #sortedFeatures: readonly string[] | undefined

  addIqHandler(type: 'get' | 'set', ns: string, name: string, handler: IqHandler): () => void {
    const key = iqKey(type, ns, name)
    this.#iqHandlers.set(key, [handler, ...(this.#iqHandlers.get(key) ?? [])])
    return () => {
      const left = (this.#iqHandlers.get(key) ?? []).filter((other) => other !== handler)
      if (left.length === 0) this.#iqHandlers.delete(key)
      else this.#iqHandlers.set(key, left)
    }
  }

  iqHandlers(iq: Iq, payload: Element): readonly IqHandler[] {
    return this.#iqHandlers.get(iqKey(iq.type, payload.ns, payload.name)) ?? none
  }

  /** The same feature may be added by several; it is there until all have taken it back. */
  addFeature(feature: string): () => void {
    this.#features.set(feature, (this.#features.get(feature) ?? 0) + 1)
    this.#sortedFeatures = undefined
    return () => {
      const left = (this.#features.get(feature) ?? 1) - 1
      if (left === 0) this.#features.delete(feature)
      else this.#features.set(feature, left)
      this.#sortedFeatures = undefined
    }
  }

  get features(): readonly string[] {
    this.#sortedFeatures ??= [...this.#features.keys()].sort()
    return this.#sortedFeatures
  }

  addIdentity(identity: DiscoIdentity): () => void {
    this.#identities.add(identity)
    return () => this.#identities.delete(identity)
  }

  get identities(): readonly DiscoIdentity[] {
    return [...this.#identities]
  }
}

const none: readonly never[] = []

function iqKey(type: string, ns: string, name: string): string {
  return `${type} ${name} ${ns}`
}

/** A domain of its own behind a module: `conference.example.org`. */
export interface ServiceHost {
  readonly domain: HostName
  /** For its bare address; asked before `stanza`. */
  handleIq(type: 'get' | 'set', ns: string, name: string, handler: IqHandler): void
  advertise(feature: string): void
  identity(identity: DiscoIdentity): void
}

/** Gets all that goes to the domain and its addresses and that no IQ handler of the service took. */
export type ServiceHandler = (stanza: Stanza) => void | Promise<void>

export interface ServiceOptions {
  /** Shown among the items of the host (XEP-0030 §4); true unless given. */
  readonly isListed?: boolean
  readonly name?: string
}

declare module '../core/module.ts' {
  interface ModuleContext {
    /** Answers requests that have a payload of that name and namespace. */
    handleIq(
      type: 'get' | 'set',
      ns: string,
      name: string,
      handler: IqHandler,
      options?: TargetOptions,
    ): void
    /** Adds a feature to what service discovery says (XEP-0030). */
    advertise(feature: string, options?: TargetOptions): void
    identity(identity: DiscoIdentity, options?: TargetOptions): void
    /** Serves a domain; it must not be a host or another's. */
    serviceHost(domain: HostName, handler: ServiceHandler, options?: ServiceOptions): ServiceHost
  }
}

/** Tables of one virtual host: what it answers itself and for its accounts. */
export interface TargetTables {
  readonly host: HandlerTable
  readonly account: HandlerTable
}

export function targetsOf(options: TargetOptions | undefined): readonly Target[] {
  const on = options?.on ?? 'host'
  return typeof on === 'string' ? [on] : on
}

/** Who is behind a domain that is no virtual host. */
export interface Service {
  readonly domain: HostName
  /** The virtual host whose module serves it. */
  readonly parent: HostName
  readonly table: HandlerTable
  readonly handler: ServiceHandler
  readonly isListed: boolean
  readonly name: string | undefined
}
