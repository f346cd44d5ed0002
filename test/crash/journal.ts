import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { SessionState, Unacknowledged } from './session-client.ts'

/** Something that the server is asked to keep. */
export type Operation =
  | { readonly kind: 'registration'; readonly user: string; readonly password: string }
  /** Without a name: the contact is removed. */
  | {
      readonly kind: 'roster'
      readonly owner: string
      readonly contact: string
      readonly name?: string
    }
  | { readonly kind: 'offline'; readonly to: string; readonly body: string }
  /** Without a payload: what is retained is removed. */
  | { readonly kind: 'retained'; readonly topic: string; readonly payload?: string }
  | {
      readonly kind: 'publication'
      /** Whose topic it is. */
      readonly session: string
      readonly qos: 1 | 2
      readonly payload: string
      /** A session, too. */
      readonly publisher: string
      readonly packetId: number
    }
  /** To be published when the client is lost. */
  | {
      readonly kind: 'will'
      readonly client: string
      readonly qos: 1 | 2
      readonly payload: string
    }
  /** A session that is to end by itself, so many seconds after its connection. */
  | {
      readonly kind: 'expiry'
      readonly session: string
      readonly seconds: number
      /** When the connection ended, in milliseconds since 1970; undefined = when the server was killed. */
      readonly leftAt?: number
    }

export type OperationKind = Operation['kind']
export type OperationOf<K extends OperationKind> = Extract<Operation, { kind: K }>

export const operationKinds = [
  'registration',
  'roster',
  'offline',
  'retained',
  'publication',
  'will',
  'expiry',
] as const satisfies readonly OperationKind[]

/** What whoever sent an operation is told; `lost` = nothing. */
export type Answer = 'acknowledged' | 'refused' | 'lost'

/**
 * What became of an operation, as far as whoever sent it knows; `open` was not answered before the crash, and what was
 * acknowledged may have been `cancelled` later, so that nothing may come of it.
 */
export type Fate = 'acknowledged' | 'refused' | 'cancelled' | 'open'

type Line =
  | readonly ['sent', id: number, operation: Operation]
  | readonly ['acknowledged' | 'refused' | 'cancelled', id: number]
  /** A session, which lasts, with the account that it belongs to. */
  | readonly ['session', session: string, user: string]
  /** A message reached a session before the crash; of QoS 2 with its packet identifier, else 0. */
  | readonly ['received', session: string, payload: string, packetId: number]
  /** The server released that packet identifier (PUBREL). */
  | readonly ['released', session: string, packetId: number]
  /** The server has received the message of that packet identifier (PUBREC). */
  | readonly ['pubrec', session: string, packetId: number]

/** What the driver did and heard, written at once, so that it is all there when the server is killed. */
export class JournalWriter {
  readonly #file: number
  readonly #open = new Map<number, OperationKind>()
  readonly #acknowledged = noneOfAny()
  #lastId = 0

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  /** How many operations of each kind have been acknowledged. */
  get acknowledged(): Readonly<Record<OperationKind, number>> {
    return this.#acknowledged
  }

  /** How many were sent and not answered yet. */
  get open(): number {
    return this.#open.size
  }

  /** To be called right before the operation goes out: of those on one thing the last one sent counts. */
  sent(operation: Operation): number {
    const id = ++this.#lastId
    this.#open.set(id, operation.kind)
    this.#write(['sent', id, operation])
    return id
  }

  answered(id: number, fate: 'acknowledged' | 'refused'): void {
    const kind = this.#open.get(id)
    if (kind === undefined) throw new Error(`Operation ${id} is answered twice`)
    this.#open.delete(id)
    if (fate === 'acknowledged') this.#acknowledged[kind] += 1
    this.#write([fate, id])
  }

  session(session: string, user: string): void {
    this.#write(['session', session, user])
  }

  /** Of something that was acknowledged. */
  cancelled(id: number): void {
    this.#write(['cancelled', id])
  }

