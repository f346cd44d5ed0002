import type { Log } from './log.ts'

/**
 * Hooks are exported constants of the part that runs them, so that a typo fails to compile and "find references"
 * lists every handler. Three kinds:
 * - an event tells (`emit`): every handler runs, what it returns is ignored, except that a rejected promise is logged;
 * - a filter changes (`apply`): each handler gets the value as the one before left it, and returns a new value,
 *   `undefined` for "unchanged", or `drop` to end the chain and the thing itself;
 * - a decision asks (`decide`): the first answer that is not `undefined` counts; a handler that throws denies.
 */
export interface EventHook<Args extends readonly unknown[]> {
  readonly kind: 'event'
  readonly name: string
  readonly handler?: (...args: Args) => unknown
}

export interface FilterHook<Value, Args extends readonly unknown[]> {
  readonly kind: 'filter'
  readonly name: string
  readonly handler?: (value: Value, ...args: Args) => Value | undefined | typeof drop
}

export interface DecisionHook<Answer, Args extends readonly unknown[]> {
  readonly kind: 'decision'
  readonly name: string
  /** What counts when a handler throws: the answer that lets nobody in. */
  readonly onError: Answer
  readonly handler?: (...args: Args) => Answer | undefined | Promise<Answer | undefined>
}

/** Returned by a filter's handler: the value goes no further and nothing else happens to it. */
export const drop: unique symbol = Symbol('drop')

export function defineHook<Args extends readonly unknown[]>(name: string): EventHook<Args> {
  return { kind: 'event', name }
}

export function defineFilter<Value, Args extends readonly unknown[] = []>(
  name: string,
): FilterHook<Value, Args> {
  return { kind: 'filter', name }
}

export function defineDecision<Answer, Args extends readonly unknown[]>(
  name: string,
  onError: Answer,
): DecisionHook<Answer, Args> {
  return { kind: 'decision', name, onError }
}

export type AnyHook = { readonly name: string; readonly kind: 'event' | 'filter' | 'decision' }

/** The function type that a handler of hook `H` has. */
export type HandlerOf<H> = H extends { readonly handler?: infer F } ? Exclude<F, undefined> : never

interface Registration {
  readonly run: (...args: never[]) => unknown
  readonly priority: number
  readonly owner: string
}

const none: readonly Registration[] = []

/**
 * The handlers of one virtual host (or of the server as a whole). Handlers run by ascending priority, equal ones in the
 * order in which they were added; a priority other than the default 50 needs a comment that names whom it goes before or after.
 */
export class Hooks {
  readonly #handlers = new Map<AnyHook, readonly Registration[]>()
  readonly #log: Log
  readonly #parent: Hooks | undefined

  /** Handlers of `parent` (the server's own) run after those of this host. */
  constructor(log: Log, parent?: Hooks) {
    this.#log = log
    this.#parent = parent
  }

  /** Adds a handler; the function returned takes it out again. `owner` names it in the log when it throws. */
  on<H extends AnyHook>(hook: H, handler: HandlerOf<H>, owner: string, priority = 50): () => void {
    const registration: Registration = {
      run: handler as (...args: never[]) => unknown,
      priority,
      owner,
    }
    const before = this.#handlers.get(hook) ?? none
    const at = before.findIndex((other) => other.priority > priority)
    const index = at < 0 ? before.length : at
    // A new array each time: a handler may come or go while the hook runs.
    this.#handlers.set(hook, [...before.slice(0, index), registration, ...before.slice(index)])
    return () => {
      const left = (this.#handlers.get(hook) ?? none).filter((other) => other !== registration)
      if (left.length === 0) this.#handlers.delete(hook)
      else this.#handlers.set(hook, left)
    }
  }

  /** True when nobody listens: lets a hot path skip preparing the arguments. */
  isIdle(hook: AnyHook): boolean {
    return !this.#handlers.has(hook) && (this.#parent === undefined || this.#parent.isIdle(hook))
  }

  emit<Args extends readonly unknown[]>(hook: EventHook<Args>, ...args: Args): void {
    for (const handler of this.#handlers.get(hook) ?? none) {
      try {
        const result = (handler.run as (...args: Args) => unknown)(...args)
        if (result instanceof Promise) result.catch((error) => this.#failed(hook, handler, error))
      } catch (error) {
        this.#failed(hook, handler, error)
      }
    }
    this.#parent?.emit(hook, ...args)
  }

  /** Like `emit`, but resolves when every handler's promise has settled: true when none of them failed. */
  async emitAndWait<Args extends readonly unknown[]>(
    hook: EventHook<Args>,
    ...args: Args
  ): Promise<boolean> {
    let isDone = true
    for (const handler of this.#handlers.get(hook) ?? none) {
      try {
        await (handler.run as (...args: Args) => unknown)(...args)
      } catch (error) {
        this.#failed(hook, handler, error)
        isDone = false
      }
    }
    const isDoneAbove = await this.#parent?.emitAndWait(hook, ...args)
    return isDone && isDoneAbove !== false
  }

  /** The value as the handlers left it, or `drop`. */
  apply<Value, Args extends readonly unknown[]>(
    hook: FilterHook<Value, Args>,
    value: Value,
    ...args: Args
  ): Value | typeof drop {
    let current = value
    for (const handler of this.#handlers.get(hook) ?? none) {
      try {
        const result = (
          handler.run as (value: Value, ...args: Args) => Value | undefined | typeof drop
        )(current, ...args)
        if (result === drop) return drop
        if (result !== undefined) current = result
      } catch (error) {
        this.#failed(hook, handler, error)
      }
    }
    return this.#parent === undefined ? current : this.#parent.apply(hook, current, ...args)
  }

  /** The first answer of a handler, or `undefined` when none has one. Handlers that answer later need `decideLater`. */
  decide<Answer, Args extends readonly unknown[]>(
    hook: DecisionHook<Answer, Args>,
    ...args: Args
  ): Answer | undefined {
    for (const handler of this.#handlers.get(hook) ?? none) {
      try {
        const answer = (handler.run as (...args: Args) => Answer | undefined)(...args)
        // Who asks again by `decideLater` drops this promise: that it fails is told then.
        if (answer instanceof Promise) answer.catch(() => undefined)
        if (answer !== undefined) return answer
      } catch (error) {
        this.#failed(hook, handler, error)
        return hook.onError
      }
    }
    return this.#parent?.decide(hook, ...args)
  }

  async decideLater<Answer, Args extends readonly unknown[]>(
    hook: DecisionHook<Answer, Args>,
    ...args: Args
  ): Promise<Answer | undefined> {
    for (const handler of this.#handlers.get(hook) ?? none) {
      try {
        const answer = await (
          handler.run as (...args: Args) => Answer | undefined | Promise<Answer | undefined>
        )(...args)
        if (answer !== undefined) return answer
      } catch (error) {
        this.#failed(hook, handler, error)
        return hook.onError
      }
    }
    return this.#parent?.decideLater(hook, ...args)
  }

  #failed(hook: AnyHook, handler: Registration, error: unknown): void {
    this.#log.error({ err: error, hook: hook.name, module: handler.owner }, 'Hook handler failed')
  }
}
