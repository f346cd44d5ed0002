/**
 * A named slot for one shared object (the router, the accounts, the MQTT broker). Floors below declare the token and its
 * type; `server.ts` and the protocols fill it; modules and commands ask for it. There is no other way to reach a shared object.
 */
export interface ServiceToken<T> {
  readonly name: string
  readonly type?: T
}

export function defineService<T>(name: string): ServiceToken<T> {
  return { name }
}

export class Services {
  readonly #values = new Map<ServiceToken<unknown>, unknown>()

  provide<T>(token: ServiceToken<T>, value: T): void {
    if (this.#values.has(token)) throw new Error(`Service "${token.name}" is provided twice`)
    this.#values.set(token, value)
  }

  /** Throws when nobody provides it: that is a bug in the order of starting. */
  get<T>(token: ServiceToken<T>): T {
    if (!this.#values.has(token)) throw new Error(`Service "${token.name}" is not provided`)
    return this.#values.get(token) as T // the only writer, `provide`, takes T for this token
  }

  find<T>(token: ServiceToken<T>): T | undefined {
    return this.#values.get(token) as T | undefined // as above
  }

  withdraw(token: ServiceToken<unknown>): void {
    this.#values.delete(token)
  }
}