  received(session: string, payload: string, packetId: number): void {
    this.#write(['received', session, payload, packetId])
  }

  released(session: string, packetId: number): void {
    this.#write(['released', session, packetId])
  }

  pubrec(session: string, packetId: number): void {
    this.#write(['pubrec', session, packetId])
  }

  close(): void {
    closeSync(this.#file)
  }

  #write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }
}

export interface Entry<O extends Operation = Operation> {
  readonly operation: O
  fate: Fate
}

/** A journal that is complete. */
export class Journal {
  /** In the order in which they were sent. */
  readonly entries: readonly Entry[]
  /** The account of each session. */
  readonly sessions = new Map<string, string>()
  /** What reached each session, in order. */
  readonly received = new Map<string, string[]>()
  readonly #pubrecs = new Set<Operation>()
  readonly #incoming = new Map<string, Set<number>>()

  constructor(path: string) {
    const entries = new Map<number, Entry>()
    for (const text of readFileSync(path, 'utf8').trimEnd().split('\n')) {
      if (text === '') continue
      const line = JSON.parse(text) as Line // written above
      switch (line[0]) {
        case 'sent':
          entries.set(line[1], { operation: line[2], fate: 'open' })
          break
        case 'acknowledged':
        case 'refused':
        case 'cancelled': {
          const entry = entries.get(line[1])
          if (entry === undefined) throw new Error(`Operation ${line[1]} was never sent`)
          entry.fate = line[0]
          break
        }
        case 'pubrec':
          for (const entry of entries.values()) {
            const { operation, fate } = entry
            if (operation.kind !== 'publication' || fate !== 'open') continue
            const { publisher, packetId } = operation
            if (publisher === line[1] && packetId === line[2]) this.#pubrecs.add(operation)
          }
          break
        case 'released':
          this.#incomingOf(line[1]).delete(line[2])
          break
        case 'session':
          this.sessions.set(line[1], line[2])
          this.received.set(line[1], [])
          break
        case 'received':
          this.received.get(line[1])?.push(line[2])
          if (line[3] !== 0) this.#incomingOf(line[1]).add(line[3])
          break
      }
    }
    this.entries = [...entries.values()]
  }

  of<K extends OperationKind>(kind: K): readonly Entry<OperationOf<K>>[] {
    return this.entries.filter((entry): entry is Entry<OperationOf<K>> =>
      isOfKind(entry.operation, kind),
    )
  }

  /** What the client of a session knew when the server was killed. */
  stateOf(
    session: string,
    messageOf: (operation: OperationOf<'publication'>) => Omit<Unacknowledged, 'isReceived'>,
  ): SessionState {
    const outgoing = new Map<number, Unacknowledged>()
    for (const { operation, fate } of this.of('publication')) {
      if (operation.publisher !== session || fate !== 'open') continue
      const isReceived = this.#pubrecs.has(operation)
      outgoing.set(operation.packetId, { ...messageOf(operation), isReceived })
    }
    return { outgoing, incoming: new Set(this.#incoming.get(session)) }
  }

  #incomingOf(session: string): Set<number> {
    return this.#incoming.getOrInsertComputed(session, () => new Set())
  }

  /** How many of each kind came to that. */
  count(fate: Fate): Record<OperationKind, number> {
    const counts = noneOfAny()
    for (const entry of this.entries) if (entry.fate === fate) counts[entry.operation.kind] += 1
    return counts
  }
}

function noneOfAny(): Record<OperationKind, number> {
  return { registration: 0, roster: 0, offline: 0, retained: 0, publication: 0, will: 0, expiry: 0 }
}

function isOfKind<K extends OperationKind>(
  operation: Operation,
  kind: K,
): operation is OperationOf<K> {
  return operation.kind === kind
}

export function total(counts: Readonly<Record<OperationKind, number>>): number {
  return operationKinds.reduce((sum, kind) => sum + counts[kind], 0)
}
