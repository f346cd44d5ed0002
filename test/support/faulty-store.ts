import type { HostStore, Query, WriteOutcome, WriteTicket } from '../../src/core/store.ts'
import { StorageError } from '../../src/core/store.ts'

/** A database whose commits wait until the test lets them happen, or fail as on a full disk. */
export class FaultyStore implements Disposable {
  #waiting: (() => void)[] = []
  isClosed = false
  /** All writes fail, or those that go to this table. */
  fails: boolean | string = false
  /** So many times at most. */
  failures = Infinity

  wrap(store: HostStore): HostStore {
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (name === 'write') return (query: Query | readonly Query[]) => this.#write(target, query)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  open(): void {
    this.isClosed = false
    for (const settle of this.#waiting.splice(0)) settle()
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Lets a test that failed end. */
  [Symbol.dispose](): void {
    this.open()
  }

  #decide(store: HostStore, query: Query | readonly Query[]): WriteTicket {
    const { fails } = this
    const isMeant = fails === true || (fails !== false && textOf(query).includes(fails))
    if (!isMeant || this.failures <= 0) return store.write(query)
    this.failures -= 1
    return refused()
  }

  #write(store: HostStore, query: Query | readonly Query[]): WriteTicket {
    if (!this.isClosed) return this.#decide(store, query)
    const calls: ((ticket: WriteTicket) => void)[] = []
    this.#waiting.push(() => {
      const ticket = this.#decide(store, query)
      for (const call of calls) call(ticket)
    })
    return {
      outcome: undefined,
      after: <C>(callback: (outcome: WriteOutcome, context: C) => void, context?: C) =>
        void calls.push((ticket) => ticket.after(callback, context as C)), // its own context comes back to it
      settled: new Promise(() => undefined),
    }
  }
}

function refused(): WriteTicket {
  const outcome = { ok: false, error: new StorageError('full', 'No space') } as const
  return {
    outcome,
    after: <C>(callback: (outcome: WriteOutcome, context: C) => void, context?: C) =>
      callback(outcome, context as C), // its own context comes back to it
    settled: Promise.resolve(outcome),
  }
}

function textOf(query: Query | readonly Query[]): string {
  const queries = Array.isArray(query) ? (query as readonly Query[]) : [query as Query]
  return queries.map((one) => ('sql' in one ? one.sql : one.compile().sql)).join()
}
